"""Recorded files: damaged ones are refused by name, whole ones are read whatever their layout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.adapters.replay.market import ReplayMarket
from core.errors import Code, CrpbotError
from core.market import COLUMNS
from tests.core.recordings import MINUTE_MS, START_MS, Table, ask, make_rows, refusal, save


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


def stand_still(table: Table) -> Table:
    return {**table, **{name: np.where(np.arange(100) >= 85, table["close"][84], table[name]) for name in COLUMNS[:4]}}


def change_level(table: Table) -> Table:
    return {**table, **{name: np.where(np.arange(100) >= 90, 3.0, 1.0) * table[name] for name in COLUMNS[:4]}}


def drop_a_time(table: Table) -> Table:
    return {**table, "timestamp": pa.array(table["timestamp"], mask=np.arange(100) == 95)}


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
            (spoil("close", np.nan), "is flawed: not finite: 2025-01-01T01:35:00Z: .* close nan"),
            (spoil("high", 1.0), "is flawed: high below low: 2025-01-01T01:35:00Z: .* high 1, low"),
            (spoil("low", -1.0), "is flawed: not positive: 2025-01-01T01:35:00Z: .* low -1,"),
            (spoil("low", 1.0), "is flawed: spike: 2025-01-01T01:35:00Z: .* low 1,"),
            (spoil("timestamp", START_MS + 95 * MINUTE_MS + 1_000), "is flawed: off grid: 2025-01-01T01:35:01Z"),
            (spoil("timestamp", START_MS + 94 * MINUTE_MS), "is flawed: conflict: 2025-01-01T01:34:00Z: .* and open"),
            (stand_still, "is flawed: frozen: 15 candles at .* from 2025-01-01T01:25:00Z"),
            (change_level, "is flawed: .* price jump: 2025-01-01T01:30:00Z: .* after"),
            (drop_volume, "has no column volume; it has timestamp, open, high, low, close"),
            (drop_a_time, "row group 0 has 1 rows without a timestamp"),
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

    @pytest.mark.parametrize("change", [double_a_row, swap_rows])
    def test_rows_in_another_order_or_told_twice_are_the_same_candles(
        self, tmp_path: Path, change: Callable[[Table], Table]
    ) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, change(table))
        market = ReplayMarket(tmp_path)
        for count in (3, 20, 100):
            np.testing.assert_array_equal(ask(market, "1m", count).close, table["close"][-count:])

    def test_a_flaw_that_no_decision_sees_any_more_is_dropped_and_filled(self, tmp_path: Path) -> None:
        table = make_rows("1m", 200)
        close = table["close"].copy()
        save(tmp_path, {**table, "close": np.where(np.arange(200) == 50, np.nan, close)})
        found = ask(ReplayMarket(tmp_path), "1m", 200).close
        np.testing.assert_array_equal(found, np.where(np.arange(200) == 50, close[49], close))

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

    def test_two_files_may_overlap_where_they_agree(self, tmp_path: Path) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, {name: values[:60] for name, values in table.items()}, part="a")
        save(tmp_path, {name: values[40:] for name, values in table.items()}, part="b")
        np.testing.assert_array_equal(ask(ReplayMarket(tmp_path), "1m", 100).close, table["close"])

    def test_a_candle_that_two_files_tell_differently_is_refused_with_both_names(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100), part="a")
        save(tmp_path, make_rows("1m", 100, start_ms=START_MS + 90 * MINUTE_MS), part="b")
        problem = refusal(ReplayMarket(tmp_path), "1m", 150)
        assert problem.reason == "BROKEN_RECORDING"
        assert "conflict: 2025-01-01T01:30:00Z: open " in problem.detail
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
        table["timestamp"][13] = table["timestamp"][12]
        save(tmp_path, table, row_group_size=100)
        market = ReplayMarket(tmp_path)
        np.testing.assert_array_equal(ask(market, "1m", 400).close, table["close"][100:])
        assert refusal(market, "1m", 490).reason == "BROKEN_RECORDING"

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
            "constant_price",
            "duplicate_timestamps_conflicting",
            "empty",
            "gaps",
            "mixed_seconds_milliseconds",
            "nan_inf_negative",
            "one_hour_jump",
            "single_row",
            "volume_unit_flip",
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

    def test_rows_that_are_only_out_of_place_are_put_in_place(self, real_folder: Path, tmp_path: Path) -> None:
        found = []
        for defect in ("duplicate_rows", "out_of_order"):
            (tmp_path / defect).mkdir()
            source = real_folder / "defects" / f"synthetic_BTC-USD_1m_{defect}.parquet"
            shutil.copy(source, tmp_path / defect / "BTC-USD_1m_a_b.parquet")
            found.append(ask(ReplayMarket(tmp_path / defect), "1m", 1_500))
        for column in ("open_times", *COLUMNS):
            np.testing.assert_array_equal(getattr(found[0], column), getattr(found[1], column))

    @pytest.mark.parametrize("defect", ["high_below_low", "open_close_outside_range", "spikes"])
    def test_impossible_rows_that_are_long_past_are_dropped_and_filled(
        self, real_folder: Path, tmp_path: Path, defect: str
    ) -> None:
        source = real_folder / "defects" / f"synthetic_BTC-USD_1m_{defect}.parquet"
        shutil.copy(source, tmp_path / "BTC-USD_1m_a_b.parquet")
        found = ask(ReplayMarket(tmp_path), "1m", 1_500)
        assert np.abs(np.diff(np.log(found.low))).max() < 0.02
