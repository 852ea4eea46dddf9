"""The fractal dimension against fractional Brownian motion, Weierstrass functions, random walks; antropy beside it."""

from __future__ import annotations

import antropy
import numpy as np
import pytest

from tests.accuracy.simulators import fractional_noise, random_walks

THEORY = "fractal_dimension"
SIZE = 499
EXPONENTS = (0.2, 0.35, 0.5, 0.65, 0.8)
DIMENSIONS = (1.2, 1.4, 1.6, 1.8)
GOAL = 0.036
# A ratio of 1.5 between neighbouring frequencies: dense enough that a window shows the dimension, not single waves.
RATIO = 1.5


def rmse(estimates, truth):
    return float(np.sqrt(np.mean((estimates - truth) ** 2)))


def library_rmse(returns, truth):
    """Error of antropy's Higuchi dimension of the path."""
    paths = np.cumsum(np.concatenate([np.zeros((len(returns), 1)), returns], axis=1), axis=1)
    return rmse(np.array([antropy.higuchi_fd(path) for path in paths]), truth)


def weierstrass_moves(rng, rows, size, dimension):
    """Increments of sum_k r^(k (D - 2)) cos(2 pi (r^k t + phase_k)) over t in [0, 1], phases by chance.

    From five terms slower than the window to frequencies two hundred times too fast for it.
    """
    times = np.arange(size + 1) / size
    last = int(np.ceil(np.log(200.0 * size) / np.log(RATIO)))
    path = np.zeros((rows, size + 1))
    for term in range(-5, last):
        phases = rng.random((rows, 1))
        path += RATIO ** (term * (dimension - 2.0)) * np.cos(2.0 * np.pi * (RATIO**term * times + phases))
    moves = np.diff(path, axis=1)
    return moves / moves.std()


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_dimension_of_fractional_brownian_motion_is_found(exponent, rng, count, measure, score):
    truth = 2.0 - exponent
    returns = fractional_noise(rng, count, SIZE, exponent)
    found = measure(THEORY, returns)["dimension"]
    ours, library = rmse(found, truth), library_rmse(returns, truth)
    score(
        f"fractal: rmse, fractional Brownian motion, D={truth:.2f}, n=500",
        goal=f"<= {GOAL:.4f}",
        library=f"antropy Higuchi {library:.4f}",
        ours=f"{ours:.4f} (bias {found.mean() - truth:+.4f})",
    )
    assert ours <= GOAL
    assert ours < library


@pytest.mark.parametrize("truth", DIMENSIONS)
def test_the_dimension_of_weierstrass_functions_is_found(truth, rng, count, measure, score):
    returns = weierstrass_moves(rng, count, SIZE, truth)
    ours, library = rmse(measure(THEORY, returns)["dimension"], truth), library_rmse(returns, truth)
    score(
        f"fractal: rmse, Weierstrass, D={truth:.2f}, n=500",
        goal=f"<= {GOAL:.4f}",
        library=f"antropy Higuchi {library:.4f}",
        ours=f"{ours:.4f}",
    )
    assert ours <= GOAL


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_interval_holds_the_truth_as_often_as_it_says(exponent, rng, count, measure, score):
    columns = measure(THEORY, fractional_noise(rng, count, SIZE, exponent))
    truth = 2.0 - exponent
    held = np.mean((columns["dimension_low"] <= truth) & (truth <= columns["dimension_high"]))
    score(f"fractal: coverage, D={truth:.2f}, n=500", goal="92 to 97.5 %", ours=f"{100 * held:.1f} %")
    assert 0.92 <= held <= 0.975


@pytest.mark.parametrize("size", [199, SIZE])
def test_the_chance_holds_its_level_on_random_walks(size, rng, count, measure, score):
    for name, returns in random_walks(rng, count, size).items():
        columns = measure(THEORY, returns)
        share = np.mean(columns["p_value"] < 0.05)
        outside = np.mean((columns["dimension_low"] > 1.5) | (columns["dimension_high"] < 1.5))
        score(
            f"fractal: p < 5 %, {name}, n={size + 1}",
            goal="2 to 7.5 %",
            library=f"interval alone {100 * outside:.1f} %",
            ours=f"{100 * share:.1f} %",
        )
        assert 0.02 <= share <= 0.075


@pytest.mark.parametrize("exponent", [0.35, 0.65])
def test_smooth_and_choppy_paths_are_told_from_a_random_walk(exponent, rng, count, measure, score):
    columns = measure(THEORY, fractional_noise(rng, count, SIZE, exponent))
    right = np.sign(0.5 - exponent) * (columns["dimension"] - 1.5) > 0.0
    power = np.mean(right & (columns["p_value"] < 0.01))
    score(f"fractal: p < 1 % at D={2.0 - exponent:.2f}, n=500", goal=">= 90 %", ours=f"{100 * power:.1f} %")
    assert power >= 0.9


def test_a_filter_never_votes(rng, votes):
    for exponent in (0.2, 0.5, 0.8):
        for drift in (-0.3, 0.0, 0.3):
            assert (votes(THEORY, fractional_noise(rng, 30, SIZE, exponent) + drift) == 0.0).all()
