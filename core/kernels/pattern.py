"""What a pattern of candles looks like in twenty numbers without a unit: the inputs of a fitted theory.

Each number is computed from a candle and the 48 before it alone, by the same steps wherever the candle stands: a long
history and a short window agree to the bit, and what comes later changes nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.market import Floats, Instants, Windows

# What decision trees compare.
Inputs = NDArray[np.float32]

# Each of the last 48 returns is looked at, and no candle before: 49 candles give every input.
LOOKBACK = 48
FEATURES = (
    *(f"return_{candles}" for candles in (1, 3, 6, 12, 48)),  # log return in sd of that many candles
    "echo_48",  # lag-1 autocorrelation of the returns
    "volatility_ratio",  # sd of the last 12 returns over that of 48
    "rsi_14",  # rises over all movement, plain sums
    "up_share_12",  # share of candles that closed higher
    "sign_run",  # candles in a row with the last one's direction, signed
    "stochastic_14",  # place of the close between the lowest low and the highest high
    "distance_12",  # close less its mean, in mean true ranges of 48 candles
    "distance_48",
    "true_range_percent",  # mean true range of 14 candles, of the close
    "body",  # close less open, of the candle's range
    "upper_wick",
    "lower_wick",
    "volume_z",  # last volume in sd of 48
    "hour_sine",  # time of day, UTC
    "hour_cosine",
)
# A standard deviation of the log returns below this is rounding.
ROUNDING = 1e-12


def compute_features(windows: Windows, *, newest: int | None = None) -> Inputs:
    """The inputs at the newest candles of each row, or at all of them.

    Shape: (B, T) -> (B, newest, 20), of every candle without `newest`.
    Edge cases: NaN at the first 48 candles and where the last 48 returns are all equal.
    """
    first = 0 if newest is None else max(0, windows.length - newest)
    table = np.full((len(windows), windows.length - first, len(FEATURES)), np.nan, dtype=np.float32)
    _describe(windows.block, windows.open_times, (first, LOOKBACK), ROUNDING, table)
    return table


@njit(cache=True, nogil=True)
def _describe(block: Floats, times: Instants, reach: tuple[int, int], rounding: float, table: Inputs) -> None:
    """Fill the inputs of each candle from the first asked for on, where the look-back before it is full of moves."""
    first, lookback = reach
    length = times.shape[1]
    start = max(first, lookback)
    logs = np.zeros(length)
    for row in range(times.shape[0]):
        for place in range(start - lookback, length):
            logs[place] = math.log(block[3, row, place])
        for place in range(start, length):
            inputs = table[row, place - first]
            if _describe_moves(logs, place, lookback, rounding, inputs):
                _describe_directions(block[3, row], logs, place, inputs)
                _describe_ranges(block[:, row], place, lookback, inputs)
                _describe_volume(block[4, row], place, lookback, rounding, inputs)
                angle = 2.0 * math.pi * (times[row, place] % 86_400_000) / 86_400_000.0
                inputs[18] = math.sin(angle)
                inputs[19] = math.cos(angle)


@njit(cache=True, nogil=True)
def _describe_moves(logs: Floats, place: int, lookback: int, rounding: float, inputs: Inputs) -> bool:
    """Returns, echo and the change of volatility; False where all returns of the look-back are equal."""
    mean = (logs[place] - logs[place - lookback]) / lookback
    recent_mean = (logs[place] - logs[place - 12]) / 12
    squares = products = recent = before = 0.0
    for at in range(place - lookback + 1, place + 1):
        move = logs[at] - logs[at - 1]
        squares += (move - mean) ** 2
        products += (move - mean) * before
        before = move - mean
        if at > place - 12:
            recent += (move - recent_mean) ** 2
    deviation = math.sqrt(squares / lookback)
    if deviation <= rounding:
        return False
    for slot, candles in enumerate((1, 3, 6, 12, lookback)):
        inputs[slot] = (logs[place] - logs[place - candles]) / (deviation * math.sqrt(candles))
    inputs[5] = products / squares
    inputs[6] = math.sqrt(recent / 12) / deviation
    return True


@njit(cache=True, nogil=True)
def _describe_directions(closes: Floats, logs: Floats, place: int, inputs: Inputs) -> None:
    """Relative strength, share of rises and the present run. Directions are those of the prices themselves."""
    gains = losses = 0.0
    for at in range(place - 13, place + 1):
        if closes[at] > closes[at - 1]:
            gains += logs[at] - logs[at - 1]
        elif closes[at] < closes[at - 1]:
            losses += logs[at - 1] - logs[at]
    rises = 0
    for at in range(place - 11, place + 1):
        rises += closes[at] > closes[at - 1]
    inputs[7] = gains / (gains + losses) if gains + losses > 0.0 else 0.5
    inputs[8] = rises / 12.0
    direction = np.sign(closes[place] - closes[place - 1])
    run = 0
    while run < 12 and direction != 0.0 and np.sign(closes[place - run] - closes[place - run - 1]) == direction:
        run += 1
    inputs[9] = direction * run


@njit(cache=True, nogil=True)
def _describe_ranges(candles: Floats, place: int, lookback: int, inputs: Inputs) -> None:
    """Where the close stands among highs, lows and means, and the shape of the candle."""
    opens, highs, lows, closes = candles[0], candles[1], candles[2], candles[3]
    close = closes[place]
    highest, lowest = highs[place], lows[place]
    true_range = recent_range = gap_12 = gap_48 = 0.0
    for at in range(place - lookback + 1, place + 1):
        reach = max(highs[at], closes[at - 1]) - min(lows[at], closes[at - 1])
        true_range += reach / lookback
        gap_48 += (close - closes[at]) / lookback
        if at > place - 14:
            recent_range += reach / 14
            highest, lowest = max(highest, highs[at]), min(lowest, lows[at])
        if at > place - 12:
            gap_12 += (close - closes[at]) / 12
    inputs[10] = (close - lowest) / (highest - lowest) if highest > lowest else 0.5
    inputs[11] = gap_12 / true_range
    inputs[12] = gap_48 / true_range
    inputs[13] = 100.0 * recent_range / close
    height = highs[place] - lows[place]
    if height > 0.0:
        inputs[14] = (close - opens[place]) / height
        inputs[15] = (highs[place] - max(opens[place], close)) / height
        inputs[16] = (min(opens[place], close) - lows[place]) / height
    else:
        inputs[14:17] = 0.0


@njit(cache=True, nogil=True)
def _describe_volume(volumes: Floats, place: int, lookback: int, rounding: float, inputs: Inputs) -> None:
    """The last volume in standard deviations from the mean; 0 where it never changes."""
    mean = squares = 0.0
    for at in range(place - lookback + 1, place + 1):
        mean += volumes[at] / lookback
    for at in range(place - lookback + 1, place + 1):
        squares += (volumes[at] - mean) ** 2 / lookback
    deviation = math.sqrt(squares)
    inputs[17] = (volumes[place] - mean) / deviation if deviation > rounding * mean else 0.0
