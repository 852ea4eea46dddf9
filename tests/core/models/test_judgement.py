"""A judgement is believed only where it follows from its own numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import CrpbotError
from core.models.judgement import (
    HOUSE,
    Judgement,
    Outcome,
    Relation,
    RuleName,
    Ruling,
    Verdict,
    conclude,
    decide,
    read_judgement,
    write_judgement,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)


def rule(name: RuleName, number: float | None, **changed: Any) -> Ruling:
    """A ruling of the house whose deciding number is this."""
    asked = HOUSE[name]
    found = {"value": number, "bound": number, "limit": asked.limit, "relation": asked.relation} | changed
    ruling = Ruling(
        rule=name, symbol="BTC-USD", by_bound=asked.by_bound, n=9, outcome=Outcome.PASS, sentence="So.", **found
    )
    return Ruling(**{each: getattr(ruling, each) for each in Ruling.__slots__} | {"outcome": decide(ruling)})


def passing() -> Judgement:
    """A judgement in which every rule holds."""
    rulings = []
    for name, asked in HOUSE.items():
        is_floor = asked.relation in {Relation.AT_LEAST, Relation.ABOVE}
        rulings.append(rule(name, asked.limit + 0.01 if is_floor else asked.limit - 0.01))
    return judgement(tuple(rulings))


def judgement(rulings: tuple[Ruling, ...]) -> Judgement:
    """What follows from the rulings."""
    return Judgement(
        model="lstm-0f3a9c1d",
        kind="lstm",
        symbol="BTC-USD",
        verdict=conclude(rulings),
        sentence="So it is.",
        at=AT,
        first=AT,
        last=AT,
        horizon_minutes=15,
        threshold=0.65,
        round_trip_fraction=0.001,
        stake_fraction=1.0,
        min_accuracy=0.68,
        max_calibration_error=0.05,
        trials=1,
        register_head="0" * 64,
        champion=None,
        rulings=rulings,
    )


def test_a_judgement_is_read_as_it_was_written() -> None:
    found = passing()
    assert found.verdict is Verdict.PASS
    assert read_judgement(write_judgement(found)) == found
    assert json.loads(write_judgement(found))["verdict"] == "pass"


@pytest.mark.parametrize("name", list(RuleName))
def test_one_rule_that_fails_stops_the_model(name: RuleName) -> None:
    asked = HOUSE[name]
    is_floor = asked.relation in {Relation.AT_LEAST, Relation.ABOVE}
    worse = rule(name, asked.limit - 0.01 if is_floor else asked.limit + 0.01)
    found = judgement(tuple(worse if each.rule is name else each for each in passing().rulings))
    counts = name in {RuleName.TRADES, RuleName.SCORED}
    assert found.verdict is (Verdict.INSUFFICIENT if counts else Verdict.FAIL)
    assert read_judgement(write_judgement(found)).verdict is found.verdict


@pytest.mark.parametrize("name", list(RuleName))
def test_a_number_that_is_not_known_is_no_pass(name: RuleName) -> None:
    found = judgement(tuple(rule(name, None) if each.rule is name else each for each in passing().rulings))
    assert found.verdict is Verdict.INSUFFICIENT


@pytest.mark.parametrize(
    ("relation", "passes"),
    [(Relation.AT_LEAST, True), (Relation.AT_MOST, True), (Relation.ABOVE, False), (Relation.BELOW, False)],
)
def test_the_limit_itself_is_decided(relation: Relation, passes: bool) -> None:
    assert (decide(rule(RuleName.SHARPE, 2.0, limit=2.0, relation=relation)) is Outcome.PASS) is passes


def test_nothing_ruled_is_no_pass() -> None:
    assert conclude(()) is Verdict.INSUFFICIENT


def _set(field: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda found: found.__setitem__(field, value)


def _rule(field: str, value: object, name: str = "win_rate") -> Callable[[dict[str, Any]], None]:
    def change(found: dict[str, Any]) -> None:
        next(each for each in found["rulings"] if each["rule"] == name)[field] = value

    return change


FORGED: dict[str, Callable[[dict[str, Any]], None]] = {
    "an instant in no time zone": _set("at", "2026-01-01T00:00:00"),
    "a bound below its limit": _rule("bound", 0.1),
    "a bound that is missing": _rule("bound", None),
    "a lower limit": _rule("limit", 0.1),
    "the value decides": _rule("by_bound", False),
    "another relation": _rule("relation", "<="),
    "a rule that was not applied": _rule("outcome", "not_applicable"),
    "no champion although there is a number": _rule("outcome", "not_applicable", "champion"),
    "a failed rule": _rule("outcome", "fail"),
    "a rule of another symbol": _rule("symbol", "ETH-USD"),
    "a missing rule": lambda found: found["rulings"].pop(),
    "no rules": _set("rulings", []),
    "a doubled rule": lambda found: found["rulings"].append(found["rulings"][0]),
    "an unknown rule": _rule("rule", "beauty"),
    "another verdict": _set("verdict", "fail"),
    "an unknown field": _set("force", True),
    "a missing field": lambda found: found.pop("model"),
    "a word for a number": _rule("bound", "high"),
    "a yes for a number": _rule("bound", True),
    "no number at all": _rule("value", float("nan"), "minima"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_judgement_is_refused(forged: str) -> None:
    found = json.loads(write_judgement(passing()))
    FORGED[forged](found)
    with pytest.raises(CrpbotError) as refused:
        read_judgement(json.dumps(found))
    assert refused.value.reason == "BAD_JUDGEMENT"


def test_a_failure_called_a_pass_is_refused() -> None:
    failing = judgement(
        tuple(rule(each.rule, 0.1) if each.rule is RuleName.WIN_RATE else each for each in passing().rulings)
    )
    found = json.loads(write_judgement(failing))
    found["verdict"] = "pass"
    with pytest.raises(CrpbotError, match="its rulings say fail"):
        read_judgement(json.dumps(found))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "no json", "[" * 5_000, '{"model":' * 3_000, "x" * 2_000_000])
def test_what_is_no_judgement_is_refused(text: str) -> None:
    with pytest.raises(CrpbotError) as refused:
        read_judgement(text)
    assert refused.value.reason == "BAD_JUDGEMENT"
