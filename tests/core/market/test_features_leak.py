"""No input of a model knows the future: changing what comes later changes nothing, and a random walk stays random.

Each test is also shown leaks that were made on purpose: a candle joined on its start, one filled in backwards, a mean
whose window reaches ahead. Whoever breaks the tests must notice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.features import FEATURES, TIMEFRAME_FEATURES, WARM_UP, compute, compute_timeframes
from tests.core.minutes import COLUMNS, make_frame, to_candles

HORIZON = 15
PRICES = ["sma_7", "sma_14", "sma_21", "sma_50", "bb_high", "bb_low"]
PRICES += [f"{span}_{part}" for span in ("5m", "15m", "1h") for part in COLUMNS[:4]]
DISTANCES = ["spread", "atr", "macd", "macd_signal", "macd_diff"]


def base_features(frame):
    return pd.DataFrame(compute(to_candles(frame)), index=frame.index[WARM_UP:], columns=FEATURES)


def timeframe_features(frame):
    table = compute_timeframes(frame.index.to_numpy(), [frame[name].to_numpy() for name in COLUMNS])
    return pd.DataFrame(table, index=frame.index[WARM_UP:], columns=TIMEFRAME_FEATURES)


def minutes_with_holes(frame):
    return timeframe_features(frame[frame.index // 60_000 % 11 != 4])


def hours(frame, **label):
    moments = frame.set_axis(pd.to_datetime(frame.index, unit="ms", utc=True))
    return moments["close"].resample("1h", closed="left", **label).last(), moments.index


def joined_on_the_start(frame):
    """At 10:00 the hour that closes at 10:59 is known."""
    closes, moments = hours(frame, label="left")
    return pd.DataFrame({"1h_close": closes.reindex(moments, method="ffill").to_numpy()}, index=frame.index)


def filled_backwards(frame):
    """Between two closes the later one stands."""
    closes, moments = hours(frame, label="right")
    return pd.DataFrame({"1h_close": closes.reindex(moments, method="bfill").to_numpy()}, index=frame.index)


def centred(frame):
    """A mean of 21 closes, ten of which are still to come."""
    return pd.DataFrame({"sma_21": frame["close"].rolling(21, center=True).mean()})


CLEAN = [base_features, timeframe_features, minutes_with_holes]
LEAKS = [joined_on_the_start, filled_backwards, centred]


def columns_that_see_the_future(features, frame, cut):
    """Which columns of the rows up to `cut` change when what comes after is other, or is not there yet."""
    other = frame.copy()
    other.iloc[cut:, :5] = frame.iloc[cut:, :5].to_numpy()[::-1] * [1.7, 1.7, 1.7, 1.7, 9.0]
    seen, known = set(), features(frame[:cut])
    for future in (features(frame), features(other)):
        past = future.loc[: frame.index[cut - 1]]
        assert len(past) == len(known)
        same = (past == known) | (past.isna() & known.isna())
        seen |= set(same.columns[~same.all()])
    return seen


def correlations(features, frame):
    """Of each column, made relative to the close, with the log return over the next 15 minutes."""
    table = features(frame).dropna()
    logs = np.log(frame["close"])
    ahead = (logs.shift(-HORIZON) - logs).loc[table.index][:-HORIZON]
    close = frame["close"].loc[table.index]
    found = {}
    for name in table.columns:
        column = table[name].astype(np.float64)
        if name in PRICES:
            column = np.log((column / close).clip(lower=1e-6))
        elif name in DISTANCES:
            column = column / close
        found[name] = float(np.corrcoef(column[:-HORIZON], ahead)[0, 1])
    return found


@pytest.mark.parametrize("features", CLEAN)
@pytest.mark.parametrize("cut", [WARM_UP + 1, 420, 479, 480, 481, 1_299, 1_300, 1_301, 2_018, 2_640, 3_333])
def test_no_column_changes_when_the_future_does(features, cut):
    assert columns_that_see_the_future(features, make_frame(4_000, cut), cut) == set()


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_changes_when_the_future_does(leak):
    for cut in (420 + 7, 1_300, 2_018):
        assert columns_that_see_the_future(leak, make_frame(4_000, 1), cut) == set(leak(make_frame(100, 1)).columns)


@pytest.fixture(scope="module")
def walk():
    """A million minutes whose next move cannot be known."""
    return make_frame(1_000_000, 20_261_121)


@pytest.mark.parametrize("features", CLEAN)
def test_on_a_random_walk_no_column_knows_the_next_fifteen_minutes(features, walk):
    # Returns over 15 minutes overlap: correlations of a million rows scatter by at most sqrt(15 / n) = 0.004.
    found = correlations(features, walk)
    assert {name: value for name, value in found.items() if not abs(value) < 5.0 * np.sqrt(HORIZON / len(walk))} == {}


@pytest.mark.parametrize("leak", LEAKS)
def test_on_a_random_walk_a_planted_leak_knows_them(leak, walk):
    (value,) = correlations(leak, walk[:100_000]).values()
    assert value > 0.2
