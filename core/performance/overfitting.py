"""Whether choosing the best of many tries means anything: how often the chosen one disappoints on other days.

The days are cut into blocks, and every way to take half of the blocks is tried: the try with the best Sharpe ratio in
the one half is looked up in the other. By the book (combinatorially symmetric cross-validation) a split is overfit
where the chosen one is then in the lower half of the tries; `by_the_book` is their share, 0.5 on noise.

Twenty models that are all equally good also give 0.5 by the book, though to be the tenth of twenty good ones fools
nobody. Hence `probability`: the share of splits where the chosen one is in the lower half and earns nothing. On noise
both are near each other, on a truly better try both are 0. A try exactly in the middle counts half.

Source: Bailey, Borwein, Lopez de Prado and Zhu 2017, doi 10.21314/JCF.2016.322.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from scipy.stats import rankdata

from core.errors import invalid
from core.market import Floats

MOST_BLOCKS: Final = 16  # 12,870 splits; more change the answer by less than their noise
FEWEST_BLOCKS: Final = 10  # 252 splits
DAYS_A_BLOCK: Final = 2  # one day has no deviation
FLAT: Final = 1e-12  # a deviation below this is rounding


class Overfitting(NamedTuple):
    """What all splits say, and how many of what there were."""

    probability: float
    by_the_book: float
    splits: int
    blocks: int
    trials: int
    days: int


def measure_overfitting(returns: Floats) -> Overfitting | None:
    """How often the choice of the best try fails. None with fewer than two tries, or days for ten blocks.

    Shape: (days, trials).
    """
    table = np.asarray(returns, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise invalid("returns", f"have shape {table.shape}; finite numbers of (days, trials) are needed")
    days, trials = table.shape
    blocks = min(MOST_BLOCKS, days // DAYS_A_BLOCK // 2 * 2)
    if trials < 2 or blocks < FEWEST_BLOCKS:
        return None
    parts = np.array_split(np.arange(days), blocks)
    sums = np.array([table[part].sum(axis=0) for part in parts])
    squares = np.array([(table[part] ** 2).sum(axis=0) for part in parts])
    sizes = np.array([float(len(part)) for part in parts])
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(halves), blocks))
    np.put_along_axis(chosen, halves, 1.0, axis=1)
    inside = _ratios(chosen, sums, squares, sizes)
    outside = _ratios(1.0 - chosen, sums, squares, sizes)
    best = inside.argmax(axis=1)[:, None]
    found = np.take_along_axis(outside, best, axis=1)[:, 0]
    place = np.take_along_axis(rankdata(outside, axis=1), best, axis=1)[:, 0] / (trials + 1)
    below = np.where(place < 0.5, 1.0, np.where(place == 0.5, 0.5, 0.0))
    return Overfitting(
        probability=float((below * (found <= 0.0)).mean()),
        by_the_book=float(below.mean()),
        splits=len(halves),
        blocks=blocks,
        trials=trials,
        days=days,
    )


def _ratios(chosen: Floats, sums: Floats, squares: Floats, sizes: Floats) -> Floats:
    """Daily Sharpe ratios on the chosen blocks, 0 for a try that never moved.

    Shape: (splits, blocks), (blocks, trials) twice, (blocks,) -> (splits, trials).
    """
    count = (chosen @ sizes)[:, None]
    mean = chosen @ sums / count
    deviation = np.sqrt(np.maximum(chosen @ squares / count - mean**2, 0.0))
    ratios: Floats = np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > FLAT)
    return ratios
