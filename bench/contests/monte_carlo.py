"""Simulated paths and the risk of the next candle beside arch: its fit, its simulation and its stationary bootstrap."""

from __future__ import annotations

import numpy as np
from arch import arch_model
from arch.bootstrap import StationaryBootstrap

from bench.contest import Contest
from core.analyzers import monte_carlo
from core.market import Windows

# A row takes as long in a batch as alone: a few tell it.
SIMULATED = 8


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    returns = 100.0 * single.log_returns()[0]
    few = batch.rows(range(SIMULATED))
    many, one = (windows.log_returns() for windows in (batch, single))
    drifts = np.zeros(len(batch))

    def fit() -> object:
        return arch_model(returns, dist="t").fit(disp="off", show_warning=False)

    def fit_and_simulate() -> object:
        fitted = arch_model(returns, dist="t").fit(disp="off", show_warning=False)
        return fitted.forecast(horizon=monte_carlo.HORIZON, method="bootstrap", simulations=monte_carlo.PATHS)

    def bootstrap() -> object:
        drawn = StationaryBootstrap(20, returns, seed=1).bootstrap(monte_carlo.PATHS)
        return [data[0][0][: monte_carlo.HORIZON].sum() for data in drawn]

    return [
        Contest(
            name="10,000 x 96, filtered",
            batch=lambda: monte_carlo.analyze(few),
            windows=SIMULATED,
            single=lambda: monte_carlo.analyze(single),
            library_name="arch, fit and simulation",
            library=fit_and_simulate,
            goal=25.0,
        ),
        Contest(
            name="10,000 x 96, bootstrap",
            batch=lambda: monte_carlo.analyze(few, "bootstrap"),
            windows=SIMULATED,
            single=lambda: monte_carlo.analyze(single, "bootstrap"),
            library_name="arch StationaryBootstrap",
            library=bootstrap,
            goal=7.0,
            serves=False,
        ),
        Contest(
            name="risk of the next candle",
            batch=lambda: monte_carlo.next_losses(monte_carlo.fit_law(many), drifts),
            windows=len(batch),
            single=lambda: monte_carlo.next_losses(monte_carlo.fit_law(one), drifts[:1]),
            library_name="arch, GARCH-t",
            library=fit,
            goal=25.0,
            serves=False,
        ),
    ]
