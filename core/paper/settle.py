"""The money of a paper trade: what opening and closing it moves, entry by entry, and how it has ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from core.errors import Code, CrpbotError
from core.market import milliseconds
from core.paper.fill import Terms
from core.paper.trade import Fill, PaperTrade, entry_key, opening_detail
from core.risk.account import TradeState
from core.risk.amount import EXACT, ZERO, down, up
from core.risk.booking import Closing, EntryKind, Move, NewEntry, Opening, Outcome

CENT: Final = Decimal("0.01")
_DAY: Final = Decimal(86_400_000)  # milliseconds


class Step(NamedTuple):
    """The trade afterwards, and what the books are to be told, in this order."""

    trade: PaperTrade
    moves: tuple[Move, ...]


def open_trade(trade: PaperTrade, fill: Fill, at: datetime, *, price: Decimal, terms: Terms) -> Step:
    """The trade in the market, and the commission of its entry, which also says where it was filled."""
    fee = up(_product(terms.costs.commission_fraction, price, trade.quantity))
    entry = NewEntry(
        entry_key(trade.id, "open-commission"), -fee, EntryKind.COMMISSION, trade.id, opening_detail(fill, at)
    )
    opened = replace(
        trade,
        state=TradeState.OPEN,
        opened_at=at,
        opened_price=price,
        fill=fill,
        pnl=-fee,
        seen_ms=milliseconds(at),
    )
    return Step(opened, (Opening(trade.id, price, (entry,)),))


def close_trade(trade: PaperTrade, price: Decimal, at: datetime, *, how: str, terms: Terms) -> Step:
    """The trade at its end: result, commission and financing, each an entry."""
    assert trade.opened_price is not None
    assert trade.opened_at is not None
    costs, quantity = terms.costs, trade.quantity
    moved = down(_product(trade.side * (price - trade.opened_price), quantity))
    fee = up(_product(costs.commission_fraction, price, quantity))
    days = EXACT.divide(Decimal(milliseconds(at) - milliseconds(trade.opened_at)), _DAY)
    swap = up(_product(costs.financing_fraction_per_day, days, trade.opened_price, quantity))
    detail = f"closed: {how} {at.isoformat()}"
    entries = [
        NewEntry(entry_key(trade.id, "result"), moved, EntryKind.RESULT, trade.id, detail),
        NewEntry(entry_key(trade.id, "close-commission"), -fee, EntryKind.COMMISSION, trade.id, detail),
    ]
    if swap:
        entries.append(NewEntry(entry_key(trade.id, "swap"), -swap, EntryKind.SWAP, trade.id, detail))
    net = sum((entry.amount for entry in entries), ZERO if trade.pnl is None else trade.pnl)
    outcome = judge_outcome(net)
    closed = replace(trade, state=TradeState.CLOSED, closed_at=at, closed_price=price, outcome=outcome, pnl=net)
    return Step(closed, (Closing(trade.id, outcome, price, tuple(entries)),))


def end_unopened(trade: PaperTrade, outcome: Outcome, at: datetime) -> Step:
    """The end of a trade that never was in the market."""
    closed = replace(trade, state=TradeState.CLOSED, closed_at=at, outcome=outcome)
    return Step(closed, (Closing(trade.id, outcome),))


def judge_outcome(net: Decimal) -> Outcome:
    """Win, loss or breakeven of a result after all costs.

    >>> judge_outcome(Decimal("-0.009")).value, judge_outcome(Decimal("0.01")).value
    ('breakeven', 'win')
    """
    if abs(net) < CENT:
        return Outcome.BREAKEVEN
    return Outcome.WIN if net > 0 else Outcome.LOSS


def need_state(trade: PaperTrade, state: TradeState) -> None:
    """Refuse a trade that is not in this state."""
    if trade.state is not state:
        raise wrong_state(trade, f"this can only be done to one that is {state.value}")


def wrong_state(trade: PaperTrade, remedy: str) -> CrpbotError:
    """The refusal of a trade that is not where it would have to be."""
    ended = ""
    if trade.closed_at is not None and trade.outcome is not None:
        ended = f" since {trade.closed_at.isoformat()} ({trade.outcome.value})"
    detail = f"trade: {trade.id!r} is {trade.state.value}{ended}; {remedy}"
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason=f"TRADE_IS_{trade.state.name}")


def _product(*factors: Decimal) -> Decimal:
    product = Decimal(1)
    for factor in factors:
        product = EXACT.multiply(product, factor)
    return product
