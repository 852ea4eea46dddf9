"""Theories and models vote: agreement, conflict, a side that is missing, and how much each counts."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.deciding.confidence import Threshold
from core.deciding.decision import decide
from core.deciding.ensemble_decision import decide_ensemble
from core.deciding.levels import Yardstick
from core.deciding.strategies import decide_case
from core.deciding.vote import Side, VoteCase, decide_vote, miss_side, take_side
from core.signal import Refusal, Strategy, Synthesis, Variant
from core.trade import Direction, Levels, Tier
from tests.core.cases import a_case, a_verdict, readings_of
from tests.core.ensemble_cases import (
    STRAIGHT,
    a_side,
    a_vote_case,
    an_ensemble_case,
    an_outlook,
    models,
    nobody_promoted,
    theories,
)

BUY, SELL, HOLD = Direction.BUY, Direction.SELL, Direction.HOLD
confidences = st.floats(0.0, 1.0)
words = st.sampled_from(["BUY", "SELL", "HOLD"])
sides_of = {strategy: st.builds(a_side, st.just(strategy), words, confidences) for strategy in Strategy}
pairs = st.tuples(sides_of[Strategy.V7], sides_of[Strategy.V6])


def by_hand(*said: tuple[float, float]) -> float:
    """The mean of chances, each by its confidence."""
    return sum(sure * chance for sure, chance in said) / sum(sure for sure, _ in said)


@pytest.mark.parametrize(
    ("v7", "v6", "chance", "direction", "tier"),
    [
        (("BUY", 0.8), ("BUY", 0.7), by_hand((0.8, 0.8), (0.7, 0.7)), BUY, Tier.HIGH),
        (("SELL", 0.8), ("SELL", 0.7), by_hand((0.8, 0.2), (0.7, 0.3)), SELL, Tier.HIGH),
        (("BUY", 0.66), ("BUY", 0.66), 0.66, BUY, Tier.MEDIUM),
        (("BUY", 0.9), ("HOLD", 0.5), by_hand((0.9, 0.9), (0.5, 0.5)), BUY, Tier.HIGH),
        (("HOLD", 0.9), ("BUY", 0.7), by_hand((0.9, 0.5), (0.7, 0.7)), HOLD, Tier.LOW),
        (("BUY", 0.8), ("SELL", 0.7), by_hand((0.8, 0.8), (0.7, 0.3)), HOLD, Tier.LOW),
        (("BUY", 0.7), ("SELL", 0.8), by_hand((0.7, 0.7), (0.8, 0.2)), HOLD, Tier.LOW),
        (("BUY", 0.95), ("SELL", 0.3), by_hand((0.95, 0.95), (0.3, 0.5)), BUY, Tier.HIGH),
        (("BUY", 0.7), ("SELL", 0.7), 0.5, HOLD, None),
        (("HOLD", 0.6), ("HOLD", 0.9), 0.5, HOLD, None),
    ],
)
def test_each_side_counts_as_much_as_it_is_sure(
    *, v7: tuple[str, float], v6: tuple[str, float], chance: float, direction: Direction, tier: Tier | None
) -> None:
    found = decide_vote(a_vote_case(theories(*v7), models(*v6)))
    sure = max(chance, 1.0 - chance)
    assert found.confidence == pytest.approx(sure, abs=1e-6)
    assert found.direction is direction
    assert found.tier is tier
    assert (found.leaning is BUY, found.leaning is SELL) == (chance > 0.5, chance < 0.5)
    assert (found.coverage, found.degradations) == (1.0, ())


def test_agreement_is_published_at_the_rules_prices_and_names_both() -> None:
    found = decide_vote(a_vote_case(theories(), models()))
    assert found.levels == Levels(Decimal(50000), Decimal(49850), Decimal(50225))
    assert (found.strategy, found.synthesis, found.variant, found.ensemble) == (
        Strategy.VOTE,
        Synthesis.RULES,
        None,
        None,
    )
    assert found.synthesis_reason == "vote by confidence of V7 BUY 0.8000 and V6 BUY 0.7000"
    assert found.reasoning == "Both agree. V7, BUY 80%: v7 says BUY. V6, BUY 70%: v6 says BUY."
    assert [(vote.theory, vote.vote, vote.words) for vote in found.votes] == [
        ("v7", 0.6, "v7 says BUY."),
        ("v6", 0.4, "v6 says BUY."),
    ]


def test_in_a_conflict_the_surer_side_leads_and_is_held_back() -> None:
    found = decide_vote(a_vote_case(theories("BUY", 0.8), models("SELL", 0.7)))
    assert (found.direction, found.leaning) == (HOLD, BUY)
    assert found.vetoes[0].rule == "confidence_threshold"
    assert found.reasoning.startswith("They disagree.")
    assert [math.copysign(1.0, vote.pull) for vote in found.votes] == [1.0, -1.0]


@pytest.mark.parametrize("missing", [Strategy.V7, Strategy.V6])
def test_a_missing_side_is_left_out_and_named(missing: Strategy) -> None:
    sides = {
        Strategy.V7: theories("BUY", 0.8),
        Strategy.V6: models("BUY", 0.7),
        missing: miss_side(missing, "no_model: no lstm is promoted"),
    }
    found = decide_vote(a_vote_case(*sides.values()))
    heard = next(each for each in sides.values() if each.strategy is not missing)
    assert (found.direction, found.confidence, found.coverage) == (BUY, heard.confidence, 0.5)
    assert f"{missing.value.upper()} is left out, no_model: no lstm is promoted" in found.synthesis_reason
    assert f"{missing.value.upper()} is left out" in found.reasoning
    silent = next(vote for vote in found.votes if vote.theory == missing.value)
    assert (silent.vote, silent.pull, silent.problem) == (0.0, 0.0, "no_model: no lstm is promoted")
    assert found.degradations == ()


def test_where_both_sides_are_missing_it_holds_on_no_ground() -> None:
    gone = (miss_side(Strategy.V7, "llm_timeout: late"), miss_side(Strategy.V6, "no_model: none"))
    found = decide_vote(a_vote_case(*gone))
    assert (found.direction, found.confidence, found.synthesis, found.coverage) == (HOLD, 0.0, Synthesis.NONE, 0.0)
    (doubt,) = found.degradations
    assert doubt.reason == "no_side"
    assert doubt.detail == "V7 is left out, llm_timeout: late; V6 is left out, no_model: none"


def test_a_lean_of_less_than_one_half_counts_as_even_and_not_for_the_other_way() -> None:
    found = decide_vote(a_vote_case(theories("BUY", 0.2), models("BUY", 0.9)))
    assert found.confidence == pytest.approx(by_hand((0.2, 0.5), (0.9, 0.9)), abs=1e-6)
    assert found.direction is BUY
    alone = decide_vote(a_vote_case(theories("BUY", 0.2)))
    assert (alone.leaning, alone.confidence) == (HOLD, 0.5)


def test_sides_that_are_not_sure_at_all_hold() -> None:
    found = decide_vote(a_vote_case(theories("BUY", 0.0), models("SELL", 0.0)))
    assert (found.direction, found.confidence, found.degradations) == (HOLD, 0.5, ())


def test_the_threshold_and_the_gate_of_prices_hold_for_a_vote_too() -> None:
    sides = (theories("BUY", 0.9), models("BUY", 0.9))
    shut = decide_vote(a_vote_case(*sides, threshold=Threshold(1.0, False, "no tier pays")))
    assert (shut.direction, shut.vetoes[0].limit) == (HOLD, "none")
    still = decide_vote(a_vote_case(*sides, yardstick=Yardstick(Decimal(50000), Decimal(0))))
    assert (still.direction, still.tier, [veto.rule for veto in still.vetoes]) == (HOLD, Tier.HIGH, ["level_range"])


@given(pairs)
def test_the_order_of_the_sides_does_not_matter(pair: tuple[Side, Side]) -> None:
    one, other = decide_vote(a_vote_case(*pair)), decide_vote(a_vote_case(*reversed(pair)))
    assert (one.direction, one.confidence, one.coverage) == (other.direction, other.confidence, other.coverage)
    assert sorted(one.votes, key=lambda vote: vote.theory) == sorted(other.votes, key=lambda vote: vote.theory)


@given(pairs)
def test_turned_upside_down_both_sides_decide_the_other_way(pair: tuple[Side, Side]) -> None:
    turn = {BUY: SELL, SELL: BUY, HOLD: HOLD}
    up = decide_vote(a_vote_case(*pair))
    down = decide_vote(a_vote_case(*(replace(each, leaning=turn[each.leaning]) for each in pair)))
    assert down.leaning is turn[up.leaning]
    assert down.confidence == pytest.approx(up.confidence, abs=2e-6)


@given(pairs)
def test_the_vote_lies_between_both_sides(pair: tuple[Side, Side]) -> None:
    found = decide_vote(a_vote_case(*pair))
    chance = found.confidence if found.leaning is not SELL else 1.0 - found.confidence
    assert min(each.probability for each in pair) - 1e-6 <= chance <= max(each.probability for each in pair) + 1e-6
    assert found == decide_vote(a_vote_case(*pair))


@given(confidences, words)
def test_a_side_alone_decides_what_it_would_decide(confidence: float, word: str) -> None:
    found = decide_vote(a_vote_case(theories(word, confidence), miss_side(Strategy.V6, "no_model: none")))
    leans = word != "HOLD" and round(confidence, 6) > 0.5
    assert found.leaning is (Direction[word] if leans else HOLD)
    assert found.confidence == pytest.approx(max(confidence, 0.5) if word != "HOLD" else 0.5, abs=1e-6)


@given(pairs, st.sampled_from(["v7", "v6"]))
def test_what_it_would_be_without_a_side_is_what_the_other_alone_decides(pair: tuple[Side, Side], gone: str) -> None:
    found = decide_vote(a_vote_case(*pair), without=gone)
    alone = decide_vote(a_vote_case(*(each for each in pair if each.strategy.value != gone)))
    assert found == alone


def test_the_theories_side_is_their_decision_before_any_limit() -> None:
    weak = decide(a_case(readings_of(kalman_filter=0.6)))
    assert weak.direction is HOLD
    side = take_side(weak)
    assert (side.strategy, side.leaning, side.problem) == (Strategy.V7, BUY, None)
    assert side.confidence == weak.confidence
    assert side.words == weak.reasoning


@pytest.mark.parametrize("variant", list(Variant))
def test_theories_whose_call_to_the_language_model_failed_have_no_side(variant: Variant) -> None:
    failed = decide(a_case(readings_of(kalman_filter=1.0), reply=Refusal("llm_timeout", "late"), variant=variant))
    side = take_side(failed)
    assert (side.leaning, side.confidence, side.problem) == (HOLD, 0.0, "llm_timeout: late")


def test_models_that_do_not_speak_have_no_side() -> None:
    side = take_side(decide_ensemble(an_ensemble_case(nobody_promoted())))
    assert side.strategy is Strategy.V6
    assert str(side.problem).startswith("no_model: ")
    silent = take_side(decide_ensemble(an_ensemble_case(an_outlook(None, None, None))))
    assert str(silent.problem).startswith("models_silent: ")


def test_theories_on_doubtful_ground_have_no_side() -> None:
    gone = ("autocorrelation", "hurst_exponent", "kalman_filter", "market_context", "market_regime", "markov_regime")
    few = decide(a_case(readings_of(silent=gone), missing=gone, reply=a_verdict("BUY", 0.9)))
    assert [each.reason for each in few.degradations] == ["too_few_theories"]
    assert str(take_side(few).problem).startswith("too_few_theories: ")


def test_a_long_reasoning_is_cut_for_the_vote() -> None:
    said = decide_ensemble(an_ensemble_case(an_outlook(0.8, 0.8, 0.8, line=STRAIGHT)))
    side = take_side(replace(said, reasoning="word " * 100))
    assert len(side.words) <= 160
    assert side.words.endswith("...")


def test_a_vote_is_a_case_of_its_own() -> None:
    case: VoteCase = a_vote_case(theories(), models())
    assert decide_case(case) == decide_vote(case)
    assert decide_case(case).strategy is Strategy.VOTE
    assert decide_case(case, without="v7") == decide_vote(case, without="v7")
