"""Compiled kernel for the volatility that whole candles show: open, high, low and close instead of closes alone.

It takes B rows and gives B answers; a row that does not move is NaN throughout. Sums run in one fixed order.
It holds no module constants and calls no kernel of another file: the cache on disk would not notice their change.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from core.market import Floats


@njit(cache=True, nogil=True)
def candle_volatility(logs: Floats, deviations: Floats) -> Floats:
    """Standard deviation of a candle's log return by Yang and Zhang, Parkinson, Garman and Klass, Rogers and Satchell.

    With up, down and body the logs of high, low and close over the open, and a mean over the candles: Parkinson
    mean (up - down)^2 / 4 ln 2; Garman and Klass mean (up - down)^2 / 2 - (2 ln 2 - 1) body^2; Rogers and Satchell
    mean up (up - body) + down (down - body); Yang and Zhang the variance of the gaps + k that of the bodies + (1 - k)
    Rogers and Satchell, k = 0.34 / (1.34 + (n + 1) / (n - 1)).

    Shape: (4, B, T) logs of open, high, low, close; (B,) NaN where the closes do not move -> (4, B).
    The first candle gives only its close, from which the next one's gap starts.
    """
    rows = logs.shape[1]
    size = logs.shape[2] - 1
    found = np.full((4, rows), math.nan)
    for row in range(rows):
        if math.isnan(deviations[row]):
            continue
        opens, highs, lows, closes = logs[0, row], logs[1, row], logs[2, row], logs[3, row]
        gap_mean = body_mean = 0.0
        for place in range(1, size + 1):
            gap_mean += (opens[place] - closes[place - 1]) / size
            body_mean += (closes[place] - opens[place]) / size
        gaps = bodies = body_squares = ranges = driftless = 0.0
        for place in range(1, size + 1):
            body = closes[place] - opens[place]
            up, down = highs[place] - opens[place], lows[place] - opens[place]
            gaps += (opens[place] - closes[place - 1] - gap_mean) ** 2
            bodies += (body - body_mean) ** 2
            body_squares += body * body
            ranges += (up - down) ** 2
            driftless += up * (up - body) + down * (down - body)
        weight = 0.34 / (1.34 + (size + 1.0) / (size - 1.0))
        combined = (gaps + weight * bodies) / (size - 1.0) + (1.0 - weight) * driftless / size
        found[0, row] = math.sqrt(max(combined, 0.0))
        found[1, row] = math.sqrt(ranges / (4.0 * math.log(2.0)) / size)
        found[2, row] = math.sqrt(max(0.5 * ranges - (2.0 * math.log(2.0) - 1.0) * body_squares, 0.0) / size)
        found[3, row] = math.sqrt(max(driftless, 0.0) / size)
    return found
