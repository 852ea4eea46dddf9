"""Autocorrelations and tests against statsmodels and formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from statsmodels.regression.linear_model import yule_walker
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.tsa.stattools import acf

from core.analyzers import autocorrelation, discover, evaluate
from core.analyzers.autocorrelation import analyze, read
from tests.accuracy.simulators import autoregression, clustered_noise, windows_of

SIZES = [150, 499, 1000]


def series(size):
    rng = np.random.default_rng([21, size])
    return np.concatenate([clustered_noise(rng, 5, size), autoregression(rng, 5, size, -0.4)])


@pytest.mark.parametrize("size", SIZES)
def test_autocorrelations_are_those_of_statsmodels(size):
    returns = series(size)
    columns = analyze(windows_of(returns))
    for row, found in enumerate(returns):
        expected = acf(found, nlags=20, fft=False)
        largest = int(np.argmax(np.abs(expected[1:]))) + 1
        np.testing.assert_allclose([columns[f"acf_{lag}"][row] for lag in range(1, 6)], expected[1:6], atol=1e-9)
        assert columns["largest_lag"][row] == largest
        assert columns["largest_acf"][row] == pytest.approx(expected[largest], abs=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_ljung_box_is_that_of_statsmodels(size):
    returns = series(size)
    columns = analyze(windows_of(returns))
    for row, found in enumerate(returns):
        expected = acorr_ljungbox(found, lags=[20]).iloc[0]
        assert columns["ljung_box"][row] == pytest.approx(expected["lb_stat"], rel=1e-9)
        assert columns["ljung_box_p_value"][row] == pytest.approx(expected["lb_pvalue"], abs=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_the_robust_statistic_is_the_formula_written_out(size):
    returns = series(size)
    columns = analyze(windows_of(returns))
    for row, found in enumerate(returns):
        x = found - found.mean()
        expected = sum((x[k:] @ x[:-k]) ** 2 / (x[k:] ** 2 @ x[:-k] ** 2) for k in range(1, 21))
        assert columns["robust_statistic"][row] == pytest.approx(expected, rel=1e-9)
        assert columns["robust_p_value"][row] == pytest.approx(scipy.stats.chi2.sf(expected, 20), abs=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_the_next_move_is_the_forecast_of_statsmodels_yule_walker(size):
    returns = series(size) + 0.1
    found = analyze(windows_of(returns))["next_move"]
    for row, series_of_one in enumerate(returns):
        weights, _ = yule_walker(series_of_one, order=5, method="mle", result_object=False)
        recent = (series_of_one - series_of_one.mean())[:-6:-1]
        expected = (series_of_one.mean() + weights @ recent) / series_of_one.std()
        assert found[row] == pytest.approx(expected, abs=1e-9)


def test_moves_that_alternate_are_fully_anticorrelated():
    returns = np.where(np.arange(500) % 2, 1.0, -1.0)[None, :]
    columns = analyze(windows_of(returns))
    assert columns["acf_1"][0] == pytest.approx(-499 / 500, abs=1e-9)
    assert columns["acf_2"][0] == pytest.approx(498 / 500, abs=1e-9)
    assert columns["next_move"][0] == pytest.approx(-1.0, abs=0.01)


def test_a_single_jump_is_no_autocorrelation():
    returns = np.zeros((1, 499))
    returns[0, 250] = 100.0
    (reading,) = evaluate(discover()["autocorrelation"], windows_of(returns))
    assert reading.vote == 0.0
    assert reading.values["robust_p_value"] > 0.5


def test_a_move_and_its_exact_return_leave_most_lags_without_products():
    returns = np.zeros((1, 499))
    returns[0, 250:252] = 1.0, -1.0
    columns = analyze(windows_of(returns))
    assert columns["acf_1"][0] == pytest.approx(-0.5, abs=1e-9)
    assert columns["robust_statistic"][0] == pytest.approx(1.0, abs=1e-6)


def test_moves_of_one_size_are_a_problem_not_a_number():
    for step in (0.0, 1.0):
        (reading,) = evaluate(discover()["autocorrelation"], windows_of(np.full((1, 499), step)))
        assert reading.problem == autocorrelation.UNDEFINED


@pytest.mark.parametrize(
    ("robust", "ljung_box", "move", "vote", "start"),
    [
        (0.001, 0.001, 0.2, 0.4, "Moves echo"),
        (0.001, 0.001, -0.2, -0.4, "Moves echo"),
        (0.001, 0.001, 3.0, 1.0, "Moves echo"),
        (0.02, 0.02, 3.0, 0.0, "No echo"),
        (0.30, 0.001, 3.0, 0.0, "Only volatility clusters"),
        (0.30, 0.30, 3.0, 0.0, "No echo"),
    ],
)
def test_only_the_robust_test_lets_the_expected_move_vote(robust, ljung_box, move, vote, start):
    opinion = read(
        {
            "acf_1": 0.1,
            "largest_acf": 0.1,
            "largest_lag": 1.0,
            "robust_p_value": robust,
            "ljung_box_p_value": ljung_box,
            "next_move": move,
        }
    )
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words.startswith(start)
