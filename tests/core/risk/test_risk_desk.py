"""Between two questions: a breach always halts, what was taken is not forgotten, no limit hides another."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from core.adapters.ledger.accounts import BREACH_STOPPER
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.paper_books import StoredBooks
from core.adapters.ledger.trades import StoredTrades
from core.errors import Code, CrpbotError
from core.market import milliseconds
from core.paper.machine import lapse
from core.paper.trade import rebuild
from core.risk.account import AccountFacts, AccountKind, KillLevel, Latch, LatchKind, Quote, TradeState
from core.risk.report import CheckTradeRequest, GetRiskRequest, RiskReport
from core.risk.requests import (
    CreateAccountRequest,
    LiftLatchRequest,
    ReportAccountRequest,
    ReportedPosition,
    SetKillSwitchRequest,
)
from core.risk.rule import Rule
from core.risk.state import Standing
from core.signal import Signal
from core.signals.reader import SignalReader
from core.signals.requests import GenerateSignalsRequest, MarkExecutedRequest
from core.trade import Direction
from tests.core.books import NOON, adjustment
from tests.core.signal_cases import Room, hourly

CAPITAL = Decimal(100_000)
DAY_SECONDS = 86_400
BIT = ReportedPosition("BTC-USD", Direction.BUY, Decimal(1), Decimal(50_000), stop_loss=Decimal(49_000))

BREACH = Latch(LatchKind.BREACH, Rule.DAILY_LOSS, NOON, "2026-11-21", Decimal(94_999), Decimal(95_000))


async def reporting(ledger: Ledger) -> Room:
    """A room with an account at the firm that was flat a moment ago."""
    room = await Room(ledger, limits=hourly(20)).open()
    await room.risk.create(CreateAccountRequest("mine", AccountKind.REPORTED, CAPITAL))
    await tell(room)
    return room


async def tell(room: Room, equity: Decimal = CAPITAL, *positions: ReportedPosition) -> RiskReport:
    return await room.risk.tell(ReportAccountRequest("mine", CAPITAL, equity, CAPITAL, 3, positions))


async def risk(room: Room, account: str = "paper") -> RiskReport:
    return await room.risk.report(GetRiskRequest(account))


async def take(room: Room, symbol: str = "BTC-USD") -> Signal:
    """A signal of the account at the firm, marked as executed."""
    asked = GenerateSignalsRequest(symbols=(symbol,), account="mine")
    (signal,) = (await room.desk.generate(asked, timeout_seconds=60)).signals
    assert signal.direction is not Direction.HOLD, signal.vetoes
    return await SignalReader(room.signals, room.clock).mark(MarkExecutedRequest(signal.id))


async def let_expire(room: Room) -> None:
    """Eighteen minutes pass, and the keeper clears away what waits for the firm."""
    room.clock.pass_time(18 * 60)
    books = StoredBooks(room.ledger)
    for stored, entries in await books.unfinished("mine"):
        trade = rebuild(stored, entries)
        step = lapse(trade, milliseconds(room.clock().at) - 120_000)
        assert step.moves
        await books.apply("mine", trade, step, by="keeper", clock=room.clock)


async def book(room: Room, key: str, amount: str) -> None:
    await StoredTrades(room.ledger).book("paper", [adjustment(key, amount)], by="test", clock=room.clock)


async def latched(room: Room, account: str = "paper") -> list[tuple[LatchKind, str]]:
    facts = await room.accounts.facts(account, since_steady_ms=0)
    return [(latch.kind, latch.rule) for latch in facts.latches]


# what was taken


async def test_a_signal_that_was_taken_keeps_its_claim_until_the_next_report(ledger: Ledger) -> None:
    room = await reporting(ledger)
    signal = await take(room)
    assert signal.risk_usd is not None
    await let_expire(room)
    known = await risk(room, "mine")
    assert known.open_risk_usd >= signal.risk_usd
    assert not known.fresh  # the account has a position, so that its report is too old
    assert "while positions are open" in known.stale[0].detail
    room.clock.pass_time(1)
    told = await tell(room)
    assert (told.open_risk_usd, told.fresh) == (0, True)


async def test_a_taken_signal_is_counted_once_while_its_paper_trade_still_waits(ledger: Ledger) -> None:
    room = await reporting(ledger)
    signal = await take(room)
    (claim,) = (await risk(room, "mine")).open_trades
    assert (claim.symbol, claim.state) == (signal.symbol, TradeState.OPEN)
    room.clock.pass_time(61)
    assert not (await risk(room, "mine")).fresh


async def test_a_signal_that_nobody_took_claims_nothing_once_it_expired(ledger: Ledger) -> None:
    room = await reporting(ledger)
    asked = GenerateSignalsRequest(symbols=("BTC-USD",), account="mine")
    await room.desk.generate(asked, timeout_seconds=60)
    await let_expire(room)
    assert (await risk(room, "mine")).open_risk_usd == 0


# breaches


async def test_whoever_stores_a_breach_has_set_the_switch_with_it(ledger: Ledger) -> None:
    """Between two transactions a server can die: the breach would then be known, and nothing would be stopped."""
    room = await Room(ledger).open()
    await room.accounts.trip("paper", BREACH, by="guard")
    switch = await room.switch.read()
    assert (switch.level, switch.by) == (KillLevel.HALT, BREACH_STOPPER)
    assert "daily_loss at 94999 against 95000: account paper" in switch.reason
    assert [entry.action for entry in await ledger.audit_after(2, 10)] == ["latch.trip", "kill_switch.set"]
    assert not await room.accounts.trip("paper", BREACH, by="guard")


async def test_a_breach_of_the_shadow_book_stops_nothing(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    assert await room.accounts.trip("shadow", BREACH, by="guard")
    assert (await room.switch.read()).level is KillLevel.OFF


async def test_a_person_who_lifted_the_halt_after_a_breach_is_not_overruled(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    await book(room, "loss", "-10000")
    await risk(room)
    await room.risk.kill(SetKillSwitchRequest(KillLevel.OFF, "bob", "another account goes on"))
    assert (await risk(room)).kill_switch.level is KillLevel.OFF


@pytest.mark.parametrize("name", ["a" * 65, "", "mine\n", "a b", "ä", "-mine", "../mine"])
async def test_an_account_id_that_is_no_plain_name_is_refused(ledger: Ledger, name: str) -> None:
    room = await Room(ledger).open()
    with pytest.raises(CrpbotError, match="id: "):
        await room.risk.create(CreateAccountRequest(name, AccountKind.REPORTED, CAPITAL))


async def test_the_longest_account_id_halts_too(ledger: Ledger) -> None:
    room, name = await Room(ledger).open(), "a" * 64
    await room.risk.create(CreateAccountRequest(name, AccountKind.REPORTED, CAPITAL))
    loss = Decimal("89000.00000001")
    told = await room.risk.tell(ReportAccountRequest(name, loss, loss, loss, 3))
    assert (told.state, told.kill_switch.level) == (Standing.BREACHED, KillLevel.HALT)


async def test_a_breach_of_the_day_does_not_hide_the_one_in_all(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    await book(room, "first", "-5000")
    await risk(room)
    for key, amount in (("second", "-3000"), ("third", "-2500")):
        room.clock.pass_time(DAY_SECONDS)
        await book(room, key, amount)
    known = await risk(room)
    assert {each.rule: each.state for each in known.headroom} == dict.fromkeys(
        (Rule.DAILY_LOSS, Rule.TOTAL_LOSS), Standing.BREACHED
    )
    breaches = [(LatchKind.BREACH, Rule.DAILY_LOSS), (LatchKind.BREACH, Rule.TOTAL_LOSS)]
    assert [each for each in await latched(room) if each[0] is LatchKind.BREACH] == breaches

    await book(room, "profit", "2500")
    lift = LiftLatchRequest("paper", LatchKind.BREACH, "the firm forgave the day", "bob", Rule.DAILY_LOSS)
    assert (await room.risk.lift(lift)).lifted == 1
    after = {each.rule: each.state for each in (await risk(room)).headroom}
    assert after[Rule.TOTAL_LOSS] is Standing.BREACHED
    lift_all = LiftLatchRequest("paper", LatchKind.BREACH, "a new account", "bob")
    assert (await room.risk.lift(lift_all)).lifted == 1


async def test_a_checked_trade_stores_the_breach_that_it_saw(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    await book(room, "loss", "-10000")
    answer = await room.risk.check(CheckTradeRequest("BTC-USD", Direction.BUY, Decimal(1000)))
    assert answer.vetoes[0].rule == Rule.KILL_SWITCH
    await book(room, "profit", "9000")
    assert (await risk(room)).state is Standing.BREACHED


# between questions


async def test_the_watch_stores_what_tripped_while_nobody_asked(ledger: Ledger) -> None:
    room = await reporting(ledger)
    await book(room, "loss", "-10000")
    await room.risk.watch()
    assert (LatchKind.BREACH, Rule.TOTAL_LOSS) in await latched(room)
    assert (await room.switch.read()).level is KillLevel.HALT


async def test_the_watch_goes_on_where_one_account_cannot_be_judged(ledger: Ledger) -> None:
    room = await reporting(ledger)
    await book(room, "loss", "-10000")
    real = room.accounts

    class OneIsBroken:
        list, trip = room.accounts.list, room.accounts.trip

        async def facts(self, account_id: str, *, since_steady_ms: int) -> AccountFacts:
            if account_id == "mine":
                raise CrpbotError(Code.UNAVAILABLE, "the ledger is busy", reason="LEDGER_BUSY")
            return await real.facts(account_id, since_steady_ms=since_steady_ms)

    room.risk._accounts = OneIsBroken()  # type: ignore[assignment]
    with pytest.raises(CrpbotError, match="busy"):
        await room.risk.watch()
    assert (await room.switch.read()).level is KillLevel.HALT


# what cannot be reckoned with


@pytest.mark.parametrize(
    ("field", "value"),
    [("quantity", "1e30"), ("entry", "1e999999"), ("stop_loss", "1e-40"), ("take_profit", "1e13"), ("entry", "NaN")],
)
async def test_a_position_of_impossible_size_is_refused_and_the_account_stays_usable(
    ledger: Ledger, field: str, value: str
) -> None:
    room = await reporting(ledger)
    values = {"quantity": "1", "entry": "50000", "stop_loss": "49000", "take_profit": "52000", field: value}
    told = ReportedPosition("BTC-USD", Direction.BUY, **{name: Decimal(each) for name, each in values.items()})
    with pytest.raises(CrpbotError, match=f"positions.0.{field}"):
        await tell(room, CAPITAL, told)
    assert (await risk(room, "mine")).fresh


async def test_trading_days_that_nobody_lives_to_see_are_refused(ledger: Ledger) -> None:
    room = await reporting(ledger)
    with pytest.raises(CrpbotError, match="trading_days"):
        await room.risk.tell(ReportAccountRequest("mine", CAPITAL, CAPITAL, CAPITAL, 100_001))


@pytest.mark.parametrize("capital", ["1e30", "1e999999", "1e-7", "NaN"])
async def test_a_capital_that_is_no_account_is_refused(ledger: Ledger, capital: str) -> None:
    room = await Room(ledger).open()
    with pytest.raises(CrpbotError, match="initial_capital"):
        await room.risk.create(CreateAccountRequest("mine", AccountKind.REPORTED, Decimal(capital)))


async def test_an_equity_that_the_named_positions_do_not_explain_leaves_no_room(ledger: Ledger) -> None:
    class AtEntry:
        async def quotes(self, symbols: Sequence[str], *, now_ms: int) -> list[Quote | CrpbotError]:
            return [Quote(symbol, BIT.entry, BIT.entry, now_ms) for symbol in symbols]

    room = await reporting(ledger)
    room.risk._quotes = AtEntry()
    assert (await tell(room, CAPITAL - 400, BIT)).free_usd > 0
    short = await tell(room, CAPITAL - 600, BIT)
    assert short.free_usd == 0
    assert [each.trade for each in short.open_trades] == ["reported-1", "unreported"]
