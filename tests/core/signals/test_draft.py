"""The last judgement of a decision: what the account allows is published, everything else is a HOLD that says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import RefusedSymbol
from core.deciding.confidence import Threshold
from core.deciding.consultation import Consultation
from core.deciding.decision import Case, Reply, decide
from core.deciding.levels import measure
from core.deciding.synthesis import EQUAL
from core.risk.account import (
    AccountFacts,
    AccountKind,
    Emission,
    KillLevel,
    KillSwitch,
    Latch,
    LatchKind,
    Quote,
    Report,
)
from core.risk.booking import NewEmission
from core.risk.desk import Bench
from core.risk.limits import Limits
from core.risk.pack import find_pack
from core.signal import Degradation, Mode, Refusal, RuntimeMode, Signal, Synthesis, Variant, Veto
from core.signals.draft import Draft, Frame, draft, make_id, refuse_unasked, refuse_unread, settle
from core.signals.ports import Birth
from core.trade import Book, Direction, Levels, Tier
from tests.core.cases import NO_KEY, a_verdict
from tests.core.risk_facts import NOON, TODAY, account, facts, milliseconds, moment, trade
from tests.core.signal_cases import STEP, SURE, a_study

FRAME = Frame(
    account="story",
    slot=NOON,
    key="call-1",
    mode=Mode.CONSERVATIVE,
    runtime_mode=RuntimeMode.DRYRUN,
    interval="5m",
    window=500,
    source="fake",
    synthetic=True,
    versions=(),
    actor="scheduler",
)
AT_MS = milliseconds(NOON)
CLOSE = measure(a_study(at_ms=AT_MS).candles).close


def a_draft(
    vote: float = SURE,
    *,
    reply: Reply = NO_KEY,
    variant: Variant = Variant.V7_DEEPSEEK_ONLY,
    book: Book = Book.PRIMARY,
    doubts: tuple[Degradation, ...] = (),
    frame: Frame = FRAME,
    threshold: float = 0.65,
) -> Draft:
    study = a_study(vote=vote, at_ms=AT_MS, doubts=doubts)
    profile = Threshold(threshold, True, "the profile's")
    case = Case(study.analysis, EQUAL, reply, variant, profile, measure(study.candles))
    consultation = Consultation(book, case, decide(case), frame.mode, None, None, None)
    return draft(study, consultation, frame, at=NOON, stop_first=0.4, references=(), timings_ms={"study": 1.0})


def a_bench(limits: Limits | None = None, *, quotes: Sequence[Quote] | None = None, step: object = STEP) -> Bench:
    told = [Quote("BTC-USD", CLOSE, CLOSE, AT_MS)] if quotes is None else quotes
    pack = find_pack("ftmo-2step-challenge")
    return Bench(pack, limits or Limits(), {quote.symbol: quote for quote in told}, lambda _: step)  # type: ignore[arg-type, return-value]


def judged(given: Draft, known: AccountFacts | None = None, bench: Bench | None = None) -> Birth:
    return settle(given, bench or a_bench(), known or facts(), moment())


def assert_held(birth: Birth) -> Signal:
    signal = birth.signal.signal
    orders = (signal.entry, signal.stop_loss, signal.take_profit, signal.stop_first, signal.quantity, signal.risk_usd)
    assert signal.direction is Direction.HOLD
    assert {*orders, signal.lots, signal.size_limit} == {None}
    assert (birth.emission, birth.trade) == (None, None)
    return signal


def assert_published(birth: Birth) -> Signal:
    """A published signal has prices on the right sides of its entry, and a size."""
    signal = birth.signal.signal
    entry, stop, target = signal.entry, signal.stop_loss, signal.take_profit
    assert entry is not None
    assert stop is not None
    assert target is not None
    assert all(price.is_finite() and price > 0 for price in (entry, stop, target))
    ordered = (stop, entry, target) if signal.direction is Direction.BUY else (target, entry, stop)
    assert list(ordered) == sorted(set(ordered))
    assert abs(entry - CLOSE) <= Decimal("0.02") * CLOSE
    assert 0.0 <= signal.confidence <= 1.0
    assert signal.quantity is not None
    assert signal.quantity > 0
    assert not signal.degraded
    assert signal.vetoes == ()
    return signal


@pytest.mark.parametrize(("vote", "direction"), [(SURE, Direction.BUY), (-SURE, Direction.SELL)])
def test_what_the_account_allows_is_published_with_size_levels_and_a_trade(vote: float, direction: Direction) -> None:
    birth = judged(a_draft(vote))
    signal = assert_published(birth)
    assert (signal.direction, signal.tier, signal.confidence) == (direction, Tier.HIGH, pytest.approx(0.8))
    assert (signal.stop_first, signal.size_limit, signal.timestamp) == (0.4, "risk_per_trade", NOON)
    assert signal.risk_usd is not None
    assert Decimal(990) < signal.risk_usd <= Decimal(1_000)
    assert birth.emission == NewEmission(signal.id, True)
    assert birth.trade is not None
    made = birth.trade
    assert (made.signal_id, made.symbol) == (signal.id, "BTC-USD")
    assert (made.direction, made.quantity, made.entry) == (direction, signal.quantity, signal.entry)
    assert (made.stop_loss, made.take_profit, made.high_confidence) == (signal.stop_loss, signal.take_profit, True)


def test_the_hour_of_the_decision_is_that_of_the_locks() -> None:
    later = NOON + timedelta(seconds=7)
    birth = settle(a_draft(), a_bench(), facts(), moment(later))
    assert birth.signal.signal.timestamp == later


def test_only_the_high_tier_counts_as_high() -> None:
    birth = judged(a_draft(0.6))
    assert assert_published(birth).tier is Tier.MEDIUM
    assert birth.emission is not None
    assert birth.emission.high_confidence is False


def test_a_hold_asks_nobody_and_carries_no_order() -> None:
    signal = assert_held(judged(a_draft(0.0), bench=a_bench(quotes=[])))
    assert (signal.vetoes, signal.ftmo_compliant) == ((), True)


OFF = facts().kill_switch
PAUSED = KillSwitch(KillLevel.PAUSE, "risk desk", "drill", NOON)
HALTED = KillSwitch(KillLevel.HALT, "risk desk", "drill", NOON)
THREE = tuple(Emission(AT_MS - minute * 60_000, False) for minute in (59, 30, 1))
BREACHED = Latch(LatchKind.BREACH, "daily_loss", NOON, TODAY.isoformat(), Decimal(94_000), Decimal(95_000))
STOPPED = Latch(LatchKind.DAILY_STOP, "daily_loss", NOON, TODAY.isoformat(), Decimal(95_400), Decimal(95_500))


@pytest.mark.parametrize(
    ("known", "rule", "compliant"),
    [
        (replace(facts(), kill_switch=PAUSED), "kill_switch", True),
        (replace(facts(), kill_switch=HALTED), "kill_switch", True),
        (replace(facts(), emissions=THREE), "signals_per_hour", True),
        (replace(facts(), latches=(BREACHED,)), "breach", False),
        (replace(facts(), latches=(STOPPED,)), "daily_stop", False),
        (facts(trades=[trade(stop=None)]), "daily_loss_guard", False),
    ],
    ids=["pause", "halt", "rate", "breach", "stop", "a trade without a stop"],
)
def test_every_veto_holds_and_is_told(known: AccountFacts, rule: str, compliant: bool) -> None:
    signal = assert_held(judged(a_draft(), known))
    assert rule in [veto.rule for veto in signal.vetoes]
    assert all(veto.value and veto.limit and veto.detail for veto in signal.vetoes)
    assert signal.ftmo_compliant is compliant
    assert signal.confidence == pytest.approx(0.8)


def test_room_for_less_than_the_least_quantity_is_no_room() -> None:
    coarse = replace(STEP, size=Decimal(50), minimum=Decimal(50))
    signal = assert_held(judged(a_draft(), facts({TODAY: -4_400}), a_bench(step=coarse)))
    assert ([veto.rule for veto in signal.vetoes], signal.ftmo_compliant) == (["minimum"], True)
    assert signal.vetoes[0].detail.startswith("no size fits")


def test_little_room_makes_a_small_trade() -> None:
    signal = assert_published(judged(a_draft(), facts({TODAY: -4_400})))
    assert signal.size_limit == "daily_loss_guard"
    assert signal.risk_usd is not None
    assert signal.risk_usd < 100


def test_two_rules_at_once_are_both_told_and_the_firms_decides_about_compliance() -> None:
    known = replace(facts(), kill_switch=PAUSED, latches=(BREACHED,))
    signal = assert_held(judged(a_draft(), known))
    assert [veto.rule for veto in signal.vetoes][:2] == ["kill_switch", "breach"]
    assert signal.ftmo_compliant is False


def test_the_high_window_stops_the_high_tier_alone() -> None:
    limits = Limits(max_high_confidence_per_hour=1)
    known = replace(facts(), emissions=(Emission(AT_MS - 1_000, True),))
    signal = assert_held(judged(a_draft(), known, a_bench(limits)))
    assert [veto.rule for veto in signal.vetoes] == ["high_confidence_per_hour"]
    assert_published(judged(a_draft(0.6), known, a_bench(limits)))


def test_an_emission_an_hour_old_to_the_millisecond_counts_no_more() -> None:
    two = THREE[1:]
    assert_held(judged(a_draft(), replace(facts(), emissions=(Emission(AT_MS - 3_599_999, False), *two))))
    assert_published(judged(a_draft(), replace(facts(), emissions=(Emission(AT_MS - 3_600_000, False), *two))))


def test_a_reported_account_that_tells_nothing_is_not_traded() -> None:
    told = account(kind=AccountKind.REPORTED)
    silent = assert_held(judged(a_draft(), facts(of=told)))
    assert (silent.vetoes[0].rule, silent.ftmo_compliant) == ("stale", True)
    held = replace(trade(stop=49_000), quantity=Decimal("0.1"))
    even = Decimal(100_000)
    old = Report(NOON - timedelta(minutes=5), even, even, even, str(TODAY), 1)
    known = facts(trades=[held], of=told)
    stale = assert_held(judged(a_draft(), replace(known, reports=(old,))))
    assert stale.vetoes[0].rule == "stale"
    fresh = replace(old, at=NOON)
    assert_published(judged(a_draft(), replace(known, reports=(fresh,))))


@pytest.mark.parametrize("vote", [SURE, -SURE])
@pytest.mark.parametrize(
    ("away", "rule"),
    [
        pytest.param(Decimal("0.0049"), None, id="just within reach"),
        pytest.param(Decimal("-0.0005"), None, id="a little better"),
        pytest.param(Decimal("0.0051"), "market_moved", id="past the entry"),
        pytest.param(Decimal("-0.5"), "market_moved", id="beyond the stop"),
    ],
)
def test_a_market_that_has_moved_away_is_not_followed(vote: float, away: Decimal, rule: str | None) -> None:
    price = CLOSE * (1 + (away if vote > 0 else -away))
    bench = a_bench(quotes=[Quote("BTC-USD", price, price, AT_MS)])
    birth = judged(a_draft(vote), bench=bench)
    if rule is None:
        assert_published(birth)
    else:
        signal = assert_held(birth)
        assert ([veto.rule for veto in signal.vetoes], signal.ftmo_compliant) == ([rule], True)


@pytest.mark.parametrize("age_ms", [None, 60_001, -5_001])
def test_without_a_fresh_quote_nothing_is_published(age_ms: int | None) -> None:
    quotes = [] if age_ms is None else [Quote("BTC-USD", CLOSE, CLOSE, AT_MS - age_ms)]
    signal = assert_held(judged(a_draft(), bench=a_bench(quotes=quotes)))
    assert [veto.rule for veto in signal.vetoes] == ["stale"]


def test_a_limit_that_trips_in_the_judgement_holds() -> None:
    signal = assert_held(judged(a_draft(), facts({TODAY: -4_600})))
    assert (signal.vetoes[0].rule, signal.ftmo_compliant) == ("daily_stop", False)


@pytest.mark.parametrize("vote", [SURE, 0.0])
def test_what_is_degraded_is_never_acted_upon(vote: float) -> None:
    doubt = Degradation("candles_late", "the newest candle is 11 minutes old")
    signal = assert_held(judged(a_draft(vote, doubts=(doubt,))))
    assert signal.degraded
    assert signal.degradations == (doubt,)
    assert [veto.rule for veto in signal.vetoes] == (["degraded"] if vote else [])


def test_a_model_that_failed_is_a_degraded_hold_although_the_rule_would_buy() -> None:
    signal = assert_held(judged(a_draft(reply=Refusal("llm_timeout", "no answer within 20 s"))))
    assert (signal.degraded, signal.synthesis, signal.degradations[0].reason) == (True, Synthesis.NONE, "llm_timeout")


def test_the_shadow_book_is_sized_but_neither_limited_nor_published() -> None:
    stopped = replace(facts(), kill_switch=PAUSED, emissions=THREE)
    birth = judged(a_draft(book=Book.SHADOW), stopped)
    signal = assert_published(birth)
    assert birth.emission is None
    assert (signal.book, signal.account) == (Book.SHADOW, "shadow")
    assert birth.trade is not None


def test_a_shadow_decision_that_fits_in_no_size_is_held() -> None:
    coarse = replace(STEP, size=Decimal(50), minimum=Decimal(50))
    signal = assert_held(judged(a_draft(book=Book.SHADOW), bench=a_bench(step=coarse)))
    assert signal.vetoes[0].detail.startswith("no size fits")


def test_every_decision_of_the_shadow_book_takes_the_account_as_it_was_made() -> None:
    ruined = replace(facts({TODAY: -99_000}), latches=())
    fresh = assert_published(judged(a_draft(book=Book.SHADOW)))
    assert assert_published(judged(a_draft(book=Book.SHADOW), ruined)) == fresh


def test_the_account_is_not_asked_where_the_decision_is_stopped_already() -> None:
    signal = assert_held(judged(a_draft(0.2, threshold=0.65), replace(facts(), kill_switch=PAUSED)))
    assert [veto.rule for veto in signal.vetoes] == ["confidence_threshold"]


def test_a_refusal_before_reading_says_which_rule_and_whether_it_is_the_firms() -> None:
    house = Veto("kill_switch", "pause", "off", "set by somebody")
    firm = Veto("breach", "94000", "95000", "the firm's daily_loss was reached")
    held = assert_held(settle(refuse_unasked("ETH-USD", FRAME, NOON, (house,)), a_bench(), facts(), moment()))
    assert (held.symbol, held.synthesis, held.vetoes, held.ftmo_compliant) == (
        "ETH-USD",
        Synthesis.NONE,
        (house,),
        True,
    )
    refused = assert_held(settle(refuse_unasked("ETH-USD", FRAME, NOON, (house, firm)), a_bench(), facts(), moment()))
    assert refused.ftmo_compliant is False


def test_a_market_that_cannot_be_read_is_a_degraded_hold() -> None:
    unread = RefusedSymbol("ETH-USD", "EXCHANGE_DOWN", "the exchange answers 503")
    signal = assert_held(settle(refuse_unread(unread, FRAME, NOON), a_bench(), facts(), moment()))
    assert (signal.degraded, signal.degradations[0].reason) == (True, "EXCHANGE_DOWN")


# --- ids --------------------------------------------------------------------------------------------------------------


def test_the_same_slot_is_the_same_decision_whoever_asks_and_whoever_decided() -> None:
    other_key = replace(FRAME, key="call-2")
    ids = {
        a_draft(frame=FRAME).signal.id,
        a_draft(frame=other_key).signal.id,
        a_draft(reply=a_verdict()).signal.id,
        refuse_unasked("BTC-USD", other_key, NOON, (Veto("x", "1", "2", "y"),)).signal.id,
        refuse_unread(RefusedSymbol("BTC-USD", "A", "b"), FRAME, NOON).signal.id,
    }
    assert ids == {make_id("story", "BTC-USD", FRAME)}


def test_the_same_key_is_the_same_decision_and_another_key_another() -> None:
    keyed = replace(FRAME, slot=None)
    first = a_draft(frame=keyed).signal.id
    assert a_draft(reply=a_verdict(), frame=keyed).signal.id == first
    assert a_draft(frame=replace(keyed, key="call-2")).signal.id != first


def test_account_symbol_slot_and_book_tell_decisions_apart() -> None:
    later = replace(FRAME, slot=NOON + timedelta(minutes=5))
    ids = [
        make_id("story", "BTC-USD", FRAME),
        make_id("other", "BTC-USD", FRAME),
        make_id("story", "ETH-USD", FRAME),
        make_id("story", "BTC-USD", later),
        a_draft(reply=a_verdict(), book=Book.SHADOW).signal.id,
    ]
    assert len(set(ids)) == 5


# --- What is published, over everything that a model may say ----------------------------------------------------------


AROUND = st.decimals(min_value="0.0001", max_value="150000", places=4) | st.sampled_from(
    [Decimal("1e-12"), Decimal("1e12"), CLOSE]
)


@st.composite
def near_levels(draw: st.DrawFn) -> Levels:
    """Prices as a model gives them: mostly near the close, in any order."""
    near = st.decimals(min_value="0.97", max_value="1.03", places=5).map(lambda share: CLOSE * share)
    return Levels(*(draw(near | AROUND) for _ in range(3)))


@settings(max_examples=300, deadline=None)
@given(
    word=st.sampled_from(["BUY", "SELL", "HOLD"]),
    confidence=st.floats(0.0, 1.0),
    levels=st.none() | near_levels(),
    vote=st.floats(-1.0, 1.0),
    variant=st.sampled_from(Variant),
    book=st.sampled_from(Book),
)
def test_whatever_a_model_says_a_published_signal_is_valid(
    word: str, confidence: float, levels: Levels | None, vote: float, variant: Variant, book: Book
) -> None:
    kept = None if word == "HOLD" else levels
    birth = judged(a_draft(vote, reply=a_verdict(word, confidence, kept), variant=variant, book=book))
    if birth.signal.signal.direction is Direction.HOLD:
        signal = assert_held(birth)
        assert 0.0 <= signal.confidence <= 1.0
    else:
        assert assert_published(birth).confidence >= 0.65


def test_the_property_has_published_signals_in_it() -> None:
    good = Levels(CLOSE, CLOSE * Decimal("0.997"), CLOSE * Decimal("1.0045"))
    assert_published(judged(a_draft(reply=a_verdict("BUY", 0.8, good))))
