"""Questions are answered by intervals, and an open one says how many trades are missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import normal_power

from core.errors import CrpbotError
from core.performance.better import Answer, is_above, is_better, trades_for_rate
from core.performance.measure import estimate_rate
from core.performance.sample import Estimate, Method, span_of
from core.performance.trials import Trial, deflate, register, try_of
from tests.core.performance_cases import CAPITAL, closed, history

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_interval_beside_the_benchmark_decides() -> None:
    assert is_above(estimate_rate(80, 100), 0.55).answer is Answer.YES
    assert is_above(estimate_rate(20, 100), 0.55).answer is Answer.NO
    found = is_above(estimate_rate(60, 100), 0.55)
    assert (found.answer, found.trades_needed) == (Answer.UNDECIDED, trades_for_rate(0.6, 0.55) - 100)
    assert str(found) == f"not decidable yet: about {found.trades_needed:,} more trades"
    assert str(is_above(estimate_rate(80, 100), 0.55)) == "yes"


@pytest.mark.parametrize(
    ("rate", "benchmark", "simulated"),
    [(0.75, 0.68, 270), (0.72, 0.68, 820), (0.70, 0.68, 3_340), (0.53, 0.50, 1_820), (0.52, 0.50, 3_920)],
)
def test_trades_for_a_rate_agree_with_simulations(rate: float, benchmark: float, simulated: int) -> None:
    """Simulated once for the promotion gate: one-sided 95 %, power 80 %. A power that jumps needs some more to stay."""
    assert trades_for_rate(rate, benchmark, tail=0.05) == pytest.approx(simulated, rel=0.06)
    assert trades_for_rate(1 - rate, 1 - benchmark, tail=0.05) == trades_for_rate(rate, benchmark, tail=0.05)


def test_the_counted_number_of_trades_has_the_power_and_fewer_have_not() -> None:
    for rate, benchmark in ((0.6, 0.5), (0.3, 0.45), (0.9, 0.55)):
        needed = trades_for_rate(rate, benchmark)
        flipped = rate < benchmark
        high, low = (1 - rate, 1 - benchmark) if flipped else (rate, benchmark)

        def power(n: int, high: float = high, low: float = low) -> float:
            wins = np.arange(n + 1)
            shown = stats.beta.ppf(0.025, np.maximum(wins, 1), n - wins + 1) > low
            return float(stats.binom.pmf(wins, n, high)[shown & (wins > 0)].sum())

        assert power(needed) >= 0.8
        assert power(needed - 1) < 0.8


def test_what_cannot_be_decided_by_any_number_says_so() -> None:
    assert trades_for_rate(0.5, 0.5) is None
    assert trades_for_rate(0.5001, 0.5) is None
    assert trades_for_rate(1.0, 0.5) == 6  # six wins of six: one in 64, below 2.5 %
    same = Estimate(1.0, 0.5, 1.5, 100, Method.BOOTSTRAP)
    assert "nor in any number" in str(is_above(same, 1.0))
    assert is_above(Estimate(None, None, None, 3, Method.BOOTSTRAP), 1.0).trades_needed is None


def test_trades_for_a_mean_equal_those_of_statsmodels() -> None:
    found = is_above(Estimate(0.3, -0.1, 0.7, 100, Method.BOOTSTRAP), 0.0)
    error = 0.4 / stats.norm.ppf(0.975) * 10
    power = normal_power(0.3 / error, 100 + found.trades_needed, 0.05)
    assert power == pytest.approx(0.8, abs=0.003)


def test_a_range_and_a_benchmark_that_is_no_number_are_refused() -> None:
    with pytest.raises(CrpbotError, match="which is no interval"):
        is_above(Estimate(5.0, 4.0, 9.0, 30, Method.RANGE), 10.0)
    with pytest.raises(CrpbotError, match="benchmark: is nan"):
        is_above(estimate_rate(1, 2), float("nan"))


def test_one_way_is_better_than_another_only_when_their_days_prove_it() -> None:
    good, bad = history(1, 600, win_rate=0.6), history(2, 600, win_rate=0.3)
    span = span_of([*good, *bad], CAPITAL * 10)
    assert is_better(good, bad, span).answer is Answer.YES
    assert is_better(bad, good, span).answer is Answer.NO
    alike = is_better(history(3, 600), history(4, 600), span)
    assert alike.answer is Answer.UNDECIDED
    assert is_better(good, [], span).answer is Answer.UNDECIDED


def test_skill_less_ways_are_seldom_called_better() -> None:
    span = span_of(history(0, 300), CAPITAL * 10)
    found = [is_better(history(2 * seed, 300), history(2 * seed + 1, 300), span).answer for seed in range(150)]
    assert sum(answer is not Answer.UNDECIDED for answer in found) <= 18  # 7.5 expected; 18 has a chance of 1 in 2,000


# trials


def test_a_trial_is_registered_once_and_never_replaced() -> None:
    one = Trial("rsi 14", AT, 0.05, 200)
    trials = register((), one)
    assert register(trials, one) == trials
    with pytest.raises(CrpbotError, match="another try needs another name"):
        register(trials, replace(one, daily_sharpe=0.06))
    with pytest.raises(CrpbotError, match="has the ratio"):
        Trial("broken", AT, float("inf"), 200)


def test_the_published_example_of_the_deflated_ratio_is_met() -> None:
    """Bailey and Lopez de Prado 2014: 100 trials, variance 1/2 a year, 1,250 days: luck 0.1132 a day."""
    ratios = np.random.default_rng(1).normal(size=100)
    ratios = ratios / ratios.std(ddof=1) * np.sqrt(0.5 / 250)
    trials: tuple[Trial, ...] = ()
    for number, ratio in enumerate(ratios):
        trials = register(trials, Trial(f"trial {number}", AT, float(ratio), 1_250))
    found = deflate(np.random.default_rng(2).normal(0.002, 0.01, 1_250), trials)
    assert found.luck == pytest.approx(0.1132, abs=1e-4)
    assert found.deflated < found.probabilistic


def test_the_best_of_a_hundred_coins_is_no_skill_and_one_true_edge_is() -> None:
    rng = np.random.default_rng(5)
    returns = [rng.normal(0.0, 0.01, 365) for _ in range(100)]
    trials: tuple[Trial, ...] = ()
    for number, series in enumerate(returns):
        trials = register(trials, try_of(f"coin {number}", AT, series))
    best = returns[int(np.argmax([trial.daily_sharpe for trial in trials]))]
    found = deflate(best, trials)
    assert found.probabilistic > 0.95
    assert not found.is_skill
    edge = rng.normal(0.003, 0.01, 365)
    assert deflate(edge, register(trials, try_of("edge", AT, edge))).is_skill


def test_too_few_days_have_no_deflated_ratio() -> None:
    assert deflate(np.array([0.01, 0.02]), ()) is None
    assert deflate(np.zeros(50), ()) is None
    with pytest.raises(CrpbotError, match="days that differ are needed"):
        try_of("flat", AT, np.zeros(50))
    assert closed(0, 1.0).pnl == 1
