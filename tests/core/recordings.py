"""Recorded candles for the tests of replay: made, saved, asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.adapters.replay.market import ReplayMarket
from core.errors import CrpbotError
from core.market import INTERVAL_SECONDS, Candles

START_MS = 1_735_689_600_000  # 2025-01-01
MINUTE_MS = 60_000
FAR_MS = 4_000_000_000_000

Table = dict[str, np.ndarray | pa.Array]


def make_rows(interval: str, count: int, *, start_ms: int = START_MS) -> Table:
    """A random walk of valid candles."""
    generator = np.random.default_rng(start_ms % 1_000_003 + count)
    path = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.001, count + 1)))
    opens, close = path[:-1], path[1:]
    high = np.maximum(opens, close) * (1.0 + generator.uniform(0.0, 0.001, count))
    low = np.minimum(opens, close) * (1.0 - generator.uniform(0.0, 0.001, count))
    times = start_ms + np.arange(count) * 1_000 * INTERVAL_SECONDS[interval]
    volume = generator.uniform(1.0, 9.0, count)
    return {"timestamp": times, "open": opens, "high": high, "low": low, "close": close, "volume": volume}


def save(
    folder: Path, table: Table, *, symbol: str = "BTC-USD", interval: str = "1m", part: str = "a", **how: int
) -> Path:
    path = folder / f"{symbol}_{interval}_{part}_end.parquet"
    arrays = {name: pa.array(values) for name, values in table.items()}
    pq.write_table(pa.table(arrays), path, **how)
    return path


def ask(market: ReplayMarket, interval: str, count: int, *, symbol: str = "BTC-USD", now_ms: int = FAR_MS) -> Candles:
    return asyncio.run(market.latest([symbol], interval, count, now_ms=now_ms))[0]


def refusal(market: ReplayMarket, interval: str, count: int, *, symbol: str = "BTC-USD") -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        ask(market, interval, count, symbol=symbol)
    return caught.value


def without(table: Table, rows: Sequence[int] | slice) -> Table:
    return {name: np.delete(values, rows) for name, values in table.items()}
