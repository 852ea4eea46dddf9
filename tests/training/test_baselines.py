"""The simple rules beside every model: they find what is there for them, and learn from the training part alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from core.market import Candles
from training.baselines import LAST_RETURN, LOGISTIC, MAJORITY, fit_line, score_baselines
from training.dataset import Dataset, build_dataset

MINUTE = 60_000


def walk(count: int, *, seed: int, echo: float = 0.0) -> Candles:
    """Minutes of a random walk; with an echo each return is partly the one before."""
    rng = np.random.default_rng(seed)
    noise = 0.001 * rng.standard_normal(count)
    moves = np.empty(count)
    moves[0] = noise[0]
    for place in range(1, count):
        moves[place] = echo * moves[place - 1] + noise[place]
    close = 100.0 * np.exp(np.cumsum(moves))
    opened = np.concatenate([[100.0], close[:-1]])
    times = 1_735_689_600_000 + MINUTE * np.arange(count, dtype=np.int64)
    volume = rng.uniform(1.0, 2.0, count)
    return Candles("BTC-USD", "1m", times, opened, np.maximum(opened, close), np.minimum(opened, close), close, volume)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(walk(12_000, seed=3, echo=0.6), origin="test", window=2, horizon=1)


def test_the_line_is_that_of_another_library() -> None:
    rng = np.random.default_rng(5)
    table = rng.standard_normal((4_000, 6)).astype(np.float32)
    odds = table @ np.array([1.5, -0.7, 0.0, 0.2, 3.0, 0.0]) - 0.4
    up = rng.random(4_000) < 1.0 / (1.0 + np.exp(-odds))
    line = fit_line(table, up)
    other = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(table.astype(np.float64), up)
    assert line.weights == pytest.approx(other.coef_[0], abs=1e-4)
    assert line.intercept == pytest.approx(float(other.intercept_[0]), abs=1e-4)
    assert line.probability(table) == pytest.approx(other.predict_proba(table.astype(np.float64))[:, 1], abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_class_alone_or_columns_that_stand_still_have_a_finite_answer(share: float) -> None:
    table = np.ones((500, 3), dtype=np.float32)
    line = fit_line(table, np.full(500, share > 0.5))
    probability = line.probability(table)
    assert np.isfinite(line.weights).all()
    assert (np.abs(probability - share) < 0.05).all()


def test_each_baseline_answers_every_window_it_is_asked_for(dataset: Dataset) -> None:
    rows = dataset.test.rows
    found = score_baselines(dataset, rows)
    assert [each.name for each in found] == [MAJORITY, LAST_RETURN, LOGISTIC]
    for _, scores in found:
        assert scores.symbol == "BTC-USD"
        assert (scores.open_times == dataset.open_times[rows]).all()
        assert (scores.up == (dataset.move[rows] > 0.0)).all()
        assert ((scores.probability > 0.0) & (scores.probability < 1.0)).all()


def test_the_majority_is_the_share_of_rises_in_training(dataset: Dataset) -> None:
    majority = score_baselines(dataset, dataset.test.rows)[0].scores
    assert set(majority.probability) == {float(dataset.up[dataset.train.rows].mean())}


def test_an_echo_of_the_last_move_is_found_where_there_is_one(dataset: Dataset) -> None:
    echo = score_baselines(dataset, dataset.test.rows)[1].scores
    accuracy = ((echo.probability > 0.5) == echo.up).mean()
    assert accuracy > 0.6  # the truth, arc sine law: 1/2 + asin(0.6) / pi = 70.5 %
    calm = build_dataset(walk(12_000, seed=4), origin="test", window=2, horizon=1)
    nothing = score_baselines(calm, calm.test.rows)[1].scores
    assert abs(((nothing.probability > 0.5) == nothing.up).mean() - 0.5) < 3.5 * 0.5 / np.sqrt(len(nothing.up))


def test_what_comes_after_training_changes_no_answer(dataset: Dataset) -> None:
    """The labels of all later parts turned round: a baseline that looked at them would say something else."""
    up = dataset.up.copy()
    later = np.concatenate([dataset.stop.rows, dataset.calibrate.rows, dataset.test.rows])
    up[later] = 1.0 - up[later]
    turned = replace(dataset, up=up)
    rows = dataset.test.rows
    for before, after in zip(score_baselines(dataset, rows), score_baselines(turned, rows), strict=True):
        assert (before.scores.probability == after.scores.probability).all()
