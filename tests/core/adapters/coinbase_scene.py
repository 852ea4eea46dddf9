"""A Coinbase on the loopback and the market that asks it, on clocks of their own; keys of both kinds."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core.adapters.coinbase.key import CdpKey
from core.adapters.coinbase.market import SETTLE_MS, CoinbaseMarket
from core.adapters.exchange_http import Pace, Surroundings
from core.adapters.grid import closed_candles
from core.errors import CrpbotError
from core.market import Candles
from core.ports import Told
from core.signal import Degradation
from tests.core.virtual_time import PATIENT, VirtualTime
from tests.fake_coinbase import FakeCoinbase
from tests.fake_coinbase_market import truth
from tests.loopback_server import Wire

MINUTE_MS = 60_000
STEP_MS = 5 * MINUTE_MS
NOW_MS = 1_760_000_100_000 // STEP_MS * STEP_MS + 60_000  # a minute after a candle of five minutes closed
QUICK = Pace(requests_per_second=1_000, attempt_seconds=PATIENT, first_wait_seconds=0.01)
IMPATIENT = replace(QUICK, attempt_seconds=0.15)  # for silence alone: a machine that stands still is silent too
SILENT = {Wire.HANG, Wire.DRIP}
NAME = "organizations/1a2b/apiKeys/3c4d"


class Scene:
    """The exchange, the market that asks it, the clock that both see, and another one that waiting moves at once."""

    def __init__(self, exchange: FakeCoinbase) -> None:
        self.exchange = exchange
        self.our_ms = NOW_MS
        self.clock = VirtualTime()
        self.markets: list[CoinbaseMarket] = []
        self.told: dict[tuple[str, str], Told | CrpbotError] = {}
        self.market = self.open()

    def open(
        self,
        *,
        pace: Pace = QUICK,
        key: CdpKey | None = None,
        deadline_seconds: float = PATIENT,
        clock: VirtualTime | None = None,
    ) -> CoinbaseMarket:
        clock = clock or self.clock
        world = Surroundings(now_ms=lambda: self.our_ms, monotonic=clock.monotonic, sleep=clock.sleep)
        market = CoinbaseMarket(
            self.exchange.url, key=key, pace=pace, surroundings=world, deadline_seconds=deadline_seconds
        )
        self.markets.append(market)
        return market

    def give_up_after(self, seconds: float) -> None:
        """How long the market is asked for from now on."""
        self.market._deadline_seconds = seconds

    def move(self, milliseconds: int) -> None:
        self.our_ms += milliseconds
        self.exchange.now_ms += milliseconds

    async def ask(self, symbol: str = "BTC-USD", interval: str = "5m", count: int = 50) -> Candles:
        (found,) = await self.market.latest_each([symbol], interval, count, now_ms=self.our_ms)
        self.told[symbol, interval] = found
        if isinstance(found, CrpbotError):
            raise found
        assert found.synthetic is False
        return found.candles

    async def refusal(self, symbol: str = "BTC-USD", interval: str = "5m", count: int = 50) -> CrpbotError:
        with pytest.raises(CrpbotError) as caught:
            await self.ask(symbol, interval, count)
        return caught.value

    def doubts(self, symbol: str = "BTC-USD", interval: str = "5m") -> tuple[Degradation, ...]:
        """What was said against the candles that were given last."""
        told = self.told[symbol, interval]
        assert isinstance(told, Told)
        return told.degradations

    def reasons(self, symbol: str = "BTC-USD", interval: str = "5m") -> list[str]:
        return [each.reason for each in self.doubts(symbol, interval)]


@asynccontextmanager
async def opened() -> AsyncIterator[Scene]:
    """A scene while it lasts."""
    with FakeCoinbase(now_ms=NOW_MS, public_per_second=1_000, private_per_second=1_000) as exchange:
        found = Scene(exchange)
        yield found
        for market in found.markets:
            await market.close()


def expect(symbol: str, interval: str, count: int, now_ms: int = NOW_MS) -> np.ndarray:
    """(5, count) what the fake's market did, merged here from its minutes."""
    starts = closed_candles(interval, count, now_ms - SETTLE_MS)
    minutes = truth(symbol, np.arange(starts.start, starts.stop, MINUTE_MS)).reshape(5, count, -1)
    opens, high, low, close, volume = minutes
    return np.array([opens[:, 0], high.max(1), low.min(1), close[:, -1], volume.sum(1)])


def assert_true(candles: Candles, now_ms: int = NOW_MS) -> None:
    found = np.array([candles.open, candles.high, candles.low, candles.close, candles.volume])
    np.testing.assert_allclose(found, expect(candles.symbol, candles.interval, len(candles), now_ms), rtol=1e-12)


def ed25519_key() -> tuple[CdpKey, ed25519.Ed25519PublicKey, str]:
    text = base64.b64encode(bytes(range(32))).decode()
    return CdpKey(NAME, text), ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key(), text


def p256_key() -> tuple[CdpKey, ec.EllipticCurvePublicKey, str]:
    private = ec.generate_private_key(ec.SECP256R1())
    text = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    return CdpKey(NAME, text.replace("\n", "\\n")), private.public_key(), text
