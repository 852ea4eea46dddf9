"""What models and sides may say, made by hand, so that what must come out can be worked out."""

from __future__ import annotations

from core.deciding.confidence import Threshold
from core.deciding.ensemble_decision import EnsembleCase
from core.deciding.levels import Yardstick
from core.deciding.vote import Side, VoteCase
from core.ensemble import Forecast, Line, Outlook
from core.models.weighting import KINDS, USUAL, Weights
from core.signal import Strategy
from core.trade import Direction
from tests.core.cases import AS_OF, OPEN, YARDSTICK, an_analysis

ALL = ("lstm", "transformer", "ppo")
STRAIGHT = Line(ALL, 1.0, 0.0)  # it leaves every mean as it is
GROUND = an_analysis(())


def a_forecast(kind: str, probability: float | None, *, version: str | None = None, problem: str = "") -> Forecast:
    """What one model says; without a probability it is silent."""
    name = f"{kind}-1a2b3c4d" if version is None else version
    if probability is None:
        return Forecast(kind, name, None, None, problem or "the last minute is 90 s old")
    return Forecast(kind, name, probability, probability)


def an_outlook(
    *said: float | None,
    weights: Weights = USUAL,
    line: Line | None = None,
    spare_lines: tuple[Line, ...] = (),
) -> Outlook:
    """What LSTM, Transformer and PPO say, in this order."""
    forecasts = tuple(a_forecast(kind, chance) for kind, chance in zip(KINDS, said, strict=True))
    return Outlook(AS_OF, 15, forecasts, weights, line, spare_lines=spare_lines)


def nobody_promoted() -> Outlook:
    """The outlook of a fresh clone."""
    problems = [f"no {kind} is promoted for BTC-USD; remedy: crpbot train {kind}" for kind in KINDS]
    forecasts = tuple(Forecast(kind, "", None, None, why) for kind, why in zip(KINDS, problems, strict=True))
    return Outlook(None, 15, forecasts, USUAL)


def an_ensemble_case(
    outlook: Outlook, *, threshold: Threshold = OPEN, yardstick: Yardstick = YARDSTICK
) -> EnsembleCase:
    """A case of the models."""
    return EnsembleCase(GROUND, outlook, threshold, yardstick)


def a_side(strategy: Strategy, word: str, confidence: float) -> Side:
    """A side that leans."""
    return Side(strategy, Direction[word], confidence, f"{strategy.value} says {word}.")


def theories(word: str = "BUY", confidence: float = 0.8) -> Side:
    """The side of the theories."""
    return a_side(Strategy.V7, word, confidence)


def models(word: str = "BUY", confidence: float = 0.7) -> Side:
    """The side of the models."""
    return a_side(Strategy.V6, word, confidence)


def a_vote_case(*sides: Side, threshold: Threshold = OPEN, yardstick: Yardstick = YARDSTICK) -> VoteCase:
    """A case of these sides."""
    return VoteCase(GROUND, sides, threshold, yardstick)
