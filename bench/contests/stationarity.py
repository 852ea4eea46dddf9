"""Both tests and the half-life beside the two tests of statsmodels; each kernel beside its own."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
from statsmodels.tsa.stattools import adfuller, kpss

from bench.contest import Contest
from core.analyzers import stationarity
from core.kernels import lags
from core.market import Floats, Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    levels, level = np.log(batch.close), np.log(single.close)
    row = level[0]
    fuller = partial(adfuller, row, regression="c", autolag="AIC", result_object=True)
    return [
        Contest(
            name="both tests and half-life",
            batch=lambda: stationarity.analyze(batch),
            windows=len(batch),
            single=lambda: stationarity.analyze(single),
            library_name="adfuller + kpss",
            library=lambda: (fuller(), quiet_kpss(row)),
            goal=20.0,
        ),
        Contest(
            name="Dickey-Fuller alone",
            batch=lambda: dickey_fuller(levels),
            windows=len(batch),
            single=lambda: dickey_fuller(level),
            library_name="adfuller",
            library=fuller,
            goal=20.0,
            serves=False,
        ),
        Contest(
            name="KPSS alone",
            batch=lambda: level_test(levels),
            windows=len(batch),
            single=lambda: level_test(level),
            library_name="kpss",
            library=lambda: quiet_kpss(row),
            goal=2.0,
            serves=False,
        ),
    ]


def dickey_fuller(levels: Floats) -> None:
    """The statistics of the rows."""
    lags.dickey_fuller(levels, 18, (stationarity.ROUNDING, stationarity.DEPENDENT), np.empty((5, len(levels))))


def level_test(levels: Floats) -> None:
    """The statistics of the rows."""
    size = levels.shape[1]
    bandwidth = (int(size ** (2.0 / 9.0)), 1.1447 * size ** (1.0 / 3.0))
    lags.kpss(levels, stationarity.ROUNDING, bandwidth, np.empty((3, len(levels))))


def quiet_kpss(row: Floats) -> object:
    """The library's test without its warning that the p-value is at the end of the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kpss(row, regression="c", nlags="auto", result_object=True)
