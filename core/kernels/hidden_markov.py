"""Compiled kernels for hidden Markov models with normal emissions: forward filter and expectation-maximisation.

K states, each with a mean and a standard deviation; the next candle's state depends on the one of this candle only. The
filter gives p(state at t | values up to t): it never looks ahead. Densities enter as ratios to the largest of their
candle, so that no value is too far out to be read.
Kernels hold no module constants and call only kernels of this file: the cache on disk would not notice their change.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.market import Floats

Indices = NDArray[np.int64]


@njit(cache=True, nogil=True)
def filter_rows(
    returns: Floats, units: tuple[Floats, float], models: Indices, parameters: tuple[Floats, Floats, Floats]
) -> Floats:
    """Probability of each state at the last candle of each row, as the end of `filter_path`, without keeping the path.

    Shape: (B, n) returns; `units`: (B,) scale of each row and the largest move in it, beyond which moves are cut;
    (B,) number of each row's model; `parameters`: (M, 2, K) means and deviations, (M, K, K), (M, K) -> (B, K).
    """
    scales, largest_move = units
    emissions, transitions, starts = parameters
    rows, size = returns.shape
    states = starts.shape[1]
    last = np.empty((rows, states))
    expected = np.empty(states)
    belief = np.empty(states)
    values = np.empty(size)
    densities = np.empty((states, size))
    for row in range(rows):
        for place in range(size):
            value = returns[row, place] / scales[row]
            value = largest_move if value > largest_move else value
            values[place] = -largest_move if value < -largest_move else value
        _likely(values, emissions[models[row]], densities)
        arrivals = transitions[models[row]].T.copy()
        expected[:] = starts[models[row]]
        for place in range(size):
            total = 0.0
            for state in range(states):
                belief[state] = expected[state] * densities[state, place]
                total += belief[state]
            inverse = 1.0 / total
            for state in range(states):
                belief[state] *= inverse
            for state in range(states):
                mass = 0.0
                for origin in range(states):
                    mass += belief[origin] * arrivals[state, origin]
                expected[state] = mass
        last[row] = belief
    return last


@njit(cache=True, nogil=True)
def describe_rows(
    last: Floats,
    models: Indices,
    parameters: tuple[Floats, Floats, Floats],
    labelled: tuple[Floats, Floats, Floats],
) -> Floats:
    """What the last candle's states mean, one column a row.

    Shape: (B, K) probabilities, (B,), parameters as in `filter_rows`; `labelled`: (M, K, K) chance that a state
    deserves a label, (M, K) mean of each state after that doubt, (M, K, K) transition between labels -> (2 K + 6, B):
    probability of each label; chance of each label next, given the most likely one; that label's number, its chance to
    stay and expected length in candles; mean and deviation of the next return; certainty, 1 less the entropy over its
    maximum. The middle third of the labels comes first when several are equally likely.
    """
    labels, means, moves = labelled
    emissions, transitions, _ = parameters
    rows, states = last.shape
    third = states // 3
    table = np.zeros((2 * states + 6, rows))
    for row in range(rows):
        model = models[row]
        move = square = 0.0
        for state in range(states):
            ahead = 0.0
            for origin in range(states):
                table[state, row] += last[row, origin] * labels[model, origin, state]
                ahead += last[row, origin] * transitions[model, origin, state]
            move += ahead * means[model, state]
            square += ahead * (emissions[model, 1, state] ** 2 + means[model, state] ** 2)
        likely = third
        entropy = 0.0
        for turn in range(states):
            state = (turn + third) % states
            chance = table[state, row]
            if chance > table[likely, row] + 1e-9:
                likely = state
            if chance > 0.0:
                entropy -= chance * math.log(chance)
        for state in range(states):
            table[states + state, row] = moves[model, likely, state]
        stay = moves[model, likely, likely]
        table[2 * states, row] = likely
        table[2 * states + 1, row] = stay
        table[2 * states + 2, row] = 1.0 / (1.0 - stay)
        table[2 * states + 3, row] = move
        table[2 * states + 4, row] = math.sqrt(max(square - move * move, 0.0))
        table[2 * states + 5, row] = min(max(1.0 - entropy / math.log(states), 0.0), 1.0)
    return table


@njit(cache=True, nogil=True)
def filter_path(values: Floats, emission: Floats, transition: Floats, start: Floats) -> tuple[Floats, float]:
    """Probability of each state at each candle given the values up to it, and the log likelihood of all values.

    Shape: (n,) values, (2, K) means and deviations, (K, K), (K,) probabilities before the first value -> (n, K).
    """
    ratios, scale = _densities(values, emission)
    totals = np.empty(values.size)
    path = _forward(ratios, transition, start, totals)
    for place in range(values.size):
        scale += math.log(totals[place])
    return path, scale


@njit(cache=True, nogil=True)
def maximise(
    values: Floats,
    emission: Floats,
    transition: Floats,
    start: Floats,
    classes: Indices,
    limits: tuple[int, float, float, float, float, float],
) -> tuple[float, int]:
    """Improve a model in place by expectation-maximisation over all rows; log likelihood at the last step, steps.

    Shape: (S, n) values, (2, K) means and deviations, (K, K), (K,), (K,) class of each state.
    States of one class share their deviation, and within a class the means do not fall from state to state; with a
    class each the model is free. `limits`: most steps, least gain of a step in nats, least deviation, least
    probability to stay in a state; the pull: so many candles without a move are added to each state's mean, lest a
    state shrink onto one odd candle; the spread: so many changes to each other state are added, lest chance decide
    where a state leads. Every step is the maximum of likelihood and priors under these constraints.
    """
    most_steps, least_gain, least_deviation, least_stay, pull, spread = limits
    states = start.size
    size = values.shape[1]
    moments = np.empty((3, states))
    moves = np.empty((states, states))
    first = np.empty(states)
    totals = np.empty(size)
    previous = -math.inf
    likelihood = -math.inf
    step = 0
    for step in range(1, most_steps + 1):  # noqa: B007
        moments[:] = 0.0
        moves[:] = 0.0
        first[:] = 0.0
        likelihood = 0.0
        for row in range(values.shape[0]):
            ratios, scale = _densities(values[row], emission)
            path = _forward(ratios, transition, start, totals)
            likelihood += scale
            for place in range(size):
                likelihood += math.log(totals[place])
            _backward(values[row], ratios, path, totals, transition, (moments, moves, first))
        objective = likelihood - 0.5 * pull * ((emission[0] / emission[1]) ** 2).sum()
        if spread > 0.0:
            objective += _log_prior(transition, spread)
        if objective - previous < least_gain:
            break
        previous = objective
        _update_moves(moves, transition, least_stay, spread)
        start[:] = first / first.sum()
        _update_emission(moments, emission, classes, (least_deviation, pull))
    return likelihood, step


@njit(cache=True, nogil=True)
def _likely(values: Floats, emission: Floats, densities: Floats) -> None:
    """Density of each value in each state, (K, n), up to a constant; the inner loop along the candles is vectorised.

    None is below exp(-600), so that a value far from every state says nothing of any instead of dividing by zero.
    """
    for state in range(emission.shape[1]):
        mean = emission[0, state]
        narrowness = 1.0 / emission[1, state]
        log_deviation = math.log(emission[1, state])
        for place in range(values.size):
            distance = (values[place] - mean) * narrowness
            log_density = -0.5 * distance * distance - log_deviation
            densities[state, place] = math.exp(log_density if log_density > -600.0 else -600.0)


@njit(cache=True, nogil=True)
def _densities(values: Floats, emission: Floats) -> tuple[Floats, float]:
    """Density of each value in each state over the largest of its candle, and the sum of the logs of the largest."""
    states = emission.shape[1]
    ratios = np.empty((values.size, states))
    logs = np.log(emission[1])
    scales = 1.0 / emission[1]
    total = -0.5 * math.log(2.0 * math.pi) * values.size
    for place in range(values.size):
        largest = -math.inf
        for state in range(states):
            distance = (values[place] - emission[0, state]) * scales[state]
            log_density = -0.5 * distance * distance - logs[state]
            ratios[place, state] = log_density
            largest = log_density if log_density > largest else largest
        for state in range(states):
            ratios[place, state] = math.exp(ratios[place, state] - largest)
        total += largest
    return ratios, total


@njit(cache=True, nogil=True)
def _forward(ratios: Floats, transition: Floats, start: Floats, totals: Floats) -> Floats:
    """Filtered probabilities of each candle; `totals` takes the mass by which each candle was normalised."""
    size, states = ratios.shape
    path = np.empty((size, states))
    expected = start.copy()
    for place in range(size):
        total = 0.0
        for state in range(states):
            mass = expected[state] * ratios[place, state]
            path[place, state] = mass
            total += mass
        totals[place] = total
        inverse = 1.0 / total
        for state in range(states):
            path[place, state] *= inverse
            expected[state] = 0.0
        for origin in range(states):
            weight = path[place, origin]
            for state in range(states):
                expected[state] += weight * transition[origin, state]
    return path


@njit(cache=True, nogil=True)
def _backward(
    values: Floats,
    ratios: Floats,
    path: Floats,
    totals: Floats,
    transition: Floats,
    sums: tuple[Floats, Floats, Floats],
) -> None:
    """Add one row's expected counts: of each state with its value and square, of each move, of the first state.

    The moves are collected without their probability, which is multiplied in at the end by the caller's update.
    """
    moments, moves, first = sums
    size, states = ratios.shape
    later = np.ones(states)
    target = np.empty(states)
    for place in range(size - 1, -1, -1):
        value = values[place]
        inverse = 1.0 / totals[place]
        for state in range(states):
            weight = path[place, state] * later[state]
            moments[0, state] += weight
            moments[1, state] += weight * value
            moments[2, state] += weight * value * value
            target[state] = ratios[place, state] * later[state] * inverse
        if place == 0:
            break
        for origin in range(states):
            mass = path[place - 1, origin]
            total = 0.0
            for state in range(states):
                total += transition[origin, state] * target[state]
                moves[origin, state] += mass * target[state]
            later[origin] = total
    for state in range(states):
        first[state] += path[0, state] * later[state]


@njit(cache=True, nogil=True)
def _update_moves(moves: Floats, transition: Floats, least_stay: float, spread: float) -> None:
    """Chances to stay as often as expected, but not less than the least, and to leave for each of the other states."""
    states = moves.shape[0]
    for origin in range(states):
        total = 0.0
        for state in range(states):
            transition[origin, state] *= moves[origin, state]
            total += transition[origin, state]
        kept = transition[origin, origin]
        leaving = total - kept + spread * (states - 1)
        stay = max(kept / total, least_stay) if total > 0.0 else 1.0
        for state in range(states):
            if leaving > 0.0:
                transition[origin, state] = (1.0 - stay) * (transition[origin, state] + spread) / leaving
            else:
                transition[origin, state] = 0.0
        transition[origin, origin] = stay if leaving > 0.0 else 1.0


@njit(cache=True, nogil=True)
def _log_prior(transition: Floats, spread: float) -> float:
    """What the added changes say of where each state leads, up to a constant."""
    total = 0.0
    for origin in range(transition.shape[0]):
        for state in range(transition.shape[0]):
            if state != origin and transition[origin, origin] < 1.0:
                total += math.log(max(transition[origin, state] / (1.0 - transition[origin, origin]), 1e-300))
    return spread * total


@njit(cache=True, nogil=True)
def _update_emission(moments: Floats, emission: Floats, classes: Indices, limits: tuple[float, float]) -> None:
    """Means (ordered within a class by pooling neighbours that violate the order) and deviations of each class."""
    least_deviation, pull = limits
    states = classes.size
    block = np.empty(states, np.int64)
    sums = np.empty((2, states))
    for kind in range(classes.max() + 1):
        blocks = 0
        for state in range(states):
            if classes[state] != kind:
                continue
            sums[0, blocks] = moments[0, state] + pull
            sums[1, blocks] = moments[1, state]
            block[state] = blocks
            blocks += 1
            while blocks > 1 and sums[1, blocks - 1] * sums[0, blocks - 2] < sums[1, blocks - 2] * sums[0, blocks - 1]:
                blocks -= 1
                sums[:, blocks - 1] += sums[:, blocks]
                for earlier in range(state + 1):
                    if classes[earlier] == kind and block[earlier] > blocks - 1:
                        block[earlier] = blocks - 1
        weight = 0.0
        spread = 0.0
        for state in range(states):
            if classes[state] != kind:
                continue
            if sums[0, block[state]] > 0.0:
                emission[0, state] = sums[1, block[state]] / sums[0, block[state]]
            mean = emission[0, state]
            weight += moments[0, state]
            spread += moments[2, state] - 2.0 * mean * moments[1, state] + mean * mean * (moments[0, state] + pull)
        deviation = math.sqrt(max(spread / weight, 0.0)) if weight > 0.0 else least_deviation
        for state in range(states):
            if classes[state] == kind:
                emission[1, state] = max(deviation, least_deviation)
