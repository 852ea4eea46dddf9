"""All ratios, tests and volatilities beside one ratio of arch, and each test beside that of its library."""

from __future__ import annotations

import numpy as np
import scipy.stats
from arch.unitroot import VarianceRatio
from statsmodels.stats.diagnostic import het_arch

from bench.contest import Contest
from core.analyzers import variance_tests
from core.kernels import lags
from core.kernels.scaling import standardise
from core.market import Floats, Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    levels = np.log(single.close[0])
    returns = np.diff(levels)
    values, value = (standardise(windows.log_returns(), variance_tests.ROUNDING)[0] for windows in (batch, single))
    start = len(returns) // 2

    def clusters() -> object:
        return het_arch(returns - returns.mean(), nlags=variance_tests.ARCH_LAGS, result_object=True)

    def change() -> object:
        return scipy.stats.levene(returns[:start], returns[start:], center="median")

    def ratios() -> list[float]:
        return [VarianceRatio(levels, lags=span).stat for span in variance_tests.HORIZONS]

    return [
        Contest(
            name="everything",
            batch=lambda: variance_tests.analyze(batch),
            windows=len(batch),
            single=lambda: variance_tests.analyze(single),
            library_name="arch + het_arch + levene",
            library=lambda: (ratios(), clusters(), change()),
            goal=5.0,
        ),
        Contest(
            name="everything",
            batch=lambda: variance_tests.analyze(batch),
            windows=len(batch),
            single=lambda: variance_tests.analyze(single),
            library_name="levene alone",
            library=change,
            goal=5.0,
            serves=False,
        ),
        Contest(
            name="four ratios",
            batch=lambda: four_ratios(values),
            windows=len(batch),
            single=lambda: four_ratios(value),
            library_name="arch, one ratio",
            library=lambda: VarianceRatio(levels, lags=4).stat,
            goal=5.0,
            serves=False,
        ),
        Contest(
            name="Engle's test",
            batch=lambda: lags.arch_effect(values, variance_tests.ARCH_LAGS, variance_tests.DEPENDENT),
            windows=len(batch),
            single=lambda: lags.arch_effect(value, variance_tests.ARCH_LAGS, variance_tests.DEPENDENT),
            library_name="het_arch",
            library=clusters,
            goal=5.0,
            serves=False,
        ),
    ]


def four_ratios(values: Floats) -> None:
    """Ratios and scores of the rows."""
    ratios, scores = np.empty((2, len(variance_tests.HORIZONS), len(values)))
    lags.variance_ratios(values, variance_tests.HORIZONS, ratios, scores)
