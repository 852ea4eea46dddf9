"""Candles that cannot be wrong, and windows that are exactly the candles they were cut from."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Code, CrpbotError
from core.market import (
    COLUMNS,
    INTERVAL_SECONDS,
    SYMBOLS,
    Candles,
    Windows,
    cut_windows,
    interval_seconds,
    join_windows,
    parse_symbol,
    stack_windows,
)
from tests.fakes import walk_candles

STEP_MS = 300_000


def remake(candles: Candles, **columns: Any) -> Candles:
    """The same candles with other columns: checked anew."""
    kept = {field.name: getattr(candles, field.name) for field in fields(candles)}
    return Candles(**{**kept, **columns}, field="mine")


def with_value(column: str, row: int, value: float) -> Candles:
    """A walk with one other value."""
    candles = walk_candles(count=10)
    values = getattr(candles, column).copy()
    values[row] = value
    return remake(candles, **{column: values})


@pytest.mark.parametrize("text", ["BTC-USD", "btc-usd", "BTC/USD", " btc/usd\n"])
def test_a_symbol_is_known_in_every_spelling(text: str) -> None:
    assert parse_symbol(text) == "BTC-USD"


def test_an_unknown_symbol_is_refused_by_name_and_not_at_length() -> None:
    with pytest.raises(CrpbotError, match=r"symbols\.3: unknown symbol 'XXXX.*known are BTC-USD") as caught:
        parse_symbol("X" * 10_000, field="symbols.3")
    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, "UNKNOWN_SYMBOL")
    assert len(caught.value.detail) < 300


def test_an_interval_has_its_seconds_and_an_unknown_one_is_refused() -> None:
    assert [interval_seconds(interval) for interval in ("1m", "1d")] == [60, 86_400]
    with pytest.raises(CrpbotError, match="interval: unknown interval '3m'; allowed are 1m, 5m"):
        interval_seconds("3m")


def test_good_candles_know_when_they_closed() -> None:
    candles = walk_candles(count=3)
    assert (len(candles), candles.as_of) == (3, int(candles.open_times[0]) + 3 * STEP_MS)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_a_value_that_is_no_price_is_refused_with_its_row(column: str, value: float) -> None:
    with pytest.raises(CrpbotError, match=rf"^mine\.{column}: row 4: {value} ") as caught:
        with_value(column, 4, value)
    assert caught.value.violations[0].field == f"mine.{column}"


@pytest.mark.parametrize("column", COLUMNS[:4])
def test_a_price_of_zero_is_refused(column: str) -> None:
    with pytest.raises(CrpbotError, match=rf"mine\.{column}: row 0: 0\.0 must be above 0"):
        with_value(column, 0, 0.0)


def test_a_volume_of_zero_is_a_quiet_market() -> None:
    assert with_value("volume", 4, 0.0).volume[4] == 0.0


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("high", 1.0, r"mine\.high: row 4: high 1\.0 is below low"),
        ("low", 1e9, r"mine\.high: row 4: high .* is below low 1000000000\.0"),
        ("open", 1e9, r"mine: row 4: open 1000000000\.0 .* lies outside"),
        ("close", 1e-9, r"mine: row 4: .* close 1e-09 lies outside"),
    ],
)
def test_a_price_outside_its_candle_is_refused(column: str, value: float, words: str) -> None:
    with pytest.raises(CrpbotError, match=words):
        with_value(column, 4, value)


@pytest.mark.parametrize(
    ("shifts", "reason", "words"),
    [
        pytest.param({0: 1}, "OFF_GRID", "row 0: .* is not on the interval's grid of 300000 ms", id="start off grid"),
        pytest.param({4: 1}, "OFF_GRID", "row 4: .* not on the interval's grid", id="one off grid"),
        pytest.param({4: -STEP_MS}, "DUPLICATE_CANDLE", "row 4: .* the same candle twice", id="twice"),
        pytest.param({4: -2 * STEP_MS}, "UNSORTED_CANDLES", "row 4: .* oldest first", id="unsorted"),
        pytest.param({9: 3 * STEP_MS}, "GAP_IN_CANDLES", r"row 9: .*: 3 candle\(s\) missing", id="hole"),
    ],
)
def test_times_that_are_no_row_of_candles_are_refused(shifts: dict[int, int], reason: str, words: str) -> None:
    candles = walk_candles(count=10)
    times = candles.open_times.copy()
    for row, shift in shifts.items():
        times[row] += shift
    with pytest.raises(CrpbotError, match=rf"^mine\.open_times_ms: {words}") as caught:
        remake(candles, open_times=times)
    assert caught.value.reason == reason


def test_columns_of_two_lengths_and_no_candles_at_all_are_refused() -> None:
    candles = walk_candles(count=10)
    with pytest.raises(CrpbotError, match=r"mine\.low: has 9 values, open_times_ms has 10"):
        remake(candles, low=candles.low[1:])
    with pytest.raises(CrpbotError, match="mine: no candles"):
        remake(candles, open_times=candles.open_times[:0])


def same(one: Windows, other: Windows) -> bool:
    """Equal to the last bit."""
    return (
        one.symbols == other.symbols
        and one.interval == other.interval
        and np.array_equal(one.open_times, other.open_times)
        and one.block.tobytes() == other.block.tobytes()
    )


def test_stacked_windows_are_the_newest_candles_of_each_series() -> None:
    series = [walk_candles(symbol, count=count) for symbol, count in (("BTC-USD", 30), ("ETH-USD", 50))]
    windows = stack_windows(series, 20)
    assert (len(windows), windows.length, windows.symbols) == (2, 20, ("BTC-USD", "ETH-USD"))
    assert windows.block.flags.c_contiguous
    for row, candles in enumerate(series):
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(windows, column)[row], getattr(candles, column)[-20:])
        assert windows.as_of[row] == candles.as_of
    np.testing.assert_allclose(windows.log_returns()[0], np.diff(np.log(series[0].close[-20:])))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_joined_windows_are_their_rows_one_after_the_other(sizes: list[int]) -> None:
    batches = [stack_windows([walk_candles(symbol, count=12) for symbol in SYMBOLS[:size]], 12) for size in sizes]
    joined = join_windows(batches)
    assert len(joined) == sum(sizes)
    rows = [batch.row(index) for batch in batches for index in range(len(batch))]
    assert all(same(joined.row(index), row) for index, row in enumerate(rows))


@pytest.mark.parametrize(("length", "step", "count"), [(10, 1, 21), (10, 7, 3), (30, 1, 1)])
def test_cut_windows_are_slices_of_their_candles(length: int, step: int, count: int) -> None:
    candles = walk_candles(count=30)
    windows = cut_windows(candles, length, step=step)
    assert (len(windows), windows.length) == (count, length)
    for row, start in enumerate(range(0, 30 - length + 1, step)):
        np.testing.assert_array_equal(windows.close[row], candles.close[start : start + length])
        np.testing.assert_array_equal(windows.open_times[row], candles.open_times[start : start + length])


def test_windows_of_another_shape_are_refused() -> None:
    good = stack_windows([walk_candles(count=12)], 12)
    for block in (good.block[:4], np.asfortranarray(np.repeat(good.block, 2, axis=1)), good.block[:, :, :6]):
        with pytest.raises(ValueError, match="block must be C-contiguous"):
            Windows(good.symbols, good.interval, good.open_times, block)


def test_every_interval_divides_a_day() -> None:
    assert all(86_400 % seconds == 0 for seconds in INTERVAL_SECONDS.values())


def test_a_renamed_coin_is_refused_with_its_new_name() -> None:
    with pytest.raises(CrpbotError, match="MATIC-USD has been POL-USD since 2024-09-04: ask for POL-USD") as caught:
        parse_symbol("matic/usd")
    assert caught.value.reason == "RENAMED_SYMBOL"
    assert parse_symbol("pol-usd") == "POL-USD"
