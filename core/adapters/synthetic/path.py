"""The way a made-up coin trades: any minute of any century, computed from the seed alone and in any order.

Nothing is stored and nothing is stepped through: every random number has an address (seed, symbol, stream, index), so a
day is the same bits whether it is computed alone, with its neighbours, or after a thousand others.

The log price is bridged twice. At the borders of an era (1,024 days) it is drawn around the coin's anchor price, so it
stays sane for ever; the days of the era add up to the step from border to border; the minutes of a day add up to the
day's step. A bridge moves each increment in proportion to its variance, which leaves the increments Gaussian (given the
volatility) and uncorrelated: but for the era's pull of 1 / 1,024 a day and the small trend of a regime, nothing tells
where the price goes next.

What makes it look like a market: log volatility is a sum of noises on doubling time scales from an hour to 32 days
(clusters, long memory, fat tails), with sessions, weekends and regimes on top; jumps; coins that move together.
The levels were set beside recorded Binance and Coinbase minutes of 2023 to 2025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from core.adapters.synthetic.edge import DRIFT, VOLUME, draw_pressure
from core.adapters.synthetic.noise import Noise, smooth_noise
from core.market import Floats, Instants

MINUTES_A_DAY = 1_440
VOLUME_DECIMALS = 4

# Volatility is constant within a quarter of an hour: a tenth of the work, and unseen beside the hourly noise.
QUARTERS_A_DAY = 96
MINUTES_A_QUARTER = 15

# Short enough that the bridge keeps the price within a small factor of its anchor, long enough that its pull is unseen.
ERA_DAYS = 1_024
ERA_SPREAD = 0.2  # sd of the log price at the borders of eras

# Lattice spacings in quarter hours, and the variance of log volatility that each family of scales carries.
HOURS = (4, 8, 16, 32, 64)
DAYS = tuple(QUARTERS_A_DAY * 2**power for power in range(6))
HOURS_VARIANCE = 0.16
DAYS_VARIANCE = 0.26

# Regimes of 4 to 12 days. The trend is per day in daily standard deviations: 0.015 of a 5-minute bar, 0.026 of 15.
REGIME_DAYS = 8
REGIME_JITTER_DAYS = 5
TREND = 0.25
CALM, TURBULENT = -0.18, 0.36  # log volatility; one regime in three is turbulent
WEEKDAY, WEEKEND = 0.08, -0.2

# The mean of exp(2 x log volatility): dividing by it makes the coin's daily volatility what its table says.
MEAN_SQUARE = math.exp(2 * DAYS_VARIANCE) * (2 * math.exp(2 * CALM) + math.exp(2 * TURBULENT)) / 3

JUMPS_A_DAY = 2  # at most
JUMP_PROBABILITY = 0.15
JUMP_SIZE = 0.2  # sd in daily standard deviations: three of a 5-minute bar

# Busy hours: centre and width in hours UTC, added log volatility. Tokyo, London, New York.
SESSIONS = ((1.0, 2.5, 0.30), (8.0, 2.0, 0.10), (15.5, 3.0, 0.60))

VOLUME_POWER = 1.2  # volume grows a little faster than volatility
VOLUME_NOISE = 0.4


@dataclass(frozen=True, slots=True)
class Coin:
    """A market's level: the price it returns to, decimals of its tick, volatility (fraction a day), volume a minute."""

    anchor: float
    price_decimals: int
    daily_volatility: float
    minute_volume: float


COINS = {
    "BTC-USD": Coin(95_000.0, 2, 0.025, 6.0),
    "ETH-USD": Coin(3_300.0, 2, 0.035, 90.0),
    "SOL-USD": Coin(180.0, 2, 0.042, 800.0),
    "XRP-USD": Coin(2.2, 4, 0.042, 40_000.0),
    "DOGE-USD": Coin(0.3, 5, 0.048, 200_000.0),
    "ADA-USD": Coin(0.8, 4, 0.045, 34_000.0),
    "AVAX-USD": Coin(35.0, 3, 0.047, 350.0),
    "LINK-USD": Coin(20.0, 3, 0.045, 700.0),
    "POL-USD": Coin(0.45, 5, 0.050, 9_000.0),
    "LTC-USD": Coin(100.0, 2, 0.038, 120.0),
}


class Era(NamedTuple):
    """The days of one era: log price at each of its 1,025 midnights, volatility of each of its 1,024 days."""

    midnights: Floats
    volatility: Floats


def trade_minutes(noise: Noise, days: Instants, *, edge: bool = False) -> Floats:
    """Every minute of the given days (numbered from 1970-01-01, earlier ones negative), as whole ticks and lots.

    Shape: (D,) -> (5, D x 1440): open, high, low, close in ticks, volume in lots. Whole numbers, so that longer
    candles are exact sums; `in_units` turns them into prices and volumes.
    A minute's high and low are each drawn from the law of a Brownian bridge's extreme between its open and close,
    (r + sqrt(r^2 - 2 sigma^2 ln U)) / 2 above the open; drawn one by one, their dependence is left out.
    With `edge` a hidden pressure moves price and volume, and every day is like the others: see `edge.py`.
    """
    start, end, volatility = _even_days(COINS[noise.symbol], len(days)) if edge else _days(noise, days)
    minutes = days[:, None] * MINUTES_A_DAY + np.arange(MINUTES_A_DAY)
    share = np.repeat(_variance_share(noise, days), MINUTES_A_QUARTER, axis=1)
    sigma = volatility[:, None] * np.sqrt(share)
    jump_minute, jump = _jumps(noise, days, volatility)
    pressure = draw_pressure(noise, minutes) if edge else np.zeros((1, 1))
    moves = _bridge(
        sigma * (noise.normals("minute", minutes) + DRIFT * pressure), share, end - start - jump.sum(axis=1)
    )
    for minute, size in zip(jump_minute.T, jump.T, strict=True):
        moves[np.arange(len(days)), minute] += size

    path = np.concatenate([start[:, None], start[:, None] + np.cumsum(moves, axis=1)], axis=1)
    path[:, -1] = end  # the next day's start, to the last bit
    return _in_ticks(noise, minutes, path, sigma, pressure)


def in_units(symbol: str, block: Floats) -> Floats:
    """Ticks and lots as prices and volumes: one correctly rounded division, so 9500012 ticks are exactly 95000.12."""
    prices = 10.0 ** COINS[symbol].price_decimals
    units = np.array([[prices], [prices], [prices], [prices], [10.0**VOLUME_DECIMALS]])
    values: Floats = block / units
    return values


@lru_cache(maxsize=64)
def compute_era(noise: Noise, number: int) -> Era:
    """The days of one era. Remembered, because every day of the era needs it; 64 eras are one MiB."""
    coin = COINS[noise.symbol]
    days = number * ERA_DAYS + np.arange(ERA_DAYS)
    trend, turbulence = _regimes(noise, days)
    noon = days * QUARTERS_A_DAY + QUARTERS_A_DAY // 2
    mood = smooth_noise(noise, noon, DAYS, DAYS_VARIANCE) + turbulence
    mood += np.where((days + 3) % 7 >= 5, WEEKEND, WEEKDAY)  # 1970-01-01 was a Thursday
    volatility = coin.daily_volatility / math.sqrt(MEAN_SQUARE) * np.exp(mood)

    _, jump = _jumps(noise, days, volatility)
    moves = volatility * (noise.normals("day", days) + TREND * trend) + jump.sum(axis=1)
    borders = math.log(coin.anchor) + ERA_SPREAD * noise.normals("era", np.array([number, number + 1]))
    variance = volatility**2
    moves = _bridge(moves[None], (variance / variance.sum())[None], borders[1:] - borders[:1])[0]
    midnights = np.concatenate([borders[:1], borders[0] + np.cumsum(moves)])
    midnights[-1] = borders[1]
    return Era(midnights, volatility)


def _days(noise: Noise, days: Instants) -> tuple[Floats, Floats, Floats]:
    """Log price at the beginning and at the end of each day, and its volatility."""
    eras = [compute_era(noise, number) for number in (days // ERA_DAYS).tolist()]
    places = (days % ERA_DAYS).tolist()
    start = np.array([era.midnights[place] for era, place in zip(eras, places, strict=True)])
    end = np.array([era.midnights[place + 1] for era, place in zip(eras, places, strict=True)])
    volatility = np.array([era.volatility[place] for era, place in zip(eras, places, strict=True)])
    return start, end, volatility


def _even_days(coin: Coin, count: int) -> tuple[Floats, Floats, Floats]:
    """The same of days that all begin and end at the coin's anchor and have its usual volatility."""
    anchor = np.full(count, math.log(coin.anchor))
    return anchor, anchor, np.full(count, coin.daily_volatility)


def _bridge(moves: Floats, share: Floats, total: Floats) -> Floats:
    """The moves of each row shifted, each by its share of the variance, so that they add up to the row's total."""
    shifted: Floats = moves + share * (total - moves.sum(axis=1))[:, None]
    return shifted


def _regimes(noise: Noise, days: Instants) -> tuple[Floats, Floats]:
    """Each day's trend (-1 bear, 0 sideways, 1 bull) and added log volatility. Regimes change on a jittered lattice."""
    cell, day = np.divmod(days, REGIME_DAYS)
    begins = np.floor(REGIME_JITTER_DAYS * noise.uniforms("regime begins", cell))
    regime = np.where(day >= begins, cell, cell - 1)
    trend = np.floor(3.0 * noise.uniforms("trend", regime)) - 1.0
    turbulent = noise.uniforms("turbulence", regime) < 1.0 / 3.0
    return trend, np.where(turbulent, TURBULENT, CALM)


def _jumps(noise: Noise, days: Instants, volatility: Floats) -> tuple[Instants, Floats]:
    """(D, 2) minute and log size of each day's jumps; a jump that does not happen has size 0."""
    index = days[:, None] * JUMPS_A_DAY + np.arange(JUMPS_A_DAY)
    minute = (MINUTES_A_DAY * noise.uniforms("jump minute", index)).astype(np.int64)
    happens = noise.uniforms("jump", index) < JUMP_PROBABILITY
    return minute, happens * JUMP_SIZE * volatility[:, None] * noise.normals("jump size", index)


def _session_profile() -> Floats:
    hours = (np.arange(QUARTERS_A_DAY) + 0.5) * 24.0 / QUARTERS_A_DAY
    profile = np.zeros(QUARTERS_A_DAY)
    for centre, width, height in SESSIONS:
        away = (hours - centre + 12.0) % 24.0 - 12.0
        profile += height * np.exp(-0.5 * (away / width) ** 2)
    return profile


def _variance_share(noise: Noise, days: Instants) -> Floats:
    """(D, 96) the part of the day's variance that falls on one minute of each quarter hour; 15 of each add up to 1."""
    quarters = days[:, None] * QUARTERS_A_DAY + np.arange(QUARTERS_A_DAY)
    mood = smooth_noise(noise, quarters, HOURS, HOURS_VARIANCE) + _session_profile()
    share: Floats = np.exp(2.0 * mood)
    share /= MINUTES_A_QUARTER * share.sum(axis=1, keepdims=True)
    return share


def _in_ticks(noise: Noise, minutes: Instants, path: Floats, sigma: Floats, pressure: Floats) -> Floats:
    """The log path with its extremes on the coin's price grid, and the volume traded."""
    coin = COINS[noise.symbol]
    moves = np.diff(path, axis=1)
    up = np.sqrt(moves**2 - 2.0 * sigma**2 * np.log(noise.uniforms("high", minutes)))
    down = np.sqrt(moves**2 - 2.0 * sigma**2 * np.log(noise.uniforms("low", minutes)))
    ticks = 10.0**coin.price_decimals
    prices = np.maximum(np.rint(np.exp(path) * ticks), 1.0)
    opens, closes = prices[:, :-1], prices[:, 1:]
    # Rounding keeps the order of the extremes; the bounds make that certain whatever the last bit of exp.
    highs = np.maximum(np.rint(np.exp(path[:, :-1] + 0.5 * (moves + up)) * ticks), np.maximum(opens, closes))
    lows = np.clip(np.rint(np.exp(path[:, :-1] + 0.5 * (moves - down)) * ticks), 1.0, np.minimum(opens, closes))

    level = sigma / (coin.daily_volatility / math.sqrt(MINUTES_A_DAY))
    surprise = 0.3 + 0.9 * np.abs(moves) / sigma  # about 1 on average; a jump trades a lot
    volume = coin.minute_volume * level**VOLUME_POWER * np.exp(VOLUME_NOISE * noise.normals("volume", minutes))
    lots = np.rint(volume * np.exp(VOLUME * pressure) * surprise * 10.0**VOLUME_DECIMALS)
    return np.array([opens, highs, lows, closes, lots]).reshape(5, -1)
