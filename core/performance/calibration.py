"""Whether what was called 70 % sure came true seven times in ten: calibration error with bounds, and proper scores.

Windows are sorted into bins of equal mass by what was said. With r the mean of (happened - said) in a bin, s^2 its
variance over the number of windows and w its share of all windows:

- plug-in error: sum of w |r|. A perfect model has 0.09 of it at 200 windows and still 0.03 at 2,000: it counts noise.
- debiased squared error: sum of w (r^2 - s^2), whose mean is the truth. Its root is what `calibration_error` gives: the
  quadratic mean of the gaps, which is never below their plain mean, so a bound on it holds for both.

Its bounds come from windows drawn anew in blocks: the drawn error lies about the plug-in square as the observed one
lies about the truth (basic bootstrap). Windows whose futures overlap share their luck; hand in such as do not.

Brier score: mean of (said - happened)^2; its skill is 1 - Brier / Brier of always saying the share that happened. Log
loss: mean of -log of what was said of that which happened. AUC: the chance that an up was given more than a down.

Sources: Kumar, Liang and Ma 2019, arXiv 1909.10155 (debiasing); Roelofs and others 2022, arXiv 2012.08668 (equal mass);
Sun and others 2024, arXiv 2408.08998 (intervals of the squared error); Brier 1950; Hanley and McNeil 1982.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from core.errors import invalid
from core.market import Floats
from core.performance.bootstrap import FEWEST, RESAMPLES, draw_means, percentile_interval

BINS: Final = 10
ONE_SIDE: Final = 0.05  # beyond a bound that holds with 95 %
SMALLEST: Final = 1e-12  # what was said to be impossible and happened costs log loss without end

Flags = NDArray[np.bool_]


class Bin(NamedTuple):
    """Windows that were said to be about as likely: from, to, what was said and what happened on average, how many."""

    low: float
    high: float
    said: float
    happened: float
    n: int


class Bounded(NamedTuple):
    """A number and the bounds below and above which the truth lies with 95 % each; None: it cannot be said."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class _Sums(NamedTuple):
    """Means over all windows, bin by bin: the share of windows, of gaps, of squared gaps. Shape: (..., bins)."""

    share: Floats
    gap: Floats
    square: Floats


def reliability(probability: Floats, up: Flags, *, bins: int = BINS) -> tuple[Bin, ...]:
    """Bins of equal mass; fewer where the same probability was said too often to be parted. Shape: (N,), (N,)."""
    said, happened = _checked(probability, up)
    places = _bins(said, bins)
    return tuple(
        Bin(
            float(said[own].min()),
            float(said[own].max()),
            float(said[own].mean()),
            float(happened[own].mean()),
            len(own),
        )
        for own in (np.flatnonzero(places == place) for place in range(places.max(initial=-1) + 1))
    )


def plug_in_error(probability: Floats, up: Flags, *, bins: int = BINS) -> float:
    """The usual expected calibration error, noise included. Shape: (N,), (N,); NaN without windows.

    >>> plug_in_error(np.array([0.25, 0.75]), np.array([False, True]), bins=2)
    0.25
    """
    found = reliability(probability, up, bins=bins)
    n = sum(each.n for each in found)
    return sum(each.n * abs(each.said - each.happened) for each in found) / n if n else math.nan


def calibration_error(probability: Floats, up: Flags, *, bins: int = BINS, resamples: int = RESAMPLES) -> Bounded:
    """The debiased error (root of the squared one, 0 where that is below), with its bounds. Shape: (N,), (N,)."""
    said, happened = _checked(probability, up)
    n = len(said)
    if n < FEWEST * bins:
        return Bounded(None, None, None, n)
    inside = _bins(said, bins)[:, None] == np.arange(bins)
    gaps = inside * (happened - said)[:, None]
    columns = np.concatenate([inside, gaps, gaps * gaps], axis=1).astype(np.float64)
    columns = columns[:, np.tile(inside.any(axis=0), 3)]
    observed, plug_in = _squared(_split(columns.mean(axis=0)), n)
    means, blocks = draw_means(columns, resamples=resamples)
    drawn, _ = _squared(_split(means), n)
    interval = percentile_interval(drawn, blocks, tail=ONE_SIDE)
    value = _root(float(observed))
    if interval is None:
        return Bounded(value, None, None, n)
    middle = float(observed + plug_in)
    return Bounded(value, _root(middle - interval[1]), _root(middle - interval[0]), n)


def brier_score(probability: Floats, up: Flags) -> float:
    """Mean squared distance of what was said from what happened; 0.25 for always saying a half."""
    said, happened = _checked(probability, up)
    return float(np.mean((said - happened) ** 2))


def brier_skill(probability: Floats, up: Flags, *, resamples: int = RESAMPLES) -> Bounded:
    """How much of the base rate's Brier score the model saves: 1 all, 0 nothing, below 0 worse than the base rate."""
    said, happened = _checked(probability, up)
    n = len(said)
    if n < FEWEST or happened.min() == happened.max():
        return Bounded(None, None, None, n)
    columns = np.column_stack([(said - happened) ** 2, happened])
    means, blocks = draw_means(columns, resamples=resamples)
    interval = percentile_interval(_skill(means), blocks, tail=ONE_SIDE)
    low, high = interval or (None, None)
    return Bounded(float(_skill(columns.mean(axis=0))), low, high, n)


def log_loss(probability: Floats, up: Flags) -> float:
    """Mean of -log of what was said of that which happened; 0.6931 for always saying a half."""
    said, happened = _checked(probability, up)
    of_outcome = np.where(happened > 0.0, said, 1.0 - said)
    return float(-np.log(np.maximum(of_outcome, SMALLEST)).mean())


def area_under_curve(probability: Floats, up: Flags) -> float:
    """The chance that an up was given a higher probability than a down, ties half; NaN where one of both is missing.

    >>> area_under_curve(np.array([0.2, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    said, happened = _checked(probability, up)
    ups = int(happened.sum())
    downs = len(said) - ups
    if not ups or not downs:
        return math.nan
    ranks = rankdata(said)
    return float((ranks[happened > 0.0].sum() - ups * (ups + 1) / 2.0) / (ups * downs))


def _checked(probability: Floats, up: Flags) -> tuple[Floats, Floats]:
    said, happened = np.asarray(probability, dtype=np.float64), np.asarray(up).astype(np.float64)
    if said.ndim != 1 or said.shape != happened.shape:
        raise invalid("probability", f"has shape {said.shape}, what happened {happened.shape}; one of each per window")
    wrong = np.flatnonzero(~((said >= 0.0) & (said <= 1.0)))
    if len(wrong):
        raise invalid("probability", f"is {said[wrong[0]]} in row {wrong[0]}; 0 to 1 is needed")
    return said, happened


def _bins(said: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of each window: borders at the quantiles, the same probability always in the same bin, none empty."""
    if not len(said):
        return np.zeros(0, dtype=np.int64)
    borders = np.quantile(said, np.arange(1, bins) / bins, method="higher")
    _, places = np.unique(np.searchsorted(borders, said, side="right"), return_inverse=True)
    return places.astype(np.int64)


def _split(means: Floats) -> _Sums:
    share, gap, square = np.split(means, 3, axis=-1)
    return _Sums(share, gap, square)


def _squared(sums: _Sums, n: int) -> tuple[Floats, Floats]:
    """The debiased squared error and the plug-in one. Shape: (..., bins) -> (...), (...)."""
    count = np.maximum(n * sums.share, 2.0)
    plug_in = np.divide(sums.gap**2, sums.share, out=np.zeros_like(sums.gap), where=sums.share > 0.0)
    noise = (sums.square - plug_in) / (count - 1.0)
    return (plug_in - noise).sum(axis=-1), plug_in.sum(axis=-1)


def _skill(means: Floats) -> Floats:
    """Shape: (..., 2) -> (...)."""
    score, rate = means[..., 0], means[..., 1]
    base = rate * (1.0 - rate)
    skill: Floats = 1.0 - np.divide(score, base, out=np.full(np.shape(score), np.nan), where=base > 0.0)
    return skill


def _root(square: float) -> float:
    return math.sqrt(max(square, 0.0))
