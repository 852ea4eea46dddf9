"""Live candles of Coinbase: closed ones only, none too old, and no more questions than the exchange allows.

What is known is kept, so that a call every five minutes asks for the candles that closed since and the two before them
(the exchange corrects its newest). When the exchange fails, what is known serves as long as it is fresh, and is marked
as degraded. A candle counts as closed some seconds after its end by the exchange's clock: until then it may change.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit

from core.adapters.coinbase_key import CdpKey
from core.adapters.coinbase_rest import BASE_URL, CANDLES_PER_REQUEST, GRANULARITIES, NAME, CoinbaseRest
from core.adapters.coinbase_series import CoinbaseSeries
from core.adapters.exchange_http import Pace, Surroundings
from core.adapters.grid import closed_candles
from core.adapters.live_window import Degradation, cut_window, find_doubts
from core.errors import Code, CrpbotError, invalid
from core.gate import RawCandles
from core.market import SYMBOLS, Candles, interval_seconds, parse_symbol

logger = logging.getLogger(__name__)

SETTLE_MS: Final = 3_000  # so long after its end a candle may still change
LATE_CANDLES: Final = 2  # asked for beyond the count, because the newest may not be told yet
LONGEST: Final = 20_000  # candles of a symbol in one question; more is a download
PAGE_OF_HISTORY_SECONDS: Final = 120.0  # a download has time: it outlasts a short outage

INSPECT_SECONDS: Final = 600.0  # after this the exchange's clock and products are looked at again
INSPECT_AGAIN_SECONDS: Final = 30.0  # the same when it failed
WORRYING_SKEW_MS: Final = 5_000
LONGEST_SKEW_MS: Final = 60_000

SHOWN_ERRORS: Final = 3


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
        self._degradations: dict[tuple[str, str], tuple[Degradation, ...]] = {}
        self._halted: frozenset[str] = frozenset()
        self._inspection = asyncio.Lock()
        self._inspect_at = -math.inf

    @property
    def identity(self) -> str:
        """Behind another address stands another market, such as one for tests: its fits are not this one's."""
        host = self.exchange.host
        return NAME if host == urlsplit(BASE_URL).netloc else f"{NAME}-{re.sub('[^A-Za-z0-9.]+', '-', host)}"

    async def close(self) -> None:
        """Lets go of the connections."""
        await self.exchange.close()

    def degradations(self, symbol: str, interval: str) -> tuple[Degradation, ...]:
        """What was wrong with the candles given last for a symbol and interval; empty when nothing was."""
        return self._degradations.get((parse_symbol(symbol), interval), ())

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        """The newest `count` candles of each symbol that had closed at `now_ms`, or an error naming who lacks what."""
        found = await self.latest_each(symbols, interval, count, now_ms=now_ms)
        errors = [each for each in found if isinstance(each, CrpbotError)]
        if errors:
            raise _join_errors(errors, len(found))
        return [each for each in found if isinstance(each, Candles)]

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Candles | CrpbotError]:
        """The same, symbol by symbol: one that fails does not take the others with it."""
        names = [parse_symbol(symbol) for symbol in symbols]
        if not 1 <= count <= LONGEST:
            raise invalid("count", f"{count} candles asked for; 1 to {LONGEST} can be given, a download gives more")
        rows = count * interval_seconds(interval) // interval_seconds(_source(interval))
        pages = len(names) * (rows // self._candles_per_request + 1)
        patience = max(self._deadline_seconds, 2.0 * pages / self._pace.requests_per_second)
        deadline = self._world.monotonic() + patience
        await self._inspect(deadline)
        reads = (self._try(name, interval, count, now_ms=now_ms, deadline=deadline) for name in names)
        return list(await asyncio.gather(*reads))

    async def history(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> AsyncGenerator[RawCandles, None]:
        """The rows of all candles that start at `start_ms` or later and before `end_ms` and have closed, oldest first.

        One page for each 300 candles of the span, as the exchange gives them: a hole stays one, and a page may be
        empty. Memory does not grow with the span.
        """
        name = parse_symbol(symbol)
        step = 1_000 * interval_seconds(interval)
        if interval not in GRANULARITIES:
            raise invalid("interval", f"the exchange has no {interval} candles; fetch {_source(interval)} instead")
        await self._inspect(self._world.monotonic() + PAGE_OF_HISTORY_SECONDS)
        begin = -(-start_ms // step) * step
        end = min(end_ms, self._settled(self._world.now_ms()) // step * step)

        def deadline() -> float:
            return self._world.monotonic() + PAGE_OF_HISTORY_SECONDS

        async with aclosing(self.exchange.pages(name, interval, range(begin, end, step), deadline=deadline)) as pages:
            async for page in pages:
                yield page

    async def _try(
        self, symbol: str, interval: str, count: int, *, now_ms: int, deadline: float
    ) -> Candles | CrpbotError:
        try:
            return await self._read(symbol, interval, count, now_ms=now_ms, deadline=deadline)
        except CrpbotError as error:
            self._degradations[symbol, interval] = (Degradation(error.reason, error.detail),)
            return error

    async def _read(self, symbol: str, interval: str, count: int, *, now_ms: int, deadline: float) -> Candles:
        if symbol in self._halted:
            raise _precondition(
                "TRADING_HALTED", f"{symbol}: the exchange has halted trading; leave it out until trading goes on"
            )
        source = _source(interval)
        if (symbol, source) not in self._series:
            self._series[symbol, source] = CoinbaseSeries(self.exchange, self._world.monotonic, symbol, source)
        settled = self._settled(now_ms)
        wanted = closed_candles(interval, count + LATE_CANDLES, settled)
        told = await self._series[symbol, source].read(wanted.start, wanted.stop, settled_ms=settled, deadline=deadline)
        candles = cut_window(told, interval, count, now_ms=now_ms, exchange=NAME)
        doubts = find_doubts(told, f"{NAME}: {symbol} {source}")
        self._degradations[symbol, interval] = (*doubts, *self._doubts_about_time())
        return candles

    def _settled(self, now_ms: int) -> int:
        """The instant up to which candles have closed for good, by our clock and by the exchange's."""
        return now_ms + min(0, self.exchange.clock_offset_ms or 0) - SETTLE_MS

    async def _inspect(self, deadline: float) -> None:
        """Now and then: is our clock right, and which markets are halted? A failure here costs no answer."""
        async with self._inspection:
            now = self._world.monotonic()
            if now >= self._inspect_at:
                soon = min(deadline, now + self._pace.attempt_seconds)
                try:
                    await self.exchange.read_clock(deadline=soon)
                    products = await self.exchange.products(SYMBOLS, deadline=soon)
                except CrpbotError as error:
                    logger.warning("clock and products were not read, because %s", error.detail)
                    self._inspect_at = now + INSPECT_AGAIN_SECONDS
                else:
                    self._halted = frozenset(product.symbol for product in products if not product.tradable)
                    self._inspect_at = now + INSPECT_SECONDS
        skew = self.exchange.clock_offset_ms or 0
        if abs(skew) > LONGEST_SKEW_MS:
            raise _precondition(
                "CLOCK_SKEW",
                f"this machine's clock is {-skew / 1_000:+.1f} s from the exchange's, and more than "
                f"{LONGEST_SKEW_MS / 1_000:.0f} s let nobody say which candles have closed; set the clock",
            )

    def _doubts_about_time(self) -> tuple[Degradation, ...]:
        skew = self.exchange.clock_offset_ms
        if skew is None:
            return (Degradation("CLOCK_UNCHECKED", f"{NAME}: the exchange did not tell its time; ours is believed"),)
        if abs(skew) > WORRYING_SKEW_MS:
            return (Degradation("CLOCK_SKEW", f"{NAME}: this machine's clock is {-skew / 1_000:+.1f} s off; set it"),)
        return ()


def _source(interval: str) -> str:
    """The interval itself, or the longest that the exchange has and that divides it."""
    seconds = interval_seconds(interval)
    return max((each for each in GRANULARITIES if seconds % interval_seconds(each) == 0), key=interval_seconds)


def _join_errors(errors: Sequence[CrpbotError], asked: int) -> CrpbotError:
    """One error for all symbols that failed: the first one's, with the others' words."""
    first = errors[0]
    if asked == 1:
        return first
    words = "; ".join(error.detail for error in errors[:SHOWN_ERRORS])
    waits = [error.retry_after_seconds for error in errors if error.retry_after_seconds is not None]
    return CrpbotError(
        first.code,
        f"{len(errors)} of {asked} symbols failed: {words}",
        reason=first.reason,
        retry_after_seconds=max(waits, default=None),
    )


def _precondition(reason: str, detail: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, f"{NAME}: {detail}", reason=reason)
