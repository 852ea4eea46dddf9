"""Both ways of deciding vote, the theories (V7) and the models (V6): each counts as much as it is sure.

    p = sum(c_i p_i) / sum(c_i)        p_i = max(c_i, 1/2) for BUY, 1 - max(c_i, 1/2) for SELL, 1/2 for HOLD

c_i is a side's confidence before any limit. A lean of less than one half counts as even, and never for the other way.
A side that had nothing to stand on, because no model spoke or the language model's call failed, is left out and named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from core.analysis import Analysis
from core.deciding.confidence import Threshold
from core.deciding.decision import Decision
from core.deciding.lean import EVEN, Ground, Lean, Part, decide_lean, hold_unheard, mean_of, share_pulls
from core.deciding.levels import Yardstick
from core.deciding.synthesis import WORDS_CHARACTERS
from core.ensemble import quantise
from core.signal import Degradation, Strategy, Vote
from core.trade import Direction

NO_SIDE: Final = "no_side"


@dataclass(frozen=True, slots=True)
class Side:
    """What one way of deciding brings to the vote, or the `problem` for which it has none."""

    strategy: Strategy
    leaning: Direction
    confidence: float
    words: str
    problem: str | None = None

    @property
    def probability(self) -> float:
        """Its chance of a rise."""
        if self.leaning is Direction.HOLD:
            return EVEN
        sure = max(self.confidence, EVEN)
        return sure if self.leaning is Direction.BUY else 1.0 - sure


@dataclass(frozen=True, slots=True)
class VoteCase:
    """All that a vote follows from. `analysis` is the market without its theories."""

    analysis: Analysis
    sides: tuple[Side, ...]
    threshold: Threshold
    yardstick: Yardstick


def take_side(decision: Decision) -> Side:
    """A decision as a side of the vote; one on doubtful ground has no voice."""
    if decision.degradations:
        doubt = decision.degradations[0]
        return miss_side(decision.strategy, f"{doubt.reason}: {doubt.detail}")
    words = decision.reasoning
    if len(words) > WORDS_CHARACTERS:
        words = words[: WORDS_CHARACTERS - 3].rstrip() + "..."
    return Side(decision.strategy, decision.leaning, decision.confidence, words)


def miss_side(strategy: Strategy, problem: str) -> Side:
    """A side that has no voice, and why."""
    return Side(strategy, Direction.HOLD, 0.0, "", problem)


def decide_vote(case: VoteCase, *, without: str | None = None) -> Decision:
    """The decision of both sides, or what it would be without one of them."""
    sides = tuple(each for each in case.sides if each.strategy.value != without)
    heard = [each for each in sides if each.problem is None]
    total = math.fsum(each.confidence for each in heard)
    parts = {each.strategy: Part(each.probability, _share(each, total, len(heard))) for each in heard}
    pulls = dict(zip(parts, share_pulls([*parts.values()]), strict=True))
    votes = tuple(_vote(each, pulls.get(each.strategy, 0.0)) for each in sides)
    ground = Ground(Strategy.VOTE, len(heard) / len(sides) if sides else 0.0, votes)
    if not heard:
        return hold_unheard(Degradation(NO_SIDE, _tell_missing(sides)), ground, case.threshold)
    lean = Lean(mean_of([*parts.values()]), _tell_vote(sides), _tell_sides(sides))
    return decide_lean(lean, ground, case.threshold, case.yardstick)


def _share(side: Side, total: float, count: int) -> float:
    """A side's share of the vote; where nobody is sure at all, all count alike."""
    return side.confidence / total if total > 0.0 else 1.0 / count


def _vote(side: Side, pull: float) -> Vote:
    if side.problem is not None:
        return Vote(side.strategy.value, 0.0, 0.0, "", side.problem)
    return Vote(side.strategy.value, quantise(2.0 * side.probability - 1.0), pull, side.words)


def _tell_vote(sides: tuple[Side, ...]) -> str:
    told = [f"{_name(each)} {each.leaning.value} {each.confidence:.4f}" for each in sides if each.problem is None]
    missing = _tell_missing(sides)
    return f"vote by confidence of {' and '.join(told)}" + (f"; {missing}" if missing else "")


def _tell_missing(sides: tuple[Side, ...]) -> str:
    return "; ".join(f"{_name(each)} is left out, {each.problem}" for each in sides if each.problem is not None)


def _tell_sides(sides: tuple[Side, ...]) -> str:
    heard = [each for each in sides if each.problem is None]
    leans = {each.leaning for each in heard}
    first = "Both agree." if len(heard) > 1 and len(leans) == 1 else "They disagree." if len(leans) > 1 else ""
    told = [f"{_name(each)}, {each.leaning.value} {each.confidence:.0%}: {each.words}" for each in heard]
    missing = _tell_missing(sides)
    return " ".join(filter(None, [first, *told, f"{missing}." if missing else ""]))


def _name(side: Side) -> str:
    return side.strategy.value.upper()
