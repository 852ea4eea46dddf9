"""The rule that decides without a language model: each vote moves the odds of a rise, less so in a market of chance.

    log-odds of a rise  z = g / c * sum(w_i v_i)        p(up) = 1 / (1 + exp(-z))        confidence = max(p, 1 - p)

- v_i is the vote of theory i in [-1, 1], w_i its weight. Equal weights are ln 4: one full vote makes the odds 4 : 1.
- g = 1 - r / 2 lies between 1 (order) and 1/2 (chance): r is the mean, over the filters that answered, of how much each
  says that chance alone explains the window (0 where its chance is below 1 %, 1 from 5 %, 1/2 between). Where no
  filter answered, r = 1. So a lone full vote in a market of pure chance gives 67 %, where all filters find order 80 %.
- c is the share of the theories that may vote and did: what is missing is taken to agree in proportion. Below one half
  the rule says HOLD.

Without any lean (z = 0) it says HOLD. `pull` of a theory is its term g / c w_i v_i: the pulls add up to z.
Leaving a theory out means that it was never asked: neither its vote, nor its filter, nor its place in c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from core.analysis import Reading, Values
from core.signal import Synthesis, Verdict, Vote
from core.trade import STRICT, Direction

EQUAL_WEIGHT: Final = math.log(4.0)
LEAST_COVERAGE: Final = 0.5
HIGHEST_LOG_ODDS: Final = 30.0  # beyond it a probability is 0 or 1 to the last digit shown
# All of that order says half of what a vote may say: the filters cannot tell up from down.
DAMPING: Final = 0.5
ORDER_LEVEL: Final = 0.01
HINT_LEVEL: Final = 0.05
# Votes up to this are no lean: where all are, the rule's HOLD is unanimous.
LEAN: Final = 0.1
NAMED: Final = 3  # theories in the reasoning
WORDS_CHARACTERS: Final = 160  # of each theory's sentence there


@dataclass(frozen=True, slots=True)
class Rule:
    """Weights by theory; a theory without one has the default. `label` says where they come from."""

    __pydantic_config__: ClassVar = STRICT
    weights: dict[str, float]
    default: float
    label: str

    def weight(self, theory: str) -> float:
        """How many log-odds a full vote of this theory is worth in an ordered market."""
        return self.weights.get(theory, self.default)


EQUAL: Final = Rule({}, EQUAL_WEIGHT, "equal weights")


@dataclass(frozen=True, slots=True)
class Weighing:
    """What the rule makes of readings. Of the formula, `randomness` is r, `coverage` c and `scale` g / c."""

    log_odds: float
    probability_up: float
    randomness: float
    coverage: float
    scale: float
    votes: tuple[Vote, ...]
    unanimous_hold: bool
    verdict: Verdict


def weigh(
    readings: Sequence[Reading], rule: Rule = EQUAL, *, silent: Sequence[str] = (), without: str | None = None
) -> Weighing:
    """The rule's verdict on readings, all of them or without one theory. `silent` did not answer at all."""
    readings = tuple(reading for reading in readings if reading.theory != without)
    silent = tuple(theory for theory in silent if theory != without)
    randomness = judge_randomness(readings)
    coverage = _cover(readings, silent)
    scale = (1.0 - DAMPING * randomness) / coverage if coverage >= LEAST_COVERAGE else 0.0
    votes = tuple(_vote(reading, scale * rule.weight(reading.theory)) for reading in readings)
    log_odds = math.fsum(vote.pull for vote in votes)
    probability = sigmoid(log_odds)
    direction = Direction.BUY if log_odds > 0.0 else Direction.SELL if log_odds < 0.0 else Direction.HOLD
    confidence = sigmoid(abs(log_odds))
    unanimous = all(abs(vote.vote) <= LEAN for vote in votes)
    reasoning = _explain(direction, confidence, votes, readings, coverage)
    verdict = Verdict(direction, confidence, reasoning, None, Synthesis.RULES)
    return Weighing(log_odds, probability, randomness, coverage, scale, votes, unanimous, verdict)


def judge_randomness(readings: tuple[Reading, ...]) -> float:
    """How far the filters say that chance explains the window: 0 order .. 1 chance, 1 where none of them answered."""
    found = [_randomness(FILTERS[each.theory](each.values)) for each in readings if is_filter(each)]
    return math.fsum(found) / len(found) if found else 1.0


def sigmoid(log_odds: float) -> float:
    """Log-odds as a probability.

    >>> sigmoid(EQUAL_WEIGHT)
    0.8
    """
    return 1.0 / (1.0 + math.exp(-min(max(log_odds, -HIGHEST_LOG_ODDS), HIGHEST_LOG_ODDS)))


def is_filter(reading: Reading) -> bool:
    """Whether this reading says how much of the window chance explains."""
    return reading.theory in FILTERS and reading.problem is None


def display_name(theory: str) -> str:
    """A theory's name as people read it.

    >>> display_name("hurst_exponent")
    'Hurst exponent'
    """
    return theory.replace("_", " ").capitalize()


def _entropy_chance(values: Values) -> float:
    return min(1.0, 2.0 * min(values["p_value"], values.get("sign_p_value", 1.0)))


def _complexity_chance(values: Values) -> float:
    return min(1.0, 2.0 * min(values["sign_p_value"], values.get("p_value", 1.0)))


def _dimension_chance(values: Values) -> float:
    return values["p_value"]


def _hurst_chance(values: Values) -> float:
    """It has an interval instead of a chance: order only where both of its numbers exclude a random walk."""
    trending = min(values["hurst_low"], values["hurst_robust_low"]) > 0.5
    reverting = max(values["hurst_high"], values["hurst_robust_high"]) < 0.5
    return 0.0 if trending or reverting else 1.0


FILTERS: Final[Mapping[str, Callable[[Values], float]]] = {
    "fractal_dimension": _dimension_chance,
    "hurst_exponent": _hurst_chance,
    "kolmogorov_complexity": _complexity_chance,
    "shannon_entropy": _entropy_chance,
}
# They never vote, so that their absence is no missing vote.
NEVER_VOTE: Final = frozenset({"bayesian_win_rate", "fractal_dimension", "kolmogorov_complexity", "shannon_entropy"})


def _randomness(chance: float) -> float:
    return 0.0 if chance < ORDER_LEVEL else 0.5 if chance < HINT_LEVEL else 1.0


def _cover(readings: tuple[Reading, ...], silent: tuple[str, ...]) -> float:
    """The share of the theories that may vote and could."""
    voters = [reading for reading in readings if reading.theory not in NEVER_VOTE]
    asked = len(voters) + sum(theory not in NEVER_VOTE for theory in silent)
    return sum(reading.problem is None for reading in voters) / asked if asked else 0.0


def _vote(reading: Reading, pull: float) -> Vote:
    answered = reading.problem is None
    moved = pull * reading.vote if answered else 0.0
    return Vote(reading.theory, reading.vote if answered else 0.0, moved, reading.words, reading.problem)


def _explain(
    direction: Direction, confidence: float, votes: tuple[Vote, ...], readings: tuple[Reading, ...], coverage: float
) -> str:
    """Which theories moved it, the strongest first, with their words."""
    if coverage < LEAST_COVERAGE:
        return f"Too few theories answered: {coverage:.0%} of those that may vote, {LEAST_COVERAGE:.0%} are needed."
    moved = sorted((vote for vote in votes if vote.pull != 0.0), key=lambda vote: (-abs(vote.pull), vote.theory))
    if direction is not Direction.HOLD:
        way = "rise" if direction is Direction.BUY else "fall"
        return " ".join([f"{confidence:.0%} for a {way}.", *(_say(vote) for vote in moved[:NAMED])])
    if moved:
        return " ".join(["The votes cancel out.", *(_say(vote) for vote in moved[:NAMED])])
    doubting = [each for each in readings if is_filter(each) and _randomness(FILTERS[each.theory](each.values)) > 0.0]
    if not doubting:
        return "No theory leans either way."
    names = ", ".join(sorted(display_name(each.theory) for each in doubting))
    return f"No theory leans either way; chance explains the moves: {names}."


def _say(vote: Vote) -> str:
    words = vote.words if len(vote.words) <= WORDS_CHARACTERS else vote.words[: WORDS_CHARACTERS - 3].rstrip() + "..."
    return f"{display_name(vote.theory)} ({vote.vote:+.2f}): {words}"
