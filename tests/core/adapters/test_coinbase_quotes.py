"""The best bids and asks of a Coinbase on the loopback: fresh, whole, within the rate; faults told by symbol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from core.adapters.exchange_http import Pace
from core.errors import CrpbotError
from core.market import SYMBOLS
from core.risk.account import Quote
from tests.core.adapters.coinbase_scene import (
    IMPATIENT,
    MINUTE_MS,
    NAME,
    NOW_MS,
    QUICK,
    Scene,
    ed25519_key,
    opened,
)
from tests.core.virtual_time import PATIENT
from tests.fake_coinbase import Reply
from tests.fake_coinbase_market import MARKETS, truth
from tests.loopback_server import Wire


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened() as found:
        yield found


class TestQuotes:
    async def test_every_symbol_has_its_best_offers(self, scene: Scene) -> None:
        found = await scene.market.quotes(SYMBOLS, now_ms=NOW_MS)
        assert [quote.symbol for quote in found] == list(SYMBOLS)
        for quote in found:
            assert isinstance(quote, Quote)
            assert quote.at_ms == NOW_MS
            assert quote.ask - quote.bid == Decimal(1).scaleb(-MARKETS[quote.symbol][1])
            close = truth(quote.symbol, np.array([NOW_MS // MINUTE_MS * MINUTE_MS]))[3][0]
            assert float(quote.bid) == pytest.approx(close)

    @pytest.mark.parametrize(
        ("fault", "detail", "reason"),
        [
            (Reply.STATUS, "404", "EXCHANGE_NOT_FOUND"),
            (Reply.STATUS, "503", "EXCHANGE_UNAVAILABLE"),
            (Reply.RATE_LIMITED, "30", "EXCHANGE_RATE_LIMITED"),
            (Reply.WRONG_SCHEMA, "", "EXCHANGE_BROKEN_ANSWER"),
            (Wire.TRUNCATED_JSON, "", "EXCHANGE_BROKEN_ANSWER"),
        ],
    )
    async def test_one_symbol_that_fails_does_not_take_the_others_with_it(
        self, scene: Scene, fault: Reply | Wire, detail: str, reason: str
    ) -> None:
        scene.exchange.plan(fault, detail, part="LTC-USD/ticker", times=99)
        scene.market = scene.open(pace=replace(QUICK, attempts=2))
        failures = await scene.market.quotes(["LTC-USD"], now_ms=NOW_MS)
        assert [each.reason for each in failures if isinstance(each, CrpbotError)] == [reason]
        if detail != "30":  # a wait that the exchange asks for holds for everybody
            found = await scene.market.quotes(SYMBOLS, now_ms=NOW_MS)
            assert [isinstance(each, Quote) for each in found] == [symbol != "LTC-USD" for symbol in SYMBOLS]

    async def test_a_silent_exchange_is_an_error_for_each_symbol_within_the_deadline(self, scene: Scene) -> None:
        scene.exchange.plan(Wire.HANG, part="/ticker", times=99)
        scene.market = scene.open(pace=IMPATIENT, deadline_seconds=0.4)
        async with asyncio.timeout(PATIENT):  # silence lasts for ever
            found = await scene.market.quotes(SYMBOLS[:3], now_ms=NOW_MS)
        assert {each.reason for each in found if isinstance(each, CrpbotError)} == {"EXCHANGE_TIMEOUT"}
        assert len(found) == 3

    async def test_offers_that_cannot_be_relied_on_are_refused_by_name(self, scene: Scene) -> None:
        scene.exchange.one_sided = {"ADA-USD"}
        scene.exchange.halted = {"XRP-USD"}
        trade = {"price": "10", "time": "2025-10-09T08:00:00Z"}
        old = json.dumps({"trades": [trade], "best_bid": "9", "best_ask": "11"})
        fresh = {**trade, "time": datetime.fromtimestamp(NOW_MS / 1_000, UTC).isoformat()}
        crossed = json.dumps({"trades": [fresh], "best_bid": "12", "best_ask": "11"})
        scene.exchange.plan(Reply.BODY, old, part="LINK-USD/ticker")
        scene.exchange.plan(Reply.BODY, crossed, part="ETH-USD/ticker")
        asked = ["ADA-USD", "XRP-USD", "LINK-USD", "ETH-USD", "BTC-USD"]
        *errors, good = await scene.market.quotes(asked, now_ms=NOW_MS)
        reasons = [each.reason for each in errors if isinstance(each, CrpbotError)]
        assert reasons == ["NO_OFFERS", "TRADING_HALTED", "STALE_QUOTE", "CROSSED_OFFERS"]
        assert all(symbol in error.detail for symbol, error in zip(asked, errors, strict=False))
        assert isinstance(good, Quote)

    async def test_quotes_keep_the_allowed_rate_and_are_signed_with_a_key(self, scene: Scene) -> None:
        key, public, _ = ed25519_key()
        scene.exchange.keys[NAME] = public
        scene.market = scene.open(key=key, pace=Pace(requests_per_second=6, attempt_seconds=PATIENT))
        found = await scene.market.quotes(SYMBOLS, now_ms=NOW_MS)
        assert sum(scene.clock.slept) == pytest.approx(1.0)  # twelve requests, six a second
        assert all(isinstance(each, Quote) for each in found)
        assert all(seen.token for seen in scene.exchange.asked("/ticker"))

    async def test_a_clock_that_is_far_off_refuses_every_quote(self, scene: Scene) -> None:
        scene.our_ms = NOW_MS + 61_000
        with pytest.raises(CrpbotError, match="set the clock"):
            await scene.market.quotes(SYMBOLS, now_ms=scene.our_ms)
