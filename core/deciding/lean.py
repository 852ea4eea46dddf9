"""From a chance of a rise to a decision: which way it leans, how sure it is, and what forbids it.

What the models say together and what both ways of deciding say together end here alike:

    BUY where p >= threshold        SELL where p <= 1 - threshold        confidence = max(p, 1 - p)

Below the threshold it is HOLD, with the veto that says how much was missing. Prices are the rule's: one and a half ATR
to the stop, two and a quarter to the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from core.deciding.confidence import Threshold, tier_of
from core.deciding.decision import Decision, check_confidence
from core.deciding.levels import Yardstick, check_levels, rule_levels
from core.ensemble import Ensemble, quantise
from core.signal import Degradation, Strategy, Synthesis, Vote
from core.trade import Direction

EVEN: Final = 0.5
SMALLEST: Final = 1e-9  # a chance nearer to 0 or 1 is told with these odds, so that they stay a number
STEEPNESS: Final = 4.0  # of the log odds of a chance at one half


class Part(NamedTuple):
    """One voice in a mean: its chance of a rise, and its share of all that speak."""

    probability: float
    share: float


@dataclass(frozen=True, slots=True)
class Ground:
    """What a decision says about itself, whatever comes out."""

    strategy: Strategy
    coverage: float
    votes: tuple[Vote, ...]
    ensemble: Ensemble | None = None


@dataclass(frozen=True, slots=True)
class Lean:
    """A chance of a rise, and why it is that. `ceiling` is the confidence that it may not pass."""

    probability: float
    reason: str
    reasoning: str
    ceiling: float = 1.0

    @property
    def direction(self) -> Direction:
        """Which way it points before any limit."""
        if self.probability == EVEN:
            return Direction.HOLD
        return Direction.BUY if self.probability > EVEN else Direction.SELL

    @property
    def confidence(self) -> float:
        """The chance of the way it points."""
        return min(quantise(max(self.probability, 1.0 - self.probability)), self.ceiling)


def decide_lean(lean: Lean, ground: Ground, threshold: Threshold, yardstick: Yardstick) -> Decision:
    """The decision of a lean; what stops it stands in its vetoes."""
    levels = rule_levels(lean.direction, yardstick)
    broken = check_levels(lean.direction, levels, yardstick) if levels is not None else ()
    vetoes = (*check_confidence(lean.confidence, threshold), *broken) if levels is not None else ()
    stopped = levels is None or bool(vetoes)
    return Decision(
        direction=Direction.HOLD if stopped else lean.direction,
        leaning=lean.direction,
        confidence=lean.confidence,
        tier=None if levels is None else tier_of(lean.confidence),
        threshold=threshold.value,
        levels=None if stopped else levels,
        vetoes=vetoes,
        degradations=(),
        variant=None,
        synthesis=Synthesis.RULES,
        synthesis_reason=lean.reason,
        reasoning=lean.reasoning,
        coverage=ground.coverage,
        votes=ground.votes,
        strategy=ground.strategy,
        ensemble=ground.ensemble,
    )


def hold_unheard(doubt: Degradation, ground: Ground, threshold: Threshold) -> Decision:
    """The HOLD where nobody spoke."""
    return Decision(
        direction=Direction.HOLD,
        leaning=Direction.HOLD,
        confidence=0.0,
        tier=None,
        threshold=threshold.value,
        levels=None,
        vetoes=(),
        degradations=(doubt,),
        variant=None,
        synthesis=Synthesis.NONE,
        synthesis_reason=f"{doubt.reason}: {doubt.detail}",
        reasoning=f"Nobody could be heard: {doubt.detail}.",
        coverage=ground.coverage,
        votes=ground.votes,
        strategy=ground.strategy,
        ensemble=ground.ensemble,
    )


def mean_of(parts: Sequence[Part]) -> float:
    """The mean of all voices by their shares."""
    return quantise(math.fsum(each.share * each.probability for each in parts))


def share_pulls(parts: Sequence[Part]) -> tuple[float, ...]:
    """How far each voice moved the log odds of a rise: their sum is the log odds of the mean, before any calibration.

    The log odds of a mean are no sum of log odds. They are shared out by how far each voice draws the mean from one
    half, share (p - 1/2).

    >>> share_pulls([Part(0.9, 0.5), Part(0.3, 0.5)])
    (0.810931, -0.405465)
    """
    distance = math.fsum(each.share * (each.probability - EVEN) for each in parts)
    slope = log_odds_of(EVEN + distance) / distance if abs(distance) > SMALLEST else STEEPNESS
    return tuple(quantise(slope * each.share * (each.probability - EVEN)) for each in parts)


def log_odds_of(chance: float) -> float:
    """ln(p / (1 - p)), kept finite at 0 and 1.

    >>> round(log_odds_of(0.75), 6)
    1.098612
    """
    inside = min(max(chance, SMALLEST), 1.0 - SMALLEST)
    return math.log(inside) - math.log1p(-inside)
