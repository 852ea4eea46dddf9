"""What a closed candle does to a paper trade: nothing, or the moves that the books are to be told, with their money.

A trade waits for its entry until the signal expires, is in the market until its stop, its target or its time-out, and
ends as win, loss or breakeven by its result after all costs (less than a cent either way is breakeven), or as expired
or cancelled where it never was in the market. The same trade and candles give the same moves to the last unit. A hole
in the candles fills nothing: the next candle that exists is looked at, first its open, then what it reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from core.errors import invalid
from core.market import instant, milliseconds
from core.paper.bars import Bar
from core.paper.fill import (
    STANDARD_TERMS,
    WORDS,
    Bounds,
    Terms,
    Way,
    dollars,
    find_bounds,
    find_entry,
    find_exit,
    mirror,
    price_entry,
    price_exit,
)
from core.paper.settle import Step, close_trade, end_unopened, open_trade, wrong_state
from core.paper.trade import LIFE, Fill, PaperTrade
from core.risk.account import TradeState
from core.risk.booking import Move, Outcome

_LONGEST_CANDLE_MS: Final = LIFE // timedelta(milliseconds=1)


def step(trade: PaperTrade, bar: Bar, terms: Terms = STANDARD_TERMS) -> Step:
    """One closed candle. A candle of another symbol, one that was seen and a trade that is closed are refused."""
    _check(trade, bar)
    return _step(trade, bar, find_bounds(trade, terms), terms)


def advance(trade: PaperTrade, bars: Iterable[Bar], terms: Terms = STANDARD_TERMS) -> Step:
    """Candle after candle until the trade is closed or there are no more; those after its end are not looked at."""
    bounds = find_bounds(trade, terms)
    moves: tuple[Move, ...] = ()
    for bar in bars:
        _check(trade, bar)
        trade, made = _step(trade, bar, bounds, terms)
        moves += made
        if trade.state is TradeState.CLOSED:
            break
    return Step(trade, moves)


def lapse(trade: PaperTrade, complete_ms: int) -> Step:
    """Let a trade expire that waits although every candle until `complete_ms` was seen, or none exist in a hole."""
    if trade.state is TradeState.PENDING and complete_ms >= milliseconds(trade.expires_at):
        return end_unopened(trade, Outcome.EXPIRED, trade.expires_at)
    return Step(trade, ())


def enter(trade: PaperTrade, bar: Bar, way: Way, *, bounds: Bounds, terms: Terms) -> Step:
    """Open a trade on a candle in this way."""
    fill = Fill.OPEN if way is Way.AT_OPEN else Fill.WITHIN
    price = price_entry(trade, way, bar.open, bounds=bounds, terms=terms)
    return open_trade(trade, fill, instant(bar.open_ms), price=price, terms=terms)


def leave(trade: PaperTrade, bar: Bar, way: Way, terms: Terms) -> Step:
    """Close a trade on a candle in this way: at its open after a gap and at the time-out, else when it closed."""
    at_open = way in {Way.STOP_GAP, Way.TARGET_GAP, Way.TIME_OUT}
    at = instant(bar.open_ms if at_open else bar.close_ms)
    return close_trade(trade, price_exit(trade, way, bar.open, terms), at, how=WORDS[way], terms=terms)


def expire(trade: PaperTrade) -> Step:
    """End a trade whose entry was not met in time."""
    return end_unopened(trade, Outcome.EXPIRED, trade.expires_at)


def _step(trade: PaperTrade, bar: Bar, bounds: Bounds, terms: Terms) -> Step:
    seen = replace(trade, seen_ms=bar.close_ms)
    moves: tuple[Move, ...] = ()
    candle = mirror(bar, trade.side)
    if seen.state is TradeState.PENDING:
        if bar.open_ms < milliseconds(trade.created_at) + terms.costs.latency_ms:
            return Step(seen, ())
        expires = milliseconds(trade.expires_at)
        way = Way.NONE
        if bar.open_ms < expires:
            way = find_entry(candle, bounds, whole=bar.close_ms <= expires)
        if way is Way.NONE:
            return expire(seen) if bar.close_ms >= expires else Step(seen, ())
        seen, moves = enter(seen, bar, way, bounds=bounds, terms=terms)
        seen = replace(seen, seen_ms=bar.close_ms)
    assert seen.opened_at is not None  # it is open
    opened = milliseconds(seen.opened_at)
    within = seen.fill is Fill.WITHIN and bar.open_ms == opened
    if bar.close_ms > opened + terms.life_ms and bar.open_ms > opened:
        way = Way.TIME_OUT
    else:
        way = find_exit(candle, bounds, entered_within=within, optimistic=terms.optimistic)
    if way is Way.NONE:
        return Step(seen, moves)
    closed, last = leave(seen, bar, way, terms)
    return Step(closed, moves + last)


def _check(trade: PaperTrade, bar: Bar) -> None:
    if trade.state is TradeState.CLOSED:
        raise wrong_state(trade, "only a trade that is pending or open can go on")
    if bar.symbol != trade.symbol:
        raise invalid("symbol", f"the candle is of {bar.symbol}, trade {trade.id!r} is in {trade.symbol}")
    if not 0 < bar.close_ms - bar.open_ms <= _LONGEST_CANDLE_MS:
        seconds = (bar.close_ms - bar.open_ms) // 1_000
        raise invalid("interval", f"a candle of {seconds} s; up to {_LONGEST_CANDLE_MS // 1_000} s, as a signal lives")
    if bar.open_ms < trade.seen_ms:
        detail = (
            f"candle {instant(bar.open_ms).isoformat()}: trade {trade.id!r} has seen the market until "
            f"{instant(trade.seen_ms).isoformat()}; candles come oldest first, none twice"
        )
        raise invalid("candles", detail, reason="UNSORTED_CANDLES")
    if not 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise invalid("candles", f"candle {instant(bar.open_ms).isoformat()}: {_show(bar)}", reason="INVALID_CANDLE")


def _show(bar: Bar) -> str:
    prices = ", ".join(f"{dollars(units):f}" for units in (bar.open, bar.high, bar.low, bar.close))
    return f"open, high, low, close {prices}; 0 < low <= open, close <= high is needed"
