"""The synthetic market: the same however it is asked, closed candles only, longer candles exactly their minutes."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.grid import MAX_CANDLES, closed_candles, merge_candles
from core.adapters.synthetic import market as synthetic
from core.adapters.synthetic.market import SyntheticMarket
from core.adapters.synthetic.path import COINS, ERA_DAYS
from core.adapters.synthetic.spread import HALF_SPREAD, quote_around
from core.errors import Code, CrpbotError
from core.market import COLUMNS, INTERVAL_SECONDS, SYMBOLS, Candles
from core.ports import Told
from core.risk.account import Quote

DAY_MS = 86_400_000
MINUTE_MS = 60_000
NOW_MS = 1_767_225_600_000  # 2026-01-01

intervals = st.sampled_from(list(INTERVAL_SECONDS))
symbols = st.sampled_from(SYMBOLS)
# 1950 to 2100; and the neighbourhood of the border of an era, on both sides of 1970
instants = st.one_of(
    st.integers(min_value=-631_152_000_000, max_value=4_102_444_800_000),
    st.builds(
        lambda era, offset: era * ERA_DAYS * DAY_MS + offset,
        st.integers(min_value=-8, max_value=48),
        st.integers(min_value=-2 * DAY_MS, max_value=2 * DAY_MS),
    ),
)


def ask(market: SyntheticMarket, symbol: str, interval: str, count: int, *, now_ms: int = NOW_MS) -> Candles:
    return asyncio.run(market.latest([symbol], interval, count, now_ms=now_ms))[0]


def columns(candles: Candles) -> np.ndarray:
    return np.array([getattr(candles, column) for column in COLUMNS])


def assert_same(found: Candles, expected: Candles) -> None:
    assert (found.symbol, found.interval) == (expected.symbol, expected.interval)
    np.testing.assert_array_equal(found.open_times, expected.open_times)
    np.testing.assert_array_equal(columns(found), columns(expected))


class TestAccess:
    @settings(max_examples=60, deadline=None)
    @given(seed=st.integers(), symbol=symbols, interval=intervals, now_ms=instants, count=st.integers(1, 60))
    def test_a_window_is_the_same_alone_and_inside_a_longer_one(
        self, seed: int, symbol: str, interval: str, now_ms: int, count: int
    ) -> None:
        later = 7 * 1_000 * INTERVAL_SECONDS[interval]
        alone = ask(SyntheticMarket(seed), symbol, interval, count, now_ms=now_ms)
        inside = ask(SyntheticMarket(seed), symbol, interval, count + 20, now_ms=now_ms + later)
        np.testing.assert_array_equal(alone.open_times, inside.open_times[13:-7])
        np.testing.assert_array_equal(columns(alone), columns(inside)[:, 13:-7])

    @pytest.mark.parametrize("border_day", [0, 3 * ERA_DAYS, -2 * ERA_DAYS, 20_000])
    def test_days_one_after_the_other_are_the_days_taken_at_once(self, border_day: int) -> None:
        days = 40  # more than two chunks
        end = (border_day + days // 2) * DAY_MS
        at_once = ask(SyntheticMarket(5), "ETH-USD", "1m", days * 1_440, now_ms=end)
        market = SyntheticMarket(5)
        ends = [end - back * DAY_MS for back in reversed(range(days))]
        one_by_one = [ask(market, "ETH-USD", "1m", 1_440, now_ms=day_end) for day_end in ends]
        np.testing.assert_array_equal(np.concatenate([columns(day) for day in one_by_one], axis=1), columns(at_once))

    @pytest.mark.parametrize("border_ms", [0, ERA_DAYS * DAY_MS, -ERA_DAYS * DAY_MS, 20_000 * DAY_MS])
    def test_each_minute_opens_where_the_last_one_closed_also_across_days_and_eras(self, border_ms: int) -> None:
        candles = ask(SyntheticMarket(1), "BTC-USD", "1m", 3_000, now_ms=border_ms + 1_500 * MINUTE_MS)
        np.testing.assert_array_equal(candles.open[1:], candles.close[:-1])

    def test_an_answer_does_not_depend_on_what_was_asked_before(self) -> None:
        fresh, used = SyntheticMarket(9), SyntheticMarket(9)
        for interval in INTERVAL_SECONDS:
            ask(used, "SOL-USD", interval, 30, now_ms=NOW_MS - 5 * DAY_MS)
        for interval in INTERVAL_SECONDS:
            assert_same(ask(used, "SOL-USD", interval, 50), ask(fresh, "SOL-USD", interval, 50))

    def test_a_full_cache_forgets_and_computes_the_same_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(synthetic, "CACHE_BYTES", 200_000)
        market = SyntheticMarket(1)
        first = ask(market, "BTC-USD", "1m", 2_000)
        ask(market, "ETH-USD", "1m", 20_000)
        assert sum(block.nbytes for block in market._cache.values()) <= 200_000
        assert_same(ask(market, "BTC-USD", "1m", 2_000), first)

    async def test_symbols_asked_together_or_at_the_same_time_equal_those_asked_alone(self) -> None:
        market = SyntheticMarket(1)
        together = await market.latest([*SYMBOLS, "BTC-USD"], "5m", 500, now_ms=NOW_MS)
        crowd = SyntheticMarket(1)
        jobs = [crowd.latest([symbol], "5m", 500, now_ms=NOW_MS) for symbol in (*SYMBOLS, "BTC-USD")]
        for found, (alone,) in zip(together, await asyncio.gather(*jobs), strict=True):
            assert_same(found, alone)

    async def test_computing_leaves_the_event_loop_free(self) -> None:
        job = asyncio.create_task(SyntheticMarket(1).latest(SYMBOLS, "1h", 500, now_ms=NOW_MS))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not job.done()
        assert len(await job) == len(SYMBOLS)

    def test_seeds_and_symbols_are_markets_of_their_own(self) -> None:
        answers = [
            columns(ask(SyntheticMarket(seed), symbol, "5m", 100)) / COINS[symbol].anchor
            for seed in (0, 1, -1, 2**80)
            for symbol in SYMBOLS
        ]
        shapes = {tuple(np.round(np.diff(np.log(answer[3])), 12)) for answer in answers}
        assert len(shapes) == len(answers)

    def test_a_seed_is_the_same_market_in_every_release(self) -> None:
        candles = ask(SyntheticMarket(7), "BTC-USD", "5m", 2)
        assert columns(candles).T.tolist() == [
            [95496.98, 95850.52, 95345.39, 95802.33, 38.3421],
            [95802.33, 95981.97, 95747.49, 95748.35, 46.0094],
        ]


class TestClosedCandles:
    @given(interval=intervals, at_ms=instants, count=st.integers(1, 1_000))
    def test_the_newest_candle_has_closed_and_the_next_one_has_not(self, interval: str, at_ms: int, count: int) -> None:
        starts = closed_candles(interval, count, at_ms)
        assert len(starts) == count
        assert starts[-1] + starts.step <= at_ms < starts[-1] + 2 * starts.step

    @pytest.mark.parametrize("interval", INTERVAL_SECONDS)
    def test_a_candle_closing_exactly_now_is_closed_and_a_millisecond_earlier_it_is_not(self, interval: str) -> None:
        market = SyntheticMarket(1)
        assert ask(market, "BTC-USD", interval, 3, now_ms=NOW_MS).as_of == NOW_MS
        step = 1_000 * INTERVAL_SECONDS[interval]
        assert ask(market, "BTC-USD", interval, 3, now_ms=NOW_MS - 1).as_of == NOW_MS - step
        assert ask(market, "BTC-USD", interval, 3, now_ms=NOW_MS + step - 1).as_of == NOW_MS

    @pytest.mark.parametrize("now_ms", [-1, 0, 1, -ERA_DAYS * DAY_MS - 1])
    def test_time_before_1970_has_candles_too(self, now_ms: int) -> None:
        candles = ask(SyntheticMarket(1), "BTC-USD", "5m", 10, now_ms=now_ms)
        assert candles.as_of == now_ms // 300_000 * 300_000

    @pytest.mark.parametrize("interval", INTERVAL_SECONDS)
    def test_a_longer_candle_is_exactly_its_minutes(self, interval: str) -> None:
        minutes_a_candle = INTERVAL_SECONDS[interval] // 60
        count = max(2, 300 // minutes_a_candle)
        market = SyntheticMarket(4)
        for symbol in SYMBOLS:
            found = columns(ask(market, symbol, interval, count))
            minutes = columns(ask(market, symbol, "1m", count * minutes_a_candle))
            merged = merge_candles(minutes, minutes_a_candle)
            np.testing.assert_array_equal(found[:4], merged[:4])
            np.testing.assert_array_equal(found[4], np.round(merged[4], 4))


class TestRefusals:
    def test_it_says_that_it_is_synthetic(self) -> None:
        market = SyntheticMarket(1)
        assert (market.name, market.synthetic) == ("synthetic", True)

    @pytest.mark.parametrize("count", [0, -5, MAX_CANDLES + 1])
    def test_a_count_out_of_bounds_is_refused_by_value(self, count: int) -> None:
        with pytest.raises(CrpbotError, match=rf"count: {count} candles asked for; 1 to {MAX_CANDLES}") as refusal:
            ask(SyntheticMarket(1), "BTC-USD", "5m", count)
        assert refusal.value.code is Code.INVALID_ARGUMENT

    def test_an_unknown_symbol_or_interval_is_refused_by_name(self) -> None:
        with pytest.raises(CrpbotError, match="unknown symbol 'XMR-USD'"):
            ask(SyntheticMarket(1), "XMR-USD", "5m", 1)
        with pytest.raises(CrpbotError, match="unknown interval '7m'"):
            ask(SyntheticMarket(1), "BTC-USD", "7m", 1)

    def test_other_spellings_of_a_symbol_are_the_same_market(self) -> None:
        assert_same(ask(SyntheticMarket(1), "btc/usd", "5m", 5), ask(SyntheticMarket(1), "BTC-USD", "5m", 5))


class TestPort:
    async def test_each_symbol_is_told_as_invented_and_without_doubt(self) -> None:
        market = SyntheticMarket(7)
        told = await market.latest_each(SYMBOLS, "5m", 40, now_ms=NOW_MS)
        for each, candles in zip(told, await market.latest(SYMBOLS, "5m", 40, now_ms=NOW_MS), strict=True):
            assert isinstance(each, Told)
            assert (each.synthetic, each.degradations) == (True, ())
            assert_same(each.candles, candles)
        assert await market.problem() is None

    async def test_a_quote_lies_around_the_close_of_the_newest_minute(self) -> None:
        now_ms = NOW_MS + 42_000
        found = await SyntheticMarket(7).quotes(SYMBOLS, now_ms=now_ms)
        assert found == await SyntheticMarket(7).quotes(SYMBOLS, now_ms=now_ms)
        assert [quote.symbol for quote in found] == list(SYMBOLS)
        minutes = await SyntheticMarket(7).latest(SYMBOLS, "1m", 1, now_ms=now_ms)
        for quote, candles in zip(found, minutes, strict=True):
            assert isinstance(quote, Quote)
            close = Decimal(repr(float(candles.close[-1])))
            tick = Decimal(1).scaleb(-COINS[quote.symbol].price_decimals)
            assert quote.at_ms == now_ms
            assert quote.bid < close < quote.ask
            assert quote.bid % tick == quote.ask % tick == 0
            assert 2 * HALF_SPREAD * close <= quote.ask - quote.bid <= 2 * HALF_SPREAD * close + 2 * tick

    async def test_an_unknown_symbol_has_no_quote(self) -> None:
        with pytest.raises(CrpbotError, match="XMR-USD"):
            await SyntheticMarket(7).quotes(["XMR-USD"], now_ms=NOW_MS)


@given(price=st.floats(min_value=1e-8, max_value=1e9), tick=st.sampled_from([Decimal("0.01"), Decimal("1e-8")]))
def test_offers_never_meet_and_are_never_below_a_tick(price: float, tick: Decimal) -> None:
    quote = quote_around("BTC-USD", price, at_ms=0, tick=tick)
    assert tick <= quote.bid < quote.ask
    assert quote.ask > Decimal(repr(price))
