"""Paper trades in the real ledger: what a restart at every candle books is what a replay in one go books."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from core.adapters.ledger.ledger import Ledger
from core.errors import CrpbotError
from core.market import instant
from core.paper.machine import step
from core.paper.replay import replay
from core.paper.trade import PaperTrade, birth, follow, rebuild
from core.risk.account import Moment, TradeState
from core.risk.booking import NewTrade, Opening
from tests.core.books import Books, HandClock, seeded
from tests.core.decisions import decision
from tests.core.paper.test_paper_replay import random_trades
from tests.core.paper_cases import BEGIN, bar, make_trade, walk


def newborn(trade: PaperTrade) -> NewTrade:
    return NewTrade(
        trade.id,
        trade.symbol,
        trade.direction,
        trade.quantity,
        trade.entry,
        stop_loss=trade.stop_loss,
        take_profit=trade.take_profit,
        signal_id=trade.signal_id,
        expires_at=trade.expires_at,
    )


async def stored(books: Books, trade_id: str) -> PaperTrade:
    """The trade as a server finds it that has just started."""
    entries = await books.trades.entries("paper")
    return rebuild(await books.trades.get(trade_id), entries)


async def test_a_restart_at_every_candle_books_what_a_replay_books(ledger: Ledger) -> None:
    books = await seeded(ledger)
    bars = walk(8, 45, deviation=0.006)
    trades = random_trades(8, 5, bars, far=0.004)
    for trade in trades:
        books.clock = HandClock(trade.created_at)
        await books.admit(newborn(trade))
    for trade in trades:
        for candle in bars.from_ms(trade.seen_ms):
            found = await stored(books, trade.id)
            if found.state is TradeState.CLOSED:
                break
            if candle.open_ms < found.seen_ms:
                continue
            for move in step(found, candle).moves:
                books.clock.at = instant(candle.close_ms) + timedelta(seconds=3)
                await books.trades.move("paper", move, by="keeper", clock=books.clock)
    replayed = replay(trades, bars)
    expected = {entry.key: entry.amount for each in replayed.steps for move in each.moves for entry in move.entries}
    entries = await books.trades.entries("paper")
    assert {entry.key: entry.amount for entry in entries} == expected
    assert len(expected) > 6
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    for each in replayed.steps:
        found = await stored(books, each.trade.id)
        assert (found.state, found.outcome, found.opened_at) == (
            each.trade.state,
            each.trade.outcome,
            each.trade.opened_at,
        )
        assert (found.pnl or 0) == (each.trade.pnl or 0)
    booked = sum((entry.amount for entry in entries), Decimal(0))
    days = (await books.facts()).days
    assert sum((day.amount for day in days), Decimal(0)) == booked


async def test_two_keepers_at_one_candle_book_it_once(ledger: Ledger) -> None:
    books = await seeded(ledger)
    books.clock = HandClock(BEGIN)
    trade = make_trade()
    await books.admit(newborn(trade))
    opening, closing = step(trade, bar(1, 100, 100.1, 97, 98)).moves
    assert isinstance(opening, Opening)

    async def keep() -> int:
        done = 0
        for move in (opening, closing):
            try:
                await books.trades.move("paper", move, by="keeper", clock=books.clock)
                done += 1
            except CrpbotError as error:
                assert error.reason in {"TRADE_IS_OPEN", "TRADE_IS_CLOSED"}  # noqa: PT017  # either may be first
        return done

    assert sum(await asyncio.gather(keep(), keep())) == 2
    found = await stored(books, trade.id)
    assert found.pnl == sum((entry.amount for entry in await books.trades.entries("paper")), Decimal(0))
    with pytest.raises(CrpbotError, match="is closed since"):
        step(found, bar(2, 100, 100, 100, 100))


async def test_a_signal_becomes_one_trade_whoever_brings_it(ledger: Ledger) -> None:
    books = await seeded(ledger)
    signal = decision(1)
    books.clock = HandClock(signal.timestamp)
    new = birth(signal)
    stored_trade = await books.admit(new)
    with pytest.raises(CrpbotError):
        await books.admit(birth(signal))
    found = rebuild(stored_trade, ())
    assert found == follow(new, stored_trade.created_at)
    assert books.clock() == Moment(signal.timestamp, books.clock.steady_ms)
