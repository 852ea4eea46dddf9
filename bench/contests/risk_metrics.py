"""All risk numbers beside five of empyrical, the same five of quantstats, and the volatility model of arch alone."""

from __future__ import annotations

import warnings
from functools import partial

import empyrical
import pandas as pd
from arch import arch_model

from bench.contest import Contest
from core.analyzers import risk_metrics
from core.market import Windows, interval_seconds


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its own plots when imported
        import quantstats.stats

    prices = single.close[0]
    returns = prices[1:] / prices[:-1] - 1.0
    year = int(risk_metrics.SECONDS_A_YEAR / interval_seconds(single.interval))
    dated = pd.Series(returns, index=pd.to_datetime(single.open_times[0, 1:], unit="ms"))

    def five_of_empyrical() -> object:
        return (
            empyrical.sharpe_ratio(returns, annualization=year),
            empyrical.sortino_ratio(returns, annualization=year),
            empyrical.max_drawdown(returns),
            empyrical.value_at_risk(returns),
            empyrical.conditional_value_at_risk(returns),
        )

    def five_of_quantstats() -> object:
        return (
            quantstats.stats.sharpe(dated, periods=year),
            quantstats.stats.sortino(dated, periods=year),
            quantstats.stats.max_drawdown(dated),
            quantstats.stats.value_at_risk(dated),
            quantstats.stats.conditional_value_at_risk(dated),
        )

    def volatility_of_arch() -> object:
        return arch_model(100.0 * returns, dist="t").fit(disp="off", show_warning=False)

    ours = partial(
        Contest,
        batch=lambda: risk_metrics.analyze(batch),
        windows=len(batch),
        single=lambda: risk_metrics.analyze(single),
    )
    return [
        ours(name="all numbers", library_name="empyrical, five", library=five_of_empyrical, goal=1.0),
        ours(name="all", library_name="quantstats, five", library=five_of_quantstats, goal=20.0, serves=False),
        ours(name="all", library_name="arch, GARCH-t", library=volatility_of_arch, goal=25.0, serves=False),
    ]
