"""Stand-ins of a few lines for what the desk needs from outside: a clock that stands, a market, analysts."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from core.adapters.grid import closed_candles
from core.analysis import CandleColumns, CcxtCandles, Findings, Reading
from core.errors import CrpbotError
from core.market import Candles, Windows
from core.ports import Told
from core.signal import Degradation

NOW = datetime(2026, 3, 2, 12, 2, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1_000)
SLOW_SYMBOL = "LTC-USD"
SLOW_SECONDS = 0.4


def fixed_clock() -> datetime:
    """It is always `NOW`."""
    return NOW


def walk_candles(symbol: str = "BTC-USD", interval: str = "5m", count: int = 250, *, now_ms: int = NOW_MS) -> Candles:
    """A random walk that is always the same for one symbol, closed at `now_ms`."""
    draw = np.random.default_rng(zlib.crc32(symbol.encode()))
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.002, count)))
    opened = np.concatenate(([100.0], close[:-1]))
    reach = np.exp(np.abs(draw.normal(0.0, 0.001, count)))
    high, low = np.maximum(opened, close) * reach, np.minimum(opened, close) / reach
    times = np.array(closed_candles(interval, count, now_ms), dtype=np.int64)
    return Candles(symbol, interval, times, opened, high, low, close, draw.gamma(2.0, 5.0, count))


def as_columns(candles: Candles) -> CandleColumns:
    """Candles as a caller sends them in named columns."""
    prices = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    columns = (tuple(column.tolist()) for column in prices)
    return CandleColumns(candles.symbol, candles.interval, tuple(candles.open_times.tolist()), *columns)


def as_ccxt(candles: Candles) -> CcxtCandles:
    """Candles as ccxt gives them."""
    prices = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    table = np.column_stack([candles.open_times, *prices])
    return CcxtCandles(candles.symbol, candles.interval, tuple(tuple(row) for row in table.tolist()))


class FakeMarket:
    """Walks for every symbol, at once; only `SLOW_SYMBOL` takes its time. Doubted or refused is what a test says."""

    name = "fake"
    identity = "fake"
    synthetic = True

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], str, int]] = []
        self.doubts: dict[str, tuple[Degradation, ...]] = {}
        self.refusals: dict[str, CrpbotError] = {}

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        self.asked.append((tuple(symbols), interval, count))
        if SLOW_SYMBOL in symbols:
            await asyncio.sleep(SLOW_SECONDS)
        return [walk_candles(symbol, interval, count, now_ms=now_ms) for symbol in symbols]

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Told | CrpbotError]:
        found = await self.latest(symbols, interval, count, now_ms=now_ms)
        answers = (Told(candles, self.synthetic, self.doubts.get(candles.symbol, ())) for candles in found)
        return [self.refusals.get(told.candles.symbol, told) for told in answers]

    async def problem(self) -> str | None:
        return None


def telling_findings(symbol: str, price: float, theories: Sequence[str]) -> Findings:
    """Readings that tell which window they belong to."""
    return Findings(tuple(Reading(name, {"price": price}, 0.0, f"{name} of {symbol}") for name in theories), ())


def telling_answer(batches: Sequence[Windows], theories: Sequence[str]) -> list[list[Findings]]:
    """For every row of every batch what `telling_findings` says."""
    return [
        [telling_findings(symbol, float(batch.close[row, -1]), theories) for row, symbol in enumerate(batch.symbols)]
        for batch in batches
    ]


class FakeAnalysts:
    """Answers with readings that name their window, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Windows], tuple[str, ...]]] = []

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        self.calls.append((list(batches), tuple(theories)))
        return telling_answer(batches, theories)


class HeldAnalysts(FakeAnalysts):
    """Answers only once it is released, from whichever thread."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        self.entered.set()
        await asyncio.to_thread(self.released.wait, timeout_seconds)
        return await super().analyze(batches, theories, timeout_seconds=timeout_seconds)
