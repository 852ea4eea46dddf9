"""Both tests of autocorrelation beside the one of statsmodels."""

from __future__ import annotations

from statsmodels.stats.diagnostic import acorr_ljungbox

from bench.contest import Contest
from core.analyzers import autocorrelation
from core.market import Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    returns = single.log_returns()[0]
    return [
        Contest(
            name="both tests",
            batch=lambda: autocorrelation.analyze(batch),
            windows=len(batch),
            single=lambda: autocorrelation.analyze(single),
            library_name="acorr_ljungbox",
            library=lambda: acorr_ljungbox(returns, lags=[20]),
            goal=10.0,
        )
    ]
