"""The three kinds of models that speak together, and how much each counts."""

from __future__ import annotations

from typing import Final, NamedTuple

KINDS: Final = ("lstm", "transformer", "ppo")


class Weights(NamedTuple):
    """How much each model counts in the ensemble."""

    lstm: float
    transformer: float
    policy: float

    def of(self, kind: str) -> float:
        """The weight of a kind of model."""
        return self[KINDS.index(kind)]


USUAL: Final = Weights(0.35, 0.40, 0.25)
