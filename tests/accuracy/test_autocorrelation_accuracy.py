"""Autocorrelation tests: equal to statsmodels where it is right, and right where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.diagnostic import acorr_ljungbox

from tests.accuracy.simulators import autoregression, random_walks

THEORY = "autocorrelation"


def test_the_robust_test_holds_its_level_on_random_walks(rng, count, measure, score):
    for name, returns in random_walks(rng, count, 499).items():
        columns = measure(THEORY, returns)
        size = np.mean(columns["robust_p_value"] < 0.05)
        textbook = np.mean([acorr_ljungbox(row, lags=[20])["lb_pvalue"].iloc[0] < 0.05 for row in returns[:200]])
        score(
            f"autocorrelation: size at 5 %, {name}",
            goal="2 to 7.5 %",
            library=f"statsmodels {100 * textbook:.1f} %",
            ours=f"{100 * size:.1f} %",
        )
        assert 0.02 <= size <= 0.075


def test_the_robust_test_finds_a_weak_echo(rng, count, measure, score):
    columns = measure(THEORY, autoregression(rng, count, 499, 0.2))
    power = np.mean(columns["robust_p_value"] < 0.05)
    textbook = np.mean(columns["ljung_box_p_value"] < 0.05)
    score(
        "autocorrelation: power at AR(0.2), n=500",
        goal=">= 70 %",
        library=f"Ljung-Box {100 * textbook:.1f} %",
        ours=f"{100 * power:.1f} %",
    )
    assert power >= 0.7


def test_random_walks_get_no_vote(rng, count, votes, score):
    for name, returns in random_walks(rng, count, 499).items():
        quiet = np.mean(np.abs(votes(THEORY, returns)) <= 0.1)
        score(f"autocorrelation: |vote| <= 0.1 on walks, {name}", goal=">= 95 %", ours=f"{100 * quiet:.1f} %")
        assert quiet >= 0.95


@pytest.mark.parametrize("echo", [0.5, -0.5])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_planted_echoes_get_a_clear_vote_for_the_move_they_imply(direction, echo, rng, count, votes, score):
    returns = autoregression(rng, count, 499, echo)
    expected = echo * returns[:, -1] / returns.std(axis=1)
    returns *= np.where(expected > 0.0, direction, -direction)[:, None]
    planted = np.abs(expected) > 0.4
    clear = np.mean(direction * votes(THEORY, returns[planted]) > 0.3)
    score(
        f"autocorrelation: vote beyond 0.3, AR({echo}) implying {direction:+.0f}",
        goal=">= 95 %",
        ours=f"{100 * clear:.1f} %",
    )
    assert clear >= 0.95


def test_the_expected_move_is_that_of_the_true_process(rng, count, measure, score):
    returns = autoregression(rng, count, 499, 0.4)
    expected = 0.4 * returns[:, -1] / returns.std(axis=1)
    found = measure(THEORY, returns)["next_move"]
    error = float(np.sqrt(np.mean((found - expected) ** 2)))
    score("autocorrelation: error of the expected move, AR(0.4)", goal="<= 0.15 sd", ours=f"{error:.3f} sd")
    assert error <= 0.15


def test_statistics_equal_statsmodels_on_every_window(rng, measure, score):
    returns = np.concatenate(list(random_walks(rng, 25, 499).values()))
    columns = measure(THEORY, returns)
    library = [acorr_ljungbox(row, lags=[20]) for row in returns]
    statistic = np.abs(columns["ljung_box"] / [frame["lb_stat"].iloc[0] for frame in library] - 1.0).max()
    chance = np.abs(columns["ljung_box_p_value"] - [frame["lb_pvalue"].iloc[0] for frame in library]).max()
    worst = max(statistic, chance)
    score("autocorrelation: difference to statsmodels", goal="<= 1e-9", library="acorr_ljungbox", ours=f"{worst:.1e}")
    assert worst <= 1e-9
