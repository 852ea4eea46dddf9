"""Longer candles made of shorter ones."""

from __future__ import annotations

import numpy as np

from core.market import Floats


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
