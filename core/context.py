"""What the whole market did, as facts that were known at an instant, and how windows get them without looking ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.market import Context, Instants


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of the whole market at one instant. NaN where a fact is unknown; at least one is known."""

    cap_change_percent: float  # total market capitalisation over 24 hours
    dominance_percent: float  # Bitcoin's share of it
    breadth_fraction: float  # share of the followed coins that rose over 24 hours
    fear_greed: float  # 0 extreme fear .. 100 extreme greed
    fetched_at_ms: int  # when the oldest of the known ones was fetched


def join_facts(known: Sequence[Facts | None], as_of: Instants) -> Context:
    """The columns that theories read: for each window the facts known at its end, and their age then.

    Facts fetched after a window's end are not for it: its row is NaN, as where nothing was known.
    Shape: B facts, (B,) instants -> (B,) for every column.
    """
    rows = np.full((len(Context._fields), len(known)), np.nan)
    for row, (facts, end) in enumerate(zip(known, as_of.tolist(), strict=True)):
        if facts is not None and facts.fetched_at_ms <= end:
            rows[:, row] = (
                facts.cap_change_percent,
                facts.dominance_percent,
                facts.breadth_fraction,
                facts.fear_greed,
                (end - facts.fetched_at_ms) / 1_000,
            )
    return Context(*rows)
