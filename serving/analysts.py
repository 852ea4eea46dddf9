"""One deployment class for any group of theories: a process that computes what it is asked, in one coarse call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.adapters.fits import FitFolder
from core.analysis import Findings
from core.market import COLUMNS, Windows
from core.panel import compute, warm_up
from serving.ray_private import listen_on_node_address_only

WARM_LENGTH = 500


class Analyst:
    """A replica. It holds no state of its own: a call can be repeated on another replica with the same result."""

    def __init__(self, theories: Sequence[str], fits: Path) -> None:
        listen_on_node_address_only()
        warm_up(samples(), theories)
        self._fits = FitFolder(fits)
        self._fits.library()

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float
    ) -> list[list[Findings]]:
        """For each batch and row, what the theories found. The deadline is checked between theories."""
        deadline = time.monotonic() + timeout_seconds
        return compute(batches, theories, lambda: deadline - time.monotonic(), self._fits.library())


def samples() -> list[Windows]:
    """Small windows to warm up on: one row and several, because kernels may be compiled for each."""
    return [_sample(1), _sample(2)]


def _sample(rows: int) -> Windows:
    """A small window to warm up on; its shape matters, its prices do not."""
    steps = np.random.default_rng(0).normal(0.0, 0.001, (rows, WARM_LENGTH))
    close = 100.0 * np.exp(np.cumsum(steps, axis=1))
    block = np.stack([close] * len(COLUMNS))
    times = np.tile(300_000 * np.arange(WARM_LENGTH, dtype=np.int64), (rows, 1))
    return Windows(("BTC-USD",) * rows, "5m", times, block)
