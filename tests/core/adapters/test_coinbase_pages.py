"""Candles of a long span, page by page: all of them, once, as the exchange tells them, and no faster than it allows."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest

from core.adapters.coinbase.market import SETTLE_MS
from core.adapters.coinbase.rest import PAGES_AHEAD
from core.adapters.exchange_http import Pace
from core.adapters.grid import closed_candles
from core.errors import CrpbotError
from core.gate import RawCandles
from tests.core.adapters.coinbase_scene import MINUTE_MS, NOW_MS, Scene, opened
from tests.core.virtual_time import PATIENT, until
from tests.fake_coinbase import Reply
from tests.fake_coinbase_market import Flaw, truth
from tests.loopback_server import Wire


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened() as found:
        yield found


async def collect(pages: AsyncIterator[RawCandles]) -> tuple[list[int], np.ndarray, np.ndarray]:
    sizes, times, closes = [], [], []
    async for page in pages:
        sizes.append(len(page.open_times))
        times.append(page.open_times)
        closes.append(page.close)
    return sizes, np.concatenate(times), np.concatenate(closes)


class TestHistory:
    async def test_pages_come_oldest_first_and_are_what_the_market_did(self, scene: Scene) -> None:
        start = NOW_MS - 1_000 * MINUTE_MS
        sizes, times, closes = await collect(scene.market.history("btc/usd", "1m", start, NOW_MS))
        newest = closed_candles("1m", 1, NOW_MS - SETTLE_MS).start
        expected = np.arange(-(-start // MINUTE_MS) * MINUTE_MS, newest + MINUTE_MS, MINUTE_MS)
        np.testing.assert_array_equal(times, expected)
        np.testing.assert_allclose(closes, truth("BTC-USD", expected)[3])
        assert sizes == [300, 300, 300, len(expected) - 900]

    async def test_a_span_may_begin_and_end_anywhere(self, scene: Scene) -> None:
        start = NOW_MS // MINUTE_MS * MINUTE_MS - 500 * MINUTE_MS
        _, times, _ = await collect(scene.market.history("BTC-USD", "1m", start + 1, start + 10 * MINUTE_MS + 1))
        assert [(int(at) - start) // MINUTE_MS for at in times] == list(range(1, 11))

    async def test_holes_stay_and_an_empty_page_is_a_page(self, scene: Scene) -> None:
        start = NOW_MS // MINUTE_MS * MINUTE_MS - 900 * MINUTE_MS
        holes = {start + minute * MINUTE_MS for minute in (5, *range(300, 600))}
        scene.exchange.holes["BTC-USD"] = holes
        sizes, times, _ = await collect(scene.market.history("BTC-USD", "1m", start, start + 900 * MINUTE_MS))
        assert sizes == [299, 0, 299]  # the newest minute has not settled
        assert not set(times.tolist()) & holes

    async def test_a_row_that_two_pages_tell_comes_once(self, scene: Scene) -> None:
        scene.exchange.plan(Flaw.BOUNDARY, times=99)
        start = NOW_MS - 900 * MINUTE_MS
        _, times, _ = await collect(scene.market.history("BTC-USD", "1m", start, NOW_MS))
        assert (np.diff(times) == MINUTE_MS).all()

    async def test_rows_are_raw_so_that_the_gate_finds_what_is_wrong_with_them(self, scene: Scene) -> None:
        scene.exchange.plan(Flaw.NAN)
        start = NOW_MS - 100 * MINUTE_MS
        _, _, closes = await collect(scene.market.history("BTC-USD", "1m", start, NOW_MS))
        assert np.isnan(closes).sum() == 1

    async def test_nothing_is_asked_for_an_empty_span_or_the_future(self, scene: Scene) -> None:
        for start, end in ((NOW_MS, NOW_MS - 1), (NOW_MS + 10**9, NOW_MS + 10**10)):
            assert [page async for page in scene.market.history("BTC-USD", "1m", start, end)] == []
        assert scene.exchange.asked() == []

    async def test_an_interval_that_the_exchange_lacks_is_refused_with_the_one_to_fetch(self, scene: Scene) -> None:
        with pytest.raises(CrpbotError, match="no 4h candles; fetch 2h instead"):
            await anext(scene.market.history("BTC-USD", "4h", 0, NOW_MS))

    async def test_a_fault_that_stays_ends_it_with_symbol_span_and_remedy(self, scene: Scene) -> None:
        scene.exchange.plan(Reply.STATUS, 500, times=99)
        with pytest.raises(CrpbotError) as caught:
            await collect(scene.market.history("BTC-USD", "1m", NOW_MS - 1_000 * MINUTE_MS, NOW_MS))
        assert "BTC-USD 1m candles from 2025-10-08T" in caught.value.detail
        assert "ask again" in caught.value.detail

    async def test_who_stops_reading_stops_the_asking(self, scene: Scene) -> None:
        async with aclosing(scene.market.history("BTC-USD", "1m", NOW_MS - 100_000 * MINUTE_MS, NOW_MS)) as pages:
            await anext(pages)
        await asyncio.sleep(0.05)
        assert len(scene.exchange.asked()) <= 5

    async def test_the_rate_allowed_is_used_and_not_passed(self, scene: Scene) -> None:
        scene.market = scene.open(pace=Pace(requests_per_second=10, attempt_seconds=PATIENT))
        await collect(scene.market.history("BTC-USD", "1m", NOW_MS - 28 * 300 * MINUTE_MS, NOW_MS))
        assert len(scene.exchange.seen) == 30  # clock and products among them
        assert sum(scene.clock.slept) == pytest.approx(2.0)  # ten at once, ten each second

    async def test_slow_answers_do_not_lower_the_rate(self, scene: Scene) -> None:
        scene.exchange.plan(Wire.HANG, times=99)
        reading = asyncio.create_task(
            collect(scene.market.history("BTC-USD", "1m", NOW_MS - 9_000 * MINUTE_MS, NOW_MS))
        )
        await until(lambda: len(scene.exchange.asked()) == PAGES_AHEAD)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    async def test_memory_does_not_grow_with_the_span(self, scene: Scene) -> None:
        async def peak(pages: int) -> int:
            tracemalloc.start()
            async for _ in scene.market.history("BTC-USD", "1m", NOW_MS - pages * 300 * MINUTE_MS, NOW_MS):
                scene.exchange.seen.clear()
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        await peak(5)
        assert await peak(30) - await peak(6) < 24 * 300 * 6 * 8  # less than the rows alone would take
