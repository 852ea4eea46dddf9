"""Long calculations beside the gateway: one process of its own, that starts with the first question and dies with us.

On the gateway's loop a tenth of a second of resampling would hold a kill call for as long. The process reads the ledger
itself, is nice to the others, and takes one question at a time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.statistics import LedgerStatistics
from core.errors import Code, CrpbotError, Violation
from core.forecasts.score import LiveScore, Scope
from core.performance.question import MeasureRequest, PerformanceRequest
from core.performance.report import Calibration, EquityCurve, PerformanceReport
from core.performance.review import Review
from core.performance.theories import ContributionReport, TheoryPerformance
from serving.processes import die_with_parent

NICENESS: Final = 10  # on two cores a kill call must not wait for a bootstrap
MOST_WAITING: Final = 8  # questions; each may take seconds, and a caller waits 30 at most

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")
Ask = Callable[Concatenate[LedgerStatistics, Asked], Awaitable[Answer]]


class Refused(NamedTuple):
    """An error of ours on its way between processes, which an exception with named arguments does not survive."""

    code: Code
    detail: str
    reason: str
    violations: tuple[Violation, ...]
    retry_after_seconds: float | None


class Workroom:
    """The statistics of a ledger, computed in a process of its own."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._pool: ProcessPoolExecutor | None = None
        self._waiting = 0
        self._unfinished: set[Future[Any]] = set()  # also those whose caller has given up: the process goes on

    async def performance(self, request: PerformanceRequest, now: datetime) -> PerformanceReport:
        """Every statistic."""
        return await self._ask(LedgerStatistics.performance, request, now)

    async def contribution(self, request: MeasureRequest) -> ContributionReport:
        """What each theory is worth."""
        return await self._ask(LedgerStatistics.contribution, request)

    async def review(self, request: MeasureRequest, now: datetime) -> Review:
        """The rule's advice."""
        return await self._ask(LedgerStatistics.review, request, now)

    async def equity(self, request: MeasureRequest) -> EquityCurve:
        """The balance after each trade."""
        return await self._ask(LedgerStatistics.equity, request)

    async def calibration(self, request: MeasureRequest) -> Calibration:
        """Confidence against outcome."""
        return await self._ask(LedgerStatistics.calibration, request)

    async def evaluate(self, account: str, at: datetime) -> tuple[TheoryPerformance, ...]:
        """Every theory on every symbol of an account."""
        return await self._ask(LedgerStatistics.evaluate, account, at)

    async def live_score(self, scope: Scope, champion: str | None) -> LiveScore:
        """What a model's live forecasts were worth."""
        return await self._ask(LedgerStatistics.live_score, scope, champion)

    def close(self) -> None:
        """End the process; what it was asked for is dropped. An idle one is waited for, so that it leaves nothing."""
        if self._pool is not None:
            self._pool.shutdown(wait=not self._unfinished, cancel_futures=True)
            self._pool, self._unfinished = None, set()

    async def _ask(self, ask: Ask[Asked, Answer], *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        if self._waiting >= MOST_WAITING:
            detail = f"{self._waiting} questions about results are being answered; ask again in a moment"
            raise CrpbotError(Code.UNAVAILABLE, detail, reason="OVERLOADED", retry_after_seconds=1.0)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _enter, (self._url, os.getpid()))
        pool = self._pool
        self._waiting += 1
        try:
            future = pool.submit(_work, ask, args, kwargs)
            self._unfinished.add(future)
            future.add_done_callback(self._unfinished.discard)
            found = await asyncio.wrap_future(future)
        except BrokenProcessPool:
            if self._pool is pool:  # another waiter may have been here first, and a fresh one be at work
                self._pool, self._unfinished = None, set()
            pool.shutdown(wait=False, cancel_futures=True)
            detail = "the process that computes statistics has ended; ask again"
            raise CrpbotError(Code.UNAVAILABLE, detail, reason="WORKER_ENDED", retry_after_seconds=1.0) from None
        finally:
            self._waiting -= 1
        if isinstance(found, Refused):
            code, detail, reason, violations, wait = found
            raise CrpbotError(code, detail, reason=reason, violations=violations, retry_after_seconds=wait)
        answer: Answer = found
        return answer


@dataclass(slots=True)
class _Room:
    """What the process keeps from one question to the next."""

    url: str
    runner: asyncio.Runner
    statistics: LedgerStatistics | None = None


_rooms: list[_Room] = []  # of the process that computes; it has one


def _enter(url: str, parent: int) -> None:
    die_with_parent()
    if os.getppid() != parent:  # it died before we could ask to be told
        os._exit(1)
    _rooms[:] = [_Room(url, asyncio.Runner())]


def _work(ask: Ask[Asked, Answer], args: tuple[object, ...], kwargs: dict[str, object]) -> Answer | Refused:
    (room,) = _rooms
    try:
        return room.runner.run(_answer(room, ask, args, kwargs))
    except CrpbotError as error:
        return Refused(error.code, error.detail, error.reason, error.violations, error.retry_after_seconds)


async def _answer(room: _Room, ask: Ask[Asked, Answer], args: tuple[object, ...], kwargs: dict[str, object]) -> Answer:
    if room.statistics is None:
        room.statistics = LedgerStatistics(await Ledger.open(room.url))
        os.nice(NICENESS)  # from here on; nobody gains by waiting for it to start
    return await ask(room.statistics, *args, **kwargs)  # type: ignore[arg-type]  # they travelled as plain objects
