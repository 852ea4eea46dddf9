"""The synthetic market looks like a market: prices on the tick for centuries, fat tails, clusters, no foresight."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.synthetic.market import SyntheticMarket
from core.adapters.synthetic.noise import Noise, smooth_noise, splitmix64
from core.adapters.synthetic.path import COINS, compute_era
from core.market import INTERVAL_SECONDS, SYMBOLS, Candles

NOW_MS = 1_767_225_600_000  # 2026-01-01
SEEDS = (1, 2, 3)


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


class TestPrices:
    @settings(max_examples=80, deadline=None)
    @given(
        seed=st.integers(0, 1_000),
        symbol=st.sampled_from(SYMBOLS),
        interval=st.sampled_from(list(INTERVAL_SECONDS)),
        now_ms=st.integers(-631_152_000_000, 4_102_444_800_000),  # 1950 to 2100
    )
    def test_candles_are_valid_and_on_the_tick_in_any_century(
        self, seed: int, symbol: str, interval: str, now_ms: int
    ) -> None:
        market = SyntheticMarket(seed)
        (candles,) = asyncio.run(market.latest([symbol], interval, 50, now_ms=now_ms))  # Candles refuses invalid ones
        prices = np.array([candles.open, candles.high, candles.low, candles.close])
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
        (candles,) = asyncio.run(SyntheticMarket(1).latest(["BTC-USD"], "1h", 24 * 200, now_ms=NOW_MS))
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
