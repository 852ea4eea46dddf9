"""What the models see of a market: 31 numbers a candle, the same for two years of training and for 500 candles served.

`compute` makes one pass over the candles. FEATURES is the order of the columns, their formulas stand there; `unit` says
which of them grow with the price or the volume, all others are the same in dollars and in cents.

Rows: the first WARM_UP candles give none, and nothing is filled in for them. Means of 50 candles are ready sooner, but
the exponential averages of RSI and MACD forget where they began by a factor of 13/14 a candle only, after 300 of them
to within 1e-8 standard deviations (candles that do not move do not count: with 150 of them among the 300, to 1e-4). So
each row that exists equals that of any longer history, and a model which reads 60 rows asks for 360 candles. A row
reads its own candle and those before it, nothing else.

`compute_timeframes` sets the last closed candles of 5 minutes, 15 minutes and an hour beside each minute. A candle that
began at 10:00 and lasts an hour is shown from the minute on which closes at 11:00, not earlier; where minutes are
missing it is made of those that exist. Over the four timeframes k, with body_k = (close - open) / (high - low), 0 where
that is 0 / 0, and sign_k = 1, 0 or -1 as the candle rose, stood still or fell:

- alignment_score = |sum sign_k| / 4: 1 where all four went one way, 0 where as many rose as fell;
- alignment_direction = sign of sum sign_k;
- alignment_strength = max(0, alignment_direction * mean body_k): 1 where all four closed at their extremes.

Sources: Wilder 1978, New Concepts in Technical Trading Systems (RSI, true range); Appel 2005, Technical Analysis
(MACD); Bollinger 2001, Bollinger on Bollinger Bands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.kernels.features import BLOCK, REACH, FloatMatrix, describe
from core.kernels.timeframes import align
from core.market import COLUMNS, INTERVAL_SECONDS, Candles, Floats, Instants


class Feature(NamedTuple):
    """One column: what it means, whether it grows with the price or the volume, and its bounds (None: unbounded)."""

    meaning: str
    low: float | None = None
    high: float | None = None
    unit: str = ""


MEANS: Final = (7, 14, 21, 50)

BASE: Final = {
    "session_tokyo": Feature("1 if the candle starts from 0:00 to 8:00 UTC, else 0", 0.0, 1.0),
    "session_london": Feature("1 from 8:00 to 16:00", 0.0, 1.0),
    "session_new_york": Feature("1 from 16:00 to 24:00", 0.0, 1.0),
    "day_of_week": Feature("UTC, 0 Monday .. 6 Sunday", 0.0, 6.0),
    "is_weekend": Feature("1 on Saturday and Sunday", 0.0, 1.0),
    "spread": Feature("high - low", 0.0, unit="price"),
    "spread_pct": Feature("100 spread / close", 0.0),
    "atr": Feature("mean of 14 true ranges max(high, close before) - min(low, close before)", 0.0, unit="price"),
    "spread_atr_ratio": Feature("spread / atr, 0 if that is 0", 0.0, 14.0),
    "volume_ma": Feature("mean of 20 volumes", 0.0, unit="volume"),
    "volume_ratio": Feature("volume / volume_ma, 0 if that is 0", 0.0, 20.0),
    "volume_trend": Feature("slope a candle of the least-squares line through 20 volumes", unit="volume"),
    **{f"sma_{size}": Feature(f"mean of {size} closes", 0.0, unit="price") for size in MEANS},
    **{f"price_sma_{size}_ratio": Feature(f"close / sma_{size}", 0.0, float(size)) for size in MEANS},
    "rsi": Feature("100 rises / (rises + falls), exponential means of weight 1/14; 50 at rest", 0.0, 100.0),
    "macd": Feature("exponential mean of 12 closes less that of 26 (weights 2/13, 2/27)", unit="price"),
    "macd_signal": Feature("exponential mean of 9 of macd (weight 1/5)", unit="price"),
    "macd_diff": Feature("macd - macd_signal", unit="price"),
    "bb_high": Feature("mean of 20 closes + 2 of their population standard deviations", unit="price"),
    "bb_low": Feature("the same less 2", unit="price"),
    "bb_width": Feature("100 (bb_high - bb_low) / mean of 20 closes", 0.0, 1_744.0),
    "bb_position": Feature("(close - bb_low) / (bb_high - bb_low), 0.5 at rest", -0.6, 1.6),
    "volatility_low": Feature("1 if atr is below the 33rd percentile of the last 20, else 0", 0.0, 1.0),
    "volatility_medium": Feature("1 between the two", 0.0, 1.0),
    "volatility_high": Feature("1 above the 67th", 0.0, 1.0),
}
TIMEFRAMES: Final = ("5m", "15m", "1h")
ALIGNED: Final = {
    **{
        f"{span}_{part}": Feature(f"{part} of the last closed {span} candle", 0.0, unit=unit)
        for span in TIMEFRAMES
        for part, unit in zip(COLUMNS, (*["price"] * 4, "volume"), strict=True)
    },
    "alignment_score": Feature("share of 1m, 5m, 15m and 1h by which one direction leads", 0.0, 1.0),
    "alignment_direction": Feature("which: 1 up, -1 down, 0 neither", -1.0, 1.0),
    "alignment_strength": Feature("mean body over range in that direction", 0.0, 1.0),
}
FEATURES: Final = tuple(BASE)
TIMEFRAME_FEATURES: Final = tuple(ALIGNED)
SESSIONS: Final = ("tokyo", "london", "new_york")
REGIMES: Final = ("low", "medium", "high")

# Raised by whoever changes a formula, so that no model reads numbers other than those it learned from.
VERSION: Final = 1
# Candles without a row: what RSI and MACD need to forget where the history began.
WARM_UP: Final = 300

# A standard deviation below this share of the mean is rounding.
ROUNDING: Final = 1e-12
# Mean ranges within this share of each other are equal: ticks make ties, and their sums are rounded.
TIE: Final = 1e-9
# Mean moves below this share of the price are the echo of a market that stands still: they take longer than the
# warm-up to fade away, and one tick of 1e-7 is still seen for a hundred candles.
REST: Final = 1e-10
# Prices and volumes beyond these are no market's, and a float32 does not hold their ratios.
SMALLEST_PRICE, LARGEST = 1e-30, 1e30


class Category(NamedTuple):
    """A column of words, each stored once: `names[codes[row]]`."""

    codes: NDArray[np.int8]
    names: tuple[str, ...]


FileColumn = Floats | NDArray[np.float32] | Category
Number = TypeVar("Number", bound=np.generic)


def compute(candles: Candles) -> FloatMatrix:
    """The inputs at every candle after the warm-up; row i belongs to candle WARM_UP + i.

    Shape: N candles -> (max(0, N - WARM_UP), 31) float32, C-contiguous, finite, columns in the order of FEATURES.
    Edge cases: a flat market has RSI 50, close in the middle of its bands, medium volatility, ratios 0. Prices outside
    1e-30 .. 1e30 and volumes above 1e30 are refused.
    """
    _check_size("candles.low", candles.low)
    _check_size("candles.high", candles.high)
    _check_size("candles.volume", candles.volume, smallest=0.0)
    table = np.empty((max(0, len(candles) - WARM_UP), len(FEATURES)), dtype=np.float32)
    if len(table):
        columns = (_plain(candles.high), _plain(candles.low), _plain(candles.close), _plain(candles.volume))
        clock = (int(candles.open_times[0]), 1_000 * INTERVAL_SECONDS[candles.interval])
        limits = (ROUNDING, TIE, REST, float(np.finfo(np.float32).max))
        describe(columns, clock, (WARM_UP, REACH, BLOCK), limits, table)
    return table


def compute_timeframes(open_times: Instants, columns: Sequence[Floats]) -> FloatMatrix:
    """Longer candles beside each minute after the warm-up; row i belongs to minute WARM_UP + i, like that of `compute`.

    Shape: start in ms of each 1m candle (N,), rising, minutes may be missing; open, high, low, close, volume, each (N,)
    -> (max(0, N - WARM_UP), 18) float32, C-contiguous, finite, columns in the order of TIMEFRAME_FEATURES.
    Edge cases: a candle of which no minute exists is not there, the one before stays; one that began before the first
    minute is left out, so that a row does not depend on where the history begins.
    """
    step, *spans = (1_000 * INTERVAL_SECONDS[span] for span in ("1m", *TIMEFRAMES))
    _check_minutes(open_times, step)
    for name, column in zip(COLUMNS, columns, strict=True):
        if len(column) != len(open_times):
            raise invalid(name, f"has {len(column)} values, open_times has {len(open_times)}")
        _check_size(name, column, smallest=0.0 if name == "volume" else SMALLEST_PRICE)
    table = np.empty((max(0, len(open_times) - WARM_UP), len(TIMEFRAME_FEATURES)), dtype=np.float32)
    if len(table):
        opens, highs, lows, closes, volumes = (_plain(column) for column in columns)
        align(_plain(open_times), (opens, highs, lows, closes, volumes), step, np.array(spans), table)
    return table


def tabulate(candles: Candles) -> dict[str, FileColumn]:
    """The 39 columns of a feature file, one value for every candle after the warm-up.

    Open, high, low, close and volume as they came, the 31 inputs, and for people: symbol, session, volatility_regime.
    """
    table = compute(candles)
    prices: dict[str, FileColumn] = {name: getattr(candles, name)[WARM_UP:] for name in COLUMNS}
    inputs: dict[str, FileColumn] = {name: table[:, place] for place, name in enumerate(FEATURES)}
    return {
        **prices,
        **inputs,
        "symbol": Category(np.zeros(len(table), dtype=np.int8), (candles.symbol,)),
        "session": _categorise(table, "session_", SESSIONS),
        "volatility_regime": _categorise(table, "volatility_", REGIMES),
    }


def fingerprint(names: Sequence[str] = FEATURES) -> str:
    """What a model keeps of its inputs: sha256 over names in order, version of the formulas, warm-up."""
    return sha256(json.dumps([list(names), VERSION, WARM_UP]).encode()).hexdigest()


def _categorise(table: FloatMatrix, prefix: str, names: tuple[str, ...]) -> Category:
    """Which of the columns `prefix` + name is 1."""
    first = FEATURES.index(prefix + names[0])
    return Category(table[:, first : first + len(names)].argmax(axis=1).astype(np.int8), names)


def _check_size(field: str, values: Floats, *, smallest: float = SMALLEST_PRICE) -> None:
    """Refuse what a float32 could not hold; NaN is refused as well."""
    if len(values) and not (values.min() >= smallest and values.max() <= LARGEST):
        row = int(np.argmin((values >= smallest) & (values <= LARGEST)))
        detail = f"row {row}: {values[row]} is not within {smallest:g} .. {LARGEST:g}"
        raise invalid(field, detail, reason="OUT_OF_RANGE")


def _check_minutes(times: Instants, step: int) -> None:
    """Refuse what is not sorted or does not start with a minute."""
    is_wrong = times % step != 0
    is_wrong[1:] |= times[1:] <= times[:-1]
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise invalid("open_times", f"row {row}: {times[row]} is not a later start of a minute", reason="NOT_A_MINUTE")


def _plain(values: NDArray[Number]) -> NDArray[Number]:
    """A contiguous, writable array, copied only where it is neither: the kernels are compiled for this kind alone."""
    contiguous = np.ascontiguousarray(values)
    return contiguous if contiguous.flags.writeable else contiguous.copy()
