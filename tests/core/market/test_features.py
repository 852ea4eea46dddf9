"""What the models see of a market: against pandas, against closed forms, and the same wherever the history begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CrpbotError
from core.features import (
    BASE,
    FEATURES,
    WARM_UP,
    Category,
    compute,
    compute_timeframes,
    fingerprint,
    tabulate,
)
from core.kernels.features import BLOCK
from core.market import Candles
from tests.core.adapters import test_recording
from tests.core.minutes import COLUMNS, MINUTE_MS, START_MS, describe_with_pandas, from_closes, make_frame, to_candles

real_folder = test_recording.real_folder

# fmt: off
ORDER = [
    "session_tokyo", "session_london", "session_new_york", "day_of_week", "is_weekend",
    "spread", "spread_pct", "atr", "spread_atr_ratio",
    "volume_ma", "volume_ratio", "volume_trend",
    "sma_7", "sma_14", "sma_21", "sma_50",
    "price_sma_7_ratio", "price_sma_14_ratio", "price_sma_21_ratio", "price_sma_50_ratio",
    "rsi", "macd", "macd_signal", "macd_diff", "bb_high", "bb_low", "bb_width", "bb_position",
    "volatility_low", "volatility_medium", "volatility_high",
]
# fmt: on
# All else follows from the last 50 candles alone.
REMEMBERING = ["rsi", "macd", "macd_signal", "macd_diff"]
# fmt: off
GOLDEN = [
    0.0, 1.0, 0.0, 3.0, 0.0, 0.49734828, 0.47150511, 0.57379335, 0.86677253, 4, 0.75, -0.063157894,
    104.99796, 104.99028, 104.96741, 104.74566, 1.0046004, 1.004674, 1.0048928, 1.0070202,
    53.487789, 0.16029865, 0.086537182, 0.073761456, 106.34863, 103.50436, 2.7107279, 0.69495398, 1.0, 0.0, 0.0,
]
# fmt: on
GOLDEN_FINGERPRINT = "b99bce09191539495f6990e5754d1a1ffd31de6573e275cb8aa1537a2ec09976"
COINBASE_MINUTES = "candles/BTC-USD_1m_20251123_20251231.parquet"


def column(table, name):
    return table[:, FEATURES.index(name)]


def named(candles):
    return dict(zip(FEATURES, compute(candles).T, strict=True))


def assert_like_pandas(frame):
    table, expected = compute(to_candles(frame)), describe_with_pandas(frame)[WARM_UP:]
    price, volume = frame["close"].mean(), frame["volume"].mean()
    # A float32 keeps seven digits; differences of prices keep what the prices had in float64, to which each library's
    # rounding adds its own (the running variance of pandas drifts by 1e-7 of the band).
    slack = {"price": 1e-9 * price, "volume": 1e-7 * volume, "": 3e-6}
    assert list(expected.columns) == list(FEATURES)
    for name, found in zip(FEATURES, table.T, strict=True):
        np.testing.assert_allclose(found, expected[name], rtol=2e-7, atol=slack[BASE[name].unit], err_msg=name)


def test_the_columns_are_those_of_the_specification_in_its_order():
    assert list(FEATURES) == ORDER
    assert len(FEATURES) == 31
    assert all(feature.unit in {"", "price", "volume"} and feature.meaning for feature in BASE.values())


@pytest.mark.parametrize("seed", range(3))
def test_every_column_is_that_of_pandas(seed):
    assert_like_pandas(make_frame(3_000, seed))


def test_longer_candles_have_the_same_formulas():
    frame = make_frame(1_000, 5)
    frame.index = pd.Index(3_600_000 * np.arange(len(frame), dtype=np.int64))
    expected = describe_with_pandas(frame)[WARM_UP:]
    table = compute(to_candles(frame, interval="1h"))
    for name in FEATURES[:5]:
        np.testing.assert_array_equal(column(table, name), expected[name], err_msg=name)


def test_sessions_and_days_follow_the_clock():
    saturday_night = 1_767_484_800_000 - 2 * MINUTE_MS  # 23:58 before the fourth of January 2026, a Sunday
    found = compute(to_candles(make_frame(WARM_UP + 4, 1, start=saturday_night - WARM_UP * MINUTE_MS)))
    assert found[:, :5].tolist() == [[0, 0, 1, 5, 1], [0, 0, 1, 5, 1], [1, 0, 0, 6, 1], [1, 0, 0, 6, 1]]


def test_a_steady_rise_has_the_values_of_closed_forms():
    closes = 1_000.0 + 2.0 * np.arange(2_000)
    frame = from_closes(closes)
    frame["volume"] = 5.0 + 0.25 * np.arange(2_000)
    last = {name: float(values[-1]) for name, values in named(to_candles(frame)).items()}
    price = closes[-1]
    deviation = 2.0 * np.sqrt((20**2 - 1) / 12)  # of the numbers 1 .. 20
    expected = {
        "spread": 2.0,
        "atr": 2.0,
        "spread_atr_ratio": 1.0,
        "volume_trend": 0.25,
        "volume_ma": frame["volume"].iloc[-1] - 0.25 * 9.5,
        "sma_50": price - 2.0 * 24.5,
        "price_sma_7_ratio": price / (price - 6.0),
        "rsi": 100.0,
        "macd": 2.0 * (12.5 - 5.5),  # an exponential mean of n candles lags (n - 1) / 2
        "macd_signal": 14.0,
        "bb_width": 400.0 * deviation / (price - 19.0),
        "bb_position": 0.5 + 19.0 / (4.0 * deviation),
    }
    assert {name: last[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert last["macd_diff"] == pytest.approx(0.0, abs=1e-6)


def test_a_market_at_rest_has_neutral_values_and_its_end_is_forgotten():
    moving = make_frame(600, 3)["close"].to_numpy()
    frame = from_closes(np.concatenate([moving, np.full(400, moving[-1])]))
    frame.loc[frame.index[600:], "volume"] = 0.0
    long, short = compute(to_candles(frame)), compute(to_candles(frame[-301:]))
    neutral = {"spread_atr_ratio": 0.0, "volume_ratio": 0.0, "volume_trend": 0.0, "rsi": 50.0, "bb_position": 0.5}
    neutral |= {"price_sma_50_ratio": 1.0, "volatility_low": 0.0, "volatility_medium": 1.0, "volatility_high": 0.0}
    for table in (long, short):
        assert {name: float(column(table[-1:], name)[0]) for name in neutral} == pytest.approx(neutral, abs=1e-7)


def test_one_tick_is_still_seen_a_hundred_candles_later():
    closes = np.full(500, 100_000.0)
    closes[400:] += 0.01
    strength = column(compute(to_candles(from_closes(closes))), "rsi")
    assert strength[99] == 50.0
    assert (strength[100:140] == 100.0).all()


def test_warm_up_candles_give_no_rows():
    frame = make_frame(WARM_UP + 1, 0)
    assert compute(to_candles(frame)).shape == (1, 31)
    for size in (1, 49, WARM_UP):
        assert compute(to_candles(frame[:size])).shape == (0, 31)
        assert [len(each) for each in tabulate(to_candles(frame[:size])).values() if not isinstance(each, Category)]


@pytest.mark.parametrize("size", [WARM_UP + 1, WARM_UP + BLOCK - 1, WARM_UP + BLOCK, WARM_UP + 2 * BLOCK + 1])
def test_the_matrix_is_contiguous_float32_and_ends_with_the_last_candle(size):
    candles = to_candles(make_frame(size, 8))
    table = compute(candles)
    assert table.shape == (size - WARM_UP, 31)
    assert table.dtype == np.float32
    assert table.flags.c_contiguous
    assert column(table, "spread")[-1] == np.float32(candles.high[-1] - candles.low[-1])


def disturbed(kind):
    """Histories in which the beginning of a window may leave a mark."""
    closes = make_frame(5_000, 12)["close"].to_numpy().copy()
    if kind == "jump":
        closes[4_600:] *= 1.5
    elif kind == "rest":
        closes[4_550:4_700] = closes[4_550]
    elif kind == "trend":
        closes *= np.exp(1e-4 * np.arange(5_000))
    return from_closes(np.round(closes, 2))


# A candle at rest forgets nothing: where 150 of the 300 do not move, RSI remembers the other half.
@pytest.mark.parametrize(("kind", "limit"), [("walk", 1e-6), ("jump", 1e-6), ("trend", 1e-6), ("rest", 1e-4)])
def test_the_last_hundred_rows_of_400_candles_are_those_of_the_whole_history(kind, limit):
    frame = disturbed(kind)
    deviations = compute(to_candles(frame)).std(axis=0, dtype=np.float64)
    for end in range(4_500, 5_001, 20):
        whole, short = compute(to_candles(frame[:end])), compute(to_candles(frame[end - 400 : end]))
        assert short.shape == (100, 31)
        apart = np.abs(whole[-100:].astype(np.float64) - short).max(axis=0)
        assert (apart <= limit * deviations).all(), (end, FEATURES[int(np.argmax(apart / (deviations + 1e-300)))])


def test_what_follows_from_the_last_candles_is_equal_to_the_bit_wherever_the_history_begins():
    frame = make_frame(2_500, 4)
    whole = compute(to_candles(frame))
    for begin in (1, 2, 3, 100, 999, 1_000, 1_777):
        part = compute(to_candles(frame[begin:]))
        for name in set(FEATURES) - set(REMEMBERING):
            np.testing.assert_array_equal(column(part, name), column(whole[begin:], name), err_msg=name)


@st.composite
def odd_markets(draw):
    """Prices over 24 orders of magnitude with flat stretches, jumps and single wild candles."""
    size = WARM_UP + draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    closes = np.repeat(10.0 ** rng.uniform(-12, 12, size // 7 + 1), 7)[:size]
    if draw(st.booleans()):
        closes = np.where(rng.random(size) < 0.02, closes, closes[0])
    frame = from_closes(closes)
    frame["high"] *= np.where(rng.random(size) < 0.05, 10.0 ** rng.uniform(0, 17, size), 1.0)
    frame["low"] /= np.where(rng.random(size) < 0.05, 10.0 ** rng.uniform(0, 17, size), 1.0)
    frame["volume"] = np.where(rng.random(size) < 0.5, 0.0, 10.0 ** rng.uniform(-300, 30, size))
    return to_candles(frame)


@settings(max_examples=150, deadline=None)
@given(odd_markets())
def test_odd_markets_give_finite_values_within_the_declared_bounds(candles):
    table = compute(candles)
    assert np.isfinite(table).all()
    for name, feature in BASE.items():
        values = column(table, name)
        assert feature.low is None or (values >= feature.low).all(), name
        assert feature.high is None or (values <= np.float32(feature.high * (1 + 1e-6))).all(), name
    assert (table[:, :3].sum(axis=1) == 1).all()
    assert (table[:, -3:].sum(axis=1) == 1).all()
    assert np.isfinite(compute_timeframes(candles.open_times, [getattr(candles, name) for name in COLUMNS])).all()


@pytest.mark.parametrize("factor", [1_000.0, 1e-6])
@pytest.mark.parametrize("ticks", [2, 0])
def test_only_columns_with_a_unit_change_with_the_unit(factor, ticks):
    frame = make_frame(1_500, 6).round(dict.fromkeys(COLUMNS[:4], ticks))
    table = compute(to_candles(frame))
    scaled = {
        "price": compute(to_candles(frame.assign(**{name: frame[name] * factor for name in COLUMNS[:4]}))),
        "volume": compute(to_candles(frame.assign(volume=frame["volume"] * factor))),
    }
    for unit, other in scaled.items():
        for name, feature in BASE.items():
            expected = column(table, name) * (factor if feature.unit == unit else 1.0)
            slack = 1e-6 * np.abs(expected).mean()
            np.testing.assert_allclose(column(other, name), expected, rtol=1e-6, atol=slack, err_msg=name)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("high", 1e31, "candles.high: row 5: 1e+31 is not within 1e-30 .. 1e+30"),
        ("low", 1e-31, "candles.low: row 5: 1e-31 is not within 1e-30 .. 1e+30"),
        ("volume", 1e31, "candles.volume: row 5: 1e+31 is not within 0 .. 1e+30"),
    ],
)
def test_what_a_float32_cannot_hold_is_refused(name, value, words):
    frame = make_frame(WARM_UP + 10, 0)
    frame.loc[frame.index[5], name] = value
    with pytest.raises(CrpbotError) as refused:
        compute(to_candles(frame))
    assert refused.value.detail == words


def test_the_candles_may_be_views_and_read_only_and_are_not_written():
    frame = make_frame(900, 2)
    block = np.ascontiguousarray(frame[COLUMNS].to_numpy())
    block.flags.writeable = False
    strided = Candles("BTC-USD", "1m", frame.index.to_numpy(), *block.T)
    np.testing.assert_array_equal(compute(strided), compute(to_candles(frame)))
    wanted = [getattr(strided, name) for name in COLUMNS]
    owned = [np.array(each) for each in wanted]
    found, expected = (compute_timeframes(strided.open_times, columns) for columns in (wanted, owned))
    np.testing.assert_array_equal(found, expected)


def test_kernels_and_plain_python_agree(tmp_path):
    frame = make_frame(WARM_UP + 90, 9)
    np.save(tmp_path / "block.npy", frame[COLUMNS].to_numpy().T)
    script = (
        "import sys, numpy as np; from core.features import compute, compute_timeframes\n"
        "from core.market import Candles\n"
        f"block = np.load(sys.argv[1] + '/block.npy'); times = {START_MS} + {MINUTE_MS} * np.arange(block.shape[1])\n"
        "np.save(sys.argv[1] + '/one.npy', compute(Candles('BTC-USD', '1m', times, *block)))\n"
        "np.save(sys.argv[1] + '/two.npy', compute_timeframes(times, list(block)))\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=root, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "one.npy"), compute(to_candles(frame)))
    expected = compute_timeframes(frame.index.to_numpy(), [frame[name].to_numpy() for name in COLUMNS])
    np.testing.assert_array_equal(np.load(tmp_path / "two.npy"), expected)


def test_a_feature_file_has_39_columns_of_equal_length():
    candles = to_candles(make_frame(700, 1), symbol="SOL-USD")
    columns = tabulate(candles)
    assert list(columns) == [*COLUMNS, *FEATURES, "symbol", "session", "volatility_regime"]
    assert len(columns) == 39
    for name, values in columns.items():
        assert len(values.codes if isinstance(values, Category) else values) == 400, name
    np.testing.assert_array_equal(columns["close"], candles.close[WARM_UP:])
    assert {columns["symbol"].names[code] for code in columns["symbol"].codes} == {"SOL-USD"}
    for name, prefix in (("session", "session_"), ("volatility_regime", "volatility_")):
        words = np.array(columns[name].names)[columns[name].codes]
        for word in columns[name].names:
            np.testing.assert_array_equal(words == word, columns[prefix + word] == 1.0)


def test_the_fingerprint_changes_with_names_and_order():
    prints = {fingerprint(), fingerprint(FEATURES[::-1]), fingerprint(FEATURES[:-1]), fingerprint(("a,b",))}
    assert len(prints | {fingerprint(("a", "b"))}) == 5
    assert fingerprint() == fingerprint(list(FEATURES))


def test_a_changed_formula_needs_a_new_version():
    """Whoever changes these numbers raises VERSION, and no model trained before is used with them."""
    places = np.arange(500.0)
    frame = from_closes(100.0 + np.sin(places) + 0.01 * places)
    frame["volume"] = 1.0 + places % 7
    np.testing.assert_allclose(compute(to_candles(frame))[-1], GOLDEN, rtol=2e-6)
    assert fingerprint() == GOLDEN_FINGERPRINT


def real_minutes(folder):
    """The gap-free stretches of Coinbase's minutes that are long enough to give rows."""
    frame = pq.read_table(folder / COINBASE_MINUTES).to_pandas()
    frame.index = pd.Index(frame.pop("timestamp").astype("datetime64[ms, UTC]").astype(np.int64))
    breaks = np.flatnonzero(np.diff(frame.index) != MINUTE_MS) + 1
    stretches = np.split(np.arange(len(frame)), breaks)
    return [frame.iloc[rows] for rows in stretches if len(rows) > WARM_UP]


def test_real_minutes_give_finite_values_within_bounds_that_are_those_of_pandas(real_folder):
    stretches = real_minutes(real_folder)
    assert sum(map(len, stretches)) > 50_000
    for frame in stretches:
        table = compute(to_candles(frame))
        assert np.isfinite(table).all()
        for name, feature in BASE.items():
            values = column(table, name)
            assert feature.low is None or values.min() >= feature.low, name
            assert feature.high is None or values.max() <= feature.high, name
        assert_like_pandas(frame[:5_000])
