"""A trader's hand on paper trades: what the account, the quote and the book say to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.paper_books import StoredBooks
from core.adapters.ledger.signals.reads import Signals
from core.errors import Code, CrpbotError
from core.paper.desk import PaperDesk
from core.paper.requests import CancelPaperTradeRequest, ClosePaperTradeRequest, OpenPaperTradeRequest
from core.risk.account import Account, AccountKind, KillLevel, TradeState
from core.risk.booking import Outcome
from core.risk.desk import House, RiskDesk
from core.risk.limits import Limits
from core.risk.pack import discover_packs
from core.trade import Book, Direction
from tests.core.books import NOON, Books, seeded
from tests.core.keeper_world import PlantedMarket, at_100, keep, publish, refusal, turn_to
from tests.core.signal_cases import STEP


@dataclass
class World:
    """Everything that a trader's call goes through."""

    books: Books
    market: PlantedMarket
    desk: PaperDesk


@pytest.fixture
async def world(ledger: Ledger) -> World:
    books, market = await seeded(ledger), PlantedMarket()
    market.calm(range(-5, 1))
    turn_to(books, 0)
    risk = RiskDesk(
        accounts=books.accounts,
        switch=books.switch,
        quotes=market,
        clock=books.clock,
        house=House(Limits(), {name: replace(pack, contracts={}) for name, pack in discover_packs().items()}),
        step=lambda _symbol: STEP,
    )
    desk = PaperDesk(books=StoredBooks(ledger), archive=Signals(ledger), risk=risk, clock=books.clock)
    return World(books, market, desk)


async def refused_opening(world: World, signal_id: str | None) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        await world.desk.open(OpenPaperTradeRequest(signal_id or ""))
    return caught.value


@pytest.mark.parametrize("direction", [Direction.BUY, Direction.SELL])
async def test_an_opening_by_hand_is_followed_by_the_keeper_from_the_next_candle_on(
    world: World, direction: Direction
) -> None:
    born = await publish(world.books, at_100(0, direction))
    opened = await world.desk.open(OpenPaperTradeRequest(born.signal_id or ""))
    pays = "100.020001" if direction is Direction.BUY else "99.980001"
    assert (opened.state, opened.opened_price) == (TradeState.OPEN, Decimal(pays))
    wild = (100.0, 104.0, 96.0, 100.0)  # began before the opening: it must not count
    world.market.plant(0, [wild])
    world.market.calm(range(1, 2))
    turn_to(world.books, 2)
    assert (await keep(world.books, world.market).follow_trades()).moved == 0
    world.market.plant(2, [wild])
    turn_to(world.books, 3)
    assert (await keep(world.books, world.market).follow_trades()).moved == 1
    assert (await world.books.trades.get(born.id)).outcome is Outcome.LOSS


async def test_without_a_fresh_quote_nothing_is_opened_or_closed(world: World) -> None:
    born = await publish(world.books, at_100())
    other = await publish(world.books, at_100(1, timestamp=NOON, symbol="ETH-USD"))
    await world.desk.open(OpenPaperTradeRequest(born.signal_id or ""))
    error = await refused_opening(world, other.signal_id)  # its market tells nothing
    assert (error.code, error.reason) == (Code.UNAVAILABLE, "STALE")
    world.market.broken["BTC-USD"] = refusal("EXCHANGE_TIMEOUT", Code.UNAVAILABLE)
    with pytest.raises(CrpbotError, match="no quote") as caught:
        await world.desk.close(ClosePaperTradeRequest(born.id))
    assert caught.value.reason == "STALE"
    world.market.broken.clear()
    assert (await world.desk.close(ClosePaperTradeRequest(born.id))).outcome is Outcome.LOSS


async def test_after_a_loss_that_tripped_the_guard_an_opening_is_refused_by_its_name(world: World) -> None:
    big = await publish(world.books, at_100(quantity=Decimal(470)))
    await world.desk.open(OpenPaperTradeRequest(big.signal_id or ""))
    world.market.calm(range(1, 3), 90.2)  # a gap: about 4,600 of the 4,500 that the house allows a day
    world.market.calm(range(3, 4))
    turn_to(world.books, 4)
    assert (await keep(world.books, world.market).follow_trades()).moved == 1
    assert -5_000 < (await world.books.facts()).days[-1].amount < -4_500
    still = await publish(world.books, at_100(2, timestamp=world.books.clock.at, quantity=Decimal(1)))
    error = await refused_opening(world, still.signal_id)
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "DAILY_STOP")
    assert (await world.books.facts()).latches != ()


async def test_the_shadow_book_is_opened_under_a_halt_and_an_account_at_the_firm_never(world: World) -> None:
    shadow = await publish(world.books, at_100(account="shadow", book=Book.SHADOW))
    mine = Account(
        "mine", "mine", AccountKind.REPORTED, Book.PRIMARY, "ftmo-1step", "Europe/Prague", Decimal(50_000), NOON
    )
    await world.books.accounts.create(mine, by="test")
    held = await publish(world.books, at_100(1, timestamp=NOON, account="mine"))
    assert (await refused_opening(world, held.signal_id)).reason == "ACCOUNT_IS_REPORTED"
    await world.books.switch.set(KillLevel.HALT, by="test", reason="drill", clock=world.books.clock)
    assert (await world.desk.open(OpenPaperTradeRequest(shadow.signal_id or ""))).state is TradeState.OPEN
    assert (await world.desk.cancel(CancelPaperTradeRequest(held.id))).outcome is Outcome.CANCELLED


async def test_a_pause_stops_signals_and_not_a_hand(world: World) -> None:
    born = await publish(world.books, at_100())
    await world.books.switch.set(KillLevel.PAUSE, by="test", reason="drill", clock=world.books.clock)
    assert (await world.desk.open(OpenPaperTradeRequest(born.signal_id or ""))).state is TradeState.OPEN


async def test_its_own_claim_does_not_stand_in_the_way_of_a_trade(world: World) -> None:
    big = await publish(world.books, at_100(quantity=Decimal(900)))  # 1.8 % of the capital: twice that has no room
    assert (await world.desk.open(OpenPaperTradeRequest(big.signal_id or ""))).state is TradeState.OPEN
