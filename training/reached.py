"""Measured numbers with their intervals. What coins share at the same instant counts once.

Coins move together, so ten of them in the same minute are not ten chances. Values are therefore drawn anew by instant:
all that belongs to one goes together, and neighbours go with it in blocks. Of one coin each instant has one value, and
ten coins that say and do the same have the interval of one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.market import Floats, Instants
from core.performance.bootstrap import FEWEST, draw_means, percentile_interval
from core.performance.calibration import Bounded
from core.performance.measure import estimate_rate

Flags = NDArray[np.bool_]


class Reached(NamedTuple):
    """A measured number with its 95 % interval and what it rests on; None: it cannot be said."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def mean_of(values: Flags | Floats, instants: Instants) -> Reached:
    """The mean of all values, its interval from instants drawn anew in blocks. Shape: (N,), (N,)."""
    n = len(values)
    if n == 0:
        return Reached(None, None, None, 0)
    column = values.astype(np.float64)
    value = float(column.mean())
    means, counts = _by_instant(column, instants)
    if len(means) < FEWEST:
        return Reached(value, None, None, n)
    if (counts == counts[0]).all():
        drawn, blocks = draw_means(means[:, None])
        found = drawn[:, 0]
    else:  # instants with more coins weigh more
        weights = counts / counts.mean()
        drawn, blocks = draw_means(np.column_stack([means * weights, weights]))
        found = drawn[:, 0] / drawn[:, 1]
    low, high = percentile_interval(found, blocks) or (None, None)
    return Reached(value, low, high, n)


def share_of(hits: Flags, instants: Instants) -> Reached:
    """The share of hits with its exact interval, of as many as there would be if none shared an instant.

    With r the distance of a hit or a miss from the share: n * sum of r^2 / sum over instants of (sum of r)^2, at most n
    (the design effect of Kish 1965). Shape: (N,), (N,).
    """
    n, right = len(hits), int(hits.sum())
    if n == 0:
        return Reached(None, None, None, 0)
    places = np.unique(instants, return_inverse=True)[1]
    apart = hits - right / n
    together = np.bincount(places, weights=apart)
    squares = float(apart @ apart)
    shared = float(together @ together) / squares if squares > 0.0 else n / len(together)
    alone = round(n / max(shared, 1.0))
    found = estimate_rate(round(right * alone / n), alone)
    return Reached(right / n, found.low, found.high, n)


def worst_of(errors: list[Bounded]) -> Reached:
    """Of the coins' calibration errors the one with the highest bound: each coin must keep its word by itself."""
    return Reached(*max(errors, key=lambda each: math.inf if each.high is None else each.high))


def _by_instant(values: Floats, instants: Instants) -> tuple[Floats, Floats]:
    """The mean of the values of each instant, oldest first, and how many there are."""
    order = np.argsort(instants, kind="stable")
    values = values[order]
    _, begins, counts = np.unique(instants[order], return_index=True, return_counts=True)
    if len(begins) == len(values):
        return values, np.ones(len(values))
    first = values[begins]  # told as the distance from it, the mean of alike values is that value to the last digit
    return first + np.add.reduceat(values - np.repeat(first, counts), begins) / counts, counts.astype(np.float64)
