"""Closed candles as the paper trader reads them: prices in whole units of 1e-8 dollars, holes allowed, order not.

Whole units make every comparison exact, one candle at a time and a million at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from core.errors import invalid
from core.market import Candles, Floats, Instants, interval_seconds

UNITS: Final = 10**8
HIGHEST_PRICE: Final = 9.0e7  # dollars: up to here a float holds whole units


class Bar(NamedTuple):
    """One closed candle. Prices are units of 1e-8 dollars."""

    symbol: str
    open_ms: int
    close_ms: int
    open: int
    high: int
    low: int
    close: int


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Closed candles of one symbol, oldest first; a missing candle is a missing row.

    Shape: `times` (N,) milliseconds of each candle's start; `prices` (4, N) int64 open, high, low, close.
    """

    symbol: str
    step_ms: int
    times: Instants
    prices: Instants

    def __post_init__(self) -> None:
        rows = len(self.times)
        if self.prices.shape != (4, rows):
            raise invalid("bars.prices", f"has the shape {self.prices.shape}, (4, {rows}) is needed")
        steps = np.diff(self.times)
        wrong = np.flatnonzero(steps < self.step_ms)
        if len(wrong):
            row = int(wrong[0]) + 1
            detail = f"row {row}: {self.times[row]} follows {self.times[row - 1]}; the oldest comes first, none twice"
            raise invalid("bars.times", detail, reason="UNSORTED_CANDLES")
        first, high, low, last = self.prices
        broken = np.flatnonzero((low <= 0) | (low > np.minimum(first, last)) | (high < np.maximum(first, last)))
        if len(broken):
            row = int(broken[0])
            shown = ", ".join(str(value / UNITS) for value in self.prices[:, row])
            detail = f"row {row}: {shown} is no open, high, low and close above 0 with both inside low .. high"
            raise invalid("bars.prices", detail, reason="INVALID_CANDLE")

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[Bar]:
        return (self.row(index) for index in range(len(self)))

    def row(self, index: int) -> Bar:
        """One candle."""
        at = int(self.times[index])
        return Bar(self.symbol, at, at + self.step_ms, *(int(value) for value in self.prices[:, index]))

    def from_ms(self, at_ms: int) -> Bars:
        """The candles that do not begin before this instant."""
        first = int(np.searchsorted(self.times, at_ms))
        return Bars(self.symbol, self.step_ms, self.times[first:], self.prices[:, first:])


def read_bars(candles: Candles | Sequence[Candles]) -> Bars:
    """One series, or several stretches of one with holes between them."""
    parts = [candles] if isinstance(candles, Candles) else list(candles)
    if len({(part.symbol, part.interval) for part in parts}) != 1:
        found = ", ".join(sorted({f"{part.symbol} {part.interval}" for part in parts})) or "no candles"
        raise invalid("candles", f"one symbol and interval is needed, found {found}")
    times = np.concatenate([part.open_times for part in parts])
    columns = ((part.open, part.high, part.low, part.close) for part in parts)
    prices = np.concatenate([to_units(np.array(column)) for column in columns], axis=1)
    return Bars(parts[0].symbol, 1_000 * interval_seconds(parts[0].interval), times, prices)


def to_units(prices: Floats) -> Instants:
    """Prices in units of 1e-8 dollars, rounded half to even where an exchange gave more digits.

    >>> to_units(np.array([0.12345678, 104738.92])).tolist()
    [12345678, 10473892000000]
    """
    if not (np.isfinite(prices).all() and (prices <= HIGHEST_PRICE).all()):
        raise invalid("candles", f"a price is no number or above {HIGHEST_PRICE:,.0f} dollars")
    units: Instants = np.rint(prices * float(UNITS)).astype(np.int64)
    return units
