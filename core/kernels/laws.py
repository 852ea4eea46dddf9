"""Laws that returns are drawn from: four ways to fit one to a window, and what each says of the next candle.

Each row is fitted alone; a row that does not move is NaN throughout.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, ndtri, stdtrit

from core.kernels.garch import fit_garch
from core.market import Floats

VARIANTS = ("filtered", "bootstrap", "gbm", "student_t")

# A standard deviation of the log returns below this is rounding.
ROUNDING = 1e-12
# Long enough to keep a cluster of volatility together, short enough to mix a window of a few hundred candles.
MEAN_BLOCK = 20
TABLE_SIZE = 4_096
FREEDOMS = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0)
# The scale of a Student law settles to 1e-6 well within so many steps.
SCALE_STEPS = 40
# More than half of the moves equal would shrink it to nothing.
SMALLEST_SCALE = 1e-6


class Law(NamedTuple):
    """What paths are drawn from: (B, K) or (1, K) standardised shocks; (B,) omega, alpha, beta and next variance."""

    shocks: Floats
    omega: Floats
    alpha: Floats
    beta: Floats
    next_variance: Floats
    mean_block: int = 1


def fit_law(returns: Floats, variant: str = "filtered") -> Law:
    """One of the four laws (see core/analyzers/monte_carlo.py) fitted to each row. Shape: (B, n) log returns."""
    if variant not in VARIANTS:
        raise ValueError(f"no such law: {variant!r}")
    if variant == "filtered":
        parameters, next_variance, residuals = fit_garch(returns)
        shocks = residuals - residuals.mean(axis=1, keepdims=True)
        _, omega, alpha, beta = np.ascontiguousarray(parameters.T)
        return Law(shocks, omega, alpha, beta, next_variance)
    centred = returns - returns.mean(axis=1, keepdims=True)
    variance = np.square(centred).mean(axis=1)
    variance[np.sqrt(variance) <= ROUNDING] = np.nan
    none = np.zeros_like(variance)
    shocks = centred / np.sqrt(variance)[:, None]
    if variant == "bootstrap":
        return Law(shocks, variance, none, none, variance, MEAN_BLOCK)
    if variant == "gbm":
        return Law(_normal_table()[None, :].copy(), variance, none, none, variance)
    fits = [_fit_student(row) for row in shocks]
    variance = variance * np.array([scale for _, scale in fits])
    return Law(np.stack([_student_table(freedom) for freedom, _ in fits]), variance, none, none, variance)


def next_losses(law: Law, drift: Floats) -> dict[str, Floats]:
    """Value at risk and expected shortfall of a long over the next candle, in log return, losses positive.

    Straight from the shocks, without simulation: the value at risk is their order statistic p (K + 1), interpolated;
    the shortfall the mean of the lowest p K. Shape: laws of B rows, (B,) -> (B,) each.
    """
    ordered = np.sort(law.shocks, axis=1)
    deviation = np.sqrt(law.next_variance)
    losses = {}
    for name, measure in (("value_at_risk", quantile), ("expected_shortfall", tail_mean)):
        for share in (5, 1):
            losses[f"{name}_{100 - share}"] = -(drift + deviation * measure(ordered, share / 100.0))
    return losses


def quantile(ordered: Floats, share: float) -> Floats:
    """Order statistic share (n + 1), interpolated: a new value of the same law stays below it with that chance.

    Shape: (..., n) in rising order -> (...).
    """
    size = ordered.shape[-1]
    place = min(max(share * (size + 1) - 1.0, 0.0), size - 1.0)
    lower = min(int(place), size - 2)
    return np.asarray(ordered[..., lower] + (place - lower) * (ordered[..., lower + 1] - ordered[..., lower]))


def tail_mean(ordered: Floats, share: float) -> Floats:
    """Mean of the lowest share n values, the last of them in part. Shape: (..., n) in rising order -> (...)."""
    part = share * ordered.shape[-1]
    whole = int(part)
    return np.asarray((ordered[..., :whole].sum(axis=-1) + (part - whole) * ordered[..., whole]) / part)


def _fit_student(shocks: Floats) -> tuple[float, float]:
    """Degrees of freedom of the highest likelihood among FREEDOMS, and the law's variance, 1 in units of the sample."""
    if np.isnan(shocks[0]):
        return FREEDOMS[0], np.nan
    freedom = np.array(FREEDOMS)[:, None]
    squares = np.square(shocks)
    scale = np.ones_like(freedom)
    for _ in range(SCALE_STEPS):
        scale = ((freedom + 1.0) * squares / (freedom + squares / scale)).mean(axis=1, keepdims=True)
        scale = np.maximum(scale, SMALLEST_SCALE)
    fits = np.log1p(squares / (freedom * scale)).mean(axis=1, keepdims=True)
    constant = gammaln(0.5 * freedom + 0.5) - gammaln(0.5 * freedom) - 0.5 * np.log(freedom * scale)
    best = int(np.argmax(constant - 0.5 * (freedom + 1.0) * fits))
    return FREEDOMS[best], float(scale[best, 0] * FREEDOMS[best] / (FREEDOMS[best] - 2.0))


@lru_cache(maxsize=1)
def _normal_table() -> Floats:
    """Means of the standard normal law over equally likely bins, of mean square 1."""
    edges = ndtri(np.linspace(0.0, 1.0, TABLE_SIZE + 1))
    return _standard(-np.diff(np.exp(-0.5 * np.square(edges))))


@lru_cache(maxsize=len(FREEDOMS))
def _student_table(freedom: float) -> Floats:
    """Means of Student's law over equally likely bins, of mean square 1."""
    edges = stdtrit(freedom, np.linspace(0.0, 1.0, TABLE_SIZE + 1)[1:-1])
    bound = (1.0 + np.square(edges) / freedom) ** (-0.5 * (freedom - 1.0))
    return _standard(-np.diff(bound, prepend=0.0, append=0.0))


def _standard(means: Floats) -> Floats:
    table = np.asarray(means / np.sqrt(np.square(means).mean()))
    table.setflags(write=False)  # the one copy of all callers
    return table
