"""Live candles against a Coinbase on the loopback: right, closed, fresh and cheap; faults told, secrets kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from core.adapters.coinbase.market import SETTLE_MS, CoinbaseMarket
from core.adapters.exchange_http import Pace
from core.adapters.grid import closed_candles
from core.errors import Code, CrpbotError
from core.market import INTERVAL_SECONDS, SYMBOLS
from tests.core.adapters.coinbase_scene import (
    IMPATIENT,
    MINUTE_MS,
    NOW_MS,
    QUICK,
    SILENT,
    STEP_MS,
    Scene,
    assert_true,
    opened,
)
from tests.core.virtual_time import PATIENT, HeldTime, until
from tests.fake_coinbase import Reply
from tests.fake_coinbase_market import MARKETS, Flaw, tell
from tests.loopback_server import Wire


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened() as found:
        yield found


class TestCandles:
    async def test_all_ten_symbols_are_what_the_market_did(self, scene: Scene) -> None:
        found = await scene.market.latest(SYMBOLS, "5m", 500, now_ms=NOW_MS)
        assert [candles.symbol for candles in found] == list(SYMBOLS) == list(MARKETS)
        for candles in found:
            assert len(candles) == 500
            assert_true(candles)
        assert (scene.market.name, scene.market.synthetic) == ("coinbase", False)

    @pytest.mark.parametrize("interval", INTERVAL_SECONDS)
    async def test_every_interval_is_given(self, scene: Scene, interval: str) -> None:
        candles = await scene.ask(interval=interval, count=40)
        assert (candles.interval, len(candles)) == (interval, 40)
        assert_true(candles)
        assert scene.reasons(interval=interval) == []

    async def test_four_hours_are_made_of_two(self, scene: Scene) -> None:
        await scene.ask(interval="4h", count=40)
        assert {seen.get("granularity") for seen in scene.exchange.asked()} == {"TWO_HOUR"}

    async def test_spellings_of_a_symbol_are_one_market(self, scene: Scene) -> None:
        found = await scene.market.latest(["btc/usd", "BTC-USD"], "5m", 20, now_ms=NOW_MS)
        np.testing.assert_array_equal(found[0].close, found[1].close)
        assert len(scene.exchange.asked()) == 1

    async def test_the_recorded_answer_is_read(self, scene: Scene) -> None:
        """The payload recorded from the exchange: text for every number, newest first."""
        newest = closed_candles("1h", 2, NOW_MS).start
        rows = [
            ("66055.14", "66331.99", "66312.4", "66181.6", "355.82896243"),
            ("65857.35", "66387.77", "65984.18", "66314.59", "358.74851052"),
        ]
        names = ("low", "high", "open", "close", "volume")
        starts = [newest // 1_000 + 3_600, newest // 1_000]
        body = [
            {"start": str(start), **dict(zip(names, row, strict=True))} for start, row in zip(starts, rows, strict=True)
        ]
        scene.exchange.plan(Reply.BODY, json.dumps({"candles": body}))
        candles = await scene.ask(interval="1h", count=2)
        assert candles.close.tolist() == [66314.59, 66181.6]
        assert candles.low.tolist() == [65857.35, 66055.14]
        assert candles.volume.tolist() == [358.74851052, 355.82896243]
        told = tell("BTC-USD", starts[1], starts[0], 3_600, now_ms=NOW_MS)[0]
        assert told.keys() == body[0].keys()  # the fake speaks as the recording does
        assert {type(value) for value in told.values()} == {str}

    @pytest.mark.parametrize(("told", "read"), [(7, 7.0), (7.5, 7.5), ("7.50000000", 7.5), (" 7 ", 7.0)])
    async def test_numbers_may_come_as_numbers_too(self, scene: Scene, told: object, read: float) -> None:
        start = str(closed_candles("1h", 1, NOW_MS).start // 1_000)
        row = {"start": start, "low": "5", "high": "9", "open": "6", "close": told, "volume": "0"}
        scene.exchange.plan(Reply.BODY, json.dumps({"candles": [row]}))
        assert (await scene.ask(interval="1h", count=1)).close.tolist() == [read]

    @pytest.mark.parametrize("told", [None, True, [], {}, "", "7,5", "1_0", "0x7", "seven"])
    async def test_what_is_no_number_is_none(self, scene: Scene, told: object) -> None:
        start = str(closed_candles("1h", 1, NOW_MS).start // 1_000)
        row = {"start": start, "low": "5", "high": "19", "open": "6", "close": told, "volume": "0"}
        scene.exchange.plan(Reply.BODY, json.dumps({"candles": [row]}))
        error = await scene.refusal(interval="1h", count=1)
        assert error.reason == "NO_CANDLES"
        assert "not_finite" in error.detail

    async def test_a_span_longer_than_a_page_is_asked_for_in_pages(self, scene: Scene) -> None:
        await scene.ask(count=299)
        asked = scene.exchange.asked()
        assert [int(seen.get("end")) - int(seen.get("start")) for seen in asked] == [299 * 300, 0]
        assert int(asked[1].get("start")) == int(asked[0].get("end")) + 300

    @pytest.mark.parametrize("count", [0, -1, 20_001])
    async def test_a_count_that_cannot_be_given_is_refused(self, scene: Scene, count: int) -> None:
        assert "count" in (await scene.refusal(count=count)).detail
        assert not scene.exchange.seen

    async def test_an_unknown_symbol_or_interval_is_refused_before_anything_is_asked(self, scene: Scene) -> None:
        assert (await scene.refusal(symbol="XMR-USD")).reason == "UNKNOWN_SYMBOL"
        assert (await scene.refusal(interval="7m")).reason == "UNKNOWN_INTERVAL"
        assert not scene.exchange.seen

    async def test_a_market_behind_another_address_is_another_one(self, scene: Scene) -> None:
        assert scene.market.identity == f"coinbase-127.0.0.1-{scene.exchange.url.rpartition(':')[2]}"
        assert CoinbaseMarket().identity == CoinbaseMarket("https://api.coinbase.com:443/").identity == "coinbase"
        assert CoinbaseMarket("https://api.coinbase.com:8443").identity == "coinbase-api.coinbase.com-8443"

    @pytest.mark.parametrize("size", [0, 351])
    def test_a_page_larger_than_the_exchange_gives_is_refused(self, size: int) -> None:
        with pytest.raises(CrpbotError, match="not 1 to 350"):
            CoinbaseMarket("http://127.0.0.1:9", candles_per_request=size)


class TestClosed:
    @pytest.mark.parametrize("after_ms", [-1, 0, 1, 1_000, 2_999, 3_000, 3_001, 299_999])
    async def test_a_candle_in_progress_or_just_closed_never_passes(self, scene: Scene, after_ms: int) -> None:
        boundary = NOW_MS // STEP_MS * STEP_MS
        scene.move(boundary + after_ms - NOW_MS)
        candles = await scene.ask()
        assert candles.as_of == (boundary if after_ms >= 3_000 else boundary - STEP_MS)
        assert_true(candles, scene.our_ms)
        assert scene.reasons() == []

    async def test_nothing_is_shown_that_closed_after_the_callers_now(self, scene: Scene) -> None:
        await scene.ask()
        earlier = (await scene.market.latest(["BTC-USD"], "5m", 50, now_ms=NOW_MS - 3 * STEP_MS))[0]
        assert earlier.as_of <= NOW_MS - 3 * STEP_MS
        assert_true(earlier, NOW_MS - 3 * STEP_MS)

    async def test_the_exchanges_clock_decides_when_it_is_behind(self, scene: Scene) -> None:
        boundary = NOW_MS // STEP_MS * STEP_MS
        scene.our_ms, scene.exchange.now_ms = boundary + 3_500, boundary + 500
        assert (await scene.ask()).as_of == boundary - STEP_MS
        assert scene.reasons() == []

    async def test_the_callers_clock_decides_when_that_is_behind(self, scene: Scene) -> None:
        boundary = NOW_MS // STEP_MS * STEP_MS
        scene.our_ms, scene.exchange.now_ms = boundary - 2_000, boundary + 2_000
        assert (await scene.ask()).as_of == boundary - STEP_MS
        assert scene.reasons() == []  # the candle that the exchange has begun is not one of the future

    @pytest.mark.parametrize("skew_ms", [-6_000, 6_000])
    async def test_a_clock_that_is_off_degrades(self, scene: Scene, skew_ms: int) -> None:
        scene.our_ms = NOW_MS + skew_ms
        await scene.ask()
        assert scene.reasons() == ["CLOCK_SKEW"]
        assert f"{skew_ms / 1_000:+.1f} s off" in scene.doubts()[0].detail

    @pytest.mark.parametrize("skew_ms", [-61_000, 61_000])
    async def test_a_clock_that_is_far_off_refuses(self, scene: Scene, skew_ms: int) -> None:
        scene.our_ms = NOW_MS + skew_ms
        error = await scene.refusal()
        assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CLOCK_SKEW")
        assert "set the clock" in error.detail

    async def test_an_exchange_that_does_not_tell_its_time_degrades_and_is_asked_again(self, scene: Scene) -> None:
        scene.exchange.plan(Reply.STATUS, 500, part="/time", times=99)
        assert_true(await scene.ask())
        assert scene.reasons() == ["CLOCK_UNCHECKED"]


class TestThrift:
    async def test_a_call_every_five_minutes_asks_only_for_what_closed_since(self, scene: Scene) -> None:
        await scene.ask(count=500)
        for _ in range(5):
            scene.exchange.seen.clear()
            scene.move(STEP_MS)
            assert_true(await scene.ask(count=500), scene.our_ms)
            (seen,) = scene.exchange.seen
            assert (int(seen.get("end")) - int(seen.get("start"))) // 300 + 1 == 3  # the new one and two again

    async def test_within_one_candle_nothing_is_asked(self, scene: Scene) -> None:
        first = await scene.ask(count=500)
        scene.exchange.seen.clear()
        scene.move(MINUTE_MS)
        np.testing.assert_array_equal((await scene.ask(count=500)).close, first.close)
        np.testing.assert_array_equal((await scene.ask(count=200)).close, first.close[-200:])
        assert not scene.exchange.seen

    async def test_a_longer_window_asks_for_the_older_candles_alone(self, scene: Scene) -> None:
        await scene.ask(count=100)
        scene.exchange.seen.clear()
        assert_true(await scene.ask(count=150))
        (seen,) = scene.exchange.seen
        assert (int(seen.get("end")) - int(seen.get("start"))) // 300 + 1 == 50

    async def test_who_asks_the_same_at_once_shares_one_answer(self, scene: Scene) -> None:
        await asyncio.gather(*(scene.ask(count=500) for _ in range(8)))
        assert len(scene.exchange.asked()) == 2
        assert len(scene.exchange.asked("/time")) == len(scene.exchange.asked("/products")) - 2 == 1

    async def test_symbols_are_asked_for_at_the_same_time_within_the_limit(self, scene: Scene) -> None:
        scene.exchange.plan(Wire.HANG, times=99)  # nobody's answer comes, and the others are asked for all the same
        scene.market = scene.open(pace=Pace(requests_per_second=8, attempt_seconds=PATIENT))
        asking = asyncio.create_task(scene.market.latest(SYMBOLS, "5m", 250, now_ms=NOW_MS))
        await until(lambda: len(scene.exchange.asked()) == len(SYMBOLS))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert sum(scene.clock.slept) == pytest.approx(1.0)  # twelve requests, eight a second
        assert {seen.status for seen in scene.exchange.seen} == {200}

    async def test_clock_and_products_are_asked_for_once_in_a_while(self, scene: Scene) -> None:
        for _ in range(3):
            await scene.ask()
            scene.move(STEP_MS)
        assert len(scene.exchange.asked("/time")) == 1


# fault -> what becomes of the first question: the reason of an error, or the reasons of degradation
FAULTS = [
    (Reply.RATE_LIMITED, "", "EXCHANGE_RATE_LIMITED"),
    (Reply.RATE_LIMITED, "30", "EXCHANGE_RATE_LIMITED"),
    (Reply.STATUS, "500", "EXCHANGE_UNAVAILABLE"),
    (Reply.STATUS, "503", "EXCHANGE_UNAVAILABLE"),
    (Reply.STATUS, "400", "EXCHANGE_REFUSED_REQUEST"),
    (Reply.STATUS, "403", "EXCHANGE_FORBIDDEN"),
    (Reply.STATUS, "404", "EXCHANGE_NOT_FOUND"),
    (Reply.REDIRECT, "http://169.254.169.254/latest/meta-data", "EXCHANGE_BROKEN_ANSWER"),
    (Reply.HTML, "", "EXCHANGE_BROKEN_ANSWER"),
    (Reply.WRONG_SCHEMA, "", "EXCHANGE_BROKEN_ANSWER"),
    (Reply.BODY, '{"candles": null}', "EXCHANGE_BROKEN_ANSWER"),
    (Reply.BODY, '{"candles": {"a": 1}}', "EXCHANGE_BROKEN_ANSWER"),
    (Reply.BODY, '{"candles": [{"start": "' + "9" * 30 + '"}]}', "EXCHANGE_BROKEN_ANSWER"),
    (Reply.BODY, '{"candles": ["a"]}', "EXCHANGE_BROKEN_ANSWER"),
    (Wire.HANG, "", "EXCHANGE_TIMEOUT"),
    (Wire.DRIP, "", "EXCHANGE_TIMEOUT"),
    (Wire.RESET, "", "EXCHANGE_UNAVAILABLE"),
    (Wire.TRUNCATED, "", "EXCHANGE_UNAVAILABLE"),
    (Wire.TRUNCATED_JSON, "", "EXCHANGE_BROKEN_ANSWER"),
    (Wire.HUGE, "", "EXCHANGE_BROKEN_ANSWER"),
    (Flaw.EMPTY, "", "NO_CANDLES"),
    (Flaw.STALE, "", "STALE_MARKET_DATA"),
    (Flaw.GAPPED, "", "TOO_FEW_CANDLES"),
    (Flaw.DUPLICATE, "", []),
    (Flaw.SHUFFLED, "", []),
    (Flaw.ASCENDING, "", []),
    (Flaw.BOUNDARY, "", []),
    (Flaw.CONFLICT, "", ["CONFLICT"]),
    (Flaw.FUTURE, "", ["FUTURE"]),
    (Flaw.NAN, "", ["NOT_FINITE"]),
    (Flaw.NULL, "", ["NOT_FINITE"]),
    (Flaw.NEGATIVE, "", ["NOT_POSITIVE"]),
    (Flaw.HIGH_BELOW_LOW, "", ["HIGH_BELOW_LOW"]),
    (Flaw.SPIKE, "", ["SPIKE"]),
    (Flaw.OFF_GRID, "", ["OFF_GRID"]),
]


class TestFaults:
    @pytest.mark.parametrize(("fault", "detail", "outcome"), FAULTS, ids=lambda each: str(each)[:24])
    async def test_every_fault_is_told_in_time(
        self, scene: Scene, fault: Reply | Flaw | Wire, detail: str, outcome: str | list[str]
    ) -> None:
        scene.market = scene.open(pace=IMPATIENT, deadline_seconds=0.5) if fault in SILENT else scene.open()
        scene.exchange.plan(fault, detail, times=99)
        if isinstance(outcome, str):
            async with asyncio.timeout(PATIENT):  # silence lasts for ever
                error = await scene.refusal(count=150)
            assert error.reason == outcome
            assert "BTC-USD" in error.detail
            assert "2025-10-" in error.detail  # the span, or the newest candle's instant
            assert error.detail.count(";") >= 1  # the remedy
        else:
            candles = await scene.ask(count=150)
            assert len(candles) == 150
            assert scene.reasons() == outcome
            if not outcome:
                assert_true(candles)
        assert sum(scene.clock.slept) < PATIENT  # the deadline
        scene.exchange.heal()
        if detail != "30":
            scene.market = scene.market if isinstance(outcome, list) else scene.open()
            assert_true(await scene.ask(count=150))
            assert scene.reasons() == []

    async def test_a_fault_that_passes_costs_a_wait_and_nothing_else(self, scene: Scene) -> None:
        for fault in (Reply.HTML, Wire.RESET, Wire.TRUNCATED):
            scene.exchange.plan(fault)
        scene.exchange.plan(Reply.STATUS, 502)
        assert_true(await scene.ask())
        assert scene.reasons() == []

    @pytest.mark.parametrize(
        ("fault", "detail", "reason"),
        [
            (Reply.RATE_LIMITED, "", "EXCHANGE_RATE_LIMITED"),
            (Reply.STATUS, "503", "EXCHANGE_UNAVAILABLE"),
            (Wire.HANG, "", "EXCHANGE_TIMEOUT"),
            (Wire.TRUNCATED_JSON, "", "EXCHANGE_BROKEN_ANSWER"),
        ],
    )
    async def test_good_candles_serve_while_they_are_fresh_and_no_longer(
        self, scene: Scene, fault: Reply | Wire, detail: str, reason: str
    ) -> None:
        before = await scene.ask()
        scene.exchange.plan(fault, detail, times=99)
        scene.give_up_after(0.4 if fault in SILENT else PATIENT)
        scene.move(STEP_MS)  # now six minutes old: one candle is missing
        np.testing.assert_array_equal((await scene.ask()).close, before.close)
        assert scene.reasons() == [reason]
        scene.move(STEP_MS)  # eleven minutes
        error = await scene.refusal()
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "STALE_MARKET_DATA")
        assert "11.0 minutes ago, and the limit is 2 candles (10 minutes)" in error.detail
        assert "candles from 2025-10-09T0" in error.detail  # what failed, with its span
        scene.exchange.heal()
        scene.give_up_after(PATIENT)
        assert_true(await scene.ask(), scene.our_ms)
        assert scene.reasons() == []

    async def test_what_is_refused_for_good_is_not_covered_up_by_old_candles(self, scene: Scene) -> None:
        await scene.ask()
        scene.move(STEP_MS)
        scene.exchange.plan(Reply.STATUS, 404, times=99)
        assert (await scene.refusal()).reason == "EXCHANGE_NOT_FOUND"

    async def test_too_few_known_candles_do_not_hide_that_the_exchange_failed(self, scene: Scene) -> None:
        await scene.ask(count=50)
        scene.exchange.plan(Reply.STATUS, 503, times=99)
        error = await scene.refusal(count=60)
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "EXCHANGE_UNAVAILABLE")

    async def test_a_broken_row_is_asked_for_again_until_it_is_whole(self, scene: Scene) -> None:
        scene.exchange.plan(Flaw.NAN)
        candles = await scene.ask()
        assert scene.reasons() == ["NOT_FINITE"]
        assert candles.volume[-2] == 0.0  # a short hole is filled, and the symbol degraded
        assert_true(await scene.ask())
        assert scene.reasons() == []

    async def test_a_closed_candle_that_changes_is_recorded_and_the_first_answer_stays(self, scene: Scene) -> None:
        before = await scene.ask()
        scene.move(STEP_MS)
        scene.exchange.plan(Flaw.REVISED)
        after = await scene.ask()
        assert scene.reasons() == ["REVISED"]
        np.testing.assert_array_equal(after.volume[:-1], before.volume[1:])
        assert " became " in scene.doubts()[0].detail
        await scene.ask()
        assert scene.reasons() == ["REVISED"]  # as long as the candle is among those that are read

    async def test_a_revised_candle_degrades_until_it_is_no_longer_read(self, scene: Scene) -> None:
        await scene.ask(count=5)
        scene.move(STEP_MS)
        scene.exchange.plan(Flaw.REVISED)
        await scene.ask(count=5)
        for _ in range(5):  # two candles beyond the five are read, and the newest of the first answer was a revised one
            assert scene.reasons() == ["REVISED"]
            scene.move(STEP_MS)
            await scene.ask(count=5)
        scene.move(2 * STEP_MS)
        await scene.ask(count=5)
        assert scene.reasons() == []

    @pytest.mark.parametrize("flaw", [Flaw.NAN, Flaw.HIGH_BELOW_LOW, Flaw.CONFLICT, Flaw.SPIKE])
    async def test_a_known_candle_that_is_told_again_broken_stays_and_degrades(self, scene: Scene, flaw: Flaw) -> None:
        await scene.ask()
        scene.move(STEP_MS)
        scene.exchange.plan(flaw)
        assert_true(await scene.ask(), scene.our_ms)
        assert len(scene.reasons()) == 1
        assert_true(await scene.ask(), scene.our_ms)
        assert scene.reasons() == []

    async def test_one_symbol_that_fails_does_not_take_the_others_with_it(self, scene: Scene) -> None:
        scene.exchange.plan(Reply.STATUS, 404, part="DOGE-USD/candles", times=99)
        found = await scene.market.latest_each(SYMBOLS, "5m", 50, now_ms=NOW_MS)
        failed = [symbol for symbol, each in zip(SYMBOLS, found, strict=True) if isinstance(each, CrpbotError)]
        assert failed == ["DOGE-USD"]
        with pytest.raises(CrpbotError, match=r"1 of 10 symbols failed: coinbase: DOGE-USD 5m candles from") as caught:
            await scene.market.latest(SYMBOLS, "5m", 50, now_ms=NOW_MS)
        assert caught.value.reason == "EXCHANGE_NOT_FOUND"

    async def test_a_halted_market_is_refused_by_name(self, scene: Scene) -> None:
        scene.exchange.halted = {"LTC-USD"}
        error = await scene.refusal("LTC-USD")
        assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "TRADING_HALTED")
        assert_true(await scene.ask("BTC-USD"))

    async def test_short_holes_of_the_exchange_are_filled_and_not_asked_for_again(self, scene: Scene) -> None:
        newest = closed_candles("1m", 1, NOW_MS - SETTLE_MS).start
        scene.exchange.holes["BTC-USD"] = {newest - offset * MINUTE_MS for offset in (10, 11, 12, 30)}
        candles = await scene.ask(interval="1m", count=100)
        assert np.flatnonzero(candles.volume == 0.0).tolist() == [100 - 1 - offset for offset in (30, 12, 11, 10)]
        assert scene.reasons(interval="1m") == []
        scene.exchange.seen.clear()
        await scene.ask(interval="1m", count=100)
        assert not scene.exchange.seen

    async def test_a_newest_candle_that_comes_late_is_waited_for_until_two_candles_have_passed(
        self, scene: Scene
    ) -> None:
        boundary = NOW_MS // STEP_MS * STEP_MS
        scene.exchange.holes["BTC-USD"] = set(range(boundary - 2 * STEP_MS, boundary, MINUTE_MS))
        error = await scene.refusal()
        assert error.reason == "STALE_MARKET_DATA"
        assert "11.0 minutes ago" in error.detail
        scene.exchange.holes["BTC-USD"] = set(range(boundary - STEP_MS, boundary, MINUTE_MS))
        assert (await scene.ask()).as_of == boundary - STEP_MS
        scene.exchange.holes.clear()
        assert (await scene.ask()).as_of == boundary

    async def test_a_bucket_with_a_long_hole_is_no_longer_candle(self, scene: Scene) -> None:
        begin = closed_candles("4h", 5, NOW_MS - SETTLE_MS).start
        scene.exchange.holes["BTC-USD"] = set(range(begin, begin + 10 * 3_600_000, MINUTE_MS))
        error = await scene.refusal(interval="4h", count=5)
        assert error.reason == "TOO_FEW_CANDLES"
        assert "5 candles without a hole asked for, found 2, from" in error.detail

    async def test_without_a_whole_bucket_there_is_no_longer_candle(self, scene: Scene) -> None:
        newest = closed_candles("2h", 1, NOW_MS - SETTLE_MS).start
        scene.exchange.now_ms = scene.our_ms = newest + 2 * 3_600_000 + MINUTE_MS
        scene.exchange.holes["BTC-USD"] = set(range(newest - 14 * 3_600_000, newest, MINUTE_MS))
        error = await scene.refusal(interval="4h", count=1)
        assert error.reason in {"TOO_FEW_CANDLES", "STALE_MARKET_DATA"}


class TestReadiness:
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("core.adapters.coinbase.inspection.READY_SECONDS", PATIENT)

    @pytest.mark.parametrize(
        ("skew_ms", "words"),
        [
            (5_000, None),
            (-5_000, None),
            (5_001, "clock is +5.0 s from the exchange's, and more than 5 s"),
            (-59_000, "clock is -59.0 s from the exchange's, and more than 5 s"),
            (61_000, "clock is +61.0 s from the exchange's, and more than 60 s"),
        ],
    )
    async def test_a_clock_more_than_five_seconds_off_is_a_problem_in_words(
        self, scene: Scene, skew_ms: int, words: str | None
    ) -> None:
        scene.our_ms = NOW_MS + skew_ms
        found = await scene.market.problem()
        assert (found is None) if words is None else (words in found and "set the clock" in found)

    async def test_an_exchange_that_is_silent_says_nothing_against_the_clock(self, scene: Scene) -> None:
        scene.market = scene.open(pace=IMPATIENT)
        scene.exchange.plan(Wire.HANG, part="/time", times=99)
        assert await scene.market.problem() is None

    async def test_the_exchange_is_not_asked_each_time(self, scene: Scene) -> None:
        for _ in range(5):
            assert await scene.market.problem() is None
        assert len(scene.exchange.asked("/time")) == 1

    async def test_a_clock_that_was_set_is_noticed_within_half_a_minute(self, scene: Scene) -> None:
        scene.our_ms = NOW_MS + 90_000
        assert await scene.market.problem()
        scene.our_ms = NOW_MS
        scene.clock.now += 31.0
        assert await scene.market.problem() is None


class TestWhatElseCanBeAsked:
    async def test_products_tell_increments_and_whether_they_trade(self, scene: Scene) -> None:
        scene.exchange.halted = {"XRP-USD"}
        products = await scene.market.exchange.products(SYMBOLS, deadline=scene.clock.now + PATIENT)
        found = {product.symbol: product for product in products}
        assert found["BTC-USD"].price_increment == Decimal("0.01")
        assert found["DOGE-USD"].price_increment == Decimal("0.00001")
        assert [symbol for symbol, product in found.items() if not product.tradable] == ["XRP-USD"]
        assert ("product_ids", "ADA-USD") in scene.exchange.seen[0].query

    async def test_the_ticker_tells_the_last_trade_and_the_offers_there_are(self, scene: Scene) -> None:
        ticker = await scene.market.exchange.ticker("BTC-USD", deadline=scene.clock.now + PATIENT)
        assert ticker.at == datetime.fromtimestamp(NOW_MS / 1_000, UTC)
        assert (ticker.bid, ticker.ask) == (ticker.price, ticker.price + Decimal("0.01"))
        scene.exchange.one_sided = {"BTC-USD"}
        ticker = await scene.market.exchange.ticker("BTC-USD", deadline=scene.clock.now + PATIENT)
        assert (ticker.bid, ticker.ask) == (ticker.price, None)

    @pytest.mark.parametrize("price", ["NaN", "-1", "0", "abc", ""])
    async def test_a_price_that_is_none_is_no_ticker(self, scene: Scene, price: str) -> None:
        trade = {"price": price, "time": "2026-04-07T00:28:58.544778Z"}
        body = {"trades": [trade], "best_bid": "", "best_ask": ""}
        scene.exchange.plan(Reply.BODY, json.dumps(body), part="/ticker")
        with pytest.raises(CrpbotError, match="BTC-USD ticker: its answer is not what its documents say"):
            await scene.market.exchange.ticker("BTC-USD", deadline=scene.clock.now + PATIENT)

    async def test_the_exchanges_clock_is_compared_with_ours(self, scene: Scene) -> None:
        scene.exchange.now_ms = NOW_MS + 1_234
        assert await scene.market.exchange.read_clock(deadline=scene.clock.now + PATIENT) == 1_234


class TestWhoGivesUp:
    async def test_what_was_asked_for_goes_on_and_is_known_to_the_next_one(self, scene: Scene) -> None:
        # clock, products, the candle of five minutes and a page of minutes come at once; the last page has to wait
        clock = HeldTime()
        scene.market = scene.open(pace=replace(QUICK, requests_per_second=4), clock=clock)
        await scene.ask(count=1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await scene.ask(interval="1m", count=400)
        clock.release()
        assert_true(await scene.ask(interval="1m", count=400))
        assert [seen.get("granularity") for seen in scene.exchange.asked()] == ["FIVE_MINUTE", *["ONE_MINUTE"] * 2]

    async def test_a_reading_that_fails_when_nobody_waits_for_it_is_tried_again(self, scene: Scene) -> None:
        clock = HeldTime()
        scene.market = scene.open(pace=replace(QUICK, attempts=2), clock=clock)
        await scene.ask(count=1)
        scene.exchange.plan(Reply.STATUS, 503, times=2)
        asking = asyncio.create_task(scene.ask(interval="1m"))
        await until(lambda: clock.asleep)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        clock.release()
        assert_true(await scene.ask(interval="1m"))

    async def test_a_market_that_is_closed_leaves_no_reading_behind(self, scene: Scene) -> None:
        await scene.ask()
        scene.exchange.plan(Wire.HANG)
        asking = asyncio.create_task(scene.ask(interval="1m"))
        await until(lambda: len(scene.exchange.asked()) == 2)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert len(asyncio.all_tasks()) > 1, "the reading goes on"
        await scene.market.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
