"""What the promotion gate found: pass, fail or not enough to say, with every number that led there.

A judgement is written beside the model it promotes and is read again before every promotion. Reading believes nothing:
each ruling must follow from its own numbers, all rules must be there, and the verdict must follow from the rulings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple

from core.canonical import read_canonical, write_canonical
from core.errors import CrpbotError, invalid
from core.trade import STRICT

LONGEST: Final = 1_000_000  # characters; a judgement of one symbol has about 6,000


class Verdict(StrEnum):
    """What the gate says. Only `pass` promotes."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    INSUFFICIENT = "insufficient"  # too little was seen for any other word


class Outcome(StrEnum):
    """What one rule says."""

    PASS = "pass"  # noqa: S105 - an outcome, no password
    FAIL = "fail"
    INSUFFICIENT = "insufficient"
    NOT_APPLICABLE = "not_applicable"  # nothing to compare with; the sentence says why that is no loophole


class Relation(StrEnum):
    """How the deciding number must stand to its limit."""

    AT_LEAST = ">="
    ABOVE = ">"
    AT_MOST = "<="
    BELOW = "<"


class RuleName(StrEnum):
    """Every rule of the gate; a judgement has each of them once for each symbol."""

    TRADES = "trades"
    SCORED = "scored"
    MINIMA = "minima"
    WIN_RATE = "win_rate"
    NET_RETURN = "net_return"
    CALIBRATION = "calibration"
    BRIER_SKILL = "brier_skill"
    SHARPE = "sharpe"
    DEFLATED_SHARPE = "deflated_sharpe"
    OVERFITTING = "overfitting"
    DRAWDOWN = "drawdown"
    DRAWDOWN_RANGE = "drawdown_range"
    LOSS_LIMITS = "loss_limits"
    CHAMPION = "champion"


COUNTS: Final = {RuleName.TRADES, RuleName.SCORED}  # below these there is no verdict
OPTIONAL: Final = {RuleName.OVERFITTING, RuleName.CHAMPION}  # one try, no champion


class Asked(NamedTuple):
    """What a rule asks: how its value, or the 95 % bound of it, must stand to the limit."""

    relation: Relation
    limit: float
    by_bound: bool = False


HOUSE: Final[Mapping[RuleName, Asked]] = MappingProxyType(
    {
        # with 20 trades a coin shows 68 % in 6 % of runs
        RuleName.TRADES: Asked(Relation.AT_LEAST, 200),
        # below, a perfect model's plug-in error alone is 3 % and more
        RuleName.SCORED: Asked(Relation.AT_LEAST, 2_000),
        RuleName.MINIMA: Asked(Relation.AT_MOST, 0),
        RuleName.WIN_RATE: Asked(Relation.AT_LEAST, 0.68, by_bound=True),
        RuleName.NET_RETURN: Asked(Relation.ABOVE, 0.0, by_bound=True),
        RuleName.CALIBRATION: Asked(Relation.AT_MOST, 0.05, by_bound=True),
        RuleName.BRIER_SKILL: Asked(Relation.ABOVE, 0.0),
        # a year; alone it promotes noise: the best of ten idle tries shows 1.6 in a year
        RuleName.SHARPE: Asked(Relation.ABOVE, 1.0),
        RuleName.DEFLATED_SHARPE: Asked(Relation.AT_LEAST, 0.95),
        # noise has a half
        RuleName.OVERFITTING: Asked(Relation.AT_MOST, 0.2),
        RuleName.DRAWDOWN: Asked(Relation.BELOW, 0.15),
        RuleName.DRAWDOWN_RANGE: Asked(Relation.BELOW, 0.15),
        RuleName.LOSS_LIMITS: Asked(Relation.AT_LEAST, 0.99, by_bound=True),
        RuleName.CHAMPION: Asked(Relation.ABOVE, 0.0, by_bound=True),
    }
)


@dataclass(frozen=True, slots=True)
class Ruling:
    """One rule applied: what was found, the bound within which the truth lies with 95 %, and what was asked.

    `by_bound` says which of both decides. None: it cannot be said.
    """

    __pydantic_config__: ClassVar = STRICT
    rule: RuleName
    symbol: str
    value: float | None
    bound: float | None
    by_bound: bool
    relation: Relation
    limit: float
    n: int
    outcome: Outcome
    sentence: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything the gate says of one model.

    `trials` and `register_head` are those of the register it counted, `champion` is the version it was compared with.
    """

    __pydantic_config__: ClassVar = STRICT
    model: str
    kind: str
    symbol: str
    verdict: Verdict
    sentence: str
    at: datetime
    first: datetime
    last: datetime
    horizon_minutes: int
    threshold: float
    round_trip_fraction: float
    stake_fraction: float
    min_accuracy: float
    max_calibration_error: float
    trials: int
    register_head: str
    champion: str | None
    rulings: tuple[Ruling, ...]


def decide(ruling: Ruling) -> Outcome:
    """What follows from a ruling's numbers."""
    number = ruling.bound if ruling.by_bound else ruling.value
    if number is None:
        return Outcome.INSUFFICIENT
    holds = {
        Relation.AT_LEAST: number >= ruling.limit,
        Relation.ABOVE: number > ruling.limit,
        Relation.AT_MOST: number <= ruling.limit,
        Relation.BELOW: number < ruling.limit,
    }[ruling.relation]
    if holds:
        return Outcome.PASS
    return Outcome.INSUFFICIENT if ruling.rule in COUNTS else Outcome.FAIL


def conclude(rulings: tuple[Ruling, ...]) -> Verdict:
    """What follows from all rulings: insufficient before fail, and pass only where no rule says otherwise."""
    outcomes = {ruling.outcome for ruling in rulings}
    if not rulings or Outcome.INSUFFICIENT in outcomes:
        return Verdict.INSUFFICIENT
    return Verdict.FAIL if Outcome.FAIL in outcomes else Verdict.PASS


def write_judgement(judgement: Judgement) -> str:
    """Its one text, JSON."""
    return write_canonical(judgement) + "\n"


def read_judgement(text: str) -> Judgement:
    """The judgement that was written; refused where anything in it does not follow from its numbers."""
    if len(text) > LONGEST:
        raise _refused(f"has {len(text)} characters, at most {LONGEST} are read")
    try:
        found = read_canonical(text, Judgement)
        same = json.loads(write_canonical(found)) == json.loads(text)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise _refused(f"is no judgement: {type(error).__name__} {str(error)[:80]}; judge the model again") from None
    if not same:
        raise _refused("has fields that a judgement does not have, or lacks some; judge the model again")
    _check(found)
    return found


def _check(judgement: Judgement) -> None:
    if any(each.tzinfo is None for each in (judgement.at, judgement.first, judgement.last)):
        raise _refused("has an instant that is in no time zone")
    seen: dict[str, list[RuleName]] = {}
    for ruling in judgement.rulings:
        seen.setdefault(ruling.symbol, []).append(ruling.rule)
        _check_ruling(ruling)
    for symbol, rules in seen.items():
        if sorted(rules) != sorted(RuleName):
            raise _refused(f"does not have every rule once for {symbol}")
    if conclude(judgement.rulings) is not judgement.verdict:
        raise _refused(f"says {judgement.verdict}, its rulings say {conclude(judgement.rulings)}")
    if judgement.verdict is Verdict.PASS and any(_is_weaker(ruling) for ruling in judgement.rulings):
        raise _refused("passes limits that are weaker than the house's")


def _check_ruling(ruling: Ruling) -> None:
    asked = HOUSE[ruling.rule]
    for number in (ruling.value, ruling.bound, ruling.limit, ruling.n):
        if number is not None and type(number) not in {int, float}:
            raise _refused(f"has {str(number)[:40]!r} for a number of {ruling.rule}")
    expected = {decide(ruling)}
    if ruling.rule in OPTIONAL and ruling.value is None and ruling.bound is None:
        expected.add(Outcome.NOT_APPLICABLE)
    if ruling.outcome not in expected or (ruling.relation, ruling.by_bound) != (asked.relation, asked.by_bound):
        raise _refused(f"calls {ruling.rule} of {ruling.symbol} {ruling.outcome}; its numbers do not")


def _is_weaker(ruling: Ruling) -> bool:
    limit = HOUSE[ruling.rule].limit
    is_floor = ruling.relation in {Relation.AT_LEAST, Relation.ABOVE}
    return ruling.limit < limit if is_floor else ruling.limit > limit


def _refused(detail: str) -> CrpbotError:
    return invalid("judgement", detail, reason="BAD_JUDGEMENT")
