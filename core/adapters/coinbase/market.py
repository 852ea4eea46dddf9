"""Live candles of Coinbase: closed ones only, none too old, and no more questions than the exchange allows.

What is known is kept, so that a call every five minutes asks for the candles that closed since and the two before them
(the exchange corrects its newest). When the exchange fails, what is known serves as long as it is fresh, and is marked
as degraded. A candle counts as closed some seconds after its end by the exchange's clock: until then it may change.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from contextlib import aclosing
from typing import Final, TypeVar
from urllib.parse import urlsplit

from core.adapters.coinbase.inspection import Inspection
from core.adapters.coinbase.key import CdpKey
from core.adapters.coinbase.live_window import cut_window, find_doubts
from core.adapters.coinbase.quotes import read_quote
from core.adapters.coinbase.rest import BASE_URL, CANDLES_PER_REQUEST, GRANULARITIES, NAME, CoinbaseRest
from core.adapters.coinbase.series import CoinbaseSeries
from core.adapters.exchange_http import Pace, Surroundings
from core.adapters.grid import closed_candles
from core.errors import CrpbotError, invalid, join_errors
from core.gate import RawCandles
from core.market import Candles, interval_seconds, parse_symbol
from core.ports import Told
from core.risk.account import Quote
from core.risk.size import FINEST, Step

SETTLE_MS: Final = 3_000  # so long after its end a candle may still change
LATE_CANDLES: Final = 2  # asked for beyond the count, because the newest may not be told yet
LONGEST: Final = 20_000  # candles of a symbol in one question; more is a download
PAGE_OF_HISTORY_SECONDS: Final = 120.0  # a download has time: it outlasts a short outage

Answer = TypeVar("Answer")


class CoinbaseMarket:
    """The market of Coinbase Advanced Trade. Belongs to one event loop; `exchange` is what can be asked besides."""

    name = NAME
    synthetic = False

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        key: CdpKey | None = None,
        pace: Pace | None = None,
        surroundings: Surroundings | None = None,
        deadline_seconds: float = 8.0,
        candles_per_request: int = CANDLES_PER_REQUEST,
    ) -> None:
        self._pace = pace or Pace()
        self._world = surroundings or Surroundings()
        self._deadline_seconds = deadline_seconds
        self._candles_per_request = candles_per_request
        self.exchange = CoinbaseRest(
            base_url, key=key, pace=self._pace, surroundings=self._world, candles_per_request=candles_per_request
        )
        self._series: dict[tuple[str, str], CoinbaseSeries] = {}
        self._inspection = Inspection(self.exchange, pace=self._pace, surroundings=self._world)

    @property
    def identity(self) -> str:
        """Behind another address stands another market, such as one for tests: its fits are not this one's."""
        address = self.exchange.address
        return NAME if address == urlsplit(BASE_URL).netloc else f"{NAME}-{re.sub('[^A-Za-z0-9.]+', '-', address)}"

    async def close(self) -> None:
        """Gives up what is still being read, and lets go of the connections."""
        await asyncio.gather(*(series.close() for series in self._series.values()))
        await self.exchange.close()

    async def problem(self) -> str | None:
        """Why this machine's clock is not to be relied on; None when it is right, or when the exchange is silent."""
        return await self._inspection.problem()

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        """The newest `count` candles of each symbol that had closed at `now_ms`, or an error naming who lacks what."""
        found = await self.latest_each(symbols, interval, count, now_ms=now_ms)
        errors = [each for each in found if isinstance(each, CrpbotError)]
        if errors:
            raise join_errors(errors, len(found))
        return [each.candles for each in found if isinstance(each, Told)]

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Told | CrpbotError]:
        """The same symbol by symbol, with doubts: one that fails does not take the others with it."""
        names = [parse_symbol(symbol) for symbol in symbols]
        if not 1 <= count <= LONGEST:
            raise invalid("count", f"{count} candles asked for; 1 to {LONGEST} can be given, a download gives more")
        rows = count * interval_seconds(interval) // interval_seconds(_source(interval))
        pages = len(names) * (rows // self._candles_per_request + 1)
        deadline = self._deadline(pages)
        await self._inspection.look(deadline)
        reads = (self._read(name, interval, count, now_ms=now_ms, deadline=deadline) for name in names)
        return await _each(reads)

    async def quotes(self, symbols: Sequence[str], *, now_ms: int) -> list[Quote | CrpbotError]:
        """The best offers of each symbol, all asked for at once at the allowed rate."""
        names = [parse_symbol(symbol) for symbol in symbols]
        deadline = self._deadline(len(names))
        await self._inspection.look(deadline)
        return await _each(self._quote(name, now_ms=now_ms, deadline=deadline) for name in names)

    def step(self, symbol: str) -> Step:
        """The increment of a size and the least one, as the exchange said last; before that its finest."""
        return self._inspection.step(parse_symbol(symbol)) or FINEST

    async def history(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> AsyncGenerator[RawCandles, None]:
        """The rows of all candles that start at `start_ms` or later and before `end_ms` and have closed, oldest first.

        One page for each 300 candles of the span, as the exchange gives them: a hole stays one, and a page may be
        empty. Memory does not grow with the span.
        """
        name = parse_symbol(symbol)
        step = 1_000 * interval_seconds(interval)
        if interval not in GRANULARITIES:
            raise invalid("interval", f"the exchange has no {interval} candles; fetch {_source(interval)} instead")
        await self._inspection.look(self._world.monotonic() + PAGE_OF_HISTORY_SECONDS)
        begin = -(-start_ms // step) * step
        end = min(end_ms, self._settled(self._world.now_ms()) // step * step)

        def deadline() -> float:
            return self._world.monotonic() + PAGE_OF_HISTORY_SECONDS

        async with aclosing(self.exchange.pages(name, interval, range(begin, end, step), deadline=deadline)) as pages:
            async for page in pages:
                yield page

    def _deadline(self, requests: int) -> float:
        """Twice the time that so many requests take at the allowed rate, and never less than one needs."""
        patience = max(self._deadline_seconds, 2.0 * requests / self._pace.requests_per_second)
        return self._world.monotonic() + patience

    async def _quote(self, symbol: str, *, now_ms: int, deadline: float) -> Quote:
        self._inspection.check(symbol)
        return await read_quote(self.exchange, symbol, now_ms=now_ms, deadline=deadline)

    async def _read(self, symbol: str, interval: str, count: int, *, now_ms: int, deadline: float) -> Told:
        self._inspection.check(symbol)
        source = _source(interval)
        if (symbol, source) not in self._series:
            self._series[symbol, source] = CoinbaseSeries(self.exchange, self._world.monotonic, symbol, source)
        settled = self._settled(now_ms)
        wanted = closed_candles(interval, count + LATE_CANDLES, settled)
        series = self._series[symbol, source]
        passed = await series.read(wanted.start, wanted.stop, settled_ms=settled, deadline=deadline)
        candles = cut_window(passed, interval, count, now_ms=now_ms, exchange=NAME)
        doubts = find_doubts(passed, f"{NAME}: {symbol} {source}")
        return Told(candles, self.synthetic, (*doubts, *self._inspection.doubts()))

    def _settled(self, now_ms: int) -> int:
        """The instant up to which candles have closed for good, by our clock and by the exchange's."""
        return now_ms + min(0, self.exchange.clock_offset_ms or 0) - SETTLE_MS


def _source(interval: str) -> str:
    """The interval itself, or the longest that the exchange has and that divides it."""
    seconds = interval_seconds(interval)
    return max((each for each in GRANULARITIES if seconds % interval_seconds(each) == 0), key=interval_seconds)


async def _each(reads: Iterable[Awaitable[Answer]]) -> list[Answer | CrpbotError]:
    """All at once, each with its own outcome."""

    async def attempt(read: Awaitable[Answer]) -> Answer | CrpbotError:
        try:
            return await read
        except CrpbotError as error:
            return error

    return list(await asyncio.gather(*(attempt(read) for read in reads)))
