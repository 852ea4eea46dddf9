"""Ratios and tests against arch, statsmodels and scipy; volatilities of candles against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from arch.unitroot import VarianceRatio
from statsmodels.stats.diagnostic import het_arch

from core.analyzers import discover, evaluate, variance_tests
from core.analyzers.variance_tests import HORIZONS, analyze, read
from core.market import Windows
from tests.accuracy.simulators import autoregression, clustered_noise, windows_of

SIZES = [150, 498, 499, 1000]


def series(size):
    rng = np.random.default_rng([41, size])
    drifting = 0.3 + rng.standard_normal((2, size))
    return np.concatenate([clustered_noise(rng, 4, size), autoregression(rng, 3, size, -0.4), drifting])


def candles(rows, length, seed=7):
    """Candles with gaps, bodies and wicks of their own."""
    rng = np.random.default_rng([seed, rows, length])
    gaps, bodies = 0.002 * rng.standard_normal((rows, length)), 0.005 * rng.standard_normal((rows, length))
    closes = 5.0 + np.cumsum(gaps + bodies, axis=1)
    opens = closes - bodies
    wicks = 0.003 * rng.random((2, rows, length))
    highs, lows = np.maximum(opens, closes) + wicks[0], np.minimum(opens, closes) - wicks[1]
    return np.stack([opens, highs, lows, closes])


def windows_with(logs):
    """Windows whose prices have these logs."""
    _, rows, length = logs.shape
    block = np.ascontiguousarray(np.concatenate([np.exp(logs), np.ones((1, rows, length))]))
    times = np.tile(300_000 * np.arange(length, dtype=np.int64), (rows, 1))
    return Windows(("BTC-USD",) * rows, "5m", times, block)


@pytest.mark.parametrize("size", SIZES)
def test_ratios_and_scores_are_those_of_arch(size):
    windows = windows_of(series(size))
    columns = analyze(windows)
    for row, levels in enumerate(np.log(windows.close)):
        for span in HORIZONS:
            expected = VarianceRatio(levels, lags=span, trend="c", debiased=True, robust=True, overlap=True)
            assert columns[f"ratio_{span}"][row] == pytest.approx(expected.vr, rel=1e-9)
            assert columns[f"score_{span}"][row] == pytest.approx(expected.stat, abs=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_the_joint_p_value_is_that_of_the_largest_of_four_scores(size):
    columns = analyze(windows_of(series(size)))
    scores = np.abs([columns[f"score_{span}"] for span in HORIZONS])
    ratios = np.array([columns[f"ratio_{span}"] for span in HORIZONS])
    chosen = scores.argmax(axis=0)
    expected = 1.0 - (1.0 - 2.0 * scipy.stats.norm.sf(scores.max(axis=0))) ** 4
    np.testing.assert_allclose(columns["p_value"], expected, atol=1e-12)
    np.testing.assert_array_equal(columns["horizon"], np.array(HORIZONS)[chosen])
    np.testing.assert_array_equal(columns["variance_ratio"], ratios[chosen, np.arange(len(chosen))])


def test_the_law_of_the_largest_of_four_scores_is_the_published_one():
    # Studentised maximum modulus, four comparisons, infinite degrees of freedom (Stoline and Ury 1979, table 1).
    np.testing.assert_allclose(1.0 - (2.0 * scipy.stats.norm.cdf([2.491, 3.022]) - 1.0) ** 4, [0.05, 0.01], atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_the_arch_test_is_that_of_statsmodels(size):
    windows = windows_of(series(size))
    columns = analyze(windows)
    for row, returns in enumerate(windows.log_returns()):
        expected = het_arch(returns - returns.mean(), nlags=5, result_object=True)
        assert columns["arch_statistic"][row] == pytest.approx(expected.lm, rel=1e-8)
        assert columns["arch_p_value"][row] == pytest.approx(expected.lmpval, abs=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_the_test_of_change_is_levenes_of_scipy_about_medians(size):
    windows = windows_of(series(size))
    columns = analyze(windows)
    start = size // 2
    for row, returns in enumerate(windows.log_returns()):
        expected = scipy.stats.levene(returns[:start], returns[start:], center="median")
        assert columns["change_statistic"][row] == pytest.approx(expected.statistic, rel=1e-8)
        assert columns["change_p_value"][row] == pytest.approx(expected.pvalue, abs=1e-9)


@pytest.mark.parametrize("length", [150, 500])
def test_volatilities_of_candles_are_their_formulas_written_out(length):
    logs = candles(3, length)
    columns = analyze(windows_with(logs))
    for row in range(3):
        opens, highs, lows, closes = logs[:, row, 1:]
        gaps, bodies, size = opens - logs[3, row, :-1], closes - opens, length - 1
        rogers = np.mean((highs - closes) * (highs - opens) + (lows - closes) * (lows - opens))
        weight = 0.34 / (1.34 + (size + 1) / (size - 1))
        expected = {
            "volatility": np.var(gaps, ddof=1) + weight * np.var(bodies, ddof=1) + (1 - weight) * rogers,
            "parkinson": np.mean((highs - lows) ** 2) / (4 * np.log(2)),
            "garman_klass": np.mean(0.5 * (highs - lows) ** 2 - (2 * np.log(2) - 1) * bodies**2),
            "rogers_satchell": rogers,
            "close": np.var(gaps + bodies, ddof=1),
            "recent_volatility": np.mean((gaps + bodies)[-24:] ** 2),
        }
        for name, variance in expected.items():
            assert columns[f"{name}_percent"][row] == pytest.approx(100 * np.sqrt(variance), rel=1e-9), name


def test_candles_of_one_shape_have_the_closed_form():
    # Up by 3, down by 1 and a close at +1 or -1 around the open, in per mille, in turn.
    body = np.resize([0.001, -0.001], 201)
    opens = np.cumsum(body) - body
    columns = analyze(windows_with(np.stack([opens, opens + 0.003, opens - 0.001, opens + body])[:, None, :]))
    assert columns["parkinson_percent"][0] == pytest.approx(0.4 / np.sqrt(4 * np.log(2)), rel=1e-9)
    assert columns["garman_klass_percent"][0] == pytest.approx(0.1 * np.sqrt(9.0 - 2 * np.log(2)), rel=1e-9)
    # Up (up - body) + down (down - body) is 3 * 2 + 1 * 2 and 3 * 4 + 1 * 0 in turn.
    assert columns["rogers_satchell_percent"][0] == pytest.approx(0.1 * np.sqrt(10.0), rel=1e-9)
    assert np.isnan(columns["change_statistic"][0]), "moves of one size around their median have no spread to compare"


def test_moves_of_two_candles_cancel_or_double():
    rng = np.random.default_rng(9)
    pairs = np.repeat(rng.standard_normal((1, 2_000)), 2, axis=1)
    doubling = analyze(windows_of(pairs))
    assert doubling["ratio_2"][0] == pytest.approx(1.5, abs=0.05)
    canceling = analyze(windows_of(pairs * np.resize([1.0, -1.0], 4_000)))
    assert canceling["ratio_2"][0] == pytest.approx(0.5, abs=0.05)


def test_momentum_and_the_recent_move_are_weighted_sums():
    returns = series(499)
    columns = analyze(windows_of(returns))
    deviations = returns.std(axis=1)
    weights = 1.0 / np.sqrt(np.arange(499, 0, -1))
    expected = returns @ weights / np.sqrt((weights**2).sum()) / deviations
    np.testing.assert_allclose(columns["momentum"], expected, rtol=1e-9)
    for row, horizon in enumerate(columns["horizon"]):
        weights = 1.0 - np.arange(1, int(horizon)) / horizon
        moves = (returns[row] - returns[row].mean())[::-1][: len(weights)]
        expected = moves @ weights / np.sqrt(weights @ weights) / deviations[row]
        assert columns["recent_move"][row] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("factor", "rank"), [(5.0, 100.0), (0.01, 0.0)])
def test_the_rank_is_the_share_of_calmer_stretches(factor, rank):
    returns = np.random.default_rng(10).standard_normal((1, 499))
    returns[:, -24:] *= factor
    assert analyze(windows_of(returns))["volatility_rank_percent"][0] == rank


def test_equal_stretches_count_half():
    returns = np.resize([0.5, 1.0, -0.5, -1.0], 499)[None, :]
    assert analyze(windows_of(returns))["volatility_rank_percent"][0] == pytest.approx(50.0)


def test_two_lone_moves_that_cancel_are_no_evidence():
    returns = np.zeros((2, 499))
    returns[:, 100], returns[:, 300] = 1.0, -1.0
    returns[1, 200], returns[1, 400] = -1.0, 1.0
    for reading in evaluate(discover()["variance_tests"], windows_of(returns)):
        assert reading.vote == 0.0
        assert reading.values["p_value"] > 0.05


def test_moves_of_one_size_are_a_problem_not_a_number():
    for step in (0.0, 1.0):
        (reading,) = evaluate(discover()["variance_tests"], windows_of(np.full((1, 499), step)))
        assert reading.problem == variance_tests.UNDEFINED


def test_up_and_down_in_turn_has_no_clusters_to_test():
    (reading,) = evaluate(discover()["variance_tests"], windows_of(np.resize([1.0, -1.0], 500)[None, :]))
    assert not {"arch_statistic", "arch_p_value"} & reading.values.keys()
    assert reading.vote == pytest.approx(1.0), "after a move down it expects one up"


@pytest.mark.parametrize("factor", [1_000.0, 1e-6])
def test_the_unit_of_the_price_does_not_matter(factor):
    windows = windows_with(candles(4, 500))
    scaled = Windows(windows.symbols, windows.interval, windows.open_times, factor * windows.block)
    before, after = analyze(windows), analyze(scaled)
    for name, column in before.items():
        np.testing.assert_allclose(after[name], column, rtol=1e-9, atol=1e-9, err_msg=name)


def values(ratio, chance, **others):
    """What a row might hold."""
    known = {"horizon": 4.0, "momentum": 2.3, "recent_move": 0.5, "recent_volatility_percent": 0.374}
    known |= {"volatility_rank_percent": 50.0, "change_p_value": 0.4}
    return {"variance_ratio": ratio, "p_value": chance, **known, **others}


@pytest.mark.parametrize(
    ("given", "vote", "words"),
    [
        (
            values(1.05, 0.4),
            0.0,
            "Moves neither build up nor cancel out, stay out (variance ratio 1.05 over 4, p 0.4); "
            "volatility 0.37 % a candle, medium for this window, no clear change.",
        ),
        (
            values(1.45, 2e-5, change_p_value=0.002, volatility_rank_percent=91.0),
            1.0,
            "Moves build on each other, follow the momentum of +2.3 sd (variance ratio 1.45 over 4, p 2e-05); "
            "volatility 0.37 % a candle, high for this window, changed.",
        ),
        (
            values(1.15, 2e-5, momentum=-0.8),
            -0.4,
            "Moves build on each other, follow the momentum of -0.8 sd (variance ratio 1.15 over 4, p 2e-05); "
            "volatility 0.37 % a candle, medium for this window, no clear change.",
        ),
        (
            values(0.7, 0.0012, volatility_rank_percent=12.0),
            -0.5,
            "Moves cancel out, fade the recent move of +0.5 sd (variance ratio 0.70 over 4, p 0.0012); "
            "volatility 0.37 % a candle, low for this window, no clear change.",
        ),
        (
            values(0.7, 0.0012, momentum=-5.25),
            0.0,
            "Moves cancel out around a drift of -5.2 sd, not to be faded (variance ratio 0.70 over 4, p 0.0012); "
            "volatility 0.37 % a candle, medium for this window, no clear change.",
        ),
        (
            values(0.7, 0.0012, recent_move=-3.0, change_p_value=0.001, volatility_rank_percent=12.0),
            1.0,
            "Moves cancel out, fade the recent move of -3.0 sd (variance ratio 0.70 over 4, p 0.0012); "
            "volatility 0.37 % a candle, low for this window, changed.",
        ),
    ],
)
def test_each_state_has_its_words_and_its_vote(given, vote, words):
    opinion = read(given)
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words == words
    assert len(words) < 200


def test_without_a_test_of_change_none_is_claimed():
    given = values(1.05, 0.4)
    del given["change_p_value"]
    assert read(given).words.endswith("medium for this window, no clear change.")
