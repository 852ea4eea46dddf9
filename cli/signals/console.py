"""What `crpbot schedule` shows: for people blocks and a line to the next slot, for programs JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Protocol

import typer
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.signals.blocks import print_refused, print_signal, write_dollars
from client.grid import write_slot
from client.happenings import Failed, Happening, Overlapped, Retrying, Scanned, Tally, Waiting

Json = dict[str, Any]  # Any: decoded JSON

LOG_WIDTH: Final = 160  # columns where no terminal says how many it has
BAR_WIDTH: Final = 30


@dataclass(frozen=True, slots=True)
class Start:
    """What is about to run."""

    url: str
    symbols: tuple[str, ...]
    interval_seconds: int
    delay_seconds: float
    iterations: int
    judging: str | None
    max_signals_per_hour: int
    daily_budget_usd: Decimal
    monthly_budget_usd: Decimal
    mode: str


@dataclass(slots=True)
class Statistics:
    """What was used since the start, and what the server says of the day and the month."""

    signals: int = 0
    llm_calls: int = 0
    llm_cost_usd: Decimal = Decimal(0)
    win_rate: str | None = None
    spend: Json | None = None

    def count(self, scanned: Scanned) -> None:
        """A scan more."""
        for signal in scanned.signals:
            self.signals += signal["direction"] != "HOLD"
            if signal["llm"] is not None:
                self.llm_calls += signal["llm"]["attempts"]
                self.llm_cost_usd += Decimal(signal["llm"]["cost_usd"])
            for vote in signal["votes"]:
                if vote["theory"] == "bayesian_win_rate":
                    self.win_rate = vote["problem"] or vote["words"]


class Watcher(Protocol):
    """Whoever shows what happens."""

    def start(self, start: Start) -> None: ...

    def tell(self, happening: Happening) -> None: ...

    def sum_up(self, statistics: Statistics, tally: Tally) -> None: ...

    def note(self, words: str) -> None: ...

    def close(self) -> None: ...


class Lines:
    """A JSON object a line."""

    def start(self, start: Start) -> None:
        _write("start", asdict(start))

    def tell(self, happening: Happening) -> None:
        match happening:
            case Scanned(tick, signals, refused, attempts, seconds):
                told = {"slot": write_slot(tick.slot), "late": tick.is_late, "missed": tick.missed}
                counts = {"signals": len(signals), "refused": list(refused), "attempts": attempts}
                _write("scan", {**told, **counts, "seconds": round(seconds, 3)})
                for signal in signals:
                    _write("signal", signal)
            case Failed(tick, detail, attempts):
                _write("failed", {"slot": write_slot(tick.slot), "detail": detail, "attempts": attempts})
            case Retrying(slot, detail, seconds):
                _write("retry", {"slot": write_slot(slot), "detail": detail, "seconds": round(seconds, 3)})
            case Overlapped(count):
                _write("overlapped", {"slots": count})
            case Waiting():
                pass

    def sum_up(self, statistics: Statistics, tally: Tally) -> None:
        _write("statistics", {**asdict(statistics), **asdict(tally)})

    def note(self, words: str) -> None:
        _write("note", {"detail": words})

    def close(self) -> None:
        """Nothing is open."""


class Screen:
    """Blocks, and on a terminal a line that counts down to the next slot."""

    def __init__(self, console: Console | None = None, *, full: bool = False) -> None:
        self._console = console or make_console()
        self._full = full
        self._live: Live | None = None

    def start(self, start: Start) -> None:
        often = f"every {start.interval_seconds} s, {start.delay_seconds:g} s after the close"
        ends = (
            "without end" if start.iterations < 0 else "once" if start.iterations == 1 else f"{start.iterations} times"
        )
        rows = (
            ("symbols", f"{len(start.symbols)}: {', '.join(start.symbols)}"),
            ("interval", f"{often}, {ends}"),
            ("limits", f"{start.max_signals_per_hour} signals an hour"),
            ("budgets", f"{write_dollars(start.daily_budget_usd)} USD a day, "
                        f"{write_dollars(start.monthly_budget_usd)} USD a month"),
            ("mode", start.mode + ("" if start.judging is None else f", {start.judging}")),
            ("server", start.url),
        )  # fmt: skip
        table = Table.grid(padding=(0, 2))
        for name, words in rows:
            table.add_row(Text(name, style="bold"), Text(words, style="red" if words.startswith("live") else ""))
        self._print(lambda: self._console.print(table))

    def tell(self, happening: Happening) -> None:
        if isinstance(happening, Waiting):
            _safely(lambda: self._count_down(happening))
            return
        self.close()
        self._print(lambda: self._show(happening))

    def _show(self, happening: Happening) -> None:
        match happening:
            case Scanned():
                self._show_scan(happening)
            case Failed(tick, detail, attempts):
                words = f"slot {write_slot(tick.slot)} failed after {attempts} calls: {detail}"
                self._console.print(Text(words, style="red"))
            case Retrying(_, detail, seconds):
                self._console.print(Text(f"again in {seconds:.0f} s: {detail}", style="yellow"))
            case Overlapped(count):
                words = f"the scan took longer than its interval: {count} {_slots(count)} left out"
                self._console.print(Text(words, style="yellow"))

    def _show_scan(self, scanned: Scanned) -> None:
        tick, signals = scanned.tick, scanned.signals
        at = write_slot(tick.slot).replace("T", " ").removesuffix("Z")
        head = Text().append(f"\n{at} UTC", style="bold")
        head.append(f"  {len(signals)} symbols in {scanned.seconds:.1f} s", style="dim")
        if any(signal["runtime_mode"] == "live" for signal in signals):
            head.append("  live", style="bold red")
        sources = {signal["source"]: signal["synthetic"] for signal in signals}
        for source, synthetic in sources.items():
            head.append(f"  {source}" + (": invented prices" if synthetic else ""), style="dim")
        if tick.missed:
            head.append(f"  {tick.missed} {_slots(tick.missed)} missed", style="yellow")
        if tick.is_late:
            head.append(f"  late by {tick.late_seconds:.0f} s", style="yellow")
        self._console.print(head)
        for signal in signals:
            print_signal(self._console, signal, full=self._full)
        for refused in scanned.refused:
            print_refused(self._console, refused)

    def sum_up(self, statistics: Statistics, tally: Tally) -> None:
        used = f"{_count(statistics.signals, 'signal')} in {_count(tally.scans, 'scan')}"
        lost = ((tally.failed, "failed"), (tally.missed, "missed"), (tally.overlapped, "left out"))
        parts = [used, *(f"{count} {words}" for count, words in lost if count)]
        parts.append(f"LLM calls {statistics.llm_calls}, {write_dollars(statistics.llm_cost_usd)} USD")
        spend = statistics.spend
        if spend is not None:
            for span in ("day", "month"):
                spent, cap = write_dollars(spend[f"{span}_spent_usd"]), write_dollars(spend[f"{span}_cap_usd"])
                parts.append(f"{span} {spent} of {cap} USD" + (" (!)" if spend[f"{span}_alarm"] else ""))
        self._print(lambda: self._console.print(Text(" · ".join(parts), style="dim")))
        if statistics.win_rate is not None:
            words = Text(f"Bayesian win rate: {statistics.win_rate}", style="dim")
            self._print(lambda: self._console.print(words, no_wrap=True, overflow="ellipsis"))

    def note(self, words: str) -> None:
        self.close()
        self._print(lambda: self._console.print(Text(words, style="yellow")))

    def close(self) -> None:
        """Takes the line away."""
        if self._live is not None:
            _safely(self._live.stop)
            self._live = None

    def _count_down(self, waiting: Waiting) -> None:
        if not self._console.is_terminal:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(waiting.seconds, waiting.seconds - waiting.seconds_left, width=BAR_WIDTH)
        minutes, seconds = divmod(round(waiting.seconds_left), 60)
        at = datetime.now(UTC).strftime("%H:%M:%S")
        grid.add_row(Text("next scan in", style="dim"), Text(f"{minutes}:{seconds:02d}"), bar, Text(at, style="dim"))
        self._live.update(grid, refresh=True)

    def _print(self, action: Callable[[], object]) -> None:
        _safely(action)


def make_console() -> Console:
    """Colours on a terminal unless NO_COLOR is set; elsewhere plain lines that are wide enough for a log."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = LOG_WIDTH
    return console


def _write(event: str, told: Json) -> None:
    _safely(lambda: typer.echo(json.dumps({"event": event, **told}, default=str, separators=(",", ":"))))


def _safely(action: Callable[[], object]) -> None:
    """Writes, if anybody still reads: scans must not depend on that."""
    with suppress(OSError):
        action()


def _slots(count: int) -> str:
    return "slot" if count == 1 else "slots"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
