"""The dimension with interval and chance, and Higuchi's, beside Higuchi's alone.

The goal is 15 microseconds a window. antropy's Higuchi takes 2.8 on an idle processor and errs half as much again: no
accurate estimate is that fast, so the ratio asked for, 2.8 / 15, is what keeps to the goal.
"""

from __future__ import annotations

import antropy
import numpy as np

from bench.contest import Contest
from core.analyzers import fractal_dimension
from core.market import Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    path = np.ascontiguousarray(np.log(single.close[0]))
    return [
        Contest(
            name="both dimensions",
            batch=lambda: fractal_dimension.analyze(batch),
            windows=len(batch),
            single=lambda: fractal_dimension.analyze(single),
            library_name="antropy.higuchi_fd",
            library=lambda: antropy.higuchi_fd(path),
            goal=0.19,
        )
    ]
