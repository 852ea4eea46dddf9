"""Trades live once, money is booked once, and both are stored together or not at all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from core.adapters.ledger.address import parse_address
from core.adapters.ledger.engine import make_blocking_engine
from core.adapters.ledger.ledger import MAX_SEQ, Ledger
from core.adapters.ledger.migrations import INI_FILE
from core.adapters.ledger.risk_schema import accounts
from core.errors import Code, CrpbotError
from core.risk.account import AccountFacts, DayResult, Latch, LatchKind, Moment, TradeState
from core.risk.booking import Closing, Decision, EntryKind, NewEmission, NewEntry, NewTrade, Opening, Outcome, Trade
from core.trade import Direction
from tests.core.books import HOUR_MS, NOON, NOON_MS, Books, adjustment, new_trade, result, seeded

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

# open and close trades without end, and print the id of each one closed
TRADER = """
import asyncio, itertools, sys, time
from datetime import UTC, datetime
from decimal import Decimal
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.trades import StoredTrades
from core.risk.account import Moment
from core.risk.booking import Closing, Decision, EntryKind, NewEmission, NewEntry, NewTrade, Outcome
from core.trade import Direction

def clock():
    return Moment(datetime(2026, 11, 21, 12, tzinfo=UTC), 1)

async def trade(url):
    trades = StoredTrades(await Ledger.open(url, lock_timeout_seconds=60))
    for number in itertools.count():
        name, money = f"trade-{number}", Decimal(number)
        one, hundred = Decimal(1), Decimal(100)
        new = NewTrade(name, "BTC-USD", Direction.BUY, one, hundred, opened_price=hundred, signal_id=name)
        decision = Decision(name, trade=new, emission=NewEmission(name, False))
        await trades.admit("paper", lambda facts, moment: decision, by="trader", clock=clock, window_ms=0)
        entries = (NewEntry(f"{name}-result", money, EntryKind.RESULT, name),
                   NewEntry(f"{name}-fee", Decimal("-0.1"), EntryKind.COMMISSION, name))
        await trades.move("paper", Closing(name, Outcome.WIN, Decimal(101), entries), by="trader", clock=clock)
        print(name, flush=True)

asyncio.run(trade(sys.argv[1]))
"""


async def refused(awaitable: Any) -> CrpbotError:  # Any: whatever would have been the answer
    with pytest.raises(CrpbotError) as caught:
        await awaitable
    return caught.value


async def assert_books_balance(books: Books, account: str = "paper") -> None:
    """No hole in the numbers, and every cent of every closed trade stands in the ledger once."""
    entries = await books.trades.entries(account)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    trades = await books.trades.list(account)
    closed = {trade.id: trade.pnl for trade in trades if trade.state is TradeState.CLOSED}
    booked = {name: sum((each.amount for each in entries if each.trade_id == name), Decimal(0)) for name in closed}
    assert closed == booked
    days = (await books.facts(account)).days
    assert sum((day.amount for day in days), Decimal(0)) == sum((entry.amount for entry in entries), Decimal(0))
    assert (await books.ledger.verify_audit()).problem is None


# birth


async def test_a_trade_is_stored_as_it_was_admitted_with_its_place_in_the_audit_log(ledger: Ledger) -> None:
    books = await seeded(ledger)
    new = new_trade(signal_id="signal-1", is_open=False)
    trade = await books.admit(new, emission=NewEmission("signal-1", False))
    assert await books.trades.get(new.id) == trade
    assert await books.trades.list("paper") == (trade,)
    assert (trade.state, trade.quantity, trade.created_at) == (TradeState.PENDING, Decimal("0.5"), NOON)
    entry = (await ledger.audit_after(trade.created_seq - 1, 1))[0]
    assert (entry.action, entry.subject) == ("trade.create", f"trade/{new.id}")


async def test_the_judge_sees_facts_and_clock_under_the_lock_and_his_answer_comes_back(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.emit("signal-0")
    books.clock.pass_time(HOUR_MS / 1_000 - 1)
    seen: list[tuple[AccountFacts, Moment]] = []

    def judge(facts: AccountFacts, moment: Moment) -> Decision[str]:
        seen.append((facts, moment))
        return Decision("too many")

    admitted = await books.trades.admit("paper", judge, by="test", clock=books.clock, window_ms=HOUR_MS)
    assert (admitted.answer, admitted.trade, admitted.audit_seq) == ("too many", None, None)
    assert seen == [(await books.facts(), Moment(books.clock.at, NOON_MS + HOUR_MS - 1_000))]
    assert (await books.facts()).open_trades == ()


async def test_a_judge_who_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    books = await seeded(ledger)
    before = (await ledger.verify_audit()).entries

    def judge(_facts: AccountFacts, _moment: Moment) -> Decision[str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await books.trades.admit("paper", judge, by="test", clock=books.clock, window_ms=HOUR_MS)
    await books.admit(new_trade())  # and no lock either
    assert (await ledger.verify_audit()).entries == before + 1


async def test_a_refusal_stores_the_limit_that_tripped(ledger: Ledger) -> None:
    books = await seeded(ledger)
    latch = Latch(LatchKind.DAILY_STOP, "daily_loss_guard", NOON, "2026-11-21", Decimal(95_000), Decimal(95_500))
    decision = Decision("stopped", latches=(latch,))
    await books.trades.admit("paper", lambda _f, _m: decision, by="guard", clock=books.clock, window_ms=HOUR_MS)
    assert (await books.facts()).latches == (latch,)


async def test_a_signal_is_traded_once_whoever_tries(ledger: Ledger) -> None:
    books = await seeded(ledger)
    tries = [books.admit(new_trade(signal_id="signal-1"), account) for account in ("paper", "shadow") for _ in range(4)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert len([outcome for outcome in outcomes if isinstance(outcome, Trade)]) == 1
    reasons = {outcome.reason for outcome in outcomes if isinstance(outcome, CrpbotError)}
    assert reasons == {"TRADE_EXISTS"}
    assert len(await books.trades.list("paper")) + len(await books.trades.list("shadow")) == 1
    await assert_books_balance(books)


async def test_a_signal_is_emitted_once_and_a_failed_birth_takes_its_audit_entry_with_it(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.emit("signal-1")
    before = (await ledger.verify_audit()).entries
    error = await refused(books.admit(new_trade(), emission=NewEmission("signal-1", False)))
    assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "SIGNAL_EMITTED")
    assert await books.trades.list("paper") == ()
    assert (await ledger.verify_audit()).entries == before


async def test_a_second_machine_whose_clock_is_behind_sees_the_same_window(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.emit("signal-1")
    behind = Books(ledger)
    behind.clock.steady_ms -= 5 * HOUR_MS
    await behind.emit("signal-2")
    assert [each.steady_ms for each in (await books.facts()).emissions] == [NOON_MS, NOON_MS]


async def test_a_trade_opened_in_the_last_instant_counts_to_the_day_of_its_commit(ledger: Ledger) -> None:
    books = await seeded(ledger)
    books.clock.at = datetime(2026, 11, 21, 22, 59, 59, 900_000, tzinfo=UTC)
    asked_at = books.clock.at

    def clock() -> Moment:  # midnight passes while the call waits for the lock
        books.clock.pass_time(0.2)
        return books.clock()

    decision = Decision("yes", trade=new_trade())
    admitted = await books.trades.admit("paper", lambda _f, _m: decision, by="test", clock=clock, window_ms=HOUR_MS)
    assert admitted.trade is not None
    assert asked_at < admitted.moment.at
    assert (admitted.trade.opened_day, admitted.trade.created_at) == ("2026-11-22", admitted.moment.at)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"direction": Direction.HOLD}, "direction"),
        ({"quantity": Decimal(0)}, "quantity"),
        ({"quantity": Decimal("NaN")}, "quantity"),
        ({"stop_loss": Decimal(-1)}, "stop_loss"),
        ({"entry": Decimal("Infinity")}, "entry"),
        ({"id": ""}, "id"),
        ({"signal_id": "\x00"}, "signal_id"),
        ({"entries": (result("k", "-1", "t"),)}, "entries"),
        ({"entries": (result("k", "-1", "other"),), "opened_price": Decimal(1)}, "entries.0.trade_id"),
    ],
)
def test_a_trade_that_cannot_be_is_refused(wrong: dict[str, Any], field: str) -> None:
    fields = {"id": "t", "symbol": "BTC-USD", "direction": Direction.BUY, "quantity": Decimal(1), "entry": Decimal(100)}
    with pytest.raises(CrpbotError, match=f"{field}: "):
        NewTrade(**{**fields, **wrong})


# life


async def test_a_trade_opened_at_once_pays_for_its_opening_in_the_same_transaction(ledger: Ledger) -> None:
    books = await seeded(ledger)
    fee = NewEntry("fee-in", Decimal("-0.03"), EntryKind.COMMISSION, "t")
    await books.admit(replace(new_trade(trade_id="t"), entries=(fee,)))
    assert (await books.facts()).days == (DayResult(date(2026, 11, 21), Decimal("-0.03"), 1),)
    again = replace(new_trade(trade_id="u"), entries=(replace(fee, trade_id="u"),))
    assert (await refused(books.admit(again))).reason == "ENTRY_KEY_REUSED"
    assert [trade.id for trade in await books.trades.list("paper")] == ["t"]
    await assert_books_balance(books)


async def test_a_trade_waits_opens_and_closes_with_its_money(ledger: Ledger) -> None:
    books = await seeded(ledger)
    waiting = await books.admit(new_trade(is_open=False))
    books.clock.pass_time(60)
    fee = NewEntry("fee-in", Decimal("-0.03"), EntryKind.COMMISSION, waiting.id)
    opened = await books.trades.move(
        "paper", Opening(waiting.id, Decimal("99.9"), (fee,)), by="filler", clock=books.clock
    )
    assert (opened.state, opened.opened_price, opened.opened_day) == (TradeState.OPEN, Decimal("99.9"), "2026-11-21")
    books.clock.pass_time(60)
    closed = await books.close(opened, "12.5", "-0.02")
    assert (closed.state, closed.outcome, closed.pnl) == (TradeState.CLOSED, Outcome.WIN, Decimal("12.45"))
    assert closed.created_seq < (opened.opened_seq or 0) < (closed.closed_seq or 0)
    assert await books.trades.get(closed.id) == closed
    assert (await books.facts()).days[0] == DayResult(closed.closed_at.date(), Decimal("12.45"), 1)  # type: ignore[union-attr]
    await assert_books_balance(books)


async def test_a_trade_that_never_was_in_the_market_ends_without_money(ledger: Ledger) -> None:
    books = await seeded(ledger)
    for outcome in (Outcome.EXPIRED, Outcome.CANCELLED):
        waiting = await books.admit(new_trade(is_open=False))
        ended = await books.trades.move("paper", Closing(waiting.id, outcome), by="filler", clock=books.clock)
        assert (ended.outcome, ended.pnl, ended.closed_price, ended.opened_at) == (outcome, Decimal(0), None, None)
    facts = await books.facts()
    assert (facts.days, facts.open_trades, facts.last_activity_at) == ((), (), None)


async def test_closing_twice_is_refused_and_says_how_it_ended(ledger: Ledger) -> None:
    books = await seeded(ledger)
    trade = await books.admit(new_trade())
    await books.close(trade, "5")
    error = await refused(books.close(trade, "5"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "TRADE_IS_CLOSED")
    assert error.detail == (
        f"trade: '{trade.id}' is closed since 2026-11-21T12:00:00+00:00 (win); "
        "this can only be done to one that is open"
    )
    await assert_books_balance(books)


async def test_of_many_who_close_at_once_one_does(ledger: Ledger) -> None:
    books = await seeded(ledger)
    trade = await books.admit(new_trade())
    outcomes = await asyncio.gather(*[books.close(trade, f"{number}") for number in range(8)], return_exceptions=True)
    assert len([outcome for outcome in outcomes if isinstance(outcome, Trade)]) == 1
    assert len(await books.trades.entries("paper")) == 1
    await assert_books_balance(books)


@pytest.mark.parametrize(
    ("is_open", "move"),
    [
        (True, Opening("t", Decimal(100))),
        (True, Closing("t", Outcome.EXPIRED)),
        (False, Closing("t", Outcome.LOSS, Decimal(90))),
    ],
)
async def test_a_move_from_another_state_is_refused(ledger: Ledger, is_open: bool, move: Opening | Closing) -> None:
    books = await seeded(ledger)
    trade = await books.admit(new_trade(is_open=is_open, trade_id="t"))
    error = await refused(books.trades.move("paper", move, by="test", clock=books.clock))
    assert error.reason == f"TRADE_IS_{trade.state.name}"
    assert await books.trades.get("t") == trade


async def test_a_trade_of_another_account_cannot_be_moved(ledger: Ledger) -> None:
    books = await seeded(ledger)
    trade = await books.admit(new_trade())
    move = Closing(trade.id, Outcome.LOSS, Decimal(90))
    assert (await refused(books.trades.move("shadow", move, by="test", clock=books.clock))).reason == "UNKNOWN_TRADE"
    assert (await refused(books.trades.get("nobody's"))).code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Closing("t", Outcome.WIN), "price"),
        (lambda: Closing("t", Outcome.EXPIRED, Decimal(1)), "price"),
        (lambda: Closing("t", Outcome.CANCELLED, None, (result("k", "1", "t"),)), "entries"),
        (lambda: Closing("t", Outcome.WIN, Decimal(1), (result("k", "1", "other"),)), "entries.0.trade_id"),
        (lambda: Opening("t", Decimal(0)), "price"),
        (lambda: NewEntry("k", Decimal(1), EntryKind.RESULT), "trade_id"),
        (lambda: NewEntry("k", Decimal(1), EntryKind.ADJUSTMENT, "t"), "trade_id"),
        (lambda: NewEntry("", Decimal(1), EntryKind.ADJUSTMENT), "key"),
    ],
)
def test_a_move_that_cannot_be_is_refused(make: Callable[[], object], field: str) -> None:
    with pytest.raises(CrpbotError, match=f"{field}: "):
        make()


async def test_a_closed_trade_never_changes_and_none_is_removed(ledger: Ledger, sql: Sql, ledger_url: str) -> None:
    books = await seeded(ledger)
    trade = await books.admit(new_trade(signal_id="signal-1"))
    await books.close(trade, "5")
    removing = (
        "REPLACE INTO trades SELECT * FROM trades" if ledger_url.startswith("sqlite") else "TRUNCATE trades CASCADE"
    )
    for statement in ("UPDATE trades SET pnl_units = 0", "DELETE FROM trades", removing):
        with pytest.raises(DBAPIError, match=r"trades are never removed|this trade exists|append-only"):
            sql(statement)
    assert (await books.trades.get(trade.id)).pnl == Decimal(5)


# money


async def test_an_event_booked_again_is_the_same_entry(ledger: Ledger) -> None:
    books = await seeded(ledger)
    first = await books.trades.book("paper", [adjustment("a", "1.5"), adjustment("b", "-2")], by="k", clock=books.clock)
    books.clock.pass_time(86_400)
    again = [adjustment("b", "-2.0"), adjustment("c", "4")]
    second = await books.trades.book("paper", again, by="k", clock=books.clock)
    assert second[0] == first[1]
    assert [entry.seq for entry in await books.trades.entries("paper")] == [1, 2, 3]
    audited = (await ledger.verify_audit()).entries
    assert await books.trades.book("paper", again, by="k", clock=books.clock) == second
    assert (await ledger.verify_audit()).entries == audited
    await assert_books_balance(books)


async def test_racing_bookings_leave_no_hole_and_book_each_event_once(ledger: Ledger) -> None:
    books = await seeded(ledger)
    calls = [
        books.trades.book("paper", [adjustment(f"event-{number % 10}", "1")], by="k", clock=books.clock)
        for number in range(40)
    ]
    await asyncio.gather(*calls)
    assert len(await books.trades.entries("paper")) == 10
    await assert_books_balance(books)


async def test_a_key_that_stands_for_another_event_is_refused_and_nothing_of_the_call_is_booked(ledger: Ledger) -> None:
    books = await seeded(ledger)
    await books.trades.book("paper", [adjustment("a", "1")], by="k", clock=books.clock)
    call = [adjustment("new", "7"), adjustment("a", "2")]
    error = await refused(books.trades.book("paper", call, by="k", clock=books.clock))
    assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "ENTRY_KEY_REUSED")
    twice = [adjustment("b", "1"), adjustment("b", "1")]
    assert "stands twice" in (await refused(books.trades.book("paper", twice, by="k", clock=books.clock))).detail
    assert len(await books.trades.entries("paper")) == 1


async def test_money_of_a_closed_or_unknown_trade_is_refused(ledger: Ledger) -> None:
    books = await seeded(ledger)
    trade = await books.admit(new_trade())
    swap = NewEntry("swap-1", Decimal("-0.5"), EntryKind.SWAP, trade.id)
    await books.trades.book("paper", [swap], by="k", clock=books.clock)
    closed = await books.close(trade, "5")
    assert closed.pnl == Decimal("4.5")
    late = NewEntry("swap-2", Decimal("-0.5"), EntryKind.SWAP, trade.id)
    error = await refused(books.trades.book("paper", [late], by="k", clock=books.clock))
    assert (error.reason, "book an adjustment" in error.detail) == ("TRADE_CLOSED", True)
    assert len(await books.trades.book("paper", [swap], by="k", clock=books.clock)) == 1  # booked again, still the same
    stranger = result("k", "1", "nobody's")
    assert (await refused(books.trades.book("paper", [stranger], by="k", clock=books.clock))).reason == "UNKNOWN_TRADE"
    await assert_books_balance(books)


@pytest.mark.parametrize("amount", ["0.000000001", "NaN", "1E+20"])
async def test_an_amount_that_no_ledger_holds_is_refused(ledger: Ledger, amount: str) -> None:
    books = await seeded(ledger)
    error = await refused(books.trades.book("paper", [adjustment("a", amount)], by="k", clock=books.clock))
    assert error.detail.startswith("entries.0.amount: ")
    assert await books.trades.entries("paper") == ()


async def test_pages_follow_each_other(ledger: Ledger) -> None:
    books = await seeded(ledger)
    trades = [await books.admit(new_trade()) for _ in range(3)]
    first = await books.trades.list("paper", limit=2)
    assert (*first, *await books.trades.list("paper", after=first[-1].created_seq, limit=2)) == tuple(trades)
    await books.trades.book("paper", [adjustment(str(number), "1") for number in range(3)], by="k", clock=books.clock)
    assert [entry.seq for entry in await books.trades.entries("paper", after=1, limit=1)] == [2]
    for after, limit in ((-1, 1), (MAX_SEQ + 1, 1), (0, 0), (0, 501)):
        assert (await refused(books.trades.list("paper", after=after, limit=limit))).code is Code.INVALID_ARGUMENT
        assert (await refused(books.trades.entries("paper", after=after, limit=limit))).code is Code.INVALID_ARGUMENT


# crashes and locks


async def test_an_account_that_is_held_too_long_is_busy_while_its_facts_can_be_read(
    hasty: Ledger, ledger_url: str
) -> None:
    books = await seeded(hasty)
    holder = make_blocking_engine(parse_address(ledger_url))
    with holder.begin() as connection:
        connection.execute(select(accounts).with_for_update())
        outcomes = await asyncio.gather(*[books.admit(new_trade()) for _ in range(4)], return_exceptions=True)
        assert [getattr(outcome, "reason", None) for outcome in outcomes] == ["LEDGER_BUSY"] * 4
        assert (await books.facts()).open_trades == ()
    await books.admit(new_trade())


async def test_a_trader_killed_in_the_middle_loses_nothing_acknowledged_and_leaves_nothing_half_done(
    ledger: Ledger, ledger_url: str
) -> None:
    books = await seeded(ledger)
    command = [sys.executable, "-c", TRADER, ledger_url]
    with subprocess.Popen(command, cwd=INI_FILE.parent, stdout=subprocess.PIPE, text=True) as trader:
        assert trader.stdout is not None
        lines = [trader.stdout.readline() for _ in range(20)]
        trader.kill()
        lines += trader.stdout.readlines()
    acknowledged = [line.strip() for line in lines]
    trades = await books.trades.list("paper")
    assert [trade.id for trade in trades[: len(acknowledged)]] == acknowledged
    assert [trade.pnl for trade in trades[: len(acknowledged)]] == [
        Decimal(number) - Decimal("0.1") for number in range(len(acknowledged))
    ]
    rest = trades[len(acknowledged) :]  # the one it was killed in: absent, born, or wholly closed
    assert len(rest) <= 1
    emitted = (await books.facts(since=-1)).emissions
    assert len(emitted) == len(trades)
    entries = await books.trades.entries("paper")
    assert len(entries) == 2 * len([trade for trade in trades if trade.state is TradeState.CLOSED])
    await books.admit(new_trade())  # whatever it held is free
    await assert_books_balance(books)


async def test_cancelled_calls_are_wholly_there_or_wholly_absent(ledger: Ledger) -> None:
    books = await seeded(ledger)
    calls = [asyncio.create_task(books.admit(new_trade(signal_id=f"s-{number}"))) for number in range(40)]
    await asyncio.wait(calls[:3], return_when=asyncio.FIRST_COMPLETED)
    for call in calls[::2]:
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    stored = {trade.id for trade in await books.trades.list("paper")}
    assert {outcome.id for outcome in outcomes if isinstance(outcome, Trade)} <= stored
    created = [each for each in await ledger.audit_after(0, 500) if each.action == "trade.create"]
    assert {entry.subject for entry in created} == {f"trade/{name}" for name in stored}
    await assert_books_balance(books)
