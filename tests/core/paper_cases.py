"""Trades, candles and a little ledger for the tests of paper trading, and its rules once more in plain decimals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from core.paper.bars import Bar, Bars, to_units
from core.paper.fill import Terms
from core.paper.trade import PaperTrade, follow
from core.risk.account import TradeState
from core.risk.booking import Closing, Move, NewEntry, NewTrade, Opening, Outcome, Trade
from core.trade import Direction

BEGIN = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
BEGIN_MS = 1_767_614_400_000
MINUTE = 60_000
UNIT = Decimal("0.00000001")


def make_trade(direction: Direction = Direction.BUY, **changes: object) -> PaperTrade:
    """A BUY at 100 with stop 98 and target 103, or its mirror, born at BEGIN."""
    buys = direction is Direction.BUY
    new = NewTrade(
        id="t-1",
        symbol="BTC-USD",
        direction=direction,
        quantity=Decimal("2.5"),
        entry=Decimal(100),
        stop_loss=Decimal(98 if buys else 102),
        take_profit=Decimal(103 if buys else 97),
        signal_id="s-1",
        expires_at=BEGIN + timedelta(minutes=15),
    )
    return replace(follow(new, BEGIN), **changes)  # type: ignore[arg-type]


def bar(minute: int, *prices: float, symbol: str = "BTC-USD", step_ms: int = MINUTE) -> Bar:
    """The candle that begins so many minutes after BEGIN: open, high, low, close."""
    at = BEGIN_MS + minute * MINUTE
    return Bar(symbol, at, at + step_ms, *(int(value) for value in to_units(np.array(prices))))


def make_bars(opens: np.ndarray, highs: np.ndarray, lows: np.ndarray, closes: np.ndarray, *, times=None) -> Bars:
    """Candles of a minute from BEGIN on, or at the given instants."""
    if times is None:
        times = BEGIN_MS + MINUTE * np.arange(len(opens))
    return Bars("BTC-USD", MINUTE, np.asarray(times, dtype=np.int64), to_units(np.array([opens, highs, lows, closes])))


def walk(seed: int, size: int, *, deviation: float = 0.002, gaps: float = 0.1, start: float = 100.0) -> Bars:
    """A random walk in cents with opening gaps, wide wicks and some holes."""
    rng = np.random.default_rng(seed)
    moves = rng.standard_t(4, size) * deviation
    jumps = np.where(rng.random(size) < gaps, rng.normal(0, 3 * deviation, size), 0.0)
    closes = start * np.exp(np.cumsum(moves + jumps))
    opens = np.concatenate([[start], closes[:-1]]) * np.exp(jumps)
    highs = np.maximum(opens, closes) * np.exp(np.abs(rng.normal(0, deviation, size)))
    lows = np.minimum(opens, closes) * np.exp(-np.abs(rng.normal(0, deviation, size)))
    kept = rng.random(size) > 0.03
    if size > 60:
        kept[size // 2 : size // 2 + 20] = False
    opens, highs, lows, closes = (np.round(each, 2) for each in (opens, highs, lows, closes))
    return make_bars(
        opens[kept], highs[kept], lows[kept], closes[kept], times=(BEGIN_MS + MINUTE * np.arange(size))[kept]
    )


class Books:
    """A ledger in memory that keeps the promises of the real one: one state at a time, each key once."""

    def __init__(self, capital: Decimal = Decimal(100_000)) -> None:
        self.capital = capital
        self.trades: dict[str, Trade] = {}
        self.entries: list[NewEntry] = []

    @property
    def balance(self) -> Decimal:
        return self.capital + sum((entry.amount for entry in self.entries), Decimal(0))

    def bear(self, trade: PaperTrade) -> None:
        assert trade.id not in self.trades
        assert trade.signal_id not in {each.signal_id for each in self.trades.values()}
        self.trades[trade.id] = Trade(
            id=trade.id,
            account="paper",
            signal_id=trade.signal_id,
            symbol=trade.symbol,
            direction=trade.direction,
            state=TradeState.PENDING,
            quantity=trade.quantity,
            entry=trade.entry,
            stop_loss=trade.stop_loss,
            take_profit=trade.take_profit,
            high_confidence=False,
            created_at=trade.created_at,
            created_seq=len(self.trades) + 1,
            expires_at=trade.expires_at,
            opened_at=None,
            opened_seq=None,
            opened_day=None,
            opened_price=None,
            closed_at=None,
            closed_seq=None,
            closed_price=None,
            outcome=None,
            pnl=None,
        )

    def apply(self, move: Move, at: datetime) -> None:
        """As the real ledger does: the state must fit, then the entries and the new state are one."""
        before = self.trades[move.trade_id]
        in_market = isinstance(move, Closing) and move.price is not None
        assert before.state is (TradeState.OPEN if in_market else TradeState.PENDING)
        assert not {entry.key for entry in move.entries} & {entry.key for entry in self.entries}
        self.entries.extend(move.entries)
        if isinstance(move, Opening):
            after = replace(before, state=TradeState.OPEN, opened_at=at, opened_price=move.price)
        else:
            moved = sum((each.amount for each in self.entries if each.trade_id == move.trade_id), Decimal(0))
            after = replace(
                before,
                state=TradeState.CLOSED,
                closed_at=at,
                closed_price=move.price,
                outcome=move.outcome,
                pnl=moved,
            )
        self.trades[move.trade_id] = after


def naive(  # noqa: PLR0912, PLR0915  # one long loop on purpose: read against docs/paper.md from top to bottom
    trade: PaperTrade, bars: Bars, terms: Terms
) -> tuple[int, int, Decimal | None]:
    """The rules said once more, plainly: rows of entry and exit (-1: none), the result in dollars (None: not closed).

    Prices are decimals and every order asks the price that it would really get; nothing is shared with the engine.
    """
    costs, buys = terms.costs, trade.direction is Direction.BUY
    sign = 1 if buys else -1
    paid = 1 + sign * (costs.half_spread_fraction + costs.slippage_fraction)
    had = 1 - sign * costs.half_spread_fraction
    expires_ms = int(trade.expires_at.timestamp() * 1_000)
    eligible_ms = int(trade.created_at.timestamp() * 1_000) + costs.latency_ms
    band = trade.entry * terms.tolerance_fraction
    floor, roof = trade.entry - band, trade.entry + band
    stop, target = trade.stop_loss, trade.take_profit
    between = sorted((stop, target))
    at = -1
    price = Decimal(0)
    within = False
    for row in range(len(bars)):
        begins, ends = int(bars.times[row]), int(bars.times[row]) + bars.step_ms
        first, high, low = (Decimal(int(bars.prices[place, row])) * UNIT for place in range(3))
        if at < 0:
            if begins < eligible_ms:
                continue
            if begins >= expires_ms:
                return -1, row, None
            if floor <= first * paid <= roof and between[0] < first * paid < between[1]:
                at, price, within = row, first * paid, False
            elif ends <= expires_ms:
                for edge, came in ((roof, first * paid > roof), (floor, first * paid < floor)):
                    # the middle at which this edge is paid, on the grid of units, inside the band
                    inward = ROUND_FLOOR if edge == roof else ROUND_CEILING
                    middle = (edge / paid).quantize(UNIT, inward)
                    met = low <= middle if edge == roof else high >= middle
                    if came and met and between[0] < middle * paid < between[1]:
                        at, price, within = row, middle * paid, True
            if at < 0:
                if ends >= expires_ms:
                    return -1, row, None
                continue
            price = price.quantize(UNIT, ROUND_CEILING if buys else ROUND_FLOOR)
            opened_ms = begins
        left: Decimal | None = None
        best, worst = (high, low) if buys else (low, high)
        ends_ms = ends
        if row > at and ends > opened_ms + terms.life_ms:
            left, ends_ms = first * (1 - sign * (costs.half_spread_fraction + costs.slippage_fraction)), begins
        elif not within or row > at:
            if sign * first * had <= sign * stop:
                left, ends_ms = first * had * (1 - sign * costs.stop_slippage_fraction), begins
            elif sign * first * had >= sign * target:
                left, ends_ms = first * had, begins
        if left is None:
            stopped = sign * worst * had <= sign * stop
            reached = sign * best * had >= sign * target
            if within and row == at and not terms.optimistic:
                reached = False
            if reached and (terms.optimistic or not stopped):
                left = target
            elif stopped:
                left = stop * (1 - sign * costs.stop_slippage_fraction)
        if left is not None:
            left = left.quantize(UNIT, ROUND_FLOOR if buys else ROUND_CEILING)
            held = Decimal(ends_ms - opened_ms) / 86_400_000
            spent = [
                (costs.commission_fraction * price * trade.quantity),
                (costs.commission_fraction * left * trade.quantity),
                (costs.financing_fraction_per_day * held * price * trade.quantity),
            ]
            gross = (sign * (left - price) * trade.quantity).quantize(UNIT, ROUND_FLOOR)
            return at, row, gross - sum((each.quantize(UNIT, ROUND_CEILING) for each in spent), Decimal(0))
    return at, -1, None


def outcomes(books: Books) -> list[Outcome | None]:
    return [trade.outcome for trade in books.trades.values()]
