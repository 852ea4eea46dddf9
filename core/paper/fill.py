"""At which price of a candle a trade opens and closes, and what it is then filled at.

Prices of candles are compared as whole units with bounds that are worked out once for each trade, exactly. A SELL is
looked at in the mirror: all prices times -1, so that its stop lies below and its target above, as for a BUY.

Entry: what a market order would pay must lie within the tolerance around the signal's entry and between stop and
target (beyond the stop the idea is refuted, beyond the target it is used up). If it does at the open, that is the fill;
else the fill is the edge of the band at which the price came in, unless a stop or target lies before that edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Final, NamedTuple

from core.errors import invalid
from core.paper.bars import UNITS, Bar
from core.paper.costs import STANDARD, Costs
from core.paper.trade import PaperTrade
from core.risk.amount import EXACT, UNIT
from core.risk.limits import DEFAULT_LIMITS

FARTHEST: Final = 2**62  # stands for no stop and no target: beyond every price in units
LONGEST_LIFE: Final = timedelta(days=30)


class Way(IntEnum):
    """How a candle let a trade in or out. The numbers are those of the kernel."""

    NONE = 0
    AT_OPEN = 1
    FROM_ABOVE = 2  # in the mirror for SELL, as are all of these
    FROM_BELOW = 3
    STOP = 4
    STOP_GAP = 5
    TARGET = 6
    TARGET_GAP = 7
    TIME_OUT = 8


WORDS: Final = {
    Way.STOP: "stop",
    Way.STOP_GAP: "stop, at the open after a gap",
    Way.TARGET: "target",
    Way.TARGET_GAP: "target, at the open after a gap",
    Way.TIME_OUT: "time-out, at the open",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """The rules of paper trading. `optimistic` takes the target first where a candle met both: for comparison only."""

    costs: Costs = STANDARD
    tolerance_fraction: Decimal = DEFAULT_LIMITS.entry_tolerance_fraction
    life: timedelta = timedelta(hours=4)
    optimistic: bool = False

    def __post_init__(self) -> None:
        if not (self.tolerance_fraction.is_finite() and 0 <= self.tolerance_fraction < 1):
            raise invalid("tolerance_fraction", f"is {self.tolerance_fraction}; a fraction below 1 is needed")
        if not timedelta(0) < self.life <= LONGEST_LIFE:
            raise invalid("life", f"is {self.life}; above 0 and at most {LONGEST_LIFE.days} days is needed")

    @property
    def life_ms(self) -> int:
        """How long a trade may stay open."""
        return self.life // timedelta(milliseconds=1)


STANDARD_TERMS: Final = Terms()


class Bounds(NamedTuple):
    """Mirrored prices in units: where a trade may open, whether each edge is the band's, where it must close."""

    reach_low: int
    reach_high: int
    low_is_edge: bool
    high_is_edge: bool
    stop: int
    target: int


class Mirrored(NamedTuple):
    """A candle as a trade sees it: for SELL all prices times -1."""

    open: int
    high: int
    low: int


def find_bounds(trade: PaperTrade, terms: Terms) -> Bounds:
    """The bounds of a trade under these terms."""
    side, costs = trade.side, terms.costs
    paid = 1 + side * Fraction(costs.market_fraction)
    had = 1 - side * Fraction(costs.half_spread_fraction)
    middle = side * Fraction(trade.entry) * UNITS
    reach = Fraction(trade.entry) * Fraction(terms.tolerance_fraction) * UNITS
    low, high = math.ceil((middle - reach) / paid), math.floor((middle + reach) / paid)
    above_stop, below_target, stop, target = -FARTHEST, FARTHEST, -FARTHEST, FARTHEST
    if trade.stop_loss is not None:
        level = side * Fraction(trade.stop_loss) * UNITS
        above_stop, stop = math.floor(level / paid) + 1, math.floor(level / had)
    if trade.take_profit is not None:
        level = side * Fraction(trade.take_profit) * UNITS
        below_target, target = math.ceil(level / paid) - 1, math.ceil(level / had)
    return Bounds(
        reach_low=_clip(max(low, above_stop)),
        reach_high=_clip(min(high, below_target)),
        low_is_edge=low >= above_stop,
        high_is_edge=high <= below_target,
        stop=_clip(stop),
        target=_clip(target),
    )


def mirror(bar: Bar, side: int) -> Mirrored:
    """A candle as the trade sees it."""
    if side > 0:
        return Mirrored(bar.open, bar.high, bar.low)
    return Mirrored(-bar.open, -bar.low, -bar.high)


def find_entry(candle: Mirrored, bounds: Bounds, *, whole: bool) -> Way:
    """How the candle lets a trade in. Of one in which the signal expires only the open counts, it is not `whole`."""
    if bounds.reach_low <= candle.open <= bounds.reach_high:
        return Way.AT_OPEN
    if not whole or bounds.reach_low > bounds.reach_high:
        return Way.NONE
    if candle.open > bounds.reach_high and candle.low <= bounds.reach_high and bounds.high_is_edge:
        return Way.FROM_ABOVE
    if candle.open < bounds.reach_low and candle.high >= bounds.reach_low and bounds.low_is_edge:
        return Way.FROM_BELOW
    return Way.NONE


def find_exit(candle: Mirrored, bounds: Bounds, *, entered_within: bool, optimistic: bool) -> Way:
    """How the candle lets a trade out: gaps first, then the stop before the target unless `optimistic`.

    In the candle within which a trade was entered a target may have been met before: it does not count unless
    `optimistic`; a stop does.
    """
    if not entered_within:
        if candle.open <= bounds.stop:
            return Way.STOP_GAP
        if candle.open >= bounds.target:
            return Way.TARGET_GAP
    stopped, reached = candle.low <= bounds.stop, candle.high >= bounds.target
    if reached and (optimistic or not (stopped or entered_within)):
        return Way.TARGET
    return Way.STOP if stopped else Way.NONE


def price_entry(trade: PaperTrade, way: Way, candle_open: int, *, bounds: Bounds, terms: Terms) -> Decimal:
    """What the entry is filled at. `candle_open` is the candle's own, in units."""
    units = {Way.FROM_ABOVE: trade.side * bounds.reach_high, Way.FROM_BELOW: trade.side * bounds.reach_low}
    return buy_in(trade, dollars(units.get(way, candle_open)), terms.costs.market_fraction)


def price_exit(trade: PaperTrade, way: Way, candle_open: int, terms: Terms) -> Decimal:
    """What the exit is filled at."""
    costs = terms.costs
    opened = EXACT.multiply(dollars(candle_open), 1 - trade.side * costs.half_spread_fraction)
    if way is Way.TIME_OUT:
        return sell_out(trade, dollars(candle_open), costs.market_fraction)
    if way is Way.TARGET_GAP:
        return sell_out(trade, opened, Decimal(0))
    if way is Way.TARGET:
        assert trade.take_profit is not None  # it was met
        return sell_out(trade, trade.take_profit, Decimal(0))
    assert trade.stop_loss is not None  # it was met
    return sell_out(trade, opened if way is Way.STOP_GAP else trade.stop_loss, costs.stop_slippage_fraction)


def buy_in(trade: PaperTrade, price: Decimal, cost: Decimal) -> Decimal:
    """The price worsened by a cost on the way in, rounded against the trader."""
    worse = EXACT.multiply(price, 1 + trade.side * cost)
    return _positive(worse.quantize(UNIT, ROUND_CEILING if trade.side > 0 else ROUND_FLOOR, EXACT))


def sell_out(trade: PaperTrade, price: Decimal, cost: Decimal) -> Decimal:
    """The price worsened by a cost on the way out, rounded against the trader."""
    worse = EXACT.multiply(price, 1 - trade.side * cost)
    return _positive(worse.quantize(UNIT, ROUND_FLOOR if trade.side > 0 else ROUND_CEILING, EXACT))


def dollars(units: int) -> Decimal:
    """A price in units as dollars."""
    return Decimal(units).scaleb(-8, EXACT)


def _clip(units: int) -> int:
    return max(-FARTHEST, min(FARTHEST, units))


def _positive(price: Decimal) -> Decimal:
    """A price below one unit is one unit: a fill at nothing cannot be booked."""
    return max(price, UNIT)
