"""The grid on which candles stand: which have closed at an instant, and how longer ones are made of shorter ones."""

from __future__ import annotations

import numpy as np

from core.errors import invalid
from core.market import Floats, interval_seconds

# Two years of minutes are 1,051,200 candles; what asks for more than about four is a mistake, and would eat the memory.
MAX_CANDLES = 2_000_000


def closed_candles(interval: str, count: int, at_ms: int) -> range:
    """Starts (ms since 1970 UTC) of the newest `count` candles that had closed at an instant.

    A candle that closes exactly then has closed; the one that starts then has not.

    >>> [start // 60_000 for start in closed_candles("5m", 2, 10 * 60_000)]
    [0, 5]
    >>> [start // 60_000 for start in closed_candles("5m", 2, 10 * 60_000 - 1)]
    [-5, 0]
    """
    step = 1_000 * interval_seconds(interval)
    if not 1 <= count <= MAX_CANDLES:
        raise invalid("count", f"{count} candles asked for; 1 to {MAX_CANDLES} can be given")
    end = at_ms // step * step
    return range(end - count * step, end, step)


def merge_candles(block: Floats, size: int) -> Floats:
    """Each `size` neighbouring candles as one: first open, highest high, lowest low, last close, volume in total.

    Shape: (5, N) -> (5, N / size), rows open, high, low, close, volume. N is a multiple of `size` and the first candle
    opens a bucket: the caller cuts on the grid, so an incomplete bucket cannot arise here.

    >>> merge_candles(np.array([[1.0, 2.0], [3.0, 2.5], [0.5, 1.5], [2.0, 1.6], [10.0, 5.0]]), 2).ravel().tolist()
    [1.0, 3.0, 0.5, 1.6, 15.0]
    """
    if size == 1:
        return block
    opens, highs, lows, closes, volumes = block.reshape(5, -1, size)
    return np.array([opens[:, 0], highs.max(axis=1), lows.min(axis=1), closes[:, -1], volumes.sum(axis=1)])
