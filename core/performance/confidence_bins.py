"""What was said against what came: of trades of like confidence the share that won, with its exact interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from core.performance.measure import estimate_rate
from core.performance.sample import ClosedTrade, Estimate
from core.risk.booking import Outcome
from core.trade import STRICT

WIDTH: Final = 0.05  # of confidence: narrower bins would hold too few trades


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Trades of like confidence: from where on, what was said on average, and the share that won."""

    __pydantic_config__: ClassVar = STRICT
    low: float
    mean: float
    won: Estimate


def confidence_bins(closed: Sequence[ClosedTrade]) -> tuple[ConfidenceBin, ...]:
    """Wins and losses in bins of confidence, the lowest first; a bin without a trade is not there."""
    groups: dict[int, list[ClosedTrade]] = {}
    for trade in closed:
        if trade.outcome in {Outcome.WIN, Outcome.LOSS}:
            groups.setdefault(int(trade.confidence / WIDTH + 1e-9), []).append(trade)
    return tuple(
        ConfidenceBin(
            place * WIDTH,
            sum(each.confidence for each in members) / len(members),
            estimate_rate(sum(each.outcome is Outcome.WIN for each in members), len(members)),
        )
        for place, members in sorted(groups.items())
    )
