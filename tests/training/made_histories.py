"""Candles of nobody's market, by coin, long enough for a small training."""

from core.market import Candles
from tests.core.recordings import START_MS, make_rows
from training.history import History

DAY = 1_440
MINUTE = 60_000


def make_history(symbol: str = "BTC-USD", *stretches: tuple[int, int], origin: str = "made-up") -> History:
    """Stretches as (first minute, count); one of six days by itself."""
    return History(origin, tuple(_stretch(symbol, first, count) for first, count in stretches or ((0, 6 * DAY),)))


def _stretch(symbol: str, first: int, count: int) -> Candles:
    table = make_rows("1m", count, start_ms=START_MS + (first + 7 * len(symbol)) * MINUTE)
    columns = (table[name] for name in ("timestamp", "open", "high", "low", "close", "volume"))
    return Candles(symbol, "1m", *columns)
