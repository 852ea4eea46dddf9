"""Statistics equal those of the libraries, and their intervals hold what they say."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal

import empyrical
import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import optimal_block_length
from scipy import stats

from core.errors import CrpbotError
from core.performance.bootstrap import best_block, block_length, draw_means, percentile_interval, rate_interval
from core.performance.decisions import (
    DECISION_KEYS,
    estimate_confidence,
    estimate_hold_share,
    estimate_hold_share_by,
)
from core.performance.measure import KEYS, estimate_rate, measure, measure_by
from core.performance.sample import (
    Decided,
    Estimate,
    Method,
    Span,
    daily_exposure,
    daily_returns,
    span_of,
)
from core.signal import Strategy
from core.trade import Direction
from tests.core.performance_cases import CAPITAL, FIRST, by_days, closed, history

RETURNS = np.random.default_rng(4).normal(0.001, 0.01, 250)


def test_statistics_of_trades_follow_their_definitions() -> None:
    trades = [closed(number, pnl) for number, pnl in enumerate([300, -100, 50, -200, 0.0, 150])]
    found = measure(trades, span_of(trades, CAPITAL))
    assert (found.trades, found.wins, found.losses, found.breakevens) == (6, 3, 2, 1)
    assert found.win_rate.value == 3 / 5
    assert found.pnl_usd.value == pytest.approx(200)
    assert found.expectancy_usd.value == pytest.approx(200 / 6)
    assert found.expectancy_percent.value == pytest.approx(200 / 6 / 500)
    assert found.profit_factor.value == pytest.approx(500 / 300)
    assert found.expectancy_usd.low is None  # six trades give no interval


def test_daily_statistics_equal_empyrical() -> None:
    trades, span = by_days(RETURNS)
    returns = pd.Series(daily_returns(trades, span))
    assert np.allclose(returns, RETURNS, atol=1e-10)
    found = measure(trades, span)
    year = {"annualization": 365}
    assert found.plain_sharpe.value == pytest.approx(empyrical.sharpe_ratio(returns, **year), rel=1e-9)
    assert found.sortino.value == pytest.approx(empyrical.sortino_ratio(returns, **year), rel=1e-9)
    assert found.calmar.value == pytest.approx(empyrical.calmar_ratio(returns, **year), rel=1e-9)
    assert found.max_drawdown_percent.value == pytest.approx(-100 * empyrical.max_drawdown(returns), rel=1e-9)


def test_profit_factor_sharpe_and_drawdown_equal_quantstats() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import quantstats.stats as reference

        trades, span = by_days(RETURNS)
        days = pd.date_range("2026-01-01", periods=len(RETURNS))
        returns = pd.Series(daily_returns(trades, span), index=days)
        sharpe = reference.sharpe(returns, periods=365)
        deepest = reference.max_drawdown(returns)
        details = reference.drawdown_details(reference.to_drawdown_series(returns))
        factor = reference.profit_factor(pd.Series([float(trade.pnl) for trade in trades]))
    found = measure(trades, span)
    assert found.plain_sharpe.value == pytest.approx(sharpe, rel=1e-9)
    assert found.max_drawdown_percent.value == pytest.approx(-100 * deepest, rel=1e-9)
    assert found.profit_factor.value == pytest.approx(factor, rel=1e-6)
    worst = details.sort_values("max drawdown").iloc[0]
    # it counts the days below the peak, we those from the peak until it is regained
    assert abs(found.drawdown_days.value - worst["days"]) <= 1


def test_the_sharpe_ratio_of_echoing_days_is_corrected() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.01, 3_001)
    echoing = 0.0005 + noise[1:] + 0.5 * noise[:-1]
    found = measure(*by_days(echoing), resamples=0)
    # the long-run variance is (1 + 0.5)^2, that of a day 1 + 0.5^2
    assert found.sharpe.value / found.plain_sharpe.value == pytest.approx(np.sqrt(1.25) / 1.5, rel=0.06)


def test_a_rate_has_the_exact_interval() -> None:
    for hits, n in ((0, 7), (7, 7), (3, 10), (700, 1_000)):
        found = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
        assert rate_interval(hits, n) == pytest.approx((found.low, found.high), abs=1e-12)
    assert estimate_rate(0, 0) == Estimate(None, None, None, 0, Method.EXACT)


@pytest.mark.parametrize("seed", range(4))
def test_the_block_suits_the_echo_as_in_arch(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=6_000)
    series = noise.copy()
    for place in range(1, len(series)):
        series[place] += 0.5 * series[place - 1]
    reference = float(optimal_block_length(series)["stationary"].iloc[0])
    assert best_block(series) == pytest.approx(reference, rel=0.35)
    assert best_block(noise) < 8
    assert best_block(np.ones(50)) == 1.0


def test_an_echo_widens_the_interval() -> None:
    noise = np.random.default_rng(1).normal(size=400)
    echoing = np.convolve(noise, np.ones(5) / np.sqrt(5), mode="same")
    widths = []
    for series in (noise, echoing):
        assert block_length(series) >= 400 ** (1 / 3)
        means, blocks = draw_means(series[:, None])
        low, high = percentile_interval(means[:, 0], blocks)
        widths.append(high - low)
    # the long-run variance is five times that of one value
    assert 1.6 <= widths[1] / widths[0] <= 2.6


def test_the_same_trades_give_the_same_interval_and_others_another() -> None:
    trades = history(1, 120)
    span = span_of(trades, CAPITAL)
    assert measure(trades, span) == measure(trades[::-1], span)
    assert measure(trades[:-1], span).expectancy_usd.low != measure(trades, span).expectancy_usd.low


def coverage(estimates: list[tuple[Estimate, float]]) -> float:
    return sum(found.low <= truth <= found.high for found, truth in estimates) / len(estimates)


@pytest.mark.slow
def test_intervals_of_trades_hold_what_they_say() -> None:
    """600 histories of 200 trades with a known truth; chance alone moves the share by 0.9 points."""
    rate, reward = 0.45, 1.6
    truths = {
        "win_rate": rate,
        "expectancy_usd": 500 * (rate * reward - (1 - rate)),
        "pnl_usd": 200 * 500 * (rate * reward - (1 - rate)),
        "profit_factor": rate * reward / (1 - rate),
    }
    span = span_of(history(0, 200), CAPITAL)
    found = [measure(history(seed, 200, win_rate=rate, reward=reward), span, resamples=500) for seed in range(600)]
    for name, truth in truths.items():
        held = coverage([(getattr(each, name), truth) for each in found])
        assert 0.925 <= held <= 0.975, (name, held)


@pytest.mark.slow
@pytest.mark.parametrize("echo", [0.0, 0.2])
def test_intervals_of_daily_ratios_hold_what_they_say(echo: float) -> None:
    """600 years of days with a known ratio, independent and echoing."""
    rng = np.random.default_rng(11)
    mean, held = 0.0008, {"sharpe": 0, "plain_sharpe": 0, "sortino": 0}
    deviation = 0.01 / np.sqrt(1 - echo * echo)
    normal = stats.norm(mean, deviation)
    downside = np.sqrt(normal.expect(lambda value: value * value, ub=0.0))
    plain = np.sqrt(365) * mean / deviation
    truths = {
        "sharpe": plain / np.sqrt((1 + echo) / (1 - echo)),
        "plain_sharpe": plain,
        "sortino": np.sqrt(365) * mean / downside,
    }
    for _ in range(600):
        noise = rng.normal(0, 0.01, 395)
        for place in range(1, 395):
            noise[place] += echo * noise[place - 1]
        found = measure(*by_days(mean + noise[30:]), resamples=400)
        for name, truth in truths.items():
            estimate = getattr(found, name)
            held[name] += estimate.low <= truth <= estimate.high
    assert all(0.925 <= count / 600 <= 0.975 for count in held.values()), held


def test_groups_add_up_and_stand_over_the_same_days() -> None:
    trades = history(2, 90)
    span = span_of(trades, CAPITAL)
    whole = measure(trades, span, resamples=0)
    for key in KEYS.values():
        groups = measure_by(trades, span, key, resamples=0)
        assert sum(group.trades for group in groups.values()) == 90
        assert sum(group.pnl_usd.value for group in groups.values()) == pytest.approx(whole.pnl_usd.value)
        assert {group.days for group in groups.values()} == {span.days}
    assert set(measure_by(trades, span, KEYS["period"], resamples=0)) == {"2026-01"}


def test_what_cannot_be_said_has_no_value() -> None:
    span = Span(date(2026, 1, 1), date(2026, 3, 1), CAPITAL)
    nothing = measure([], span)
    assert all(
        getattr(nothing, field.name).value is None
        for field in fields(nothing)
        if isinstance(getattr(nothing, field.name), Estimate) and field.name != "exposure_fraction"
    )
    winners = measure([closed(number, 100.0) for number in range(40)], span)
    assert winners.profit_factor.value is None
    assert winners.sortino.value is None
    assert winners.calmar.value is None
    assert winners.max_drawdown_percent.value == 0
    few = measure([closed(0, 100.0), closed(6, -50.0)], Span(date(2026, 1, 1), date(2026, 1, 3), CAPITAL))
    assert few.sharpe.value is None
    assert few.max_drawdown_percent.value == pytest.approx(100 * 50 / 100_100)
    assert few.max_drawdown_percent.method is Method.RANGE
    with pytest.raises(CrpbotError, match="no span to measure"):
        span_of([], CAPITAL)


def test_an_account_that_lost_all_stays_at_nothing() -> None:
    trades = [closed(0, -60_000.0), closed(6, -60_000.0), closed(12, 5_000.0)]
    span = Span(date(2026, 1, 1), date(2026, 2, 1), CAPITAL)
    found = measure(trades, span)
    assert daily_returns(trades, span)[:4].tolist() == pytest.approx([-0.6, -1.0, 0.0, 0.0])
    assert found.max_drawdown_percent.value == pytest.approx(100)
    assert found.calmar.value == pytest.approx(-1)


def test_exposure_counts_time_once_however_many_trades_are_open() -> None:
    at = FIRST + timedelta(hours=22)
    one = closed(0, 1.0, opened_at=at, closed_at=at + timedelta(hours=4))
    inside = closed(1, 1.0, opened_at=at + timedelta(hours=1), closed_at=at + timedelta(hours=3))
    later = closed(2, 1.0, opened_at=at + timedelta(hours=3), closed_at=at + timedelta(hours=5))
    span = Span(date(2026, 1, 1), date(2026, 1, 2), CAPITAL)
    assert daily_exposure([one, inside, later], span).tolist() == pytest.approx([2 / 24, 3 / 24])


def decided(day: int, direction: Direction) -> Decided:
    return Decided(FIRST + timedelta(days=day), "BTC-USD", Strategy.V7, None, None, direction, 0.5)


def test_the_share_of_holds_is_drawn_by_days() -> None:
    rows = [
        decided(day, Direction.HOLD if (day + place) % 4 else Direction.BUY) for day in range(30) for place in range(8)
    ]
    found = estimate_hold_share(rows)
    assert found.value == 0.75
    assert found.low <= 0.75 <= found.high
    assert estimate_hold_share([]).value is None
    assert estimate_hold_share(rows[:5]).low is None
    for key in DECISION_KEYS.values():
        found = estimate_hold_share_by(rows, key)
        assert sum(group.n for group in found.values()) == len(rows)


def test_confidence_is_that_of_signals_that_say_buy_or_sell() -> None:
    rows = [replace(decided(day, Direction.BUY), confidence=0.6 + 0.01 * (day % 11)) for day in range(44)]
    found = estimate_confidence([*rows, decided(50, Direction.HOLD)])
    assert found.value == pytest.approx(0.65)
    assert found.low < 0.65 < found.high
    assert estimate_confidence([decided(1, Direction.HOLD)]).value is None
    assert estimate_confidence(rows[:3]).low is None


def test_an_interval_with_too_few_known_draws_is_none() -> None:
    draws = np.where(np.arange(100) < 20, np.nan, 1.0)
    assert percentile_interval(draws, 50.0) is None


def test_wrong_trades_and_spans_are_refused() -> None:
    with pytest.raises(CrpbotError, match="outside 2026-02-01"):
        measure([closed(0, 1.0)], Span(date(2026, 2, 1), date(2026, 2, 2), CAPITAL))
    with pytest.raises(CrpbotError, match="in order and up to"):
        Span(date(2026, 2, 2), date(2026, 2, 1), CAPITAL)
    with pytest.raises(CrpbotError, match="capital: is 0"):
        Span(date(2026, 2, 1), date(2026, 2, 1), Decimal(0))
    with pytest.raises(CrpbotError, match="numbers are needed"):
        replace(closed(0, 1.0), pnl=Decimal("NaN"))
    with pytest.raises(CrpbotError, match="in order, with time zones"):
        closed(0, 1.0, closed_at=FIRST - timedelta(days=9))
