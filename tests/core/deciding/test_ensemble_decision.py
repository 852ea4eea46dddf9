"""The models decide: from which chance on, how sure without calibration, and what stands there where nobody speaks."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.deciding.confidence import FLOORS, Threshold, tier_of
from core.deciding.ensemble_decision import CEILING, EnsembleCase, decide_ensemble, model_versions, without_theories
from core.deciding.lean import Part, mean_of, share_pulls
from core.deciding.levels import Yardstick
from core.deciding.strategies import decide_case
from core.ensemble import Line
from core.models.weighting import KINDS, Weights
from core.signal import Strategy, Synthesis, Version
from core.trade import Direction, Levels, Tier
from tests.core.cases import NO_KEY, a_case, a_reading, an_analysis, readings_of
from tests.core.ensemble_cases import STRAIGHT, an_ensemble_case, an_outlook, nobody_promoted

BUY, SELL, HOLD = Direction.BUY, Direction.SELL, Direction.HOLD
ANY = Threshold(0.55, True, "aggressive")
chances = st.integers(0, 1_000_000).map(lambda place: place / 1_000_000)
answers = st.none() | chances
lines = st.none() | st.builds(
    Line,
    st.sets(st.sampled_from(KINDS), min_size=1).map(tuple),
    st.floats(0.0, 3.0),
    st.floats(-2.0, 2.0),
)
cases = st.builds(
    lambda said, line, least, is_open: an_ensemble_case(
        an_outlook(*said, line=line), threshold=Threshold(least, is_open, "drawn")
    ),
    st.tuples(answers, answers, answers),
    lines,
    st.floats(0.5, 1.0),
    st.booleans(),
)


def calibrated(*said: float, **settings: object) -> EnsembleCase:
    """A case of three models whose mean is worth what it says."""
    return an_ensemble_case(an_outlook(*said, line=STRAIGHT), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chance", "direction", "tier"),
    [
        (0.75, BUY, Tier.HIGH),
        (0.7499, BUY, Tier.MEDIUM),
        (0.65, BUY, Tier.MEDIUM),
        (0.6499, HOLD, Tier.LOW),
        (0.55, HOLD, Tier.LOW),
        (0.5499, HOLD, None),
        (0.4501, HOLD, None),
        (0.45, HOLD, Tier.LOW),
        (0.3501, HOLD, Tier.LOW),
        (0.35, SELL, Tier.MEDIUM),
        (0.25, SELL, Tier.HIGH),
        (0.0, SELL, Tier.HIGH),
        (1.0, BUY, Tier.HIGH),
    ],
)
def test_a_calibrated_mean_decides_at_the_threshold_and_its_tier_is_kept_below_it(
    chance: float, direction: Direction, tier: Tier | None
) -> None:
    found = decide_ensemble(calibrated(chance, chance, chance))
    assert (found.direction, found.tier) == (direction, tier)
    assert found.confidence == pytest.approx(max(chance, 1.0 - chance), abs=1e-6)
    assert [veto.rule for veto in found.vetoes] == ([] if direction is not HOLD else ["confidence_threshold"])
    assert (found.leaning is BUY) is (chance > 0.5)


def test_a_buy_has_the_rules_levels_and_says_who_carried_it() -> None:
    found = decide_ensemble(calibrated(0.9, 0.8, 0.4))
    assert found.levels == Levels(Decimal(50000), Decimal(49850), Decimal(50225))
    assert (found.strategy, found.synthesis, found.variant) == (Strategy.V6, Synthesis.RULES, None)
    assert found.synthesis_reason == (
        "ensemble of lstm-1a2b3c4d + transformer-1a2b3c4d + ppo-1a2b3c4d, 100% of the weights: "
        "mean 0.7350, calibrated 0.7350"
    )
    assert found.reasoning == "74% for a rise within 15 minutes. LSTM 90% up, Transformer 80% up, PPO 40% up."
    assert found.ensemble is not None
    assert found.ensemble.probability == 0.735
    assert (found.coverage, found.degradations, found.vetoes) == (1.0, (), ())


def test_a_sell_has_its_stop_above() -> None:
    found = decide_ensemble(calibrated(0.2, 0.2, 0.2))
    assert found.levels == Levels(Decimal(50000), Decimal(50150), Decimal(49775))
    assert found.reasoning.startswith("80% for a fall within 15 minutes.")


@pytest.mark.parametrize("chance", [1.0, 0.9, 0.65, 0.35, 0.1, 0.0])
def test_without_calibration_no_confidence_reaches_the_medium_tier_and_the_reason_says_so(chance: float) -> None:
    found = decide_ensemble(an_ensemble_case(an_outlook(chance, chance, chance)))
    assert found.confidence == CEILING == 0.6499
    assert (found.direction, found.tier) == (HOLD, Tier.LOW)
    told = "not calibrated (there is no line for lstm + transformer + ppo; remedy: crpbot calibrate --coin BTC)"
    assert told in found.synthesis_reason
    assert "its confidence is at most 0.6499" in found.synthesis_reason
    bold = decide_ensemble(an_ensemble_case(an_outlook(chance, chance, chance), threshold=ANY))
    assert (bold.direction, bold.tier) == (BUY if chance > 0.5 else SELL, Tier.LOW)


def test_the_line_of_other_models_does_not_calibrate() -> None:
    found = decide_ensemble(an_ensemble_case(an_outlook(0.9, None, 0.9, line=STRAIGHT)))
    assert found.confidence == CEILING
    assert "there is no line for lstm + ppo; remedy: " in found.synthesis_reason
    lone = decide_ensemble(an_ensemble_case(an_outlook(0.9, None, None, line=STRAIGHT)))
    assert "there is no line for lstm), so" in lone.synthesis_reason, "its own line comes from training"


def test_one_model_that_speaks_is_enough_and_the_answer_says_how_much_of_the_weights_it_is() -> None:
    found = decide_ensemble(an_ensemble_case(an_outlook(None, None, 0.8, line=Line(("ppo",), 1.0, 0.0))))
    assert (found.direction, found.coverage, found.degradations) == (BUY, 0.25, ())
    assert found.reasoning == "80% for a rise within 15 minutes. PPO 80% up. Without LSTM, Transformer."
    assert [vote.problem for vote in found.votes] == ["the last minute is 90 s old"] * 2 + [None]
    assert "25% of the weights" in found.synthesis_reason


def test_where_no_model_is_promoted_it_holds_and_names_the_commands() -> None:
    found = decide_ensemble(an_ensemble_case(nobody_promoted()))
    assert (found.direction, found.leaning, found.confidence, found.tier, found.levels) == (HOLD, HOLD, 0.0, None, None)
    (doubt,) = found.degradations
    assert doubt.reason == "no_model"
    for kind in KINDS:
        assert f"no {kind} is promoted for BTC-USD; remedy: crpbot train {kind}" in doubt.detail
    assert (found.synthesis, found.coverage, found.vetoes) == (Synthesis.NONE, 0.0, ())
    assert found.ensemble is not None
    assert found.ensemble.probability is None


def test_where_the_promoted_models_do_not_speak_it_holds_and_says_why() -> None:
    outlook = an_outlook(None, None, None)
    bare = replace(outlook.forecasts[2], version="", problem="no ppo is promoted")
    found = decide_ensemble(an_ensemble_case(replace(outlook, forecasts=(*outlook.forecasts[:2], bare))))
    (doubt,) = found.degradations
    assert doubt.reason == "models_silent"
    assert doubt.detail == (
        "lstm-1a2b3c4d does not speak: the last minute is 90 s old; "
        "transformer-1a2b3c4d does not speak: the last minute is 90 s old"
    )


def test_a_model_that_alone_speaks_and_has_no_weight_decides_nothing() -> None:
    found = decide_ensemble(an_ensemble_case(an_outlook(None, None, 0.9, weights=Weights(0.5, 0.5, 0.0))))
    assert (found.direction, found.confidence) == (HOLD, 0.0)
    assert "ppo-1a2b3c4d speaks, and has no weight" in found.degradations[0].detail


def test_models_that_cancel_out_hold_without_a_tier_or_a_veto() -> None:
    found = decide_ensemble(an_ensemble_case(an_outlook(0.7, None, 0.22)))  # 0.35 and 0.25 of the weight
    assert found.ensemble is not None
    assert found.ensemble.raw == 0.5
    assert (found.direction, found.leaning, found.tier, found.vetoes) == (HOLD, HOLD, None, ())
    assert found.reasoning.startswith("The models see a rise and a fall within 15 minutes as equally likely.")


def test_a_market_that_stands_still_has_no_levels_for_a_model_either() -> None:
    still = Yardstick(Decimal(50000), Decimal(0))
    found = decide_ensemble(calibrated(0.9, 0.9, 0.9, yardstick=still))
    assert (found.direction, found.levels, found.tier) == (HOLD, None, Tier.HIGH)
    assert [veto.rule for veto in found.vetoes] == ["level_range"]


def test_where_no_tier_pays_no_chance_is_enough() -> None:
    found = decide_ensemble(calibrated(1.0, 1.0, 1.0, threshold=Threshold(1.0, False, "no tier pays")))
    assert found.direction is HOLD
    assert found.vetoes[0].limit == "none"


def test_a_vote_is_twice_the_chance_less_one_and_its_words_say_what_the_model_said() -> None:
    found = decide_ensemble(calibrated(0.9, 0.8, 0.4))
    assert [(vote.theory, vote.vote) for vote in found.votes] == [("lstm", 0.8), ("transformer", 0.6), ("ppo", -0.2)]
    assert found.votes[0].words == ("lstm-1a2b3c4d says 90.0% for a rise, 90.0% by its own calibration; it counts 35%.")
    assert math.fsum(vote.pull for vote in found.votes) == pytest.approx(math.log(0.735 / 0.265), abs=1e-5)


@pytest.mark.parametrize(
    ("said", "intercept", "words"),
    [
        (0.48, 0.5, "60% for a rise within 15 minutes, calibrated from 48%. LSTM 48% up"),
        (0.48, -0.5, "64% for a fall within 15 minutes, calibrated from 52%. LSTM 48% up"),
        (0.48, 0.0, "52% for a fall within 15 minutes. LSTM 48% up"),
    ],
)
def test_where_a_calibrated_chance_reads_otherwise_than_the_mean_the_reasoning_names_both(
    said: float, intercept: float, words: str
) -> None:
    found = decide_ensemble(an_ensemble_case(an_outlook(said, said, said, line=Line(KINDS, 1.0, intercept))))
    assert found.reasoning.startswith(words)
    assert math.fsum(vote.pull for vote in found.votes) == pytest.approx(math.log(said / (1 - said)), abs=1e-5)


def test_a_mean_that_is_worth_nothing_says_what_it_was() -> None:
    found = decide_ensemble(an_ensemble_case(an_outlook(0.6, 0.6, 0.6, line=Line(KINDS, 0.0, 0.0))))
    told = "The models see a rise and a fall within 15 minutes as equally likely, calibrated from 60% for a rise."
    assert found.reasoning.startswith(told)


@given(cases)
def test_every_outcome_follows_from_the_chance(case: EnsembleCase) -> None:
    found = decide_ensemble(case)
    ensemble = found.ensemble
    assert ensemble is not None
    assert found == decide_ensemble(case)
    assert (found.direction is not HOLD) is (found.levels is not None)
    if ensemble.probability is None:
        assert found.degradations
        return
    sure = max(ensemble.probability, 1.0 - ensemble.probability)
    assert found.confidence == pytest.approx(sure if ensemble.calibrated else min(sure, CEILING), abs=1e-9)
    assert found.tier is (tier_of(found.confidence) if found.leaning is not HOLD else None)
    if not ensemble.calibrated:
        assert found.tier in {None, Tier.LOW}
    passes = case.threshold.open and found.confidence >= case.threshold.value and found.leaning is not HOLD
    assert (found.direction is found.leaning) is (passes or found.leaning is HOLD)


@given(cases)
def test_turned_upside_down_the_models_decide_the_other_way(case: EnsembleCase) -> None:
    forecasts = tuple(
        each if each.probability is None else replace(each, probability=round(1.0 - each.probability, 6))
        for each in case.outlook.forecasts
    )
    plain = replace(case.outlook, line=None)
    up = decide_ensemble(replace(case, outlook=plain))
    down = decide_ensemble(replace(case, outlook=replace(plain, forecasts=forecasts)))
    assert up.ensemble is not None
    if up.ensemble.raw is None or abs(up.ensemble.raw - 0.5) < 2e-6:
        return
    assert {up.leaning, down.leaning} == {BUY, SELL}
    assert down.confidence == pytest.approx(up.confidence, abs=2e-6)


@given(st.lists(st.tuples(chances, st.floats(0.01, 1.0)), min_size=1, max_size=3))
def test_the_pulls_add_up_to_the_log_odds_of_the_mean(said: list[tuple[float, float]]) -> None:
    total = math.fsum(share for _, share in said)
    parts = [Part(chance, share / total) for chance, share in said]
    pulls = share_pulls(parts)
    mean = math.fsum(each.share * each.probability for each in parts)
    inside = min(max(mean, 1e-9), 1.0 - 1e-9)
    assert math.fsum(pulls) == pytest.approx(math.log(inside / (1.0 - inside)), abs=1e-5)
    assert all(pull * (each.probability - 0.5) >= 0.0 for pull, each in zip(pulls, parts, strict=True))
    assert mean_of(parts) == pytest.approx(mean, abs=1e-6)


@given(cases, st.sampled_from(KINDS))
def test_what_it_would_be_without_a_model_is_what_the_others_alone_decide(case: EnsembleCase, kind: str) -> None:
    said = tuple(None if each.kind == kind else each.probability for each in case.outlook.forecasts)
    alone = decide_ensemble(replace(case, outlook=an_outlook(*said)))
    found = decide_ensemble(replace(case, outlook=replace(case.outlook, line=None)), without=kind)
    assert (found.direction, found.confidence, found.coverage) == (alone.direction, alone.confidence, alone.coverage)


def test_a_model_on_trial_has_no_effect() -> None:
    case = calibrated(0.9, 0.8, 0.4)
    trial = replace(case.outlook.forecasts[0], version="lstm-99999999", probability=0.01)
    tried = replace(case, outlook=replace(case.outlook, candidates=(trial,)))
    assert decide_ensemble(tried) == decide_ensemble(case)


def test_only_the_versions_that_had_a_part_are_named() -> None:
    outlook = an_outlook(0.6, None, 0.7, weights=Weights(0.5, 0.5, 0.0))
    assert model_versions(outlook) == (Version("lstm", "lstm-1a2b3c4d"),)


def test_the_market_of_a_decision_of_models_carries_no_theories() -> None:
    analysis = an_analysis((a_reading("kalman_filter", 1.0),), missing=("hurst_exponent",))
    ground = without_theories(analysis)
    assert (ground.readings, ground.missing) == ((), ())
    assert replace(ground, readings=analysis.readings, missing=analysis.missing) == analysis


def test_each_kind_of_case_is_decided_in_its_own_way() -> None:
    models = calibrated(0.9, 0.9, 0.9)
    theories = a_case(readings_of(kalman_filter=1.0), reply=NO_KEY)
    assert decide_case(models) == decide_ensemble(models)
    assert decide_case(models).strategy is Strategy.V6
    assert decide_case(theories).strategy is Strategy.V7
    assert decide_case(theories).ensemble is None
    assert decide_case(models, without="lstm").ensemble != decide_case(models).ensemble


def test_the_ceiling_lies_in_the_low_tier() -> None:
    assert tier_of(CEILING) is Tier.LOW
    assert FLOORS[Tier.MEDIUM] > CEILING
