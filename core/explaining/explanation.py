"""Why a decision is what it is, in the shape in which every face of the server shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from core.signal import Veto, Vote
from core.trade import STRICT, Direction


@dataclass(frozen=True, slots=True)
class Change:
    """One number that, changed like this and nothing else, gives another outcome.

    `what` is a theory (its vote), "confidence" (the language model's), a kind of model (its chance of a rise) or a side
    of the vote (its confidence).
    """

    __pydantic_config__: ClassVar = STRICT
    what: str
    before: float
    after: float
    outcome: Direction


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision in plain words. `without` names the theories whose absence alone would have changed the outcome.

    Where models or both sides decided, these stand in their place.
    """

    __pydantic_config__: ClassVar = STRICT
    direction: Direction
    sentences: tuple[str, ...]
    moved: tuple[Vote, ...]
    stopped_by: Veto | None
    change: Change | None
    without: tuple[str, ...]


def sort_votes(votes: Iterable[Vote]) -> tuple[Vote, ...]:
    """Those that moved the odds, the strongest first."""
    return tuple(sorted((vote for vote in votes if vote.pull != 0.0), key=lambda vote: (-abs(vote.pull), vote.theory)))
