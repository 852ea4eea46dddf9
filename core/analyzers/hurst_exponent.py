"""Whether moves persist or revert: the Hurst exponent H of the returns, estimated twice, each with its 95 % interval.

H = 0.5 is a random walk, above it moves follow moves, below it they are taken back.

- `hurst`: Whittle's likelihood for fractional Gaussian noise. Over the Fourier frequencies w_j of n returns with
  periodogram I, minimise log mean_j(I_j / f(w_j; H)) + mean_j log f(w_j; H), where
  f(w; H) = (1 - cos w) (2 pi)^(-2H-1) [zeta(2H+1, w/2pi) + zeta(2H+1, 1 - w/2pi)]. The sharpest estimate there is
  (0.028 standard error at n = 512), but it takes a short echo such as AR(0.2) for persistence.
- `hurst_robust`: local Whittle, the same with f(w; H) = w^(1-2H) on the lowest n^0.65 frequencies. Blunter (about
  0.07), but short echoes do not reach it.
- `rescaled_range` (R/S over halves of halves, less its expectation for chance by Anis and Lloyd) and `dfa` (detrended
  fluctuations, boxes of 4 to n/10) are the classics, shown for comparison; nothing is decided on them.

The intervals come from the curvature of the likelihood at the estimate. Clusters of volatility make them too narrow
(they hold 85 % instead of 95); hence the verdict "trending" or "mean-reverting" needs 0.5 outside both, and a vote
needs H above 0.6 or below 0.4.

The vote follows `momentum` when trending and opposes it when mean-reverting. Momentum is the sum of the returns, each
weighted by 1 / sqrt(age), over its standard deviation in a random walk: recent candles count most, old ones still do.
Moves that revert around a strong drift (momentum beyond 3 standard deviations) are not faded: the vote is 0.

Good for: telling a walk from a persistent market over hundreds of candles. Not good for: a steady drift with
independent noise, which is a random walk to H; nor for the next candle.

Sources: Fox and Taqqu 1986, doi 10.1214/aos/1176349936; Robinson 1995, doi 10.1214/aos/1176324317 (local Whittle);
Anis and Lloyd 1976, doi 10.1093/biomet/63.1.111; Peng et al. 1994, doi 10.1103/PhysRevE.49.1685 (DFA).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from core.analysis import Columns, Field, Opinion, Values
from core.kernels.fractional_noise import NoiseSpectrum, noise_spectrum, smooth_length
from core.kernels.scaling import Sizes, fluctuation, rescaled_range, standardise, whittle
from core.market import Floats, Windows

FIELDS = {
    "hurst": Field("0.5 random walk, above it trending, below it mean-reverting (Whittle)", low=0.0, high=1.0),
    "hurst_low": Field("lower end of its 95 % interval", low=0.0, high=1.0),
    "hurst_high": Field("upper end of its 95 % interval", low=0.0, high=1.0),
    "hurst_robust": Field("the same from slow swings only, blind to short echoes (local Whittle)", low=0.0, high=1.0),
    "hurst_robust_low": Field("lower end of its 95 % interval", low=0.0, high=1.0),
    "hurst_robust_high": Field("upper end of its 95 % interval", low=0.0, high=1.0),
    "rescaled_range": Field("R/S estimate corrected by Anis and Lloyd, shown for comparison"),
    "dfa": Field("detrended fluctuation exponent, shown for comparison"),
    "momentum": Field("weighted sum of recent returns in its standard deviations: up positive, down negative"),
    "sample_size": Field("returns used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move of the window is the same size (or there is none): nothing persists or reverts"

# A standard deviation of the log returns below this is rounding.
ROUNDING = 1e-12
# 1.96 standard errors to either side hold 95 %.
HALF_WIDTH = 1.96
# Local Whittle uses n^0.65 frequencies: the usual compromise between bias by short echoes and variance.
ROBUST_POWER = 0.65
SMALLEST_RANGE_BOX = 8
SMALLEST_TREND_BOX = 4
# H = 0.6 is half a vote, 0.7 a whole one; the product follows momentum above 0.6 only.
FULL_VOTE_DISTANCE = 0.2
VOTE_DISTANCE = 0.1
# A market that takes its moves back cannot run this far: beyond it the moves revert around a drift.
LARGEST_REVERTING_MOMENTUM = 3.0


class Tables(NamedTuple):
    """All that depends on the number of returns only, not on the market."""

    size: int
    noise: NoiseSpectrum
    local_inverse: Floats
    local_mean_log: Floats
    local_error: float
    ages: Floats
    range_boxes: Sizes
    range_logs: Floats
    trend_boxes: Sizes


def analyze(windows: Windows) -> Columns:
    """The Hurst numbers of each row.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: returns all equal give NaN throughout. A length with a large prime factor makes the Fourier transform
    five times slower, so the spectrum leaves out the few oldest returns (at most 4 %) to avoid it.
    """
    returns = windows.log_returns()
    tables = _tables(returns.shape[1])
    noise = tables.noise
    values, _, deviations = standardise(returns, ROUNDING)
    spectra = np.fft.rfft(values[:, -tables.size :], axis=1)
    hurst, cells = whittle(spectra, noise.inverse_density, noise.mean_log_density, noise.grid)
    robust, _ = whittle(spectra, tables.local_inverse, tables.local_mean_log, noise.grid)
    margin = HALF_WIDTH * noise.errors[cells]
    robust_margin = HALF_WIDTH * tables.local_error
    return {
        "hurst": hurst,
        "hurst_low": np.maximum(hurst - margin, 0.0),
        "hurst_high": np.minimum(hurst + margin, 1.0),
        "hurst_robust": robust,
        "hurst_robust_low": np.maximum(robust - robust_margin, 0.0),
        "hurst_robust_high": np.minimum(robust + robust_margin, 1.0),
        "rescaled_range": rescaled_range(values, tables.range_boxes, tables.range_logs),
        "dfa": fluctuation(values, tables.trend_boxes),
        "momentum": np.einsum("bt,t->b", returns, tables.ages) / deviations,
        "sample_size": np.full(len(windows), float(tables.size)),
    }


def read(values: Values) -> Opinion:
    """Follow momentum when both numbers say trending, oppose it when both say mean-reverting, else stay out."""
    hurst, momentum = values["hurst"], values["momentum"]
    numbers = f"Hurst {hurst:.2f} ({values['hurst_low']:.2f}-{values['hurst_high']:.2f}), robust"
    numbers += f" {values['hurst_robust']:.2f} ({values['hurst_robust_low']:.2f}-{values['hurst_robust_high']:.2f})"
    trending = min(values["hurst_low"], values["hurst_robust_low"]) > 0.5
    reverting = max(values["hurst_high"], values["hurst_robust_high"]) < 0.5
    if not (trending or reverting):
        return Opinion(0.0, f"Near a random walk, stay out: {numbers}.")
    state = "Trending" if trending else "Mean-reverting"
    if abs(hurst - 0.5) <= VOTE_DISTANCE:
        return Opinion(0.0, f"{state}, but too weakly to trade: {numbers}.")
    if reverting and abs(momentum) > LARGEST_REVERTING_MOMENTUM:
        return Opinion(0.0, f"{state} around a drift ({momentum:+.1f} sd), which is not to be faded: {numbers}.")
    lean = min(max((hurst - 0.5) / FULL_VOTE_DISTANCE, -1.0), 1.0)
    vote = lean * min(max(momentum, -1.0), 1.0)
    action = "follow" if trending else "fade"
    return Opinion(vote, f"{state}, {action} the momentum of {momentum:+.1f} sd: {numbers}.")


@lru_cache(maxsize=64)
def _tables(returns: int) -> Tables:
    """Everything that the number of returns fixes: densities over the grid of H, errors, weights, box sizes."""
    size = smooth_length(returns)
    noise = noise_spectrum(size)
    low = np.log(noise.waves[: int(size**ROBUST_POWER)])
    local_log_density = low[:, None] * (1.0 - 2.0 * noise.grid)
    ages = 1.0 / np.sqrt(np.arange(returns, 0, -1.0))
    range_boxes = [returns >> halving for halving in range(1, 16) if returns >> halving >= SMALLEST_RANGE_BOX]
    return Tables(
        size=size,
        noise=noise,
        local_inverse=np.exp(-local_log_density),
        local_mean_log=local_log_density.mean(axis=0),
        local_error=float(0.5 / np.sqrt(((low - low.mean()) ** 2).sum())),
        ages=ages / math.sqrt(float((ages**2).sum())),
        range_boxes=np.array(range_boxes),
        range_logs=np.array([_expected_range_log(box) for box in range_boxes]),
        trend_boxes=_trend_boxes(returns),
    )


def _expected_range_log(box: int) -> float:
    """Log of the expected R/S of independent normal values: G((n-1)/2) / (sqrt pi G(n/2)) sum sqrt((n-i)/i)."""
    places = np.arange(1, box)
    gammas = gammaln((box - 1) / 2.0) - gammaln(box / 2.0) - 0.5 * math.log(math.pi)
    return float(gammas + math.log(float(np.sqrt((box - places) / places).sum())))


def _trend_boxes(size: int) -> Sizes:
    """Box sizes from 4 to a tenth of the sample, each about 1.2 times the one before: the usual choice for DFA."""
    steps = int(math.log(0.1 * size / SMALLEST_TREND_BOX) / math.log(1.2))
    return np.unique([int(SMALLEST_TREND_BOX * 1.2**step) for step in range(steps + 1)])
