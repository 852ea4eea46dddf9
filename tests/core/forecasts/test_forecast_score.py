"""Live scores: the plain formulas, intervals that know that coins share their luck, and no verdict before its time."""

from __future__ import annotations

import numpy as np
import pytest

from core.forecasts.score import FEWEST_INSTANTS, MOST_CALIBRATED, Counts, LiveScore, Windows, compare, score
from core.performance.better import Answer
from core.performance.calibration import brier_score, calibration_error, log_loss
from core.performance.measure import estimate_rate
from core.performance.sample import Method
from tests.core.forecast_cases import windows

NOTHING = Counts(0, 0, 0, 0, None, None)


def drawn(instants: int, coins: int = 1, *, seed: int = 1, share: float = 0.0) -> Windows:
    """A model that says 60 or 40 % and is right about that; coins of an instant have so much of their luck together."""
    noise = np.random.default_rng([seed, instants, coins])
    lean = noise.random((instants, coins)) < 0.5
    together = noise.random((instants, coins)) < share
    luck = np.where(together, noise.random((instants, 1)), noise.random((instants, coins)))
    said = np.where(lean, 0.6, 0.4)
    return windows(said.ravel().tolist(), (luck < said).ravel().tolist(), coins=coins)


def score_of(given: Windows) -> LiveScore:
    return score("lstm-11111111", NOTHING, given)


def test_the_scores_are_the_plain_formulas() -> None:
    given = drawn(200, 3)
    found = score_of(given)
    assert (found.windows, found.instants) == (600, 200)
    assert found.accuracy.value == pytest.approx(((given.probability >= 0.5) == given.up).mean())
    assert found.brier.value == pytest.approx(brier_score(given.probability, given.up))
    assert found.log_loss.value == pytest.approx(log_loss(given.probability, given.up))
    assert found.calibration_error.value == calibration_error(given.probability, given.up).value
    assert found.up_share == estimate_rate(int(given.up.sum()), 600)
    for each in (found.accuracy, found.brier, found.log_loss):
        assert each.low is not None
        assert each.high is not None
        assert each.value is not None
        assert each.low < each.value < each.high


def test_a_half_counts_as_up_and_certainty_that_fails_costs_a_finite_loss() -> None:
    found = score_of(windows([0.5, 0.5, 0.0], [True, False, True]))
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert found.log_loss.value is not None
    assert 9.0 < found.log_loss.value < 10.0


def test_few_instants_have_values_and_no_interval() -> None:
    found = score_of(drawn(FEWEST_INSTANTS - 1, 10))
    for each in (found.accuracy, found.brier, found.log_loss):
        assert each.value is not None
        assert (each.low, each.high) == (None, None)
    alone = score_of(drawn(FEWEST_INSTANTS - 1))  # of one coin windows are independent, and the exact interval holds
    assert (alone.accuracy.method, alone.brier.low) == (Method.EXACT, None)
    assert alone.accuracy.low is not None


def test_no_window_is_no_number() -> None:
    found = score_of(windows([], []))
    assert (found.windows, found.instants) == (0, 0)
    assert {each.value for each in (found.accuracy, found.brier, found.log_loss, found.calibration_error)} == {None}


def test_coins_that_share_their_luck_make_the_interval_of_one_coin() -> None:
    def width(given: Windows) -> float:
        found = score_of(given).accuracy
        assert found.high is not None
        assert found.low is not None
        return found.high - found.low

    alone = drawn(400)
    same = windows(np.repeat(alone.probability, 10).tolist(), np.repeat(alone.up, 10).tolist(), coins=10)
    assert width(same) == pytest.approx(width(alone), rel=0.25)
    assert width(drawn(400, 10)) < 0.5 * width(alone)


def test_an_interval_holds_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        found = score_of(drawn(120, 5, seed=seed, share=0.6)).accuracy
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.6 <= found.high
    assert held >= 53  # of 60 at 95 %: fewer in one of a hundred runs


def test_the_calibration_error_is_told_of_the_newest_windows() -> None:
    found = score_of(drawn(MOST_CALIBRATED // 5 + 40, 5))
    assert (found.windows, found.calibration_error.n) == (MOST_CALIBRATED + 200, MOST_CALIBRATED)


def test_a_comparison_takes_the_windows_of_both_whatever_their_order() -> None:
    champion = drawn(300, 2)
    turned = np.random.default_rng(2).permutation(600)
    better = Windows(*(column[turned] for column in champion._replace(probability=0.2 + 0.6 * champion.up)))
    part = Windows(*(column[100:] for column in champion))
    found = compare(better, "ppo-33333333", part)
    assert (found.champion, found.windows, found.instants, found.better) == ("ppo-33333333", 500, 250, Answer.YES)
    assert found.brier_advantage.value == pytest.approx(brier_score(part.probability, part.up) - 0.04)
    assert compare(part, "ppo-33333333", better).better is Answer.NO


def test_a_window_that_is_told_twice_is_compared_once_and_only_where_both_spoke() -> None:
    one, other = windows([0.6] * 200, [True] * 200), windows([0.7] * 200, [True] * 200, first=150)
    twice = Windows(*(np.repeat(column, 2) for column in one))
    assert compare(twice, "a", other) == compare(one, "a", other)
    assert compare(twice, "a", other).windows == 50


def test_a_comparison_is_open_while_it_is_short_or_even() -> None:
    short = drawn(FEWEST_INSTANTS - 1)
    sure = short._replace(probability=short.up.astype(np.float64))
    assert compare(sure, "a", short).better is Answer.UNDECIDED
    even = drawn(500, 2)
    assert compare(even, "a", even).better is Answer.UNDECIDED
    apart = windows([0.6] * 200, [True] * 200, first=9_000)
    found = compare(apart, "a", even)
    assert (found.windows, found.brier_advantage.value, found.better) == (0, None, Answer.UNDECIDED)


def test_the_same_windows_give_the_same_score() -> None:
    assert score_of(drawn(150, 4)) == score_of(drawn(150, 4))
