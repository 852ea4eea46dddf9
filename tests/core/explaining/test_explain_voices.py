"""Why models or sides decided so: the change that is named turns the outcome, and no smaller one of any does."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.deciding.confidence import Threshold
from core.deciding.levels import Yardstick
from core.deciding.strategies import decide_case
from core.deciding.vote import VoteCase, miss_side
from core.ensemble import Line
from core.explaining.explain import explain
from core.explaining.voices import VoicedCase, change_voice, find_turn
from core.models.weighting import KINDS, Weights
from core.signal import Strategy, Veto
from core.trade import Direction
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
STEP = 1e-6
ANY = Threshold(0.55, True, "aggressive")
answers = st.none() | st.integers(0, 1_000_000).map(lambda place: place / 1_000_000)
thresholds = st.builds(Threshold, st.floats(0.55, 1.0), st.just(True), st.just("drawn"))
model_cases = st.builds(
    lambda said, slope, intercept, threshold: an_ensemble_case(
        an_outlook(
            *said,
            line=Line(
                tuple(kind for kind, chance in zip(KINDS, said, strict=True) if chance is not None), slope, intercept
            ),
        ),
        threshold=threshold,
    ),
    st.tuples(answers, answers, answers),
    st.floats(0.0, 3.0),
    st.floats(-1.0, 1.0),
    thresholds,
)
side_of = {
    strategy: st.builds(a_side, st.just(strategy), st.sampled_from(["BUY", "SELL", "HOLD"]), st.floats(0.0, 1.0))
    | st.just(miss_side(strategy, "late"))
    for strategy in (Strategy.V7, Strategy.V6)
}
vote_cases = st.builds(
    lambda one, other, threshold: a_vote_case(one, other, threshold=threshold),
    side_of[Strategy.V7],
    side_of[Strategy.V6],
    thresholds,
)
cases = model_cases | vote_cases


def numbers(case: VoicedCase) -> dict[str, float]:
    """What may be changed, by its name."""
    if isinstance(case, VoteCase):
        return {each.strategy.value: each.confidence for each in case.sides if each.problem is None}
    return {each.kind: each.probability for each in case.outlook.forecasts if each.probability is not None}


@settings(deadline=None)
@given(cases)
def test_the_change_applied_gives_the_outcome_it_names(case: VoicedCase) -> None:
    change = explain(case).change
    if change is not None:
        assert change.before == numbers(case)[change.what]
        assert change.outcome is not decide_case(case).direction
        assert decide_case(change_voice(case, change.what, change.after)).direction is change.outcome
        assert 0.0 <= change.after <= 1.0


@settings(deadline=None)
@given(cases, st.floats(0.0, 1.0), st.data())
def test_no_smaller_change_of_any_one_number_gives_another_outcome(
    case: VoicedCase, share: float, data: st.DataObject
) -> None:
    found, voices = find_turn(case), numbers(case)
    if not voices:
        assert found is None
        return
    what, side = data.draw(st.sampled_from(sorted(voices))), data.draw(st.sampled_from([-1.0, 1.0]))
    reach = 1.0 if found is None else max(abs(found.after - found.before) - 2 * STEP, 0.0)
    after = min(max(voices[what] + side * share * reach, 0.0), 1.0)
    if not isinstance(case, VoteCase):
        after = round(after, 6)
    assert decide_case(change_voice(case, what, after)).direction is decide_case(case).direction


def test_a_weak_mean_is_told_what_it_lacked_and_of_whom_least() -> None:
    found = explain(an_ensemble_case(an_outlook(0.6, 0.6, 0.6, line=STRAIGHT)))
    assert (found.direction, found.without) == (HOLD, ())
    assert found.stopped_by is not None
    assert found.stopped_by.rule == "confidence_threshold"
    assert found.change is not None
    assert (found.change.what, found.change.before, found.change.outcome) == ("transformer", 0.6, BUY)
    assert found.change.after == pytest.approx(0.6 + 0.05 / 0.4, abs=2 * STEP)
    assert "With the chance of a rise of Transformer at 0.7250 instead of 0.6000 it would have been BUY." in (
        found.sentences
    )


def test_models_are_told_strongest_first_with_what_they_said_and_who_carried_it() -> None:
    line = Line(("lstm", "transformer"), 1.0, 0.0)
    spare = (Line(("lstm",), 1.0, 0.0), Line(("transformer",), 1.0, 0.0))
    found = explain(an_ensemble_case(an_outlook(0.9, 0.6, None, line=line, spare_lines=spare)))
    assert found.direction is BUY
    assert [vote.theory for vote in found.moved] == ["lstm", "transformer"]
    assert found.without == ("lstm",)
    assert found.sentences[0].startswith("BUY before any limit, confidence 74.0%: ensemble of lstm-1a2b3c4d + ")
    assert found.sentences[1].startswith("LSTM voted +0.80 and moved the odds ")
    assert "PPO had no part: the last minute is 90 s old." in found.sentences
    assert "Without one of these models it would have been another decision: LSTM." in found.sentences


def test_what_the_calibration_moved_has_a_sentence_of_its_own() -> None:
    found = explain(an_ensemble_case(an_outlook(0.48, 0.48, 0.48, line=Line(KINDS, 1.0, 0.5))))
    told = [each for each in found.sentences if each.startswith("Calibration ")]
    assert told == ["Calibration moved the odds 1.65 times up: a mean of 0.4800 is worth 0.6035."]
    assert not any("Calibration" in each for each in explain(an_ensemble_case(an_outlook(0.7, 0.7, 0.7))).sentences)


def test_without_calibration_no_chance_passes_the_threshold_and_the_reason_is_told() -> None:
    found = explain(an_ensemble_case(an_outlook(1.0, 1.0, 0.9)))
    assert (found.direction, found.change) == (HOLD, None)
    assert "No change of the chance of a rise of one of the models would have changed the outcome." in found.sentences
    assert "not calibrated" in found.sentences[0]
    assert explain(an_ensemble_case(an_outlook(0.5, 0.6, 0.5), threshold=ANY)).change is not None


def test_where_no_model_speaks_it_says_so_and_names_each() -> None:
    found = explain(an_ensemble_case(nobody_promoted()))
    assert (found.direction, found.change, found.moved, found.without) == (HOLD, None, (), ())
    assert "Nobody moved the odds of a rise or a fall." in found.sentences
    assert "LSTM had no part: no lstm is promoted for BTC-USD; remedy: crpbot train lstm." in found.sentences


def test_a_model_without_weight_is_neither_told_as_moving_nor_changed() -> None:
    found = explain(an_ensemble_case(an_outlook(0.7, 0.7, 0.1, weights=Weights(0.5, 0.5, 0.0)), threshold=ANY))
    assert [vote.theory for vote in found.moved] == ["lstm", "transformer"]
    assert found.change is not None
    assert found.change.what != "ppo"


def test_a_conflict_is_told_with_the_side_that_would_have_turned_it() -> None:
    case = a_vote_case(theories("BUY", 0.8), models("SELL", 0.7))
    found = explain(case)
    assert [vote.theory for vote in found.moved] == ["v7", "v6"]
    assert found.stopped_by is not None
    assert found.change is not None
    assert (found.change.what, found.change.outcome) == ("v7", BUY)
    assert found.without == ("v7", "v6")
    assert f"With the confidence of V7 at {found.change.after:.4f} instead of 0.8000 it would have been BUY." in (
        found.sentences
    )
    assert "Without one of these sides it would have been another decision: V7, V6." in found.sentences


def test_a_change_is_found_where_more_of_it_would_turn_the_outcome_back() -> None:
    case = a_vote_case(theories("BUY", 0.75), models("BUY", 0.6), threshold=Threshold(0.58, True, "drawn"))
    assert decide_case(case).direction is BUY
    assert decide_case(change_voice(case, "v7", 0.0)).direction is BUY, "the models alone are sure enough"
    found = find_turn(case)
    assert found is not None
    assert (found.what, found.outcome) == ("v7", HOLD)
    assert 0.5 < found.after < 0.6
    assert decide_case(change_voice(case, "v7", found.after + STEP)).direction is BUY


def test_a_missing_side_is_named_and_cannot_be_changed() -> None:
    found = explain(a_vote_case(theories("BUY", 0.8), miss_side(Strategy.V6, "no_model: none")))
    assert "V6 had no part: no_model: none." in found.sentences
    assert found.change is not None
    assert (found.change.what, found.change.outcome) == ("v7", HOLD)
    assert found.change.after == pytest.approx(0.65, abs=2 * STEP)


def test_a_rule_of_the_account_is_named_before_all_others_and_no_voice_lifts_it() -> None:
    kill = Veto("kill_switch", "pause", "off", "the kill switch is set")
    for case in (an_ensemble_case(an_outlook(0.9, 0.9, 0.9, line=STRAIGHT)), a_vote_case(theories(), models())):
        found = explain(case, vetoes=(kill,))
        assert (found.direction, found.stopped_by, found.change) == (HOLD, kill, None)
        assert "Stopped by the rule kill_switch: the kill switch is set." in found.sentences


def test_a_gate_of_prices_is_named_before_the_threshold() -> None:
    still = Yardstick(Decimal(50000), Decimal(0))
    found = explain(an_ensemble_case(an_outlook(0.6, 0.6, 0.6, line=STRAIGHT), yardstick=still))
    assert found.stopped_by is not None
    assert found.stopped_by.rule == "level_range"
    assert found.change is None
