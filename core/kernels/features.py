"""Compiled kernels for the inputs of the models: one pass over the candles, straight into the rows of a float32 matrix.

A sum over n candles is built by doubling: sums of 2 from the values, sums of 4 from two sums of 2, and so on. It costs
log n additions, nothing is ever subtracted again, so it neither drifts nor loses a small price after a large one, and
it depends on its n candles alone: the same to the bit wherever the history begins. Squared distances from a mean are
merged the same way (Chan, Golub and LeVeque 1983, doi 10.1080/00031305.1983.10483115).

The candles are worked off in blocks that stay in the processor's cache, column by column, so that the compiler can use
vector instructions; each block is then written out row by row.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.market import Floats

FloatMatrix = NDArray[np.float32]

# Candles before a block that its sums look back at: 49 for the longest mean, rounded up.
REACH = 64
# So many candles of all scratch columns stay in the processor's second cache; no power of two, so that the columns do
# not crowd each other out of the first one.
BLOCK = 1_000


@njit(cache=True, nogil=True, error_model="numpy")
def describe(
    columns: tuple[Floats, Floats, Floats, Floats],
    clock: tuple[int, int],
    sizes: tuple[int, int, int],
    limits: tuple[float, float, float, float],
    table: FloatMatrix,
) -> None:
    """Fill the rows of all candles after the warm-up.

    Shape: columns high, low, close, volume, each (N,) -> table (N - warm_up, 31). `clock`: start of the first candle
    and length of each, ms. `sizes`: warm_up, reach, block. `limits`: rounding, tie, rest, largest (core/features.py).
    """
    high, low, close, volume = columns
    started, step = clock
    warm_up, reach, block = sizes
    rounding, tie, rest, largest = limits
    averages = np.array([0.0, 0.0, close[0], close[0], 0.0])
    tracks = np.zeros((4, max(warm_up, block)))
    _follow(close, 0, warm_up, averages, tracks)
    size = min(block, table.shape[0])
    work, filled = np.zeros((15, reach + size)), np.zeros((31, size), dtype=np.float32)
    for done in range(0, table.shape[0], block):
        start = warm_up + done
        if table.shape[0] - done < size:
            size = table.shape[0] - done
            work, filled = np.zeros((15, reach + size)), np.zeros((31, size), dtype=np.float32)
        seen = slice(start - reach, start + size)
        highs, lows, closes, volumes = high[seen], low[seen], close[seen], volume[seen]
        _follow(close, start, start + size, averages, tracks)
        _fill_sessions(started + start * step, step, filled[0:5])
        _fill_ranges(highs, lows, closes, work, (tie, largest), filled[5:9], filled[28:31])
        _fill_volume(volumes, work, filled[9:12])
        _fill_means(closes, work, rounding, filled[12:20], filled[24:28])
        _fill_momentum(closes[reach:], tracks, rest, filled[20:24])
        for row in range(size):
            inputs = table[done + row]
            for column in range(31):
                inputs[column] = filled[column, row]


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(close: Floats, start: int, stop: int, averages: Floats, tracks: Floats) -> None:
    """Carry the exponential averages over the candles start..stop; they are the only memory beyond 50 candles.

    `averages`: rises, falls, of 12, of 26, of MACD. Each begins with its first value and is rises, falls, MACD and its
    signal in `tracks`.
    """
    rises, falls, quick, slow, signal = averages
    for row in range(max(start, 1), stop):
        change = close[row] - close[row - 1]
        share = 1.0 / 14.0 if row > 1 else 1.0
        rises += (max(change, 0.0) - rises) * share
        falls += (max(-change, 0.0) - falls) * share
        quick += (close[row] - quick) * (2.0 / 13.0)
        slow += (close[row] - slow) * (2.0 / 27.0)
        distance = quick - slow
        signal += (distance - signal) * (2.0 / 10.0 if row > 25 else 1.0)
        place = row - start
        tracks[0, place], tracks[1, place], tracks[2, place], tracks[3, place] = rises, falls, distance, signal
    averages[0], averages[1], averages[2], averages[3], averages[4] = rises, falls, quick, slow, signal


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_sessions(started: int, step: int, filled: FloatMatrix) -> None:
    """Tokyo, London, New York, day of the week, weekend."""
    for row in range(filled.shape[1]):
        days, rest = divmod(started + row * step, 86_400_000)
        session = rest // 28_800_000
        weekday = (days + 3) % 7  # the first of January 1970 was a Thursday
        filled[0, row] = session == 0
        filled[1, row] = session == 1
        filled[2, row] = session == 2
        filled[3, row] = weekday
        filled[4, row] = weekday >= 5


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_ranges(
    highs: Floats,
    lows: Floats,
    closes: Floats,
    work: Floats,
    limits: tuple[float, float],
    filled: FloatMatrix,
    regimes: FloatMatrix,
) -> None:
    """Spread, its share of the close, mean true range, their ratio; low, medium and high volatility."""
    tie, largest = limits
    true_range, of_2, of_4, of_7, of_14, lower, higher = (work[0], work[1], work[2], work[3], work[4], work[5], work[6])
    for place in range(1, closes.size):
        true_range[place] = max(highs[place], closes[place - 1]) - min(lows[place], closes[place - 1])
    _add(true_range, true_range, 1, of_2)
    _add(of_2, of_2, 2, of_4)
    _add_seven(true_range, of_2, of_4, of_7)
    _add(of_7, of_7, 7, of_14)
    _count_neighbours(of_14, tie, lower, higher)
    reach = closes.size - filled.shape[1]
    spread, percent, mean, ratio = filled[0], filled[1], filled[2], filled[3]
    high, low, close, sums = highs[reach:], lows[reach:], closes[reach:], of_14[reach:]
    for row in range(spread.size):
        width = high[row] - low[row]
        atr = sums[row] / 14.0
        spread[row] = width
        percent[row] = min(100.0 * width / close[row], largest)
        mean[row] = atr
        ratio[row] = width / atr if atr > 0.0 else 0.0
    calm, ordinary, wild, less, more = regimes[0], regimes[1], regimes[2], lower[reach:], higher[reach:]
    for row in range(calm.size):
        is_low = 1.0 if more[row] >= 13.0 else 0.0
        is_high = 1.0 if less[row] >= 13.0 else 0.0
        calm[row] = is_low
        ordinary[row] = 1.0 - is_low - is_high
        wild[row] = is_high


@njit(cache=True, nogil=True, error_model="numpy")
def _count_neighbours(values: Floats, tie: float, lower: Floats, higher: Floats) -> None:
    """How many of the 19 values before each one are lower and higher; equal within rounding is neither."""
    now, less, more = values[19:], lower[19:], higher[19:]
    less[:] = 0.0
    more[:] = 0.0
    for lag in range(1, 20):
        before = values[19 - lag :]
        for row in range(now.size):
            less[row] += 1.0 if before[row] < now[row] * (1.0 - tie) else 0.0
            more[row] += 1.0 if before[row] > now[row] * (1.0 + tie) else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_volume(volumes: Floats, work: Floats, filled: FloatMatrix) -> None:
    """Mean volume, volume over it, and slope of the straight line through 20 volumes.

    The slope is sum (j - 9.5) v_j / 665 over j = 0..19, the sum doubled like the others: each half has its own middle.
    """
    _sum_twenty(volumes, work[0:5])
    of_2, of_4, of_8, of_16, of_20 = work[0], work[1], work[2], work[3], work[4]
    tilt_2, tilt_4, tilt_8, tilt_16, tilt_20 = work[5], work[6], work[7], work[8], work[9]
    for place in range(1, volumes.size):
        tilt_2[place] = 0.5 * (volumes[place] - volumes[place - 1])
    _join_tilts(tilt_2, of_2, 2, tilt_4)
    _join_tilts(tilt_4, of_4, 4, tilt_8)
    _join_tilts(tilt_8, of_8, 8, tilt_16)
    for place in range(16, volumes.size):
        tilt_20[place] = tilt_16[place] + tilt_4[place - 16] + (2.0 * of_16[place] - 8.0 * of_4[place - 16])
    reach = volumes.size - filled.shape[1]
    mean, ratio, trend = filled[0], filled[1], filled[2]
    volume, sums, tilts = volumes[reach:], of_20[reach:], tilt_20[reach:]
    for row in range(mean.size):
        usual = sums[row] / 20.0
        mean[row] = usual
        ratio[row] = volume[row] / usual if usual > 0.0 else 0.0
        trend[row] = tilts[row] / 665.0


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_means(closes: Floats, work: Floats, rounding: float, filled: FloatMatrix, bands: FloatMatrix) -> None:
    """Means of 7, 14, 21 and 50 closes and the close over each; the bands, their width, the close between them."""
    _sum_twenty(closes, work[0:5])
    of_2, of_4, of_8, of_16, of_20 = work[0], work[1], work[2], work[3], work[4]
    of_7, of_14, of_21, of_42, of_50 = work[5], work[6], work[7], work[8], work[9]
    _add_seven(closes, of_2, of_4, of_7)
    _add(of_7, of_7, 7, of_14)
    _add(of_14, of_7, 14, of_21)
    _add(of_21, of_21, 21, of_42)
    _add(of_42, of_8, 42, of_50)
    squares_2, squares_4, squares_8, squares_16, squares_20 = work[10], work[11], work[12], work[13], work[14]
    for place in range(1, closes.size):
        change = closes[place] - closes[place - 1]
        squares_2[place] = 0.5 * change * change
    _join_squares(squares_2, of_2, 2, squares_4)
    _join_squares(squares_4, of_4, 4, squares_8)
    _join_squares(squares_8, of_8, 8, squares_16)
    for place in range(16, closes.size):
        apart = of_16[place] / 16.0 - of_4[place - 16] / 4.0
        squares_20[place] = squares_16[place] + squares_4[place - 16] + 3.2 * apart * apart
    reach = closes.size - filled.shape[1]
    close = closes[reach:]
    _divide(close, of_7[reach:], 7.0, filled[0], filled[4])
    _divide(close, of_14[reach:], 14.0, filled[1], filled[5])
    _divide(close, of_21[reach:], 21.0, filled[2], filled[6])
    _divide(close, of_50[reach:], 50.0, filled[3], filled[7])
    upper, lower, width, position = bands[0], bands[1], bands[2], bands[3]
    sums, squares = of_20[reach:], squares_20[reach:]
    for row in range(close.size):
        mean = sums[row] / 20.0
        deviation = math.sqrt(squares[row] / 20.0)
        upper[row] = mean + 2.0 * deviation
        lower[row] = mean - 2.0 * deviation
        width[row] = 400.0 * deviation / mean
        position[row] = 0.5 + 0.25 * (close[row] - mean) / deviation if deviation > rounding * mean else 0.5


@njit(cache=True, nogil=True, error_model="numpy")
def _divide(close: Floats, sums: Floats, size: float, means: FloatMatrix, ratios: FloatMatrix) -> None:
    """Means of some closes, and the last close over them."""
    for row in range(close.size):
        mean = sums[row] / size
        means[row] = mean
        ratios[row] = close[row] / mean


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_momentum(close: Floats, tracks: Floats, rest: float, filled: FloatMatrix) -> None:
    """Relative strength, MACD, its signal and their difference."""
    rises, falls, distance, signal = tracks[0], tracks[1], tracks[2], tracks[3]
    strength, macd, smooth, difference = filled[0], filled[1], filled[2], filled[3]
    for row in range(close.size):
        moves = rises[row] + falls[row]
        strength[row] = 100.0 * rises[row] / moves if moves > rest * close[row] else 50.0
        macd[row] = distance[row]
        smooth[row] = signal[row]
        difference[row] = distance[row] - signal[row]


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_twenty(values: Floats, sums: Floats) -> None:
    """Sums of the last 2, 4, 8, 16 and 20 values."""
    _add(values, values, 1, sums[0])
    _add(sums[0], sums[0], 2, sums[1])
    _add(sums[1], sums[1], 4, sums[2])
    _add(sums[2], sums[2], 8, sums[3])
    _add(sums[3], sums[1], 16, sums[4])


@njit(cache=True, nogil=True, error_model="numpy")
def _add_seven(values: Floats, of_2: Floats, of_4: Floats, of_7: Floats) -> None:
    """Sums of the last seven values: four, two and one."""
    for place in range(6, values.size):
        of_7[place] = of_4[place] + of_2[place - 4] + values[place - 6]


@njit(cache=True, nogil=True, error_model="numpy")
def _add(recent: Floats, earlier: Floats, lag: int, sums: Floats) -> None:
    """What reaches back less far, and what ended `lag` candles ago."""
    now, before, found = recent[lag:], earlier[: earlier.size - lag], sums[lag:]
    for row in range(found.size):
        found[row] = now[row] + before[row]


@njit(cache=True, nogil=True, error_model="numpy")
def _join_tilts(tilts: Floats, sums: Floats, size: int, found: Floats) -> None:
    """sum (j - middle) v_j over 2 n values, from those of both halves and their plain sums."""
    later, sooner = tilts[size:], tilts[: tilts.size - size]
    more, less = sums[size:], sums[: sums.size - size]
    joined = found[size:]
    for row in range(joined.size):
        joined[row] = later[row] + sooner[row] + 0.5 * size * (more[row] - less[row])


@njit(cache=True, nogil=True, error_model="numpy")
def _join_squares(squares: Floats, sums: Floats, size: int, found: Floats) -> None:
    """sum (x - mean)^2 over 2 n values, from those of both halves and their plain sums."""
    later, sooner = squares[size:], squares[: squares.size - size]
    more, less = sums[size:], sums[: sums.size - size]
    joined = found[size:]
    for row in range(joined.size):
        apart = more[row] - less[row]
        joined[row] = later[row] + sooner[row] + apart * apart / (2.0 * size)
