"""What a forecast must beat before anybody looks at it: the usual direction, an echo of the last move, a straight line.

All three learn from the training part alone and answer on the same windows as the model, so that one table holds them:

- majority: the share of rises in training, the same for every window;
- last return: the share of rises in training after a rise, after a fall and after no move of the last minute;
- logistic regression: log odds of a rise, linear in the 31 scaled inputs of the window's last candle, fitted by
  Newton's method with a ridge penalty (half the penalty times the squared weights; the intercept is free).

Source: Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, 4.4 (logistic regression).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.market import Floats
from training.dataset import Dataset
from training.scores import Scores

MAJORITY: Final = "majority"
LAST_RETURN: Final = "last return"
LOGISTIC: Final = "logistic regression"

# Enough against columns that say the same (a price and its mean); of 10,000 windows it moves a weight by thousandths.
PENALTY: Final = 1.0
NEWTON_STEPS: Final = 25
CONVERGED: Final = 1e-8
# Rows of one chunk: a chunk of 31 float64 columns stays in the processor's cache, and memory does not grow with years.
CHUNK: Final = 16_384

Table = NDArray[np.float32] | Floats
Rows = NDArray[np.int64]


class Baseline(NamedTuple):
    """A simple rule's answers on a part of the data."""

    name: str
    scores: Scores


class Line(NamedTuple):
    """Log odds of a rise: intercept + table @ weights."""

    weights: Floats
    intercept: float

    def probability(self, table: Table) -> Floats:
        """Of a rise. Shape: (N, F) -> (N,)."""
        return _logistic(np.asarray(table, dtype=np.float64) @ self.weights + self.intercept)


def score_baselines(dataset: Dataset, rows: Rows) -> tuple[Baseline, ...]:
    """Every baseline on these windows, in the order of the table."""
    answers = (
        (MAJORITY, _majority(dataset, rows)),
        (LAST_RETURN, _echo(dataset, rows)),
        (LOGISTIC, _line(dataset, rows)),
    )
    return tuple(Baseline(name, scores_of(dataset, rows, probability)) for name, probability in answers)


def scores_of(dataset: Dataset, rows: Rows, probability: Floats) -> Scores:
    """A probability for each of these windows, beside what came of them."""
    return Scores(
        dataset.symbol,
        dataset.open_times[rows],
        probability,
        dataset.up[rows] > 0.5,
        dataset.move[rows],
    )


def fit_line(table: Table, up: NDArray[np.bool_], *, penalty: float = PENALTY) -> Line:
    """Logistic regression by Newton's method.

    Shape: (N, F), (N,) -> F weights and an intercept. Edge cases: one class alone, or columns that do not vary, still
    have a finite answer, since the penalty holds the weights and the steps are bounded in number.
    """
    ridge = np.full(table.shape[1] + 1, penalty)
    ridge[-1] = 1e-6  # free, but one class alone would send it to infinity
    weights: Floats = np.zeros(len(ridge))
    step: Floats = np.zeros(len(ridge))
    least = np.inf
    for _ in range(NEWTON_STEPS):
        loss, gradient, curvature = _descend(table, up, weights - step, ridge)
        if loss > least:  # the step was too long
            step = 0.5 * step
            continue
        converged = least - loss < CONVERGED * max(loss, 1.0)
        least, weights = loss, weights - step
        if converged:
            break
        step = np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
    return Line(weights[:-1], float(weights[-1]))


def _descend(table: Table, up: NDArray[np.bool_], weights: Floats, ridge: Floats) -> tuple[float, Floats, Floats]:
    """The penalised loss, its gradient and its second derivatives."""
    loss = 0.5 * float(weights @ (ridge * weights))
    gradient, curvature = ridge * weights, np.diag(ridge)
    for begin in range(0, len(table), CHUNK):
        columns = _with_one(table[begin : begin + CHUNK])
        odds, rose = columns @ weights, up[begin : begin + CHUNK]
        share = _logistic(odds)
        loss += float(np.logaddexp(0.0, np.where(rose, -odds, odds)).sum())
        gradient = gradient + columns.T @ (share - rose)
        curvature = curvature + columns.T @ (columns * (share * (1.0 - share))[:, None])
    return loss, gradient, curvature


def _majority(dataset: Dataset, rows: Rows) -> Floats:
    return np.full(len(rows), float(dataset.up[dataset.train.rows].mean()))


def _echo(dataset: Dataset, rows: Rows) -> Floats:
    learned, asked = _last_sign(dataset, dataset.train.rows), _last_sign(dataset, rows)
    rose = dataset.up[dataset.train.rows]
    usual = float(rose.mean())
    probability = np.full(len(rows), usual)
    for sign in (-1.0, 0.0, 1.0):
        alike = learned == sign
        probability[asked == sign] = float(rose[alike].mean()) if alike.any() else usual
    return probability


def _line(dataset: Dataset, rows: Rows) -> Floats:
    learned = dataset.train.rows
    line = fit_line(dataset.features[learned], dataset.up[learned] > 0.5)
    return line.probability(dataset.features[rows])


def _last_sign(dataset: Dataset, rows: Rows) -> Floats:
    """1, 0 or -1 as a window's last candle closed above, at or below the one before; 0 where there is none."""
    sign: Floats = np.sign(dataset.closes[rows] - dataset.closes[np.maximum(rows - 1, 0)])
    return sign


def _with_one(table: Table) -> Floats:
    return np.column_stack([np.asarray(table, dtype=np.float64), np.ones(len(table))])


def _logistic(odds: Floats) -> Floats:
    share: Floats = 0.5 * (1.0 + np.tanh(0.5 * odds))
    return share
