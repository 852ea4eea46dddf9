"""How far a statistic may lie from the truth: exact for rates, by resampling blocks of the series for all others.

Trades that follow each other share the market's mood, so single ones may not be shuffled. The stationary bootstrap
draws blocks whose mean length follows from the autocorrelation of the series itself (Politis and White), but is at
least the cube root of the number of values: that rule often overlooks a weak echo in a few hundred. Few blocks vary
too little, so percentiles are taken further out, by Student's law for as many values as there are blocks (Hesterberg).
The seed is the series: the same trades give the same interval.

Sources: Clopper and Pearson 1934, doi 10.1093/biomet/26.4.404; Politis and Romano 1994, doi
10.1080/01621459.1994.10476870; Politis and White 2004, doi 10.1081/ETC-120028836, and Patton, Politis and White
2009, doi 10.1080/07474930802459016; Hesterberg 2015, doi 10.1080/00031305.2015.1089789.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, stdtrit

from core.kernels.performance import resample_means, resample_paths
from core.market import Floats
from core.performance.sample import Estimate, Method

RESAMPLES: Final = 1_000  # the ends of an interval are then known to about a twentieth of its width
TAIL: Final = 0.025  # on each side of a 95 % interval
FEWEST: Final = 10  # values without which no block can be drawn that says anything


Interval = tuple[float, float]
Places = NDArray[np.int64]


class Draws(NamedTuple):
    """What was drawn, resample by resample, and how many blocks the series has."""

    values: Floats
    blocks: float


def rate_interval(hits: int, n: int, *, tail: float = TAIL) -> tuple[float, float]:
    """The exact interval of a rate (Clopper-Pearson): it covers at least what it says.

    >>> print("%.4f %.4f" % rate_interval(40, 50))
    0.6628 0.8997
    """
    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, tail))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 1.0 - tail))
    return low, high


def draw_means(columns: Floats, *, resamples: int = RESAMPLES) -> Draws:
    """Means of resampled rows, in blocks that suit the most echoing column. Shape: (n, K) -> (resamples, K)."""
    table = np.ascontiguousarray(columns, dtype=np.float64)
    block = max(block_length(table[:, column]) for column in range(table.shape[1]))
    return Draws(resample_means(table, block, resamples, _seed(table)), len(table) / block)


def draw_paths(values: Floats, *, resamples: int = RESAMPLES) -> Draws:
    """Resampled series. Shape: (n,) -> (resamples, n)."""
    series = np.ascontiguousarray(values, dtype=np.float64)
    block = block_length(series)
    return Draws(resample_paths(series, block, resamples, _seed(series)), len(series) / block)


def draw_places(values: Floats, *, resamples: int = RESAMPLES) -> Places:
    """Which value each step of each resample took, for what hangs on the same days. Shape: (n,) -> (resamples, n)."""
    series = np.ascontiguousarray(values, dtype=np.float64)
    places = np.arange(len(series), dtype=np.float64)
    return resample_paths(places, block_length(series), resamples, _seed(series)).astype(np.int64)


def percentile_interval(drawn: Floats, blocks: float, *, tail: float = TAIL) -> Interval | None:
    """The interval of a drawn statistic, 95 % by default; None where over a tenth of the draws has no value."""
    known = drawn[np.isfinite(drawn)]
    if len(known) < 0.9 * len(drawn):
        return None
    count = max(blocks, 3.0)
    outer = float(ndtr(math.sqrt(count / (count - 1.0)) * stdtrit(count - 1.0, tail)))
    low, high = np.quantile(known, (outer, 1.0 - outer))
    return float(low), float(high)


def estimate_of(
    value: float | None, interval: Interval | None, n: int, *, method: Method = Method.BOOTSTRAP
) -> Estimate:
    """A value with its interval, where there are such."""
    if value is None or interval is None:
        return Estimate(value, None, None, n, method)
    return Estimate(value, *interval, n, method)


def block_length(values: Floats) -> float:
    """The mean length of a block: what suits the series' autocorrelation, at least the cube root of its size."""
    return max(best_block(values), math.cbrt(len(values)))


def best_block(values: Floats) -> float:
    """The mean block for the stationary bootstrap of a mean, at least 1.

    (2 G^2 / D)^(1/3) n^(1/3), G = sum of weight |k| R(k), D = 2 (sum of weight R(k))^2 over the autocovariances R, the
    weights falling to 0 from where the autocorrelation stays insignificant.
    """
    size = len(values)
    centred = values - values.mean()
    variance = float(centred @ centred) / size
    if size < FEWEST or variance <= 1e-300:
        return 1.0
    quiet = max(5, int(math.log10(size)))
    longest = min(math.ceil(math.sqrt(size)) + quiet, size - 2)
    covariances = np.array([float(centred[lag:] @ centred[: size - lag]) / size for lag in range(longest + 1)])
    insignificant = np.abs(covariances) < 2.0 * math.sqrt(math.log10(size) / size) * variance
    width = longest
    for lag in range(1, longest - quiet + 2):
        if insignificant[lag : lag + quiet].all():
            width = min(2 * max(lag - 1, 1), longest)
            break
    lags = np.arange(1, width + 1)
    weights = np.minimum(1.0, 2.0 * (1.0 - lags / width))
    slope = 2.0 * float((weights * lags) @ covariances[1 : width + 1])
    long_run = variance + 2.0 * float(weights @ covariances[1 : width + 1])
    if long_run <= 0.0:
        return 1.0
    best = (slope * slope / (long_run * long_run)) ** (1 / 3) * size ** (1 / 3)
    return float(max(1.0, min(best, math.ceil(min(3.0 * math.sqrt(size), size / 3.0)))))


def _seed(values: Floats) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(values.tobytes(), digest_size=8).digest(), "little"))
