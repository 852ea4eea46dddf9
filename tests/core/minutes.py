"""Made-up minutes of a market for the tests of the models' inputs, and the inputs once more in pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.market import Candles

MINUTE_MS = 60_000
START_MS = 1_767_236_400_000  # Thursday, the first of January 2026, 3:00 UTC: on the hour
COLUMNS = ["open", "high", "low", "close", "volume"]


def make_frame(size, seed, *, start=START_MS, deviation=5e-4):
    """A random walk with fat tails, wicks and volume; a fifth of the minutes trade nothing."""
    rng = np.random.default_rng([size, seed])
    closes = 50_000.0 * np.exp(np.cumsum(deviation * rng.standard_t(5, size)))
    opens = np.concatenate([closes[:1], closes[:-1]]) * np.exp(1e-5 * rng.standard_normal(size))
    wicks = 2e-4 * rng.random((2, size))
    frame = pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, closes) * (1.0 + wicks[0]),
            "low": np.minimum(opens, closes) * (1.0 - wicks[1]),
            "close": closes,
            "volume": rng.lognormal(size=size) * (rng.random(size) > 0.2),
        }
    )
    frame.index = pd.Index(start + MINUTE_MS * np.arange(size, dtype=np.int64))
    return frame


def from_closes(closes, *, start=START_MS):
    """Minutes with these closes, open where the one before closed, without wicks, volume 1."""
    closes = np.asarray(closes, dtype=np.float64)
    opens = np.concatenate([closes[:1], closes[:-1]])
    frame = pd.DataFrame({"open": opens, "high": np.maximum(opens, closes), "low": np.minimum(opens, closes)})
    frame["close"], frame["volume"] = closes, 1.0
    frame.index = pd.Index(start + MINUTE_MS * np.arange(len(closes), dtype=np.int64))
    return frame


def to_candles(frame, *, symbol="BTC-USD", interval="1m"):
    return Candles(symbol, interval, frame.index.to_numpy(), *(frame[name].to_numpy() for name in COLUMNS))


def describe_with_pandas(frame):
    """The 31 inputs from the words of the specification: rolling means, exponential means, quantiles, polyfit."""
    close, volume, spread = frame["close"], frame["volume"], frame["high"] - frame["low"]
    before = close.shift(1)
    true_range = pd.concat([spread, (frame["high"] - before).abs(), (frame["low"] - before).abs()], axis=1).max(axis=1)
    atr = true_range.rolling(14).mean()
    moments = pd.to_datetime(frame.index, unit="ms", utc=True)
    found = pd.DataFrame(index=frame.index)
    for place, session in enumerate(["tokyo", "london", "new_york"]):
        found[f"session_{session}"] = (moments.hour // 8 == place).astype(float)
    found["day_of_week"] = moments.day_of_week.astype(float)
    found["is_weekend"] = (moments.day_of_week >= 5).astype(float)
    found["spread"], found["spread_pct"], found["atr"] = spread, 100.0 * spread / close, atr
    found["spread_atr_ratio"] = spread / atr
    found["volume_ma"] = volume.rolling(20).mean()
    found["volume_ratio"] = volume / found["volume_ma"]
    found["volume_trend"] = volume.rolling(20).apply(lambda each: np.polyfit(np.arange(20.0), each, 1)[0], raw=True)
    for size in (7, 14, 21, 50):
        found[f"sma_{size}"] = close.rolling(size).mean()
    for size in (7, 14, 21, 50):
        found[f"price_sma_{size}_ratio"] = close / found[f"sma_{size}"]
    change = close.diff()
    rises = change.clip(lower=0.0).ewm(alpha=1 / 14, adjust=False).mean()
    falls = (-change).clip(lower=0.0).ewm(alpha=1 / 14, adjust=False).mean()
    found["rsi"] = 100.0 - 100.0 / (1.0 + rises / falls)
    found["macd"] = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
    found["macd_signal"] = found["macd"].iloc[25:].ewm(span=9, adjust=False).mean()
    found["macd_diff"] = found["macd"] - found["macd_signal"]
    middle, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    found["bb_high"], found["bb_low"] = middle + 2.0 * deviation, middle - 2.0 * deviation
    found["bb_width"] = 100.0 * (found["bb_high"] - found["bb_low"]) / middle
    found["bb_position"] = (close - found["bb_low"]) / (found["bb_high"] - found["bb_low"])
    low, high = (atr.rolling(20).quantile(share) for share in (0.33, 0.67))
    found["volatility_low"] = (atr < low).astype(float)
    found["volatility_medium"] = ((atr >= low) & (atr <= high)).astype(float)
    found["volatility_high"] = (atr > high).astype(float)
    return found


def align_with_pandas(frame):
    """The last closed candle of 5 minutes, 15 minutes and an hour at the close of each minute, by an as-of join."""
    closing = pd.DataFrame({"at": pd.to_datetime(frame.index + MINUTE_MS, unit="ms", utc=True)})
    started = frame.set_axis(pd.to_datetime(frame.index, unit="ms", utc=True))
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    for name, minutes in (("5m", 5), ("15m", 15), ("1h", 60)):
        candles = started.resample(f"{minutes}min", label="right", closed="left").agg(how).dropna()
        candles = candles.add_prefix(f"{name}_").rename_axis("at").reset_index()
        candles["at"] = candles["at"].astype(closing["at"].dtype)
        closing = pd.merge_asof(closing, candles, on="at")
    found = closing.drop(columns="at").set_index(frame.index)
    signs, bodies = 0.0, 0.0
    for prefix, each in (("", frame), ("5m_", found), ("15m_", found), ("1h_", found)):
        body = each[f"{prefix}close"] - each[f"{prefix}open"]
        signs = signs + np.sign(body)
        bodies = bodies + (body / (each[f"{prefix}high"] - each[f"{prefix}low"])).fillna(0.0)
    found["alignment_score"] = signs.abs() / 4.0
    found["alignment_direction"] = np.sign(signs)
    found["alignment_strength"] = (np.sign(signs) * bodies / 4.0).clip(lower=0.0)
    return found
