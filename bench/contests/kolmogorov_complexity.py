"""Both complexities, with their chances, beside the one count of antropy.

antropy reads another window at each call, as the batch does: told the same string over and over, the processor learns
its branches by heart and antropy's search looks three times as fast as it is on markets.
"""

from __future__ import annotations

from itertools import cycle

import antropy
import numpy as np

from bench.contest import Contest
from core.analyzers import kolmogorov_complexity
from core.market import Windows

STRINGS = 200


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    returns = batch.log_returns()[:STRINGS]
    middles = np.median(returns, axis=1, keepdims=True)
    strings = cycle(list((returns > middles).astype(np.uint32)))
    return [
        Contest(
            name="both numbers",
            batch=lambda: kolmogorov_complexity.analyze(batch),
            windows=len(batch),
            single=lambda: kolmogorov_complexity.analyze(single),
            library_name="antropy.lziv_complexity",
            library=lambda: antropy.lziv_complexity(next(strings), normalize=True),
            goal=5.0,
        )
    ]
