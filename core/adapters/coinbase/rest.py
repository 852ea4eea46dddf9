"""What Coinbase Advanced Trade can be asked: its time, its products, the last trade, and a page of candles.

Every number arrives as text. Without a key the public paths are used; with one the same data come from the private
paths, with a token in each request. What an answer lacks is an error, never a guess.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from core.adapters.coinbase.key import CdpKey
from core.adapters.exchange_answer import Trouble
from core.adapters.exchange_http import Pace, PoliteClient, Query, Surroundings
from core.errors import CrpbotError, invalid
from core.gate import RawCandles, utc
from core.market import COLUMNS

NAME: Final = "coinbase"
BASE_URL: Final = "https://api.coinbase.com"
PREFIX: Final = "/api/v3/brokerage"

# Four hours are documented, and left out by the best-kept client library: they are made of two hours, which always is
# right. Weeks are not documented.
GRANULARITIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1m": "ONE_MINUTE",
        "5m": "FIVE_MINUTE",
        "15m": "FIFTEEN_MINUTE",
        "30m": "THIRTY_MINUTE",
        "1h": "ONE_HOUR",
        "2h": "TWO_HOUR",
        "6h": "SIX_HOUR",
        "1d": "ONE_DAY",
    }
)

# 350 are documented, and refused by some accounts; 300 were never refused.
CANDLES_PER_REQUEST: Final = 300
MOST_CANDLES_PER_REQUEST: Final = 350

PAGES_AHEAD: Final = 4  # in flight at once, so that slow answers do not lower the rate


class Product(NamedTuple):
    """One market of the exchange. Prices are whole multiples of `price_increment`, sizes of `base_increment`."""

    symbol: str
    price_increment: Decimal
    base_increment: Decimal
    base_min_size: Decimal
    status: str
    tradable: bool


class Ticker(NamedTuple):
    """The last trade, and the best offers where the exchange tells them."""

    symbol: str
    price: Decimal
    at: datetime
    bid: Decimal | None
    ask: Decimal | None


class CoinbaseRest:
    """The endpoints. A deadline is an instant of the monotonic clock; belongs to one event loop."""

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        key: CdpKey | None = None,
        pace: Pace,
        surroundings: Surroundings,
        candles_per_request: int = CANDLES_PER_REQUEST,
    ) -> None:
        if not 1 <= candles_per_request <= MOST_CANDLES_PER_REQUEST:
            raise invalid("candles_per_request", f"{candles_per_request} is not 1 to {MOST_CANDLES_PER_REQUEST}")
        self._key = key
        self._world = surroundings
        self._market = f"{PREFIX}/market" if key is None else PREFIX
        self._client = PoliteClient(
            NAME, base_url, pace=pace, surroundings=surroundings, authorize=self._authorize if key else None
        )
        self._candles_per_request = candles_per_request
        self.address = _address(base_url)
        self.clock_offset_ms: int | None = None  # the exchange's clock minus ours, once it was asked

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._client.close()

    async def read_clock(self, *, deadline: float) -> int:
        """Milliseconds by which the exchange's clock is ahead of ours, less the way of the answer."""
        subject = "the exchange's time"
        body = await self._client.get(f"{PREFIX}/time", deadline=deadline, subject=subject, signed=False)
        with _reading(subject):
            self.clock_offset_ms = int(body["epochMillis"]) - self._world.now_ms()
        return self.clock_offset_ms

    async def products(self, symbols: Iterable[str], *, deadline: float) -> tuple[Product, ...]:
        """What the exchange says about these markets; one it does not know is left out."""
        subject = "products"
        query = [("product_type", "SPOT"), *(("product_ids", symbol) for symbol in symbols)]
        body = await self._get("/products", query, deadline=deadline, subject=subject)
        with _reading(subject):
            return tuple(_product(row) for row in body["products"])

    async def ticker(self, symbol: str, *, deadline: float) -> Ticker:
        """The last trade of a market."""
        subject = f"{symbol} ticker"
        body = await self._get(f"/products/{symbol}/ticker", [("limit", "1")], deadline=deadline, subject=subject)
        with _reading(subject):
            trade = body["trades"][0]
            offers = (_decimal(body[side]) if body[side] else None for side in ("best_bid", "best_ask"))
            return Ticker(symbol, _decimal(trade["price"]), datetime.fromisoformat(trade["time"]), *offers)

    async def candles(self, symbol: str, interval: str, starts: range, *, deadline: float) -> RawCandles:
        """The rows of the candles with these starts, oldest first, as the exchange gives them.

        Left out are rows that were not asked for, such as the candle in progress; rows of the future, which no
        exchange has, are given on, so that they are found.
        """
        subject = f"{symbol} {interval} candles from {utc(starts.start)} to {utc(starts.stop)}"
        query = [
            ("start", str(starts[0] // 1_000)),
            ("end", str(starts[-1] // 1_000)),  # both ends count
            ("granularity", GRANULARITIES[interval]),
        ]
        body = await self._get(f"/products/{symbol}/candles", query, deadline=deadline, subject=subject)
        with _reading(subject):
            rows = body["candles"][::-1]
            times = np.array([int(row["start"]) * 1_000 for row in rows], dtype=np.int64)
            columns = [np.array([_number(row[column]) for row in rows], dtype=np.float64) for column in COLUMNS]
        now_ms = self._world.now_ms() + (self.clock_offset_ms or 0)
        given = (times >= starts.start) & ((times < starts.stop) | (times > now_ms))
        return RawCandles(times[given], *(column[given] for column in columns))

    async def pages(
        self, symbol: str, interval: str, starts: range, *, deadline: Callable[[], float]
    ) -> AsyncGenerator[RawCandles, None]:
        """The candles of any span, page after page, a few of them in flight; each page gets a deadline of its own."""
        size = self._candles_per_request
        flying: deque[asyncio.Task[RawCandles]] = deque()
        try:
            for first in range(0, len(starts), size):
                page = self.candles(symbol, interval, starts[first : first + size], deadline=deadline())
                flying.append(asyncio.create_task(page))
                if len(flying) == PAGES_AHEAD:
                    yield await flying.popleft()
            while flying:
                yield await flying.popleft()
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    async def _get(self, path: str, query: Query, *, deadline: float, subject: str) -> Mapping[str, Any]:
        """One answer. A refused key may be a wrong clock: the exchange's is asked, and the request made once more."""
        whole = f"{self._market}{path}"
        try:
            return await self._client.get(whole, query, deadline=deadline, subject=subject)
        except CrpbotError as error:
            if self._key is None or error.reason != "EXCHANGE_REFUSED_KEY":
                raise
        await self.read_clock(deadline=deadline)
        return await self._client.get(whole, query, deadline=deadline, subject=subject)

    def _authorize(self, uri: str) -> str:
        assert self._key is not None
        at_seconds = (self._world.now_ms() + (self.clock_offset_ms or 0)) // 1_000
        return self._key.token(uri, at_seconds=at_seconds, nonce=self._world.nonce())


def _address(base_url: str) -> str:
    """Host and port; the port that the scheme means anyway is left out."""
    url = urlsplit(base_url)
    usual = {"https": 443, "http": 80}.get(url.scheme)
    return url.hostname or "" if url.port in (None, usual) else f"{url.hostname}:{url.port}"


@contextmanager
def _reading(subject: str) -> Iterator[None]:
    """An answer that lacks something or holds another kind of thing is an error of the exchange, told as such."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError):
        trouble = Trouble("EXCHANGE_BROKEN_ANSWER", "its answer is not what its documents say")
        raise trouble.as_error(NAME, subject) from None


def _product(row: Mapping[str, Any]) -> Product:
    return Product(
        symbol=str(row["product_id"]),
        price_increment=_decimal(row["price_increment"]),
        base_increment=_decimal(row["base_increment"]),
        base_min_size=_decimal(row["base_min_size"]),
        status=str(row["status"]),
        tradable=not (row["trading_disabled"] or row["cancel_only"]),
    )


def _decimal(value: object) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite() or number <= 0:
        raise ValueError("not a price or a size")
    return number


def _number(value: object) -> float:
    """A number told as text, NaN where it is none: the gate decides what becomes of the row."""
    if isinstance(value, str) and "_" not in value:  # Python would read 1_000
        try:
            return float(value)
        except ValueError:
            return np.nan
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else np.nan
