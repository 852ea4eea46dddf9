"""Compiled kernels for risk: volatility that comes in clusters, the tail of the losses, moments, drawdown.

Each takes B rows and gives B answers; a row that does not move is NaN throughout. Sums run in one fixed order.
Kernels hold no module constants and call only kernels of this file: the cache on disk would not notice their change.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from core.market import Floats


@njit(cache=True, nogil=True)
def moments(returns: Floats, rounding: float, orders: int) -> Floats:
    """Mean, standard deviation (n - 1), skewness, kurtosis, downside deviation and echo factor of each row.

    The echo factor is the long-run variance over the variance, 1 + 2 sum_k rho_k, from the autoregression of the order
    0..`orders` with the least n log(variance left) + order log n; kept within 0.1..10, beyond which a window of a few
    hundred returns proves nothing.

    Shape: (B, n) -> (6, B). NaN for a row whose deviation is at most `rounding`.
    """
    rows, size = returns.shape
    table = np.full((6, rows), math.nan)
    centred = np.zeros(size + orders)
    products = np.empty(orders + 1)
    for row in range(rows):
        total = losses = 0.0
        for place in range(size):
            total += returns[row, place]
        mean = total / size
        cubes = fourths = 0.0
        products[:] = 0.0
        for place in range(size):
            value = returns[row, place]
            centred[place] = value - mean
            loss = value if value < 0.0 else 0.0
            losses += loss * loss
        for place in range(size):
            value = centred[place]
            square = value * value
            cubes += square * value
            fourths += square * square
            for lag in range(orders + 1):
                products[lag] += value * centred[place + lag]
        variance = products[0] / size
        if math.sqrt(variance) <= rounding:
            continue
        table[0, row] = mean
        table[1, row] = math.sqrt(products[0] / (size - 1))
        table[2, row] = cubes / size / (variance * math.sqrt(variance))
        table[3, row] = max(fourths / size / (variance * variance), 1.0)
        table[4, row] = math.sqrt(losses / size)
        table[5, row] = min(max(_echo_factor(products / products[0], size), 0.1), 10.0)
    return table


@njit(cache=True, nogil=True)
def _echo_factor(correlations: Floats, size: int) -> float:
    """Long-run variance over variance by the autoregression of the least Bayesian criterion (Durbin's recursion)."""
    orders = correlations.size - 1
    weights = np.zeros(orders)
    unexplained = 1.0
    least = 0.0
    factor = 1.0
    for order in range(1, orders + 1):
        gap = correlations[order]
        for back in range(order - 1):
            gap -= weights[back] * correlations[order - 1 - back]
        partial = gap / unexplained
        earlier = weights[: order - 1].copy()
        for back in range(order - 1):
            weights[back] -= partial * earlier[order - 2 - back]
        weights[order - 1] = partial
        unexplained *= 1.0 - partial * partial
        if unexplained <= 1e-9:
            break
        criterion = size * math.log(unexplained) + order * math.log(size)
        if criterion < least:
            least = criterion
            rest = 1.0 - weights[:order].sum()
            factor = unexplained / max(rest * rest, 1e-9)
    return factor


@njit(cache=True, nogil=True)
def drawdown(closes: Floats) -> Floats:
    """Deepest fall from a peak, candles until that peak was regained (or until now), and the fall standing now.

    Shape: (B, T) -> (3, B); falls are fractions of the peak.
    """
    rows, size = closes.shape
    table = np.zeros((3, rows))
    for row in range(rows):
        deepest = 0.0
        peak = closes[row, 0]
        start = origin = end = 0
        for place in range(size):
            close = closes[row, place]
            if close >= peak:
                if end < 0 and origin == start:
                    end = place
                peak = close
                start = place
            fall = 1.0 - close / peak
            if fall > deepest:
                deepest = fall
                origin = start
                end = -1
        table[0, row] = deepest
        table[1, row] = (size - 1 if end < 0 else end) - origin
        table[2, row] = 1.0 - closes[row, size - 1] / peak
    return table


@njit(cache=True, nogil=True)
def filter_volatility(
    returns: Floats, means: Floats, deviations: Floats, grid: Floats, freedom: float
) -> tuple[Floats, Floats]:
    """Residuals of a GARCH(1,1) whose parameters are averaged over a grid, and what it says of the volatility.

    h_t = (1 - a - b) s^2 + a e_{t-1}^2 + b h_{t-1} with s^2 the variance of the row. Each point (a, b) of the grid is
    weighted by its Student-t likelihood; the residuals are those of the mean a and b. The table holds
    0. the deviation due next,
    1. its uncertainty: the standard deviation of log sqrt(h) over the weighted grid,
    2. the kurtosis of the residuals,
    3. the long-run variance of e^2 / s^2, which is kurtosis - 1 without clusters of volatility and more with them:
       mean(h^2) / s^4 (kurtosis of the residuals - 1) ((1 - b) / (1 - a - b))^2, the squares being an ARMA(1,1).

    Shape: (B, n), (B,), (B,), (2, G) -> (B, n), (4, B).
    The inner loop runs along the grid, so that it is vectorised without changing the order of any sum; 32 factors
    share one logarithm, which keeps them within 1e-60..1e160 because the returns are standardised first.
    """
    rows, size = returns.shape
    points = grid.shape[1]
    residuals = np.full((rows, size), math.nan)
    table = np.full((4, rows), math.nan)
    bases = 1.0 - grid[0] - grid[1]
    squares = np.empty(size)
    for row in range(rows):
        if math.isnan(deviations[row]):
            continue
        for place in range(size):
            squares[place] = ((returns[row, place] - means[row]) / deviations[row]) ** 2
        variances = np.ones(points)
        likelihoods = np.zeros(points)
        for start in range(0, size, 32):
            spread = np.ones(points)
            scale = np.ones(points)
            for place in range(start, min(start + 32, size)):
                square = squares[place]
                tail = square / (freedom - 2.0)
                for point in range(points):
                    variance = variances[point]
                    spread[point] *= variance + tail
                    scale[point] *= variance
                    variances[point] = bases[point] + grid[0, point] * square + grid[1, point] * variance
            for point in range(points):
                likelihoods[point] += 0.5 * freedom * math.log(scale[point])
                likelihoods[point] -= 0.5 * (freedom + 1.0) * math.log(spread[point])
        weights = np.exp(likelihoods - likelihoods.max())
        weights /= weights.sum()
        shock = (weights * grid[0]).sum()
        memory = (weights * grid[1]).sum()
        logs = np.log(variances)
        centre = (weights * logs).sum()
        variance = 1.0
        second = fourth = level = 0.0
        for place in range(size):
            residuals[row, place] = (returns[row, place] - means[row]) / (deviations[row] * math.sqrt(variance))
            power = squares[place] / variance
            second += power
            fourth += power * power
            level += variance * variance
            variance = 1.0 - shock - memory + shock * squares[place] + memory * variance
        kurtosis = max(fourth * size / (second * second), 1.0)
        table[0, row] = deviations[row] * math.sqrt(variance)
        table[1, row] = 0.5 * math.sqrt((weights * (logs - centre) ** 2).sum())
        table[2, row] = kurtosis
        table[3, row] = level / size * (kurtosis - 1.0) * ((1.0 - memory) / (1.0 - shock - memory)) ** 2
    return residuals, table


@njit(cache=True, nogil=True)
def tail(lowest: Floats, size: int, shares: Floats, rounding: float) -> tuple[Floats, Floats]:
    """Value at risk and expected shortfall of n values, of which the lowest are given; and the shape of their tail.

    For each share p: the linear percentile of the values and the mean of those up to it; then the same by a generalised
    Pareto law of the k losses beyond the threshold u, fitted by probability-weighted moments of the excesses y,
    a0 = mean y, a1 = mean (1 - (i - 0.35) / k) y_i, shape = 2 - a0 / (a0 - 2 a1), scale = 2 a0 a1 / (a0 - 2 a1):
    value at risk v = u + scale / shape ((n p / k)^-shape - 1), shortfall = (v + scale - shape u) / (1 - shape).
    Last, the standard error of a quantile, sqrt(p (1 - p) / n) over the density that the law has there.

    Shape: (B, k + 1) ascending, the last being the threshold, (P,) -> (5, P, B) losses, (B,).
    a1 is never above (0.5 - 0.15 / k) a0, so the shape exists and is below 1, and with it the shortfall. Without any
    excess above rounding the threshold itself is the answer and the shape NaN.
    """
    rows, last = lowest.shape[0], lowest.shape[1] - 1
    table = np.full((5, shares.size, rows), math.nan)
    shapes = np.full(rows, math.nan)
    for row in range(rows):
        if math.isnan(lowest[row, 0]):
            continue
        threshold = -lowest[row, last]
        mean = weighted = 0.0
        for place in range(last):
            excess = -lowest[row, place] - threshold
            mean += excess / last
            # The lowest value has the highest excess, i = k.
            weighted += (place + 0.35) / last * excess / last
        shape = scale = 0.0
        if mean > rounding:
            shape = 2.0 - mean / (mean - 2.0 * weighted)
            scale = 2.0 * mean * weighted / (mean - 2.0 * weighted)
            shapes[row] = shape
        for index in range(shares.size):
            share = shares[index]
            place = share * (size - 1)
            below = int(place)
            step = lowest[row, below + 1] - lowest[row, below]
            rarity = size * share / last
            stretch = (rarity**-shape - 1.0) / shape if abs(shape) > 1e-9 else -math.log(rarity)
            quantile = threshold + scale * stretch
            table[0, index, row] = -(lowest[row, below] + step * (place - below))
            table[1, index, row] = -lowest[row, : below + 1].sum() / (below + 1)
            table[2, index, row] = quantile
            table[3, index, row] = (quantile + scale - shape * threshold) / (1.0 - shape)
            table[4, index, row] = math.sqrt(share * (1.0 - share) / size) * scale / (share * rarity**shape)
    return table, shapes


@njit(cache=True, nogil=True)
def cornish_fisher(
    skewness: Floats, excess: Floats, normal: float, reach: float, largest_excess: float
) -> tuple[Floats, Floats]:
    """A normal quantile z bent by skewness s and excess kurtosis k, and 1 where that makes sense, else 0.

    z + (z^2 - 1) s / 6 + (z^3 - 3z) k / 24 - (2z^3 - 5z) s^2 / 36; it makes sense where it increases over +-`reach` and
    the excess is no larger than declared.

    Shape: (B,), (B,) -> (B,), (B,).
    """
    quantiles = np.full(skewness.size, math.nan)
    valid = np.full(skewness.size, math.nan)
    for row in range(skewness.size):
        s, k, z = skewness[row], excess[row], normal
        if math.isnan(s):
            continue
        quantiles[row] = (
            z + (z * z - 1.0) * s / 6.0 + (z**3 - 3.0 * z) * k / 24.0 - (2.0 * z**3 - 5.0 * z) * s * s / 36.0
        )
        # The slope is bend z^2 + tilt z + level: least at an end, or at the vertex when that lies between.
        bend, tilt, level = k / 8.0 - s * s / 6.0, s / 3.0, 1.0 - k / 8.0 + 5.0 * s * s / 36.0
        least = bend * reach * reach - abs(tilt) * reach + level
        if abs(tilt) < 2.0 * bend * reach:
            least = level - tilt * tilt / (4.0 * bend)
        valid[row] = 1.0 if least > 0.0 and k <= largest_excess else 0.0
    return quantiles, valid
