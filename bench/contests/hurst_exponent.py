"""The four Hurst numbers beside one of antropy. nolds does not install on Python 3.11 with current tools."""

from __future__ import annotations

import antropy

from bench.contest import Contest
from core.analyzers import hurst_exponent
from core.market import Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    returns = single.log_returns()[0]
    return [
        Contest(
            name="all four",
            batch=lambda: hurst_exponent.analyze(batch),
            windows=len(batch),
            single=lambda: hurst_exponent.analyze(single),
            library_name="antropy DFA",
            library=lambda: antropy.detrended_fluctuation(returns),
            goal=5.0,
        )
    ]
