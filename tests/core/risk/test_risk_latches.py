"""What stays tripped and until when; and figures too old to act on, from quotes or from what a trader reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from core.risk.account import AccountFacts, AccountKind, Latch, LatchKind, Report
from core.risk.assess import assess
from core.risk.rule import Rule
from core.risk.state import Standing
from tests.core.risk_facts import (
    CAPITAL,
    NOON,
    ONE_STEP,
    PLAIN,
    TODAY,
    TWO_STEP,
    YESTERDAY,
    account,
    facts,
    judged,
    moment,
    quotes,
    trade,
    usd,
)

DAILY = Rule.DAILY_LOSS
TOTAL = Rule.TOTAL_LOSS


def latch(kind: LatchKind, rule: str = DAILY, day: date = TODAY) -> Latch:
    return Latch(kind, rule, NOON, day.isoformat(), usd(95_000), usd(95_500))


def test_a_stop_of_the_day_holds_until_midnight_and_not_longer() -> None:
    known = replace(facts({TODAY: -100}), latches=(latch(LatchKind.DAILY_STOP),))
    state = judged(known)
    assert (state.state, state.lifts_at) == (Standing.EARLY_STOP, state.day.ends_at)
    assert not state.new_latches
    tomorrow = state.day.ends_at
    assert assess(known, TWO_STEP, {}, moment(tomorrow)).state is Standing.OK


def test_a_clock_that_goes_back_lifts_nothing() -> None:
    known = replace(facts(), latches=(latch(LatchKind.DAILY_STOP),))
    assert assess(known, TWO_STEP, {}, moment(NOON - timedelta(days=1))).state is Standing.EARLY_STOP


@pytest.mark.parametrize(
    ("held", "standing"),
    [
        (latch(LatchKind.TOTAL_STOP, TOTAL, YESTERDAY), Standing.EARLY_STOP),
        (latch(LatchKind.BREACH, DAILY, YESTERDAY), Standing.BREACHED),
        (latch(LatchKind.BREACH, "of another version", YESTERDAY), Standing.BREACHED),
    ],
)
def test_total_stops_and_breaches_never_lift_by_themselves(held: Latch, standing: Standing) -> None:
    known = replace(facts({TODAY: 3000}), latches=(held,))
    later = assess(known, TWO_STEP, {}, moment(NOON + timedelta(days=300)))
    assert (later.state, later.lifts_at) == (standing, None)


def test_a_latch_that_is_stored_is_not_told_again() -> None:
    known = facts({TODAY: -5000})
    tripped = judged(known).new_latches
    assert [each.kind for each in tripped] == [LatchKind.DAILY_STOP, LatchKind.BREACH]
    assert not judged(replace(known, latches=tripped)).new_latches


def test_the_breach_of_one_rule_does_not_hide_that_of_the_other() -> None:
    known = replace(facts({YESTERDAY: -6000, TODAY: -4500}), latches=(latch(LatchKind.BREACH, DAILY, YESTERDAY),))
    tripped = [(each.kind, each.rule) for each in judged(known).new_latches]
    assert (LatchKind.BREACH, TOTAL) in tripped
    assert (LatchKind.BREACH, DAILY) not in tripped


@pytest.mark.parametrize("age", [-6, 61])
def test_an_old_or_early_quote_is_stale_and_trips_nothing(age: int) -> None:
    known = facts({}, [trade(-6000)])
    state = assess(known, TWO_STEP, quotes(at=NOON - timedelta(seconds=age)), moment(), limits=PLAIN)
    assert not state.fresh
    assert not state.new_latches
    assert "BTC-USD" in state.stale[0].detail


@pytest.mark.parametrize("age", [-5, 0, 60])
def test_a_quote_of_a_minute_is_fresh(age: int) -> None:
    assert assess(facts({}, [trade()]), TWO_STEP, quotes(at=NOON - timedelta(seconds=age)), moment()).fresh


def test_a_missing_or_impossible_quote_leaves_no_equity() -> None:
    crossed = {"BTC-USD": quotes()["BTC-USD"]._replace(ask=usd(1))}
    for told in ({}, crossed):
        state = assess(facts({}, [trade()]), TWO_STEP, told, moment())
        assert (state.fresh, state.equity, state.daily.left_usd) == (False, None, None)


def test_a_ledger_ahead_of_the_clock_is_stale() -> None:
    ahead = facts({TODAY + timedelta(days=1): 5})
    assert "went back" in judged(ahead).stale[0].detail


def reported(*reports: Report) -> AccountFacts:
    return replace(facts(of=account(kind=AccountKind.REPORTED)), reports=reports)


def told(balance: int = 100_000, equity: int = 100_000, *, midnight: int = 100_000, age: int = 0) -> Report:
    return Report(NOON - timedelta(seconds=age), usd(balance), usd(equity), usd(midnight), TODAY.isoformat(), 3)


def test_a_reported_account_is_judged_by_its_newest_report() -> None:
    older = Report(NOON - timedelta(days=1), usd(99_000), usd(99_000), usd(100_000), YESTERDAY.isoformat(), 2)
    state = judged(replace(reported(older, told(98_000, 97_000, midnight=99_000)), open_trades=(trade(-1000),)))
    assert state.fresh
    assert (state.balance, state.equity, state.daily.anchor) == (98_000, 97_000, 99_000)
    assert state.objectives.trading_days == 3


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (reported(), "nothing was reported"),
        (reported(Report(NOON, CAPITAL, CAPITAL, CAPITAL, YESTERDAY.isoformat(), 1)), "midnight of 2026-11-17"),
        (replace(reported(told(age=61)), open_trades=(trade(),)), "61 s old"),
        (reported(told(equity=99_000, age=61)), "61 s old"),  # a position that nobody named
        (reported(told(age=-6)), "ahead of the clock"),
    ],
)
def test_a_report_that_cannot_be_acted_on_is_stale(known: AccountFacts, words: str) -> None:
    state = judged(known)
    assert words in state.stale[0].detail


def test_an_old_report_without_positions_is_fresh() -> None:
    assert judged(reported(told(age=3600))).fresh


def test_a_position_nobody_named_claims_the_whole_room() -> None:
    assert judged(reported(told(equity=99_900))).free_usd == 0


def test_a_reported_loss_beyond_all_stops_counts() -> None:
    known = replace(reported(told(equity=99_500)), open_trades=(trade(stop=49_900),))
    assert judged(known).open_risk_usd == 500


@pytest.mark.parametrize(("equity", "named"), [(99_500, True), (100_500, True), (99_499, False), (100_501, False)])
def test_an_equity_beyond_what_the_named_positions_float_at_hides_another(equity: int, *, named: bool) -> None:
    state = judged(replace(reported(told(equity=equity)), open_trades=(trade(stop=49_900),)))
    assert [each.trade for each in state.claims] == (["1"] if named else ["1", "unreported"])
    assert (state.free_usd > 0) is named


def test_a_small_account_may_differ_by_fifty_dollars() -> None:
    small = replace(account(kind=AccountKind.REPORTED), initial_capital=usd(5_000))
    known = replace(reported(told(5_000, 4_950, midnight=5_000)), account=small, open_trades=(trade(stop=49_990),))
    assert len(judged(known).claims) == 1


def test_without_a_fresh_price_nobody_says_that_a_position_is_missing() -> None:
    known = replace(reported(told(equity=97_000)), open_trades=(trade(stop=49_900),))
    state = assess(known, TWO_STEP, quotes(at=NOON - timedelta(seconds=61)), moment(), limits=PLAIN)
    assert len(state.claims) == 1


def test_a_trade_that_was_taken_claims_its_worst_case_and_makes_an_old_report_stale() -> None:
    known = replace(reported(told(age=61)), taken=(trade(stop=49_500),))
    state = judged(known)
    assert state.open_risk_usd == 500
    assert "while positions are open" in state.stale[0].detail
    assert judged(replace(known, taken=(trade(-700, stop=49_900),))).open_risk_usd == 800
    tolerant = replace(PLAIN, entry_tolerance_fraction=usd("0.005"))
    assert assess(known, TWO_STEP, quotes(), moment(), limits=tolerant).open_risk_usd == 750
    assert judged(replace(known, taken=(trade(stop=None),))).free_usd == 0


def test_the_trailing_floor_of_a_reported_account_uses_its_midnights() -> None:
    high = Report(NOON - timedelta(days=1), usd(104_000), usd(104_000), usd(104_000), YESTERDAY.isoformat(), 2)
    known = replace(
        reported(high, told(103_000, 103_000, midnight=103_000)), account=account(ONE_STEP.id, AccountKind.REPORTED)
    )
    state = judged(known, ONE_STEP)
    assert (state.total.floor, state.daily.floor) == (94_000, 100_000)
    assert any("2026-11-17" in notice.detail for notice in state.warnings)
