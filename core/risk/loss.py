"""What a trade is worth now and what it costs when its stop fills: with the spread, the slippage and the commission.

With s = 1 for BUY and -1 for SELL, quantity q, entry e, stop x, commission c a side, slippage g, tolerance t:

- floating: s (close - e) q - c close q, with close the bid for BUY and the ask for SELL; the commission of the entry
  was booked when the trade opened;
- the stop fills at x' = x (1 - s g); an open trade then loses s (e - x') q + c x' q;
- a trade that waits for its entry may fill at e' = e (1 + s t) and pays both sides: s (e' - x') q + c (e' + x') q.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from core.risk.account import OpenTrade, Quote, TradeState
from core.risk.amount import ZERO, down, up
from core.risk.limits import Limits
from core.risk.state import Claim
from core.trade import Direction

_ONE = Decimal(1)


class Costs(NamedTuple):
    """What a loss is reckoned with: commission a side, slippage of a stop, tolerance of an entry, as fractions."""

    commission: Decimal
    slippage: Decimal
    tolerance: Decimal
    entry_is_booked: bool = True  # of open trades; what a trader reports may still lack it


def costs_of(commission: Decimal, limits: Limits, *, entry_is_booked: bool = True) -> Costs:
    """The costs under these limits."""
    return Costs(commission, limits.slippage_fraction, limits.entry_tolerance_fraction, entry_is_booked)


def closing_price(direction: Direction, quote: Quote) -> Decimal:
    """What a trade can be closed at: a long one sells at the bid, a short one buys at the ask."""
    return quote.bid if direction is Direction.BUY else quote.ask


def opening_price(direction: Direction, quote: Quote) -> Decimal:
    """What a trade can be opened at: buy at the ask, sell at the bid."""
    return quote.ask if direction is Direction.BUY else quote.bid


def floating(trade: OpenTrade, quote: Quote, commission: Decimal) -> Decimal:
    """The result of closing the trade now, the commission of its exit paid."""
    close = closing_price(trade.direction, quote)
    moved = close - trade.entry if trade.direction is Direction.BUY else trade.entry - close
    return (moved - commission * close) * trade.quantity


def planned_loss(direction: Direction, entry: Decimal, stop: Decimal, costs: Costs) -> Decimal:
    """What one unit loses when it enters as planned and its stop fills with slippage, both commissions paid."""
    filled = _stop_fill(direction, stop, costs.slippage)
    moved = entry - filled if direction is Direction.BUY else filled - entry
    return moved + costs.commission * (entry + filled)


def worst_loss(direction: Direction, entry: Decimal, stop: Decimal, costs: Costs) -> Decimal:
    """As `planned_loss`, but with the entry filled as badly as it may."""
    worse = entry * (_ONE + costs.tolerance if direction is Direction.BUY else _ONE - costs.tolerance)
    # For a short trade the lower entry also pays less commission; that may not make the loss look smaller than planned.
    return max(planned_loss(direction, worse, stop, costs), planned_loss(direction, entry, stop, costs))


def claim(trade: OpenTrade, quote: Quote | None, costs: Costs) -> Claim:
    """What the trade may still cost: its stop filling, or what it floats at where the price is already beyond."""
    is_open = trade.state is TradeState.OPEN
    floats = down(floating(trade, quote, costs.commission)) if quote is not None and is_open else None
    price = trade.entry if quote is None or not is_open else closing_price(trade.direction, quote)
    return Claim(
        trade=trade.id,
        symbol=trade.symbol,
        state=trade.state,
        floating_usd=floats,
        worst_usd=_worst(trade, floats, costs),
        notional_usd=up(price * trade.quantity),
    )


def _worst(trade: OpenTrade, floats: Decimal | None, costs: Costs) -> Decimal | None:
    if trade.stop_loss is None:
        return None
    if trade.state is TradeState.PENDING:
        return max(ZERO, up(trade.quantity * worst_loss(trade.direction, trade.entry, trade.stop_loss, costs)))
    loss = planned_loss(trade.direction, trade.entry, trade.stop_loss, costs)
    if costs.entry_is_booked:
        loss -= costs.commission * trade.entry
    # A stop beyond the entry locks a profit in, but a gap can take it: it never makes room for another trade.
    return max(ZERO, up(loss * trade.quantity), ZERO if floats is None else -floats)


def _stop_fill(direction: Direction, stop: Decimal, slippage: Decimal) -> Decimal:
    return stop * (_ONE - slippage if direction is Direction.BUY else _ONE + slippage)
