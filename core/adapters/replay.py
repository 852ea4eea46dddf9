"""Yesterday's market as if it were live: recorded candles, shown up to a clock of their own and never beyond it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.adapters.grid import closed_candles, merge_candles
from core.adapters.recording import Recording, Rows, join_rows, list_recordings, read_rows, read_spans
from core.errors import Code, CrpbotError
from core.market import INTERVAL_SECONDS, Candles, parse_symbol

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
        names = [parse_symbol(symbol) for symbol in symbols]
        return await asyncio.to_thread(self._read, names, interval, count, now_ms)

    def _read(self, symbols: Sequence[str], interval: str, count: int, now_ms: int) -> list[Candles]:
        recordings = list_recordings(self._folder)
        starts = closed_candles(interval, count, min(self._now_ms(recordings), now_ms))
        return [self._cut(recordings, symbol, interval, starts) for symbol in symbols]

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
            shortfall = _find_shortfall(series, rows, range(wanted.start, wanted.stop, step))
            if shortfall is None:
                return _merge(series, rows, interval, wanted)
            shortfalls.append(shortfall)
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
    """The rows of all files of one symbol and interval, sorted; a candle that stands in two files is refused."""
    rows = join_rows([read_rows(recording, begin, end) for recording in series])
    order = np.argsort(rows.open_times, kind="stable")
    times = rows.open_times[order]
    double = np.flatnonzero(np.diff(times) == 0)
    if len(double):
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"replay: {series[0].symbol} {series[0].interval}: {len(double)} candles stand in two files, the first at "
            f"{_utc(times[double[0]])}; keep one file for each span of {_file_names(series)}",
            reason="OVERLAPPING_RECORDINGS",
        )
    return Rows(times, rows.block[:, order])


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
            f"{flaw.detail}; record {_file_names(series)} again",
            reason="BROKEN_RECORDING",
        ) from flaw


def _find_shortfall(series: Sequence[Recording], rows: Rows, expected: range) -> str | None:
    """What the rows lack of the expected starts, in words; None when they are all there. `expected` stays a range:
    what a day's candle needs of minutes may be more than memory holds."""
    interval = series[0].interval
    times = rows.open_times
    stray = times[(times - expected.start) % expected.step != 0]
    if len(stray):
        return f"{interval}: {len(stray)} rows are off the interval's grid, the first at {_utc(stray[0])}"
    missing = len(expected) - len(times)
    if missing == 0:
        return None
    places = np.append((times - expected.start) // expected.step, len(expected))
    first = expected[int(np.flatnonzero(places != np.arange(len(places)))[0])]
    spans = [span for recording in series for span in read_spans(recording)]
    recorded = (
        f"{_utc(min(span.first for span in spans))} to {_utc(max(span.last for span in spans))}"
        if spans
        else "none at all"
    )
    return (
        f"{interval}: {len(times)} of {len(expected)} found, {missing} missing, "
        f"the first at {_utc(first)} (recorded: {recorded})"
    )


def _file_names(series: Sequence[Recording]) -> str:
    return ", ".join(recording.path.name for recording in series)


def _utc(instant_ms: int) -> str:
    return f"{np.datetime_as_string(np.datetime64(int(instant_ms), 'ms'), unit='s')}Z"
