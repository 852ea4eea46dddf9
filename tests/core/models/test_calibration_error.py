"""The calibration error does not count noise, its bounds hold, and the proper scores are those of scikit-learn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from core.errors import CrpbotError
from core.performance import calibration
from core.performance.calibration import (
    Bounded,
    area_under_curve,
    brier_score,
    brier_skill,
    calibration_error,
    plug_in_error,
    reliability,
)

COUNTED = 600  # simulations
COVERED = 250


def draw(rng: np.random.Generator, n: int, gap: float = 0.0, *, spread: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """What is said about a half, and outcomes that come `gap` too often; with n windows of a perfect model for 0."""
    said = rng.uniform(0.5 - spread, 0.5 + spread, n)
    return said, rng.random(n) < said + gap


@pytest.mark.parametrize(
    ("n", "mean", "high"),
    [
        (100, 0.125, 0.175),
        (200, 0.090, 0.123),
        (500, 0.055, 0.079),
        (1_000, 0.040, 0.056),
        (2_000, 0.028, 0.039),
        (5_000, 0.018, 0.025),
    ],
)
def test_a_perfect_model_shows_a_plug_in_error(n: int, mean: float, high: float) -> None:
    rng = np.random.default_rng(n)
    found = [plug_in_error(*draw(rng, n)) for _ in range(COUNTED)]
    assert np.mean(found) == pytest.approx(mean, rel=0.05)
    assert np.quantile(found, 0.95) == pytest.approx(high, rel=0.08)


@pytest.mark.parametrize("gap", [0.0, 0.03, 0.08])
@pytest.mark.parametrize("n", [200, 1_000])
def test_the_debiased_square_is_right_on_average(gap: float, n: int) -> None:
    rng = np.random.default_rng(n)
    found = []
    for _ in range(COUNTED):
        said, up = draw(rng, n, gap)
        inside = calibration._bins(said, 10)[:, None] == np.arange(10)
        gaps = inside * (up - said)[:, None]
        columns = np.concatenate([inside, gaps, gaps * gaps], axis=1).astype(float)
        found.append(float(calibration._squared(calibration._split(columns.mean(axis=0)), n)[0]))
    assert np.mean(found) == pytest.approx(gap**2, abs=4.0 * np.std(found) / np.sqrt(COUNTED))


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["shift", "one bin", "too sure"])
def test_the_upper_bound_holds_in_about_19_of_20(shape: str) -> None:
    n = 2_000
    rng = np.random.default_rng(17)
    covered = 0
    for _ in range(COVERED):
        said = rng.uniform(0.3, 0.7, n)
        place = (said - 0.5) / 0.4
        gap = {
            "shift": np.full(n, 0.05),
            "one bin": np.where(place > 0.4, 0.05 * np.sqrt(10.0), 0.0),
            "too sure": -0.05 * np.sqrt(12.0) * place,
        }[shape]
        found = calibration_error(said, rng.random(n) < said + gap, resamples=300)
        assert found.high is not None
        covered += found.high >= 0.05
    assert covered / COVERED >= 0.9


def test_a_perfect_model_is_let_through_from_2_000_on() -> None:
    rng = np.random.default_rng(3)
    bounds = [calibration_error(*draw(rng, 2_000, spread=0.3), resamples=300).high for _ in range(60)]
    assert np.mean([bound is not None and bound <= 0.05 for bound in bounds]) >= 0.85


def test_a_model_that_is_ten_points_off_is_seen() -> None:
    found = calibration_error(*draw(np.random.default_rng(4), 2_000, 0.1))
    assert found.low is not None
    assert found.low > 0.05
    assert found.value == pytest.approx(0.1, abs=0.02)


def test_few_windows_have_no_error() -> None:
    assert calibration_error(*draw(np.random.default_rng(5), 99)) == Bounded(None, None, None, 99)
    assert np.isnan(plug_in_error(np.array([]), np.array([], dtype=bool)))


def test_the_same_word_for_all_is_one_bin() -> None:
    up = np.arange(500) % 2 == 0
    (only,) = reliability(np.full(500, 0.6), up)
    assert (only.low, only.high, only.happened, only.n) == (0.6, 0.6, 0.5, 500)
    assert calibration_error(np.full(500, 0.6), up).value == pytest.approx(0.1, abs=0.01)


def test_bins_hold_equally_many_and_all() -> None:
    said, up = draw(np.random.default_rng(6), 1_003, spread=0.4)
    bins = reliability(said, up)
    assert sum(each.n for each in bins) == 1_003
    assert {each.n for each in bins} <= {100, 101}
    assert all(before.high < after.low for before, after in pairwise(bins))


@pytest.mark.parametrize("seed", range(3))
def test_proper_scores_are_those_of_scikit_learn(seed: int) -> None:
    said, up = draw(np.random.default_rng(seed), 700, spread=0.4)
    said = said.round(2)  # ties
    assert brier_score(said, up) == pytest.approx(brier_score_loss(up, said), abs=1e-12)
    assert calibration.log_loss(said, up) == pytest.approx(log_loss(up, said), abs=1e-12)
    assert area_under_curve(said, up) == pytest.approx(roc_auc_score(up, said), abs=1e-12)


def test_the_base_rate_has_no_skill_and_knowledge_has() -> None:
    said, up = draw(np.random.default_rng(8), 3_000, spread=0.45)
    assert brier_skill(np.full(3_000, up.mean()), up).value == pytest.approx(0.0, abs=1e-12)
    skill = brier_skill(said, up)
    assert skill.low is not None
    assert skill.value is not None
    assert 0.0 < skill.low < skill.value < 1.0
    assert brier_skill(said, np.ones(3_000, dtype=bool)).value is None


@pytest.mark.parametrize(
    ("said", "up"), [([0.5, 1.2], [True, False]), ([0.5, np.nan], [True, False]), ([0.5], [True, False])]
)
def test_what_is_no_probability_is_refused(said: list[float], up: list[bool]) -> None:
    with pytest.raises(CrpbotError, match="probability"):
        brier_score(np.array(said), np.array(up))
