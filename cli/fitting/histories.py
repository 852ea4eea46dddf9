"""What every kind of fitting needs: the histories that a market has, work on every core, and a line for the table."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from core.errors import Code, CrpbotError
from core.market import Candles
from core.ports import Market

logger = logging.getLogger(__name__)

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

Tell = Callable[[int, int, str], None]
"""Hears how many tasks are done, of how many, and what was done last."""


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one task, for the table."""

    theory: str
    symbol: str
    interval: str
    candles: int
    metrics: dict[str, float]
    problem: str | None = None


def read_histories(
    market: Market, symbols: Sequence[str], interval: str, count: int, *, now_ms: int, theory: str = "all"
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
        Line(theory, symbol, interval, 0, {}, each.detail)
        for symbol, each in zip(symbols, found, strict=True)
        if isinstance(each, CrpbotError)
    ]
    if not histories:
        raise CrpbotError(Code.FAILED_PRECONDITION, f"no history to fit on: {lines[0].problem}", reason="NO_HISTORY")
    return histories, lines


def work(
    tasks: Sequence[Task], action: Callable[[Task], Outcome], *, name: Callable[[Task], str]
) -> Iterator[tuple[Task, Outcome | Exception]]:
    """Every task with its outcome, as they end. The kernels run without the interpreter's lock, so threads suffice."""
    executor = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        running: dict[Future[Outcome], Task] = {executor.submit(action, task): task for task in tasks}
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                task = running.pop(future)
                try:
                    yield task, future.result()
                except Exception as error:  # one coin's fault must not cost the others what they learned
                    if not isinstance(error, CrpbotError):
                        logger.exception("fitting %s failed", name(task))
                    yield task, error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def problem_of(error: Exception) -> str:
    """What went wrong, for the table."""
    return error.detail if isinstance(error, CrpbotError) else f"{type(error).__name__}: {error}"
