"""Both tests against statsmodels, the half-life against a root search and a new simulation of its law."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from scipy.optimize import brentq
from statsmodels.regression.linear_model import OLS
from statsmodels.tools.tools import add_constant
from statsmodels.tsa.stattools import adfuller
from statsmodels.tsa.stattools import kpss as library_kpss

from core.analyzers import discover, evaluate, stationarity
from core.analyzers.stationarity import ECHO_LAW, analyze, read
from core.market import Windows
from tests.accuracy.simulators import autoregression, clustered_noise, windows_of

# With 512 candles T^(2/9) is 4 but for rounding.
SIZES = [150, 499, 511, 1000]


def prices(size):
    """Returns of walks, a drifting walk and reverting prices, as windows."""
    rng = np.random.default_rng([31, size])
    reverting = np.concatenate([autoregression(rng, 2, size + 1, echo) for echo in (0.5, 0.9, 0.98)])
    return windows_of(
        np.concatenate([clustered_noise(rng, 3, size), 0.3 + rng.standard_normal((2, size)), np.diff(reverting)])
    )


@pytest.mark.parametrize("size", SIZES)
def test_dickey_fuller_is_that_of_statsmodels(size):
    windows = prices(size)
    columns = analyze(windows)
    for row, closes in enumerate(windows.close):
        expected = adfuller(np.log(closes), regression="c", autolag="AIC", result_object=True)
        assert columns["adf_lag"][row] == expected.lags
        assert columns["adf_statistic"][row] == pytest.approx(expected.statistic, abs=1e-9)
        assert columns["adf_p_value"][row] == pytest.approx(expected.pvalue, abs=1e-9)


@pytest.mark.filterwarnings("ignore:The test statistic is outside")
@pytest.mark.parametrize("size", SIZES)
def test_kpss_is_that_of_statsmodels(size):
    windows = prices(size)
    columns = analyze(windows)
    for row, closes in enumerate(windows.close):
        expected = library_kpss(np.log(closes), regression="c", nlags="auto", result_object=True)
        assert columns["kpss_lag"][row] == expected.lags
        assert columns["kpss_statistic"][row] == pytest.approx(expected.statistic, abs=1e-9)
        assert columns["kpss_p_value"][row] == pytest.approx(expected.pvalue, abs=1e-9)


def test_extreme_statistics_have_the_p_values_of_statsmodels():
    rng = np.random.default_rng(3)
    alternating = np.resize([1.0, -1.0], 499) + 0.3 * rng.standard_normal(499)
    runaway = 0.01 * 1.01 ** np.arange(499) + 0.3 * rng.standard_normal(499)
    windows = windows_of(np.stack([alternating, runaway]))
    found = analyze(windows)
    for row, closes in enumerate(windows.close):
        expected = adfuller(np.log(closes), regression="c", autolag="AIC", result_object=True)
        assert found["adf_statistic"][row] == pytest.approx(expected.statistic, abs=1e-9)
        assert found["adf_p_value"][row] == pytest.approx(expected.pvalue, abs=1e-9)
    assert found["adf_p_value"][1] == 1.0


def test_deviation_and_drift_are_the_textbook_scores():
    windows = prices(499)
    columns = analyze(windows)
    levels = np.log(windows.close)
    np.testing.assert_allclose(columns["deviation"], scipy.stats.zscore(levels, axis=1)[:, -1], rtol=1e-9)
    expected = scipy.stats.ttest_1samp(np.diff(levels), 0.0, axis=1).statistic
    np.testing.assert_allclose(columns["drift"], expected, rtol=1e-9)


@pytest.mark.parametrize("size", [150, 499, 1000])
def test_half_lives_are_where_a_root_search_meets_the_law(size):
    windows = prices(size)
    columns = analyze(windows)
    for row, levels in enumerate(np.log(windows.close)):
        fit = OLS(levels[1:], add_constant(levels[:-1])).fit(cov_type="HC1")
        echo, error = fit.params[1], fit.bse[1]
        for name, quantile in (("half_life_high", 1), ("half_life", 2), ("half_life_low", 3)):

            def short(true, echo=echo, error=error, quantile=quantile):
                return (echo - true) / error - np.interp(size * (1.0 - true), ECHO_LAW[:, 0], ECHO_LAW[:, quantile])

            found = columns[name][row]
            if short(1.0) >= 0.0:
                assert np.isnan(found)
            else:
                expected = np.log(0.5) / np.log(brentq(short, 1e-6, 1.0, xtol=1e-14))
                assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("place", [0, 5, 11, 14])
def test_the_law_of_the_echo_is_what_a_new_simulation_shows(place):
    distance, *quantiles = ECHO_LAW[place]
    rng = np.random.default_rng([17, place])
    echo, rows, size = 1.0 - distance / 500, 20_000, 500
    level = rng.standard_normal(rows) / np.sqrt(1.0 - echo**2) if distance else np.zeros(rows)
    sums = np.zeros((5, rows))
    for _ in range(size):
        noise = rng.standard_normal(rows)
        sums += level, noise, level**2, level * noise, noise**2
        level = echo * level + noise
    across, up, across_square, product, up_square = sums
    spread = across_square - across**2 / size
    error = (product - across * up / size) / spread
    unexplained = up_square - up**2 / size - error**2 * spread
    statistics = error / np.sqrt(unexplained / (size - 2) / spread)
    # Four standard errors of a simulated outer quantile.
    np.testing.assert_allclose(np.quantile(statistics, [0.025, 0.5, 0.975]), quantiles, atol=0.09)


def test_prices_that_jump_back_at_once_have_a_half_life_of_zero():
    levels = np.resize([1.0, -1.0], 500) + 0.1 * np.random.default_rng(5).standard_normal(500)
    columns = analyze(windows_of(np.diff(levels)[None, :]))
    assert [columns[name][0] for name in ("half_life", "half_life_low", "half_life_high")] == [0.0, 0.0, 0.0]


def test_a_runaway_price_has_no_half_life():
    returns = 0.02 * 1.01 ** np.arange(499) + 0.01 * np.random.default_rng(6).standard_normal(499)
    columns = analyze(windows_of(returns[None, :]))
    assert np.isnan([columns[name][0] for name in ("half_life", "half_life_low", "half_life_high")]).all()


@pytest.mark.parametrize("factor", [1_000.0, 1e-6])
def test_the_unit_of_the_price_does_not_matter(factor):
    windows = prices(499)
    scaled = Windows(windows.symbols, windows.interval, windows.open_times, factor * windows.block)
    before, after = analyze(windows), analyze(scaled)
    for name, column in before.items():
        np.testing.assert_allclose(after[name], column, rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_curve_without_chance_stops_the_search_for_lags_before_rounding_does():
    steps = np.arange(500)
    closes = np.stack([100.0 + steps, 100.0 + 5.0 * np.sin(steps / 7.0)])
    columns = analyze(windows_of(np.diff(np.log(closes)) / 0.005))
    assert np.isfinite(columns["adf_statistic"]).all()
    assert (columns["adf_lag"] < 18).all()


def test_moves_of_one_size_are_a_problem_not_a_number():
    for step in (0.0, 1.0):
        (reading,) = evaluate(discover()["stationarity"], windows_of(np.full((1, 499), step)))
        assert reading.problem == stationarity.UNDEFINED


def test_moves_that_the_level_explains_fully_are_a_problem_too():
    levels = 0.9 ** np.arange(500)
    (reading,) = evaluate(discover()["stationarity"], windows_of(np.diff(levels)[None, :]))
    assert reading.problem == stationarity.UNDEFINED


def values(adf, kpss, **others):
    """What a row might hold."""
    known = {"half_life": 12.4, "half_life_low": 8.1, "half_life_high": 30.2, "deviation": 1.2, "drift": 0.5}
    return {"adf_p_value": adf, "kpss_p_value": kpss, **known, **others}


@pytest.mark.parametrize(
    ("given", "vote", "words"),
    [
        (
            values(0.003, 0.1),
            -0.6,
            "Stationary, fade the +1.2 sd from the mean, half-life 12 candles (8-30): ADF p 0.003, KPSS p 0.1.",
        ),
        (
            values(0.003, 0.1, deviation=-5.0),
            1.0,
            "Stationary, fade the -5.0 sd from the mean, half-life 12 candles (8-30): ADF p 0.003, KPSS p 0.1.",
        ),
        (
            values(0.04, 0.062, drift=9.0),
            -0.6,
            "Stationary, fade the +1.2 sd from the mean, half-life 12 candles (8-30): ADF p 0.04, KPSS p 0.062.",
        ),
        (
            values(0.003, 0.01, drift=9.0),
            0.0,
            "Contradictory, slow reversion or a level that moved, stay out: ADF p 0.003, KPSS p 0.01.",
        ),
        (
            values(0.3, 0.1, drift=9.0),
            0.0,
            "Undecided, too little evidence for a mean or against it, stay out: ADF p 0.3, KPSS p 0.1.",
        ),
        (
            values(0.3, 0.01, drift=2.9),
            0.0,
            "Unit root, a random walk without a mean to return to, stay out: ADF p 0.3, KPSS p 0.01.",
        ),
        (
            values(0.8, 0.01, drift=4.5),
            0.5,
            "Unit root with a steady drift, follow it (+4.5 standard errors): ADF p 0.8, KPSS p 0.01.",
        ),
        (
            values(0.8, 0.01, drift=-7.0),
            -1.0,
            "Unit root with a steady drift, follow it (-7.0 standard errors): ADF p 0.8, KPSS p 0.01.",
        ),
    ],
)
def test_each_verdict_has_its_words_and_its_vote(given, vote, words):
    opinion = read(given)
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words == words


def test_what_is_not_known_of_the_half_life_is_not_said():
    given = values(0.003, 0.1)
    del given["half_life_high"]
    assert "half-life 12 candles (8 or more):" in read(given).words
    del given["half_life"]
    assert read(given).words == "Stationary, fade the +1.2 sd from the mean: ADF p 0.003, KPSS p 0.1."
