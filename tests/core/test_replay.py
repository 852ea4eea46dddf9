"""The replay market: what was recorded, up to its own clock, and a clear word about whatever is missing."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.adapters.replay import ReplayMarket
from core.errors import Code, CrpbotError
from core.market import COLUMNS, INTERVAL_SECONDS, Candles

START_MS = 1_735_689_600_000  # 2025-01-01
MINUTE_MS = 60_000
FAR_MS = 4_000_000_000_000

Table = dict[str, np.ndarray]


def make_rows(interval: str, count: int, *, start_ms: int = START_MS) -> Table:
    """A random walk of valid candles."""
    generator = np.random.default_rng(start_ms % 1_000_003 + count)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.001, count)))
    opens = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(opens, close) * (1.0 + generator.uniform(0.0, 0.001, count))
    low = np.minimum(opens, close) * (1.0 - generator.uniform(0.0, 0.001, count))
    times = start_ms + np.arange(count) * 1_000 * INTERVAL_SECONDS[interval]
    volume = generator.uniform(1.0, 9.0, count)
    return {"timestamp": times, "open": opens, "high": high, "low": low, "close": close, "volume": volume}


def save(
    folder: Path, table: Table, *, symbol: str = "BTC-USD", interval: str = "1m", part: str = "a", **how: int
) -> Path:
    path = folder / f"{symbol}_{interval}_{part}_end.parquet"
    arrays = {name: pa.array(values) for name, values in table.items()}
    pq.write_table(pa.table(arrays), path, **how)
    return path


def ask(market: ReplayMarket, interval: str, count: int, *, symbol: str = "BTC-USD", now_ms: int = FAR_MS) -> Candles:
    return asyncio.run(market.latest([symbol], interval, count, now_ms=now_ms))[0]


def refusal(market: ReplayMarket, interval: str, count: int, *, symbol: str = "BTC-USD") -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        ask(market, interval, count, symbol=symbol)
    return caught.value


def without(table: Table, rows: Sequence[int] | slice) -> Table:
    return {name: np.delete(values, rows) for name, values in table.items()}


class TestClock:
    def test_it_begins_at_the_end_of_what_was_recorded(self, tmp_path: Path) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, table)
        market = ReplayMarket(tmp_path)
        assert market.now_ms() == START_MS + 100 * MINUTE_MS
        found = ask(market, "1m", 100)
        assert found.as_of == market.now_ms()
        np.testing.assert_array_equal(found.open_times, table["timestamp"])
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(found, column), table[column])

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(clock=st.integers(20 * MINUTE_MS, 100 * MINUTE_MS), now=st.integers(20 * MINUTE_MS, 100 * MINUTE_MS))
    def test_nothing_is_shown_that_closed_after_its_clock_or_after_the_callers(
        self, tmp_path: Path, clock: int, now: int
    ) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, table)
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + clock)
        found = ask(market, "1m", 20, now_ms=START_MS + now)
        limit = START_MS + min(clock, now)
        assert found.as_of <= limit < found.as_of + MINUTE_MS
        last = (found.as_of - START_MS) // MINUTE_MS
        np.testing.assert_array_equal(found.close, table["close"][last - 20 : last])

    def test_a_candle_closing_exactly_at_the_clock_is_closed(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + 50 * MINUTE_MS)
        assert ask(market, "1m", 5).as_of == START_MS + 50 * MINUTE_MS
        market.move_to(START_MS + 50 * MINUTE_MS - 1)
        assert ask(market, "1m", 5).as_of == START_MS + 49 * MINUTE_MS

    def test_it_can_be_moved_back_and_forth(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        ends = []
        for minute in (40, 60, 30):
            market.move_to(START_MS + minute * MINUTE_MS)
            assert market.now_ms() == START_MS + minute * MINUTE_MS
            ends.append((ask(market, "1m", 5).as_of - START_MS) // MINUTE_MS)
        assert ends == [40, 60, 30]

    def test_a_clock_past_the_recording_is_told_and_old_candles_are_not_given_for_new(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + 102 * MINUTE_MS)
        assert "8 of 10 found, 2 missing, the first at 2025-01-01T01:40:00Z" in refusal(market, "1m", 10).detail


class TestAggregation:
    @pytest.mark.parametrize("interval", ["5m", "15m", "30m", "1h"])
    def test_a_longer_candle_is_made_of_its_recorded_minutes(self, tmp_path: Path, interval: str) -> None:
        table = make_rows("1m", 300)
        save(tmp_path, table)
        size = INTERVAL_SECONDS[interval] // 60
        found = ask(ReplayMarket(tmp_path), interval, 300 // size)
        for place, begin in enumerate(range(0, 300, size)):
            minutes = {name: values[begin : begin + size] for name, values in table.items()}
            assert found.open_times[place] == minutes["timestamp"][0]
            assert found.open[place] == minutes["open"][0]
            assert found.high[place] == minutes["high"].max()
            assert found.low[place] == minutes["low"].min()
            assert found.close[place] == minutes["close"][-1]
            assert found.volume[place] == pytest.approx(minutes["volume"].sum(), rel=1e-12)

    def test_a_bucket_that_is_not_complete_at_the_clock_is_not_shown(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 99))
        assert ask(ReplayMarket(tmp_path), "5m", 3).as_of == START_MS + 95 * MINUTE_MS

    def test_a_bucket_with_a_missing_minute_is_a_hole(self, tmp_path: Path) -> None:
        save(tmp_path, without(make_rows("1m", 100), [92]))
        problem = refusal(ReplayMarket(tmp_path), "5m", 3)
        assert "1m: 14 of 15 found, 1 missing, the first at 2025-01-01T01:32:00Z" in problem.detail
        assert ask(ReplayMarket(tmp_path), "5m", 1).as_of == START_MS + 100 * MINUTE_MS

    def test_the_interval_itself_is_taken_where_it_is_recorded(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        five = make_rows("5m", 20)
        save(tmp_path, five, interval="5m")
        np.testing.assert_array_equal(ask(ReplayMarket(tmp_path), "5m", 20).close, five["close"])

    def test_a_shorter_interval_stands_in_where_the_interval_itself_has_a_hole(self, tmp_path: Path) -> None:
        minutes = make_rows("1m", 100)
        save(tmp_path, minutes)
        save(tmp_path, without(make_rows("5m", 20), [18]), interval="5m")
        np.testing.assert_array_equal(ask(ReplayMarket(tmp_path), "5m", 20).close, minutes["close"][4::5])

    def test_a_shorter_interval_is_never_made_of_a_longer_one(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1h", 100), interval="1h")
        save(tmp_path, make_rows("6h", 100), interval="6h")
        problem = refusal(ReplayMarket(tmp_path), "30m", 2)
        assert (problem.code, problem.reason) == (Code.NOT_FOUND, "SERIES_NOT_RECORDED")
        assert "recorded are 1h, 6h, none of which divides it" in problem.detail

    def test_a_count_that_needs_more_minutes_than_memory_holds_is_answered_in_words(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        assert "100 of 2880000000 found" in refusal(ReplayMarket(tmp_path), "1d", 2_000_000).detail


class TestMissing:
    def test_a_hole_is_told_with_symbol_span_counts_and_remedy_and_never_filled(self, tmp_path: Path) -> None:
        save(tmp_path, without(make_rows("1m", 100), slice(40, 47)))
        problem = refusal(ReplayMarket(tmp_path), "1m", 80)
        assert (problem.code, problem.reason) == (Code.FAILED_PRECONDITION, "CANDLES_NOT_RECORDED")
        assert problem.detail == (
            "replay: BTC-USD: 80 candles of 1m from 2025-01-01T00:20:00Z to 2025-01-01T01:40:00Z asked for; "
            "1m: 73 of 80 found, 7 missing, the first at 2025-01-01T00:40:00Z "
            "(recorded: 2025-01-01T00:00:00Z to 2025-01-01T01:39:00Z); "
            "record the missing candles, move the replay's clock, or ask for fewer"
        )

    @given(first=st.integers(0, 99), length=st.integers(1, 30), begin=st.integers(0, 99), count=st.integers(1, 100))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_window_is_given_exactly_when_the_hole_is_outside_it(
        self, tmp_path: Path, first: int, length: int, begin: int, count: int
    ) -> None:
        end = min(begin + count, 100)
        hole = set(range(first, min(first + length, 99)))  # the last row stays, so that the file is never empty
        table = make_rows("1m", 100)
        save(tmp_path, without(table, sorted(hole)))
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + end * MINUTE_MS)
        if hole & set(range(begin, end)):
            missing = len(hole & set(range(begin, end)))
            assert f"{end - begin - missing} of {end - begin} found" in refusal(market, "1m", end - begin).detail
        else:
            np.testing.assert_array_equal(ask(market, "1m", end - begin).close, table["close"][begin:end])

    def test_more_candles_than_were_recorded_are_refused_with_both_counts(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        problem = refusal(ReplayMarket(tmp_path), "1m", 101)
        assert "100 of 101 found, 1 missing, the first at 2024-12-31T23:59:00Z" in problem.detail

    def test_a_symbol_that_was_not_recorded_is_named(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        problem = refusal(ReplayMarket(tmp_path), "1m", 5, symbol="ETH-USD")
        assert (problem.code, problem.reason) == (Code.NOT_FOUND, "SERIES_NOT_RECORDED")
        assert "ETH-USD" in problem.detail
        assert "add a file ETH-USD_1m_start_end.parquet" in problem.detail

    def test_one_missing_symbol_fails_the_whole_question(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        with pytest.raises(CrpbotError, match="ETH-USD"):
            asyncio.run(ReplayMarket(tmp_path).latest(["BTC-USD", "ETH-USD"], "1m", 5, now_ms=FAR_MS))

    def test_the_same_coin_of_another_exchange_is_another_series(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        save(tmp_path, make_rows("1m", 100, start_ms=START_MS + 100 * MINUTE_MS), symbol="BTCUSDT")
        market = ReplayMarket(tmp_path)
        assert market.now_ms() == START_MS + 100 * MINUTE_MS
        assert "100 of 120 found" in refusal(market, "1m", 120).detail

    def test_a_folder_that_is_none_or_holds_no_recording_is_told(self, tmp_path: Path) -> None:
        assert refusal(ReplayMarket(tmp_path / "nowhere"), "1m", 5).reason == "NO_RECORDINGS"
        (tmp_path / "notes_of_my_broker.parquet").write_text("not ours")
        problem = refusal(ReplayMarket(tmp_path), "1m", 5)
        assert (problem.code, problem.reason) == (Code.FAILED_PRECONDITION, "NO_RECORDINGS")

    def test_an_empty_recording_is_no_candle(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 0))
        assert refusal(ReplayMarket(tmp_path), "1m", 5).reason == "NO_RECORDINGS"
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS)
        assert "0 of 5 found, 5 missing, the first at 2024-12-31T23:55:00Z (recorded: none at all)" in (
            refusal(market, "1m", 5).detail
        )

    def test_an_unknown_symbol_interval_or_count_is_refused(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        assert refusal(market, "1m", 5, symbol="XMR-USD").reason == "UNKNOWN_SYMBOL"
        assert refusal(market, "7m", 5).reason == "UNKNOWN_INTERVAL"
        assert "count: 0 candles" in refusal(market, "1m", 0).detail


def double_a_row(table: Table) -> Table:
    return {name: np.insert(values, 95, values[95]) for name, values in table.items()}


def swap_rows(table: Table) -> Table:
    order = np.arange(100)
    order[[93, 97]] = order[[97, 93]]
    return {name: values[order] for name, values in table.items()}


def spoil(column: str, value: float) -> Callable[[Table], Table]:
    def spoiled(table: Table) -> Table:
        return {**table, column: np.where(np.arange(100) == 95, value, table[column])}

    return spoiled


def drop_volume(table: Table) -> Table:
    return {name: values for name, values in table.items() if name != "volume"}


def times_as_text(table: Table) -> Table:
    return {**table, "timestamp": table["timestamp"].astype(str)}


def prices_as_text(table: Table) -> Table:
    return {**table, "close": np.array(["a lot"] * 100)}


class TestBrokenFiles:
    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (double_a_row, "row 96 of row group 0: .* rows must be sorted, each once"),
            (swap_rows, "rows must be sorted, each once"),
            (spoil("close", np.nan), "is flawed: candles.close: row 15: nan is not a finite number"),
            (spoil("high", 1.0), "is flawed: candles.high: row 15: high 1.0 is below low"),
            (spoil("low", -1.0), "is flawed: candles.low: row 15: -1.0 must be above 0"),
            (drop_volume, "has no column volume; it has timestamp, open, high, low, close"),
            (times_as_text, "column timestamp is string; it must be milliseconds UTC"),
            (prices_as_text, "row group 0 cannot be read"),
        ],
    )
    def test_damaged_rows_are_refused_with_the_name_of_the_file(
        self, tmp_path: Path, damage: Callable[[Table], Table], words: str
    ) -> None:
        path = save(tmp_path, damage(make_rows("1m", 100)))
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + 100 * MINUTE_MS)
        with pytest.raises(CrpbotError, match=words) as caught:
            ask(market, "1m", 20)
        assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "BROKEN_RECORDING")
        assert path.name in caught.value.detail
        assert "again" in caught.value.detail

    @pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
    def test_a_file_cut_short_is_refused_by_name(self, tmp_path: Path, keep: float) -> None:
        path = save(tmp_path, make_rows("1m", 100))
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
        problem = refusal(ReplayMarket(tmp_path), "1m", 5)
        assert problem.reason == "BROKEN_RECORDING"
        assert f"{path.name} cannot be read as Parquet" in problem.detail

    def test_rows_off_the_grid_are_refused(self, tmp_path: Path) -> None:
        table = make_rows("1m", 100)
        table["timestamp"][95] += 1_000
        save(tmp_path, table)
        assert "1 rows are off the interval's grid, the first at 2025-01-01T01:35:01Z" in (
            refusal(ReplayMarket(tmp_path), "1m", 20).detail
        )

    def test_a_broken_file_of_another_symbol_does_not_stop_a_clock_that_was_set(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        (tmp_path / "ETH-USD_1m_a_b.parquet").write_bytes(b"PAR1 no longer")
        market = ReplayMarket(tmp_path)
        assert refusal(market, "1m", 5).reason == "BROKEN_RECORDING"
        market.move_to(START_MS + 100 * MINUTE_MS)
        assert len(ask(market, "1m", 5)) == 5


class TestFiles:
    def test_files_of_one_series_are_read_as_one_also_where_one_fills_the_hole_of_another(self, tmp_path: Path) -> None:
        table = make_rows("1m", 300)
        save(tmp_path, {name: np.delete(values[:200], slice(50, 80)) for name, values in table.items()}, part="a")
        save(tmp_path, {name: values[200:] for name, values in table.items()}, part="b")
        save(tmp_path, {name: values[50:80] for name, values in table.items()}, part="c")
        np.testing.assert_array_equal(ask(ReplayMarket(tmp_path), "1m", 300).close, table["close"])

    def test_a_candle_in_two_files_is_refused_with_both_names(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100), part="a")
        save(tmp_path, make_rows("1m", 100, start_ms=START_MS + 90 * MINUTE_MS), part="b")
        problem = refusal(ReplayMarket(tmp_path), "1m", 150)
        assert problem.reason == "OVERLAPPING_RECORDINGS"
        assert "10 candles stand in two files, the first at 2025-01-01T01:30:00Z" in problem.detail
        assert "BTC-USD_1m_a_end.parquet, BTC-USD_1m_b_end.parquet" in problem.detail

    def test_a_file_written_anew_is_read_anew(self, tmp_path: Path) -> None:
        path = save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        ask(market, "1m", 5)
        fuller = make_rows("1m", 120)
        save(tmp_path, fuller)
        later = path.stat().st_mtime_ns + 1_000_000_000
        os.utime(path, ns=(later, later))
        np.testing.assert_array_equal(ask(market, "1m", 5).close, fuller["close"][-5:])

    @pytest.mark.parametrize("rows_a_group", [7, 100, 1_000])
    @pytest.mark.parametrize("statistics", [True, False])
    def test_a_window_may_lie_across_row_groups_with_or_without_statistics(
        self, tmp_path: Path, rows_a_group: int, statistics: bool
    ) -> None:
        table = make_rows("1m", 500)
        save(tmp_path, table, row_group_size=rows_a_group, write_statistics=statistics)
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + 333 * MINUTE_MS)
        np.testing.assert_array_equal(ask(market, "1m", 111).close, table["close"][222:333])

    def test_only_the_row_groups_of_the_window_are_read(self, tmp_path: Path) -> None:
        table = make_rows("1m", 500)
        table["close"][10] = np.nan
        table["timestamp"][11] = table["timestamp"][12]
        save(tmp_path, table, row_group_size=100)
        market = ReplayMarket(tmp_path)
        np.testing.assert_array_equal(ask(market, "1m", 400).close, table["close"][100:])
        assert refusal(market, "1m", 401).reason == "BROKEN_RECORDING"

    @pytest.mark.parametrize(
        "kind", [pa.int64(), pa.timestamp("ms", tz="UTC"), pa.timestamp("us"), pa.timestamp("ns", tz="Europe/Prague")]
    )
    def test_times_may_be_whole_numbers_or_instants_of_any_unit(self, tmp_path: Path, kind: pa.DataType) -> None:
        table = make_rows("1m", 100)
        whole = pa.table({name: pa.array(values) for name, values in table.items()})
        milliseconds = whole["timestamp"].cast(pa.timestamp("ms"))
        times = whole["timestamp"] if kind == pa.int64() else milliseconds.cast(kind)
        pq.write_table(whole.set_column(0, "timestamp", times), tmp_path / "BTC-USD_1m_a_b.parquet")
        np.testing.assert_array_equal(ask(ReplayMarket(tmp_path), "1m", 100).open_times, table["timestamp"])

    def test_it_says_that_its_candles_are_real(self, tmp_path: Path) -> None:
        market = ReplayMarket(tmp_path)
        assert (market.name, market.synthetic) == ("replay", False)


@pytest.fixture
def real_folder() -> Path:
    folder = os.environ.get("CRPBOT_REAL_DATA")
    if not folder:
        pytest.skip("CRPBOT_REAL_DATA is not set: it names the folder of recorded real candles")
    return Path(folder)


class TestRealRecordings:
    def test_minutes_of_the_exchange_make_its_own_five_minute_candles(self, real_folder: Path, tmp_path: Path) -> None:
        for path in (real_folder / "candles").glob("BTC-USD_1m_2025*.parquet"):
            shutil.copy(path, tmp_path)
        made = ask(ReplayMarket(tmp_path), "5m", 2_000)
        recorded = ask(ReplayMarket(real_folder / "candles"), "5m", 2_000)
        np.testing.assert_array_equal(made.open_times, recorded.open_times)
        assert (made.close == recorded.close).mean() > 0.99

    def test_an_outage_of_the_exchange_is_a_hole(self, real_folder: Path) -> None:
        market = ReplayMarket(real_folder / "candles")
        market.move_to(1_761_500_000_000)
        problem = refusal(market, "5m", 500)
        assert "5m: 430 of 500 found, 70 missing, the first at 2025-10-25T14:55:00Z" in problem.detail

    @pytest.mark.parametrize(
        "defect",
        [
            "duplicate_rows",
            "duplicate_timestamps_conflicting",
            "empty",
            "gaps",
            "high_below_low",
            "mixed_seconds_milliseconds",
            "nan_inf_negative",
            "open_close_outside_range",
            "out_of_order",
            "single_row",
        ],
    )
    def test_a_defective_recording_never_becomes_candles(self, real_folder: Path, tmp_path: Path, defect: str) -> None:
        source = real_folder / "defects" / f"synthetic_BTC-USD_1m_{defect}.parquet"
        shutil.copy(source, tmp_path / "BTC-USD_1m_a_b.parquet")
        assert refusal(ReplayMarket(tmp_path), "1m", 1_490).reason in {
            "BROKEN_RECORDING",
            "CANDLES_NOT_RECORDED",
            "NO_RECORDINGS",
        }
