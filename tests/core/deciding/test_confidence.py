"""How sure is sure enough: tiers, the threshold that trades raise and nothing lowers, and what confidence was worth."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.deciding.confidence import TierRecord, calibrate, profile_threshold, raise_threshold, tier_of
from core.deciding.decision import decide
from core.signal import Mode, Variant
from core.trade import Direction, Tier
from tests.core.cases import a_case, a_verdict, readings_of

BUY, HOLD = Direction.BUY, Direction.HOLD
MODEL = Variant.V7_DEEPSEEK_ONLY


@pytest.mark.parametrize(
    ("confidence", "tier"),
    [(1.0, Tier.HIGH), (0.75, Tier.HIGH), (0.7499, Tier.MEDIUM), (0.65, Tier.MEDIUM), (0.55, Tier.LOW), (0.5499, None)],
)
def test_tiers_begin_at_their_floors(confidence: float, tier: Tier | None) -> None:
    assert tier_of(confidence) is tier


def test_below_the_threshold_it_is_a_hold_that_keeps_its_tier_and_names_value_and_limit() -> None:
    found = decide(a_case(readings_of(), reply=a_verdict("BUY", 0.64), variant=MODEL))
    assert (found.direction, found.leaning, found.tier, found.levels) == (HOLD, BUY, Tier.LOW, None)
    (veto,) = found.vetoes
    assert (veto.rule, veto.value, veto.limit) == ("confidence_threshold", "0.6400", "0.6500")


@pytest.mark.parametrize("missing", [1e-5, 1e-9, 1.2e-16])
def test_a_confidence_that_is_just_not_enough_is_shown_with_the_digits_that_say_so(missing: float) -> None:
    found = decide(a_case(readings_of(), reply=a_verdict("BUY", 0.65 - missing), variant=MODEL))
    (veto,) = found.vetoes
    assert float(veto.value) < float(veto.limit) == 0.65
    assert f"confidence {veto.value} is not enough, {veto.limit} is needed" in veto.detail


def test_the_same_readings_differ_in_the_two_modes() -> None:
    readings = readings_of(kalman_filter=0.6)  # 60 %
    outcomes = []
    for mode in Mode:
        threshold = raise_threshold(profile_threshold(mode, 0.65), {})
        outcomes.append(decide(a_case(readings, threshold=threshold)).direction)
    assert outcomes == [HOLD, BUY]


def test_aggressive_asks_for_less_and_never_for_more() -> None:
    assert profile_threshold(Mode.CONSERVATIVE, 0.65) == 0.65
    assert profile_threshold(Mode.AGGRESSIVE, 0.75) == 0.55


GOOD, BAD = TierRecord(60, 40, 0.45), TierRecord(40, 60, 0.45)


@pytest.mark.parametrize(
    ("profile", "records", "value", "is_open"),
    [
        (0.65, {}, 0.65, True),
        (0.65, {Tier.MEDIUM: GOOD}, 0.65, True),
        (0.65, {Tier.MEDIUM: TierRecord(0, 0, 0.45)}, 0.65, True),
        (0.65, {Tier.LOW: BAD}, 0.65, True),
        (0.65, {Tier.LOW: GOOD}, 0.65, True),
        (0.65, {Tier.MEDIUM: BAD}, 0.75, True),
        (0.65, {Tier.MEDIUM: BAD, Tier.HIGH: GOOD}, 0.75, True),
        (0.55, {Tier.LOW: BAD}, 0.65, True),
        (0.55, {Tier.LOW: BAD, Tier.MEDIUM: BAD}, 0.75, True),
        (0.70, {Tier.MEDIUM: GOOD}, 0.70, True),
        (0.70, {Tier.MEDIUM: BAD}, 0.75, True),
        (0.80, {Tier.HIGH: GOOD, Tier.MEDIUM: BAD}, 0.80, True),
        (0.65, {Tier.MEDIUM: BAD, Tier.HIGH: BAD}, 1.0, False),
    ],
)
def test_the_threshold_rises_to_the_lowest_tier_that_pays(
    profile: float, records: dict[Tier, TierRecord], value: float, is_open: bool
) -> None:
    found = raise_threshold(profile, records)
    assert (found.value, found.open) == (value, is_open)


RECORDS = st.builds(TierRecord, st.integers(0, 300), st.integers(0, 300), st.none() | st.floats(0.2, 0.8))


@settings(deadline=None)
@given(st.floats(0.55, 1.0), st.dictionaries(st.sampled_from(Tier), RECORDS))
def test_the_threshold_never_falls_below_the_profiles(profile: float, records: dict[Tier, TierRecord]) -> None:
    found = raise_threshold(profile, records)
    assert profile <= found.value <= 1.0
    assert found.open or not found.allows(1.0)


def test_where_no_tier_pays_no_confidence_is_enough() -> None:
    threshold = raise_threshold(0.65, {Tier.MEDIUM: BAD, Tier.HIGH: BAD})
    found = decide(a_case(readings_of(), reply=a_verdict("BUY", 1.0), variant=MODEL, threshold=threshold))
    assert found.direction is HOLD
    assert found.vetoes[0].limit == "none"
    assert "no tier pays: medium" in found.vetoes[0].detail


def test_what_a_confidence_was_worth_is_told_only_after_enough_trades() -> None:
    assert calibrate(None) is None
    assert calibrate(TierRecord(60, 39)) is None
    assert calibrate(TierRecord(60, 40)) == pytest.approx(61 / 102)
