"""Downloads the history of markets to Parquet; killed at any moment, the same command goes on where it stopped.

    data/raw/BTC-USD_1m_20241121_20261121.parquet   a series, when it is whole
    data/raw/.fetch/BTC-USD_1m/00000007.parquet     a piece of it, until then

A piece is a stretch of candles for which the source has answered without an error. It counts from the instant at which
it has its name, and is whole on disk by then. When the last one is there they become one file (`file.py`), and
only then are removed; doing that twice changes nothing. What a file covers is not asked for again, its holes included
(`plan.py`). What is doubtful, such as a long hole or a spike, is believed when it was told twice; a row that
can be no candle never is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from core.adapters.history.answer import Answer, firm, judge
from core.adapters.history.file import Damage
from core.adapters.history.plan import BRIDGE_CANDLES, Job, Series, claim, plan
from core.adapters.stretches import Stretch, join_stretches
from core.errors import Code, CrpbotError
from core.gate import RawCandles
from core.market import instant

# Pieces asked for at the same time, so that the allowed rate is the bound and not the way of the answers.
WORKERS: Final = 8

ATTEMPTS: Final = 5
LONGEST_WAIT_SECONDS: Final = 60.0
PASSING: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED})

Tell = Callable[[int, int, str], None]
"""Hears how many candles are done, of how many, and of which series the last were."""


class Source(Protocol):
    """Whoever has a history: the adapter of an exchange."""

    @property
    def identity(self) -> str:
        """What stands in the files, so that two sources are never joined."""
        ...

    def history(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> AsyncIterator[RawCandles]:
        """The rows of the candles that start in [start, end), in pages. Ends without an error only when all is told."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one series. `problem` says what is missing and what to do; what was downloaded stays."""

    symbol: str
    interval: str
    file: Path | None = None
    first: datetime | None = None
    last: datetime | None = None
    candles: int = 0  # in the file
    holes: int = 0  # candles that the source has not
    unusable: int = 0  # not in the file, because what the source told can be no candle
    revisions: int = 0
    notes: tuple[str, ...] = ()
    problem: str | None = None


async def download(
    source: Source,
    folder: Path,
    wanted: Sequence[Series],
    *,
    tell: Tell,
    now_ms: Callable[[], int],
    again: bool = False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Outcome]:
    """Every series wanted, as far as it has settled. `again` asks for what is known too, and records what changed.

    One series that fails does not take the others with it; a source that cannot be reached ends the download.
    """
    with claim(folder):
        jobs = [await asyncio.to_thread(_try_plan, folder, each, source.identity, now_ms(), again) for each in wanted]
        run = _Run(source, jobs, tell=tell, now_ms=now_ms, sleep=sleep)
        await run.complete()
    return [_outcome(job) for job in jobs]


class _Run:
    """All series of one command. Workers take piece after piece; whoever brings a series' last one makes its file."""

    def __init__(
        self,
        source: Source,
        jobs: Sequence[Job],
        *,
        tell: Tell,
        now_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._source = source
        self._jobs = jobs
        self._tell = tell
        self._now_ms = now_ms
        self._sleep = sleep
        self._total = sum(_count(job, piece) for job in jobs for piece in job.pieces)
        self._done = 0
        self._stopped: str | None = None

    async def complete(self) -> None:
        """Until every series has its file or a problem."""
        for job in self._jobs:
            if not job.pieces:
                await self._finish(job)
        pieces = ((job, piece) for job in self._jobs for piece in job.pieces)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work(pieces))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _work(self, pieces: Iterator[tuple[Job, Stretch]]) -> None:
        for job, piece in pieces:
            if self._stopped:
                job.fail(self._stopped)
            if job.problem:
                continue
            try:
                answer = await self._ask_patiently(job, piece)
            except CrpbotError as error:
                job.fail(f"{error.detail}; what is downloaded stays, and the same command goes on from there")
                if error.code in PASSING:  # whoever comes next would wait in vain as well
                    self._stopped = job.problem
                continue
            job.unusable += _count(job, piece) - sum(_count(job, each) for each in answer.covered)
            if answer.covered:
                await asyncio.to_thread(job.keep, job.next_place(), answer.rows, answer.covered)
            job.left -= 1
            self._done += _count(job, piece)
            self._tell(self._done, self._total, job.name)
            if not job.left:
                await self._finish(job)

    async def _finish(self, job: Job) -> None:
        if job.problem:
            return
        try:
            await asyncio.to_thread(job.finish, self._now_ms())
        except CrpbotError as error:
            job.fail(f"{job.name}: {error.detail}")
        except Damage as damage:
            job.fail(f"{job.name}: {damage}; run the same command again")

    async def _ask_patiently(self, job: Job, piece: Stretch) -> Answer:
        """What may pass by itself is waited out."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._ask(job, piece)
            except CrpbotError as error:
                if error.code not in PASSING or attempt == ATTEMPTS:
                    raise
                wait = max(error.retry_after_seconds or 0.0, 2.0 ** (attempt - 1))
            await self._sleep(min(wait, LONGEST_WAIT_SECONDS))

    async def _ask(self, job: Job, piece: Stretch) -> Answer:
        """What the source says, and about what is doubtful what it says when it is asked once more."""
        answer = judge(job, piece, await self._pages(job, piece), self._now_ms())
        if not answer.doubts:
            return answer
        pages = [firm(answer)]
        for question in join_stretches(answer.doubts, bridge=BRIDGE_CANDLES * job.step_ms):
            pages += await self._pages(job, question)
        return judge(job, piece, pages, self._now_ms())

    async def _pages(self, job: Job, piece: Stretch) -> list[RawCandles]:
        symbol, interval, *_ = job.series
        return [page async for page in self._source.history(symbol, interval, *piece)]


def _count(job: Job, piece: Stretch) -> int:
    return (piece.end - piece.begin) // job.step_ms


def _try_plan(folder: Path, series: Series, source: str, now_ms: int, again: bool) -> Job:
    try:
        return plan(folder, series, source, now_ms, again=again)
    except CrpbotError as error:
        return Job(folder, series, source, problem=error.detail)


def _outcome(job: Job) -> Outcome:
    symbol, interval, *_ = job.series
    nothing = Outcome(symbol, interval, notes=tuple(job.notes), problem=job.problem)
    if job.memo is None:
        return nothing
    begin, end = job.memo.span
    holes = int((job.memo.holes[:, 1] - job.memo.holes[:, 0]).sum())
    return replace(
        nothing,
        file=job.file,
        first=instant(begin),
        last=instant(end - job.step_ms),
        candles=job.memo.candles,
        holes=holes // job.step_ms,
        unusable=job.unusable,
        revisions=len(job.memo.revisions),
    )
