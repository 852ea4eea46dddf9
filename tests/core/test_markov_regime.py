"""Filter, learning and labels of the six regimes against statsmodels, hmmlearn and formulas written out."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM

from core.analyzers import discover, markov_regime
from core.analyzers.markov_regime import LAYOUT, analyze, fit, read, sample
from core.errors import CrpbotError
from core.kernels.hidden_markov import filter_path, maximise
from core.kernels.regimes import assemble, begin, fit_returns, stationary
from core.market import Windows
from tests.accuracy.regime_simulators import chain, history_of, planted_history, simulate, truth_of
from tests.accuracy.simulators import random_walks, windows_of

TRUTH = truth_of([-0.6, -0.6, 0.0, 0.0, 0.6, 0.6], [0.4, 1.4] * 3, 0.96)
FREE = np.arange(6)
# Most steps, least gain; no least deviation, no least stay, no priors.
PLAIN = (1, 0.0, 1e-3, 0.0, 0.0, 0.0)


def returns_of(rows, size, seed=1):
    return simulate(np.random.default_rng(seed), TRUTH, rows, size)[0]


def model():
    return np.array([TRUTH.means * 0.7, TRUTH.deviations * 1.2]), chain(6, 0.8), np.full(6, 1.0 / 6.0)


def library(emission, transition, start, **settings):
    """The same model in hmmlearn, with its prior of the variances switched off."""
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    built = GaussianHMM(6, init_params="", min_covar=1e-6, covars_prior=0.0, **settings)
    built.startprob_, built.transmat_ = start.copy(), transition.copy()
    built.means_, built.covars_ = emission[0][:, None].copy(), (emission[1] ** 2)[:, None].copy()
    return built


def test_the_likelihood_and_the_last_state_are_those_of_hmmlearn():
    for row in returns_of(5, 400):
        path, likelihood = filter_path(row, *model())
        reference = library(*model())
        assert likelihood == pytest.approx(reference.score(row[:, None]), abs=1e-8)
        # At the last candle there is nothing to smooth with, so hmmlearn's probabilities are the filter's.
        np.testing.assert_allclose(path[-1], reference.predict_proba(row[:, None])[-1], atol=1e-9)


def test_one_step_of_learning_over_several_stretches_is_that_of_hmmlearn():
    rows = returns_of(4, 300)
    emission, transition, start = model()
    maximise(rows, emission, transition, start, FREE, PLAIN)
    reference = library(*model(), n_iter=1).fit(rows.reshape(-1, 1), lengths=[300] * 4)
    np.testing.assert_allclose(emission[0], reference.means_[:, 0], atol=1e-9)
    np.testing.assert_allclose(emission[1] ** 2, reference.covars_[:, 0, 0], atol=1e-9)
    np.testing.assert_allclose(transition, reference.transmat_, atol=1e-9)
    np.testing.assert_allclose(start, reference.startprob_, atol=1e-9)


@pytest.mark.parametrize("classes", [FREE, np.array([0, 1] * 3)])
@pytest.mark.parametrize("priors", [(0.0, 0.0, 0.0), (0.75, 20.0, 4.0)])
def test_learning_never_goes_down(classes, priors):
    rows = returns_of(2, 500)
    emission, transition, start = model()
    likelihoods = []
    for _ in range(30):
        prior = -0.5 * priors[1] * ((emission[0] / emission[1]) ** 2).sum()
        leaving = transition / (1.0 - np.diag(transition))[:, None]
        prior += priors[2] * np.log(leaving[~np.eye(6, dtype=bool)]).sum()
        likelihood, _ = maximise(rows, emission, transition, start, classes, (1, 0.0, 1e-3, *priors))
        likelihoods.append(likelihood + prior)
    assert np.diff(likelihoods[1:]).min() >= -1e-8


def test_states_of_one_volatility_share_it_and_their_means_are_in_order():
    rng = np.random.default_rng(3)
    for returns in random_walks(rng, 1, 3_000).values():
        means, deviations = fit_returns(0.01 * returns, LAYOUT).emission
        assert (np.diff(means[0::2]) >= 0.0).all()
        assert (np.diff(means[1::2]) >= 0.0).all()
        assert len(set(deviations[0::2])) == len(set(deviations[1::2])) == 1
        assert deviations[0] <= deviations[1]


def test_a_state_cannot_shrink_onto_equal_returns():
    returns = np.random.default_rng(4).standard_normal((1, 2_500))
    returns[0, 500:900] = 0.0
    fitted = fit_returns(returns, LAYOUT)
    assert fitted.emission[1].min() >= 0.05
    assert np.diag(fitted.transition).min() >= 0.75 - 1e-5


def test_later_candles_change_nothing_in_the_past():
    row = returns_of(1, 499)[0]
    fitted = sample()
    values = row.copy()
    path, _ = filter_path(values, fitted.emission, fitted.transition, fitted.start)
    for end in (1, 2, 100, 250, 498):
        changed = np.concatenate([values[:end], np.random.default_rng(end).standard_cauchy(499 - end)])
        other, _ = filter_path(changed, fitted.emission, fitted.transition, fitted.start)
        np.testing.assert_allclose(other[:end], path[:end], atol=1e-9)
        alone, _ = filter_path(values[:end], fitted.emission, fitted.transition, fitted.start)
        np.testing.assert_allclose(alone[-1], path[end - 1], atol=1e-9)


def test_what_a_window_says_is_the_end_of_the_path():
    returns = returns_of(3, 300)
    windows = windows_of(returns)
    fitted = sample()
    columns = analyze(windows, [fitted] * 3)
    for row in range(3):
        values = windows.log_returns()[row] / fitted.scale
        path, _ = filter_path(np.clip(values, -5.0, 5.0), fitted.emission, fitted.transition, fitted.start)
        shown = path[-1] @ fitted.labels
        ahead = path[-1] @ fitted.transition
        move = ahead @ fitted.label_means
        np.testing.assert_allclose([columns[name][row] for name in markov_regime.STATES], shown, atol=1e-12)
        assert columns["up"][row] == pytest.approx(shown[4] + shown[5], abs=1e-12)
        assert columns["high_volatility"][row] == pytest.approx(shown[1::2].sum(), abs=1e-12)
        assert columns["state"][row] == shown.argmax()
        assert columns["next_move"][row] == pytest.approx(move, abs=1e-12)
        variance = ahead @ (fitted.emission[1] ** 2 + fitted.label_means**2) - move**2
        assert columns["next_deviation"][row] == pytest.approx(np.sqrt(variance), abs=1e-12)
        stays = columns["persistence"][row]
        assert stays == pytest.approx(0.98, abs=1e-3)
        assert columns["expected_duration"][row] == pytest.approx(1.0 / (1.0 - stays))
        entropy = -np.sum(shown[shown > 0.0] * np.log(shown[shown > 0.0]))
        assert columns["confidence"][row] == pytest.approx(1.0 - entropy / np.log(6.0), abs=1e-12)


def test_probabilities_and_chances_add_up_to_one():
    fitted = fit_returns(0.005 * random_walks(np.random.default_rng(5), 1, 3_000)["GARCH-t"], LAYOUT)
    columns = analyze(windows_of(returns_of(20, 200)), [fitted] * 20)
    for names in (("up", "flat", "down"), markov_regime.STATES, [f"next_{name}" for name in markov_regime.STATES]):
        np.testing.assert_allclose(sum(columns[name] for name in names), 1.0, atol=1e-12)


def test_every_row_is_read_with_its_own_fit():
    fits = [sample(), fit_returns(0.01 * returns_of(1, 3_000), LAYOUT)]
    windows = windows_of(returns_of(4, 200))
    mixed = analyze(windows, [fits[0], fits[1], fits[0], fits[1]])
    for row in range(4):
        alone = analyze(windows.row(row), [fits[row % 2]])
        for name, column in mixed.items():
            np.testing.assert_array_equal(column[row], alone[name][0], err_msg=name)


def test_the_stationary_distribution_solves_its_equation():
    transition = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])
    np.testing.assert_allclose(stationary(transition), [0.6, 0.3, 0.1], atol=1e-12)


@pytest.mark.parametrize(
    ("means", "error", "least", "most"),
    [
        ([0.0, 0.0, 0.0], 0.01, 1.0 / 3.0, 1.0 / 3.0),
        ([0.3, 0.0, -0.3], 0.01, 1.0 / 3.0, 1.0 / 3.0),
        ([-0.007, 0.0, 0.007], 0.01, 1.0 / 3.0, 1.0 / 3.0),
        ([-0.015, 0.0, 0.015], 0.01, 1.0 / 3.0, 0.40),
        ([-0.03, 0.0, 0.03], 0.01, 0.5, 0.8),
        ([-0.1, 0.0, 0.1], 0.01, 0.999, 1.0),
    ],
    ids=["no trends", "contradicted", "within an error", "hardly", "some", "clear"],
)
def test_trends_are_believed_as_far_as_unseen_candles_repeat_them(means, error, least, most):
    start = begin(LAYOUT.starts[0])
    fitted = assemble(1.0, start, np.array(means), error**2 * np.eye(3), size=1)
    likely = np.diag(fitted.labels)
    assert least - 1e-9 <= likely.min()
    assert likely.max() <= most + 1e-9
    np.testing.assert_allclose(fitted.labels.sum(axis=0), 1.0, atol=1e-12)
    np.testing.assert_allclose(fitted.labels.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(fitted.label_transition.sum(axis=1), 1.0, atol=1e-12)


def test_a_separation_of_two_errors_or_less_is_shown_as_exactly_one_third_each():
    rng = np.random.default_rng(6)
    start = begin(LAYOUT.starts[0])._replace(transition=chain(6, 0.99))
    gap = 2.0 * np.sqrt(2.0) * 0.01
    fitted = assemble(0.005, start, np.array([0.0, gap / 2.0, gap]), 1e-4 * np.eye(3), size=1)
    assert fitted.trend_separation == pytest.approx(2.0)
    columns = analyze(windows_of(2.0 * rng.standard_normal((50, 300)) + 1.0), [fitted] * 50)
    for trend in ("up", "flat", "down"):
        np.testing.assert_allclose(columns[trend], 1.0 / 3.0, atol=1e-9)
    np.testing.assert_allclose(columns["next_move"], 0.0, atol=1e-9)
    assert (columns["high_volatility"] > 0.8).mean() > 0.5, "the volatility is known all the same"


def test_the_fit_knows_walks_from_trends():
    rng = np.random.default_rng(7)
    walk = fit(history_of(rng.standard_normal(7_000)))
    trends = fit(planted_history(rng, (-0.3, 0.0, 0.3), 7_000, 250))
    assert walk.trend_separation < 4.0
    assert trends.trend_separation > 8.0
    assert trends.history_size == 7_000


def test_the_same_history_gives_the_same_fit():
    history = history_of(returns_of(1, 2_500)[0])
    for first, second in zip(fit(history), fit(history), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_fit_is_arrays_of_numbers():
    for fitted in (sample(), fit(history_of(returns_of(1, 2_500)[0]))):
        for name, value in fitted._asdict().items():
            assert isinstance(value, np.ndarray), name
            assert value.dtype == np.float64, name
            assert np.isfinite(value).all(), name


def test_a_short_or_flat_history_is_refused():
    with pytest.raises(CrpbotError, match="1500 candles are too few") as short:
        fit(history_of(np.ones(1_499)))
    assert short.value.reason == "HISTORY_TOO_SHORT"
    with pytest.raises(CrpbotError, match="never move") as flat:
        fit(history_of(np.zeros(2_500)))
    assert flat.value.reason == "FLAT_HISTORY"


def test_a_value_far_from_every_state_is_read():
    emission = np.array([np.repeat([-1.0, 0.0, 1.0], 2), [0.05] * 6])
    narrow = begin(LAYOUT.starts[0])._replace(emission=emission, likelihood=0.0)
    fitted = assemble(0.005, narrow, np.array([-1.0, 0.0, 1.0]), 1e-4 * np.eye(3), size=1)
    returns = np.full((1, 300), 1.0)
    returns[0, 150:] = 4.9
    columns = analyze(windows_of(returns), [fitted])
    assert columns["up"][0] + columns["flat"][0] + columns["down"][0] == pytest.approx(1.0)


def test_the_unit_of_the_price_does_not_matter():
    windows = windows_of(returns_of(3, 300))
    fitted = [sample()] * 3
    for factor in (1_000.0, 1e-6):
        scaled = Windows(windows.symbols, windows.interval, windows.open_times, factor * windows.block)
        before, after = analyze(windows, fitted), analyze(scaled, fitted)
        for name, column in before.items():
            np.testing.assert_allclose(after[name], column, rtol=1e-9, atol=1e-9, err_msg=name)


def test_moves_of_one_size_are_a_problem_not_a_number():
    for step in (0.0, 1.0):
        columns = analyze(windows_of(np.full((1, 300), step)), [sample()])
        assert np.isnan(columns["high_volatility"][0])
    assert discover()["markov_regime"].undefined == markov_regime.UNDEFINED


def test_a_jump_of_a_thousand_deviations_is_read():
    returns = np.random.default_rng(8).standard_normal((1, 300))
    returns[0, -1] = 1_000.0
    columns = analyze(windows_of(returns), [sample()])
    assert columns["high_volatility"][0] > 0.9
    assert np.isfinite(list(columns.values())).all()


def values_of(up, flat, down, high, *, move=0.0, separation=12.0, ratio=3.0):
    return {
        "up": up,
        "flat": flat,
        "down": down,
        "high_volatility": high,
        "next_move": move,
        "trend_separation": separation,
        "volatility_ratio": ratio,
    }


@pytest.mark.parametrize(
    ("values", "vote", "words"),
    [
        (
            values_of(0.38, 0.30, 0.32, 0.97, separation=1.2),
            0.0,
            "Volatility high (97 %), trend undecided (up 38 %, flat 30 %, down 32 %): "
            "the history shows no clear trends.",
        ),
        (
            values_of(0.5, 0.45, 0.05, 0.5, move=0.1),
            0.0,
            "Volatility between low and high (high 50 %), trend undecided (up 50 %, flat 45 %, down 5 %).",
        ),
        (
            values_of(0.95, 0.04, 0.01, 0.03, move=0.28),
            0.94,
            "Volatility low (97 %), trend up (95 %), +0.28 sd expected of the next candle.",
        ),
        (
            values_of(0.01, 0.04, 0.95, 0.9, move=-0.28),
            -0.94,
            "Volatility high (90 %), trend down (95 %), -0.28 sd expected of the next candle.",
        ),
        (
            values_of(0.65, 0.3, 0.05, 0.5, move=0.1),
            0.25 * 0.6,
            "Volatility between low and high (high 50 %), trend up (65 %), +0.10 sd expected of the next candle.",
        ),
        (
            values_of(0.02, 0.9, 0.08, 0.1),
            0.0,
            "Volatility low (90 %), no trend (flat 90 %).",
        ),
        (
            values_of(0.9, 0.1, 0.0, 0.5, move=0.02, ratio=1.1),
            0.0,
            "One level of volatility only, trend up (90 %) but too weak to move the price (+0.02 sd a candle).",
        ),
        (
            values_of(0.0, 0.1, 0.9, 0.5, move=0.2, ratio=1.1),
            0.0,
            "One level of volatility only, trend down (90 %) but too weak to move the price (+0.20 sd a candle).",
        ),
    ],
)
def test_different_states_are_said_in_different_words(values, vote, words):
    opinion = read(values)
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words == words
    assert len(words) < 200
