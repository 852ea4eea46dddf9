"""The posterior of a win rate beside SciPy's distribution, which gives mean, interval and one probability a call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.stats

from bench.contest import Contest
from core.analyzers import bayesian_win_rate
from core.market import Record, Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone; each gets a record of up to 600 trades."""
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 300, (2, len(batch))).astype(np.float64)
    record = Record(counts[0], counts[1], rng.uniform(0.4, 0.6, len(batch)))
    many = replace(batch, record=record)
    one = replace(single, record=Record(*(column[:1] for column in record)))
    wins, losses, break_even = (float(column[0]) for column in record)

    # Freezing the law first costs more than these three calls together.
    def library() -> object:
        law, alpha, beta = scipy.stats.beta, 1.0 + wins, 1.0 + losses
        return law.mean(alpha, beta), law.ppf([0.025, 0.975], alpha, beta), law.sf(break_even, alpha, beta)

    return [
        Contest(
            name="posterior",
            batch=lambda: bayesian_win_rate.analyze(many),
            windows=len(batch),
            single=lambda: bayesian_win_rate.analyze(one),
            library_name="scipy.stats.beta",
            library=library,
            goal=20.0,
        )
    ]
