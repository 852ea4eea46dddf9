"""The price without its noise, and whether its slope is more than chance: the Kalman filter of the log closes.

Log close y_t = level m_t + noise e_t, and m_{t+1} = m_t + n_t. What n moves stays, what e moves is taken back.

- The variances of n and e are those of maximum likelihood with an exactly diffuse start: nothing is assumed about the
  price before the window. Their ratio is sought from 0 (a level that never moves) to infinity (no noise), both
  included. The likelihood is that of the returns, whose covariance is tridiagonal, so a sine transform z_j makes it a
  plain sum: minimise n log(sum_j z_j^2 / v_j) + sum_j log v_j over v_j = var n + var e (2 - 2 cos(pi j / T)).
- `level` is the filtered m of the last candle. `level_error_percent` counts that the ratio is not known either: it is
  the root mean square error over all ratios, each weighted by its likelihood (noise shares equally likely beforehand).
  Half of all random walks show no noise: then the level is the close, but the error is not 0.
- `slope_percent` comes from a second filter, whose level has a slope that wanders (local linear trend), with given
  variances: those found above, and for the slope 1/100 of the level's deviation a candle. So it remembers about 100
  candles: long enough to see a drift of 0.3 deviations a candle, short enough to turn.
- `slope_z` judges it against a market without drift: the slope is a sum of weights w_t times the innovations u_t of the
  first filter, and its error is sqrt(sum w_t^2 u_t^2), which clusters of volatility do not mislead.
- `innovation_z` is how far the last close was off its forecast, in standard deviations.

The vote is 0 up to |slope_z| = 2 and grows from there to a whole one at 4; it is 0 as well when the last innovation is
beyond 6 (a bad print, or news), until the next candle.

Good for: a level free of bid-ask bounce, steady drifts, bad prints. Not good for: markets that turn within fewer than
50 candles; small noise (500 candles tell the share to about 0.1, fewer or clustered ones to less); and that a slope was
there is no promise that it stays.

Sources: Durbin and Koopman 2012, doi 10.1093/acprof:oso/9780199641178.001.0001 (both filters, diffuse start); Harvey
1989, doi 10.1017/CBO9781107049994; Hamilton 1986, Journal of Econometrics 33, 387-397 (error of a level whose variances
are estimated); White 1980, doi 10.2307/1912934 (error of the slope).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import erfc

from core.analysis import Columns, Field, Opinion, Values
from core.market import Floats, Windows

Spectra = NDArray[np.complex128]

FIELDS = {
    "slope_z": Field("slope in its standard errors: within 2 either way it may be chance"),
    "slope_p_value": Field("chance of so steep a slope in a market without drift", low=0.0, high=1.0),
    "slope_percent": Field("slope of the denoised price, percent a candle"),
    "slope_error_percent": Field("its standard error in a market without drift", low=0.0),
    "level": Field("denoised price, in the price's own unit", low=0.0),
    "level_error_percent": Field("its standard error, percent", low=0.0),
    "level_gap_percent": Field("how far the close stands above the denoised price, percent"),
    "innovation_z": Field("last close against its forecast, in standard deviations: beyond 6 suspicious"),
    "noise_share": Field("share of the returns' variance that is noise and taken back", low=0.0, high=1.0),
    "signal_to_noise": Field("variance of lasting moves over that of noise; missing where no noise shows", low=0.0),
    "log_likelihood": Field("of the returns, at the best variances of level and noise"),
    "sample_size": Field("returns used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "the price does not move in this window: nothing to filter"

# Log returns whose root mean square is below this differ by rounding only.
ROUNDING = 1e-12
# Noise of less than a millionth of the level's variance is rounding of the search.
LEAST_NOISE = 1e-6
# Each of Newton's steps squares the error: after one of this size, relative to the variance, nothing is left.
PRECISION = 1e-9
# Ratios a thousand times less likely than the best add nothing to the level's error.
LEAST_CHANCE = 1e-3
# Variance of the slope's moves over that of the level's: a gain of 1/100 a candle, so a memory of 100 candles.
SLOPE_RATIO = 1e-4
# Of random walks 19 in 20 stay within two standard errors, and about one in 10,000 goes beyond four.
QUIET_SLOPE, FULL_VOTE_SLOPE = 2.0, 4.0
# With fat tails and clusters one or two honest candles in a thousand are beyond six deviations; bad prints mostly are.
SUSPICIOUS = 6.0
# Noise of less than a tenth of the returns' variance hardly changes the level.
NOISY_SHARE = 0.1


class Grid(NamedTuple):
    """Variances of level and noise by ascending ratio, the larger of each pair 1, and what their likelihoods need."""

    waves: Floats
    levels: Floats
    noises: Floats
    inverse: Floats
    log_determinants: Floats
    widths: Floats


def analyze(windows: Windows) -> Columns:
    """Filtered level, slope and last innovation of each row.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: a price that does not move gives NaN throughout; without noise signal_to_noise is infinite, so NaN.
    """
    logs = np.log(windows.close)
    # The sine transform of n returns is part of a Fourier transform over 2T places, the first of them 0.
    returns = np.diff(logs, axis=1, prepend=logs[:, :1])
    spectra = np.fft.rfft(returns, 2 * windows.length, axis=1)
    table = np.full((len(FIELDS), len(windows)), np.nan)
    limits = (ROUNDING, LEAST_NOISE, PRECISION, LEAST_CHANCE, SLOPE_RATIO)
    _measure(logs, spectra, _grid(windows.length), limits, table)
    columns = dict(zip(FIELDS, table, strict=True))
    columns["slope_p_value"] = np.asarray(erfc(np.abs(columns["slope_z"]) / math.sqrt(2.0)))
    columns["level"] = windows.close[:, -1] / (1.0 + columns["level_gap_percent"] / 100.0)
    columns["sample_size"] = np.full(len(windows), windows.length - 1.0)
    return columns


def read(values: Values) -> Opinion:
    """Follow the slope as far as chance does not explain it; a suspicious last candle silences the vote."""
    slope, innovation, noise = values["slope_z"], values["innovation_z"], values["noise_share"]
    if abs(innovation) > SUSPICIOUS:
        return Opinion(0.0, f"Suspicious last candle, bad print or news: {innovation:+.1f} sd off its forecast.")
    numbers = f"slope {values['slope_percent']:+.4f} % a candle (z {slope:+.1f}), "
    if noise > NOISY_SHARE:
        gap = values["level_gap_percent"]
        numbers += f"close {abs(gap):.3f} % {'above' if gap >= 0.0 else 'below'} it, {100.0 * noise:.0f} % noise"
    else:
        numbers += "hardly any noise"
    strength = (abs(slope) - QUIET_SLOPE) / (FULL_VOTE_SLOPE - QUIET_SLOPE)
    if strength <= 0.0:
        return Opinion(0.0, f"The denoised price has no slope beyond chance: {numbers}.")
    manner = "clearly" if strength >= 1.0 else "probably"
    direction = "rises" if slope > 0.0 else "falls"
    words = f"The denoised price {manner} {direction}: {numbers}."
    return Opinion(math.copysign(min(strength, 1.0), slope), words)


@lru_cache(maxsize=64)
def _grid(length: int) -> Grid:
    """Ratios from 0 over doublings to infinity, for windows of this length.

    To the likelihood a ratio below (pi / T)^2 / 150 is as good as 0, one above 1,024 as good as infinity.
    """
    waves = 4.0 * np.sin(0.5 * math.pi * np.arange(1, length) / length) ** 2
    rising = 0.5 ** np.arange(math.ceil(2.0 * math.log2(length)) + 4, 0, -1)
    falling = 0.5 ** np.arange(11)
    levels = np.concatenate([[0.0], rising, np.ones(falling.size + 1)])
    noises = np.concatenate([np.ones(rising.size + 1), falling, [0.0]])
    spectra = levels + noises * waves[:, None]
    widths = -np.gradient(2.0 * noises / (levels + 2.0 * noises))
    return Grid(waves, levels, noises, 1.0 / spectra, np.log(spectra).sum(axis=0), widths)


@njit(cache=True, nogil=True)
def _measure(
    logs: Floats,
    spectra: Spectra,
    grid: Grid,
    limits: tuple[float, float, float, float, float],
    table: Floats,
) -> None:
    """Fill one column of the table, in the order of the fields, for each row that moves."""
    rounding, least_noise, precision, least_chance, slope_ratio = limits
    rows, length = logs.shape
    size = length - 1
    steps, trend_steps = np.empty((length, 2)), np.empty((length, 2))
    for row in range(rows):
        powers = spectra[row, 1:length].imag ** 2
        if math.sqrt(2.0 * powers.sum() / (length * size)) <= rounding:
            continue
        values = logs[row] - logs[row, 0]
        losses = _losses(powers, grid)
        own, noise = _best_variances(powers, losses, grid, least_noise, precision)
        mean, square = _spread_of_level(values, losses, grid, least_chance, steps)
        level, _, forecast, log_determinant, squares = local_level(values, own, noise, steps)
        _, slope = local_linear_trend(values, own, noise, slope_ratio * own, trend_steps)
        gap = values[size] - level
        scale = squares / size
        slope_error = math.sqrt(_slope_variance(trend_steps, steps))
        if slope_error > 0.0:
            table[0, row] = slope / slope_error
        table[2, row] = 100.0 * math.expm1(slope)
        table[3, row] = 100.0 * slope_error
        table[5, row] = 100.0 * math.sqrt(max(square - 2.0 * gap * mean + gap * gap, 0.0))
        table[6, row] = 100.0 * math.expm1(gap)
        table[7, row] = steps[size, 1] / math.sqrt(scale * forecast)
        table[8, row] = 2.0 * noise / (own + 2.0 * noise)
        if noise > 0.0:
            table[9, row] = own / noise
        table[10, row] = -0.5 * (size * (math.log(2.0 * math.pi * scale) + 1.0) + log_determinant)


@njit(cache=True, nogil=True)
def local_level(values: Floats, own: float, noise: float, steps: Floats) -> tuple[float, float, float, float, float]:
    """Filter of a level with variance `own` a candle in noise; the first value only starts it (exactly diffuse).

    Fills gain and innovation of every step. Returns the last filtered level, its variance, that of the last innovation,
    and over all innovations sum log variance and sum square / variance; the log-likelihood of n returns is
    -(n log(2 pi) + both) / 2. The gain falls from candle to candle until rounding stops it, and is then kept.
    """
    level, variance, forecast = values[0], noise, 0.0
    gain, log_forecast, log_determinant, squares = 1.0, 0.0, 0.0, 0.0
    settled = False
    for place in range(1, values.size):
        if not settled:
            forecast = variance + own + noise
            before, gain = gain, (variance + own) / forecast
            variance = gain * noise
            log_forecast = math.log(forecast)
            settled = gain >= before
        innovation = values[place] - level
        level += gain * innovation
        log_determinant += log_forecast
        squares += innovation * innovation / forecast
        steps[place, 0], steps[place, 1] = gain, innovation
    return level, variance, forecast, log_determinant, squares


@njit(cache=True, nogil=True)
def local_linear_trend(values: Floats, own: float, noise: float, bending: float, steps: Floats) -> tuple[float, float]:
    """Filter of a level whose slope wanders with variance `bending`; the first two values only start it.

    Fills the gains of level and slope of every step from the third value on. Returns the last filtered level and slope.
    """
    level, slope = values[1], values[1] - values[0]
    # Variance of the level, covariance of both, variance of the slope.
    flat, mixed, steep = noise, noise, 2.0 * noise + own + bending
    for place in range(2, values.size):
        flat += 2.0 * mixed + steep + own
        mixed += steep
        forecast = flat + noise
        level_gain, slope_gain = flat / forecast, mixed / forecast
        innovation = values[place] - level - slope
        level += slope + level_gain * innovation
        slope += slope_gain * innovation
        steep += bending - slope_gain * mixed
        flat, mixed = level_gain * noise, slope_gain * noise
        steps[place, 0], steps[place, 1] = level_gain, slope_gain
    return level, slope


@njit(cache=True, nogil=True)
def _slope_variance(trend_steps: Floats, steps: Floats) -> float:
    """Sum over t of (weight_t innovation_t)^2, where the slope is the sum of weight_t innovation_t.

    Backwards through the trend's filter to the weight of each value in the last slope, and on through the level's
    filter, whose every innovation enters all later values.
    """
    of_level, of_slope, later, variance = 0.0, 1.0, 0.0, 0.0
    for place in range(steps.shape[0] - 1, 0, -1):
        weight = of_level + of_slope
        if place > 1:
            weight = of_level * trend_steps[place, 0] + of_slope * trend_steps[place, 1]
            of_level, of_slope = of_level - weight, of_level + of_slope - weight
        variance += ((weight + steps[place, 0] * later) * steps[place, 1]) ** 2
        later += weight
    return variance


@njit(cache=True, nogil=True)
def _spread_of_level(
    values: Floats, losses: Floats, grid: Grid, least_chance: float, steps: Floats
) -> tuple[float, float]:
    """Mean gap of the close above the level and its mean square, over all ratios by their likelihood.

    The mean square counts the filter's own error at each ratio.
    """
    chances = grid.widths * np.exp(0.5 * (losses.min() - losses))
    least = least_chance * chances.max()
    total = mean = square = 0.0
    for point in range(chances.size):
        if chances[point] > least:
            level, variance, _, _, squares = local_level(values, grid.levels[point], grid.noises[point], steps)
            gap = values[-1] - level
            total += chances[point]
            mean += chances[point] * gap
            square += chances[point] * (gap * gap + variance * squares / (values.size - 1))
    return mean / total, square / total


@njit(cache=True, nogil=True)
def _losses(powers: Floats, grid: Grid) -> Floats:
    """-2 log-likelihood of every ratio of the grid, up to a constant. The inner loop is vectorised along the grid."""
    sums = np.zeros(grid.levels.size)
    for wave in range(powers.size):
        for point in range(sums.size):
            sums[point] += powers[wave] * grid.inverse[wave, point]
    return powers.size * np.log(sums) + grid.log_determinants


@njit(cache=True, nogil=True)
def _best_variances(
    powers: Floats, losses: Floats, grid: Grid, least_noise: float, precision: float
) -> tuple[float, float]:
    """Variances of level and noise, the larger of them 1, that make the returns most likely.

    From the best ratio of the grid towards the neighbour to which the loss falls, by Newton's steps or else halves.
    """
    best = int(np.argmin(losses))
    own, noise = grid.levels[best], grid.noises[best]
    rise, _ = _derivatives(powers, grid.waves, own, noise, noise == 1.0)
    neighbour = best + 1 if (rise < 0.0) == (noise == 1.0) else best - 1
    if neighbour < 0 or neighbour == losses.size:
        return own, noise
    by_level = noise == 1.0 and grid.noises[neighbour] == 1.0
    here, there = (own, grid.levels[neighbour]) if by_level else (noise, grid.noises[neighbour])
    low, high = min(here, there), max(here, there)
    for _ in range(60):
        own, noise = (here, 1.0) if by_level else (1.0, here)
        rise, bend = _derivatives(powers, grid.waves, own, noise, by_level)
        low, high = (low, here) if rise > 0.0 else (here, high)
        before, here = here, here - rise / bend if bend > 0.0 else low
        if not low < here < high:
            here = 0.5 * (low + high)
        if abs(here - before) <= precision * here:
            break
    if by_level:
        return here, 1.0
    return 1.0, here if here > least_noise else 0.0


@njit(cache=True, nogil=True)
def _derivatives(powers: Floats, waves: Floats, own: float, noise: float, by_level: bool) -> tuple[float, float]:
    """First and second derivative of n log(sum z^2 / v) + sum log v by the variance of the level, or by the noise's."""
    total = first = second = trace = square = 0.0
    for wave in range(powers.size):
        inverse = 1.0 / (own + noise * waves[wave])
        share = inverse if by_level else inverse * waves[wave]
        power = powers[wave] * inverse
        total += power
        first += power * share
        second += power * share * share
        trace += share
        square += share * share
    pull = first / total
    return trace - powers.size * pull, powers.size * (2.0 * second / total - pull * pull) - square
