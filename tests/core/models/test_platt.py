"""Platt's line makes "70 % sure" come true seven times in ten, and never turns a model upside down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from core.errors import CrpbotError
from core.models.calibration import FEWEST, Platt, fit_platt, log_odds


def draw(seed: int, n: int, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    """Log odds of a model whose words come true along that line."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.standard_normal(n)
    return logits, rng.random(n) < expit(slope * logits + intercept)


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, 0.3), (1.0, 0.0), (2.0, -1.0)])
def test_the_line_that_the_outcomes_follow_is_found(slope: float, intercept: float) -> None:
    found = fit_platt(*draw(1, 40_000, slope, intercept))
    assert found == pytest.approx((slope, intercept), abs=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_line_has_less_loss(seed: int) -> None:
    logits, up = draw(seed, 300, 0.7, 0.2)
    hits, misses = up.sum(), (~up).sum()
    target = np.where(up, (hits + 1) / (hits + 2), 1 / (misses + 2))

    def loss(line: np.ndarray) -> float:
        odds = line[0] * logits + line[1]
        return float((np.logaddexp(0.0, odds) - target * odds).sum())

    best = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    assert fit_platt(logits, up) == pytest.approx(tuple(best.x), abs=1e-5)


def test_a_model_that_is_wrong_more_often_than_right_knows_nothing() -> None:
    logits, up = draw(2, 2_000, 1.0, 0.4)
    found = fit_platt(-logits, up)
    assert found.slope == 0.0
    assert found.apply(logits) == pytest.approx(up.mean(), abs=0.002)


def test_a_slice_without_a_mistake_leaves_doubt() -> None:
    logits = np.linspace(-3.0, 3.0, 200)
    probability = fit_platt(logits, logits > 0.0).apply(logits)
    assert np.isfinite(probability).all()
    assert 0.0 < probability.min() < 0.01
    assert 0.99 < probability.max() < 1.0


def test_a_model_that_always_says_the_same_gets_the_base_rate() -> None:
    up = np.arange(400) % 4 == 0
    assert fit_platt(np.full(400, 0.7), up).apply(np.array([0.7])) == pytest.approx(0.25, abs=0.01)


def test_the_order_of_the_words_stays() -> None:
    logits, up = draw(3, 500, 0.6, 0.0)
    probability = fit_platt(logits, up).apply(np.sort(logits))
    assert (np.diff(probability) >= 0.0).all()


def test_log_odds_take_words_of_certainty() -> None:
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
    assert Platt(1.0, 0.0).apply(log_odds(np.array([0.2, 0.5, 0.9]))) == pytest.approx([0.2, 0.5, 0.9])


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-4, 1e4), st.floats(-50.0, 50.0))
def test_units_of_the_log_odds_do_not_matter(scale: float, shift: float) -> None:
    logits, up = draw(4, 400, 0.8, 0.1)
    moved = scale * logits + shift
    assert fit_platt(moved, up).apply(moved) == pytest.approx(fit_platt(logits, up).apply(logits), abs=1e-5)


@pytest.mark.parametrize(
    ("logits", "up", "told"),
    [
        (np.zeros(FEWEST - 1), np.arange(FEWEST - 1) % 2 == 0, "99 points"),
        (np.zeros(200), np.ones(200, dtype=bool), "200 of them up"),
        (np.where(np.arange(200) == 7, np.nan, 0.5), np.arange(200) % 2 == 0, "row 7"),
        (np.zeros(200), np.zeros(100, dtype=bool), "shape"),
    ],
)
def test_a_slice_that_cannot_calibrate_is_refused(logits: np.ndarray, up: np.ndarray, told: str) -> None:
    with pytest.raises(CrpbotError, match=told):
        fit_platt(logits, up)
