"""What a trader does to a paper trade by hand: cancel it while it waits, open it now, close it now."""

from __future__ import annotations

from datetime import datetime

from core.errors import Code, CrpbotError, invalid
from core.paper.fill import STANDARD_TERMS, Terms, buy_in, sell_out
from core.paper.settle import Step, close_trade, end_unopened, need_state, open_trade
from core.paper.trade import Fill, PaperTrade
from core.risk.account import Quote, TradeState
from core.risk.booking import Outcome


def cancel(trade: PaperTrade, at: datetime) -> Step:
    """Take back a trade that still waits."""
    need_state(trade, TradeState.PENDING)
    return end_unopened(trade, Outcome.CANCELLED, at)


def open_by_hand(trade: PaperTrade, quote: Quote, at: datetime, terms: Terms = STANDARD_TERMS) -> Step:
    """Open a waiting trade at a quote: within the same band and before it expires, slippage paid."""
    need_state(trade, TradeState.PENDING)
    _check_quote(trade, quote)
    if at >= trade.expires_at:
        detail = f"trade: {trade.id!r} waited until {trade.expires_at.isoformat()}, it is {at.isoformat()}"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="TRADE_EXPIRED")
    price = buy_in(trade, quote.ask if trade.side > 0 else quote.bid, terms.costs.slippage_fraction)
    away = abs(price - trade.entry) / trade.entry
    beyond = any(
        level is not None and (price - level) * sign * trade.side <= 0
        for level, sign in ((trade.stop_loss, 1), (trade.take_profit, -1))
    )
    if away > terms.tolerance_fraction or beyond:
        detail = (
            f"trade: {trade.id!r} would fill at {price}; within {100 * terms.tolerance_fraction:f} % of "
            f"{trade.entry} and between stop {trade.stop_loss} and target {trade.take_profit} is allowed"
        )
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="ENTRY_OUT_OF_REACH")
    return open_trade(trade, Fill.BY_HAND, at, price=price, terms=terms)


def close_by_hand(trade: PaperTrade, quote: Quote, at: datetime, terms: Terms = STANDARD_TERMS) -> Step:
    """Close an open trade at a quote."""
    need_state(trade, TradeState.OPEN)
    _check_quote(trade, quote)
    if trade.opened_at is not None and at < trade.opened_at:
        raise invalid("at", f"{at.isoformat()} is before the trade was opened, {trade.opened_at.isoformat()}")
    price = sell_out(trade, quote.bid if trade.side > 0 else quote.ask, terms.costs.slippage_fraction)
    return close_trade(trade, price, at, how="by hand", terms=terms)


def _check_quote(trade: PaperTrade, quote: Quote) -> None:
    if quote.symbol != trade.symbol:
        raise invalid("symbol", f"the quote is of {quote.symbol}, trade {trade.id!r} is in {trade.symbol}")
    if not (quote.bid.is_finite() and quote.ask.is_finite() and 0 < quote.bid <= quote.ask):
        raise invalid("quote", f"bid {quote.bid} and ask {quote.ask}; 0 < bid <= ask is needed")
