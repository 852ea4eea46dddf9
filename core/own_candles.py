"""Candles that a caller sends with his request: read as they are, refused with row and value, never repaired."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.analysis import CandleColumns, CcxtCandles
from core.errors import invalid
from core.market import Candles, interval_seconds, parse_symbol

CCXT_COLUMNS = 6
LAST_INSTANT_MS = 4_102_444_800_000  # 2100-01-01: a larger number is no millisecond count of a real candle


def read_columns(columns: CandleColumns, *, field: str) -> Candles:
    """Named columns as candles. `field` is how errors name them."""
    return _build(
        field,
        columns.symbol,
        columns.interval,
        columns.open_times_ms,
        (columns.open, columns.high, columns.low, columns.close, columns.volume),
    )


def read_ccxt(candles: CcxtCandles, *, field: str) -> Candles:
    """Rows as ccxt gives them as candles. `field` is how errors name them."""
    for row, values in enumerate(candles.rows):
        if len(values) != CCXT_COLUMNS:
            raise invalid(
                f"{field}.rows.{row}", f"has {len(values)} numbers, [ms, open, high, low, close, volume] are needed"
            )
        if not math.isfinite(values[0]) or values[0] != int(values[0]):
            raise invalid(f"{field}.rows.{row}.0", f"{values[0]} is not a whole number of milliseconds")
    times, *prices = zip(*candles.rows, strict=True) if candles.rows else ((),) * CCXT_COLUMNS
    return _build(field, candles.symbol, candles.interval, times, prices)


def _build(
    field: str, symbol: str, interval: str, times: Sequence[float], prices: Sequence[Sequence[float]]
) -> Candles:
    name = parse_symbol(symbol, field=f"{field}.symbol")
    interval_seconds(interval, field=f"{field}.interval")
    if times and not (min(times) >= 0 and max(times) < LAST_INSTANT_MS):
        raise invalid(
            f"{field}.open_times_ms", f"{min(times)} .. {max(times)} is not between 1970 and 2100 in milliseconds"
        )
    opens, highs, lows, closes, volumes = (np.array(column, dtype=np.float64) for column in prices)
    open_times = np.array(times, dtype=np.int64)
    return Candles(name, interval, open_times, opens, highs, lows, closes, volumes, field=field)
