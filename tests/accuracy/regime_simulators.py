"""Markets with hidden regimes, and the filter that knows their true parameters. Shares no code with the product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from core.market import Candles
from tests.accuracy.simulators import TYPICAL_RETURN, Floats

States = NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """A hidden Markov model with normal returns."""

    means: Floats
    deviations: Floats
    transition: Floats

    @property
    def start(self) -> Floats:
        """Shares of time in each state."""
        return np.linalg.matrix_power(self.transition, 100_000)[0]


def truth_of(means, deviations, stay: float) -> Truth:
    """States that are left with equal chances to all others."""
    return Truth(np.array(means), np.array(deviations), chain(len(means), stay))


def chain(states: int, stay: float) -> Floats:
    """Transitions that stay with one probability and leave to all others alike."""
    matrix = np.full((states, states), (1.0 - stay) / (states - 1))
    np.fill_diagonal(matrix, stay)
    return matrix


def simulate(rng: np.random.Generator, truth: Truth, rows: int, size: int) -> tuple[Floats, States]:
    """(rows, size) returns and their states."""
    last = len(truth.means) - 1
    path = np.empty((rows, size), np.int64)
    bounds = truth.transition.cumsum(axis=1)
    current = np.minimum((rng.random(rows)[:, None] > truth.start.cumsum()).sum(axis=1), last)
    for place in range(size):
        path[:, place] = current
        current = np.minimum((rng.random(rows)[:, None] > bounds[current]).sum(axis=1), last)
    return truth.means[path] + truth.deviations[path] * rng.standard_normal((rows, size)), path


def oracle(returns: Floats, truth: Truth) -> Floats:
    """(rows, K): probability of each state at the last candle, by Bayes' rule with the true parameters."""
    expected = np.tile(truth.start, (len(returns), 1))
    for value in returns.T:
        distance = (value[:, None] - truth.means) / truth.deviations
        belief = expected * np.exp(-0.5 * distance**2) / truth.deviations
        belief /= belief.sum(axis=1, keepdims=True)
        expected = belief @ truth.transition
    return belief


def history_of(returns: Floats) -> Candles:
    """A history whose closes have these log returns, in units of a typical one."""
    closes = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(TYPICAL_RETURN * returns)]))
    times = 300_000 * np.arange(len(closes), dtype=np.int64)
    return Candles("BTC-USD", "5m", times, closes, closes, closes, closes, np.ones_like(closes))


def planted_history(rng: np.random.Generator, drifts: tuple[float, ...], size: int, life: int) -> Candles:
    """Normal noise around drifts that last `life` candles on average."""
    returns, _ = simulate(rng, truth_of(drifts, [1.0] * len(drifts), 1.0 - 1.0 / life), 1, size)
    return history_of(returns[0])


def share_right(chances: Floats, truth: States) -> float:
    """How often the most probable state is the true one."""
    return float(np.mean(chances.argmax(axis=1) == truth))


def log_score(chances: Floats, truth: States) -> float:
    """Mean log probability given to the true state; higher is better."""
    return float(np.mean(np.log(np.maximum(chances[np.arange(len(truth)), truth], 1e-12))))


def best_agreement(found: States, truth: States, states: int) -> float:
    """How often two paths agree after the relabelling that suits best."""
    table = np.zeros((states, states))
    np.add.at(table, (found, truth), 1.0)
    return float(table[linear_sum_assignment(-table)].sum() / len(truth))
