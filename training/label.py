"""What a model shall foresee: where the price stands some candles later."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from core.market import Floats
from core.models.outcome import what_came


class Labels(NamedTuple):
    """What came after each candle, NaN for the last ones, whose future is not there. All (N,)."""

    up: NDArray[np.float32]
    trend: NDArray[np.float32]
    move: Floats  # log return over the horizon


def label(closes: Floats, atr: Floats, horizon: int) -> Labels:
    """Direction, trend strength and move over the next `horizon` candles of one stretch without a hole.

    Shape: (N,) and (N,) -> three of (N,), the last `horizon` of them NaN.
    Edge cases: an unchanged close is not up, has move 0 and trend 0.5; where nothing moved before (atr 0), any move is
    as strong as there is: trend 0 or 1.
    """
    later, up, move = what_came(closes, horizon)
    change = later - closes
    with np.errstate(divide="ignore"):  # a move out of a standstill is infinitely strong
        strength = np.divide(change, atr, out=np.zeros_like(change), where=(change != 0.0))
    return Labels(up.astype(np.float32), expit(strength).astype(np.float32), move)
