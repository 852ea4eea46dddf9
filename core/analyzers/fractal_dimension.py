"""Whether the price line is smooth, rough like a random walk, or choppy: its fractal dimension D.

D lies between 1 (a straight line) and 2 (a line that fills the plane); a random walk has 1.5. For a self-affine path
D = 2 - H, H the Hurst exponent of the moves.

- `dimension` is 2 - H with H by Whittle's likelihood for fractional Gaussian noise (see hurst_exponent): the sharpest
  estimate there is (standard error 0.03 at n = 500), where counting boxes or lengths of the path has 0.03 to 0.05. Its
  95 % interval is the curvature of the likelihood; clusters of volatility make it too narrow.
- `p_value` is the chance that a random walk, clusters of volatility included, lies so far from 1.5 on either side. Near
  a random walk the estimate is a weighted sum of autocorrelations, H - 1/2 = sum_k a_k r_k. The squared error is the
  curvature's, plus for each lag k <= 20, where nearly all the weight lies, a_k^2 times what sum x_t^2 x_{t+k}^2 /
  (sum x_t^2)^2 has beyond (n - k) / n^2, its value without clusters. This is the verdict.
- `higuchi` is Higuchi's dimension over lags 1 to 10, the trader's classic, shown for comparison.

Good for: telling markets where moves run on from those where they are taken back. Not good for: direction, so the vote
is always 0 (hurst_exponent votes on the same persistence, and once is enough); nor for a steady drift with independent
noise, which is as rough as a random walk; a short echo such as AR(0.2) passes for smoothness, and of a line made of a
few rhythms far apart no method finds D in 500 candles.

Sources: Mandelbrot and Van Ness 1968, doi 10.1137/1010093 (D = 2 - H); Fox and Taqqu 1986, doi 10.1214/aos/1176349936;
Higuchi 1988, doi 10.1016/0167-2789(88)90081-4; Lobato, Nankervis and Savin 2001, doi 10.1111/1468-2354.00106 (errors
of autocorrelations under clusters of volatility).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.special import erfc

from core.analysis import Columns, Field, Opinion, Values
from core.kernels.fractional_noise import GRID_STEP, NoiseSpectrum, noise_spectrum, smooth_length
from core.kernels.scaling import Spectra, standardise, whittle
from core.market import Floats, Windows

FIELDS = {
    "dimension": Field("1 a straight line, 1.5 a random walk, 2 fills the plane (2 - H, Whittle)", low=1.0, high=2.0),
    "dimension_low": Field("lower end of its 95 % interval", low=1.0, high=2.0),
    "dimension_high": Field("upper end of its 95 % interval", low=1.0, high=2.0),
    "p_value": Field("chance that a random walk lies so far from 1.5", low=0.0, high=1.0),
    "higuchi": Field("Higuchi's dimension over lags 1 to 10, shown for comparison"),
    "sample_size": Field("returns used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move is the same size (or there is none), or they only alternate: no roughness to measure"

# A standard deviation of the log returns, or a mean distance over a lag, below this is rounding.
ROUNDING = 1e-12
# Less of the power than this below the highest frequency: the moves alternate and do nothing else.
LEAST_POWER = 1e-9
# 1.96 standard errors to either side hold 95 %.
HALF_WIDTH = 1.96
# The usual number of lags for Higuchi's dimension in short series.
HIGUCHI_LAGS = 10
# The weights fall like 1 / k: the first 20 lags hold 97 % of the squared weight.
CLUSTER_LAGS = 20
# Ten coins every five minutes are 2,880 windows a day: at 5 % chance alone would name 144 of them.
LEVEL = 0.01


class Tables(NamedTuple):
    """All that depends on the number of returns only, not on the market."""

    size: int
    noise: NoiseSpectrum
    weights: Floats
    walk_variance: float
    shares: Floats


def analyze(windows: Windows) -> Columns:
    """The dimensions of each row.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: returns all equal, or of one size with signs in turn, give NaN throughout; a path that comes back to
    the same prices every few candles gives no Higuchi dimension. As in hurst_exponent the spectrum leaves out the few
    oldest returns (at most 4 %) where their number would make the Fourier transform slow.
    """
    returns = windows.log_returns()
    tables = _tables(returns.shape[1])
    values, _, _ = standardise(returns, ROUNDING)
    spectra = np.fft.rfft(values[:, -tables.size :], axis=1)
    hurst, cells = whittle(spectra, tables.noise.inverse_density, tables.noise.mean_log_density, tables.noise.grid)
    excess, higuchi = np.empty((2, len(windows)))
    _measure(returns, values, spectra, (tables.weights, tables.shares), (ROUNDING, LEAST_POWER), (excess, higuchi))
    dimension = 2.0 - hurst + 0.0 * excess
    margin = HALF_WIDTH * tables.noise.errors[cells]
    distance = np.abs(dimension - 1.5) / np.sqrt(tables.walk_variance + np.maximum(excess, 0.0))
    return {
        "dimension": dimension,
        "dimension_low": np.maximum(dimension - margin, 1.0),
        "dimension_high": np.minimum(dimension + margin, 2.0),
        "p_value": np.asarray(erfc(distance / math.sqrt(2.0))),
        "higuchi": higuchi,
        "sample_size": np.full(len(windows), float(tables.size)),
    }


def read(values: Values) -> Opinion:
    """A filter: no direction, only how rough the path is beside a random walk."""
    dimension, chance = values["dimension"], values["p_value"]
    numbers = f"dimension {dimension:.2f} ({values['dimension_low']:.2f}-{values['dimension_high']:.2f})"
    numbers += f", chance {chance:.2g}"
    if chance >= LEVEL:
        return Opinion(0.0, f"Random-walk-like, neither smooth nor choppy: {numbers}.")
    if dimension < 1.5:
        return Opinion(0.0, f"Smooth, moves run on further than in a random walk: {numbers}.")
    return Opinion(0.0, f"Choppy, moves are taken back more than in a random walk: {numbers}.")


@lru_cache(maxsize=64)
def _tables(returns: int) -> Tables:
    """The spectrum, and what an autocorrelation r_k adds to H near a random walk: the weights a_1..a_20.

    With g the slope of the log density over H at 1/2, less its mean over F frequencies, H - 1/2 is
    sum_j I_j g_j / (sum_j I_j mean g^2), and I_j = 1 + 2 sum_k r_k cos(k w_j) up to a factor.
    """
    size = smooth_length(returns)
    noise = noise_spectrum(size)
    below = int(np.searchsorted(noise.grid, 0.5)) - 1
    slope = np.log(noise.inverse_density[:, below] / noise.inverse_density[:, below + 1]) / GRID_STEP
    slope -= slope.mean()
    information = float((slope**2).mean())
    lags = np.arange(1, CLUSTER_LAGS + 1)
    weights = 2.0 * (np.cos(lags[:, None] * noise.waves) * slope).mean(axis=1) / information
    return Tables(size, noise, weights, 1.0 / (slope.size * information), _higuchi_shares(returns + 1))


def _higuchi_shares(points: int) -> Floats:
    """What |x_{t+k} - x_t| adds to the length of a path of N points in steps of k, the mean over its k starts.

    From the start m = t mod k there are s = floor((N - 1 - m) / k) steps, and each adds (N - 1) / (s k^3).
    Shape: (N, 10); 0 where t + k lies beyond the path.
    """
    lags = np.arange(1, HIGUCHI_LAGS + 1)
    places = np.arange(points)[:, None]
    steps = (points - 1 - places % lags) // lags
    return np.where(places + lags < points, (points - 1) / (steps * lags**3), 0.0)


@njit(cache=True, nogil=True)
def _measure(
    returns: Floats,
    values: Floats,
    spectra: Spectra,
    tables: tuple[Floats, Floats],
    limits: tuple[float, float],
    columns: tuple[Floats, Floats],
) -> None:
    """Fill in, for each row, the excess of the squared error by clusters of volatility, and Higuchi's dimension."""
    weights, shares = tables
    rounding, least_power = limits
    excess, higuchi = columns
    size = returns.shape[1]
    path = np.zeros(size + 1 + shares.shape[1])
    for row in range(returns.shape[0]):
        excess[row] = higuchi[row] = math.nan
        power = 0.0
        for wave in spectra[row, 1 : (size - 1) // 2 + 1]:
            power += wave.real * wave.real + wave.imag * wave.imag
        if not power > least_power * size * size:
            continue
        excess[row] = _cluster_excess(values[row], weights)
        for place in range(size):
            path[place + 1] = path[place] + returns[row, place]
        higuchi[row] = _higuchi(path, shares, rounding)


@njit(cache=True, nogil=True)
def _cluster_excess(values: Floats, weights: Floats) -> float:
    """Sum over the lags of weight^2 (sum x_t^2 x_{t+k}^2 / (sum x_t^2)^2 - (n - k) / n^2), x standardised."""
    size = values.size
    lags = weights.size
    squares = np.zeros(size + lags)
    for place in range(size):
        squares[place] = values[place] * values[place]
    # Along the lags, so that the loop is vectorised without changing the order of any sum.
    products = np.zeros(lags)
    for place in range(size):
        for lag in range(lags):
            products[lag] += squares[place] * squares[place + lag + 1]
    excess = 0.0
    for lag in range(lags):
        excess += weights[lag] ** 2 * (products[lag] - (size - lag - 1)) / (size * size)
    return excess


@njit(cache=True, nogil=True)
def _higuchi(path: Floats, shares: Floats, rounding: float) -> float:
    """Slope of log length over log 1/k, the length of the path measured in steps of k; NaN where one is 0.

    The path is followed by as many values as there are lags, which count nothing.
    """
    size, lags = shares.shape
    lengths = np.zeros(lags)
    for place in range(size):
        for lag in range(lags):
            lengths[lag] += shares[place, lag] * abs(path[place + lag + 1] - path[place])
    across = up = product = square = 0.0
    for lag in range(lags):
        if lengths[lag] <= rounding:
            return math.nan
        inverse = -math.log(lag + 1.0)
        height = math.log(lengths[lag])
        across += inverse
        up += height
        product += inverse * height
        square += inverse * inverse
    return float((lags * product - across * up) / (lags * square - across * across))
