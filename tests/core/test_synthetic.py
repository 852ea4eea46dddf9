"""The synthetic market: the same at any access, closed candles only, and statistically like a market."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters import synthetic
from core.adapters.grid import MAX_CANDLES, closed_candles, merge_candles
from core.adapters.synthetic import SyntheticMarket
from core.adapters.synthetic_noise import Noise, smooth_noise, splitmix64
from core.adapters.synthetic_path import COINS, ERA_DAYS, compute_era
from core.errors import Code, CrpbotError
from core.market import COLUMNS, INTERVAL_SECONDS, SYMBOLS, Candles

DAY_MS = 86_400_000
MINUTE_MS = 60_000
NOW_MS = 1_767_225_600_000  # 2026-01-01
SEEDS = (1, 2, 3)

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


@pytest.fixture(scope="module", params=[("1m", 30 * 1_440), ("5m", 120 * 288)], ids=["1m", "5m"])
def series(request: pytest.FixtureRequest) -> list[Candles]:
    """Every symbol under several seeds, long enough for statistics."""
    interval, count = request.param
    answers = [asyncio.run(SyntheticMarket(seed).latest(SYMBOLS, interval, count, now_ms=NOW_MS)) for seed in SEEDS]
    return [candles for answer in answers for candles in answer]


def log_returns(candles: Candles) -> np.ndarray:
    return np.diff(np.log(candles.close))


def autocorrelation(values: np.ndarray, lags: range) -> np.ndarray:
    centred = values - values.mean()
    return np.array([(centred[lag:] * centred[:-lag]).mean() for lag in lags]) / (centred**2).mean()


def robust_portmanteau(values: np.ndarray, lags: int) -> float:
    """The sum of squared autocorrelations over their variance under changing volatility; chi-squared with `lags`."""
    squared = (values - values.mean()) ** 2
    variance = squared.mean() ** 2
    total = 0.0
    for lag, correlation in enumerate(autocorrelation(values, range(1, lags + 1)), start=1):
        total += correlation**2 * len(values) * variance / (squared[lag:] * squared[:-lag]).mean()
    return total


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


class TestPrices:
    @settings(max_examples=80, deadline=None)
    @given(seed=st.integers(0, 1_000), symbol=symbols, interval=intervals, now_ms=instants)
    def test_candles_are_valid_and_on_the_tick_in_any_century(
        self, seed: int, symbol: str, interval: str, now_ms: int
    ) -> None:
        candles = ask(SyntheticMarket(seed), symbol, interval, 50, now_ms=now_ms)  # Candles refuses invalid ones
        prices = columns(candles)[:4]
        np.testing.assert_array_equal(prices, np.round(prices, COINS[symbol].price_decimals))
        assert (candles.volume > 0).all()

    @pytest.mark.parametrize("symbol", SYMBOLS)
    def test_the_price_stays_near_its_anchor_for_centuries(self, symbol: str) -> None:
        eras = [compute_era(Noise(1, symbol), number) for number in range(-20, 60)]
        distance = np.abs(np.concatenate([era.midnights for era in eras]) - np.log(COINS[symbol].anchor))
        assert distance.max() < np.log(50.0)
        assert np.median(distance) < np.log(3.0)
        for era, following in pairwise(eras):
            assert era.midnights[-1] == following.midnights[0]

    def test_the_daily_volatility_is_the_coins_own(self) -> None:
        for symbol in SYMBOLS:
            eras = [compute_era(Noise(seed, symbol), number) for seed in range(5) for number in range(8)]
            moves = np.concatenate([np.diff(era.midnights) for era in eras])
            assert np.sqrt((moves**2).mean()) == pytest.approx(COINS[symbol].daily_volatility, rel=0.15)

    def test_each_symbol_has_a_coin(self) -> None:
        assert tuple(COINS) == SYMBOLS


class TestStatistics:
    def test_returns_have_fat_tails(self, series: list[Candles]) -> None:
        for candles in series:
            moves = log_returns(candles)
            moves = moves - moves.mean()
            excess = (moves**4).mean() / (moves**2).mean() ** 2 - 3.0
            assert excess > 1.5, candles.symbol

    def test_volatility_clusters_for_fifty_candles(self, series: list[Candles]) -> None:
        for candles in series:
            assert autocorrelation(np.abs(log_returns(candles)), range(1, 51)).min() > 0.1, candles.symbol

    def test_returns_do_not_tell_the_next_return(self, series: list[Candles]) -> None:
        """Under no autocorrelation the statistic exceeds 45.3 (chi-squared, 20 lags) once in 1,000."""
        for candles in series:
            assert robust_portmanteau(log_returns(candles), 20) < 45.3, candles.symbol

    def test_the_portmanteau_would_see_autocorrelation(self, series: list[Candles]) -> None:
        moves = log_returns(series[0])
        assert robust_portmanteau(moves[1:] + 0.1 * moves[:-1], 20) > 45.3

    def test_highs_and_lows_agree_with_the_variance_of_the_closes(self, series: list[Candles]) -> None:
        """Rogers and Satchell 1991: h (h - r) + l (l - r) has the variance as its mean, for a Brownian path."""
        ratios = []
        for candles in series:
            move, high, low = np.log(np.array([candles.close, candles.high, candles.low]) / candles.open)
            ratios.append((high * (high - move) + low * (low - move)).mean() / (move**2).mean())
        assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)

    def test_volume_comes_with_volatility(self, series: list[Candles]) -> None:
        for candles in series:
            assert np.corrcoef(np.log(candles.volume[1:]), np.abs(log_returns(candles)))[0, 1] > 0.3, candles.symbol

    def test_coins_move_together_but_not_as_one(self, series: list[Candles]) -> None:
        moves = np.array([log_returns(candles) for candles in series[: len(SYMBOLS)]])
        pairs = np.corrcoef(moves)[np.triu_indices(len(moves), k=1)]
        assert pairs.min() > 0.2
        assert pairs.max() < 0.8

    def test_new_york_is_busier_than_the_small_hours(self) -> None:
        candles = ask(SyntheticMarket(1), "BTC-USD", "1h", 24 * 200)
        hour = candles.open_times // 3_600_000 % 24
        spread = np.log(candles.high / candles.low)
        assert np.median(spread[hour == 15]) > 1.3 * np.median(spread[hour == 5])


class TestNoise:
    def test_the_generator_is_splitmix64(self) -> None:
        """The first numbers from seed 1234567, as Rosetta Code lists them for SplitMix64."""
        expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
        assert splitmix64(1234567, np.arange(1, 5)).tolist() == expected

    def test_uniforms_and_normals_have_the_right_moments(self) -> None:
        noise = Noise(1, "BTC-USD")
        index = np.arange(-200_000, 200_000)
        uniforms, normals = noise.uniforms("a", index), noise.normals("a", index)
        assert uniforms.min() > 0.0
        assert uniforms.max() < 1.0
        assert uniforms.mean() == pytest.approx(0.5, abs=0.002)
        assert [normals.mean(), normals.var(), (normals**4).mean()] == pytest.approx([0.0, 1.0, 3.0], abs=0.04)

    def test_streams_are_independent(self) -> None:
        noise, index = Noise(1, "BTC-USD"), np.arange(100_000)
        assert abs(np.corrcoef(noise.normals("a", index), noise.normals("b", index))[0, 1]) < 0.015

    def test_smooth_noise_has_its_variance_everywhere_and_forgets_after_two_spacings(self) -> None:
        noise = Noise(1, "BTC-USD")
        for phase in (0, 3, 5):
            values = smooth_noise(noise, np.arange(40_000) * 10 + phase, (10,), 0.25)
            assert values.var() == pytest.approx(0.25, rel=0.05)
            assert abs(autocorrelation(values, range(2, 3))[0]) < 0.02


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
