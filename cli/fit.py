"""`crpbot fit`: fits the theories that learn from long history, on the candles of the provider in the settings."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.adapters.fits import load_fits, save_fit
from core.analyzers import code_hash
from core.errors import Code, CrpbotError
from core.fitting import HISTORY_CANDLES, Learned, Task, bind, choose_learners, learn
from core.market import SYMBOLS, Candles, interval_seconds, parse_symbol
from core.ports import Market

logger = logging.getLogger(__name__)

Tell = Callable[[int, int, str], None]
"""Hears how many tasks are done, of how many, and what was done last."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to fit. Empty means all; `missing` leaves out what is fitted already by this version."""

    theories: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    interval: str | None = None
    candles: int = HISTORY_CANDLES
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one task, for the table."""

    theory: str
    symbol: str
    interval: str
    candles: int
    metrics: dict[str, float]
    problem: str | None = None


def fit(order: Order, tell: Tell) -> list[Line]:
    """Fits what is ordered, and saves what was learned also when it is interrupted."""
    from serving.session import kernel_folder

    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder(Path.cwd())))
    from serving.app import build_market, fit_folder
    from serving.configuration import load

    settings = load().settings
    folder = fit_folder(settings)
    interval = order.interval or settings.market.interval
    interval_seconds(interval)
    market, now = build_market(settings)
    theories = choose_learners(order.theories)
    symbols = tuple(parse_symbol(symbol) for symbol in order.symbols) or SYMBOLS
    if order.missing:
        theories, symbols = _missing(folder, market.identity, theories, symbols, interval)
    if not theories:
        return []
    histories, lines = _read(market, symbols, interval, order.candles, int(now().timestamp() * 1_000))
    tasks = [Task(theory, history) for theory in theories for history in histories]
    learned: dict[str, list[tuple[Candles, Learned]]] = {theory: [] for theory in theories}
    try:
        for done, (task, outcome) in enumerate(_work(tasks), start=1):
            if isinstance(outcome, Exception):
                lines.append(_failed(task, outcome))
            else:
                learned[task.theory].append((task.history, outcome))
                lines.append(_fitted(task, outcome))
            tell(done, len(tasks), f"{task.theory} {task.history.symbol}")
    finally:  # also what was learned before somebody pressed Ctrl-C: `--missing` goes on from there
        for theory, results in learned.items():
            if results:
                save_fit(folder, bind(theory, market.identity, results, at=datetime.now(UTC)))
    return sorted(lines, key=lambda line: (line.theory, SYMBOLS.index(line.symbol)))


def _missing(
    folder: Path, origin: str, theories: Sequence[str], symbols: Sequence[str], interval: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The theories that lack a symbol on this market and interval, and the symbols that some theory lacks."""
    known = {
        (fit.theory, symbol)
        for fit in load_fits(folder).fits
        if (fit.origin, fit.interval, fit.code) == (origin, interval, code_hash(fit.theory))
        for symbol in fit.states
    }
    lacking = [(theory, symbol) for theory in theories for symbol in symbols if (theory, symbol) not in known]
    return (
        tuple(theory for theory in theories if any(theory == each for each, _ in lacking)),
        tuple(symbol for symbol in symbols if any(symbol == each for _, each in lacking)),
    )


def _read(
    market: Market, symbols: Sequence[str], interval: str, count: int, now_ms: int
) -> tuple[list[Candles], list[Line]]:
    """The histories that the market has; a symbol without one is named in the table."""

    async def read() -> list[Candles | CrpbotError]:
        found: list[Candles | CrpbotError] = []
        for symbol in symbols:
            try:
                found += await market.latest([symbol], interval, count, now_ms=now_ms)
            except CrpbotError as error:
                found.append(error)
        return found

    found = asyncio.run(read())
    histories = [each for each in found if isinstance(each, Candles)]
    lines = [
        Line("all", symbol, interval, 0, {}, each.detail)
        for symbol, each in zip(symbols, found, strict=True)
        if isinstance(each, CrpbotError)
    ]
    if not histories:
        raise CrpbotError(Code.FAILED_PRECONDITION, f"no history to fit on: {lines[0].problem}", reason="NO_HISTORY")
    return histories, lines


def _work(tasks: Sequence[Task]) -> Iterator[tuple[Task, Learned | Exception]]:
    """Every task with its outcome, as they end. The kernels run without the interpreter's lock, so threads suffice."""
    executor = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        running: dict[Future[Learned], Task] = {executor.submit(learn, task): task for task in tasks}
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                task = running.pop(future)
                try:
                    yield task, future.result()
                except Exception as error:  # one coin's fault must not cost the others what they learned
                    if not isinstance(error, CrpbotError):
                        logger.exception("fitting %s on %s failed", task.theory, task.history.symbol)
                    yield task, error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _fitted(task: Task, learned: Learned) -> Line:
    history = task.history
    return Line(task.theory, history.symbol, history.interval, len(history), dict(learned.span.metrics))


def _failed(task: Task, error: Exception) -> Line:
    history = task.history
    problem = error.detail if isinstance(error, CrpbotError) else f"{type(error).__name__}: {error}"
    return Line(task.theory, history.symbol, history.interval, len(history), {}, problem)


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
