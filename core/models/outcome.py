"""What came after a candle: did the price close higher so many candles later. One definition, learned and scored by.

A model is trained on it, the gate judges by it, and its live answers are scored by it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.market import Floats


class Future(NamedTuple):
    """What came after each candle, NaN for the last ones, whose future is not there. All (N,)."""

    close: Floats  # after the horizon
    up: Floats  # 1 where that is above the candle's own close, else 0
    move: Floats  # log return over the horizon


def what_came(closes: Floats, horizon: int) -> Future:
    """What came `horizon` candles after each close of one stretch without a hole.

    Shape: (N,) -> three of (N,), the last `horizon` of them NaN.
    Edge case: an unchanged close is not up and has move 0.

    >>> what_came(np.array([4.0, 4.0, 5.0]), 1).up.tolist()
    [0.0, 1.0, nan]
    """
    later = np.full(len(closes), np.nan)
    later[: max(0, len(closes) - horizon)] = closes[horizon:]
    up = np.where(np.isnan(later), np.nan, later > closes)
    return Future(later, up, np.log(later / closes))
