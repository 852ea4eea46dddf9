"""Requests that wait for a busy replica travel together: one call carries many windows and costs one hop.

A handle call costs about as much whatever it carries, and no row of a batch sees another, so joining requests changes
no answer. A lone request is never held back. While a call is under way, those that follow gather behind it until a call
is worth its cost or they have waited two milliseconds, which is less than the call that they save.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from core.analysis import Findings
from core.errors import Code, CrpbotError
from core.market import Windows, join_windows, shape_of

MAX_ROWS: Final = 64  # windows in one call: more would keep a replica from everybody else for too long
WORTH_A_CALL: Final = 8  # windows that justify one more call beside those under way
PATIENCE_SECONDS: Final = 0.002  # what a request waits for company at most, and only behind a call under way
ALIKE: Final = 2.0  # how many times longer one request's deadline may be than another's in one call
MAX_WAITING: Final = 1_024  # windows waiting; past this the honest answer is "too busy"

Send = Callable[[Sequence[Windows], Sequence[str], float], Awaitable[list[list[Findings]]]]


@dataclass(eq=False, slots=True)
class Job:
    """One request's share of the work of a group."""

    batches: Sequence[Windows]
    theories: Sequence[str]
    arrived: float
    deadline: float
    answer: asyncio.Future[list[list[Findings]]]
    request: object | None = None  # what this is a share of; shares of one request are for different replicas

    @property
    def rows(self) -> int:
        return sum(len(batch) for batch in self.batches)


class Coalescer:
    """The queue before one group of replicas."""

    def __init__(self, send: Send, *, calls: int) -> None:
        self._send = send
        self._free = calls
        self._waiting: deque[Job] = deque()
        self._waiting_rows = 0
        self._running: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

    async def submit(
        self,
        batches: Sequence[Windows],
        theories: Sequence[str],
        timeout_seconds: float,
        *,
        request: object | None = None,
    ) -> list[list[Findings]]:
        """The findings for these batches, computed alone or together with others'.

        Shares of one large request say which: they are never joined again, and leave as soon as a replica is free.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        job = Job(batches, theories, now, now + timeout_seconds, loop.create_future(), request)
        if self._waiting_rows + job.rows > MAX_WAITING:
            self._forget_given_up()
        if self._waiting_rows + job.rows > MAX_WAITING:
            raise CrpbotError(
                Code.UNAVAILABLE,
                f"{self._waiting_rows} windows are waiting already, at most {MAX_WAITING} may; try again shortly",
                reason="OVERLOADED",
                retry_after_seconds=1.0,
            )
        self._waiting.append(job)
        self._waiting_rows += job.rows
        self._start_calls()
        async with asyncio.timeout_at(job.deadline):
            return await job.answer

    def _start_calls(self) -> None:
        while self._free and self._waiting and self._is_worth_a_call():
            jobs = self._take()
            if jobs:
                self._free -= 1
                task = asyncio.get_running_loop().create_task(self._call(jobs))
                self._running.add(task)

    def _is_worth_a_call(self) -> bool:
        """Whether those waiting should leave now; if not, an alarm is set for when their patience ends."""
        if not self._running or self._waiting_rows >= WORTH_A_CALL or self._waiting[0].request is not None:
            return True
        loop = asyncio.get_running_loop()
        leaves = self._waiting[0].arrived + PATIENCE_SECONDS
        if loop.time() >= leaves:
            return True
        if self._alarm is None:
            self._alarm = loop.call_at(leaves, self._patience_ended)
        return False

    def _patience_ended(self) -> None:
        self._alarm = None
        self._start_calls()

    def _take(self) -> list[Job]:
        """The next jobs that ask for the same theories and fit into one call; those given up on are dropped."""
        jobs: list[Job] = []
        rows = 0
        while self._waiting:
            job = self._waiting[0]
            if job.answer.done():
                self._drop_first()
                continue
            if jobs and (rows + job.rows > MAX_ROWS or not all(_may_travel_together(job, each) for each in jobs)):
                break
            self._drop_first()
            jobs.append(job)
            rows += job.rows
        return jobs

    def _forget_given_up(self) -> None:
        """Nobody waits for these any more; behind a hung replica they would be counted until their turn came."""
        self._waiting = deque(job for job in self._waiting if not job.answer.done())
        self._waiting_rows = sum(job.rows for job in self._waiting)

    def _drop_first(self) -> None:
        self._waiting_rows -= self._waiting.popleft().rows

    async def _call(self, jobs: Sequence[Job]) -> None:
        try:
            batches, places = combine([job.batches for job in jobs])
            left = min(job.deadline for job in jobs) - asyncio.get_running_loop().time()
            found = await self._send(batches, jobs[0].theories, left)
            for job, place in zip(jobs, places, strict=True):
                if not job.answer.done():
                    job.answer.set_result([found[index][start:stop] for index, start, stop in place])
        except Exception as error:  # noqa: BLE001  # every waiting request must hear of it, and decides what it means
            for job in jobs:
                if not job.answer.done():
                    job.answer.set_exception(error)
        finally:
            self._free += 1
            self._running.discard(asyncio.current_task())
            self._start_calls()


def _may_travel_together(job: Job, first: Job) -> bool:
    """The same theories, not shares of one request, and so alike in patience that no deadline is spoilt."""
    if job.request is not None and job.request is first.request:
        return False
    shorter, longer = sorted((job.deadline - job.arrived, first.deadline - first.arrived))
    return job.theories == first.theories and longer <= ALIKE * shorter


Place = tuple[int, int, int]
"""Where a batch ended up: joined batch, first row, row after the last."""


def combine(requests: Sequence[Sequence[Windows]]) -> tuple[list[Windows], list[list[Place]]]:
    """Batches of several requests joined where their shapes agree, and where each one's rows ended up."""
    parts: dict[Hashable, list[Windows]] = {}
    positions: dict[Hashable, int] = {}
    filled: dict[Hashable, int] = {}
    places: list[list[Place]] = []
    for batches in requests:
        place: list[Place] = []
        for batch in batches:
            shape = shape_of(batch)
            position = positions.setdefault(shape, len(positions))
            start = filled.get(shape, 0)
            filled[shape] = start + len(batch)
            parts.setdefault(shape, []).append(batch)
            place.append((position, start, start + len(batch)))
        places.append(place)
    return [join_windows(parts[shape]) for shape in positions], places
