"""Signals side by side: what the theories, the models and the vote of both decided on the same candle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.signals.blocks import ARROWS, STYLES, write_price

Row = Mapping[str, Any]  # Any: decoded JSON

STRATEGIES: Final = {"v7": "V7 theories", "v6": "V6 models", "vote": "vote"}
PUBLISHED: Final = "●"
ROOMY: Final = 110  # columns from which price and reason have room beside the three decisions
NO_MODEL: Final = "no_model"
MODELS_SILENT: Final = "models_silent"
UNCOMPARED: Final = (
    "- was not compared: nothing was read, no model was promoted, comparing is switched off, or it failed "
    "(crpbot_comparisons_failed_total in /metrics, and the server's log)"
)
SUREST: Final = 0.99  # what is surer is shown so: nothing is certain, and a third digit has no room


class Sides(NamedTuple):
    """What was published on a candle, and what each strategy decided on it."""

    published: Row
    by: Mapping[str, Row]


def line_up(published: Sequence[Row], compared: Iterable[Row]) -> list[Sides]:
    """Each published decision with the compared ones of the same symbol and slot; without a slot, with the nearest."""
    beside: dict[tuple[str, Any], list[Row]] = {}
    for each in compared:
        beside.setdefault(_key(each), []).append(each)
    lined_up = []
    for each in published:
        by = {each["strategy"]: each}
        at = _instant(each)
        for other in sorted(beside.get(_key(each), ()), key=lambda other: abs(_instant(other) - at)):
            by.setdefault(other["strategy"], other)
        lined_up.append(Sides(each, by))
    return lined_up


def print_sides(console: Console, found: Sequence[Sides], unstaffed: frozenset[str] = frozenset()) -> None:
    """One line a candle, and below it what the marks mean. `unstaffed` are symbols for which no model is asked."""
    roomy = console.width >= ROOMY
    gap = 2 if roomy else 1
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, expand=roomy, header_style="dim")
    table.add_column("Slot (UTC)", no_wrap=True)
    table.add_column("Symbol", no_wrap=True, style="bold")
    if roomy:
        table.add_column("Price", no_wrap=True, justify="right")
    for name in STRATEGIES.values():
        table.add_column(name, no_wrap=True)
    if roomy:
        table.add_column("Why", no_wrap=True, overflow="ellipsis", ratio=1)
    for sides in found:
        signal = sides.published
        at = str(signal["slot"] or signal["timestamp"])[5:16].replace("T", " ")
        price, why = ([Text(write_price(signal["price"]))], [_why(signal)]) if roomy else ([], [])
        table.add_row(at, signal["symbol"], *price, *(_cell(sides, name, unstaffed) for name in STRATEGIES), *why)
    console.print(table)
    for note in _notes(found, unstaffed):
        console.print(note, style="dim")


def _cell(sides: Sides, strategy: str, unstaffed: frozenset[str]) -> Text:
    """A decision in few characters: direction, confidence, tier, and the mark of what is published.

    What is not there was not compared. That a model was lacking is said only where nothing else can be the reason.
    """
    signal = sides.by.get(strategy)
    if signal is None:
        lacks = strategy != "v7" and sides.published["symbol"] in unstaffed
        return Text("  no model" if lacks and "v6" not in sides.by else "  -", style="dim")
    mark = PUBLISHED if signal is sides.published else " "
    for reason, words in ((NO_MODEL, "no model"), (MODELS_SILENT, "silent")):
        if any(each["reason"] == reason for each in signal["degradations"]):
            return Text(f"{mark} {words}", style="dim")
    direction = signal["direction"]
    cell = Text(mark, style="bold")
    cell.append(f"{ARROWS[direction]} {direction:<4}{min(signal['confidence'], SUREST):>4.0%}", style=STYLES[direction])
    return cell.append(f" {signal['tier']}" if signal["tier"] else "", style="dim")


def _why(signal: Row) -> Text:
    """What kept it from being a trade, else what it says."""
    for name in ("vetoes", "degradations"):
        for each in signal[name]:
            return Text(str(each["detail"]), style="yellow")
    return Text(str(signal["reasoning"]), style="dim")


def _notes(found: Sequence[Sides], unstaffed: frozenset[str]) -> list[str]:
    """What the marks mean, and the command that makes a model where there was none."""
    if not found:
        return []
    notes = [f"{PUBLISHED} is published; the others compare in the shadow book"]
    cells = [(each.published["symbol"], _cell(each, name, unstaffed).plain) for each in found for name in STRATEGIES]
    if any(cell.strip() == "-" for _, cell in cells):
        notes.append(UNCOMPARED)
    silent = next((doubt for each in found for doubt in _doubts(each, MODELS_SILENT)), None)
    if silent is not None:
        notes.append(f"silent: {silent}")
    lacking = list(dict.fromkeys(symbol for symbol, cell in cells if "no model" in cell))
    if lacking:
        from core.forecasts.lineup import remedy

        rest = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        notes.append(f"no model: none is promoted for {lacking[0]}{rest}")
        notes.append(f"  to have one: {remedy('lstm', lacking[0])}")
    return notes


def _doubts(sides: Sides, reason: str) -> Iterator[str]:
    """What is said of a doubt in any of the decisions on a candle."""
    for signal in sides.by.values():
        yield from (str(each["detail"]) for each in signal["degradations"] if each["reason"] == reason)


def _key(signal: Row) -> tuple[str, Any]:
    return signal["symbol"], signal["slot"] or signal["as_of"]


def _instant(signal: Row) -> float:
    return datetime.fromisoformat(signal["timestamp"]).timestamp()
