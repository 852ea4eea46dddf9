"""Whether the moves carry any order at all, or are pure chance and better left alone: three Shannon entropies.

Each number lies between 0 (fully ordered) and 1 (pure chance); they answer different questions and are never mixed.

- `entropy`: permutation entropy of order 3. Each three successive returns rise and fall in one of six orders with
  shares p; H = -sum p ln p / ln 6. It sees swings and persistence, whatever the size of the moves, and is blind to a
  steady drift. Corrected for the sample's size, + c / 2n, and cut at 1: overlapping orders make H fall short of the
  truth by c = 3.4 (the mean under chance, exact), not by Miller's and Madow's 5, which counts them as independent.
  Near 1 the cut takes away what lies above, and c = 5.3 makes up for that; in between c falls along a straight line.
  Where only some of the six orders occur, c counts by (orders seen - 1) / 5.
- `sign_entropy`: how uncertain up or down is once the last three directions are known, H(4) - H(3) of sign blocks
  over ln 2, by Grassberger's estimator. It sees drift and runs. Unchanged closes have no direction and are left out.
- `histogram_entropy`: how evenly the returns fill sixteen fixed bins, each half a robust standard deviation
  (interquartile range / 1.349) wide, the outer two open; Grassberger again, because outer bins are rare. A normal law
  gives about 0.76, fat tails more; it says nothing of what comes next.

Order is only claimed when chance explains it badly. `p_value` is the chance that a random walk shows so low a
permutation entropy; it holds for any continuous law of the returns (the first three cumulants of overlapping patterns
are exact, the law is Hall's, Buckley's and Eagleson's). `sign_p_value` is the same for the signs of a fair coin
(likelihood ratio, chi-squared with 8 degrees of freedom).

Good for: staying out of noise. Not good for: direction, so the vote is always 0; nor for tick-bound prices, where
equal returns share their weight evenly among the orders they allow and so pull the entropy towards 1.

Sources: Bandt and Pompe 2002, doi 10.1103/PhysRevLett.88.174102; Grassberger 2003, arXiv physics/0307138.
The law of overlapping orders under chance is counted out in tests/core/test_shannon_entropy.py.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import chdtrc, digamma, gammaincc

from core.analysis import Columns, Field, Opinion, Values
from core.market import Floats, Windows

Counts = NDArray[np.int64]

FIELDS = {
    "entropy": Field("permutation entropy of the returns: 1 pure chance, lower more order", low=0.0, high=1.0),
    "p_value": Field("chance that a random walk shows so low a permutation entropy", low=0.0, high=1.0),
    "sign_entropy": Field("uncertainty of up or down given the last three: 1 a fair coin", low=0.0, high=1.0),
    "sign_p_value": Field("chance that a fair coin shows so low a sign entropy", low=0.0, high=1.0),
    "histogram_entropy": Field("evenness of the sizes of the returns; a normal law gives 0.76", low=0.0, high=1.0),
    "sample_size": Field("returns used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move of the window is the same size (or there is none): no order to measure"

# Below this spread of the log returns the closes differ by rounding only.
ROUNDING = 1e-12
# Fewer directions than this cannot fill the sixteen blocks of four.
FEWEST_SIGNS = 64
BINS = 16
BIN_WIDTH = 0.5
# Cumulants of 2n(ln 6 - H) for order 3 under independence: sums of the powers of its weights
# 1 - 1/sqrt 2, 0.6, 0.8, 1 + 1/sqrt 2, times 1, 2 and 8.
PATTERN_CUMULANTS = (3.4, 8.0, 45.824)
# The statistic 2n(ln 6 - H) up to which the cut at 1 is felt, and from which it is not; and c where it is felt. By
# simulation: at chance the bias is then a sixth of that without correction, at AR(-0.7) to AR(0.6) less than a third.
CUT_RANGE = (8.0, 16.0)
CUT_CORRECTION = 5.3
# Of two tests the smaller chance counts twice (Bonferroni); below 1 in 100 the order is real, below 1 in 20 a hint.
ORDER_LEVEL = 0.01
HINT_LEVEL = 0.05

# The six ways to break a tie among three equal returns.
_TIE_RANKS = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])


def analyze(windows: Windows) -> Columns:
    """The three entropies of each row.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: all returns equal give NaN throughout; fewer than 64 changed closes give no sign entropy; more than
    half of the returns equal give no histogram entropy.
    """
    returns = windows.log_returns()
    size = returns.shape[1]
    table = np.full((5, len(windows)), np.nan)
    _measure(
        returns,
        np.sort(returns, axis=1),
        _TIE_RANKS,
        grassberger_weights(size),
        (ROUNDING, BIN_WIDTH, BINS, FEWEST_SIGNS),
        (PATTERN_CUMULANTS[0], CUT_CORRECTION, *CUT_RANGE),
        table,
    )
    entropy, pattern_statistic, sign_entropy, sign_statistic, histogram_entropy = table
    return {
        "entropy": entropy,
        "p_value": _pattern_chance(pattern_statistic),
        "sign_entropy": sign_entropy,
        "sign_p_value": np.asarray(chdtrc(8.0, sign_statistic)),
        "histogram_entropy": histogram_entropy,
        "sample_size": np.full(len(windows), float(size)),
    }


def read(values: Values) -> Opinion:
    """A filter: no direction, only whether chance explains the window."""
    chance = min(1.0, 2.0 * min(values["p_value"], values.get("sign_p_value", 1.0)))
    signs = f", sign entropy {values['sign_entropy']:.3f}" if "sign_entropy" in values else ""
    numbers = f"permutation entropy {values['entropy']:.3f}{signs}, chance {chance:.2g}"
    if chance < ORDER_LEVEL:
        return Opinion(0.0, f"Low entropy, tradable trend or swing: the moves are ordered ({numbers}).")
    if chance < HINT_LEVEL:
        return Opinion(0.0, f"Mixed: a hint of order, not enough to trade on alone ({numbers}).")
    return Opinion(0.0, f"High entropy, random, stay out: chance explains the moves ({numbers}).")


@lru_cache(maxsize=64)
def grassberger_weights(size: int) -> Floats:
    """G(n) of Grassberger 2003 for n = 0..size: digamma(n) + (-1)^n (digamma((n+1)/2) - digamma(n/2)) / 2."""
    counts = np.arange(1, size + 1)
    swing = np.where(counts % 2 == 0, 0.5, -0.5) * (digamma((counts + 1) / 2) - digamma(counts / 2))
    weights = np.concatenate([[0.0], digamma(counts) + swing])
    weights.setflags(write=False)  # the one copy of all callers
    return weights


@njit(cache=True, nogil=True)
def count_entropy(counts: Counts, weights: Floats) -> float:
    """Shannon entropy of counted kinds in nats by Grassberger's estimator: ln n - sum c G(c) / n.

    `weights` are `grassberger_weights` up to n at least. Nearly unbiased even where many kinds are rare.

    >>> print(round(count_entropy(np.array([250, 250]), grassberger_weights(500)), 3))
    0.693
    """
    total = counts.sum()
    weighted = 0.0
    for count in counts:
        weighted += count * weights[count]
    return float(math.log(total) - weighted / total)


@njit(cache=True, nogil=True)
def plain_entropy(counts: Counts) -> float:
    """Shannon entropy of counted kinds in nats as the shares stand: -sum p ln p."""
    total = counts.sum()
    weighted = 0.0
    for count in counts:
        if count > 0:
            weighted += count * math.log(count)
    return float(math.log(total) - weighted / total)


@njit(cache=True, nogil=True)
def _measure(
    returns: Floats,
    ordered: Floats,
    ranks: Counts,
    weights: Floats,
    limits: tuple[float, float, int, int],
    correction: tuple[float, float, float, float],
    table: Floats,
) -> None:
    """Fill one column of the table for each row; a row that does not move stays NaN."""
    rounding, width, bins, fewest = limits
    for row in range(returns.shape[0]):
        if ordered[row, -1] - ordered[row, 0] <= rounding:
            continue
        _measure_orders(_count_orders(returns[row], ranks), returns.shape[1] - 2, correction, table[0:2, row])
        blocks = _count_sign_blocks(returns[row])
        if blocks.sum() + 3 >= fewest:
            _measure_signs(blocks, weights, table[2:4, row])
        filled = _count_bins(ordered[row], width, bins, rounding)
        if filled.sum() > 0:
            table[4, row] = min(max(count_entropy(filled, weights) / math.log(bins), 0.0), 1.0)


@njit(cache=True, nogil=True)
def _measure_orders(
    orders: Counts, samples: int, correction: tuple[float, float, float, float], column: Floats
) -> None:
    """Permutation entropy of ln 6, corrected for the sample's size, and its statistic against chance."""
    far, near, first, last = correction
    seen = 0
    for count in orders:
        seen += count > 0
    statistic = 2.0 * samples * max(math.log(6.0) - plain_entropy(orders), 0.0)
    closeness = min(max((last - statistic) / (last - first), 0.0), 1.0)
    shortfall = (far + (near - far) * closeness) * (seen - 1) / 5.0
    column[0] = min(max(1.0 - (statistic - shortfall) / (2.0 * samples * math.log(6.0)), 0.0), 1.0)
    column[1] = statistic


@njit(cache=True, nogil=True)
def _measure_signs(blocks: Counts, weights: Floats, column: Floats) -> None:
    """Entropy of the fourth direction given three, of ln 2, and its statistic against a fair coin."""
    triples = blocks[0::2] + blocks[1::2]
    rate = count_entropy(blocks, weights) - count_entropy(triples, weights)
    column[0] = min(max(rate / math.log(2.0), 0.0), 1.0)
    column[1] = 2.0 * blocks.sum() * max(math.log(2.0) - plain_entropy(blocks) + plain_entropy(triples), 0.0)


@njit(cache=True, nogil=True)
def _count_orders(values: Floats, ranks: Counts) -> Counts:
    """How often each order of three successive values occurs, in sixths: a tie is broken in all six ways.

    An order is numbered by its three comparisons; two of the eight numbers are impossible and stay empty.
    """
    counts = np.zeros(8, np.int64)
    for start in range(values.size - 2):
        first, second, third = values[start], values[start + 1], values[start + 2]
        if not ((first == second) | (second == third) | (first == third)):
            counts[4 * (first < second) + 2 * (second < third) + (first < third)] += 6
            continue
        for way in range(6):
            one, two, three = ranks[way]
            rising = first < second or (first == second and one < two)
            then = second < third or (second == third and two < three)
            across = first < third or (first == third and one < three)
            counts[4 * rising + 2 * then + across] += 1
    return counts


@njit(cache=True, nogil=True)
def _count_sign_blocks(values: Floats) -> Counts:
    """How often each sequence of four directions occurs; the newest direction is the lowest bit."""
    counts = np.zeros(16, np.int64)
    block = 0
    seen = 0
    for value in values:
        if value != 0.0:
            block = (2 * block + (value > 0.0)) & 15
            seen += 1
            counts[block] += seen > 3
    return counts


@njit(cache=True, nogil=True)
def _count_bins(ordered: Floats, width: float, bins: int, rounding: float) -> Counts:
    """How many sorted values fall in each bin around the median; nothing when the middle half has no spread."""
    counts = np.zeros(bins, np.int64)
    size = ordered.size
    deviation = (ordered[3 * size // 4] - ordered[size // 4]) / 1.349
    if deviation <= rounding:
        return counts
    below = 0
    for edge in range(1, bins):
        reached = np.searchsorted(ordered, ordered[size // 2] + deviation * width * (edge - bins / 2))
        counts[edge - 1] = reached - below
        below = reached
    counts[bins - 1] = size - below
    return counts


def _pattern_chance(statistic: Floats) -> Floats:
    """Upper tail of 2n(ln 6 - H) under independence: a chi-squared shifted and scaled to the same three cumulants."""
    mean, variance, third = PATTERN_CUMULANTS
    degrees = 8.0 * variance**3 / third**2
    shifted = degrees + (statistic - mean) * math.sqrt(2.0 * degrees / variance)
    return np.asarray(gammaincc(degrees / 2.0, np.maximum(shifted, 0.0) / 2.0))
