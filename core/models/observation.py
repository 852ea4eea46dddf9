"""What the execution agent sees: the market's inputs, its position, its open result and what the day may still lose.

Training and serving make it here, so that an agent never acts on numbers other than those it learned from. The scaled
inputs are cut at LIMIT standard deviations: a spike that training never showed would else decide alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.features import FEATURES

ACCOUNT: Final = ("position", "unrealised_per_mille", "headroom")
"""-1 short, 0 flat, 1 long; the open trade's move since its entry, in its favour above 0, in thousandths of the entry;
the share of the day's allowed loss that is left: 1 untouched, 0 at the limit."""
OBSERVATIONS: Final = len(FEATURES) + len(ACCOUNT)
ACTIONS: Final = ("short", "flat", "long")
LIMIT: Final = 10.0

Observations = NDArray[np.float32]


def observe(
    features: NDArray[np.float32],
    position: NDArray[np.float64],
    unrealised: NDArray[np.float64],
    headroom: NDArray[np.float64],
    *,
    out: Observations | None = None,
) -> Observations:
    """One row for each account. `unrealised` is a fraction of the entry price, `headroom` one of the allowed loss.

    Shape: (B, 31), (B,), (B,), (B,) -> (B, 34) float32, within -10 .. 10; `out` is written and returned if given.
    """
    rows, width = features.shape
    if width != len(FEATURES):
        raise invalid("features", f"has {width} columns, an agent reads {len(FEATURES)}")
    seen = np.empty((rows, OBSERVATIONS), dtype=np.float32) if out is None else out
    seen[:, :width] = features
    seen[:, width] = position
    seen[:, width + 1] = 1_000.0 * unrealised
    seen[:, width + 2] = headroom
    return np.clip(seen, -LIMIT, LIMIT, out=seen)


def observe_flat(features: NDArray[np.float32]) -> Observations:
    """What an account without position and without loss sees: the state in which the agent is asked for a forecast.

    Shape: (B, 31) -> (B, 34).
    """
    nothing = np.zeros(len(features))
    return observe(features, nothing, nothing, nothing + 1.0)
