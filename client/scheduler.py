"""Asks for signals of all symbols whenever a candle closes: once a slot, never two at once, never for a past slot.

The wall clock says which slot it is; how long to wait, and whether a slot is over, is measured by a steady clock, so
that a wall clock that jumps makes no burst. What the scheduler sends is named by its slot: a repetition of the call, or
a second scheduler anywhere, gets the decision that the slot already has.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from client.clock import Clock
from client.grid import Grid, write_slot
from client.happenings import Failed, Happening, Json, Overlapped, Retrying, Scanned, Tally, Tick, Waiting
from client.lock import LastScan
from client.sdk import SIGNAL_SECONDS, ApiError, ForeignServerError

LEAST_SECONDS: Final = 1.0  # with less than this left of its slot a call is not begun
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 1.0  # so often the progress is told while waiting
REMEMBERED_SLOTS: Final = 1_000  # more than an hour of the shortest interval: the farthest a clock is put back
TRANSIENT: Final = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for, and how often. `iterations` -1 is without end."""

    symbols: tuple[str, ...]
    grid: Grid
    mode: str | None = None
    account: str | None = None
    interval: str | None = None
    iterations: int = -1

    def words(self, slot: int) -> Json:
        """The call for a slot. Its symbols are sorted: two lists of the same symbols are the same call."""
        optional = {"mode": self.mode, "account": self.account, "interval": self.interval}
        given = {name: value for name, value in optional.items() if value is not None}
        return {"symbols": sorted(self.symbols), "slot": write_slot(slot), **given}

    def key(self, slot: int) -> str:
        """The idempotency key: whoever asks for the same slot in the same words asks once."""
        words = json.dumps(self.words(slot), sort_keys=True, separators=(",", ":"))
        return f"schedule/{write_slot(slot)}/{hashlib.sha256(words.encode()).hexdigest()[:32]}"


class Server(Protocol):
    """Whoever decides."""

    def signal(
        self,
        *symbols: str,
        slot: str | None,
        mode: str | None,
        account: str | None,
        interval: str | None,
        key: str | None,
        timeout_seconds: float,
    ) -> Json:
        """The signals of these symbols, or an ApiError."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a scheduler needs from outside: time, chance (in [0, 1)), and who is told what happens."""

    clock: Clock
    chance: Callable[[], float]
    tell: Callable[[Happening], None]
    note: Callable[[LastScan], None]


class Scheduler:
    """One loop in one thread: that is why two scans are never under way at once."""

    def __init__(self, plan: Plan, server: Server, around: Surroundings, *, before: LastScan | None = None) -> None:
        self.tally = Tally()
        self._plan = plan
        self._server = server
        self._clock = around.clock
        self._around = around
        self._before = before
        self._last: Tick | None = None
        self._seen: deque[int] = deque(maxlen=REMEMBERED_SLOTS)

    def run(self) -> None:
        """Scans at once, then slot by slot. Raises ApiError where the first call shows that none can succeed."""
        while self.tally.scans != self._plan.iterations:
            tick = self._await_slot()
            self._seen.append(tick.slot)
            self._last = tick
            self.tally.scans += 1
            self.tally.missed += tick.missed
            self._around.note(LastScan(tick.slot, self._plan.grid.interval_seconds))
            self._scan(tick)
            self._leave_out_overlapped(tick)

    def _await_slot(self) -> Tick:
        """Waits until a slot is due that was not begun yet and leaves time for a call."""
        grid = self._plan.grid
        while True:
            wall, steady = self._clock.wall(), self._clock.steady()
            slot = grid.slot(wall)
            ended = slot in self._seen or grid.end(slot) - wall < LEAST_SECONDS
            due = grid.due(slot + grid.interval_seconds if ended else slot)
            if wall >= due:
                return Tick(slot, wall, steady, wall - due, self._missed(slot, steady), self._last is None)
            self._wait(due - wall, steady)

    def _wait(self, seconds: float, since: float) -> None:
        """By the steady clock alone."""
        while (left := since + seconds - self._clock.steady()) > 0:
            self._around.tell(Waiting(left, seconds))
            self._clock.sleep(min(left, LOOK_SECONDS))

    def _missed(self, slot: int, steady: float) -> int:
        """Slots that came due since the last scan and were not begun, by the time that really passed."""
        grid, last, before = self._plan.grid, self._last, self._before
        if last is not None:
            return max(0, grid.passed(last.slot, last.wall + steady - last.steady) - 1)
        if before is None or before.interval_seconds != grid.interval_seconds:
            return 0
        return max(0, (slot - before.slot) // grid.interval_seconds - 1)

    def _scan(self, tick: Tick) -> None:
        """The call of a slot, again where that helps, and never once the slot is over."""
        over = tick.steady + self._plan.grid.end(tick.slot) - tick.wall
        attempts, detail = 0, "the slot was over before it could be asked for"
        while over - self._clock.steady() >= LEAST_SECONDS:
            attempts += 1
            try:
                answer = self._ask(tick.slot, over - self._clock.steady())
            except ApiError as error:
                detail = str(error)
                if not may_pass(error):
                    if tick.is_first:
                        raise
                    break
                seconds = pause(error, attempts, self._around.chance())
                if self._clock.steady() + seconds > over - LEAST_SECONDS:
                    break
                self.tally.retries += 1
                self._around.tell(Retrying(tick.slot, detail, seconds))
                self._clock.sleep(seconds)
                continue
            seconds = self._clock.steady() - tick.steady
            scanned = Scanned(tick, self._in_order(answer["signals"]), tuple(answer["refused"]), attempts, seconds)
            self._around.tell(scanned)
            return
        self.tally.failed += 1
        self._around.tell(Failed(tick, detail, attempts))

    def _ask(self, slot: int, seconds_left: float) -> Json:
        words = self._plan.words(slot)
        return self._server.signal(
            *words["symbols"],
            slot=words["slot"],
            mode=self._plan.mode,
            account=self._plan.account,
            interval=self._plan.interval,
            key=self._plan.key(slot),
            timeout_seconds=min(SIGNAL_SECONDS, seconds_left),
        )

    def _in_order(self, signals: list[Json]) -> tuple[Json, ...]:
        """As the plan lists the symbols."""
        places = {symbol: place for place, symbol in enumerate(self._plan.symbols)}
        return tuple(sorted(signals, key=lambda signal: places.get(signal["symbol"], len(places))))

    def _leave_out_overlapped(self, tick: Tick) -> None:
        """A scan that took longer than its interval costs the slots it covered; the next one is waited for."""
        grid = self._plan.grid
        count = grid.passed(tick.slot, tick.wall + self._clock.steady() - tick.steady)
        if count:
            self.tally.overlapped += count
            self._last = replace(tick, slot=tick.slot + count * grid.interval_seconds)
            self._seen.append(grid.slot(self._clock.wall() - grid.delay_seconds))
            self._around.tell(Overlapped(count))


def may_pass(error: ApiError) -> bool:
    """Whether the same call may succeed a little later: nobody answered, or the server asks for patience."""
    if error.status is None:
        return not isinstance(error, ForeignServerError)
    return error.status in TRANSIENT or (error.status == 409 and error.retry_after_seconds is not None)


def pause(error: ApiError, attempt: int, chance: float) -> float:
    """Seconds before the next try: what the server asks for, or twice as long each time, and a little by chance."""
    own = min(FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
    return max(own, error.retry_after_seconds or 0.0) + own * chance / 2.0
