"""Compiled kernels on a series and its own past: Dickey-Fuller, KPSS, variance ratios, Engle's ARCH test.

Each takes B rows and gives B answers; a row that does not move is NaN throughout. Sums run in one fixed order.
Regressions on k lags share one matrix of products, whose entries follow from their upper left neighbour by one product
more and one less, and one Cholesky factor, whose last row gives the residual of every smaller k as well.
Kernels hold no module constants and call only kernels of this file: the cache on disk would not notice their change.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from core.market import Floats


@njit(cache=True, nogil=True)
def dickey_fuller(levels: Floats, most: int, limits: tuple[float, float], table: Floats) -> None:
    """Regress each move on a constant, the level before it and the last p moves; p by Akaike's criterion up to `most`.

    Shape: (B, T) -> (5, B): t-statistic of the level, p, the level's coefficient without any lags and its robust
    standard error, the t-statistic of the mean move. `limits` are the deviation of the moves that is rounding, and
    what is left of a column, in variances of a move, when others explain it fully: no further lag is tried then.
    As statsmodels does it, all p compete on the same moves and the winner is estimated again on all it can use.
    """
    rounding, floor = limits
    size = levels.shape[1] - 1
    for row in range(levels.shape[0]):
        table[:, row] = math.nan
        moves, before, drift = _newest_first(levels[row])
        deviation = math.sqrt(_square_sum(moves) / size)
        if deviation <= rounding:
            continue
        moves /= deviation
        before /= deviation
        lags = _best_lag(moves, before, most, floor)
        coefficient, error = _level_regression(moves, before, lags, floor)
        if math.isnan(error):
            continue
        table[0, row] = coefficient / error
        table[1, row] = lags
        table[2, row], table[3, row] = _echo(moves, before)
        table[4, row] = drift / (deviation / math.sqrt(size - 1.0))


@njit(cache=True, nogil=True)
def kpss(levels: Floats, rounding: float, bandwidth: tuple[int, float], table: Floats) -> None:
    """Mean square of the summed deviations from the mean over their long-run variance (Bartlett's weights).

    Shape: (B, T) -> (3, B): statistic, lags in the long-run variance, and the last deviation in standard deviations.
    `bandwidth` is T^(2/9), cut to a whole number, and 1.1447 T^(1/3) (Hobijn, Franses and Ooms 2004). The variance
    cannot vanish: it is a mean of squared sums over stretches, some of which hold a single value.
    """
    first, factor = bandwidth
    size = levels.shape[1]
    for row in range(levels.shape[0]):
        table[:, row] = math.nan
        values = levels[row] - levels[row, 0]
        values -= _sum(values) / size
        deviation = math.sqrt(_square_sum(values) / size)
        if deviation <= rounding:
            continue
        values /= deviation
        products = _lagged_products(values, first)
        level, slope = 0.5 * products[0], 0.0
        for lag in range(1, first + 1):
            level += products[lag]
            slope += lag * products[lag]
        lags = size - 1
        if level != 0.0:
            lags = int(min(factor * ((slope / level) ** 2) ** (1.0 / 3.0), float(lags)))
        products = _lagged_products(values, lags)
        variance = products[0]
        for lag in range(1, lags + 1):
            variance += 2.0 * products[lag] * (1.0 - lag / (lags + 1.0))
        walk = squares = 0.0
        for value in values:
            walk += value
            squares += walk * walk
        table[0, row] = squares / (size * variance)
        table[1, row] = lags
        table[2, row] = values[size - 1]


@njit(cache=True, nogil=True)
def variance_ratios(values: Floats, horizons: tuple[int, ...], ratios: Floats, scores: Floats) -> None:
    """Variance of the sums of q successive values over q variances of one, and its distance from 1 in standard errors.

    Shape: (B, n) standardised -> (Q, B) twice. Overlapping sums, without bias; the standard error of Lo and MacKinlay
    that volatility clusters do not mislead, but not below q / n. Taking out the mean moves the ratio by as much, and
    where few candles moved, and apart from each other, that standard error vanishes.
    """
    rows, size = values.shape
    walk = np.zeros(size + 1)
    for row in range(rows):
        for place in range(size):
            walk[place + 1] = walk[place] + values[row, place]
        products = _lagged_products(values[row] ** 2, horizons[-1] - 1)
        variance = _square_sum(values[row])
        for index in range(len(horizons)):
            span = horizons[index]
            walk_square = 0.0
            for place in range(size - span + 1):
                walk_square += (walk[place + span] - walk[place]) ** 2
            sums = span * (size - span + 1.0) * (1.0 - span / size)
            ratio = walk_square / sums / (variance / (size - 1.0))
            spread = 0.0
            for lag in range(1, span):
                spread += 4.0 * (1.0 - lag / span) ** 2 * size * products[lag] / variance**2
            ratios[index, row] = ratio
            scores[index, row] = (ratio - 1.0) / max(math.sqrt(spread / size), span / size)


@njit(cache=True, nogil=True)
def arch_effect(values: Floats, lags: int, floor: float) -> Floats:
    """Share of the squares' variance that the last `lags` squares explain, times the squares explained (Engle).

    Shape: (B, n) standardised -> (B,). NaN where all squares are equal.
    """
    rows, size = values.shape
    statistics = np.full(rows, math.nan)
    for row in range(rows):
        squares = values[row, ::-1] ** 2
        squares -= _sum(squares) / size
        deviation = math.sqrt(_square_sum(squares) / size)
        if not deviation > floor:
            continue
        squares /= deviation
        gram = np.zeros((lags + 2, lags + 2))
        _fill_lags(squares, lags, 1, gram)
        last = lags + 1
        total = gram[last, last] - gram[last, 0] ** 2 / gram[0, 0]
        _factor(gram, floor * (size - lags))
        if total > floor * size:
            statistics[row] = (size - lags) * (1.0 - max(gram[last, last], 0.0) / total)
    return statistics


@njit(cache=True, nogil=True)
def _newest_first(levels: Floats) -> tuple[Floats, Floats, float]:
    """Moves less their mean, the levels before them less theirs, both newest first; the mean move."""
    size = levels.size - 1
    moves = np.empty(size)
    before = np.empty(size)
    for age in range(size):
        moves[age] = levels[size - age] - levels[size - age - 1]
        before[age] = levels[size - age - 1] - levels[0]
    drift = _sum(moves) / size
    moves -= drift
    before -= _sum(before) / size
    return moves, before, drift


@njit(cache=True, nogil=True)
def _best_lag(moves: Floats, before: Floats, most: int, floor: float) -> int:
    """The number of lags with the least n log(residual) + 2 lags, all on the moves that `most` lags leave."""
    used = moves.size - most
    last = most + 2
    gram = np.zeros((last + 1, last + 1))
    _fill_lags(moves, most, 2, gram)
    _fill_level(moves, before, 1, 2, gram)
    smallest = floor * used
    _factor(gram, smallest)
    residual = gram[last, last]
    for column in range(2, last):
        residual += gram[last, column] ** 2
    best, least = 0, math.inf
    for lag in range(most + 1):
        if lag > 0:
            residual -= gram[last, lag + 1] ** 2
        if residual <= smallest or (lag > 0 and gram[lag + 1, lag + 1] == 0.0):
            break
        criterion = used * math.log(residual) + 2.0 * lag
        if criterion < least:
            best, least = lag, criterion
    return best


@njit(cache=True, nogil=True)
def _level_regression(moves: Floats, before: Floats, lags: int, floor: float) -> tuple[float, float]:
    """Coefficient of the level and its standard error; NaN where nothing is left to explain or to explain it with."""
    used = moves.size - lags
    last = lags + 2
    gram = np.zeros((last + 1, last + 1))
    _fill_lags(moves, lags, 1, gram)
    _fill_level(moves, before, last - 1, 1, gram)
    _factor(gram, floor * used)
    pivot, residual = gram[last - 1, last - 1], gram[last, last]
    if pivot == 0.0 or residual <= floor * used:
        return math.nan, math.nan
    return gram[last, last - 1] / pivot, math.sqrt(residual / (used - last)) / pivot


@njit(cache=True, nogil=True)
def _echo(moves: Floats, before: Floats) -> tuple[float, float]:
    """Coefficient of the level alone and its standard error by White, for noise whose size changes."""
    square = product = spread = 0.0
    for age in range(moves.size):
        square += before[age] * before[age]
        product += before[age] * moves[age]
    coefficient = product / square
    for age in range(moves.size):
        spread += (before[age] * (moves[age] - coefficient * before[age])) ** 2
    return coefficient, math.sqrt(spread * moves.size / (moves.size - 2.0)) / square


@njit(cache=True, nogil=True)
def _fill_lags(moves: Floats, lags: int, first: int, gram: Floats) -> None:
    """Products of a constant (row 0), the last moves (rows `first` on) and the move itself (last row), lower half.

    Each entry follows from the one a lag nearer on both sides: one product leaves the sum, one enters.
    """
    used = moves.size - lags
    last = gram.shape[0] - 1
    with_move = np.zeros(lags + 1)
    for age in range(used):
        move = moves[age]
        for lag in range(lags + 1):
            with_move[lag] += move * moves[age + lag]
    total = 0.0
    for age in range(used):
        total += moves[age]
    gram[0, 0] = used
    gram[last, 0] = total
    gram[last, last] = with_move[0]
    for lag in range(lags):
        total += moves[used + lag] - moves[lag]
        gram[first + lag, 0] = total
        gram[last, first + lag] = with_move[lag + 1]
    for apart in range(lags):
        product = with_move[apart]
        for lag in range(lags - apart):
            product += moves[used + lag] * moves[used + lag + apart] - moves[lag] * moves[lag + apart]
            gram[first + lag + apart, first + lag] = product


@njit(cache=True, nogil=True)
def _fill_level(moves: Floats, before: Floats, place: int, first: int, gram: Floats) -> None:
    """Products of the level before each move (row `place`) with a constant, itself, the last moves and the move."""
    last = gram.shape[0] - 1
    lags = last - 2
    used = moves.size - lags
    products = np.zeros(lags + 1)
    total = square = 0.0
    for age in range(used):
        level = before[age]
        total += level
        square += level * level
        for lag in range(lags + 1):
            products[lag] += level * moves[age + lag]
    gram[place, 0] = total
    gram[place, place] = square
    gram[last, place] = products[0]
    for lag in range(lags):
        gram[max(place, first + lag), min(place, first + lag)] = products[lag + 1]


@njit(cache=True, nogil=True)
def _factor(gram: Floats, smallest: float) -> None:
    """Cholesky factor in the lower half, in place; the last pivot stays squared: it is the sum of squares unexplained.

    A column that the ones before it explain but for `smallest` is left out: its pivot and its entries become 0.
    """
    size = gram.shape[0]
    column = np.zeros(size)
    for place in range(size - 1):
        pivot = gram[place, place]
        root = math.sqrt(pivot) if pivot > smallest else 0.0
        gram[place, place] = root
        for below in range(place + 1, size):
            column[below] = gram[below, place] / root if root > 0.0 else 0.0
            gram[below, place] = column[below]
        for below in range(place + 1, size):
            for across in range(place + 1, below + 1):
                gram[below, across] -= column[below] * column[across]


@njit(cache=True, nogil=True)
def _lagged_products(values: Floats, last: int) -> Floats:
    """Sums over t of x_t x_{t+k} for k = 0..last. The inner loop runs along the lags, so that it is vectorised."""
    size = values.size
    padded = np.zeros(size + last)
    padded[:size] = values
    products = np.zeros(last + 1)
    for place in range(size):
        for lag in range(last + 1):
            products[lag] += padded[place] * padded[place + lag]
    return products


@njit(cache=True, nogil=True)
def _sum(values: Floats) -> float:
    """Sum in the order of the values."""
    total = 0.0
    for value in values:
        total += value
    return total


@njit(cache=True, nogil=True)
def _square_sum(values: Floats) -> float:
    """Sum of squares in the order of the values."""
    total = 0.0
    for value in values:
        total += value * value
    return total
