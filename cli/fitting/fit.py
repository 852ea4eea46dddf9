"""`crpbot fit`: fits the theories that learn from long history, on the candles of the provider in the settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.fitting.histories import Line, Tell, problem_of, read_histories, work
from cli.fitting.weights import WEIGHT_CANDLES, Place, learn_rule
from core.adapters.fits import load_fits, save_fit
from core.deciding.weights import NAME
from core.errors import unknown
from core.fitting import HISTORY_CANDLES, Learned, Task, bind, choose_learners, learn
from core.market import SYMBOLS, Candles, interval_seconds, parse_symbol


@dataclass(frozen=True, slots=True)
class Order:
    """What to fit. Empty means all; `missing` leaves out what is fitted already by this version."""

    theories: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    interval: str | None = None
    candles: int = HISTORY_CANDLES
    missing: bool = False


def fit(order: Order, tell: Tell) -> list[Line]:
    """Fits what is ordered, and saves what was learned also when it is interrupted."""
    from serving.session import kernel_folder

    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder(Path.cwd())))
    from serving.app import fit_folder
    from serving.configuration import load
    from serving.sources import build_market

    settings = load().settings
    interval = order.interval or settings.market.interval
    interval_seconds(interval)
    market, now = build_market(settings)
    place = Place(fit_folder(settings), market, interval, int(now().timestamp() * 1_000))
    theories, weighed = _choose(order)
    symbols = tuple(parse_symbol(symbol) for symbol in order.symbols) or SYMBOLS
    lines: list[Line] = []
    wanted = symbols
    if order.missing:
        weighed = weighed and bool(_missing(place, (NAME,), symbols)[1])
        theories, wanted = _missing(place, theories, symbols)
    later = len(symbols) if weighed else 0
    if theories:
        lines += _fit_theories(
            place, theories, wanted, order.candles, lambda done, all_, w: tell(done, all_ + later, w)
        )
    if weighed:
        done = len(theories) * len(wanted)
        count = max(order.candles, WEIGHT_CANDLES)
        lines += learn_rule(
            place,
            symbols,
            count,
            settings.market.window,
            lambda more, all_, words: tell(done + more, done + all_, words),
        )
    return lines


def _choose(order: Order) -> tuple[tuple[str, ...], bool]:
    """The theories ordered, and whether their weights are; not among what is missing at a start: they take a minute."""
    if not order.theories:
        return choose_learners(()), not order.missing
    known = (*choose_learners(()), NAME)
    for name in order.theories:
        if name not in known:
            raise unknown("theory", "fitted theory", name, known)
    named = [name for name in order.theories if name != NAME]
    return choose_learners(named) if named else (), NAME in order.theories


def _fit_theories(place: Place, theories: Sequence[str], symbols: Sequence[str], count: int, tell: Tell) -> list[Line]:
    """Each theory on each symbol's history."""
    histories, lines = read_histories(place.market, symbols, place.interval, count, now_ms=place.now_ms)
    tasks = [Task(theory, history) for theory in theories for history in histories]
    learned: dict[str, list[tuple[Candles, Learned]]] = {theory: [] for theory in theories}
    try:
        for done, (task, outcome) in enumerate(work(tasks, learn, name=_name), start=1):
            if isinstance(outcome, Exception):
                lines.append(_failed(task, outcome))
            else:
                learned[task.theory].append((task.history, outcome))
                lines.append(_fitted(task, outcome))
            tell(done, len(tasks), _name(task))
    finally:  # also what was learned before somebody pressed Ctrl-C: `--missing` goes on from there
        for theory, results in learned.items():
            if results:
                save_fit(place.folder, bind(theory, place.market.identity, results, at=datetime.now(UTC)))
    return sorted(lines, key=lambda line: (line.theory, SYMBOLS.index(line.symbol)))


def _name(task: Task) -> str:
    return f"{task.theory} {task.history.symbol}"


def _missing(place: Place, theories: Sequence[str], symbols: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The theories that lack a symbol on this market and interval, and the symbols that some theory lacks."""
    known = {
        (fit.theory, symbol)
        for fit in load_fits(place.folder).fits
        if (fit.origin, fit.interval) == (place.market.identity, place.interval)  # of another version none is loaded
        for symbol in fit.states
    }
    lacking = [(theory, symbol) for theory in theories for symbol in symbols if (theory, symbol) not in known]
    return (
        tuple(theory for theory in theories if any(theory == each for each, _ in lacking)),
        tuple(symbol for symbol in symbols if any(symbol == each for _, each in lacking)),
    )


def _fitted(task: Task, learned: Learned) -> Line:
    history = task.history
    return Line(task.theory, history.symbol, history.interval, len(history), dict(learned.span.metrics))


def _failed(task: Task, error: Exception) -> Line:
    history = task.history
    return Line(task.theory, history.symbol, history.interval, len(history), {}, problem_of(error))


def print_lines(lines: Sequence[dict[str, Any]]) -> None:  # Any: decoded JSON
    """The table: what was fitted, on how much, and how good it is."""
    from rich.text import Text

    from cli.render import console, make_table

    if not lines:
        console().print("everything is fitted already")
        return
    table = make_table("Theory", "Symbol", "Interval", "Candles", "Outcome")
    for line in lines:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in line["metrics"].items())
        outcome = Text(line["problem"], style="red") if line["problem"] else Text(metrics)
        table.add_row(line["theory"], line["symbol"], line["interval"], f"{line['candles']:,}", outcome)
    console().print(table)
