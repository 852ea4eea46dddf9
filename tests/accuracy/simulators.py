"""Series whose truth is known. Written without any code of the product, so that neither can hide the other's fault."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.market import Windows

Floats = NDArray[np.float64]

WARM_UP = 300
# A five-minute return of half a percent: the size itself is irrelevant to every theory tested here.
TYPICAL_RETURN = 0.005


def windows_of(returns: Floats) -> Windows:
    """Windows whose closes have these log returns, in units of a typical one."""
    rows, size = returns.shape
    start = np.zeros((rows, 1))
    closes = 100.0 * np.exp(np.concatenate([start, np.cumsum(TYPICAL_RETURN * returns, axis=1)], axis=1))
    times = np.tile(300_000 * np.arange(size + 1, dtype=np.int64), (rows, 1))
    block = np.ascontiguousarray(np.stack([closes, closes, closes, closes, np.ones_like(closes)]))
    return Windows(("BTC-USD",) * rows, "5m", times, block)


def fractional_noise(rng: np.random.Generator, rows: int, size: int, hurst: float) -> Floats:
    """Exact fractional Gaussian noise by circulant embedding (Davies and Harte 1987).

    Real and imaginary part of one transform are independent series.
    """
    lags = np.arange(size + 1, dtype=np.float64)
    power = 2.0 * hurst
    covariance = 0.5 * (np.abs(lags - 1.0) ** power - 2.0 * lags**power + (lags + 1.0) ** power)
    eigenvalues = np.fft.fft(np.concatenate([covariance, covariance[-2:0:-1]])).real
    assert eigenvalues.min() > -1e-9, "the embedding of fractional noise is non-negative"
    length = eigenvalues.size
    pairs = (rows + 1) // 2
    noise = rng.standard_normal((pairs, length)) + 1j * rng.standard_normal((pairs, length))
    coloured = np.fft.fft(noise * np.sqrt(np.maximum(eigenvalues, 0.0) / length), axis=1)[:, :size]
    return np.concatenate([coloured.real, coloured.imag])[:rows]


def autoregression(rng: np.random.Generator, rows: int, size: int, echo: float) -> Floats:
    """x_t = echo x_{t-1} + normal noise."""
    noise = rng.standard_normal((rows, size + WARM_UP))
    series = noise.copy()
    for place in range(1, size + WARM_UP):
        series[:, place] += echo * series[:, place - 1]
    return np.ascontiguousarray(series[:, WARM_UP:])


def clustered_noise(
    rng: np.random.Generator, rows: int, size: int, *, shock: float = 0.1, memory: float = 0.88, tails: float = 5.0
) -> Floats:
    """GARCH(1,1) with Student-t shocks: unpredictable returns with clusters of volatility and fat tails."""
    shocks = rng.standard_t(tails, (rows, size + WARM_UP)) * np.sqrt((tails - 2.0) / tails)
    series = np.empty_like(shocks)
    variance = np.ones(rows)
    for place in range(size + WARM_UP):
        series[:, place] = np.sqrt(variance) * shocks[:, place]
        variance = (1.0 - shock - memory) + shock * series[:, place] ** 2 + memory * variance
    return np.ascontiguousarray(series[:, WARM_UP:])


def sign_chain(rng: np.random.Generator, rows: int, size: int, stay: float) -> Floats:
    """Returns whose direction stays with a given probability; the sizes carry no information."""
    turns = np.where(rng.random((rows, size)) < stay, 1.0, -1.0)
    turns[:, 0] = rng.choice([-1.0, 1.0], rows)
    return np.cumprod(turns, axis=1) * np.abs(rng.standard_normal((rows, size)))


def random_walks(rng: np.random.Generator, rows: int, size: int) -> dict[str, Floats]:
    """Returns without any direction to find: normal, fat-tailed, with clusters of volatility, with hot clusters."""
    return {
        "normal": rng.standard_normal((rows, size)),
        "student-t(3)": rng.standard_t(3, (rows, size)),
        "GARCH-t": clustered_noise(rng, rows, size),
        "GARCH-t, shocks 0.15": clustered_noise(rng, rows, size, shock=0.15, memory=0.83),
    }


def counted_law(kind: str, kinds: int) -> Floats:
    """Probabilities of a law over so many kinds."""
    ranks = np.arange(1, kinds + 1, dtype=np.float64)
    weights = {"uniform": np.ones(kinds), "zipf": 1.0 / ranks, "geometric": 0.8**ranks}[kind]
    return weights / weights.sum()
