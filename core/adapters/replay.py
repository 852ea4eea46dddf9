"""Yesterday's market as if it were live: recorded candles, shown up to a clock of their own and never beyond it.

They pass the same gate as live ones. What would degrade a live symbol is refused, because a recording can be put right.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.adapters.grid import closed_candles, merge_candles
from core.adapters.recording import Recording, Rows, join_rows, list_recordings, read_rows, read_spans
from core.errors import Code, CrpbotError
from core.gate import MAX_FILLED, RawCandles, admit, utc
from core.market import COLUMNS, INTERVAL_SECONDS, Candles, Instants, parse_symbol

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
            rows = _read_series(series, expected)
            shortfall = _find_shortfall(series, rows, expected)
            if shortfall is None:
                return _pass_gate(series, rows, interval, wanted)
            if fillable is None and _is_fillable(rows, expected):
                fillable = series, rows
            shortfalls.append(shortfall)
        if fillable:
            return _pass_gate(*fillable, interval, wanted)
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


def _read_series(series: Sequence[Recording], expected: range) -> Rows:
    """The rows of all files of one symbol and interval, and so many before that a hole at the beginning is filled."""
    begin = expected.start - MAX_FILLED * expected.step
    return join_rows([read_rows(recording, begin, expected.stop) for recording in series])


def _pass_gate(series: Sequence[Recording], rows: Rows, interval: str, wanted: range) -> Candles:
    """Rows as candles of the interval asked for. What the gate has against them is the files' fault, and said so."""
    source = series[0]
    size = wanted.step // source.step_ms
    count = len(wanted) * size
    try:
        admission = admit(
            RawCandles(rows.open_times, *rows.block),
            symbol=source.symbol,
            interval=source.interval,
            now_ms=wanted.stop,
            least=count,
        )
    except CrpbotError as flaw:
        raise _flawed(series, wanted, flaw.detail) from flaw
    flaws = [f"{defect.kind.replace('_', ' ')}: {defect.example}" for defect in admission.defects if defect.degrading]
    if flaws:
        raise _flawed(series, wanted, ", ".join(flaws))
    candles = admission.candles
    block = np.array([getattr(candles, column)[-count:] for column in COLUMNS])
    return Candles(source.symbol, interval, np.array(wanted, dtype=np.int64), *merge_candles(block, size))


def _flawed(series: Sequence[Recording], wanted: range, detail: str) -> CrpbotError:
    names = ", ".join(recording.path.name for recording in series)
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"replay: {series[0].symbol} {series[0].interval} from {utc(wanted.start)} to {utc(wanted.stop)} is flawed: "
        f"{detail}; record {names} again",
        reason="BROKEN_RECORDING",
    )


def _find_shortfall(series: Sequence[Recording], rows: Rows, expected: range) -> str | None:
    """What the rows lack of the expected starts, in words; None when they are all there. `expected` stays a range:
    what a day's candle needs of minutes may be more than memory holds."""
    interval = series[0].interval
    times = _on_grid(rows, expected)
    times = times[times >= expected.start]
    missing = len(expected) - len(times)
    if missing == 0:
        return None
    places = np.append((times - expected.start) // expected.step, len(expected))
    first = expected[int(np.flatnonzero(places != np.arange(len(places)))[0])]
    spans = [span for recording in series for span in read_spans(recording)]
    recorded = (
        f"{utc(min(span.first for span in spans))} to {utc(max(span.last for span in spans))}"
        if spans
        else "none at all"
    )
    return (
        f"{interval}: {len(times)} of {len(expected)} found, {missing} missing, "
        f"the first at {utc(first)} (recorded: {recorded})"
    )


def _is_fillable(rows: Rows, expected: range) -> bool:
    """The newest candle is there, and no hole is longer than the gate fills."""
    times = _on_grid(rows, expected)
    return bool(
        len(times)
        and times[0] <= expected.start
        and times[-1] == expected[-1]
        and np.diff(times).max(initial=0) <= (MAX_FILLED + 1) * expected.step
    )


def _on_grid(rows: Rows, expected: range) -> Instants:
    times = rows.open_times
    return np.unique(times[(times - expected.start) % expected.step == 0])
