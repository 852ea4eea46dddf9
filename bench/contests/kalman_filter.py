"""The Kalman filter beside statsmodels, whole fit and filter alone, and beside filterpy."""

from __future__ import annotations

import warnings

import numpy as np
from filterpy.kalman import KalmanFilter
from statsmodels.tsa.statespace.structural import UnobservedComponents

from bench.contest import Contest
from core.analyzers import kalman_filter
from core.market import Windows

# Level and noise of the filters alone, where no variance is sought.
OWN, NOISE = 1.0, 0.5


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    logs = np.log(single.close[0] / single.close[0, 0])
    values = logs / np.diff(logs).std()
    all_logs = np.log(batch.close / batch.close[:, :1])
    all_values = all_logs / np.diff(all_logs, axis=1).std(axis=1, keepdims=True)
    steps = np.zeros((values.size, 2))
    model = UnobservedComponents(values, "llevel", use_exact_diffuse=True)
    model.update([NOISE, OWN])

    def fit() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return UnobservedComponents(values, "llevel", use_exact_diffuse=True).fit(disp=0)

    def other_filter() -> object:
        other = KalmanFilter(dim_x=1, dim_z=1)
        other.x, other.P = values[:1, None].copy(), np.array([[NOISE]])
        other.F, other.H, other.Q, other.R = np.eye(1), np.eye(1), np.array([[OWN]]), np.array([[NOISE]])
        return other.batch_filter(values[1:])

    def filter_all() -> object:
        return [kalman_filter.local_level(row, OWN, NOISE, steps) for row in all_values]

    def filter_one() -> object:
        return kalman_filter.local_level(values, OWN, NOISE, steps)

    return [
        Contest(
            name="fit, level, slope, errors",
            batch=lambda: kalman_filter.analyze(batch),
            windows=len(batch),
            single=lambda: kalman_filter.analyze(single),
            library_name="UnobservedComponents.fit",
            library=fit,
            goal=20.0,
        ),
        Contest(
            name="filter alone",
            batch=filter_all,
            windows=len(batch),
            single=filter_one,
            library_name="statsmodels ssm.filter",
            library=model.ssm.filter,
            goal=100.0,
            serves=False,
        ),
        Contest(
            name="filter alone",
            batch=filter_all,
            windows=len(batch),
            single=filter_one,
            library_name="filterpy batch_filter",
            library=other_filter,
            goal=500.0,
            serves=False,
        ),
    ]
