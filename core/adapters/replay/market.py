"""Yesterday's market as if it were live: recorded candles, shown up to a clock of their own and never beyond it.

They pass the same gate as live ones. What would degrade a live symbol is refused, because a recording can be put right.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from core.adapters.grid import closed_candles
from core.adapters.history.recording import Recording, join_rows, list_recordings, read_rows, read_spans
from core.adapters.replay.series import (
    admit_rows,
    find_shortfall,
    is_any_invented,
    is_fillable,
    pass_gate,
    read_series,
)
from core.adapters.synthetic.spread import quote_around
from core.errors import Code, CrpbotError, join_errors
from core.gate import MAX_AGE_CANDLES, utc
from core.gate.rules import RECENT_CANDLES
from core.market import INTERVAL_SECONDS, Candles, parse_symbol
from core.ports import Told
from core.risk.account import Quote
from core.risk.size import FINEST, Step

Answer = TypeVar("Answer")

OLD_HOLES = frozenset({"gap"})  # before the newest candles; they say nothing against the price
REMEDY = "record the missing candles, move the replay's clock, or ask for fewer"


class ReplayMarket:
    """Recorded candles of one folder, never joined across symbols. What is missing is said.

    The clock stands at the end of the recorded candles until `move_to` moves it; it does not run by itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock_ms: int | None = None

    @property
    def name(self) -> str:
        return "replay"

    @property
    def identity(self) -> str:
        """The folder's name: what was fitted on one set of recordings is not used on another."""
        return f"replay-{re.sub('[^A-Za-z0-9]+', '-', self._folder.resolve().name)}"

    @property
    def synthetic(self) -> bool:
        """True when some of the files were fetched from a generator."""
        return is_any_invented(list_recordings(self._folder))

    def move_to(self, instant_ms: int) -> None:
        """Let the replay's now be this instant, in milliseconds since 1970 UTC; backwards is allowed."""
        self._clock_ms = instant_ms

    def now_ms(self) -> int:
        """The replay's now: where it was moved to, else the close of the newest candle recorded in the folder."""
        return self._now_ms(list_recordings(self._folder)) if self._clock_ms is None else self._clock_ms

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        """The newest `count` candles of each symbol that had closed at the replay's now, and at `now_ms` too.

        All `count` must be recorded up to that instant, at this interval or at a shorter one that divides it.
        """
        found = await self.latest_each(symbols, interval, count, now_ms=now_ms)
        errors = [each for each in found if isinstance(each, CrpbotError)]
        if errors:
            raise join_errors(errors, len(found))
        return [each.candles for each in found if isinstance(each, Told)]

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Told | CrpbotError]:
        """The same symbol by symbol: what is not recorded of one costs the others nothing."""
        names = [parse_symbol(symbol) for symbol in symbols]

        def read() -> list[Told | CrpbotError]:
            recordings = list_recordings(self._folder)
            starts = closed_candles(interval, count, min(self._now_ms(recordings), now_ms))
            return [_try(partial(self._cut, recordings, name, interval, starts)) for name in names]

        return await asyncio.to_thread(read)

    async def quotes(self, symbols: Sequence[str], *, now_ms: int) -> list[Quote | CrpbotError]:
        """Offers around the newest close at the replay's now, told at that candle's end."""
        names = [parse_symbol(symbol) for symbol in symbols]

        def read() -> list[Quote | CrpbotError]:
            recordings = list_recordings(self._folder)
            at_ms = min(self._now_ms(recordings), now_ms)
            return [_try(partial(self._quote, recordings, name, at_ms)) for name in names]

        return await asyncio.to_thread(read)

    def step(self, symbol: str) -> Step:
        """The finest: recordings name no increments."""
        parse_symbol(symbol)
        return FINEST

    async def problem(self) -> str | None:
        """What keeps the folder from being played at all."""
        try:
            await asyncio.to_thread(self.now_ms)
        except CrpbotError as error:
            return error.detail
        return None

    def _now_ms(self, recordings: Sequence[Recording]) -> int:
        if self._clock_ms is not None:
            return self._clock_ms
        ends = [span.last + recording.step_ms for recording in recordings for span in read_spans(recording)]
        if not ends:
            raise CrpbotError(
                Code.FAILED_PRECONDITION,
                f"replay: no recorded candles in {self._folder}; files are named SYMBOL_interval_start_end.parquet",
                reason="NO_RECORDINGS",
            )
        return max(ends)

    def _quote(self, recordings: Sequence[Recording], symbol: str, now_ms: int) -> Quote:
        """From the shortest interval of which a candle closed no longer ago than the gate allows."""
        own = sorted((each for each in recordings if each.symbol == symbol), key=lambda each: each.step_ms)
        if not own:
            raise self._unrecorded(own, symbol, "any interval")
        shortfalls = []
        for step, group in groupby(own, key=lambda each: each.step_ms):
            series = list(group)
            end = now_ms // step * step
            rows = join_rows([read_rows(each, end - RECENT_CANDLES * step, end) for each in series])
            if len(rows.open_times) and end - int(rows.open_times.max()) <= (MAX_AGE_CANDLES + 1) * step:
                span = range(int(rows.open_times.min()), end, step)
                candles = admit_rows(series, rows, span, least=1, harmless=OLD_HOLES).candles
                return quote_around(symbol, float(candles.close[-1]), at_ms=candles.as_of)
            shortfalls.append(f"none of {series[0].interval} in the last {MAX_AGE_CANDLES}")
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"replay: {symbol}: no candle makes a quote at {utc(now_ms)}: {'; '.join(shortfalls)}; {REMEDY}",
            reason="CANDLES_NOT_RECORDED",
        )

    def _cut(self, recordings: Sequence[Recording], symbol: str, interval: str, wanted: range) -> Told:
        """The candles that start at the wanted instants, from the longest recorded interval that has them all, or else
        from the longest whose holes are as short as an exchange leaves them where nobody trades."""
        own = [recording for recording in recordings if recording.symbol == symbol]
        steps = sorted({recording.step_ms for recording in own if wanted.step % recording.step_ms == 0}, reverse=True)
        if not steps:
            raise self._unrecorded(own, symbol, interval)
        shortfalls, fillable = [], None
        for step in steps:
            series = [recording for recording in own if recording.step_ms == step]
            expected = range(wanted.start, wanted.stop, step)
            rows = read_series(series, expected)
            shortfall = find_shortfall(series, rows, expected)
            if shortfall is None:
                return pass_gate(series, rows, interval, wanted)
            if fillable is None and is_fillable(rows, expected):
                fillable = series, rows
            shortfalls.append(shortfall)
        if fillable:
            return pass_gate(*fillable, interval, wanted)
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"replay: {symbol}: {len(wanted)} candles of {interval} from {utc(wanted.start)} to {utc(wanted.stop)} "
            f"asked for; {'; '.join(shortfalls)}; {REMEDY}",
            reason="CANDLES_NOT_RECORDED",
        )

    def _unrecorded(self, own: Sequence[Recording], symbol: str, interval: str) -> CrpbotError:
        known = ", ".join(sorted({recording.interval for recording in own}, key=INTERVAL_SECONDS.__getitem__))
        found = f"recorded are {known}, none of which divides it" if own else "nothing of this symbol is recorded"
        return CrpbotError(
            Code.NOT_FOUND,
            f"replay: {symbol}: no candles of {interval} in {self._folder}: {found}; "
            f"add a file {symbol}_{interval}_start_end.parquet",
            reason="SERIES_NOT_RECORDED",
        )


def _try(read: Callable[[], Answer]) -> Answer | CrpbotError:
    try:
        return read()
    except CrpbotError as error:
        return error
