"""Yesterday's market as if it were live: recorded candles, shown up to a clock of their own and never beyond it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from core.adapters.aggregation import merge_candles
from core.adapters.recording import EPOCH, Recording, Rows, join_rows, list_recordings, read_rows, read_spans
from core.errors import Code, CrpbotError, invalid
from core.market import INTERVAL_SECONDS, Candles, interval_seconds, parse_symbol

REMEDY = "record the missing candles, move the replay's clock, or ask for fewer"


class ReplayMarket:
    """Recorded candles of one folder. Nothing is filled, joined across symbols or repaired: what is missing is said.

    The clock stands at the end of the recorded candles until `move_to` moves it; it does not run by itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock_ms: int | None = None

    @property
    def name(self) -> str:
        return "replay"

    @property
    def synthetic(self) -> bool:
        return False

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
        if count < 1:
            raise invalid("count", f"{count} candles asked for; at least 1 is needed")
        interval_seconds(interval)
        names = [parse_symbol(symbol) for symbol in symbols]
        return await asyncio.to_thread(self._read, names, interval, count, now_ms)

    def _read(self, symbols: Sequence[str], interval: str, count: int, now_ms: int) -> list[Candles]:
        recordings = list_recordings(self._folder)
        step = 1_000 * INTERVAL_SECONDS[interval]
        end = min(self._now_ms(recordings), now_ms) // step * step
        return [self._cut(recordings, symbol, interval, range(end - count * step, end, step)) for symbol in symbols]

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

    def _cut(self, recordings: Sequence[Recording], symbol: str, interval: str, wanted: range) -> Candles:
        """The candles that start at the wanted instants, from the longest recorded interval that has them all."""
        own = [recording for recording in recordings if recording.symbol == symbol]
        steps = sorted({recording.step_ms for recording in own if wanted.step % recording.step_ms == 0}, reverse=True)
        if not steps:
            raise self._unrecorded(own, symbol, interval)
        shortfalls = []
        for step in steps:
            series = [recording for recording in own if recording.step_ms == step]
            rows = _read_series(series, wanted.start, wanted.stop)
            expected = np.arange(wanted.start, wanted.stop, step)
            if np.array_equal(rows.open_times, expected):
                return _merge(series, rows, interval, wanted)
            shortfalls.append(_shortfall(series, rows, expected))
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"replay: {symbol}: {len(wanted)} candles of {interval} from {_utc(wanted.start)} to {_utc(wanted.stop)} "
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


def _read_series(series: Sequence[Recording], begin: int, end: int) -> Rows:
    """The rows of all files of one symbol and interval; two files that tell the same candle are refused."""
    parts = [(recording, read_rows(recording, begin, end)) for recording in series]
    parts = sorted((part for part in parts if len(part[1].open_times)), key=lambda part: int(part[1].open_times[0]))
    for (earlier, before), (later, after) in zip(parts, parts[1:], strict=False):
        if after.open_times[0] <= before.open_times[-1]:
            raise CrpbotError(
                Code.FAILED_PRECONDITION,
                f"replay: {earlier.symbol} {earlier.interval}: {earlier.path.name} and {later.path.name} both tell "
                f"{_utc(int(after.open_times[0]))}; keep one of the two in the folder",
                reason="OVERLAPPING_RECORDINGS",
            )
    return join_rows([rows for _, rows in parts])


def _merge(series: Sequence[Recording], rows: Rows, interval: str, wanted: range) -> Candles:
    """Complete rows as candles of the interval asked for. A price that cannot be is the file's fault, and said so."""
    source = series[0]
    try:
        recorded = Candles(source.symbol, source.interval, rows.open_times, *rows.block)
        if recorded.interval == interval:
            return recorded
        block = merge_candles(rows.block, wanted.step // source.step_ms)
        return Candles(source.symbol, interval, np.array(wanted, dtype=np.int64), *block)
    except CrpbotError as flaw:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"replay: {source.symbol} {source.interval} from {_utc(wanted.start)} to {_utc(wanted.stop)} is flawed: "
            f"{flaw.detail}; record {', '.join(recording.path.name for recording in series)} again",
            reason="BROKEN_RECORDING",
        ) from flaw


def _shortfall(series: Sequence[Recording], rows: Rows, expected: np.ndarray) -> str:
    """What a series lacks of the expected rows, in words."""
    spans = [span for recording in series for span in read_spans(recording)]
    if not spans:
        return f"its {series[0].interval} files are empty"
    recorded = f"{_utc(min(span.first for span in spans))} to {_utc(max(span.last for span in spans))}"
    stray = np.setdiff1d(rows.open_times, expected)
    if len(stray):
        return f"{series[0].interval}: {len(stray)} rows are off the interval's grid, the first at {_utc(stray[0])}"
    missing = np.setdiff1d(expected, rows.open_times)
    return (
        f"{series[0].interval}: {len(rows.open_times)} of {len(expected)} found, {len(missing)} missing, "
        f"the first at {_utc(missing[0])} (recorded are {recorded})"
    )


def _utc(instant_ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=int(instant_ms))).strftime("%Y-%m-%d %H:%M:%S UTC")
