"""The rule is the formula of the documentation, to the last digit; what it learns is judged on days it never saw."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analyzers import discover
from core.deciding.synthesis import NEVER_VOTE, Rule, weigh
from core.signal import Synthesis
from core.trade import Direction
from tests.core.cases import a_reading, readings_of

VOTERS = [name for name in discover() if name not in NEVER_VOTE]
VOTES = st.fixed_dictionaries({}, optional=dict.fromkeys(VOTERS, st.floats(-1.0, 1.0)))


def confidence(**votes: float) -> float:
    """The rule's confidence in a market of pure chance."""
    return weigh(readings_of(**votes)).verdict.confidence


def test_one_full_vote_makes_odds_of_two_in_chance_and_four_in_order() -> None:
    lone = {"kalman_filter": 1.0}
    assert confidence(**lone) == pytest.approx(2 / 3, rel=1e-12)
    assert weigh(readings_of(ordered=True, **lone)).verdict.confidence == pytest.approx(0.8, rel=1e-12)


def test_votes_add_up_and_opposite_ones_cancel() -> None:
    assert confidence(kalman_filter=1.0, stationarity=1.0) == pytest.approx(0.8, rel=1e-12)
    found = weigh(readings_of(kalman_filter=0.5, stationarity=-0.5))
    assert found.verdict.direction is Direction.HOLD
    assert found.verdict.reasoning.startswith("The votes cancel out. Kalman filter (+0.50)")


def test_the_formula_is_the_documented_one() -> None:
    readings = readings_of(kalman_filter=0.7, hurst_exponent=-0.2)
    hint = replace(a_reading("shannon_entropy"), values={"p_value": 0.01, "sign_p_value": 0.9})
    readings = tuple(hint if each.theory == "shannon_entropy" else each for each in readings)
    rule = Rule({"kalman_filter": 2.0}, 0.5, "by hand")
    found = weigh(readings, rule, silent=("extra_theory",))
    randomness = (1 + 1 + 1 + 0.5) / 4  # 2 x 0.01 lies between 1 and 5 %
    coverage = len(VOTERS) / (len(VOTERS) + 1)
    log_odds = (1 - randomness / 2) / coverage * (2.0 * 0.7 + 0.5 * -0.2)
    assert (found.randomness, found.coverage) == (randomness, coverage)
    assert found.log_odds == pytest.approx(log_odds, rel=1e-14)
    assert found.probability_up == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-14)


@settings(deadline=None)
@given(VOTES, st.booleans())
def test_the_pulls_add_up_and_the_sides_mirror_each_other(votes: dict[str, float], ordered: bool) -> None:
    found = weigh(readings_of(ordered=ordered, **votes))
    mirrored = weigh(readings_of(ordered=ordered, **{name: -vote for name, vote in votes.items()}))
    assert math.fsum(vote.pull for vote in found.votes) == found.log_odds == -mirrored.log_odds
    assert found.verdict.confidence == mirrored.verdict.confidence
    assert 0.5 <= found.verdict.confidence <= 1.0


@settings(deadline=None)
@given(VOTES, st.permutations(list(discover())))
def test_the_order_of_the_readings_does_not_matter(votes: dict[str, float], order: list[str]) -> None:
    readings = {reading.theory: reading for reading in readings_of(**votes)}
    shuffled = weigh([readings[name] for name in order])
    straight = weigh(list(readings.values()))
    assert (shuffled.log_odds, shuffled.verdict) == (straight.log_odds, straight.verdict)


@settings(deadline=None)
@given(VOTES, st.sampled_from(list(discover())), st.booleans())
def test_leaving_a_theory_out_is_the_same_as_never_asking_it(
    votes: dict[str, float], theory: str, ordered: bool
) -> None:
    without = weigh(readings_of(ordered=ordered, **votes), without=theory)
    assert without == weigh(readings_of(ordered=ordered, silent=(theory,), **votes))


def test_a_filter_that_is_left_out_no_longer_damps() -> None:
    readings = [
        a_reading("kalman_filter", 1.0),
        a_reading("hurst_exponent", ordered=True),
        a_reading("shannon_entropy"),
    ]
    assert weigh(readings).randomness == 0.5
    assert weigh(readings, without="shannon_entropy").randomness == 0.0
    assert weigh(readings, without="hurst_exponent").randomness == 1.0


def test_without_any_filter_the_market_is_taken_for_chance() -> None:
    assert weigh([a_reading("kalman_filter", 1.0)]).randomness == 1.0


def test_missing_votes_are_taken_to_agree_in_proportion() -> None:
    gone = ("market_context", "random_forest")
    found = weigh(readings_of(silent=gone, kalman_filter=0.6), silent=gone)
    share = (len(VOTERS) - 2) / len(VOTERS)
    assert found.coverage == share
    assert found.log_odds == pytest.approx(0.6 * math.log(4.0) / 2 / share, rel=1e-12)


def test_a_reading_with_a_problem_counts_as_missing() -> None:
    readings = readings_of(kalman_filter=0.6)
    broken = tuple(
        a_reading(each.theory, problem="not fitted yet") if each.theory == "random_forest" else each
        for each in readings
    )
    silent = weigh(readings_of(silent=("random_forest",), kalman_filter=0.6), silent=("random_forest",))
    assert weigh(broken).log_odds == silent.log_odds


def test_with_less_than_half_of_the_votes_the_rule_holds() -> None:
    gone = tuple(VOTERS[1 : len(VOTERS) // 2 + 2])
    found = weigh(readings_of(silent=gone, **{VOTERS[0]: 1.0}), silent=gone)
    assert found.coverage < 0.5
    assert found.verdict.direction is Direction.HOLD
    assert "Too few theories answered" in found.verdict.reasoning


def test_silence_of_a_pure_filter_is_no_missing_vote() -> None:
    assert weigh(readings_of(silent=("shannon_entropy",)), silent=("shannon_entropy",)).coverage == 1.0


def test_nothing_answered_is_a_hold() -> None:
    found = weigh([])
    assert (found.verdict.direction, found.verdict.confidence, found.coverage) == (Direction.HOLD, 0.5, 0.0)


def test_the_reasoning_names_the_theories_that_moved_it_strongest_first() -> None:
    found = weigh(readings_of(hurst_exponent=0.9, kalman_filter=-0.3, stationarity=0.5, variance_tests=0.1)).verdict
    assert found.direction is Direction.BUY
    assert found.by is Synthesis.RULES
    assert found.reasoning == (
        "70% for a rise. Hurst exponent (+0.90): hurst_exponent speaks. Stationarity (+0.50): stationarity speaks. "
        "Kalman filter (-0.30): kalman_filter speaks."
    )


def test_a_hold_names_the_theories_that_found_chance() -> None:
    words = weigh(readings_of()).verdict.reasoning
    assert (
        "chance explains the moves: Fractal dimension, Hurst exponent, Kolmogorov complexity, Shannon entropy" in words
    )
    assert weigh(readings_of(ordered=True)).verdict.reasoning == "No theory leans either way."


def test_a_hold_is_unanimous_where_no_vote_leans() -> None:
    assert weigh(readings_of(kalman_filter=0.1, stationarity=-0.1)).unanimous_hold
    assert not weigh(readings_of(kalman_filter=0.11, stationarity=-0.11)).unanimous_hold


def test_a_huge_weight_gives_no_overflow() -> None:
    for vote in (1.0, -1.0):
        found = weigh(readings_of(kalman_filter=vote), Rule({"kalman_filter": 1e6}, 0.0, ""))
        assert 1.0 - found.verdict.confidence < 1e-12
