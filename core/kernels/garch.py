"""Compiled fit of GARCH(1,1), volatility that comes in clusters: h_t = omega + alpha e_{t-1}^2 + beta h_{t-1}.

Each row is standardised first, so its unit does not matter; a row that does not move is NaN throughout.
Kernels hold no module constants and call only kernels of this file: the cache on disk would not notice their change.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from core.market import Floats

# A standard deviation of the log returns below this is rounding.
ROUNDING = 1e-12
# The law of the shocks in the likelihood: Student's, heavy enough for coins and nearly efficient for lighter tails.
FREEDOM = 6.0
# Weights, in observations, of the log prior on alpha, beta and 1 - alpha - beta. They keep a window of a few hundred
# candles, which cannot tell beta when alpha is near 0, from answering at the edge.
PRIOR = (1.0, 8.0, 0.5)
# Weight of the prior on the log of the long-run variance about that of the sample: a soft variance target.
TARGET_WEIGHT = 5.0
# Beyond this sum of alpha and beta there is no long-run variance to speak of.
MOST_PERSISTENT = 0.999
MOST_STEPS = 60
TOLERANCE = 1e-5
# Rounding of the posterior hides where its top is; Newton's steps on its slope find it, until they are this short. So a
# change in the twelfth digit of the returns, as a change of the price's unit makes, stays below the ninth of the fit.
FINE_TOLERANCE = 1e-10
FINE_STEPS = 8
# Slopes are compared so far apart; a first step longer than LONGEST_FINE means that the climb stopped short of a top.
SLOPE_WIDTH = 1e-5
LONGEST_FINE = 0.3
# Where the search may start: alpha and beta, long-run variance that of the sample.
STARTS = np.array([[0.03, 0.96], [0.08, 0.90], [0.15, 0.80], [0.10, 0.60], [0.35, 0.60], [0.05, 0.20]])


def fit_garch(returns: Floats) -> tuple[Floats, Floats, Floats]:
    """Parameters (mean, omega, alpha, beta), the variance of the next return, and the standardised residuals.

    Student-t quasi-likelihood with a weak Dirichlet prior on (alpha, beta, 1 - alpha - beta), maximised by scoring from
    the best of six starts and by Newton's steps at the end; then the scale is set so that the residuals have mean
    square 1, which makes the fit consistent whatever the law of the shocks (Fan, Qi and Xiu 2014,
    doi 10.1080/07350015.2013.840239). The recursion starts at the exponentially weighted mean square of the first
    returns.

    Shape: (B, n) -> (B, 4), (B,), (B, n). The variance is in squared units of the returns; alpha + beta <= 0.999.
    Edge cases: NaN throughout for a row whose standard deviation is at most 1e-12.

    >>> returns = np.random.default_rng(1).standard_normal((1, 500))
    >>> parameters, next_variance, residuals = fit_garch(returns)
    >>> print(parameters.shape, bool(0.5 < next_variance[0] < 1.5), residuals.shape)
    (1, 4) True (1, 500)
    """
    rows, size = returns.shape
    parameters = np.full((rows, 4), np.nan)
    next_variance = np.full(rows, np.nan)
    residuals = np.full((rows, size), np.nan)
    prior = np.array([*PRIOR, TARGET_WEIGHT])
    _fit(
        np.ascontiguousarray(returns),
        STARTS,
        prior,
        (
            (FREEDOM, ROUNDING, MOST_PERSISTENT, TOLERANCE, MOST_STEPS),
            (FINE_TOLERANCE, FINE_STEPS, SLOPE_WIDTH, LONGEST_FINE),
        ),
        parameters,
        next_variance,
        residuals,
    )
    return parameters, next_variance, residuals


@njit(cache=True, nogil=True)
def _fit(
    returns: Floats,
    starts: Floats,
    prior: Floats,
    limits: tuple[tuple[float, float, float, float, int], tuple[float, int, float, float]],
    parameters: Floats,
    next_variance: Floats,
    residuals: Floats,
) -> None:
    """Fill the three outputs row by row."""
    (freedom, rounding, most_persistent, tolerance, most_steps), fine = limits
    rows, size = returns.shape
    squares = np.empty(size)
    for row in range(rows):
        mean = 0.0
        for place in range(size):
            mean += returns[row, place]
        mean /= size
        variance = 0.0
        for place in range(size):
            variance += (returns[row, place] - mean) ** 2
        variance /= size
        if math.sqrt(variance) <= rounding:
            continue
        for place in range(size):
            squares[place] = (returns[row, place] - mean) ** 2 / variance
        first = _backcast(squares)
        point = _search(squares, first, starts, prior, (freedom, tolerance, most_steps))
        _polish(squares, first, point, prior, freedom, fine)
        rest, alpha, beta = _shares(point)
        omega = rest * math.exp(point[2])
        scale = _mean_square(squares, first, omega, alpha, beta)
        omega *= scale
        first *= scale
        alpha = min(alpha * scale, most_persistent - beta)
        h = first
        for place in range(size):
            residuals[row, place] = (returns[row, place] - mean) / math.sqrt(h * variance)
            h = omega + alpha * squares[place] + beta * h
        next_variance[row] = h * variance
        parameters[row, 0] = mean
        parameters[row, 1] = omega * variance
        parameters[row, 2] = alpha
        parameters[row, 3] = beta


@njit(cache=True, nogil=True)
def _backcast(squares: Floats) -> float:
    """Exponentially weighted mean of the first squares: where the variance stood when the window began."""
    total = weights = 0.0
    weight = 1.0
    for place in range(min(75, squares.size)):
        total += weight * squares[place]
        weights += weight
        weight *= 0.94
    # Never far below the long-run level: a quiet beginning must not make the first shock infinite.
    return max(total / weights, 0.05)


@njit(cache=True, nogil=True)
def _mean_square(squares: Floats, first: float, omega: float, alpha: float, beta: float) -> float:
    """Mean of e_t^2 / h_t."""
    h = first
    total = 0.0
    for square in squares:
        total += square / h
        h = omega + alpha * square + beta * h
    return total / squares.size


@njit(cache=True, nogil=True)
def _search(squares: Floats, first: float, starts: Floats, prior: Floats, limits: tuple[float, float, int]) -> Floats:
    """The point of the highest posterior: scoring steps, damped until they climb.

    The search runs free over log(alpha / rest), log(beta / rest) and log(omega / rest) with rest = 1 - alpha - beta.
    """
    freedom, tolerance, most_steps = limits
    point = np.zeros(3)
    trial = np.zeros(3)
    score = np.zeros(3)
    information = np.zeros((3, 3))
    best = -math.inf
    for index in range(starts.shape[0]):
        rest = 1.0 - starts[index, 0] - starts[index, 1]
        trial[0] = math.log(starts[index, 0] / rest)
        trial[1] = math.log(starts[index, 1] / rest)
        value = _posterior(squares, first, trial, prior, freedom)
        if value > best:
            best = value
            point[:] = trial
    damping = 0.0
    for _ in range(most_steps):
        _derive(squares, first, point, prior, freedom, score, information)
        climbed = False
        longest = 0.0
        for _ in range(12):
            _solve(information, damping, score, point, trial)
            value = _posterior(squares, first, trial, prior, freedom)
            if value > best:
                climbed = True
                break
            damping = max(4.0 * damping, 1e-3)
        if not climbed:
            break
        for index in range(3):
            longest = max(longest, abs(trial[index] - point[index]))
        gain = value - best
        point[:] = trial
        best = value
        damping *= 0.1
        if longest < tolerance or gain < 1e-3 * tolerance:
            break
    return point


@njit(cache=True, nogil=True)
def _polish(
    squares: Floats, first: float, point: Floats, prior: Floats, freedom: float, fine: tuple[float, int, float, float]
) -> None:
    """Move the point to where the slope of the posterior is 0, if that is near; else leave it.

    Newton's steps with the curvature at the start, from differences of slopes; each must be half as long as the last.
    """
    tolerance, most_steps, width, longest = fine
    score, beside = np.zeros(3), np.zeros(3)
    curvature, unused = np.zeros((3, 3)), np.zeros((3, 3))
    trial = point.copy()
    _derive(squares, first, trial, prior, freedom, score, unused)
    for column in range(3):
        trial[column] += width
        _derive(squares, first, trial, prior, freedom, beside, unused)
        trial[column] = point[column]
        for row in range(3):
            curvature[row, column] -= 0.5 * (beside[row] - score[row]) / width
            curvature[column, row] -= 0.5 * (beside[row] - score[row]) / width
    last = 2.0 * longest
    for _ in range(most_steps):
        _solve(curvature, 0.0, score, point, trial)
        step = max(abs(trial[0] - point[0]), abs(trial[1] - point[1]), abs(trial[2] - point[2]))
        if step > 0.5 * last:
            break
        point[:] = trial
        last = step
        if step < tolerance:
            break
        _derive(squares, first, point, prior, freedom, score, unused)


@njit(cache=True, nogil=True)
def _shares(point: Floats) -> tuple[float, float, float]:
    """1 - alpha - beta, alpha and beta of a point of the search."""
    top = max(point[0], point[1], 0.0)
    rest = math.exp(-top)
    alpha = math.exp(point[0] - top)
    beta = math.exp(point[1] - top)
    total = rest + alpha + beta
    return rest / total, alpha / total, beta / total


@njit(cache=True, nogil=True)
def _posterior(squares: Floats, first: float, point: Floats, prior: Floats, freedom: float) -> float:
    """Log posterior up to a constant: sum of freedom/2 log h - (freedom+1)/2 log((freedom-2) h + e^2), plus the prior.

    Sixteen factors share one logarithm; values are standardised, so that their product stays in range.
    """
    rest, alpha, beta = _shares(point)
    omega = rest * math.exp(point[2])
    value = prior[0] * math.log(alpha) + prior[1] * math.log(beta) + prior[2] * math.log(rest)
    value -= 0.5 * prior[3] * point[2] ** 2
    size = squares.size
    h = first
    logs_h = logs_sum = 0.0
    place = 0
    while place < size:
        stop = min(place + 16, size)
        product_h = product_sum = 1.0
        for index in range(place, stop):
            product_h *= h
            product_sum *= (freedom - 2.0) * h + squares[index]
            h = omega + alpha * squares[index] + beta * h
        logs_h += math.log(product_h)
        logs_sum += math.log(product_sum)
        place = stop
    return float(value + 0.5 * freedom * logs_h - 0.5 * (freedom + 1.0) * logs_sum)


@njit(cache=True, nogil=True)
def _derive(
    squares: Floats, first: float, point: Floats, prior: Floats, freedom: float, score: Floats, information: Floats
) -> None:
    """Gradient of the log posterior at a point of the search, and its expected information."""
    rest, alpha, beta = _shares(point)
    omega = rest * math.exp(point[2])
    natural, inner = _likelihood_slopes(squares, first, (omega, alpha, beta), freedom)
    # Rows: omega, alpha, beta; columns: log(alpha / rest), log(beta / rest), log(omega / rest).
    chain = np.array(
        [
            [-omega * alpha, -omega * beta, omega],
            [alpha * (1.0 - alpha), -alpha * beta, 0.0],
            [-alpha * beta, beta * (1.0 - beta), 0.0],
        ]
    )
    shares = np.array([alpha, beta, 0.0])
    total = prior[0] + prior[1] + prior[2]
    for row in range(3):
        score[row] = -total * shares[row]
        for index in range(3):
            score[row] += natural[index] * chain[index, row]
        for column in range(3):
            element = -total * shares[row] * shares[column]
            for left in range(3):
                for right in range(3):
                    element += chain[left, row] * inner[left, right] * chain[right, column]
            information[row, column] = element
        information[row, row] += total * shares[row]
    score[0] += prior[0]
    score[1] += prior[1]
    score[2] -= prior[3] * point[2]
    information[2, 2] += prior[3]


@njit(cache=True, nogil=True)
def _likelihood_slopes(
    squares: Floats, first: float, law: tuple[float, float, float], freedom: float
) -> tuple[Floats, Floats]:
    """Gradient and expected information of the log likelihood in omega, alpha and beta."""
    omega, alpha, beta = law
    h = first
    by_omega = by_alpha = by_beta = 0.0
    s0 = s1 = s2 = 0.0
    i00 = i01 = i02 = i11 = i12 = i22 = 0.0
    for square in squares:
        inverse = 1.0 / h
        pull = 0.5 * ((freedom + 1.0) * square / ((freedom - 2.0) * h + square) - 1.0)
        a, b, c = by_omega * inverse, by_alpha * inverse, by_beta * inverse
        s0 += pull * a
        s1 += pull * b
        s2 += pull * c
        i00 += a * a
        i01 += a * b
        i02 += a * c
        i11 += b * b
        i12 += b * c
        i22 += c * c
        by_omega = 1.0 + beta * by_omega
        by_alpha = square + beta * by_alpha
        by_beta = h + beta * by_beta
        h = omega + alpha * square + beta * h
    weight = 0.5 * freedom / (freedom + 3.0)
    return np.array([s0, s1, s2]), weight * np.array([[i00, i01, i02], [i01, i11, i12], [i02, i12, i22]])


@njit(cache=True, nogil=True)
def _solve(information: Floats, damping: float, score: Floats, point: Floats, trial: Floats) -> None:
    """trial = point + (information, its diagonal raised by the damping)^-1 score, no step longer than 2."""
    raised = 1.0 + damping
    a, b, c = information[0, 0] * raised + 1e-12, information[0, 1], information[0, 2]
    d, e = information[1, 1] * raised + 1e-12, information[1, 2]
    f = information[2, 2] * raised + 1e-12
    # Cholesky's square-root-free form.
    l10, l20 = b / a, c / a
    d1 = max(d - l10 * b, 1e-12)
    l21 = (e - l20 * b) / d1
    d2 = max(f - l20 * c - l21 * l21 * d1, 1e-12)
    y0 = score[0]
    y1 = score[1] - l10 * y0
    y2 = score[2] - l20 * y0 - l21 * y1
    x2 = y2 / d2
    x1 = y1 / d1 - l21 * x2
    x0 = y0 / a - l10 * x1 - l20 * x2
    longest = max(abs(x0), abs(x1), abs(x2))
    shorter = 2.0 / longest if longest > 2.0 else 1.0
    trial[0] = min(max(point[0] + shorter * x0, -30.0), 30.0)
    trial[1] = min(max(point[1] + shorter * x1, -30.0), 30.0)
    trial[2] = min(max(point[2] + shorter * x2, -8.0), 8.0)
