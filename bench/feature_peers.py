"""The models' inputs as a trader would make them with the usual libraries: what `bench.features` measures against.

Each variant gives the 31 columns in the order of FEATURES as one float32 matrix, warm-up rows NaN, or the longer
candles beside each minute. Each is written the way its library is meant to be used; TA-Lib, which has no quantile, gets
our own counting trick for the regime and a copy in blocks, without which it would take a third longer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import ta
import talib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from core.market import Candles, Floats, Instants

Matrix = NDArray[np.float32]
MEANS = (7, 14, 21, 50)
SLOPE = (np.arange(20.0) - 9.5) / 665.0
BLOCK = 8_192


def with_ta(candles: Candles) -> Matrix:
    """`ta` for what it has, vectorised pandas for the rest."""
    frame = _frame(candles)
    _add_plain_columns(frame)
    frame["volume_trend"] = np.r_[np.full(19, np.nan), sliding_window_view(candles.volume, 20) @ SLOPE]
    moments = pd.to_datetime(candles.open_times, unit="ms", utc=True)
    _add_indicators(frame, moments.hour.to_numpy() // 8, moments.day_of_week.to_numpy())
    return _ordered(frame).to_numpy(dtype=np.float32)


def row_by_row(candles: Candles) -> Matrix:
    """The same with a Python call a row where that is the first thing that comes to mind."""
    frame = _frame(candles)
    _add_plain_columns(frame)
    volume = frame["volume"]
    frame["volume_trend"] = volume.rolling(20).apply(lambda part: np.polyfit(np.arange(20), part, 1)[0], raw=True)
    moments = pd.Series(pd.to_datetime(candles.open_times, unit="ms", utc=True))
    sessions = moments.apply(lambda moment: moment.hour // 8).to_numpy()
    _add_indicators(frame, sessions, moments.apply(lambda moment: moment.dayofweek).to_numpy())
    return _ordered(frame).to_numpy(dtype=np.float32)


def with_talib(candles: Candles) -> Matrix:
    """TA-Lib for all it has, numpy for the rest."""
    high, low, close, volume = candles.high, candles.low, candles.close, candles.volume
    days, rest = np.divmod(candles.open_times, 86_400_000)
    session, weekday = rest // 28_800_000, (days + 3) % 7
    spread, atr = high - low, talib.SMA(talib.TRANGE(high, low, close), 14)
    usual = talib.SMA(volume, 20)
    means = [talib.SMA(close, size) for size in MEANS]
    macd, signal, difference = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    smaller, greater = _count_neighbours(atr)
    is_low, is_high = greater >= 13, smaller >= 13
    return _interleave(
        [
            *(session == place for place in range(3)),
            *(weekday, weekday >= 5),
            *(spread, 100.0 * spread / close, atr, spread / atr),
            *(usual, volume / usual, talib.LINEARREG_SLOPE(volume, 20)),
            *means,
            *(close / mean for mean in means),
            *(talib.RSI(close, 14), macd, signal, difference),
            *(upper, lower, 100.0 * (upper - lower) / middle, (close - lower) / (upper - lower)),
            *(is_low, ~(is_low | is_high), is_high),
        ]
    )


def timeframes_with_polars(open_times: Instants, columns: list[Floats]) -> pl.DataFrame:
    """5-minute, 15-minute and hourly candles joined as of the close of each minute."""
    names = ("open", "high", "low", "close", "volume")
    frame = pl.DataFrame({"time": open_times, **dict(zip(names, columns, strict=True))})
    frame = frame.with_columns(pl.from_epoch("time", time_unit="ms")).set_sorted("time")
    found = frame.select((pl.col("time") + pl.duration(minutes=1)).alias("at"))
    for span in ("5m", "15m", "1h"):
        candles = frame.group_by_dynamic("time", every=span, label="right", closed="left").agg(
            pl.col("open").first().alias(f"{span}_open"),
            pl.col("high").max().alias(f"{span}_high"),
            pl.col("low").min().alias(f"{span}_low"),
            pl.col("close").last().alias(f"{span}_close"),
            pl.col("volume").sum().alias(f"{span}_volume"),
        )
        found = found.join_asof(candles.rename({"time": "at"}), on="at")
    return found.drop("at")


def _frame(candles: Candles) -> pd.DataFrame:
    names = ("high", "low", "close", "volume")
    return pd.DataFrame({name: getattr(candles, name) for name in names})


def _add_plain_columns(frame: pd.DataFrame) -> None:
    close, volume, spread = frame["close"], frame["volume"], frame["high"] - frame["low"]
    before = close.shift(1)
    reach = pd.concat([spread, (frame["high"] - before).abs(), (frame["low"] - before).abs()], axis=1).max(axis=1)
    frame["spread"], frame["spread_pct"] = spread, 100.0 * spread / close
    frame["atr"] = reach.rolling(14).mean()
    frame["spread_atr_ratio"] = spread / frame["atr"]
    frame["volume_ma"] = volume.rolling(20).mean()
    frame["volume_ratio"] = volume / frame["volume_ma"]
    for size in MEANS:
        frame[f"sma_{size}"] = close.rolling(size).mean()
        frame[f"price_sma_{size}_ratio"] = close / frame[f"sma_{size}"]


def _add_indicators(frame: pd.DataFrame, session: NDArray[np.int64], weekday: NDArray[np.int64]) -> None:
    close, atr = frame["close"], frame["atr"]
    for place, name in enumerate(("tokyo", "london", "new_york")):
        frame[f"session_{name}"] = session == place
    frame["day_of_week"], frame["is_weekend"] = weekday, weekday >= 5
    frame["rsi"] = ta.momentum.RSIIndicator(close).rsi()
    macd = ta.trend.MACD(close)
    frame["macd"], frame["macd_signal"], frame["macd_diff"] = macd.macd(), macd.macd_signal(), macd.macd_diff()
    bands = ta.volatility.BollingerBands(close)
    frame["bb_high"], frame["bb_low"] = bands.bollinger_hband(), bands.bollinger_lband()
    frame["bb_width"], frame["bb_position"] = bands.bollinger_wband(), bands.bollinger_pband()
    low, high = atr.rolling(20).quantile(0.33), atr.rolling(20).quantile(0.67)
    frame["volatility_low"], frame["volatility_high"] = atr < low, atr > high
    frame["volatility_medium"] = ~(frame["volatility_low"] | frame["volatility_high"])


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    from core.features import FEATURES

    return frame[list(FEATURES)]


def _count_neighbours(values: Floats) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    smaller, greater = np.zeros((2, len(values)), dtype=np.int8)
    for lag in range(1, 20):
        before, now = values[:-lag], values[lag:]
        smaller[lag:] += before < now
        greater[lag:] += before > now
    return smaller, greater


def _interleave(columns: list[NDArray[np.generic]]) -> Matrix:
    table = np.empty((len(columns[0]), len(columns)), dtype=np.float32)
    for start in range(0, len(table), BLOCK):
        rows = slice(start, start + BLOCK)
        for place, column in enumerate(columns):
            table[rows, place] = column[rows]
    return table
