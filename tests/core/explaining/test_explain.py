"""An explanation is true: the change it names, applied, gives the outcome it names, and a smaller one does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analyzers import discover
from core.deciding.confidence import Threshold
from core.deciding.decision import Case, decide
from core.deciding.levels import Yardstick
from core.deciding.synthesis import NEVER_VOTE, Rule
from core.explaining.explain import CONFIDENCE, apply_change, explain, find_change
from core.explaining.explanation import Change
from core.signal import Refusal, Synthesis, Variant, Verdict, Veto
from core.trade import Direction
from tests.core.cases import NO_KEY, YARDSTICK, a_case, a_verdict, readings_of

BUY, SELL, HOLD = Direction.BUY, Direction.SELL, Direction.HOLD
VOTERS = [name for name in discover() if name not in NEVER_VOTE]
VOTES = st.fixed_dictionaries({}, optional=dict.fromkeys(VOTERS, st.floats(-1.0, 1.0)))
VERDICTS = st.builds(
    Verdict, st.sampled_from(Direction), st.floats(0.0, 1.0), st.just("Why."), st.none(), st.just(Synthesis.LLM)
)
WEIGHTS = st.builds(
    Rule, st.dictionaries(st.sampled_from(VOTERS), st.floats(-3.0, 3.0)), st.just(1.0), st.just("drawn")
)
CASES = st.builds(
    lambda votes, ordered, **rest: a_case(readings_of(ordered=ordered, **votes), **rest),
    VOTES,
    st.booleans(),
    reply=st.just(NO_KEY) | VERDICTS,
    variant=st.sampled_from(Variant),
    threshold=st.builds(Threshold, st.floats(0.55, 1.0), st.just(True), st.just("")),
    rule=WEIGHTS,
)


@settings(deadline=None)
@given(CASES)
def test_the_change_applied_gives_the_outcome_it_names(case: Case) -> None:
    change = explain(case).change
    if change is not None:
        assert change.outcome is not decide(case).direction
        assert decide(apply_change(case, change)).direction is change.outcome
        assert (0.0 if change.what == CONFIDENCE else -1.0) <= change.after <= 1.0


@settings(deadline=None)
@given(CASES, st.floats(0.0, 0.99), st.sampled_from([*VOTERS, CONFIDENCE]), st.sampled_from([-1.0, 1.0]))
def test_no_smaller_change_of_any_one_number_gives_another_outcome(
    case: Case, share: float, what: str, side: float
) -> None:
    found = find_change(case)
    reach = 2.0 if found is None else abs(found.after - found.before) - 2e-6
    if what == CONFIDENCE:
        if not isinstance(case.reply, Verdict):
            return
        before, low = case.reply.confidence, 0.0
    else:
        before, low = next(each.vote for each in case.analysis.readings if each.theory == what), -1.0
    after = min(max(before + side * share * max(reach, 0.0), low), 1.0)
    tried = apply_change(case, Change(what, before, after, HOLD))
    assert decide(tried).direction is decide(case).direction


def test_a_weak_lean_is_told_what_it_lacked() -> None:
    found = explain(a_case(readings_of(kalman_filter=0.6)))
    assert found.direction is HOLD
    assert found.stopped_by is not None
    assert found.stopped_by.rule == "confidence_threshold"
    assert found.change is not None
    assert (found.change.what, found.change.outcome) == ("autocorrelation", BUY)
    assert found.change.after == pytest.approx(0.8931 - 0.6, abs=1e-4)  # log2(0.65 / 0.35) full votes are needed
    assert [vote.theory for vote in found.moved] == ["kalman_filter"]
    assert any("Stopped by the rule confidence_threshold: confidence 0.6025" in line for line in found.sentences)
    assert any("the vote of Autocorrelation at 0.2931 instead of 0.0000" in line for line in found.sentences)


def test_a_signal_is_told_what_would_have_stopped_it_and_which_theory_carried_it() -> None:
    found = explain(a_case(readings_of(kalman_filter=1.0)))
    assert (found.direction, found.stopped_by, found.without) == (BUY, None, ("kalman_filter",))
    assert found.change is not None
    assert found.change.outcome is HOLD
    assert found.sentences[0] == (
        "BUY before any limit, confidence 66.7%: no_key: no key is set; rule with equal weights."
    )
    assert "Kalman filter voted +1.00 and moved the odds 2.00 times up: kalman_filter speaks." in found.sentences
    assert "The filters call 100% of the window chance: a vote counts 0.50 times." in found.sentences
    assert "Without one of these theories it would have been another decision: Kalman filter." in found.sentences


def test_the_models_own_verdict_turns_on_its_confidence_alone() -> None:
    case = a_case(readings_of(kalman_filter=1.0), reply=a_verdict("SELL", 0.7), variant=Variant.V7_DEEPSEEK_ONLY)
    found = explain(case)
    assert found.change is not None
    assert (found.change.what, found.change.before, found.change.outcome) == (CONFIDENCE, 0.7, HOLD)
    assert found.change.after == pytest.approx(0.65, abs=1e-9)
    assert "The language model read these votes; they did not decide." in found.sentences


@pytest.mark.parametrize(
    "case",
    [
        a_case(readings_of(kalman_filter=1.0), reply=Refusal("timeout", "no answer in 20 s")),
        a_case(readings_of(kalman_filter=1.0), threshold=Threshold(1.0, False, "no tier pays")),
        a_case(readings_of(kalman_filter=1.0), yardstick=Yardstick(YARDSTICK.close, YARDSTICK.atr * 0)),
        a_case(readings_of(), reply=a_verdict("HOLD", 0.9), variant=Variant.V7_DEEPSEEK_ONLY),
        a_case(readings_of(silent=tuple(VOTERS[1:])), missing=tuple(VOTERS[1:])),
    ],
    ids=["failed call", "no tier pays", "market stands still", "the model held", "too few theories"],
)
def test_where_no_single_number_decides_it_says_so(case: Case) -> None:
    found = explain(case)
    assert found.change is None
    assert "No change of one vote or of the confidence would have changed the outcome." in found.sentences


def test_a_rule_of_the_account_is_named_before_all_others_and_no_vote_lifts_it() -> None:
    kill = Veto("kill_switch", "pause", "off", "the kill switch is set")
    found = explain(a_case(readings_of(kalman_filter=1.0)), vetoes=(kill,))
    assert (found.direction, found.stopped_by, found.change) == (HOLD, kill, None)
    assert "Stopped by the rule kill_switch: the kill switch is set." in found.sentences


def test_theories_are_told_strongest_first() -> None:
    case = a_case(readings_of(stationarity=-0.2, kalman_filter=0.9, hurst_exponent=0.4))
    assert [vote.theory for vote in explain(case).moved] == ["kalman_filter", "hurst_exponent", "stationarity"]
    assert replace(case) == case
