"""What a source's answer is worth: which rows are candles of the piece asked for, and what to ask for once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from core.adapters.history.plan import Job
from core.adapters.history.recording import Rows
from core.adapters.stretches import Stretch, find_holes, join_stretches, subtract_stretches
from core.errors import Code, CrpbotError
from core.gate import MAX_FILLED, Defect, RawCandles, sift, utc
from core.market import COLUMNS, Instants

# Rows that are no candles of the series. A better answer may come for those with impossible numbers, and for candles
# that were told in two ways: they will be asked for again. So will every hole of an answer with impossible times,
# because one of those may be its candle's.
IMPOSSIBLE: Final = frozenset({"not_finite", "not_positive", "high_below_low", "outside_range"})
STRANGE: Final = frozenset({"off_grid", "future"})
NO_CANDLE: Final = IMPOSSIBLE | STRANGE | {"open_candle", "before_listing"}
DOUBTFUL: Final = IMPOSSIBLE | {"conflict"}

NO_ROWS: Final = RawCandles(np.empty(0, dtype=np.int64), *(np.empty(0) for _ in COLUMNS))


class Answer(NamedTuple):
    """What the source said about a piece: candles, and for which ones it need not be asked again."""

    rows: Rows
    covered: tuple[Stretch, ...]
    doubts: tuple[Stretch, ...]  # what should be asked for once more: long holes, and rows that look wrong


def judge(job: Job, piece: Stretch, pages: Sequence[RawCandles], now_ms: int) -> Answer:
    """The rows that are candles of the piece, sorted, each once; one that was told in two ways is none yet."""
    symbol, interval, *_ = job.series
    step = job.step_ms
    raw = RawCandles(*(np.concatenate(columns) for columns in zip(NO_ROWS, *pages, strict=True)))
    times = raw.open_times
    strays = np.flatnonzero((times < piece.begin - step) | ((times > piece.end) & (times <= now_ms)))
    if len(strays):
        raise CrpbotError(
            Code.UNAVAILABLE,
            f"{job.source}: {job.name} from {utc(piece.begin)} to {utc(piece.end)}: was answered with another span "
            f"(a candle of {utc(int(times[strays[0]]))}); check that the base URL is the exchange's",
            reason="ANOTHER_SPAN",
        )
    defects = sift(raw, symbol=symbol, interval=interval, now_ms=now_ms).defects
    wrong = _times_of(defects, NO_CANDLE | DOUBTFUL)
    good = np.flatnonzero((times >= piece.begin) & (times < piece.end) & ~np.isin(times, wrong))
    starts, firsts = np.unique(times[good], return_index=True)
    block = np.array([column[good[firsts]] for column in raw[1:]], dtype=np.float64)
    holes = find_holes(starts, [piece], step)
    strange = len(_times_of(defects, STRANGE)) > 0
    doubts = [Stretch(*hole) for hole in holes[holes[:, 1] - holes[:, 0] > MAX_FILLED * step * (not strange)].tolist()]
    doubts += [Stretch(at, at + step) for at in _times_of(defects, DOUBTFUL | {"spike"}).tolist()]
    untold = [Stretch(at, at + step) for at in _times_of(defects, DOUBTFUL).tolist()]
    untold += [Stretch(*hole) for hole in holes.tolist() if strange]
    inside = (Stretch(max(doubt.begin, piece.begin), min(doubt.end, piece.end)) for doubt in doubts)
    return Answer(Rows(starts, block), subtract_stretches([piece], untold), join_stretches(inside))


def firm(answer: Answer) -> RawCandles:
    """The candles that stand, whatever comes; for the others the second answer is taken."""
    times, block = answer.rows
    stands = np.ones(len(times), dtype=bool)
    for doubt in answer.doubts:
        stands &= (times < doubt.begin) | (times >= doubt.end)
    return RawCandles(times[stands], *block[:, stands])


def _times_of(defects: Sequence[Defect], kinds: frozenset[str]) -> Instants:
    return np.concatenate([NO_ROWS.open_times, *(defect.times for defect in defects if defect.kind in kinds)])
