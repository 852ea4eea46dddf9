"""The three entropies beside antropy's one and SciPy's."""

from __future__ import annotations

import antropy
import numpy as np
import scipy.stats

from bench.contest import Contest
from core.analyzers import shannon_entropy
from core.market import Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    returns = single.log_returns()[0]
    counts = np.histogram(returns, bins=16)[0]
    weights = shannon_entropy.grassberger_weights(len(returns))

    def histogram() -> object:
        low, middle, high = np.percentile(returns, [25, 50, 75])
        deviation = (high - low) / 1.349
        edges = middle + deviation * np.concatenate([[-np.inf], 0.5 * np.arange(-7, 8), [np.inf]])
        return scipy.stats.entropy(np.histogram(returns, bins=edges)[0])

    def count() -> object:
        return shannon_entropy.count_entropy(counts, weights)

    def compete(library_name: str, library, goal: float) -> Contest:
        return Contest(
            name="all three",
            batch=lambda: shannon_entropy.analyze(batch),
            windows=len(batch),
            single=lambda: shannon_entropy.analyze(single),
            library_name=library_name,
            library=library,
            goal=goal,
        )

    return [
        compete("antropy.perm_entropy", lambda: antropy.perm_entropy(returns, order=3, normalize=True), 5.0),
        compete("numpy histogram + scipy entropy", histogram, 50.0),
        Contest("16 counts", count, 1, count, "scipy.stats.entropy", lambda: scipy.stats.entropy(counts), 50.0, False),
    ]
