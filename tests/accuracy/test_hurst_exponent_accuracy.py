"""Hurst numbers against exact fractional Gaussian noise and random walks; antropy's DFA on the same series."""

from __future__ import annotations

import antropy
import numpy as np
import pytest

from tests.accuracy.simulators import autoregression, clustered_noise, fractional_noise, random_walks

THEORY = "hurst_exponent"
TRUTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# The Cramer-Rao bound is about 0.64 / sqrt n: 0.040, 0.028, 0.020.
GOALS = {256: 0.050, 512: 0.035, 1024: 0.025}


def rmse(estimates, truth):
    return float(np.sqrt(np.mean((estimates - truth) ** 2)))


@pytest.mark.parametrize("size", [256, 512, pytest.param(1024, marks=pytest.mark.slow)])
def test_whittle_is_at_the_limit_of_what_can_be_known(size, rng, count, measure, score):
    errors, library = [], []
    for truth in TRUTHS:
        returns = fractional_noise(rng, count, size, truth)
        estimates = measure(THEORY, returns)["hurst"]
        bias = abs(estimates.mean() - truth)
        score(f"hurst: bias, H={truth}, n={size}", goal="<= 0.0120", ours=f"{bias:.4f}")
        assert bias <= 0.012
        errors.append(rmse(estimates, truth))
        library.append(rmse(np.array([antropy.detrended_fluctuation(row) for row in returns[:300]]), truth))
    ours, theirs = np.mean(errors), np.mean(library)
    score(
        f"hurst: rmse over H 0.3..0.8, n={size}",
        goal=f"<= {GOALS[size]:.4f} and antropy / 1.7",
        library=f"antropy {theirs:.4f}",
        ours=f"{ours:.4f}",
    )
    assert ours <= GOALS[size]
    assert ours <= theirs / 1.7


@pytest.mark.parametrize("truth", [0.3, 0.5, 0.8])
def test_both_intervals_hold_the_truth_as_often_as_they_say(truth, rng, count, measure, score):
    columns = measure(THEORY, fractional_noise(rng, count, 512, truth))
    for field in ("hurst", "hurst_robust"):
        held = np.mean((columns[f"{field}_low"] <= truth) & (truth <= columns[f"{field}_high"]))
        score(f"hurst: coverage of {field}, H={truth}, n=512", goal="92 to 97.5 %", ours=f"{100 * held:.1f} %")
        assert 0.92 <= held <= 0.975


def test_the_robust_number_is_not_fooled_by_a_short_echo(rng, count, measure, score):
    returns = autoregression(rng, count, 512, 0.2)
    columns = measure(THEORY, returns)
    bias = {field: columns[field].mean() - 0.5 for field in ("hurst", "hurst_robust")}
    library = np.mean([antropy.detrended_fluctuation(row) for row in returns[:300]]) - 0.5
    score(
        "hurst: bias of hurst_robust under AR(0.2)",
        goal="<= 0.030",
        library=f"antropy {library:.3f}",
        ours=f"{bias['hurst_robust']:.3f} (hurst {bias['hurst']:.3f})",
    )
    assert abs(bias["hurst_robust"]) <= 0.03
    assert bias["hurst"] > 0.1, "if Whittle alone withstood the echo, the second number would not be needed"


def test_random_walks_get_no_vote(rng, count, votes, score):
    for name, returns in random_walks(rng, count, 499).items():
        quiet = np.mean(np.abs(votes(THEORY, returns)) <= 0.1)
        score(f"hurst: |vote| <= 0.1 on walks, {name}", goal=">= 95 %", ours=f"{100 * quiet:.1f} %")
        assert quiet >= 0.95


def test_clusters_of_volatility_widen_the_error_less_than_dfa_has_anyway(rng, count, measure, score):
    returns = clustered_noise(rng, count, 512)
    ours = rmse(measure(THEORY, returns)["hurst"], 0.5)
    library = rmse(np.array([antropy.detrended_fluctuation(row) for row in returns[:300]]), 0.5)
    score("hurst: rmse on GARCH-t, n=512", goal="<= 0.050", library=f"antropy {library:.3f}", ours=f"{ours:.3f}")
    assert ours <= min(0.05, library)


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_planted_trends_get_a_clear_vote_in_their_direction(direction, rng, count, votes, score):
    returns = fractional_noise(rng, count, 499, 0.8) + 1.0
    clear = np.mean(direction * votes(THEORY, direction * returns) > 0.3)
    score(f"hurst: vote beyond 0.3, trend {direction:+.0f} at H=0.8", goal=">= 90 %", ours=f"{100 * clear:.1f} %")
    assert clear >= 0.9
