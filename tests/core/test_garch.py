"""The GARCH fit against arch, against scipy on the posterior written out, and against known processes."""

from __future__ import annotations

import numpy as np
import pytest
from arch import arch_model
from scipy.optimize import minimize

from core.kernels.garch import FREEDOM, PRIOR, TARGET_WEIGHT, fit_garch
from tests.accuracy.simulators import clustered_noise, random_walks


@pytest.fixture(scope="module")
def returns():
    return clustered_noise(np.random.default_rng(11), 8, 600)


@pytest.fixture(scope="module")
def fitted(returns):
    return fit_garch(returns)


def recursion(squares, first, omega, alpha, beta):
    variance = np.empty(len(squares) + 1)
    variance[0] = first
    for place, square in enumerate(squares):
        variance[place + 1] = omega + alpha * square + beta * variance[place]
    return variance


def test_volatilities_and_forecast_are_those_of_arch_at_the_same_parameters(returns, fitted):
    parameters, next_variance, residuals = fitted
    for row, found in enumerate(returns):
        library = arch_model(found, mean="Constant", vol="GARCH", p=1, q=1, rescale=False).fix(parameters[row])
        ours = (found - parameters[row, 0]) / residuals[row]
        # The two start apart and forget it at the speed of beta.
        np.testing.assert_allclose(ours[400:], library.conditional_volatility[400:], rtol=1e-6)
        forecast = library.forecast(horizon=1).variance.to_numpy()[-1, 0]
        assert next_variance[row] == pytest.approx(forecast, rel=1e-6)


def test_residuals_are_the_returns_less_their_mean_over_the_volatility(returns, fitted):
    parameters, next_variance, residuals = fitted
    for row, found in enumerate(returns):
        squares = (found - found.mean()) ** 2
        first = squares[0] / residuals[row, 0] ** 2
        variance = recursion(squares, first, *parameters[row, 1:])
        np.testing.assert_allclose((found - found.mean()) / np.sqrt(variance[:-1]), residuals[row], rtol=1e-9)
        assert next_variance[row] == pytest.approx(variance[-1], rel=1e-9)
        assert np.mean(residuals[row] ** 2) == pytest.approx(1.0, abs=0.01)


def test_scipy_finds_no_higher_posterior(returns, fitted):
    for row, found in enumerate(returns):
        squares = (found - found.mean()) ** 2 / found.var()
        weights = 0.94 ** np.arange(75)
        first = squares[:75] @ weights / weights.sum()

        def loss(point, squares=squares, first=first):
            alpha, beta, rest = np.array([np.exp(point[0]), np.exp(point[1]), 1.0]) / (1.0 + np.exp(point[:2]).sum())
            variance = recursion(squares, first, rest * np.exp(point[2]), alpha, beta)[:-1]
            likelihood = 0.5 * FREEDOM * np.log(variance) - 0.5 * (FREEDOM + 1.0) * np.log(
                (FREEDOM - 2.0) * variance + squares
            )
            prior = np.log([alpha, beta, rest]) @ PRIOR - 0.5 * TARGET_WEIGHT * point[2] ** 2
            return -likelihood.sum() - prior

        starts = ([0.5, 3.0, 0.0], [0.0, 0.0, 0.0], [1.5, 2.0, 0.0])
        options = {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000}
        best = min(
            (minimize(loss, start, method="Nelder-Mead", options=options) for start in starts), key=lambda o: o.fun
        )
        alpha, beta, rest = np.array([np.exp(best.x[0]), np.exp(best.x[1]), 1.0]) / (1.0 + np.exp(best.x[:2]).sum())
        # The scale is set afterwards, so that residuals have mean square 1: beta and omega / alpha are the optimum's.
        parameters = fitted[0][row]
        assert parameters[3] == pytest.approx(beta, abs=1e-3)
        assert parameters[1] / parameters[2] / found.var() == pytest.approx(rest * np.exp(best.x[2]) / alpha, rel=0.01)


@pytest.mark.parametrize(("shock", "memory", "tails"), [(0.1, 0.88, 5.0), (0.05, 0.93, 50.0), (0.2, 0.6, 8.0)])
def test_a_long_series_shows_its_parameters(shock, memory, tails):
    returns = (
        0.003 * clustered_noise(np.random.default_rng(5), 4, 40_000, shock=shock, memory=memory, tails=tails) + 1e-4
    )
    parameters, _, _ = fit_garch(returns)
    mean, omega, alpha, beta = parameters.mean(axis=0)
    assert mean == pytest.approx(1e-4, abs=5e-5)
    assert alpha == pytest.approx(shock, rel=0.15)
    assert beta == pytest.approx(memory, abs=0.03)
    assert omega / 0.003**2 == pytest.approx(1.0 - shock - memory, rel=0.35)


def test_the_unit_does_not_matter(returns, fitted):
    scaled = fit_garch(1e-4 * returns)
    np.testing.assert_allclose(scaled[0], fitted[0] * [1e-4, 1e-8, 1.0, 1.0], rtol=1e-9)
    np.testing.assert_allclose(scaled[1], fitted[1] * 1e-8, rtol=1e-10)
    np.testing.assert_allclose(scaled[2], fitted[2], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["normal", "student-t(3)", "GARCH-t"])
def test_the_unit_of_the_price_does_not_matter_either(kind):
    """A factor on the prices changes the last digits of their log returns: the search must not stop by them."""
    noise = random_walks(np.random.default_rng(13), 200, 499)[kind]
    prices = 100.0 * np.exp(np.cumsum(0.005 * np.concatenate([np.zeros((200, 1)), noise], axis=1), axis=1))
    _, expected, residuals = fit_garch(np.diff(np.log(prices), axis=1))
    for factor in (1e3, 1e-6, 1e-12):
        _, found, scaled = fit_garch(np.diff(np.log(factor * prices), axis=1))
        np.testing.assert_allclose(found, expected, rtol=3e-10, err_msg=str(factor))
        np.testing.assert_allclose(scaled, residuals, rtol=0.0, atol=1e-9, err_msg=str(factor))


def test_a_row_does_not_see_its_batch(returns, fitted):
    for row in range(len(returns)):
        for alone, together in zip(fit_garch(returns[row : row + 1]), fitted, strict=True):
            np.testing.assert_array_equal(alone[0], together[row])


def test_a_row_that_does_not_move_is_nan_and_the_others_are_not():
    returns = clustered_noise(np.random.default_rng(3), 3, 300)
    returns[1] = 0.01
    parameters, next_variance, residuals = fit_garch(returns)
    for found in (parameters, next_variance[:, None], residuals):
        assert np.isnan(found[1]).all()
        assert np.isfinite(found[[0, 2]]).all()


def test_extreme_rows_stay_finite_and_stationary():
    rng = np.random.default_rng(4)
    late = np.arange(400) > 300
    rows = [
        np.where(np.arange(400) == 200, 1.0, 0.0),
        np.where(late, 1.0, 0.01) * rng.standard_normal(400),
        np.where(late, 0.0, 1.0) * rng.standard_normal(400),
        rng.standard_cauchy(400),
        np.where(np.arange(400) % 2, 1.0, -1.0),
    ]
    parameters, next_variance, residuals = fit_garch(np.array(rows))
    assert np.isfinite(residuals).all()
    assert (next_variance > 0.0).all()
    assert (parameters[:, 1:] > 0.0).all()
    assert (parameters[:, 2] + parameters[:, 3] <= 0.999 + 1e-12).all()
