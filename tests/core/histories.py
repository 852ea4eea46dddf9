"""An exchange's history for the tests of downloads: the same candles for whoever asks, with holes and faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import numpy as np

from core.adapters.history.plan import Series
from core.adapters.stretches import Stretch
from core.gate import RawCandles
from core.market import INTERVAL_SECONDS

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
START_MS = 1_735_689_600_000  # 2025-01-01
NOW_MS = START_MS + 365 * DAY_MS
PAGE = 300
HOLE = Stretch(START_MS + 30 * HOUR_MS, START_MS + 36 * HOUR_MS)
GAP_OF_TWO = Stretch(START_MS + 90 * MINUTE_MS, START_MS + 92 * MINUTE_MS)

Fault = Callable[[str, int, RawCandles], RawCandles]
"""Gets symbol, begin and rows of a page; gives other rows, or raises."""


def rows_of(symbol: str, interval: str, begin: int, end: int) -> RawCandles:
    """What the market did: each candle follows from its symbol and instant alone."""
    step = 1_000 * INTERVAL_SECONDS[interval]
    times = np.arange(-(-begin // step) * step, end, step)
    closes = _prices(symbol, times + step)
    opens = _prices(symbol, times)
    high, low = np.maximum(opens, closes) * 1.0005, np.minimum(opens, closes) * 0.9995
    return RawCandles(times, opens, high, low, closes, 1.0 + times // step % 7)


def _prices(symbol: str, times: np.ndarray) -> np.ndarray:
    phase = sum(symbol.encode())
    hours = times / HOUR_MS
    return np.round(100.0 + phase / 10 + 5 * np.sin(hours / 9 + phase) + 0.2 * np.sin(hours * 31 + phase), 2)


def pick(rows: RawCandles, chosen: np.ndarray) -> RawCandles:
    return RawCandles(*(column[chosen] for column in rows))


def change(rows: RawCandles, row: int, **values: float) -> RawCandles:
    """The same rows with other values in one."""
    columns = {name: column.copy() for name, column in rows._asdict().items()}
    for name, value in values.items():
        columns[name][row] = value
    return RawCandles(**columns)


class FakeHistory:
    """Pages of 300 candles, oldest first. Stretches in `holes` have no candles; `fault` spoils pages."""

    def __init__(
        self,
        *,
        identity: str = "coinbase",
        holes: Iterable[Stretch] = (),
        fault: Fault | None = None,
        seconds_a_page: float = 0.0,
    ) -> None:
        self.identity = identity
        self.holes = list(holes)
        self.fault = fault
        self.asked: list[tuple[str, str, int, int]] = []
        self.pages = 0
        self._seconds = seconds_a_page

    async def history(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> AsyncIterator[RawCandles]:
        self.asked.append((symbol, interval, start_ms, end_ms))
        size = PAGE * 1_000 * INTERVAL_SECONDS[interval]
        for begin in range(start_ms, end_ms, size):
            await asyncio.sleep(self._seconds)
            self.pages += 1
            page = rows_of(symbol, interval, begin, min(begin + size, end_ms))
            for hole in self.holes:
                page = pick(page, (page.open_times < hole.begin) | (page.open_times >= hole.end))
            yield self.fault(symbol, begin, page) if self.fault else page

    @property
    def asked_candles(self) -> int:
        return sum((end - begin) // (1_000 * INTERVAL_SECONDS[interval]) for _, interval, begin, end in self.asked)


def days(count: float, *, symbol: str = "BTC-USD", interval: str = "1m", begin: int = START_MS) -> Series:
    return Series(symbol, interval, begin, begin + round(count * DAY_MS))


def content(path: Path) -> bytes:
    return path.read_bytes()
