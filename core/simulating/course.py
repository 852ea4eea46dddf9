"""Months in minutes: a market's past walked slot by slot through the same desk, ledger and keeper that serve it live.

Only two things differ from a server: the clock is turned by hand, and the theories are computed for many windows at
once. A row does not see its batch, so the readings are those of one window after the other, to the last bit; what the
desk asks about is compared with what was computed, so a window that differs is an error and no reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import numpy as np

from core.analysis import Findings
from core.analyzers import discover
from core.errors import Code, CrpbotError, invalid
from core.keeper import Tally
from core.market import COLUMNS, Candles, Windows, cut_windows, interval_seconds, milliseconds
from core.risk.account import Moment
from core.signal import Mode, Signal
from core.signals.requests import GenerateSignalsRequest, GenerateSignalsResponse
from core.trade import Direction

BATCH_ROWS: Final = 1_024
LONGEST_DAYS: Final = 366
AFTER_CLOSE: Final = timedelta(seconds=3)  # a scheduler asks so long after the close
# A signal waits 15 minutes and a trade lives 4 hours: then everything has ended.
OUTLIVES: Final = timedelta(hours=5)
WEEK: Final = timedelta(days=7)
# Nobody waits for an answer here: the first one of a batch takes as long as the batch.
PATIENCE_SECONDS: Final = 3_600.0
NOTHING_LEFT: Final = Tally(moved=0, waiting=0, failed=0)

ComputeRows = Callable[[Windows], Awaitable[list[Findings]]]
"""What all theories find on each row."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is walked: one symbol from an instant on, for so many days."""

    symbol: str
    interval: str
    start: datetime
    days: int
    mode: Mode

    def __post_init__(self) -> None:
        if not 1 <= self.days <= LONGEST_DAYS:
            raise invalid("days", f"{self.days} is not between 1 and {LONGEST_DAYS}")
        if milliseconds(self.start) % (1_000 * interval_seconds(self.interval)):
            raise invalid("start", f"{self.start.isoformat()} is no end of a candle of {self.interval}")

    @property
    def step(self) -> timedelta:
        """From one slot to the next."""
        return timedelta(seconds=interval_seconds(self.interval))

    @property
    def slots(self) -> int:
        """How many decisions are made."""
        return timedelta(days=self.days) // self.step

    @property
    def last(self) -> datetime:
        """The last slot."""
        return self.start + (self.slots - 1) * self.step


@dataclass(slots=True)
class TurnedClock:
    """It is `at` until somebody turns it."""

    at: datetime

    def __call__(self) -> Moment:
        return Moment(self.at, milliseconds(self.at))


class Generates(Protocol):
    """Whoever decides on a slot."""

    async def generate(self, request: GenerateSignalsRequest, *, timeout_seconds: float) -> GenerateSignalsResponse:
        """One decision for each symbol."""
        ...


class Follows(Protocol):
    """Whoever brings trades up to now."""

    async def follow_trades(self) -> Tally:
        """Every trade, up to the newest closed candle."""
        ...


class BatchedAnalysts:
    """The analysts of one course: what they are asked about has been computed with the next thousand windows.

    While one batch is decided on, the next is computed.
    """

    def __init__(self, candles: Candles, length: int, *, origin: str, compute: ComputeRows) -> None:
        self._candles = candles
        self._length = length
        self._origin = origin
        self._compute = compute
        self._rows = len(candles) - length + 1
        self._batches: dict[int, asyncio.Task[tuple[Windows, list[Findings]]]] = {}

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        """The readings of each row; the time is not looked at."""
        if tuple(theories) != tuple(discover()):
            raise _foreign(f"theories {', '.join(theories)}")
        return [[await self._find(batch, row) for row in range(len(batch))] for batch in batches]

    async def _find(self, batch: Windows, row: int) -> Findings:
        ends = int(batch.open_times[row, -1])
        place = int(np.searchsorted(self._candles.open_times, ends)) - self._length + 1
        if not 0 <= place < self._rows:
            raise _foreign(f"{batch.symbols[row]} as of {batch.as_of[row]} ms")
        number, offset = divmod(place, BATCH_ROWS)
        windows, findings = await self._load(number)
        asked, known = batch.row(row), windows.row(offset)
        same = (asked.symbols, asked.interval, asked.origins) == (known.symbols, known.interval, known.origins)
        if not (
            same and np.array_equal(asked.open_times, known.open_times) and np.array_equal(asked.block, known.block)
        ):
            raise _foreign(f"{batch.symbols[row]} as of {batch.as_of[row]} ms")
        return findings[offset]

    async def _load(self, number: int) -> tuple[Windows, list[Findings]]:
        for wanted in (number, number + 1):
            if wanted not in self._batches and wanted * BATCH_ROWS < self._rows:
                self._batches[wanted] = asyncio.create_task(self._read(wanted))
        for known in [each for each in self._batches if each < number]:
            del self._batches[known]
        return await self._batches[number]

    async def _read(self, number: int) -> tuple[Windows, list[Findings]]:
        first = number * BATCH_ROWS
        part = slice(first, min(first + BATCH_ROWS, self._rows) + self._length - 1)
        columns = {name: getattr(self._candles, name)[part] for name in ("open_times", *COLUMNS)}
        windows = cut_windows(replace(self._candles, **columns), self._length, origin=self._origin)
        return windows, await self._compute(windows)


async def walk(
    course: Course,
    *,
    clock: TurnedClock,
    desk: Generates,
    keeper: Follows,
    hear: Callable[[int, Signal], None],
    week_ended: Callable[[datetime], Awaitable[None]],
) -> Tally:
    """Every slot in turn: trades are followed, then it is decided; weeks are told; at the end all trades end.

    What a keeper would have seen between two slots it sees at the next: candles decide, not when they are told. Trades
    are born by the signals of this walk alone, so where none is unfinished the keeper is not asked.
    """
    followed = True
    for place in range(course.slots):
        slot = course.start + place * course.step
        if place and not (slot - course.start) % WEEK:
            await week_ended(slot)
        clock.at = slot + AFTER_CLOSE
        if followed:
            followed = await keeper.follow_trades() != NOTHING_LEFT
        request = GenerateSignalsRequest(course.symbol, slot=slot, mode=course.mode, interval=course.interval)
        response = await desk.generate(request, timeout_seconds=PATIENCE_SECONDS)
        hear(place + 1, response.signals[0])
        followed = followed or response.signals[0].direction is not Direction.HOLD
    clock.at = course.last + OUTLIVES
    left = await keeper.follow_trades()
    await week_ended(course.last + course.step)
    return left


def _foreign(what: str) -> CrpbotError:
    return CrpbotError(
        Code.INTERNAL,
        f"{what}: not what was computed for this course; the market gave other candles than before",
        reason="NOT_OF_THIS_COURSE",
    )
