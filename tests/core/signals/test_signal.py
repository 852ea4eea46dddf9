"""A case becomes a decision: who decides, how sure is enough, which prices pass, and what HOLD never carries."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from core.analyzers import discover
from core.deciding.confidence import Threshold
from core.deciding.decision import UNANIMOUS_HOLD, decide, is_model_needed, weigh_case
from core.deciding.levels import Yardstick, check_levels
from core.deciding.synthesis import NEVER_VOTE
from core.signal import Mode, Refusal, RuntimeMode, Signal, Strategy, Synthesis, Unasked, Variant, Verdict, Veto, Vote
from core.signals.case_file import read_case, write_case
from core.trade import Book, Direction, Levels, Tier
from tests.core.cases import AS_OF, GOOD_BUY, NO_KEY, OPEN, YARDSTICK, a_case, a_verdict, readings_of

BUY, SELL, HOLD = Direction.BUY, Direction.SELL, Direction.HOLD
MODEL, MATH = Variant.V7_DEEPSEEK_ONLY, Variant.V7_FULL_MATH
STRONG = {"kalman_filter": 1.0, "stationarity": 0.8}  # 78 % in a market of chance
VOTERS = [name for name in discover() if name not in NEVER_VOTE]


def test_without_a_model_the_rule_decides_says_so_and_carries_no_variant() -> None:
    found = decide(a_case(readings_of(**STRONG)))
    assert (found.direction, found.tier, found.variant) == (BUY, Tier.HIGH, None)
    assert found.synthesis is Synthesis.RULES
    assert found.synthesis_reason == "no_key: no key is set; rule with equal weights"
    assert found.levels == Levels(Decimal(50000), Decimal(49850), Decimal(50225))
    assert found.degradations == ()
    assert "Kalman filter (+1.00)" in found.reasoning


@pytest.mark.parametrize("variant", list(Variant))
def test_a_failed_call_or_a_refused_reply_is_a_degraded_hold(variant: Variant) -> None:
    failure = Refusal("reply_signal", "signal is 'MOON'")
    found = decide(a_case(readings_of(**STRONG), reply=failure, variant=variant))
    assert (found.direction, found.levels, found.tier, found.confidence) == (HOLD, None, None, 0.0)
    assert [each.reason for each in found.degradations] == ["reply_signal"]
    assert found.synthesis is Synthesis.NONE
    assert found.variant is variant


def test_the_models_variant_follows_the_model_against_all_votes() -> None:
    found = decide(a_case(readings_of(**STRONG), reply=a_verdict("SELL", 0.7), variant=MODEL))
    assert (found.direction, found.confidence, found.synthesis) == (SELL, 0.7, Synthesis.LLM)
    assert found.reasoning.startswith("Because of Hurst. Beside it the rule: 78% for a rise.")
    assert decide(a_case(readings_of(), reply=a_verdict("BUY", 0.9), variant=MODEL)).direction is BUY


@pytest.mark.parametrize(
    ("word", "confidence", "direction", "final", "by"),
    [
        ("BUY", 0.95, BUY, 0.776, Synthesis.RULES),  # it cannot raise
        ("BUY", 0.70, BUY, 0.700, Synthesis.LLM),  # it may lower
        ("BUY", 0.60, HOLD, 0.600, Synthesis.LLM),  # below the threshold
        ("HOLD", 0.9, HOLD, 0.776, Synthesis.LLM),  # it may hold
        ("SELL", 0.9, HOLD, 0.776, Synthesis.LLM),  # it cannot turn
    ],
)
def test_in_full_math_the_model_may_only_calm(
    word: str, confidence: float, direction: Direction, final: float, by: Synthesis
) -> None:
    found = decide(a_case(readings_of(**STRONG), reply=a_verdict(word, confidence), variant=MATH))
    assert (found.direction, found.synthesis, found.variant) == (direction, by, MATH)
    assert found.confidence == pytest.approx(final, abs=0.001)


def test_in_full_math_a_silent_rule_stays_silent_whatever_the_model_says() -> None:
    found = decide(a_case(readings_of(), reply=a_verdict("BUY", 1.0), variant=MATH))
    assert (found.direction, found.leaning) == (HOLD, HOLD)


def test_in_full_math_the_prices_are_the_rules() -> None:
    own = Levels(Decimal(50100), Decimal(50000), Decimal(50300))
    found = decide(a_case(readings_of(**STRONG), reply=a_verdict("BUY", 0.9, own), variant=MATH))
    assert found.levels == GOOD_BUY


def test_a_unanimous_hold_spares_the_model_where_that_is_set() -> None:
    silent, leaning = weigh_case(a_case(readings_of())), weigh_case(a_case(readings_of(kalman_filter=0.2)))
    assert not is_model_needed(silent, skip_unanimous_hold=True)
    assert is_model_needed(silent, skip_unanimous_hold=False)
    assert is_model_needed(leaning, skip_unanimous_hold=True)
    found = decide(a_case(readings_of(), reply=UNANIMOUS_HOLD))
    assert found.direction is HOLD
    assert found.synthesis_reason.startswith("unanimous_hold: ")


def test_prices_of_the_model_are_used_where_they_are_good() -> None:
    own = Levels(Decimal("50010.004"), Decimal("49900"), Decimal("50200"))
    found = decide(a_case(readings_of(), reply=a_verdict("BUY", 0.8, own), variant=MODEL))
    assert found.levels == Levels(Decimal("50010"), Decimal("49900"), Decimal("50200"))


@pytest.mark.parametrize(
    ("own", "rule"),
    [
        (Levels(Decimal(50000), Decimal(50100), Decimal(50300)), "level_side"),
        (Levels(Decimal(60000), Decimal(59900), Decimal(60200)), "entry_distance"),
        (Levels(Decimal(50000), Decimal(49990), Decimal(50030)), "stop_distance"),
    ],
)
def test_wrong_prices_of_the_model_are_a_degraded_hold_and_not_mended(own: Levels, rule: str) -> None:
    found = decide(a_case(readings_of(), reply=a_verdict("BUY", 0.8, own), variant=MODEL))
    assert (found.direction, found.levels) == (HOLD, None)
    assert [veto.rule for veto in found.vetoes] == [rule]
    assert [each.reason for each in found.degradations] == ["llm_levels"]


def test_a_market_that_stands_still_gives_no_signal() -> None:
    still = Yardstick(Decimal(50000), Decimal(0))
    found = decide(a_case(readings_of(**STRONG), yardstick=still))
    assert (found.direction, [veto.rule for veto in found.vetoes]) == (HOLD, ["level_range"])


def test_too_few_theories_stop_the_model_too() -> None:
    gone = tuple(VOTERS[: len(VOTERS) // 2 + 1])
    found = decide(a_case(readings_of(silent=gone), missing=gone, reply=a_verdict("BUY", 0.9), variant=MODEL))
    assert (found.direction, found.vetoes[0].rule) == (HOLD, "coverage")
    assert [each.reason for each in found.degradations] == ["too_few_theories"]


VOTES = st.fixed_dictionaries({}, optional=dict.fromkeys(VOTERS, st.floats(-1.0, 1.0)))
DECIMALS = st.decimals(Decimal("0.01"), Decimal(200_000), allow_nan=False, allow_infinity=False)
REPLIES = st.one_of(
    st.just(NO_KEY),
    st.builds(Refusal, st.just("timeout"), st.just("no answer in 20 s")),
    st.builds(
        Verdict,
        st.sampled_from(Direction),
        st.floats(0.0, 1.0),
        st.text(max_size=20),
        st.none() | st.builds(Levels, DECIMALS, DECIMALS, DECIMALS) | st.just(GOOD_BUY),
        st.just(Synthesis.LLM),
    ),
)


@settings(deadline=None)
@given(VOTES, REPLIES, st.sampled_from(Variant), st.floats(0.55, 1.0), st.booleans())
def test_every_decision_is_valid(
    votes: dict[str, float],
    reply: Verdict | Refusal | Unasked,
    variant: Variant,
    threshold: float,
    ordered: bool,
) -> None:
    case = a_case(
        readings_of(ordered=ordered, **votes), reply=reply, variant=variant, threshold=Threshold(threshold, True, "")
    )
    found = decide(case)
    assert found == decide(case)
    assert 0.0 <= found.confidence <= 1.0
    if found.direction is HOLD:
        assert found.levels is None
        assert found.vetoes or found.leaning is HOLD
    else:
        assert found.levels is not None
        assert found.vetoes == ()
        assert found.confidence >= threshold
        assert check_levels(found.direction, found.levels, YARDSTICK) == ()
        assert not isinstance(reply, Refusal)


@settings(deadline=None)
@given(VOTES, st.sampled_from(list(discover())))
def test_leaving_a_theory_out_decides_as_if_it_did_not_exist(votes: dict[str, float], theory: str) -> None:
    left_out = decide(a_case(readings_of(ordered=True, **votes)), without=theory)
    assert left_out == decide(a_case(readings_of(ordered=True, silent=(theory,), **votes)))


@settings(deadline=None)
@given(VOTES, REPLIES, st.sampled_from(Variant))
def test_a_case_survives_being_written_and_read_and_decides_the_same(
    votes: dict[str, float], reply: Verdict | Refusal | Unasked, variant: Variant
) -> None:
    case = a_case(readings_of(**votes), reply=reply, variant=variant)
    stored = write_case(case, Mode.AGGRESSIVE)
    read, mode = read_case(stored)
    assert (read, mode) == (case, Mode.AGGRESSIVE)
    assert decide(read) == decide(case)
    assert write_case(read, mode) == stored


def test_a_signal_survives_being_written_and_read() -> None:
    signal = Signal(
        id="sig_1", account="paper", book=Book.PRIMARY, symbol="BTC-USD", slot=AS_OF, timestamp=AS_OF, as_of=AS_OF,
        interval="5m", window=500, strategy=Strategy.V7, variant=None, mode=Mode.CONSERVATIVE,
        runtime_mode=RuntimeMode.DRYRUN, direction=HOLD, confidence=0.6, calibrated_confidence=None, tier=Tier.LOW,
        threshold=0.65, synthesis=Synthesis.RULES, synthesis_reason="no_key", reasoning="Hurst.", entry=None,
        stop_loss=None, take_profit=None, stop_first=None, quantity=None, lots=None, risk_usd=None, size_limit=None,
        vetoes=(Veto("confidence_threshold", "0.6000", "0.6500", "not enough"),), degraded=False, degradations=(),
        ftmo_compliant=True, price=Decimal("50000"), change_24h_percent=1.5, source="synthetic", synthetic=True,
        executed=False, llm=None, coverage=1.0, votes=(Vote("kalman_filter", 0.6, 0.4, "Rises."),),
        timings_ms={"theories": 12.5}, versions=(),
    )  # fmt: skip
    adapter = TypeAdapter(Signal)
    assert adapter.validate_json(adapter.dump_json(signal)) == signal
    assert OPEN.allows(0.65)
    assert replace(signal, direction=BUY) != signal
