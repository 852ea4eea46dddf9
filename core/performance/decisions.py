"""What decisions say before anything is traded: how many are HOLD, and how sure those are that went out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC
from typing import Final

import numpy as np

from core.performance.bootstrap import FEWEST, draw_means, estimate_of, percentile_interval
from core.performance.sample import Decided, Estimate, Method
from core.trade import Direction

DECISION_KEYS: Final[dict[str, Callable[[Decided], Hashable]]] = {
    "symbol": lambda decision: decision.symbol,
    "variant": lambda decision: None if decision.variant is None else decision.variant.value,
    "tier": lambda decision: None if decision.tier is None else decision.tier.value,
    "strategy": lambda decision: decision.strategy.value,
    "period": lambda decision: f"{decision.at.astimezone(UTC):%Y-%m}",
}


def estimate_hold_share(decisions: Sequence[Decided]) -> Estimate:
    """The share of decisions that say HOLD. Those of one day are alike, so whole days are drawn anew."""
    n = len(decisions)
    if n == 0:
        return Estimate(None, None, None, 0, Method.BOOTSTRAP)
    days: dict[object, list[int]] = {}
    for decision in sorted(decisions, key=lambda each: each.at):
        counts = days.setdefault(decision.at.astimezone(UTC).date(), [0, 0])
        counts[0] += decision.direction is Direction.HOLD
        counts[1] += 1
    table = np.array(list(days.values()), dtype=np.float64)
    interval = None
    if len(table) >= FEWEST:
        means, blocks = draw_means(table)
        interval = percentile_interval(means[:, 0] / means[:, 1], blocks)
    return estimate_of(float(table[:, 0].sum()) / n, interval, n)


def estimate_hold_share_by(
    decisions: Sequence[Decided], key: Callable[[Decided], Hashable]
) -> dict[Hashable, Estimate]:
    """The same for each group of decisions."""
    groups: dict[Hashable, list[Decided]] = {}
    for decision in decisions:
        groups.setdefault(key(decision), []).append(decision)
    return {group: estimate_hold_share(members) for group, members in groups.items()}


def estimate_confidence(decisions: Sequence[Decided]) -> Estimate:
    """The mean confidence of those that say BUY or SELL, in the order in which they were made."""
    found = [each.confidence for each in sorted(decisions, key=_order) if each.direction is not Direction.HOLD]
    n = len(found)
    if n == 0:
        return Estimate(None, None, None, 0, Method.BOOTSTRAP)
    # above the first, so that equal ones have exactly their own mean and not one that rounding moved
    first = found[0]
    values = np.array(found)[:, None] - first
    interval = None
    if n >= FEWEST:
        means, blocks = draw_means(values)
        interval = percentile_interval(first + means[:, 0], blocks)
    return estimate_of(first + float(values.mean()), interval, n)


def _order(decision: Decided) -> tuple[float, str, str]:
    return decision.at.timestamp(), decision.symbol, decision.strategy.value
