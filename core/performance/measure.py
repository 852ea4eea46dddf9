"""What closed trades amount to: every statistic with its interval and the number of trades that it rests on.

Of trades, in the order of their closings: win rate wins / (wins + losses), exact; profit, expectancy (mean result) and
profit factor (gains over losses), by block bootstrap.

Of days, from the equity at midnight UTC over the span, with r the n daily returns and 365 days a year:

- `sharpe` = sqrt(365) mean / deviation / sqrt(c), c = 1 + 2 (sum of all autocorrelations) from the autoregression of
  the least Bayesian criterion (Lo); `plain_sharpe` has c = 1; `sortino` has sqrt(mean(min(r, 0)^2)) for the deviation.
- `max_drawdown_percent` is the deepest fall of the equity from a peak, `drawdown_days` how long until that peak was
  regained (or until the end); `calmar` = yearly growth / deepest fall.
- `exposure_fraction` is the share of time with at least one trade in the market.

Their intervals come from days drawn anew in blocks. Below MIN_DAYS days, or without any loss where one is divided by,
there is no value: a Sharpe ratio of three days is no number. A fall and its length are given with the range that the
same days reach in another order; such a range shows what was luck, but what a longer time brings lies beyond it.

Sources: Lo 2002, doi 10.2469/faj.v58.n4.2453; Sortino and Price 1994, doi 10.3905/joi.3.3.59; Young 1991 (Calmar).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import ClassVar, Final, NamedTuple

import numpy as np

from core.kernels.risk import drawdown, moments
from core.market import Floats
from core.performance.bootstrap import (
    FEWEST,
    RESAMPLES,
    Draws,
    draw_means,
    draw_paths,
    estimate_of,
    percentile_interval,
    rate_interval,
)
from core.performance.sample import (
    ClosedTrade,
    Estimate,
    Method,
    Span,
    daily_exposure,
    daily_returns,
)
from core.risk.booking import Outcome
from core.trade import STRICT

DAYS_A_YEAR: Final = 365  # coins trade always
MIN_DAYS: Final = 20
# A standard deviation of the returns below this is rounding.
ROUNDING: Final = 1e-12
# Echoes of more than five days cost more noise than the correction is worth.
LARGEST_ORDER: Final = 5


@dataclass(frozen=True, slots=True)
class Performance:
    """Every statistic of some trades over a span of days."""

    __pydantic_config__: ClassVar = STRICT
    trades: int
    wins: int
    losses: int
    breakevens: int
    days: int
    win_rate: Estimate
    pnl_usd: Estimate
    expectancy_usd: Estimate
    expectancy_percent: Estimate
    profit_factor: Estimate
    sharpe: Estimate
    plain_sharpe: Estimate
    sortino: Estimate
    calmar: Estimate
    max_drawdown_percent: Estimate
    drawdown_days: Estimate
    exposure_fraction: Estimate


class _Ratios(NamedTuple):
    """Daily statistics of B series. Every column is (B,), NaN where it cannot be said."""

    sharpe: Floats
    plain_sharpe: Floats
    sortino: Floats
    calmar: Floats
    max_drawdown_percent: Floats
    drawdown_days: Floats


def measure(trades: Sequence[ClosedTrade], span: Span, *, resamples: int = RESAMPLES) -> Performance:
    """Every statistic of trades that closed within the span; 0 resamples leave out the bootstrapped intervals."""
    ordered = sorted(trades, key=lambda trade: (trade.closed_at, trade.id))
    wins = sum(trade.outcome is Outcome.WIN for trade in ordered)
    losses = sum(trade.outcome is Outcome.LOSS for trade in ordered)
    return Performance(
        trades=len(ordered),
        wins=wins,
        losses=losses,
        breakevens=len(ordered) - wins - losses,
        days=span.days,
        win_rate=estimate_rate(wins, wins + losses),
        **_of_trades(ordered, resamples),
        **_of_days(ordered, span, resamples),
        exposure_fraction=_exposure(ordered, span, resamples),
    )


def measure_by(
    trades: Sequence[ClosedTrade],
    span: Span,
    key: Callable[[ClosedTrade], Hashable],
    *,
    resamples: int = RESAMPLES,
) -> dict[Hashable, Performance]:
    """The same for each group of trades, all over the same days and capital, so that they can be compared."""
    groups: dict[Hashable, list[ClosedTrade]] = {}
    for trade in trades:
        groups.setdefault(key(trade), []).append(trade)
    return {group: measure(members, span, resamples=resamples) for group, members in groups.items()}


KEYS: Final[dict[str, Callable[[ClosedTrade], Hashable]]] = {
    "symbol": lambda trade: trade.symbol,
    "variant": lambda trade: None if trade.variant is None else trade.variant.value,
    "tier": lambda trade: None if trade.tier is None else trade.tier.value,
    "strategy": lambda trade: trade.strategy.value,
    "direction": lambda trade: trade.direction.value,
    "period": lambda trade: f"{trade.closed_at.astimezone(UTC):%Y-%m}",
}


def estimate_rate(hits: int, n: int) -> Estimate:
    """A share of n with its exact interval; without any there is no value."""
    if n == 0:
        return Estimate(None, None, None, 0, Method.EXACT)
    return Estimate(hits / n, *rate_interval(hits, n), n, Method.EXACT)


def _of_trades(trades: Sequence[ClosedTrade], resamples: int) -> dict[str, Estimate]:
    n = len(trades)
    pnl = np.array([float(trade.pnl) for trade in trades])
    percents = np.array([trade.pnl_percent for trade in trades])
    table = np.column_stack([np.maximum(pnl, 0.0), np.maximum(-pnl, 0.0), percents])
    observed = _of_means(table.mean(axis=0, keepdims=True), n) if n else {}
    drawn: dict[str, Draws] = {}
    if resamples and n >= FEWEST:
        means, blocks = draw_means(table, resamples=resamples)
        drawn = {name: Draws(values, blocks) for name, values in _of_means(means, n).items()}
    names = ("pnl_usd", "expectancy_usd", "expectancy_percent", "profit_factor")
    return {name: _pair(observed.get(name), drawn.get(name), n) for name in names}


def _of_means(means: Floats, n: int) -> dict[str, Floats]:
    gains, losses, percent = means.T
    factor = np.divide(gains, losses, out=np.full(len(gains), np.nan), where=losses > 0.0)
    net = gains - losses
    return {
        "pnl_usd": n * net,
        "expectancy_usd": net,
        "expectancy_percent": percent,
        "profit_factor": factor,
    }


def _of_days(trades: Sequence[ClosedTrade], span: Span, resamples: int) -> dict[str, Estimate]:
    returns = daily_returns(trades, span)
    n = len(trades)
    enough = len(returns) >= MIN_DAYS and n > 0
    observed = _ratios(returns[None, :])
    drawn: dict[str, Draws] = {}
    if resamples and enough:
        paths, blocks = draw_paths(returns, resamples=resamples)
        drawn = {name: Draws(values, blocks) for name, values in _ratios(paths)._asdict().items()}
    found: dict[str, Estimate] = {}
    for name, column in observed._asdict().items():
        is_range = name in {"max_drawdown_percent", "drawdown_days"}
        method = Method.RANGE if is_range else Method.BOOTSTRAP
        # a fall is a fact of however few days, a ratio is not
        found[name] = _pair(column if n and (enough or is_range) else None, drawn.get(name), n, method=method)
    return found


def _ratios(returns: Floats) -> _Ratios:
    """Shape: (B, days) -> (B,) each."""
    days = returns.shape[1]
    year = math.sqrt(DAYS_A_YEAR)
    mean, deviation, _, _, downside, echo = moments(np.ascontiguousarray(returns), ROUNDING, LARGEST_ORDER)
    equity = np.concatenate([np.ones((len(returns), 1)), np.cumprod(1.0 + returns, axis=1)], axis=1)
    lost = equity.min(axis=1) <= 0.0
    deepest, length, _ = drawdown(np.maximum(equity, 1e-300))
    with np.errstate(over="ignore"):  # a few days of large gains, taken to a year, may pass every number
        growth = np.where(lost, -1.0, np.maximum(equity[:, -1], 0.0) ** (DAYS_A_YEAR / days) - 1.0)
    plain = year * mean / deviation
    return _Ratios(
        sharpe=plain / np.sqrt(echo),
        plain_sharpe=plain,
        sortino=np.divide(year * mean, downside, out=np.full(len(mean), np.nan), where=downside > ROUNDING),
        calmar=np.divide(growth, deepest, out=np.full(len(mean), np.nan), where=deepest > ROUNDING),
        max_drawdown_percent=100.0 * deepest,
        drawdown_days=length,
    )


def _exposure(trades: Sequence[ClosedTrade], span: Span, resamples: int) -> Estimate:
    shares = daily_exposure(trades, span)
    interval = None
    if resamples and len(shares) >= MIN_DAYS:
        means, blocks = draw_means(shares[:, None], resamples=resamples)
        interval = percentile_interval(means[:, 0], blocks)
    return estimate_of(float(shares.mean()), interval, len(trades))


def _pair(observed: Floats | None, drawn: Draws | None, n: int, *, method: Method = Method.BOOTSTRAP) -> Estimate:
    value = None if observed is None or not np.isfinite(observed[0]) else float(observed[0])
    return estimate_of(value, None if drawn is None else percentile_interval(*drawn), n, method=method)
