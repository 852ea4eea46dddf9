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

from core.adapters.replay import ReplayMarket
from core.errors import Code, CrpbotError
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
            (double_a_row, "row 96 of row group 0: .* rows must be sorted, each once"),
            (swap_rows, "rows must be sorted, each once"),
            (spoil("close", np.nan), "is flawed: candles.close: row 15: nan is not a finite number"),
            (spoil("high", 1.0), "is flawed: candles.high: row 15: high 1.0 is below low"),
            (spoil("low", -1.0), "is flawed: candles.low: row 15: -1.0 must be above 0"),
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
