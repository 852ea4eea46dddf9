"""What the models say together: a mean of those that speak, calibrated only where a line is for just these."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ensemble import Forecast, Line, Outlook, calibrate, combine, find_line, leave_out, quantise
from core.models.calibration import Platt, log_odds
from core.models.weighting import KINDS, USUAL, Weights
from tests.core.ensemble_cases import ALL, STRAIGHT, an_outlook

STEP = 1e-6
chances = st.integers(0, 1_000_000).map(lambda place: place / 1_000_000)
answers = st.none() | chances
weightings = (
    st.tuples(*[st.integers(0, 100)] * 3).filter(any).map(lambda each: Weights(*(part / sum(each) for part in each)))
)
outlooks = st.builds(
    lambda said, weights: an_outlook(*said, weights=weights), st.tuples(answers, answers, answers), weightings
)


def test_the_house_weights_are_those_of_the_contract() -> None:
    found = combine(an_outlook(0.6, 0.7, 0.8))
    assert found.raw == pytest.approx(0.35 * 0.6 + 0.40 * 0.7 + 0.25 * 0.8)
    assert [each.weight for each in found.members] == [0.35, 0.4, 0.25]
    assert (found.coverage, found.calibrated, found.probability, found.horizon_minutes) == (1.0, False, found.raw, 15)


@pytest.mark.parametrize("present", [set(each) for size in (1, 2, 3) for each in combinations(KINDS, size)])
def test_models_that_are_silent_are_left_out_and_the_weights_renormalised(present: set[str]) -> None:
    chance = {"lstm": 0.9, "transformer": 0.6, "ppo": 0.2}
    found = combine(an_outlook(*(chance[kind] if kind in present else None for kind in KINDS)))
    share = sum(USUAL.of(kind) for kind in present)
    assert found.raw == pytest.approx(sum(USUAL.of(kind) * chance[kind] for kind in present) / share, abs=STEP)
    assert found.coverage == pytest.approx(share, abs=STEP)
    for each in found.members:
        assert each.weight == pytest.approx(USUAL.of(each.kind) / share if each.kind in present else 0.0, abs=STEP)
        assert (each.problem is None) is (each.kind in present)


@given(outlooks)
def test_the_mean_lies_between_the_lowest_and_the_highest_of_those_that_count(outlook: Outlook) -> None:
    found = combine(outlook)
    counted = [each.probability for each in outlook.forecasts if each.kind in outlook.speaking]
    if not counted:
        assert (found.probability, found.raw, found.coverage, found.calibrated) == (None, None, 0.0, False)
        assert [each.weight for each in found.members] == [0.0, 0.0, 0.0]
        return
    assert found.raw is not None
    assert min(counted) <= found.raw <= max(counted)
    assert math.fsum(each.weight for each in found.members) == pytest.approx(1.0, abs=3 * STEP)
    assert 0.0 < found.coverage <= 1.0
    assert found.raw == round(found.raw, 6)


@given(outlooks)
def test_a_rise_and_a_fall_are_told_alike(outlook: Outlook) -> None:
    turned = tuple(
        each if each.probability is None else replace(each, probability=round(1.0 - each.probability, 6))
        for each in outlook.forecasts
    )
    up, down = combine(outlook), combine(replace(outlook, forecasts=turned))
    if up.raw is not None and down.raw is not None:
        assert down.raw == pytest.approx(1.0 - up.raw, abs=1.5 * STEP)
    assert down.coverage == up.coverage


@given(outlooks, st.sampled_from(KINDS), chances)
def test_the_mean_never_falls_when_one_model_is_surer_of_a_rise(outlook: Outlook, kind: str, chance: float) -> None:
    def raised(each: Forecast) -> Forecast:
        if each.kind != kind or each.probability is None:
            return each
        return replace(each, probability=max(each.probability, chance))

    before = combine(outlook).raw
    after = combine(replace(outlook, forecasts=tuple(map(raised, outlook.forecasts)))).raw
    assert (before is None) is (after is None)
    assert before is None or (after is not None and after >= before)


def test_a_model_without_weight_speaks_and_has_no_part() -> None:
    weights = Weights(0.5, 0.5, 0.0)
    with_ppo, without = (combine(an_outlook(0.6, 0.7, ppo, weights=weights)) for ppo in (0.1, None))
    assert (with_ppo.raw, with_ppo.coverage) == (without.raw, 1.0)
    assert with_ppo.members[2].probability == 0.1
    assert with_ppo.members[2].weight == 0.0
    alone = combine(an_outlook(None, None, 0.9, weights=weights))
    assert (alone.probability, alone.raw, alone.coverage) == (None, None, 0.0)


def test_shares_that_are_rounded_up_never_lift_a_mean_above_certainty() -> None:
    weights = Weights(1 / 6, 1 / 6, 2 / 3)
    found = combine(an_outlook(1.0, 1.0, 1.0, weights=weights))
    assert sum(each.weight for each in found.members) > 1.0
    assert found.raw == 1.0


@pytest.mark.parametrize("kinds", [each for size in (1, 2, 3) for each in combinations(KINDS, size)])
def test_only_the_line_of_just_the_speaking_models_calibrates(kinds: tuple[str, ...]) -> None:
    line = Line(tuple(reversed(kinds)), 0.5, 0.1)
    for size in (1, 2, 3):
        for present in combinations(KINDS, size):
            said = (0.9 if kind in present else None for kind in KINDS)
            found = combine(an_outlook(*said, line=line))
            assert found.calibrated is (set(present) == set(kinds))
            expected = float(Platt(0.5, 0.1).apply(log_odds(0.9))) if found.calibrated else 0.9
            assert found.probability == pytest.approx(expected, abs=STEP)
            assert found.raw == 0.9


def test_a_line_counts_only_the_models_that_have_a_weight() -> None:
    line = Line(("lstm", "transformer"), 1.0, 0.5)
    found = combine(an_outlook(0.6, 0.6, 0.6, weights=Weights(0.5, 0.5, 0.0), line=line))
    assert found.calibrated
    assert found.probability == pytest.approx(1.0 / (1.0 + math.exp(-(math.log(1.5) + 0.5))), abs=STEP)


@given(chances, st.floats(0.0, 5.0), st.floats(-3.0, 3.0))
def test_a_calibrated_mean_is_a_chance_on_the_grid(chance: float, slope: float, intercept: float) -> None:
    found = calibrate(Line(ALL, slope, intercept), chance)
    assert 0.0 <= found <= 1.0
    assert found == round(found, 6)


@given(chances)
def test_a_straight_line_leaves_a_mean_as_it_is(chance: float) -> None:
    assert calibrate(STRAIGHT, chance) == pytest.approx(chance, abs=STEP)


@pytest.mark.parametrize(
    ("value", "kept"), [(0.1234564, 0.123456), (0.1234567, 0.123457), (-1e-9, 0.0), (1.0000001, 1.0)]
)
def test_an_answer_is_kept_no_finer_than_every_processor_agrees_on(value: float, kept: float) -> None:
    assert quantise(value) == kept
    assert quantise(kept) == kept


@given(st.floats(0.01, 0.99), st.floats(-1e-8, 1e-8))
def test_the_last_bits_of_an_answer_move_what_is_kept_by_one_step_at_most(chance: float, noise: float) -> None:
    assert abs(quantise(chance + noise) - quantise(chance)) <= 1.01 * STEP


def test_without_one_model_the_line_of_the_others_holds() -> None:
    spare = (Line(("lstm", "ppo"), 1.0, 0.5), Line(("lstm", "transformer"), 1.0, -0.5))
    outlook = an_outlook(0.6, 0.7, 0.8, line=STRAIGHT, spare_lines=spare)
    assert leave_out(outlook, "transformer").line == spare[0]
    assert leave_out(outlook, "ppo").line == spare[1]
    bare = leave_out(outlook, "lstm")
    assert (bare.line, bare.speaking) == (None, {"transformer", "ppo"})
    assert not combine(bare).calibrated
    assert combine(leave_out(outlook, "ppo")).calibrated


def test_leaving_out_who_does_not_speak_changes_no_number() -> None:
    outlook = an_outlook(0.6, None, 0.8, line=Line(("lstm", "ppo"), 2.0, 0.0))
    again = combine(leave_out(outlook, "transformer"))
    assert (again.probability, again.calibrated) == (combine(outlook).probability, True)


def test_a_line_is_found_by_its_kinds_in_any_order() -> None:
    lines = (Line(("ppo", "lstm"), 1.0, 0.0), STRAIGHT)
    assert find_line(frozenset({"lstm", "ppo"}), lines) is lines[0]
    assert find_line(frozenset({"lstm"}), lines) is None


def test_an_outlook_is_staffed_where_any_model_is_promoted_even_if_all_are_silent() -> None:
    silent = an_outlook(None, None, None)
    assert silent.is_staffed
    empty = tuple(replace(each, version="") for each in silent.forecasts)
    assert not replace(silent, forecasts=empty).is_staffed
