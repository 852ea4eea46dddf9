"""The Kalman filter against statsmodels, the covariance written out and the published fit of the Nile."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from statsmodels.datasets import nile
from statsmodels.tsa.statespace.structural import UnobservedComponents

from core.analyzers import discover, evaluate, kalman_filter
from core.analyzers.kalman_filter import analyze, local_level, local_linear_trend, read
from core.market import Windows
from tests.accuracy.simulators import TYPICAL_RETURN, clustered_noise, random_walks, windows_of

# Variances of level and noise: both, a level that never moves, no noise.
VARIANCES = [(1.0, 1.0), (0.05, 2.0), (30.0, 0.5), (0.0, 1.5), (2.0, 0.0)]
SIZES = [150, 400]
DIFFUSE = 0.5 * np.log(2.0 * np.pi)  # statsmodels counts it for each diffuse state


def walk_in_noise(seed, rows, size, ratio):
    """Returns of random walks seen through noise of variance 1."""
    rng = np.random.default_rng([seed, rows, size])
    level = np.cumsum(np.sqrt(ratio) * rng.standard_normal((rows, size + 1)), axis=1)
    return np.diff(level + rng.standard_normal((rows, size + 1)), axis=1)


def library(values, kind, variances):
    """statsmodels' filter with given variances and an exactly diffuse start."""
    model = UnobservedComponents(values, kind, use_exact_diffuse=True)
    model.ssm.tolerance = 0  # else it holds its variances before they have settled
    return model.smooth(variances)


@pytest.mark.parametrize(("own", "noise"), VARIANCES)
@pytest.mark.parametrize("size", SIZES)
def test_the_level_is_that_of_statsmodels_at_given_variances(own, noise, size):
    values = 5.0 + np.cumsum(walk_in_noise(1, 1, size, 1.0)[0])
    steps = np.zeros((size, 2))
    level, variance, forecast, log_determinant, squares = local_level(values, own, noise, steps)
    expected = library(values, "llevel", [noise, own])
    likelihood = -0.5 * ((size - 1) * np.log(2.0 * np.pi) + log_determinant + squares)
    assert level == pytest.approx(expected.filtered_state[0, -1], abs=1e-6)
    assert variance == pytest.approx(expected.filtered_state_cov[0, 0, -1], abs=1e-6)
    assert forecast == pytest.approx(expected.forecasts_error_cov[0, 0, -1], abs=1e-6)
    assert likelihood == pytest.approx(expected.llf + DIFFUSE, abs=1e-6)
    np.testing.assert_allclose(steps[1:, 1], expected.forecasts_error[0, 1:], atol=1e-6)


@pytest.mark.parametrize("bending", [0.1, 1e-4, 0.0])
@pytest.mark.parametrize(("own", "noise"), VARIANCES[:3])
@pytest.mark.parametrize("size", SIZES)
def test_level_and_slope_are_those_of_statsmodels_at_given_variances(own, noise, bending, size):
    values = 5.0 + np.cumsum(walk_in_noise(2, 1, size, 1.0)[0])
    level, slope = local_linear_trend(values, own, noise, bending, np.zeros((size, 2)))
    expected = library(values, "lltrend", [noise, own, bending])
    assert level == pytest.approx(expected.filtered_state[0, -1], abs=1e-6)
    assert slope == pytest.approx(expected.filtered_state[1, -1], abs=1e-6)


@pytest.mark.parametrize("ratio", [0.01, 1.0, 10.0])
def test_the_columns_are_what_statsmodels_says_at_the_variances_found(ratio):
    windows = windows_of(walk_in_noise(3, 6, 299, ratio))
    columns = analyze(windows)
    for row, close in enumerate(windows.close):
        logs = 1_000.0 * np.log(close / close[0])
        found = columns["signal_to_noise"][row]
        noise, own = (0.0, 1.0) if np.isnan(found) else (1.0, found)
        scale = np.mean(library(logs, "llevel", [noise, own]).standardized_forecasts_error[0, 1:] ** 2)
        expected = library(logs, "llevel", [scale * noise, scale * own])
        trend = library(logs, "lltrend", [scale * noise, scale * own, 1e-4 * scale * own])
        likelihood = expected.llf + DIFFUSE + 299 * np.log(1_000.0)
        level = close[0] * np.exp(expected.filtered_state[0, -1] / 1_000.0)
        assert columns["log_likelihood"][row] == pytest.approx(likelihood, abs=1e-6)
        assert columns["level"][row] == pytest.approx(level, rel=1e-9)
        assert columns["level_gap_percent"][row] == pytest.approx(100.0 * (close[-1] / level - 1.0), abs=1e-6)
        assert columns["noise_share"][row] == pytest.approx(2.0 * noise / (2.0 * noise + own), abs=1e-9)
        assert columns["innovation_z"][row] == pytest.approx(expected.standardized_forecasts_error[0, -1], abs=1e-6)
        slope = 100.0 * np.expm1(trend.filtered_state[1, -1] / 1_000.0)
        assert columns["slope_percent"][row] == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("size", [120, 499])
@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.3, 3.0, 30.0, np.inf])
def test_the_likelihood_is_the_largest_that_the_covariance_written_out_allows(ratio, size):
    returns = (
        walk_in_noise(4, 5, size, ratio) if np.isfinite(ratio) else clustered_noise(np.random.default_rng(4), 5, size)
    )
    found = analyze(windows_of(returns))["log_likelihood"]
    # Both ends and a fine scale of ratios: covariances are own on the diagonal + noise times (2, -1).
    shares = np.concatenate([[0.0, 1.0], 1.0 / (1.0 + np.geomspace(1e-7, 1e4, 400))])
    best = np.full(5, -np.inf)
    for noise in shares:
        band = np.array([np.full(size, -noise), np.full(size, 1.0 + noise)])
        factor = scipy.linalg.cholesky_banded(band)
        white = scipy.linalg.cho_solve_banded((factor, False), returns.T).T
        scale = TYPICAL_RETURN**2 * np.mean(returns * white, axis=1)
        log_determinant = 2.0 * np.log(factor[1]).sum()
        best = np.maximum(best, -0.5 * (size * (np.log(2.0 * np.pi * scale) + 1.0) + log_determinant))
    assert (found >= best - 1e-9).all()
    np.testing.assert_allclose(found, best, atol=0.01)


def test_the_nile_is_fitted_as_by_others():
    # Durbin and Koopman 2012, section 2.10.3: variances 15099 and 1469.1; likelihood as the R package KFAS prints it.
    flow = nile.load_pandas().data["volume"].to_numpy() / 1_000.0
    columns = analyze(windows_of(np.diff(flow)[None, :] / TYPICAL_RETURN))
    assert columns["signal_to_noise"][0] == pytest.approx(1469.1 / 15099.0, abs=2e-5)
    assert columns["log_likelihood"][0] - 99.0 * np.log(1_000.0) == pytest.approx(-632.5456, abs=1e-4)


@pytest.mark.parametrize("ratio", [0.1, 5.0])
def test_the_error_of_the_slope_is_that_of_its_weights_on_the_innovations(ratio):
    windows = windows_of(walk_in_noise(5, 2, 119, ratio))
    columns = analyze(windows)
    units = np.eye(120)
    for row, close in enumerate(windows.close):
        found = columns["signal_to_noise"][row]
        logs = np.log(close / close[0])
        # Column t of each: what a unit at candle t does to the innovations, and to the last slope.
        to_innovations = np.array([library(unit, "llevel", [1.0, found]).forecasts_error[0] for unit in units]).T
        trends = [library(unit, "lltrend", [1.0, found, 1e-4 * found]) for unit in units]
        to_slope = np.array([trend.filtered_state[1, -1] for trend in trends])
        weights = np.linalg.solve(to_innovations.T, to_slope)
        innovations = to_innovations @ logs
        error = np.sqrt(np.sum((weights * innovations)[1:] ** 2))
        assert columns["slope_error_percent"][row] == pytest.approx(100.0 * error, rel=1e-6)
        assert columns["slope_z"][row] == pytest.approx(to_slope @ logs / error, rel=1e-6)
        chance = 2.0 * scipy.stats.norm.sf(abs(columns["slope_z"][row]))
        assert columns["slope_p_value"][row] == pytest.approx(chance, abs=1e-12)


def test_a_price_that_only_swings_around_a_level_is_all_noise():
    returns = np.where(np.arange(499) % 2, 1.0, -1.0)[None, :]
    windows = windows_of(returns)
    columns = analyze(windows)
    assert columns["signal_to_noise"][0] == 0.0
    assert columns["noise_share"][0] == 1.0
    assert columns["level"][0] == pytest.approx(np.exp(np.log(windows.close).mean()), rel=1e-12)


def test_steady_growth_has_no_noise_and_the_slope_of_its_returns():
    windows = windows_of(np.full((2, 499), 1.0) * [[0.2], [-0.2]])
    columns = analyze(windows)
    np.testing.assert_array_equal(columns["level"], windows.close[:, -1])
    np.testing.assert_array_equal(columns["noise_share"], 0.0)
    np.testing.assert_allclose(columns["slope_percent"], 100.0 * np.expm1([0.001, -0.001]), rtol=1e-9)
    assert np.isnan(columns["signal_to_noise"]).all()
    assert (columns["slope_z"] * [1.0, -1.0] > 10.0).all()


def test_a_single_jump_is_no_slope():
    for place in (100, 400):
        returns = np.zeros((1, 499))
        returns[0, place] = 100.0
        (reading,) = evaluate(discover()["kalman_filter"], windows_of(returns))
        assert reading.vote == 0.0
        assert reading.values["slope_z"] <= 1.0 + 1e-9
        assert reading.values["level_gap_percent"] == 0.0


def test_a_slope_that_turned_is_followed():
    rng = np.random.default_rng(6)
    turned = np.where(np.arange(499) < 250, -0.4, 0.4) + rng.standard_normal((50, 499))
    z = analyze(windows_of(turned))["slope_z"]
    assert np.median(z) > 3.0


@pytest.mark.parametrize("size", [10.0, -10.0])
def test_a_bad_last_print_is_suspicious_and_silences_the_vote(size):
    returns = 0.3 * np.sign(size) + np.random.default_rng(7).standard_normal((30, 499))
    before = [reading.vote for reading in evaluate(discover()["kalman_filter"], windows_of(returns))]
    assert np.median(before) * np.sign(size) > 0.3
    returns[:, -1] += size
    for reading in evaluate(discover()["kalman_filter"], windows_of(returns)):
        assert reading.vote == 0.0
        assert reading.words.startswith("Suspicious last candle")


def test_a_price_that_does_not_move_is_a_problem_not_a_number():
    (reading,) = evaluate(discover()["kalman_filter"], windows_of(np.zeros((1, 499))))
    assert reading.problem == kalman_filter.UNDEFINED


@pytest.mark.parametrize("factor", [1_000.0, 1e-6])
def test_only_the_level_has_the_unit_of_the_price(factor):
    windows = windows_of(np.concatenate([*random_walks(np.random.default_rng(8), 5, 299).values()]))
    scaled = Windows(windows.symbols, windows.interval, windows.open_times, factor * windows.block)
    before, after = analyze(windows), dict(analyze(scaled))
    after["level"] = after["level"] / factor
    for name, column in before.items():
        np.testing.assert_allclose(after[name], column, rtol=1e-9, atol=1e-9, err_msg=name)


READING = {"slope_percent": 0.0123, "level_gap_percent": 0.0512, "noise_share": 0.25, "innovation_z": 0.3}


@pytest.mark.parametrize(
    ("changes", "vote", "words"),
    [
        (
            {"slope_z": 5.0},
            1.0,
            "The denoised price clearly rises: slope +0.0123 % a candle (z +5.0), close 0.051 % above it, 25 % noise.",
        ),
        (
            {"slope_z": -3.0, "slope_percent": -0.0123, "level_gap_percent": -0.0512},
            -0.5,
            "The denoised price probably falls: slope -0.0123 % a candle (z -3.0), close 0.051 % below it, 25 % noise.",
        ),
        (
            {"slope_z": 2.2, "noise_share": 0.0, "level_gap_percent": 0.0},
            0.1,
            "The denoised price probably rises: slope +0.0123 % a candle (z +2.2), hardly any noise.",
        ),
        (
            {"slope_z": -4.0, "slope_percent": -0.0123, "noise_share": 0.05},
            -1.0,
            "The denoised price clearly falls: slope -0.0123 % a candle (z -4.0), hardly any noise.",
        ),
        (
            {"slope_z": 1.9},
            0.0,
            "The denoised price has no slope beyond chance: slope +0.0123 % a candle (z +1.9), "
            "close 0.051 % above it, 25 % noise.",
        ),
        (
            {"slope_z": -1.0, "slope_percent": -0.0012, "noise_share": 0.1},
            0.0,
            "The denoised price has no slope beyond chance: slope -0.0012 % a candle (z -1.0), hardly any noise.",
        ),
        (
            {"slope_z": 5.0, "innovation_z": 9.04},
            0.0,
            "Suspicious last candle, bad print or news: +9.0 sd off its forecast.",
        ),
        (
            {"slope_z": 5.0, "innovation_z": -6.5},
            0.0,
            "Suspicious last candle, bad print or news: -6.5 sd off its forecast.",
        ),
    ],
)
def test_each_state_has_its_vote_and_its_words(changes, vote, words):
    opinion = read({**READING, **changes})
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words == words
