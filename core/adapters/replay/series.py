"""What the recorded files of one series give for a span: candles that passed the gate, or words on what is missing.

Several files of a series are read as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from core.adapters.grid import merge_candles
from core.adapters.history.file import Damage, Memo, read_memo
from core.adapters.history.recording import Recording, Rows, join_rows, read_rows, read_spans
from core.adapters.synthetic.market import is_invented
from core.errors import Code, CrpbotError
from core.gate import MAX_FILLED, Admission, RawCandles, admit, revised, utc
from core.market import COLUMNS, Candles, Instants
from core.ports import Told
from core.signal import Degradation


def is_any_invented(recordings: Sequence[Recording]) -> bool:
    """Whether a generator made the candles of one of the files. A file that no download wrote is taken for real."""
    memos = (_read_memo(recording) for recording in recordings)
    return any(memo is not None and is_invented(memo.source) for memo in memos)


def read_series(series: Sequence[Recording], expected: range) -> Rows:
    """The rows of all files of one symbol and interval, and so many before that a hole at the beginning is filled."""
    begin = expected.start - MAX_FILLED * expected.step
    return join_rows([read_rows(recording, begin, expected.stop) for recording in series])


def pass_gate(series: Sequence[Recording], rows: Rows, interval: str, wanted: range) -> Told:
    """Rows as candles of the interval asked for, whether a generator made some, and what speaks against them."""
    size = wanted.step // series[0].step_ms
    count = len(wanted) * size
    admitted = admit_rows(series, rows, wanted, least=count).candles
    block = np.array([getattr(admitted, column)[-count:] for column in COLUMNS])
    times = np.array(wanted, dtype=np.int64)
    candles = Candles(admitted.symbol, interval, times, *merge_candles(block, size))
    return Told(candles, is_any_invented(series), _find_doubts(series, wanted))


def admit_rows(
    series: Sequence[Recording], rows: Rows, wanted: range, *, least: int, harmless: frozenset[str] = frozenset()
) -> Admission:
    """Rows through the gate. What it has against them is the files' fault, and said so."""
    try:
        admission = admit(
            RawCandles(rows.open_times, *rows.block),
            symbol=series[0].symbol,
            interval=series[0].interval,
            now_ms=wanted.stop,
            least=least,
        )
    except CrpbotError as flaw:
        raise _flawed(series, wanted, flaw.detail) from flaw
    flaws = [
        f"{defect.kind.replace('_', ' ')}: {defect.example}"
        for defect in admission.defects
        if defect.degrading and defect.kind not in harmless
    ]
    if flaws:
        raise _flawed(series, wanted, ", ".join(flaws))
    return admission


def _find_doubts(series: Sequence[Recording], wanted: range) -> tuple[Degradation, ...]:
    """Candles that their source told otherwise after they were stored. Recording them again puts nothing right."""
    found = [
        revision
        for recording in series
        if (memo := _read_memo(recording)) is not None
        for revision in memo.revisions
        if wanted.start <= revision.open_time < wanted.stop
    ]
    words = f"replay: {series[0].symbol} {series[0].interval}"
    return (Degradation("REVISED", f"{words}: {revised(found).example}"),) if found else ()


@lru_cache(maxsize=512)
def _read_memo(recording: Recording) -> Memo | None:
    """What the file's download knows; None where no download wrote it, or where it is damaged: its reader is told."""
    try:
        return read_memo(recording.path)
    except Damage:
        return None


def _flawed(series: Sequence[Recording], wanted: range, detail: str) -> CrpbotError:
    names = ", ".join(recording.path.name for recording in series)
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"replay: {series[0].symbol} {series[0].interval} from {utc(wanted.start)} to {utc(wanted.stop)} is flawed: "
        f"{detail}; record {names} again",
        reason="BROKEN_RECORDING",
    )


def find_shortfall(series: Sequence[Recording], rows: Rows, expected: range) -> str | None:
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


def is_fillable(rows: Rows, expected: range) -> bool:
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
