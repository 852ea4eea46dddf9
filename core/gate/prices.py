"""Numbers that are possible one by one and wrong together: spikes, jumps, prices that stand, volume in another unit.

Bounds are set where 40 recordings of ten coins on two exchanges, 1.9 million candles with all their crashes, stay well
inside; each says how far they reached.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.market import Floats, Instants

# A wick that neither its own candle's body nor the level confirms, in logarithms and in robust deviations of the moves
# from close to close, whichever is more. Real ones: 0.31 a day (14 deviations), 0.19 an hour (27), 0.06 a minute (64);
# and one of 9.9, a day's low of 6 cents.
WICK, WICK_DEVIATIONS = 0.35, 40.0
# From one close to the next open. Real ones: 0.07 a day (3 deviations), 0.02 an hour (3), 0.008 a minute (7).
STEP, STEP_DEVIATIONS = 0.10, 20.0
# From open to close. Real ones: 0.77 a day (36 deviations), 0.41 an hour (61), 0.05 a minute (83).
MOVE, MOVE_DEVIATIONS = 0.69, 40.0
# A level is the median of so many closes: what is out of place for more than three candles is another level.
NEIGHBOURS = 7

# So many candles in a row that stand at one price are a feed that stopped. Thin coins stood for 6 minutes at most.
STILL_CANDLES = 10
# So many rows equal in all numbers, volume included, are one answer given again and again.
REPEATED_ROWS = 3

# Volume in dollars instead of coins is larger by the price. Between a price of 0.03 and 33 the factor cannot be told
# from a market that wakes up; above 400 a few candles tell.
FLIP_LEVEL, FLIP_CLEAR_LEVEL = 3.5, 6.0
FLIP_ROWS, FLIP_CLEAR_ROWS = 20, 5
FLIP_MEMORY = 200  # candles on either side that must keep the new level, as far as there are any
FLIP_TOLERANCE = 1.2, 0.2  # absolute, and of the level: markets become livelier by themselves
FLIP_STRAYS = 0.05  # of the candles next to the break may lie on the wrong side


class Oddities(NamedTuple):
    """Rows whose price nothing confirms, and rows at which the price jumps and stays there."""

    spikes: Instants
    jumps: Instants


class Stretches(NamedTuple):
    """First row and length of each."""

    begins: Instants
    lengths: Instants


def find_oddities(times: Instants, prices: Floats, step_ms: int) -> Oddities:
    """Spikes and lasting jumps in sorted rows. Shape: (N,), (4, N) open, high, low, close -> row numbers."""
    none = np.empty(0, dtype=np.int64)
    if len(times) < 2:
        return Oddities(none, none)
    logs = np.log(prices)
    scale = _robust_deviation(logs[3])
    spans = np.sqrt(np.diff(times) / step_ms)  # over a hole prices move like a random walk
    steps = np.abs(logs[0, 1:] - logs[3, :-1]) > max(STEP, STEP_DEVIATIONS * scale) * spans
    moves = np.abs(logs[3] - logs[0]) > max(MOVE, MOVE_DEVIATIONS * scale)
    reach = max(WICK, WICK_DEVIATIONS * scale)
    wicks = logs[1] - np.maximum(logs[0], logs[3]) > reach
    wicks |= np.minimum(logs[0], logs[3]) - logs[2] > reach
    if not (steps.any() or moves.any() or wicks.any()):
        return Oddities(none, none)
    doubtful = moves | wicks
    doubtful[1:] |= steps
    doubtful[:-1] |= steps
    spikes = _unconfirmed(logs, np.flatnonzero(doubtful), scale)
    return Oddities(spikes, _lasting_jumps(times, logs, step_ms, scale=scale, without=spikes))


def _robust_deviation(log_closes: Floats) -> float:
    """Standard deviation of the moves that were any, by their median: no spike can inflate it."""
    moves = np.abs(np.diff(log_closes))
    moves = moves[moves > 0]
    if len(moves) == 0:
        return 0.0
    middle = len(moves) // 2
    return float(np.partition(moves, middle)[middle]) / 0.6745


def _unconfirmed(logs: Floats, doubtful: Instants, scale: float) -> Instants:
    """Which of the doubtful rows, and of those beside them, have a price far from the level before, there and after."""
    count = logs.shape[1]
    reach = NEIGHBOURS // 2
    rows = np.unique(np.clip(doubtful[:, None] + np.arange(-reach, reach + 1), 0, count - 1))
    levels = np.array([_level(logs[3], rows + shift) for shift in (-1, 0, 1)])
    top, bottom = levels.max(axis=0), levels.min(axis=0)
    opens, high, low, close = logs[:, rows]
    body_top, body_bottom = np.maximum(opens, close), np.minimum(opens, close)
    step = max(STEP, STEP_DEVIATIONS * scale)
    wick = max(WICK, WICK_DEVIATIONS * scale)
    wrong = (body_top - top > step) | (bottom - body_bottom > step)
    wrong |= (high - np.maximum(top, body_top) > wick) | (np.minimum(bottom, body_bottom) - low > wick)
    unconfirmed: Instants = rows[wrong]
    return unconfirmed


def _level(log_closes: Floats, rows: Instants) -> Floats:
    """Median of the closes around each row, of the nearest ones at either end."""
    width = min(NEIGHBOURS, len(log_closes))
    begins = np.clip(rows - width // 2, 0, len(log_closes) - width)
    level: Floats = np.median(log_closes[begins[:, None] + np.arange(width)], axis=1)
    return level


def _lasting_jumps(times: Instants, logs: Floats, step_ms: int, *, scale: float, without: Instants) -> Instants:
    kept = np.delete(np.arange(len(times)), without)
    if len(kept) < 2:
        return kept[:0]
    opens, close = logs[0, kept], logs[3, kept]
    spans = np.sqrt(np.diff(times[kept]) / step_ms)
    jumps = np.abs(close - opens) > max(MOVE, MOVE_DEVIATIONS * scale)
    jumps[1:] |= np.abs(opens[1:] - close[:-1]) > max(STEP, STEP_DEVIATIONS * scale) * spans
    lasting: Instants = kept[jumps]
    return lasting


def find_still(block: Floats) -> Stretches:
    """Where the price stands, or one row comes again and again. The candle that is repeated is none of them."""
    high, low, close = block[1], block[2], block[3]
    same = close[1:] == close[:-1]
    if np.count_nonzero(same) < REPEATED_ROWS:
        return runs(np.zeros(0, dtype=bool), 1)
    still = np.concatenate(([False], same))
    equal = np.concatenate(([False], (block[:, 1:] == block[:, :-1]).all(axis=0))) & (block[4] > 0)
    marked = np.zeros(len(close), dtype=bool)
    for stretch in (runs(still & (high == low), STILL_CANDLES), runs(equal, REPEATED_ROWS)):
        for begin, length in zip(*stretch, strict=True):
            marked[begin : begin + length] = True
    return runs(marked, 1)


def runs(marked: NDArray[np.bool_], least: int) -> Stretches:
    """Stretches of at least so many marked rows.

    >>> runs(np.array([True, False, True, True]), 2)
    Stretches(begins=array([2]), lengths=array([2]))
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False]))))
    begins, lengths = edges[::2], edges[1::2] - edges[::2]
    long = lengths >= least
    return Stretches(begins[long], lengths[long])


def find_unit_flips(close: Floats, volume: Floats) -> Instants:
    """Rows from which on volume is larger or smaller by about the price, at once and for good."""
    rows = np.flatnonzero(volume > 0)
    none = rows[:0]
    level = abs(float(np.log(close).mean())) if len(close) else 0.0
    if level < FLIP_LEVEL:
        return none
    size = FLIP_CLEAR_ROWS if level >= FLIP_CLEAR_LEVEL else FLIP_ROWS
    count = len(rows) // size
    if count < 2:
        return none
    logs = np.log(volume[rows])
    skipped = len(rows) - count * size
    medians = np.sort(logs[skipped:].reshape(count, size), axis=1)[:, size // 2]
    if np.ptp(medians) < 0.6 * level:
        return none
    found = set()
    for begin, end in _candidates(medians, level, FLIP_MEMORY // size):
        stretch = logs[skipped + begin * size : skipped + (end + 1) * size]
        cut = skipped + begin * size + _best_cut(stretch, medians[begin], medians[end])
        if _is_flip(logs, cut, abs(float(np.log(close[rows[cut]])))):
            found.add(cut)
    return rows[sorted(found)]


def _candidates(medians: Floats, level: float, memory: int) -> list[tuple[int, int]]:
    """Pairs of blocks, next to each other or next but one, between which the level seems to break for good."""
    pairs = []
    for apart in (1, 2):
        begins = np.flatnonzero(np.abs(medians[apart:] - medians[:-apart]) > 0.6 * level)
        for begin in begins.tolist():
            end = begin + apart
            before, after = medians[max(0, begin + 1 - memory) : begin + 1], medians[end : end + memory]
            if abs(abs(np.median(after) - np.median(before)) - level) <= 0.5 * level:
                pairs.append((begin, end))
    return pairs


def _best_cut(logs: Floats, before: float, after: float) -> int:
    """Where to cut so that the fewest values lie on the wrong side of the middle between two levels."""
    wrong_before = (logs - (before + after) / 2) * np.sign(after - before) > 0
    strays = np.concatenate(([0], np.cumsum(wrong_before)))
    strays += np.concatenate((np.cumsum(~wrong_before[::-1])[::-1], [0]))
    return int(np.argmin(strays[1:-1])) + 1


def _is_flip(logs: Floats, cut: int, level: float) -> bool:
    before, after = logs[max(0, cut - FLIP_MEMORY) : cut], logs[cut : cut + FLIP_MEMORY]
    if level < FLIP_CLEAR_LEVEL and min(len(before), len(after)) < 2 * FLIP_ROWS:
        return False
    rise = float(np.median(after) - np.median(before))
    absolute, relative = FLIP_TOLERANCE
    if abs(abs(rise) - level) > max(absolute, relative * level):
        return False
    middle = (np.median(after) + np.median(before)) / 2
    strays = np.concatenate(((before[-FLIP_ROWS:] - middle) * rise > 0, (after[:FLIP_ROWS] - middle) * rise < 0))
    return bool(strays.mean() <= FLIP_STRAYS)
