"""Stationarity: statsmodels' numbers, and a half-life with an interval that holds what it says."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.tools.tools import add_constant
from statsmodels.tsa.stattools import adfuller
from statsmodels.tsa.stattools import kpss as library_kpss

from core.analyzers import discover, evaluate
from tests.accuracy.simulators import autoregression, clustered_noise, random_walks, windows_of

THEORY = "stationarity"
SIZE = 500
BURN_IN = 800


def chance_error(share, count):
    """Standard error of a share of so many windows."""
    return np.sqrt(share * (1.0 - share) / count)


def reverting_returns(rng, count, echo, noise):
    """Returns of a log price that forgets a share 1 - echo of its deviation every candle."""
    if noise == "clustered":
        shocks = clustered_noise(rng, count, SIZE + BURN_IN)
    else:
        shocks = rng.standard_normal((count, SIZE + BURN_IN))
    level = np.zeros(count)
    levels = np.empty((count, SIZE))
    for place in range(SIZE + BURN_IN):
        level = echo * level + shocks[:, place]
        if place >= BURN_IN:
            levels[:, place - BURN_IN] = level
    return np.diff(levels)


# Volatility clusters are known to inflate the textbook's test; ours is the textbook's test.
@pytest.mark.parametrize(
    ("kind", "most"), [("normal", 0.07), ("student-t(3)", 0.07), ("GARCH-t", 0.11), ("GARCH-t, shocks 0.15", 0.11)]
)
def test_dickey_fuller_holds_its_level_on_random_walks(kind, most, rng, count, measure, score):
    found = np.mean(measure(THEORY, random_walks(rng, count, SIZE - 1)[kind])["adf_p_value"] < 0.05)
    margin = 2.0 * chance_error(0.05, count)
    score(
        f"stationarity: ADF size at 5 %, {kind}",
        goal=f"3 to {100 * most:.0f} %",
        library="the same",
        ours=f"{100 * found:.1f} %",
    )
    assert 0.03 - margin <= found <= most + margin


@pytest.mark.parametrize(("echo", "goal"), [(0.95, 0.94), (0.98, 0.32)])
def test_dickey_fuller_finds_slow_reversion_as_often_as_can_be(echo, goal, rng, count, measure, score):
    found = np.mean(measure(THEORY, reverting_returns(rng, count, echo, "normal"))["adf_p_value"] < 0.05)
    score(
        f"stationarity: ADF power at AR({echo}), n=500",
        goal=f">= {100 * goal:.0f} %",
        library="the same",
        ours=f"{100 * found:.1f} %",
    )
    assert found >= goal - 2.0 * chance_error(goal, count)


def usual_half_life(returns):
    """Half-life from least squares with the usual interval: log 0.5 / log r at r and r -+ 1.96 standard errors."""
    levels = np.cumsum(returns)
    fit = OLS(levels[1:], add_constant(levels[:-1])).fit()
    ends = fit.params[1] + fit.bse[1] * np.array([-1.96, 0.0, 1.96])
    return np.where(ends < 1.0, np.log(0.5) / np.log(np.clip(ends, 1e-300, 1.0 - 1e-12)), np.inf)


@pytest.mark.parametrize("noise", ["normal", "clustered"])
@pytest.mark.parametrize("echo", [0.5, 0.9, 0.95, 0.98, 0.99])
def test_the_half_life_is_as_often_too_long_as_too_short_and_its_interval_holds(
    echo, noise, rng, count, measure, score
):
    returns = reverting_returns(rng, count, echo, noise)
    columns = measure(THEORY, returns)
    true = np.log(0.5) / np.log(echo)
    low, middle, high = (
        np.where(np.isnan(columns[name]), np.inf, columns[name])
        for name in ("half_life_low", "half_life", "half_life_high")
    )
    held = np.mean((low <= true) & (true <= high))
    over = np.mean(middle > true)
    usual = np.array([usual_half_life(row) for row in returns[:300]])
    usual_held = np.mean((usual[:, 0] <= true) & (true <= usual[:, 2]))
    score(
        f"stationarity: half-life interval holds, AR({echo}), {noise}",
        goal=">= 93 %",
        library=f"least squares {100 * usual_held:.1f} %",
        ours=f"{100 * held:.1f} %",
    )
    score(
        f"stationarity: half-life too long, AR({echo}), {noise}",
        goal="46 to 54 %",
        library=f"least squares {100 * np.mean(usual[:, 1] > true):.1f} %",
        ours=f"{100 * over:.1f} %",
    )
    assert held >= 0.93 - 2.0 * chance_error(0.95, count)
    assert abs(over - 0.5) <= 0.04 + 2.0 * chance_error(0.5, count)


def test_random_walks_get_no_vote(rng, count, votes, score):
    for name, returns in random_walks(rng, count, SIZE - 1).items():
        quiet = np.mean(np.abs(votes(THEORY, returns)) <= 0.1)
        score(f"stationarity: |vote| <= 0.1 on walks, {name}", goal=">= 95 %", ours=f"{100 * quiet:.1f} %")
        assert quiet >= 0.95


@pytest.mark.parametrize("noise", ["normal", "clustered"])
@pytest.mark.parametrize("drift", [0.3, -0.3])
def test_planted_trends_get_a_vote_along_their_drift(drift, noise, rng, count, votes, score):
    walks = random_walks(rng, count, SIZE - 1)
    returns = drift + walks["normal" if noise == "normal" else "GARCH-t"]
    found = np.sign(drift) * votes(THEORY, returns)
    clear = np.mean(found > 0.3)
    score(
        f"stationarity: vote along a drift of {drift} sd, {noise}",
        goal="median > 0.3, clear >= 90 %",
        ours=f"median {np.median(found):.2f}, clear {100 * clear:.1f} %",
    )
    assert np.median(found) > 0.3
    assert clear >= 0.9


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_price_away_from_its_mean_gets_a_vote_back_to_it(side, rng, count, votes, score):
    returns = reverting_returns(rng, count, 0.8, "normal")
    levels = np.concatenate([np.zeros((count, 1)), np.cumsum(returns, axis=1)], axis=1)
    away = side * (levels[:, -1] - levels.mean(axis=1)) / levels.std(axis=1) > 1.0
    clear = np.mean(-side * votes(THEORY, returns[away]) > 0.3)
    score(
        f"stationarity: vote back to the mean, AR(0.8), side {side:+.0f}",
        goal=">= 75 % (KPSS rejects 12 %)",
        ours=f"{100 * clear:.1f} %",
    )
    assert clear >= 0.75


def test_the_four_verdicts_fall_where_they_should(rng, count, score):
    def verdicts(returns):
        words = [reading.words for reading in evaluate(discover()[THEORY], windows_of(returns))]
        return {name: np.mean([name in text for text in words]) for name in ("Stationary", "Unit root")}

    reverting = verdicts(np.diff(autoregression(rng, count, SIZE, 0.5)))["Stationary"]
    walking = verdicts(rng.standard_normal((count, SIZE - 1)))["Unit root"]
    score("stationarity: AR(0.5) called stationary", goal=">= 88 %", ours=f"{100 * reverting:.1f} %")
    score("stationarity: walks called unit root", goal=">= 85 %", ours=f"{100 * walking:.1f} %")
    assert reverting >= 0.88
    assert walking >= 0.85


@pytest.mark.filterwarnings("ignore:The test statistic is outside")
def test_statistics_equal_statsmodels_on_every_window(rng, measure, score):
    kinds = [*random_walks(rng, 10, SIZE - 1).values(), 0.3 + rng.standard_normal((10, SIZE - 1))]
    kinds += [reverting_returns(rng, 10, echo, "clustered") for echo in (0.5, 0.95)]
    returns = np.concatenate(kinds)
    columns = measure(THEORY, returns)
    levels = np.log(windows_of(returns).close)
    fuller = [adfuller(row, regression="c", autolag="AIC", result_object=True) for row in levels]
    level = [library_kpss(row, regression="c", nlags="auto", result_object=True) for row in levels]
    differences = {
        f"{test}_{ours}": np.abs(columns[f"{test}_{ours}"] - [getattr(found, theirs) for found in library]).max()
        for test, library in (("adf", fuller), ("kpss", level))
        for ours, theirs in (("statistic", "statistic"), ("p_value", "pvalue"), ("lag", "lags"))
    }
    worst = max(differences.values())
    score("stationarity: difference to statsmodels", goal="<= 1e-6", library="adfuller, kpss", ours=f"{worst:.1e}")
    assert worst <= 1e-6
