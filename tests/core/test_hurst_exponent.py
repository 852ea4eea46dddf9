"""The Hurst numbers against brute-force likelihoods, closed forms and antropy."""

from __future__ import annotations

import antropy
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from core.analyzers import discover, evaluate, hurst_exponent
from core.analyzers.hurst_exponent import analyze, read, smooth_length
from tests.accuracy.simulators import fractional_noise, windows_of


def noise(hurst, size=500, rows=4, seed=11):
    return fractional_noise(np.random.default_rng([seed, size]), rows, size, hurst)


def periodogram(row):
    """Frequencies above zero and below the highest, and the squared Fourier transform there."""
    size = len(row)
    count = (size - 1) // 2
    return 2 * np.pi * np.arange(1, count + 1) / size, np.abs(np.fft.fft(row)[1 : count + 1]) ** 2


def aliased_density(waves, hurst):
    """Spectral density of fractional Gaussian noise up to a constant: Sinai's sum, cut after 4,000 aliases."""
    aliases = waves[:, None] + 2 * np.pi * np.arange(-4_000, 4_001)
    return (1 - np.cos(waves)) * (np.abs(aliases) ** (-2 * hurst - 1)).sum(axis=1)


def best_fit(waves, power, density):
    """H of the least Whittle loss, by a search that shares nothing with the product."""

    def loss(hurst):
        expected = density(waves, hurst)
        return np.log(np.mean(power / expected)) + np.log(expected).mean()

    return minimize_scalar(loss, bounds=(0.03, 0.97), method="bounded", options={"xatol": 1e-6}).x


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.8])
def test_whittle_finds_the_minimum_that_a_brute_search_finds(hurst):
    returns = noise(hurst, rows=2)
    found = analyze(windows_of(returns))["hurst"]
    expected = [best_fit(*periodogram(row), aliased_density) for row in returns]
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.8])
def test_local_whittle_finds_the_minimum_that_a_brute_search_finds(hurst):
    returns = noise(hurst)
    found = analyze(windows_of(returns))["hurst_robust"]
    lowest = int(500**0.65)
    expected = []
    for row in returns:
        waves, power = periodogram(row)
        expected.append(best_fit(waves[:lowest], power[:lowest], lambda waves, hurst: waves ** (1 - 2 * hurst)))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("size", [199, 499, 512, 1000])
def test_dfa_is_antropys(size):
    returns = noise(0.6, size=size)
    found = analyze(windows_of(returns))["dfa"]
    np.testing.assert_allclose(found, [antropy.detrended_fluctuation(row) for row in returns], rtol=1e-9)


def plain_rescaled_range(row, expected):
    """R/S over halves of halves, in the words of the definition."""
    boxes = [box for box in (len(row) >> halving for halving in range(1, 16)) if box >= 8]
    excess = []
    for box in boxes:
        ratios = []
        for start in range(0, len(row) - box + 1, box):
            part = row[start : start + box]
            walk = np.cumsum(part - part.mean())
            ratios.append((walk.max() - min(walk.min(), 0.0)) / part.std())
        excess.append(np.log(np.mean(ratios)) - np.log(expected(box)))
    return 0.5 + np.polyfit(np.log(boxes), excess, 1)[0]


def anis_lloyd(box):
    """Expected R/S of independent normal values as Anis and Lloyd 1976 print it, by exact products of the gammas."""
    # G((n-1)/2) / G(n/2): 2 / sqrt(pi) at n = 3, sqrt(pi) / 2 at n = 4, times (n-1) / n for each step of 2.
    size, ratio = (3, 2.0 / np.sqrt(np.pi)) if box % 2 else (4, np.sqrt(np.pi) / 2.0)
    while size < box:
        ratio *= (size - 1) / size
        size += 2
    return ratio / np.sqrt(np.pi) * sum(np.sqrt((box - place) / place) for place in range(1, box))


def test_rescaled_range_is_the_definition_written_out():
    returns = noise(0.7, size=499)
    found = analyze(windows_of(returns))["rescaled_range"]
    np.testing.assert_allclose(found, [plain_rescaled_range(row, anis_lloyd) for row in returns], rtol=1e-9)


def test_the_expected_range_is_what_chance_gives():
    parts = np.random.default_rng(12).standard_normal((40_000, 16))
    walks = np.cumsum(parts - parts.mean(axis=1, keepdims=True), axis=1)
    ratios = (walks.max(axis=1) - walks.min(axis=1)) / parts.std(axis=1)
    assert anis_lloyd(16) == pytest.approx(ratios.mean(), rel=0.005)


@pytest.mark.parametrize(("size", "expected"), [(499, 495), (512, 512), (199, 198), (999, 990), (101, 100)])
def test_the_spectrum_leaves_out_a_few_old_returns_when_their_number_is_awkward(size, expected):
    assert smooth_length(size) == expected


def test_never_more_than_four_percent_are_left_out():
    assert all(smooth_length(size) >= 0.96 * size for size in range(99, 2_000))


def test_the_scale_of_the_returns_and_a_drift_do_not_matter():
    returns = noise(0.7)
    base, other = analyze(windows_of(returns)), analyze(windows_of(0.1 * returns + 0.3))
    for field in ("hurst", "hurst_robust", "rescaled_range", "dfa"):
        np.testing.assert_allclose(other[field], base[field], atol=1e-8, err_msg=field)


def test_momentum_of_a_random_walk_is_a_standard_normal():
    returns = np.random.default_rng(13).standard_normal((4_000, 499))
    momentum = analyze(windows_of(returns))["momentum"]
    assert abs(momentum.mean()) < 0.06
    assert momentum.std() == pytest.approx(1.0, abs=0.05)


def test_moves_of_one_size_are_a_problem_not_a_number():
    for step in (0.0, 1.0):
        (reading,) = evaluate(discover()["hurst_exponent"], windows_of(np.full((1, 499), step)))
        assert reading.problem == hurst_exponent.UNDEFINED


def values(hurst, robust, momentum, *, margin=0.056, robust_margin=0.15):
    return {
        "hurst": hurst,
        "hurst_low": hurst - margin,
        "hurst_high": hurst + margin,
        "hurst_robust": robust,
        "hurst_robust_low": robust - robust_margin,
        "hurst_robust_high": robust + robust_margin,
        "momentum": momentum,
    }


@pytest.mark.parametrize(
    ("hurst", "robust", "momentum", "vote", "start"),
    [
        (0.75, 0.75, 2.0, 1.0, "Trending, follow"),
        (0.65, 0.70, 2.0, 0.75, "Trending, follow"),
        (0.75, 0.75, -2.0, -1.0, "Trending, follow"),
        (0.75, 0.75, 0.4, 0.4, "Trending, follow"),
        (0.25, 0.25, 2.0, -1.0, "Mean-reverting, fade"),
        (0.25, 0.25, -0.5, 0.5, "Mean-reverting, fade"),
        (0.25, 0.25, 3.5, 0.0, "Mean-reverting around a drift"),
        (0.58, 0.70, 2.0, 0.0, "Trending, but too weakly"),
        (0.75, 0.60, 2.0, 0.0, "Near a random walk, stay out"),
        (0.52, 0.70, 2.0, 0.0, "Near a random walk, stay out"),
        (0.25, 0.75, 2.0, 0.0, "Near a random walk, stay out"),
    ],
)
def test_a_verdict_needs_both_intervals_and_a_vote_needs_distance(hurst, robust, momentum, vote, start):
    opinion = read(values(hurst, robust, momentum))
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words.startswith(start)
