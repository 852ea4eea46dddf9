"""Longer candles beside each minute: shown once they have closed, right where minutes are missing, judged as said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from core.errors import CrpbotError
from core.features import ALIGNED, TIMEFRAME_FEATURES, WARM_UP, compute_timeframes
from tests.core.adapters import test_recording
from tests.core.minutes import COLUMNS, MINUTE_MS, START_MS, align_with_pandas, from_closes, make_frame

real_folder = test_recording.real_folder

HOUR = 60


def align(frame):
    """The rows after the warm-up, by their minute."""
    table = compute_timeframes(frame.index.to_numpy(), [frame[name].to_numpy() for name in COLUMNS])
    return pd.DataFrame(table, index=frame.index[WARM_UP:], columns=TIMEFRAME_FEATURES)


def without(frame, seed, *, share=0.1, outages=()):
    """Some minutes gone, single ones by chance and outages from .. to as given."""
    stays = np.random.default_rng(seed).random(len(frame)) > share
    for begin, end in outages:
        stays[begin:end] = False
    return frame[stays]


def assert_like_pandas(frame):
    found, expected = align(frame), align_with_pandas(frame)[WARM_UP:]
    assert list(expected.columns) == list(TIMEFRAME_FEATURES)
    for name in TIMEFRAME_FEATURES:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-7, atol=1e-7, err_msg=name)


def minute(hour, minutes):
    """START_MS is 3:00: the start of a minute of that day, in ms."""
    return START_MS + ((hour - 3) * HOUR + minutes) * MINUTE_MS


def test_the_columns_are_prefixed_candles_and_three_judgements():
    expected = [f"{span}_{part}" for span in ("5m", "15m", "1h") for part in COLUMNS]
    assert list(TIMEFRAME_FEATURES) == [*expected, "alignment_score", "alignment_direction", "alignment_strength"]
    assert [ALIGNED[f"1h_{part}"].unit for part in COLUMNS] == ["price"] * 4 + ["volume"]


@pytest.mark.parametrize("offset", [0, 1, 4, 17, 59])
def test_without_holes_they_are_those_of_pandas(offset):
    assert_like_pandas(make_frame(2_000, offset)[offset:])


@pytest.mark.parametrize("seed", range(6))
def test_with_missing_minutes_they_are_those_of_pandas_joined_as_of_the_close(seed):
    outages = [(500, 500 + 7 * seed), (900, 1_000), (1_300, 1_300 + 97 * seed), (1_999, 2_400)]
    assert_like_pandas(without(make_frame(3_000, seed), seed, share=(0.0, 0.02, 0.5)[seed % 3], outages=outages))


def test_an_hour_is_shown_from_the_minute_that_ends_it():
    found = align(make_frame(12 * HOUR, 3))
    frame = make_frame(12 * HOUR, 3)
    before, now = frame.loc[minute(9, 0) : minute(9, 59)], frame.loc[minute(10, 0) : minute(10, 59)]
    assert found.loc[minute(10, 58), "1h_close"] == np.float32(before["close"].iloc[-1])
    assert found.loc[minute(10, 59), "1h_close"] == np.float32(now["close"].iloc[-1])
    assert found.loc[minute(10, 59), "1h_open"] == np.float32(now["open"].iloc[0])
    assert found.loc[minute(10, 59), "1h_high"] == np.float32(now["high"].max())
    assert found.loc[minute(10, 59), "1h_low"] == np.float32(now["low"].min())
    assert found.loc[minute(10, 59), "1h_volume"] == pytest.approx(now["volume"].sum(), rel=1e-6)
    assert found.loc[minute(11, 58), "1h_close"] == found.loc[minute(10, 59), "1h_close"]


def test_a_candle_with_missing_minutes_is_made_of_the_others_and_waits_for_its_end():
    whole = make_frame(12 * HOUR, 4)
    frame = whole.drop([minute(10, 0), minute(10, 3), minute(10, 4), minute(10, 30), minute(10, 59)])
    found = align(frame)
    there = frame.loc[minute(10, 0) : minute(10, 59)]
    assert len(there) == 55
    assert found.loc[minute(10, 2), "5m_open"] == np.float32(whole.loc[minute(9, 55), "open"])
    # The five minutes from 10:00 consist of 10:01 and 10:02; they are shown with the first minute after 10:05.
    assert found.loc[minute(10, 5), "5m_open"] == np.float32(whole.loc[minute(10, 1), "open"])
    assert found.loc[minute(10, 5), "5m_close"] == np.float32(whole.loc[minute(10, 2), "close"])
    # The last minute of the hour is missing: 10:58 ends at 10:59 and must not see the hour.
    assert found.loc[minute(10, 58), "1h_close"] == np.float32(whole.loc[minute(9, 59), "close"])
    assert found.loc[minute(11, 0), "1h_close"] == np.float32(whole.loc[minute(10, 58), "close"])
    assert found.loc[minute(11, 0), "1h_high"] == np.float32(there["high"].max())
    assert found.loc[minute(11, 0), "1h_volume"] == pytest.approx(there["volume"].sum(), rel=1e-6)


def test_through_an_outage_the_last_candle_stays():
    whole = make_frame(20 * HOUR, 5)
    found = align(whole.drop(whole.loc[minute(10, 20) : minute(15, 9)].index))
    assert found.loc[minute(10, 19), "1h_close"] == np.float32(whole.loc[minute(9, 59), "close"])
    assert found.loc[minute(15, 10), "1h_close"] == np.float32(whole.loc[minute(10, 19), "close"])
    assert found.loc[minute(15, 58), "1h_open"] == np.float32(whole.loc[minute(10, 0), "open"])
    assert found.loc[minute(15, 59), "1h_open"] == np.float32(whole.loc[minute(15, 10), "open"])


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_rows_do_not_depend_on_where_the_history_begins(share):
    frame = without(make_frame(6_000, 7), 7, share=share, outages=[(2_000, 2_300)])
    whole = align(frame)
    for begin in (1, 7, 59, 60, 1_001, 2_345):
        pd.testing.assert_frame_equal(align(frame[begin:]), whole.loc[frame.index[begin + WARM_UP] :])


def judge(steps):
    """The three judgements at the last minute of an hour whose minutes moved by these steps."""
    frame = from_closes(1_000.0 + np.concatenate([np.zeros(6 * HOUR), np.cumsum(steps)]))
    return align(frame).iloc[-1, 15:].tolist()


def test_the_judgement_reaches_one_zero_and_minus_one_on_planted_markets():
    assert judge(np.full(HOUR, 1.0)) == [1.0, 1.0, 1.0]
    assert judge(np.full(HOUR, -1.0)) == [1.0, -1.0, 1.0]
    assert judge(np.zeros(HOUR)) == [0.0, 0.0, 0.0]
    # The hour and its last quarter rise; the last five minutes and the last one fall.
    assert judge(np.concatenate([np.full(55, 1.0), np.full(5, -1.0)]))[:2] == [0.0, 0.0]


def test_the_judgement_follows_its_formula():
    # Hour: opens at 1000, reaches 1055, closes at 1050. Quarter: opens at 1045, 1055, 1050. The last five fall.
    score, direction, strength = judge(np.concatenate([np.full(55, 1.0), np.full(3, -2.0), [0.0, 1.0]]))
    assert (score, direction) == (0.5, 1.0)
    hour, quarter, five, last = 50 / 55, 5 / 10, -5 / 6, 1 / 1
    assert strength == pytest.approx((hour + quarter + five + last) / 4, rel=1e-6)


def test_large_bodies_against_the_majority_leave_no_strength():
    # Hour, quarter and minute end a little above their opens, the five minutes fell from the top to the bottom.
    steps = np.concatenate([np.zeros(6 * HOUR + 45), np.full(10, 5.1), np.full(4, -12.625), [0.5]])
    frame = from_closes(1_000.0 + np.cumsum(steps))
    frame.loc[frame.index[-1], "high"] += 10.0
    assert align(frame).iloc[-1, 15:].tolist() == [0.5, 1.0, 0.0]


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_every_direction_occurs_and_all_stays_within_bounds(share):
    found = align(without(make_frame(20_000, 8).round(-2), 8, share=share))
    assert set(found["alignment_direction"]) == {-1.0, 0.0, 1.0}
    assert set(found["alignment_score"]) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert found["alignment_strength"].between(0.0, 1.0).all()
    assert ((found["alignment_score"] == 0.0) == (found["alignment_direction"] == 0.0)).all()


def test_too_few_minutes_give_no_rows():
    frame = make_frame(WARM_UP, 0)
    assert align(frame).shape == (0, 18)
    assert align(frame[:0]).shape == (0, 18)
    assert align(make_frame(WARM_UP + 1, 0)).shape == (1, 18)


def changed(frame, row, **values):
    frame = frame.copy()
    for name, value in values.items():
        frame.loc[frame.index[row], name] = value
    return frame


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda frame: frame.iloc[::-1], "open_times: row 1: "),
        (lambda frame: pd.concat([frame[:9], frame[8:]]), "open_times: row 9: "),
        (lambda frame: frame.set_axis(frame.index + 1), "open_times: row 0: 1767236400001 is not a later start of"),
        (lambda frame: changed(frame, 7, close=np.nan), "close: row 7: nan is not within 1e-30 .. 1e+30"),
        (lambda frame: changed(frame, 7, low=0.0), "low: row 7: 0.0 is not within 1e-30 .. 1e+30"),
        (lambda frame: changed(frame, 7, volume=-1.0), "volume: row 7: -1.0 is not within 0 .. 1e+30"),
    ],
)
def test_what_are_no_sorted_minutes_is_refused(spoil, words):
    with pytest.raises(CrpbotError) as refused:
        align(spoil(make_frame(WARM_UP + 10, 0)))
    assert refused.value.detail.startswith(words)


def test_columns_of_another_length_are_refused():
    frame = make_frame(WARM_UP + 10, 0)
    columns = [frame[name].to_numpy() for name in COLUMNS]
    with pytest.raises(CrpbotError, match="volume: has 309 values, open_times has 310"):
        compute_timeframes(frame.index.to_numpy(), [*columns[:4], columns[4][1:]])


def test_real_minutes_with_holes_make_the_five_minute_candles_of_the_exchange(real_folder):
    frame = pq.read_table(real_folder / "candles/BTC-USD_1m_20251123_20251231.parquet").to_pandas()
    frame.index = pd.Index(frame.pop("timestamp").astype("datetime64[ms, UTC]").astype(np.int64))
    assert (np.diff(frame.index) != MINUTE_MS).any()
    assert_like_pandas(frame)
    found = align(frame)
    recorded = pq.read_table(real_folder / "candles/BTC-USD_5m_20250701_20251231.parquet").to_pandas()
    recorded.index = pd.Index(recorded.pop("timestamp").astype("datetime64[ms, UTC]").astype(np.int64) + 4 * MINUTE_MS)
    both = found.join(recorded, how="inner")
    assert len(both) > 10_000
    for name in COLUMNS[:4]:
        assert (both[f"5m_{name}"] == both[name].astype(np.float32)).mean() > 0.99
