"""What is known about an account is what was booked: nothing is kept beside the ledger that could differ from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.adapters.ledger.accounts import default_accounts
from core.adapters.ledger.ledger import Ledger
from core.errors import Code, CrpbotError
from core.risk.account import (
    Account,
    AccountKind,
    DayResult,
    Emission,
    KillLevel,
    Latch,
    LatchKind,
    Report,
    TradeState,
)
from core.trade import Book
from tests.core.books import HOUR_MS, NOON, NOON_MS, Books, adjustment, new_trade, seeded

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

REPORTED = Account(
    "mine", "My challenge", AccountKind.REPORTED, Book.PRIMARY, "ftmo-1step", "Europe/Prague", Decimal("25000.5"), NOON
)
TOTAL_STOP = Latch(
    LatchKind.TOTAL_STOP, "total_loss_guard", NOON, "2026-11-21", Decimal("91000.000000005"), Decimal(91_000)
)


def daily_stop(day: str) -> Latch:
    return Latch(LatchKind.DAILY_STOP, "daily_loss_guard", NOON, day, Decimal("95499.99"), Decimal(95_500))


def report(minutes: int, day: str, balance: str = "25000") -> Report:
    money = Decimal(balance)
    return Report(NOON + timedelta(minutes=minutes), money, money - 10, money + 5, day, 3)


# accounts


async def test_a_server_has_a_published_and_a_shadow_account_from_its_first_start(ledger: Ledger) -> None:
    books = await seeded(ledger)
    listed = await books.accounts.list()
    assert [(account.id, account.book, account.initial_capital) for account in listed] == [
        ("paper", Book.PRIMARY, Decimal(100_000)),
        ("shadow", Book.SHADOW, Decimal(100_000)),
    ]
    assert listed == default_accounts(NOON)


async def test_a_second_start_leaves_the_accounts_as_they_are_even_when_two_start_at_once(ledger: Ledger) -> None:
    later = default_accounts(NOON + timedelta(days=1))
    books = Books(ledger)
    await asyncio.gather(*[books.accounts.seed(default_accounts(NOON)) for _ in range(4)])
    await books.accounts.seed(later)
    assert await books.accounts.list() == default_accounts(NOON)
    assert [entry.action for entry in await ledger.audit_after(0, 10)] == ["account.create"] * 2


async def test_an_account_is_kept_as_it_was_made_and_its_id_is_taken_once(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.accounts.create(REPORTED, by="key-1")
    assert (await books.facts("mine")).account == REPORTED
    with pytest.raises(CrpbotError, match="there is an account 'mine'") as caught:
        await books.accounts.create(replace(REPORTED, name="other"), by="key-1")
    assert caught.value.code is Code.ALREADY_EXISTS
    assert REPORTED in await books.accounts.list()


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "a\nb"},
        {"name": "x" * 257},
        {"time_zone": "Europe/Atlantis"},
        {"initial_capital": Decimal(0)},
        {"initial_capital": Decimal(-1)},
        {"initial_capital": Decimal("NaN")},
        {"initial_capital": Decimal("0.000000001")},
        {"initial_capital": Decimal("1E+30")},
    ],
)
async def test_an_account_that_cannot_be_is_refused(ledger: Ledger, wrong: dict[str, Any]) -> None:
    with pytest.raises(CrpbotError, match=next(iter(wrong))) as caught:
        await Books(ledger).accounts.create(replace(REPORTED, **wrong), by="key-1")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert await Books(ledger).accounts.list() == ()


async def test_an_unknown_account_is_named_with_those_that_there_are(ledger: Ledger) -> None:
    books = await seeded(ledger)
    for ask in (books.facts("papers"), books.admit(new_trade(), "papers")):
        with pytest.raises(CrpbotError, match="unknown account 'papers'; known are paper, shadow") as caught:
            await ask
        assert caught.value.code is Code.NOT_FOUND


# facts


async def test_a_new_account_has_nothing_but_itself(ledger: Ledger) -> None:
    facts = await (await seeded(ledger)).facts()
    assert facts.account.id == "paper"
    assert (facts.days, facts.open_trades, facts.latches, facts.emissions, facts.reports) == ((), (), (), (), ())
    assert (facts.kill_switch.level, facts.last_activity_at) == (KillLevel.OFF, None)


async def test_days_sum_the_ledger_by_the_calendar_of_the_firm(ledger: Ledger) -> None:
    books = await seeded(ledger)
    # 23:00 in UTC is midnight in Prague
    for at, amount in (("22:59:59.999999", "-0.00000001"), ("23:00:00", "10"), ("23:30:00", "0.5")):
        books.clock.at = datetime.fromisoformat(f"2026-11-20T{at}+00:00")
        trade = await books.admit(new_trade())
        await books.close(trade, amount)
    facts = await books.facts()
    assert facts.days == (
        DayResult(date(2026, 11, 20), Decimal("-0.00000001"), 1),
        DayResult(date(2026, 11, 21), Decimal("10.5"), 2),
    )
    assert facts.last_activity_at == datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


async def test_a_day_on_which_a_trade_was_only_opened_is_a_day_without_money(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.admit(new_trade())
    await books.admit(new_trade(is_open=False))  # waiting is no position
    facts = await books.facts()
    assert facts.days == (DayResult(date(2026, 11, 21), Decimal(0), 1),)
    assert facts.last_activity_at == NOON


async def test_trades_that_wait_or_are_open_claim_room_and_closed_ones_do_not(ledger: Ledger) -> None:
    books = await seeded(ledger)
    waiting, opened, closed = [await books.admit(new_trade(is_open=number > 0)) for number in range(3)]
    await books.close(closed, "1")
    assert await books.trades.unfinished("paper") == (waiting, opened)
    trades = (await books.facts()).open_trades
    assert [(trade.id, trade.state) for trade in trades] == [
        (waiting.id, TradeState.PENDING),
        (opened.id, TradeState.OPEN),
    ]
    assert trades[0].entry == Decimal(100)
    assert trades[1].entry == Decimal("100.1")  # what it really paid
    assert (trades[1].quantity, trades[1].stop_loss, trades[1].created_at) == (Decimal("0.5"), Decimal(90), NOON)


async def test_emissions_are_those_after_the_instant_asked_for(ledger: Ledger) -> None:
    books = await seeded(ledger)
    for number in range(3):
        await books.emit(f"signal-{number}", high_confidence=number == 2)
        books.clock.pass_time(60)
    facts = await books.facts(since=NOON_MS)
    assert facts.emissions == (Emission(NOON_MS + 60_000, False), Emission(NOON_MS + 120_000, True))


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_wall_clock_that_jumps_neither_empties_nor_freezes_the_window(ledger: Ledger, hours: int) -> None:
    books = await seeded(ledger)
    await books.emit("signal-1")
    books.clock.pass_time(1_800)
    books.clock.at += timedelta(hours=hours)
    await books.emit("signal-2")
    assert [each.steady_ms for each in await books.window()] == [NOON_MS, NOON_MS + HOUR_MS // 2]
    books.clock.pass_time(1_801)
    assert [each.steady_ms for each in await books.window()] == [NOON_MS + HOUR_MS // 2]


async def test_the_newest_instant_that_counts_is_known_for_the_next_start(ledger: Ledger) -> None:
    books = await seeded(ledger)
    assert await books.accounts.newest_steady_ms() == 0
    for number in range(2):
        await books.emit(f"signal-{number}")
        books.clock.pass_time(60)
    assert await books.accounts.newest_steady_ms() == NOON_MS + 60_000


async def test_accounts_do_not_see_each_other(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.close(await books.admit(new_trade()), "5")
    await books.emit("signal-1")
    await books.accounts.trip("paper", TOTAL_STOP, by="guard")
    facts = await books.facts("shadow")
    assert (facts.days, facts.open_trades, facts.latches, facts.emissions) == ((), (), (), ())


async def test_callers_at_once_share_a_read_that_began_after_they_asked(ledger: Ledger) -> None:
    books = await seeded(ledger)
    first = asyncio.create_task(books.facts())
    await asyncio.sleep(0)
    trade = await books.admit(new_trade())
    answers = await asyncio.gather(*[books.facts(since=since) for since in range(16)])
    await first
    assert {answer.open_trades[0].id for answer in answers} == {trade.id}


async def test_a_reader_who_gives_up_does_not_take_the_answer_from_the_others(ledger: Ledger) -> None:
    books = await seeded(ledger)
    asked = [asyncio.create_task(books.facts()) for _ in range(4)]
    await asyncio.sleep(0)
    asked[0].cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(answer == answers[1] for answer in answers[1:])
    assert not isinstance(answers[1], BaseException)


async def test_a_read_that_fails_fails_for_everybody_and_the_next_one_begins_anew(ledger: Ledger, sql: Sql) -> None:
    books = await seeded(ledger)
    sql("DELETE FROM kill_switch")
    answers = await asyncio.gather(*[books.facts() for _ in range(3)], return_exceptions=True)
    assert {getattr(answer, "reason", None) for answer in answers} == {"KILL_SWITCH_MISSING"}
    sql(f"INSERT INTO kill_switch VALUES (1, 'off', 'test', 'mended', '{NOON.isoformat(sep=' ')}')")
    assert (await books.facts()).kill_switch.reason == "mended"


# latches


async def test_a_latch_stands_until_a_person_lifts_it_and_the_history_stays(ledger: Ledger, sql: Sql) -> None:
    books = await seeded(ledger)
    assert await books.accounts.trip("paper", TOTAL_STOP, by="guard")
    assert not await books.accounts.trip("paper", TOTAL_STOP, by="guard")
    assert (await books.facts()).latches == (replace(TOTAL_STOP, value=Decimal(91_000)),)  # never shown too well
    lift = {"by": "admin", "reason": "new agreement", "clock": books.clock}
    assert await books.accounts.lift("paper", LatchKind.BREACH, **lift) == 0
    assert await books.accounts.lift("paper", LatchKind.TOTAL_STOP, **lift) == 1
    assert await books.accounts.lift("paper", LatchKind.TOTAL_STOP, **lift) == 0
    assert (await books.facts()).latches == ()
    assert await books.accounts.trip("paper", TOTAL_STOP, by="guard")
    assert sql("SELECT seq, lifts, set_by FROM latches ORDER BY seq") == [
        (1, None, "guard"),
        (2, 1, "admin"),
        (3, None, "guard"),
    ]
    actions = [entry.action for entry in await ledger.audit_after(2, 10)]
    assert actions == ["latch.trip", "latch.lift", "latch.trip"]


async def test_a_stop_of_the_day_gives_way_to_that_of_a_later_day(ledger: Ledger) -> None:
    books = await seeded(ledger)
    for day in ("2026-11-20", "2026-11-21", "2026-11-21"):
        await books.accounts.trip("paper", daily_stop(day), by="guard")
    assert (await books.facts()).latches == (daily_stop("2026-11-21"),)


async def test_racing_guards_trip_a_latch_once(ledger: Ledger) -> None:
    books = await seeded(ledger)
    tripped = await asyncio.gather(*[books.accounts.trip("paper", TOTAL_STOP, by="guard") for _ in range(8)])
    assert sorted(tripped) == [False] * 7 + [True]


# reports


async def test_of_each_day_the_newest_report_counts(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.accounts.create(REPORTED, by="key-1")
    told = [
        report(0, "2026-11-20"),
        report(1, "2026-11-21"),
        report(2, "2026-11-21", "24900.25"),
        report(3, "2026-11-19"),
    ]
    for each in told:
        await books.accounts.report("mine", each, by="key-1")
    assert (await books.facts("mine")).reports == (told[3], told[0], told[2])


async def test_a_paper_account_takes_no_report(ledger: Ledger) -> None:
    books = await seeded(ledger)
    with pytest.raises(CrpbotError, match="its balance follows from its trades"):
        await books.accounts.report("paper", report(0, "2026-11-21"), by="key-1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"midnight_day": "21.11.2026"},
        {"midnight_day": "2026-02-30"},
        {"midnight_day": "20261121"},
        {"trading_days": -1},
        {"equity": Decimal("NaN")},
        {"balance": Decimal("1E-9")},
    ],
)
async def test_a_report_that_cannot_be_is_refused(ledger: Ledger, wrong: dict[str, Any]) -> None:
    books = await seeded(ledger)
    await books.accounts.create(REPORTED, by="key-1")
    with pytest.raises(CrpbotError, match=next(iter(wrong))):
        await books.accounts.report("mine", replace(report(0, "2026-11-21"), **wrong), by="key-1")
    assert (await books.facts("mine")).reports == ()


# what nobody may rewrite


async def test_an_adjustment_moves_the_balance_without_a_trade(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.trades.book("paper", [adjustment("payout-1", "-800")], by="admin", clock=books.clock)
    assert (await books.facts()).days == (DayResult(date(2026, 11, 21), Decimal(-800), 0),)


@pytest.mark.parametrize("table", ["ledger_entries", "emissions", "latches", "account_reports"])
async def test_the_database_refuses_to_change_what_was_recorded(
    ledger: Ledger, sql: Sql, ledger_url: str, table: str
) -> None:
    books = await seeded(ledger)
    await books.accounts.create(REPORTED, by="key-1")
    await books.accounts.report("mine", report(0, "2026-11-21"), by="key-1")
    await books.accounts.trip("paper", TOTAL_STOP, by="guard")
    await books.emit("signal-1")
    await books.trades.book("paper", [adjustment("a", "1")], by="admin", clock=books.clock)
    before = sql(f"SELECT * FROM {table}")
    removing = (
        f"REPLACE INTO {table} SELECT * FROM {table}"
        if ledger_url.startswith("sqlite")
        else f"TRUNCATE {table} CASCADE"
    )
    for statement in (f"UPDATE {table} SET account_id = 'shadow'", f"DELETE FROM {table}", removing):
        with pytest.raises(Exception, match=f"{table} is append-only"):
            sql(statement)
    assert len(before) == 1
    assert sql(f"SELECT * FROM {table}") == before


async def test_a_window_is_judged_on_the_hour_before_the_commit(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.emit("signal-1")
    books.clock.pass_time(HOUR_MS / 1_000)
    await books.emit("signal-2")
    assert [each.steady_ms for each in (await books.facts(since=NOON_MS)).emissions] == [NOON_MS + HOUR_MS]
