"""What is measured: closed trades, decisions, the days that they fell on, and an estimate with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import ClassVar, Final

import numpy as np

from core.errors import invalid
from core.market import Floats
from core.risk.booking import Outcome
from core.signal import Strategy, Variant
from core.trade import STRICT, Direction, Tier

DAY: Final = timedelta(days=1)
LONGEST_SPAN_DAYS: Final = 36_525  # a century: a longer one is a wrong date


class Method(Enum):
    """How an interval was found.

    Of a `range` the observed value is one draw: so far the same days reach in another order; it is no interval for a
    constant, because the deepest fall grows with every day.
    """

    EXACT = "exact"
    BOOTSTRAP = "bootstrap"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic, its 95 % interval and how many trades (or decisions) it rests on. None: it cannot be said yet."""

    __pydantic_config__: ClassVar = STRICT
    value: float | None
    low: float | None
    high: float | None
    n: int
    method: Method


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A trade that was in the market and ended, with what decided it. `pnl` has all costs in it."""

    id: str
    symbol: str
    strategy: Strategy
    variant: Variant | None
    tier: Tier | None
    direction: Direction
    opened_at: datetime
    closed_at: datetime
    outcome: Outcome
    pnl: Decimal
    pnl_percent: float
    confidence: float

    def __post_init__(self) -> None:
        if not self.pnl.is_finite() or not np.isfinite(self.pnl_percent):
            raise invalid("pnl", f"of {self.id!r} is {self.pnl} ({self.pnl_percent} %); numbers are needed")
        if self.opened_at.tzinfo is None or self.closed_at.tzinfo is None or self.closed_at < self.opened_at:
            detail = f"{self.id!r} opened {self.opened_at}, closed {self.closed_at}; in order, with time zones"
            raise invalid("closed_at", detail)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, HOLD or not, as far as it is counted."""

    at: datetime
    symbol: str
    strategy: Strategy
    variant: Variant | None
    tier: Tier | None
    direction: Direction
    confidence: float


@dataclass(frozen=True, slots=True)
class Span:
    """The days that are looked at (UTC, both included) and the capital that they began with (US dollars)."""

    first: date
    last: date
    capital: Decimal

    def __post_init__(self) -> None:
        if not 0 <= (self.last - self.first).days < LONGEST_SPAN_DAYS:
            raise invalid("span", f"{self.first} to {self.last}; in order and up to {LONGEST_SPAN_DAYS} days is needed")
        if not (self.capital.is_finite() and self.capital > 0):
            raise invalid("capital", f"is {self.capital}; a number above 0 is needed")

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1


def span_of(trades: Sequence[ClosedTrade], capital: Decimal) -> Span:
    """From the first opening to the last closing."""
    if not trades:
        raise invalid("trades", "none is closed: there is no span to measure", reason="NO_CLOSED_TRADES")
    first = min(trade.opened_at for trade in trades).astimezone(UTC).date()
    return Span(first, max(trade.closed_at for trade in trades).astimezone(UTC).date(), capital)


def daily_returns(trades: Sequence[ClosedTrade], span: Span) -> Floats:
    """The return of the equity on each day, from what was booked on it; a day without a closing has 0.

    Equity is the balance at midnight: a trade lives four hours at most. From the day on which all is lost there are no
    returns, they are 0. Shape: (days,).
    """
    booked = np.zeros(span.days)
    for trade in trades:
        place = (trade.closed_at.astimezone(UTC).date() - span.first).days
        if not 0 <= place < span.days:
            raise invalid("trades", f"{trade.id!r} closed {trade.closed_at}, outside {span.first} to {span.last}")
        booked[place] += float(trade.pnl)
    equity = np.maximum(float(span.capital) + np.cumsum(booked), 0.0)
    before = np.concatenate([[float(span.capital)], equity[:-1]])
    returns: Floats = np.divide(equity, before, out=np.ones(span.days), where=before > 0.0) - 1.0
    return returns


def daily_exposure(trades: Sequence[ClosedTrade], span: Span) -> Floats:
    """The share of each day on which at least one trade was in the market. Shape: (days,)."""
    shares = np.zeros(span.days)
    reached = datetime.combine(span.first, datetime.min.time(), UTC)
    end = reached + span.days * DAY
    origin = reached
    for trade in sorted(trades, key=lambda each: each.opened_at):
        begins, ends = max(trade.opened_at, reached), min(trade.closed_at, end)
        while begins < ends:
            place = (begins - origin) // DAY
            until = min(ends, origin + (place + 1) * DAY)
            shares[place] += (until - begins) / DAY
            begins = until
        reached = max(reached, ends)
    return shares
