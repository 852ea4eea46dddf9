"""The fractal dimension against brute-force likelihoods, antropy, hurst_exponent and closed forms."""

from __future__ import annotations

import antropy
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from core.analyzers import discover, evaluate, fractal_dimension, hurst_exponent
from core.analyzers.fractal_dimension import analyze, read
from tests.accuracy.simulators import clustered_noise, fractional_noise, windows_of


def noise(hurst, size=500, rows=4, seed=51):
    return fractional_noise(np.random.default_rng([seed, size]), rows, size, hurst)


def periodogram(row):
    """Frequencies above zero and below the highest, and the squared Fourier transform there."""
    size = len(row)
    count = (size - 1) // 2
    return 2 * np.pi * np.arange(1, count + 1) / size, np.abs(np.fft.fft(row)[1 : count + 1]) ** 2


def aliased_density(waves, hurst):
    """Spectral density of fractional Gaussian noise up to a constant: Sinai's sum, an integral beyond 4,000 aliases."""
    aliases = waves[:, None] + 2 * np.pi * np.arange(-4_000, 4_001)
    rest = 2.0 * (2 * np.pi) ** (-2 * hurst - 1) * 4_000.5 ** (-2 * hurst) / (2 * hurst)
    return (1 - np.cos(waves)) * ((np.abs(aliases) ** (-2 * hurst - 1)).sum(axis=1) + rest)


@pytest.mark.parametrize("hurst", [0.2, 0.5, 0.8])
def test_the_dimension_is_two_less_the_exponent_of_the_greatest_likelihood(hurst):
    returns = noise(hurst, rows=2)
    found = analyze(windows_of(returns))["dimension"]
    for row, dimension in zip(returns, found, strict=True):
        waves, power = periodogram(row)

        def loss(hurst, waves=waves, power=power):
            expected = aliased_density(waves, hurst)
            return np.log(np.mean(power / expected)) + np.log(expected).mean()

        best = minimize_scalar(loss, bounds=(0.03, 0.97), method="bounded", options={"xatol": 1e-6}).x
        assert dimension == pytest.approx(2.0 - best, abs=1e-3)


def test_dimension_and_interval_are_those_of_the_hurst_exponent():
    windows = windows_of(np.concatenate([noise(0.2), noise(0.6), noise(0.95)]))
    found, hurst = analyze(windows), hurst_exponent.analyze(windows)
    np.testing.assert_allclose(found["dimension"], 2.0 - hurst["hurst"], rtol=1e-12)
    np.testing.assert_allclose(found["dimension_low"], 2.0 - hurst["hurst_high"], rtol=1e-12)
    np.testing.assert_allclose(found["dimension_high"], 2.0 - hurst["hurst_low"], rtol=1e-12)


@pytest.mark.parametrize("size", [99, 199, 499, 512, 1000])
def test_higuchi_is_antropys(size):
    windows = windows_of(np.concatenate([noise(0.3, size=size), noise(0.7, size=size) + 0.2]))
    found = analyze(windows)["higuchi"]
    library = [antropy.higuchi_fd(np.ascontiguousarray(np.log(row))) for row in windows.close]
    np.testing.assert_allclose(found, library, rtol=1e-9)


@pytest.mark.parametrize("size", [199, 499])
def test_the_error_near_a_random_walk_is_that_of_the_autocorrelations_written_out(size):
    returns = clustered_noise(np.random.default_rng([52, size]), 6, size)
    columns = analyze(windows_of(returns))
    used = int(columns["sample_size"][0])
    waves = 2 * np.pi * np.arange(1, (used - 1) // 2 + 1) / used
    # The slope over H by another difference quotient than the product's, on the sum of aliases.
    slope = (np.log(aliased_density(waves, 0.505)) - np.log(aliased_density(waves, 0.495))) / 0.01
    slope -= slope.mean()
    chances = []
    for row, dimension in zip(returns, columns["dimension"], strict=True):
        x = row - row.mean()
        variance = 1.0 / (slope**2).sum()
        excess = 0.0
        for lag in range(1, 21):
            weight = 2.0 * np.mean(np.cos(lag * waves) * slope) / np.mean(slope**2)
            clusters = (x[lag:] ** 2 @ x[:-lag] ** 2) / (x @ x) ** 2
            excess += weight**2 * (clusters - (size - lag) / size**2)
        chances.append(abs(dimension - 1.5) / np.sqrt(variance + max(excess, 0.0)))
    np.testing.assert_allclose(columns["p_value"], 2.0 * norm.sf(chances), rtol=5e-3)


def test_the_linear_estimate_behind_the_chance_is_the_estimate_near_a_random_walk():
    returns = np.random.default_rng(53).standard_normal((300, 512))
    dimension = analyze(windows_of(returns))["dimension"]
    waves = 2 * np.pi * np.arange(1, 256) / 512
    slope = (np.log(aliased_density(waves, 0.505)) - np.log(aliased_density(waves, 0.495))) / 0.01
    slope -= slope.mean()
    power = np.abs(np.fft.rfft(returns, axis=1)[:, 1:256]) ** 2
    linear = (power * slope).sum(axis=1) / power.sum(axis=1) / np.mean(slope**2)
    assert np.corrcoef(1.5 - dimension, linear)[0, 1] > 0.99
    assert np.polyfit(linear, 1.5 - dimension, 1)[0] == pytest.approx(1.0, abs=0.1)


def test_the_scale_of_the_returns_and_a_drift_do_not_matter():
    returns = noise(0.7)
    base, other = analyze(windows_of(returns)), analyze(windows_of(0.1 * returns + 0.3))
    for field in ("dimension", "dimension_low", "dimension_high", "p_value"):
        np.testing.assert_allclose(other[field], base[field], atol=1e-8, err_msg=field)


@pytest.mark.parametrize("field", ["dimension", "higuchi"])
def test_a_swing_is_nearly_a_line_and_white_noise_nearly_fills_the_plane(field):
    steps = np.arange(500)
    swing = np.diff(np.sin(steps / 25.0))[None, :]
    rough = np.diff(np.random.default_rng(54).standard_normal((1, 500)), axis=1)
    assert analyze(windows_of(swing))[field][0] < 1.1
    assert analyze(windows_of(rough))[field][0] > 1.9


def test_a_straight_line_is_a_problem_not_a_number():
    for step in (0.0, 1.0):
        (reading,) = evaluate(discover()["fractal_dimension"], windows_of(np.full((1, 499), step)))
        assert reading.problem == fractal_dimension.UNDEFINED


def test_moves_that_only_alternate_have_no_spectrum_where_their_number_is_even():
    steps = np.where(np.arange(500) % 2, 1.0, -1.0)[None, :]
    columns = analyze(windows_of(steps))
    assert all(np.isnan(columns[field][0]) for field in list(columns)[:-1])


def test_a_path_that_comes_back_has_no_higuchi_dimension():
    rng = np.random.default_rng(55)
    steps = np.diff(np.tile(np.concatenate([[0.0], rng.standard_normal(4)]), 100))[None, :]
    columns = analyze(windows_of(steps))
    assert np.isnan(columns["higuchi"][0])
    assert 1.0 <= columns["dimension"][0] <= 2.0


def test_a_single_jump_is_as_rough_as_a_random_walk():
    returns = np.zeros((1, 499))
    returns[0, 250] = 100.0
    columns = analyze(windows_of(returns))
    assert columns["dimension"][0] == pytest.approx(1.5, abs=0.01)
    assert columns["p_value"][0] > 0.5


def values(dimension, chance, margin=0.056):
    return {
        "dimension": dimension,
        "dimension_low": dimension - margin,
        "dimension_high": dimension + margin,
        "p_value": chance,
        "higuchi": dimension,
        "sample_size": 495.0,
    }


@pytest.mark.parametrize(
    ("dimension", "chance", "words"),
    [
        (
            1.35,
            1e-7,
            "Smooth, moves run on further than in a random walk: dimension 1.35 (1.29-1.41), chance 1e-07.",
        ),
        (1.47, 0.3, "Random-walk-like, neither smooth nor choppy: dimension 1.47 (1.41-1.53), chance 0.3."),
        (1.42, 0.02, "Random-walk-like, neither smooth nor choppy: dimension 1.42 (1.36-1.48), chance 0.02."),
        (
            1.65,
            0.001,
            "Choppy, moves are taken back more than in a random walk: dimension 1.65 (1.59-1.71), chance 0.001.",
        ),
    ],
)
def test_each_state_has_its_sentence_and_no_vote(dimension, chance, words):
    assert read(values(dimension, chance)) == (0.0, words)
