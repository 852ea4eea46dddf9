"""Filter, learning and words of the three phases against statsmodels and formulas written out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from core.analyzers.market_regime import LAYOUT, STATES, analyze, fit, read, sample
from core.errors import CrpbotError
from core.kernels.hidden_markov import filter_path
from core.kernels.regimes import Start, assemble, begin, fit_returns, middle_names, stationary
from tests.accuracy.regime_simulators import Truth, history_of, simulate, truth_of
from tests.accuracy.simulators import random_walks, windows_of

TRUTH = Truth(
    np.array([-0.3, 0.0, 0.2]),
    np.array([1.6, 0.5, 0.9]),
    np.array([[0.97, 0.02, 0.01], [0.01, 0.97, 0.02], [0.02, 0.01, 0.97]]),
)


def returns_of(rows, size, seed=1):
    return simulate(np.random.default_rng(seed), TRUTH, rows, size)[0]


def test_the_filter_is_that_of_statsmodels():
    for row in returns_of(3, 400):
        start = stationary(TRUTH.transition)
        path, likelihood = filter_path(row, np.array([TRUTH.means, TRUTH.deviations]), TRUTH.transition, start)
        model = MarkovRegression(row, k_regimes=3, switching_variance=True)
        # statsmodels takes p[0->0], p[1->0], p[2->0], p[0->1], p[1->1], p[2->1], then means and variances.
        chances = TRUTH.transition[:, :2].T.ravel()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = model.filter(np.concatenate([chances, TRUTH.means, TRUTH.deviations**2]))
        assert likelihood == pytest.approx(reference.llf, abs=1e-6)
        np.testing.assert_allclose(path, reference.filtered_marginal_probabilities, atol=1e-8)


def test_learning_finds_the_parameters_of_a_long_history():
    fitted = fit_returns(0.005 * returns_of(8, 5_000), LAYOUT)
    means, deviations = fitted.emission * float(fitted.scale) / 0.005
    np.testing.assert_allclose(means, TRUTH.means, atol=0.06)
    np.testing.assert_allclose(deviations, TRUTH.deviations, atol=0.05)
    np.testing.assert_allclose(fitted.transition, TRUTH.transition, atol=0.01)
    np.testing.assert_allclose(fitted.start, stationary(TRUTH.transition), atol=0.05)


def test_the_states_are_ordered_by_mean():
    rng = np.random.default_rng(2)
    for returns in random_walks(rng, 1, 3_000).values():
        assert (np.diff(fit_returns(0.01 * returns, LAYOUT).emission[0]) >= 0.0).all()


def test_a_history_of_two_trends_has_no_sideways_market_that_moves():
    """The third state doubles one of the two: it bears that one's name."""
    start = begin(Start((-0.29, 0.27, 0.29), (1.0, 0.9, 1.1), 0.99))._replace(likelihood=0.0)
    fitted = assemble(0.005, start, np.array([-0.3, 0.0, 0.3]), 1e-4 * np.eye(3), size=1)
    np.testing.assert_allclose(fitted.labels, [[1, 0, 0], [0, 0, 1], [0, 0, 1]], atol=1e-9)
    np.testing.assert_allclose(fitted.label_transition.sum(axis=1), 1.0)
    assert fitted.label_transition[2, 2] == pytest.approx(0.995, abs=1e-5)
    drifts = np.array([[-0.29, -0.27, 0.29], [-0.2, 0.05, 0.15], [-0.09, -0.06, 0.04], [-0.3, 0.27, 0.3]])
    assert middle_names(drifts).tolist() == [0, 1, 1, 2], "weak drifts keep their three names"


def test_a_third_trend_that_doubles_another_on_unseen_candles_bears_its_name():
    start = begin(Start((-0.28, 0.0, 0.3), (1.0, 1.0, 1.0), 0.99))._replace(likelihood=0.0)
    fitted = assemble(0.005, start, np.array([-0.28, 0.28, 0.27]), 4e-4 * np.eye(3), size=1)
    np.testing.assert_allclose(fitted.labels, [[1, 0, 0], [0, 0, 1], [0, 0, 1]], atol=0.02)
    np.testing.assert_allclose(fitted.label_means, [-0.28, 0.0, 0.3], atol=1e-9)


def test_three_volatilities_without_directions_are_one_third_each():
    """Phases that differ in volatility alone: the states are known, their names are not."""
    returns, _ = simulate(np.random.default_rng(3), truth_of([0.0] * 3, [1.6, 0.5, 0.9], 0.97), 1, 7_000)
    fitted = fit(history_of(returns[0]))
    assert fitted.trend_separation < 4.0
    assert fitted.volatility_ratio > 2.5
    columns = analyze(windows_of(returns[:, :400]), [fitted])
    assert max(columns[name][0] for name in STATES) < 0.6
    assert read({name: column[0] for name, column in columns.items()}).vote == 0.0


def test_what_a_window_says_is_the_end_of_the_path():
    windows = windows_of(returns_of(3, 300))
    fitted = sample()
    columns = analyze(windows, [fitted] * 3)
    for row in range(3):
        values = np.clip(windows.log_returns()[row] / fitted.scale, -5.0, 5.0)
        path, _ = filter_path(values, fitted.emission, fitted.transition, fitted.start)
        shown = path[-1] @ fitted.labels
        np.testing.assert_allclose([columns[name][row] for name in STATES], shown, atol=1e-12)
        row_of_matrix = [columns[f"next_{name}"][row] for name in STATES]
        np.testing.assert_allclose(row_of_matrix, fitted.label_transition[shown.argmax()], atol=1e-12)
        assert columns["next_move"][row] == pytest.approx(path[-1] @ fitted.transition @ fitted.label_means)


def test_later_candles_change_nothing_in_the_past():
    windows = windows_of(returns_of(1, 499))
    fitted = sample()
    values = np.clip(windows.log_returns()[0] / fitted.scale, -5.0, 5.0)
    path, _ = filter_path(values, fitted.emission, fitted.transition, fitted.start)
    for end in (150, 300, 498):
        shorter = type(windows)(
            windows.symbols,
            windows.interval,
            windows.open_times[:, : end + 1],
            np.ascontiguousarray(windows.block[:, :, : end + 1]),
        )
        found = analyze(shorter, [fitted])
        np.testing.assert_allclose([found[name][0] for name in STATES], path[end - 1] @ fitted.labels, atol=1e-9)


def test_a_short_or_flat_history_is_refused():
    with pytest.raises(CrpbotError, match="1500 candles are too few"):
        fit(history_of(np.ones(1_499)))
    with pytest.raises(CrpbotError, match="never move"):
        fit(history_of(np.zeros(2_500)))


def test_a_fit_is_arrays_of_numbers():
    for fitted in (sample(), fit(history_of(returns_of(1, 2_500)[0]))):
        for name, value in fitted._asdict().items():
            assert isinstance(value, np.ndarray), name
            assert value.dtype == np.float64, name
            assert np.isfinite(value).all(), name


def test_moves_of_one_size_are_a_problem_not_a_number():
    for step in (0.0, 1.0):
        assert np.isnan(analyze(windows_of(np.full((1, 300), step)), [sample()])["bull"][0])


def values_of(bull, sideways, bear, *, move=0.0, separation=12.0):
    return {
        "bull": bull,
        "sideways": sideways,
        "bear": bear,
        "next_move": move,
        "expected_duration": 80.4,
        "trend_separation": separation,
    }


@pytest.mark.parametrize(
    ("values", "vote", "words"),
    [
        (
            values_of(0.93, 0.05, 0.02, move=0.2),
            0.91,
            "Bull market (93 %), lasts 80 candles on average, +0.20 sd expected of the next candle.",
        ),
        (
            values_of(0.02, 0.05, 0.93, move=-0.1),
            -0.455,
            "Bear market (93 %), lasts 80 candles on average, -0.10 sd expected of the next candle.",
        ),
        (values_of(0.05, 0.9, 0.05), 0.0, "Sideways market (90 %), lasts 80 candles on average."),
        (
            values_of(0.9, 0.05, 0.05, move=0.03),
            0.0,
            "Bull market (90 %), but too weak to move the price (+0.03 sd a candle).",
        ),
        (
            values_of(0.5, 0.4, 0.1, move=0.1),
            0.0,
            "Undecided between the phases (bull 50 %, sideways 40 %, bear 10 %).",
        ),
        (
            values_of(0.34, 0.33, 0.33, separation=0.4),
            0.0,
            "Undecided (bull 34 %, sideways 33 %, bear 33 %): the history shows no clear bull and bear markets.",
        ),
    ],
)
def test_different_states_are_said_in_different_words(values, vote, words):
    opinion = read(values)
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words == words
    assert len(words) < 200
