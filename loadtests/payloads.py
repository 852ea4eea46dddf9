"""The requests that load tests and benchmarks send: made once, the same bytes in every run."""

from __future__ import annotations

import json
import math
import random
from typing import Any, Final

from core.market import INTERVAL_SECONDS, SYMBOLS

CANDLES: Final = 500
INTERVAL: Final = "5m"
FIRST_OPEN_MS: Final = 1_767_225_600_000  # 2026-01-01: closed long ago, whatever the clock says
# named, so that a theory added later changes nothing
THEORIES: Final = ("autocorrelation", "hurst_exponent", "shannon_entropy")

Body = dict[str, Any]  # Any: JSON


def candles() -> Body:
    """A series of 500 candles as named columns: a seeded random walk around 60,000."""
    source = random.Random(7)
    step_ms = 1_000 * INTERVAL_SECONDS[INTERVAL]
    columns: dict[str, list[float]] = {name: [] for name in ("open", "high", "low", "close", "volume")}
    close = 60_000.0
    for _ in range(CANDLES):
        opened, close = close, close * math.exp(source.gauss(0.0, 0.002))
        columns["open"].append(opened)
        columns["high"].append(max(opened, close) * 1.0005)
        columns["low"].append(min(opened, close) * 0.9995)
        columns["close"].append(close)
        columns["volume"].append(source.uniform(1.0, 50.0))
    times = [FIRST_OPEN_MS + index * step_ms for index in range(CANDLES)]
    return {"symbol": SYMBOLS[0], "interval": INTERVAL, "open_times_ms": times, **columns}


def own_candles() -> Body:
    """500 candles of the caller's own."""
    return {"candles": [candles()], "theories": list(THEORIES)}


def one_symbol() -> Body:
    """The newest window of one market."""
    return {"symbols": [SYMBOLS[0]], "theories": list(THEORIES)}


def ten_symbols() -> Body:
    """The newest window of every market."""
    return {"symbols": list(SYMBOLS), "theories": list(THEORIES)}


def encode(body: Body) -> bytes:
    """The body as REST takes it."""
    return json.dumps(body).encode()
