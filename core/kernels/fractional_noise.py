"""The spectrum of fractional Gaussian noise on a grid of Hurst exponents H, as Whittle's likelihood needs it.

All of it depends on the number of returns only and is kept; the likelihood itself is `whittle` in scaling.py.

Source: Fox and Taqqu 1986, doi 10.1214/aos/1176349936.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import zeta

from core.market import Floats

# H on a grid of 0.02, refined by a parabola: the error of this (< 0.001) is small beside the standard error.
GRID_START, GRID_STEP, GRID_SIZE = 0.03, 0.02, 48


class NoiseSpectrum(NamedTuple):
    """Fourier frequencies above zero and below the highest, and at each H of the grid what Whittle needs there.

    Shape: `waves` (F,), `grid` (K,), `inverse_density` (F, K), `mean_log_density` (K,); `errors` (K,) are the standard
    errors of H by the curvature of the likelihood.
    """

    waves: Floats
    grid: Floats
    inverse_density: Floats
    mean_log_density: Floats
    errors: Floats


@lru_cache(maxsize=64)
def noise_spectrum(size: int) -> NoiseSpectrum:
    """The spectrum at the Fourier frequencies of `size` returns.

    >>> print(round(float(noise_spectrum(512).errors[24]), 3))  # at H = 0.51
    0.029
    """
    waves = 2.0 * math.pi * np.arange(1, (size - 1) // 2 + 1) / size
    grid = np.asarray(GRID_START + GRID_STEP * np.arange(GRID_SIZE), dtype=np.float64)
    log_density = _log_density(waves[:, None], grid)
    sensitivity = np.gradient(log_density, GRID_STEP, axis=1)
    spread = ((sensitivity - sensitivity.mean(axis=0)) ** 2).sum(axis=0)
    return NoiseSpectrum(
        waves=waves,
        grid=grid,
        inverse_density=np.exp(-log_density),
        mean_log_density=log_density.mean(axis=0),
        errors=1.0 / np.sqrt(spread),
    )


def smooth_length(size: int) -> int:
    """The largest length up to `size` without a prime factor above 13, which the Fourier transform does fast.

    >>> smooth_length(499), smooth_length(512)
    (495, 512)
    """
    for length in range(size, 1, -1):
        rest = length
        for factor in (2, 3, 5, 7, 11, 13):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
    return size


def _log_density(waves: Floats, hurst: Floats) -> Floats:
    """Log spectral density of fractional Gaussian noise up to a constant; the sum over aliases is a Hurwitz zeta."""
    power = 2.0 * hurst + 1.0
    turns = waves / (2.0 * math.pi)
    aliases = zeta(power, turns) + zeta(power, 1.0 - turns)
    return np.asarray(np.log(1.0 - np.cos(waves)) - power * math.log(2.0 * math.pi) + np.log(aliases))
