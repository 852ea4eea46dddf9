"""Whatever happens, the books of paper trading add up: restarts, kills, calls by hand, bad candles."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.errors import CrpbotError
from core.market import instant, milliseconds
from core.paper.fill import dollars
from core.paper.hand import cancel, close_by_hand, open_by_hand
from core.paper.machine import advance, step
from core.paper.replay import replay
from core.paper.settle import Step
from core.paper.trade import Fill, PaperTrade, rebuild
from core.risk.account import Quote, TradeState
from core.risk.booking import NEVER_IN_MARKET, Opening
from core.trade import Direction
from tests.core.paper.test_paper_replay import random_trades
from tests.core.paper_cases import BEGIN, Books, bar, make_trade, walk

ACTIONS = ("nothing", "restart", "kill", "open", "close", "cancel", "old candle", "other symbol")


def from_books(books: Books, trade_id: str) -> PaperTrade:
    return rebuild(books.trades[trade_id], books.entries)


def by_hand(action: str, trade: PaperTrade, quote: Quote, now_ms: int) -> Step:
    at = instant(now_ms)
    try:
        if action == "open":
            return open_by_hand(trade, quote, at)
        if action == "close":
            return close_by_hand(trade, quote, at)
        return cancel(trade, at)
    except CrpbotError as error:
        event(error.reason)
        return Step(trade, ())


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    actions=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 3), st.sampled_from(ACTIONS)), max_size=12),
)
def test_the_ledger_is_the_equity_whatever_happens(seed: int, actions: list[tuple[int, int, str]]) -> None:
    bars = walk(seed, 70, deviation=0.004)
    books, live = Books(), {}
    for trade in random_trades(seed, 4, bars.from_ms(0), far=0.004):
        books.bear(trade)
        live[trade.id] = trade
    plan = {(row, place): action for row, place, action in actions}
    for row, candle in enumerate(bars):
        for place, trade_id in enumerate(live):
            trade = live[trade_id]
            if trade.state is TradeState.CLOSED or candle.open_ms < trade.seen_ms:
                continue
            action = plan.get((row, place), "nothing")
            live[trade_id] = go_on(books, trade, candle, action)
    check_books(books, live, candle_close=dollars(bars.row(len(bars) - 1).close))


def go_on(books: Books, trade: PaperTrade, candle, action: str) -> PaperTrade:
    """One candle and what happened beside it. Each move is stored whole or not at all; a kill loses what came after."""
    if action == "old candle":
        refuse(trade, candle._replace(open_ms=trade.seen_ms - 60_000, close_ms=trade.seen_ms))
    if action == "other symbol":
        refuse(trade, candle._replace(symbol="LTC-USD"))
    if action in {"open", "close", "cancel"}:
        middle = dollars(candle.open)
        quote = Quote(trade.symbol, middle * Decimal("0.9999"), middle * Decimal("1.0001"), candle.open_ms)
        found = by_hand(action, trade, quote, candle.open_ms)
        for move in found.moves:
            books.apply(move, instant(candle.close_ms + 12_345))
        if found.moves:
            return found.trade
    found = step(trade, candle)
    for done, move in enumerate(found.moves):
        if action == "kill" and done == 1:
            # killed between the opening and the closing of one candle: the restart finds the closing again
            again = advance(from_books(books, trade.id), [candle])
            assert again.moves == found.moves[1:]
        books.apply(move, instant(candle.close_ms + 12_345))
    if action in {"restart", "kill"}:
        again = from_books(books, trade.id)
        if again.state is TradeState.OPEN and candle.open_ms >= again.seen_ms:
            seen = step(again, candle)
            assert seen.moves == ()  # what was booked is not found a second time
            return seen.trade
        return again
    return found.trade


def refuse(trade: PaperTrade, candle) -> None:
    with pytest.raises(CrpbotError) as caught:
        step(trade, candle)
    assert caught.value.reason in {"UNSORTED_CANDLES", "INVALID_FIELD"}


def check_books(books: Books, live: dict[str, PaperTrade], *, candle_close: Decimal) -> None:
    closed = [trade for trade in books.trades.values() if trade.state is TradeState.CLOSED]
    in_market = [trade for trade in books.trades.values() if trade.state is TradeState.OPEN]
    assert books.balance == books.capital + sum((entry.amount for entry in books.entries), Decimal(0))
    paid = sum((live[trade.id].pnl for trade in in_market), Decimal(0))
    assert books.balance == books.capital + sum((trade.pnl for trade in closed), Decimal(0)) + paid
    assert len({trade.signal_id for trade in books.trades.values()}) == len(books.trades)
    assert all(trade.pnl == 0 for trade in closed if trade.outcome in NEVER_IN_MARKET)
    for trade in books.trades.values():
        found = live[trade.id]
        assert (trade.state, trade.outcome) == (found.state, found.outcome)
        assert (trade.opened_price, trade.closed_price) == (found.opened_price, found.closed_price)
        assert (trade.pnl or 0) == (found.pnl or 0) or trade.state is TradeState.OPEN
        again = rebuild(trade, books.entries)
        assert (again.opened_at, again.fill) == (found.opened_at, found.fill)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), stops=st.lists(st.integers(1, 300), max_size=5))
def test_a_replay_gives_the_same_ledger_as_a_life_with_restarts(seed: int, stops: list[int]) -> None:
    bars = walk(seed, 300, deviation=0.003)
    trades = random_trades(seed, 5, bars, far=0.004)
    books = Books()
    for trade in trades:
        books.bear(trade)
        state = trade
        for row, candle in enumerate(bars.from_ms(trade.seen_ms)):
            if state.state is TradeState.CLOSED:
                break
            if row in stops:
                seen = state.seen_ms
                state = from_books(books, trade.id)
                # a restart sees again what it had seen since the opening, and finds nothing new in it
                again = advance(state, [each for each in bars.from_ms(state.seen_ms) if each.close_ms <= seen])
                assert again.moves == ()
                state = again.trade
            state, moves = step(state, candle)
            for move in moves:
                books.apply(move, instant(candle.close_ms + 777))
    entries = [entry for found in replay(trades, bars).steps for move in found.moves for entry in move.entries]
    assert sorted(entries, key=lambda entry: entry.key) == sorted(books.entries, key=lambda entry: entry.key)


def test_a_kill_between_entry_and_stop_of_one_candle_loses_no_cent() -> None:
    for prices in ((100, 100.1, 97, 98), (101, 101.5, 97, 98)):
        books, trade = Books(), make_trade()
        books.bear(trade)
        opening, closing = step(trade, bar(1, *prices)).moves
        assert isinstance(opening, Opening)
        books.apply(opening, BEGIN + timedelta(hours=9))
        found = from_books(books, trade.id)
        assert milliseconds(found.opened_at) == bar(1, *prices).open_ms
        assert step(found, bar(1, *prices)).moves == (closing,)


def test_an_opening_that_was_booked_without_an_entry_was_made_by_hand() -> None:
    books, trade = Books(), make_trade(Direction.SELL)
    books.bear(trade)
    books.apply(Opening(trade.id, Decimal(100)), BEGIN + timedelta(minutes=3))
    found = from_books(books, trade.id)
    assert (found.fill, found.opened_at, found.pnl) == (Fill.BY_HAND, BEGIN + timedelta(minutes=3), 0)
    damaged = replace(books.trades[trade.id], opened_at=None)
    with pytest.raises(CrpbotError) as caught:
        rebuild(damaged, ())
    assert caught.value.reason == "DAMAGED_TRADE"


def test_a_restart_does_not_look_at_candles_from_before_the_opening() -> None:
    books, trade = Books(), make_trade()
    books.bear(trade)
    waiting = step(trade, bar(1, 101, 101.5, 100.6, 101)).trade
    (opening,) = step(waiting, bar(2, 100, 100.1, 99.9, 100)).moves
    books.apply(opening, BEGIN + timedelta(minutes=9))
    found = from_books(books, trade.id)
    assert found.seen_ms == bar(2, 100, 100, 100, 100).open_ms
    with pytest.raises(CrpbotError, match="has seen the market until"):
        step(found, bar(1, 101, 104, 90, 101))
