"""The gate on real candles: no alarm where markets were only wild, and every broken recording found out.

CRPBOT_REAL_DATA names the folder: recordings in `candles/`, broken ones in `defects/` with a manifest of the rows, and
a README whose table says what holes and zero volumes the recordings have. The tables of what was found are printed.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.errors import CrpbotError
from core.gate import Defect, RawCandles, admit, examine, revised, revisions
from core.gate.prices import find_oddities, find_still, find_unit_flips
from core.market import COLUMNS, INTERVAL_SECONDS, Instants

NOW_MS = 1_767_225_600_000  # 2026-01-01: after every row but those dated ten years ahead

# What real exchanges did that looks like a defect, and is one: an order that was filled down to 6 cents, trading halts
# that were told as candles, and days before there was a market.
FLASH_CRASH = ("BTC-USD_1d", "2017-04-15")
STANDSTILLS = {"BTC-USD_1d": 20, "BTCUSDT_5m_20230101": 14, "ETHUSDT_5m_20230101": 14} | dict.fromkeys(
    [f"{coin}USDT_1m_20230316" for coin in ("ADA", "BTC", "DOGE", "ETH", "SOL")], 72
)
HALT_DAY = "2023-03-24"
THIN_DAYS = {
    *(f"2014-12-{day}" for day in range(19, 32)),
    "2015-01-14",
    "2015-01-15",
}  # 11 coins moved the price by half
KNOWN_DAYS = {FLASH_CRASH[1], HALT_DAY, *THIN_DAYS}

# Windows as a live decision reads them, cut all along the recordings.
WINDOW_LENGTHS, WINDOWS_APART = (60, 250, 500), 149

# Broken recording -> every defect but its age, and how often. A defect that is not listed is a false alarm.
DEFECTS: dict[str, dict[str, int]] = {
    "real_ADAUSDT_1m_pager_gaps": {"gap": 99, "zero_volume": 34},
    "real_BTCUSDT_1m_testnet_prices": {
        "spike": 58,
        "price_jump": 8,
        "frozen": 106,
        "gap": 529,
        "missing": 13,
        "zero_volume": 7_546,
    },
    "real_BTCUSD_1h_banner_and_12h_clock": {"unreadable_time": 2, "out_of_order": 397},
    "real_BTCUSD_1h_volume_unit_flip": {"time_unit": 600, "out_of_order": 599, "volume_unit_flip": 1},
    "synthetic_BTC-USD_1m_constant_price": {"constant_price": 1},
    "synthetic_BTC-USD_1m_duplicate_rows": {"duplicate": 12},
    "synthetic_BTC-USD_1m_duplicate_timestamps_conflicting": {"conflict": 8},
    "synthetic_BTC-USD_1m_empty": {"no_candles": 1},
    "synthetic_BTC-USD_1m_frozen_feed": {"frozen": 1, "zero_volume": 120},
    "synthetic_BTC-USD_1m_future_rows": {"future": 3},
    "synthetic_BTC-USD_1m_gaps": {"gap": 1, "missing": 10},
    "synthetic_BTC-USD_1m_high_below_low": {"high_below_low": 9, "missing": 9},
    "synthetic_BTC-USD_1m_mixed_seconds_milliseconds": {"mixed_time_units": 1_500},
    "synthetic_BTC-USD_1m_nan_inf_negative": {"not_finite": 6, "not_positive": 1, "missing": 7},
    "synthetic_BTC-USD_1m_one_hour_jump": {"gap": 1},
    "synthetic_BTC-USD_1m_open_close_outside_range": {"outside_range": 6, "missing": 6},
    "synthetic_BTC-USD_1m_out_of_order": {"out_of_order": 20},
    "synthetic_BTC-USD_1m_single_row": {"too_short": 1},
    "synthetic_BTC-USD_1m_spikes": {"spike": 5, "missing": 5},
    "synthetic_BTC-USD_1m_volume_unit_flip": {"volume_unit_flip": 1},
}
# What cannot become candles at all, and with which word it is refused.
REFUSED = {
    "real_BTCUSDT_1m_testnet_prices": "PRICE_JUMP",
    "real_BTCUSD_1h_volume_unit_flip": "VOLUME_UNIT_FLIP",
    "synthetic_BTC-USD_1m_empty": "NO_CANDLES",
    "synthetic_BTC-USD_1m_mixed_seconds_milliseconds": "MIXED_TIME_UNITS",
    "synthetic_BTC-USD_1m_single_row": "TOO_SHORT",
    "synthetic_BTC-USD_1m_volume_unit_flip": "VOLUME_UNIT_FLIP",
}
# How many candles of the others are served, and which defects let no decision follow, when the clean slice ends now.
SERVED: dict[str, tuple[int, set[str]]] = {
    "real_ADAUSDT_1m_pager_gaps": (200, {"gap"}),
    "real_BTCUSD_1h_banner_and_12h_clock": (398, {"unreadable_time"}),
    "synthetic_BTC-USD_1m_constant_price": (1_500, {"constant_price"}),
    "synthetic_BTC-USD_1m_duplicate_rows": (1_500, set()),
    "synthetic_BTC-USD_1m_duplicate_timestamps_conflicting": (1_500, {"conflict"}),
    "synthetic_BTC-USD_1m_frozen_feed": (1_500, set()),
    "synthetic_BTC-USD_1m_future_rows": (1_497, {"future"}),
    "synthetic_BTC-USD_1m_gaps": (474, {"gap"}),
    "synthetic_BTC-USD_1m_high_below_low": (1_500, set()),
    "synthetic_BTC-USD_1m_nan_inf_negative": (1_500, {"not_positive"}),
    "synthetic_BTC-USD_1m_one_hour_jump": (690, {"future", "gap"}),
    "synthetic_BTC-USD_1m_open_close_outside_range": (1_500, set()),
    "synthetic_BTC-USD_1m_out_of_order": (1_500, set()),
    "synthetic_BTC-USD_1m_spikes": (1_500, set()),
}
# Samples whose manifest names rows or times.
LISTED = (
    "duplicate_rows",
    "duplicate_timestamps_conflicting",
    "frozen_feed",
    "future_rows",
    "gaps",
    "high_below_low",
    "nan_inf_negative",
    "one_hour_jump",
    "open_close_outside_range",
    "spikes",
    "volume_unit_flip",
)
SLICE_ENDS_MS = 1_764_637_200_000  # 2025-12-02 01:00


class Promise(NamedTuple):
    """What the README says of a recording."""

    rows: int
    holes: int
    missing: int
    longest: int
    silent: int


@pytest.fixture
def real_folder() -> Path:
    folder = os.environ.get("CRPBOT_REAL_DATA")
    if not folder:
        pytest.skip("CRPBOT_REAL_DATA is not set: it names the folder of recorded real candles")
    return Path(folder)


@lru_cache(maxsize=4)
def read(path: Path) -> RawCandles:
    """A file as it is: whatever its columns are called, and text where it holds text."""
    table = pq.read_table(path)
    names: tuple[str, ...] = ("timestamp", *COLUMNS)
    if "a" in table.schema.names:
        names = ("a", "c", "d", "e", "f", "g")
    elif "timestamp" not in table.schema.names:
        names = ("ts" if "ts" in table.schema.names else "unix", *COLUMNS)
    return RawCandles(*(table[name].to_numpy() for name in names))


def interval_of(path: Path) -> str:
    return next(word for word in path.stem.split("_") if word in INTERVAL_SECONDS)


def look(path: Path) -> dict[str, Defect]:
    now_ms = 1_764_720_000_000 if "future" in path.stem else NOW_MS
    found = examine(read(path), symbol="BTC-USD", interval=interval_of(path), now_ms=now_ms)
    return {defect.kind: defect for defect in found if defect.kind != "stale"}


def milliseconds(text: str) -> int:
    return int(np.datetime64(text.removesuffix("+00:00"), "ms").astype(np.int64))


def day(instant_ms: int) -> str:
    return str(np.datetime64(int(instant_ms), "ms").astype("datetime64[D]"))


def told_by_readme(folder: Path) -> dict[str, Promise]:
    promises = {}
    for line in (folder / "README.md").read_text().splitlines():
        cells = [cell.strip().replace(",", "") for cell in line.strip("| ").split("|")]
        if len(cells) == 13 and cells[0].endswith(".parquet"):
            promises[cells[0]] = Promise(int(cells[2]), *(int(cell) for cell in cells[5].split("/")), int(cells[6]))
    return promises


def print_table(found: dict[str, dict[str, Defect]]) -> None:
    for name, defects in found.items():
        words = ", ".join(f"{kind} {defect.count} ({defect.policy})" for kind, defect in defects.items())
        print(f"{name:55} {words or 'nothing'}")  # noqa: T201


class TestBrokenRecordings:
    def test_every_one_gives_just_what_is_wrong_with_it(self, real_folder: Path) -> None:
        paths = {path.stem: path for path in sorted((real_folder / "defects").glob("*.parquet"))}
        assert paths.keys() - DEFECTS.keys() == {"real_BTC-USD_5m_revised_bars"}
        found = {name: look(paths[name]) for name in DEFECTS}
        print_table(found)
        counts = {name: {kind: defect.count for kind, defect in defects.items()} for name, defects in found.items()}
        assert counts == DEFECTS

    @pytest.mark.parametrize("kind", LISTED)
    def test_the_rows_are_those_of_the_manifest(self, kind: str, real_folder: Path) -> None:
        folder = real_folder / "defects"
        manifest = json.loads((folder / "synthetic_BTC-USD_1m_manifest.json").read_text())[kind]
        path = folder / f"synthetic_BTC-USD_1m_{kind}.parquet"
        times = read(path).open_times.astype("datetime64[ms]").astype(np.int64)
        found = look(path)
        told = np.concatenate([defect.times for name, defect in found.items() if name != "zero_volume"])
        assert sorted(set(told.tolist())) == starts_in_manifest(manifest, times, hour_lost=kind == "one_hour_jump")
        lengths = [length for defect in found.values() for length in defect.lengths.tolist()]
        assert max(lengths) == {"gaps": 137, "frozen_feed": 120, "one_hour_jump": 60}.get(kind, 1)

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_nobody_can_put_right_is_refused_by_name(self, name: str, real_folder: Path) -> None:
        path = real_folder / "defects" / f"{name}.parquet"
        with pytest.raises(CrpbotError, match=f"BTC-USD {interval_of(path)}") as refused:
            admit(read(path), symbol="BTC-USD", interval=interval_of(path), now_ms=NOW_MS, least=2)
        assert refused.value.reason == REFUSED[name]

    @pytest.mark.parametrize("name", SERVED)
    def test_what_is_served_is_whole_and_no_decision_follows_where_its_end_is_touched(
        self, name: str, real_folder: Path
    ) -> None:
        path = real_folder / "defects" / f"{name}.parquet"
        now_ms = NOW_MS if name.startswith("real") else SLICE_ENDS_MS
        admission = admit(read(path), symbol="BTC-USD", interval=interval_of(path), now_ms=now_ms)
        degrading = {defect.kind for defect in admission.defects if defect.degrading} - {"stale"}
        assert (len(admission.candles), degrading) == SERVED[name]

    def test_each_broken_recording_is_refused_or_served(self) -> None:
        assert REFUSED.keys() | SERVED.keys() == DEFECTS.keys()
        assert not REFUSED.keys() & SERVED.keys()

    def test_sorted_and_told_once_they_are_the_clean_rows_to_the_last_bit(self, real_folder: Path) -> None:
        folder = real_folder / "defects"
        clean, *broken = (
            admit(read(folder / f"{name}.parquet"), symbol="BTC-USD", interval="1m", now_ms=NOW_MS).candles
            for name in ("synthetic_BTC-USD_1m_duplicate_rows", "synthetic_BTC-USD_1m_out_of_order")
        )
        for candles in broken:
            for column in ("open_times", *COLUMNS):
                np.testing.assert_array_equal(getattr(candles, column), getattr(clean, column))

    def test_revised_candles_are_each_named(self, real_folder: Path) -> None:
        table = pq.read_table(real_folder / "defects" / "real_BTC-USD_5m_revised_bars.parquet")
        times = table["timestamp"].to_numpy().astype("datetime64[ms]").astype(np.int64)
        stored, fresh = (
            RawCandles(times, *(table[f"{column}_{source}"].to_numpy() for column in COLUMNS))
            for source in ("from_1m", "5m")
        )
        found = revisions(stored, fresh)
        assert len(found) == len(times) == 34
        assert revised(found).example.startswith("2025-11-24T22:05:00Z: open 88880.85, high 89077.99")


class TestRecordings:
    def test_there_is_no_false_alarm_and_every_hole_and_silence_is_found(self, real_folder: Path) -> None:
        told = told_by_readme(real_folder)
        paths = sorted((real_folder / "candles").glob("*.parquet"))
        assert {path.name for path in paths} <= told.keys()
        found = {path.name: look(path) for path in paths}
        print_table(found)
        for name, defects in found.items():
            crashed = name.startswith(FLASH_CRASH[0])
            expected = {"gap", "missing", "zero_volume"} | ({"spike"} if crashed else set())
            still = [length for key, length in STANDSTILLS.items() if name.startswith(key)]
            assert defects.keys() <= expected | ({"frozen"} if still else set()), name
            if crashed:
                assert [day(time) for time in defects["spike"].times] == [FLASH_CRASH[1]]
            if still:
                assert defects["frozen"].lengths.tolist() == still
                assert crashed or day(defects["frozen"].first or 0) == HALT_DAY
            assert_holes_as_told(told[name], defects)

    def test_no_window_of_a_live_decision_gives_a_false_alarm(self, real_folder: Path) -> None:
        windows = alarms = 0
        for path in sorted((real_folder / "candles").glob("*.parquet")):
            raw, step = read(path), 1_000 * INTERVAL_SECONDS[interval_of(path)]
            times = raw.open_times.astype("datetime64[ms]").astype(np.int64)
            block = np.array(raw[1:])
            for length in WINDOW_LENGTHS:
                for begin in range(0, len(times) - length + 1, WINDOWS_APART):
                    rows = slice(begin, begin + length)
                    days = {day(times[row]) for row in alarming_rows(times[rows], block[:, rows], step) + begin}
                    windows += 1
                    alarms += bool(days)
                    assert days <= KNOWN_DAYS, (path.name, begin, length, days)
        print(f"{windows} windows, {alarms} of them with a known standstill or crash, no other alarm")  # noqa: T201


def starts_in_manifest(manifest: Any, times: Instants, *, hour_lost: bool) -> list[int]:  # Any: JSON
    """The rows that were touched, told by place, by time, or as the place from which on everything is."""
    if isinstance(manifest, dict) and "single" in manifest:
        manifest = [manifest["hole_from"], *manifest["single"]]
    elif isinstance(manifest, dict):
        manifest = list(manifest.values())[:1]
    starts = (int(times[each]) if isinstance(each, int) else milliseconds(each) for each in manifest)
    return sorted(start - 3_600_000 if hour_lost else start for start in starts)


def assert_holes_as_told(told: Promise, defects: dict[str, Defect]) -> None:
    """Short and long holes together are those of the README; a row dropped as a spike is none of them."""
    holes = [defects[kind].lengths for kind in ("missing", "gap") if kind in defects]
    lengths = np.concatenate(holes) if holes else np.zeros(1, dtype=np.int64)
    dropped = defects["spike"].count if "spike" in defects else 0
    count = int((lengths > 0).sum()) - dropped
    silent = defects["zero_volume"].count if "zero_volume" in defects else 0
    longest = int(lengths.max()) if count else 0
    assert (count, int(lengths.sum()) - dropped, longest, silent) == told[1:]


def alarming_rows(times: Instants, block: np.ndarray, step_ms: int) -> np.ndarray:
    spikes, jumps = find_oddities(times, block[:4], step_ms)
    return np.concatenate((spikes, jumps, find_still(block).begins, find_unit_flips(block[3], block[4])))
