"""The win rate's posterior against 40-digit arithmetic, and its intervals against trades whose truth is known.

Coverage at a fixed win rate is counted out over every possible record, so it carries no noise of simulation.
"""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import scipy.stats

from core.analyzers import discover
from core.market import Record
from tests.accuracy.simulators import Floats, windows_of

THEORY = "bayesian_win_rate"
# A record costs nothing beside a window: so many more than the windows of the other theories.
MORE = 20
DIGITS = 40
# 40 digits of a record of thousands of trades take about 30 milliseconds.
MOST_RECORDS = 300


def assess(wins: Floats, losses: Floats, break_even: Floats) -> dict[str, Floats]:
    """The columns of the theory for these closed trades."""
    windows = windows_of(np.ones((len(wins), 2)))
    trades = Record(*(np.asarray(column, dtype=np.float64) for column in (wins, losses, break_even)))
    return dict(discover()[THEORY].analyze(replace(windows, record=trades)))


def chance_above(limit: float, wins: int, losses: int) -> mpmath.mpf:
    """P(p > limit) under Beta(1 + wins, 1 + losses): at most `wins` successes in that many trials and one."""
    share = mpmath.mpf(limit)
    trials = wins + losses + 1
    term = (1 - share) ** trials
    total = term
    odds = share / (1 - share)
    for successes in range(wins):
        term *= odds * (trials - successes) / (successes + 1)
        total += term
    return total


@pytest.fixture
def records(rng, count):
    """Records of 1 to 20,000 trades, small ones as often as large ones, with a limit near where it matters."""
    rows = min(max(30, count // 10), MOST_RECORDS)
    trades = np.rint(np.exp(rng.uniform(0.0, np.log(20_000.0), rows))).astype(int)
    wins = rng.binomial(trades, rng.uniform(0.2, 0.8, rows))
    spread = 0.5 / np.sqrt(trades + 2.0)
    limits = np.clip((wins + 1.0) / (trades + 2.0) + 3.0 * spread * rng.standard_normal(rows), 0.02, 0.98)
    return wins, trades - wins, limits


def test_the_reference_is_the_incomplete_beta_function(rng):
    with mpmath.workdps(DIGITS):
        for wins, losses in [(0, 0), (3, 5), (40, 12), (200, 180)]:
            limit = float(rng.uniform(0.3, 0.7))
            expected = mpmath.betainc(1 + wins, 1 + losses, limit, 1, regularized=True)
            assert abs(chance_above(limit, wins, losses) - expected) < mpmath.mpf(10) ** (8 - DIGITS)


def test_probabilities_are_those_of_40_digits(records, score):
    wins, losses, limits = records
    found = assess(wins, losses, limits)
    ours, ends, library = 0.0, 0.0, 0.0
    with mpmath.workdps(DIGITS + 10):
        for row, (won, lost, limit) in enumerate(zip(wins.tolist(), losses.tolist(), limits.tolist(), strict=True)):
            truth = chance_above(limit, won, lost)
            ours = max(ours, float(abs(truth - found["probability_above_break_even"][row])))
            library = max(library, float(abs(truth - scipy.stats.beta.sf(limit, 1 + won, 1 + lost))))
            mean = abs(mpmath.mpf(1 + won) / (2 + won + lost) - found["win_rate"][row])
            below = abs(1 - chance_above(found["win_rate_low"][row], won, lost) - mpmath.mpf("0.025"))
            above = abs(chance_above(found["win_rate_high"][row], won, lost) - mpmath.mpf("0.025"))
            ends = max(ends, float(max(mean, below, above)))
    score(
        "error of P(p > break-even)",
        goal="<= 1e-9",
        library=f"scipy.stats {library:.0e}",
        ours=f"{ours:.0e}",
    )
    score("error of mean and of either tail of the interval", goal="<= 1e-9", ours=f"{ends:.0e}")
    assert ours <= 1e-9
    assert ends <= 1e-9


@pytest.mark.parametrize("trades", [20, 50, 200])
def test_the_interval_holds_the_true_win_rate_as_often_as_it_says(trades, rng, count, score):
    wins = np.arange(trades + 1)
    columns = assess(wins, trades - wins, np.full(trades + 1, 0.5))
    low, high = columns["win_rate_low"], columns["win_rate_high"]
    rates = np.concatenate([np.linspace(0.45, 0.68, 24), rng.uniform(0.45, 0.68, count)])
    held = (low <= rates[:, None]) & (rates[:, None] <= high)
    coverage = (scipy.stats.binom.pmf(wins, trades, rates[:, None]) * held).sum(axis=1)
    # The textbook's interval, mean -+ 1.96 standard errors, shows what is gained.
    share = wins / trades
    margin = 1.96 * np.sqrt(share * (1.0 - share) / trades)
    plain_held = (share - margin <= rates[:, None]) & (rates[:, None] <= share + margin)
    plain = (scipy.stats.binom.pmf(wins, trades, rates[:, None]) * plain_held).sum(axis=1)
    score(
        f"coverage at p = 0.45..0.68, {trades} trades",
        goal="0.925..0.975",
        library=f"normal interval {plain.min():.3f}..{plain.max():.3f}",
        ours=f"{coverage.min():.3f}..{coverage.max():.3f}",
    )
    assert coverage.min() >= 0.925
    assert coverage.max() <= 0.975


@pytest.mark.parametrize("trades", [20, 50, 200])
def test_simulated_trades_agree_with_the_counted_coverage(trades, rng, count, score):
    rows = MORE * count
    rate = rng.uniform(0.45, 0.68)
    wins = rng.binomial(trades, rate, rows)
    columns = assess(wins, trades - wins, np.full(rows, 0.5))
    coverage = np.mean((columns["win_rate_low"] <= rate) & (rate <= columns["win_rate_high"]))
    noise = 2.0 * np.sqrt(0.05 * 0.95 / rows)
    score(
        f"coverage of {rows:,} simulated records of {trades} trades at p = {rate:.2f}",
        goal=f"0.925..0.975 -+ {noise:.4f}",
        ours=f"{coverage:.3f}",
    )
    assert 0.925 - noise <= coverage <= 0.975 + noise


def test_under_the_prior_the_interval_holds_95_of_100(rng, count, score):
    rows = MORE * count
    rates = rng.random(rows)
    for trades in (5, 20, 50, 200):
        wins = rng.binomial(trades, rates)
        columns = assess(wins, trades - wins, np.full(rows, 0.5))
        coverage = np.mean((columns["win_rate_low"] <= rates) & (rates <= columns["win_rate_high"]))
        score(f"coverage under the prior, {trades} trades", goal="0.94..0.96", ours=f"{coverage:.4f}")
        # The truth is 0.95 exactly; at any size from 1,500 on the bounds are eight standard errors away.
        assert 0.94 <= coverage <= 0.96


def test_the_chance_to_pay_is_right_as_often_as_it_says(rng, count, score):
    rows = MORE * count
    rates, break_even = rng.random(rows), rng.uniform(0.3, 0.7, rows)
    trades = rng.integers(0, 300, rows)
    wins = rng.binomial(trades, rates)
    claimed = assess(wins, trades - wins, break_even)["probability_above_break_even"]
    paid = rates > break_even
    worst = 0.0
    for low in np.arange(0.0, 1.0, 0.1):
        chosen = (claimed >= low) & (claimed < low + 0.1 if low < 0.9 else claimed <= 1.0)
        gap = paid[chosen].mean() - claimed[chosen].mean()
        noise = np.sqrt((claimed[chosen] * (1.0 - claimed[chosen])).sum()) / chosen.sum()
        worst = max(worst, abs(gap) / noise)
    score(
        "claimed chance to pay against what was true, ten classes",
        goal="<= 4.5 standard errors",
        ours=f"{worst:.1f} standard errors",
    )
    # Chance alone puts the worst of ten classes beyond 4.5 once in 15,000 runs.
    assert worst <= 4.5


def test_it_never_votes(rng, count, score):
    trades = rng.integers(0, 300, count)
    wins = rng.binomial(trades, rng.random(count))
    columns = assess(wins, trades - wins, rng.uniform(0.3, 0.7, count))
    read = discover()[THEORY].read
    votes = [
        read({name: float(column[row]) for name, column in columns.items() if np.isfinite(column[row])}).vote
        for row in range(count)
    ]
    score("largest vote (a filter)", goal="0", ours=f"{max(map(abs, votes)):.0f}")
    assert not any(votes)
