"""The past of the synthetic market, in pages as an exchange gives it: for trying a download without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.adapters.synthetic.market import SyntheticMarket
from core.gate import RawCandles
from core.market import COLUMNS, interval_seconds

PAGE_CANDLES = 1_500


class SyntheticHistory:
    """Every candle of any span: the synthetic market never pauses."""

    def __init__(self, market: SyntheticMarket) -> None:
        self._market = market

    @property
    def identity(self) -> str:
        """What stands in the files: another seed is another market."""
        return self._market.identity

    async def history(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> AsyncIterator[RawCandles]:
        """The candles that start in [start, end), oldest first."""
        step = 1_000 * interval_seconds(interval)
        begin, end = -(-start_ms // step) * step, -(-end_ms // step) * step
        for edge in range(begin, end, PAGE_CANDLES * step):
            until = min(edge + PAGE_CANDLES * step, end)
            (candles,) = await self._market.latest([symbol], interval, (until - edge) // step, now_ms=until)
            yield RawCandles(candles.open_times, *(getattr(candles, column) for column in COLUMNS))
