"""Every theory on real candles: the wildest, the stillest and the ordinary places of four coins, and broken recordings.

CRPBOT_REAL_DATA names the folder: recordings in `candles/`, broken ones in `defects/`. A coin traded against tether
stands here under the coin's own name, as a label only.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.adapters.replay.market import ReplayMarket
from core.analysis import Reading
from core.analyzers import Analyzer, evaluate, learners
from core.errors import CrpbotError
from core.fitting import HISTORY_CANDLES, Task, learn
from core.market import (
    COLUMNS,
    INTERVAL_SECONDS,
    Candles,
    Floats,
    Instants,
    Windows,
    cut_windows,
    join_windows,
    stack_windows,
)
from core.panel import Samples
from tests.contract import test_analyzers as contract
from tests.core.adapters import test_recording
from tests.core.recordings import refusal

COINS = ("BTC", "ETH", "SOL", "ADA")
INTERVALS = ("1m", "5m", "15m", "1h", "1d")
LENGTHS = (200, 500, 1_000)
# Theories that read something else than candles, and have nothing to say on these.
WITHOUT_CANDLES = ("bayesian_win_rate", "market_context")
# Only where the price stood still for so many candles, or so often in a window, may a theory decline to read it.
STILL_CANDLES = 48
STILL_FRACTION = 0.4
# Windows of each recording in the slow test, evenly spread.
SPREAD = 40

# What becomes of a broken recording: the words with which the gate refuses the whole, or None where it cannot know.
DEFECTS = {
    "real_ADAUSDT_1m_pager_gaps": "candles.open_times_ms: row 200: 1725846000000 follows 1725797880000: 801 candle(s)",
    "real_BTCUSDT_1m_testnet_prices": "candles.open_times_ms: row 200: 1725838320000 follows 1725790200000: 801",
    "real_BTCUSD_1h_volume_unit_flip": "candles.open_times_ms: row 0: 1603666800 is not on the interval's grid",
    "synthetic_BTC-USD_1m_constant_price": None,
    "synthetic_BTC-USD_1m_duplicate_rows": "candles.open_times_ms: row 229: 1764560880000 follows 1764560880000: the",
    "synthetic_BTC-USD_1m_duplicate_timestamps_conflicting": "candles.open_times_ms: row 169: 1764557280000 follows",
    "synthetic_BTC-USD_1m_empty": "candles: no candles: at least one is needed",
    "synthetic_BTC-USD_1m_frozen_feed": None,
    "synthetic_BTC-USD_1m_future_rows": "candles.open_times_ms: row 1497: 2079997020000 follows 1764636960000: 5256000",
    "synthetic_BTC-USD_1m_gaps": "candles.open_times_ms: row 51: 1764550320000 follows 1764550200000: 1 candle(s)",
    "synthetic_BTC-USD_1m_high_below_low": "candles.high: row 79: high 87500.02 is below low 87772.34",
    "synthetic_BTC-USD_1m_mixed_seconds_milliseconds": "candles.open_times_ms: row 0: 1764547200 is not on the",
    "synthetic_BTC-USD_1m_nan_inf_negative": "candles.high: row 1393: inf is not a finite number",
    "synthetic_BTC-USD_1m_one_hour_jump": "candles.open_times_ms: row 750: 1764595800000 follows 1764592140000: 60",
    "synthetic_BTC-USD_1m_open_close_outside_range": "candles: row 711: open 86340.6 or close 88084.72140000001 lies",
    "synthetic_BTC-USD_1m_out_of_order": "candles.open_times_ms: row 89: 1764552960000 follows 1764552480000: 7",
    "synthetic_BTC-USD_1m_single_row": None,
    "synthetic_BTC-USD_1m_spikes": None,
    "synthetic_BTC-USD_1m_volume_unit_flip": None,
}
# Files that hold no columns of candles: the reader of recordings refuses them, and names the columns.
NO_CANDLES = {
    "real_BTC-USD_5m_revised_bars": "has no column open, high, low, close, volume; it has timestamp, open_from_1m",
    "real_BTCUSD_1h_banner_and_12h_clock": "has no column timestamp, open, high, low, close, volume; it has a, b, c",
}

THEORIES = contract.THEORIES
every_theory = contract.every_theory
few_paths = contract.few_paths
real_folder = test_recording.real_folder


class Remembered:
    """The samples of fits, each made once: every row asks for its own."""

    def __init__(self) -> None:
        self.find = cache(Samples().find)


LIBRARY = Remembered()


class Series(NamedTuple):
    """What one file holds, as found: nothing is sorted, filled or repaired."""

    name: str
    symbol: str
    interval: str
    open_times: Instants
    block: Floats  # (5, N) open, high, low, close, volume

    def cut(self, begin: int, end: int) -> Candles:
        """Some rows through the gate, which refuses what cannot be candles."""
        return Candles(self.symbol, self.interval, self.open_times[begin:end], *self.block[:, begin:end])

    def runs(self) -> list[tuple[int, int]]:
        """The stretches in which each row follows the one before by just one interval."""
        step = 1_000 * INTERVAL_SECONDS[self.interval]
        edges = [0, *(np.flatnonzero(np.diff(self.open_times) != step) + 1).tolist(), len(self.open_times)]
        return [(begin, end) for begin, end in pairwise(edges) if end > begin]


class Place(NamedTuple):
    """Where a window ends, and what is special about it."""

    end: int
    what: str


def read_series(path: Path) -> Series:
    """A recording; coin and interval are told by the file's name."""
    (coin,) = (word[: len(coin)] for word in path.stem.split("_") for coin in COINS if word.startswith(coin))
    (interval,) = (word for word in path.stem.split("_") if word in INTERVAL_SECONDS)
    table = pq.read_table(path)
    times = next(table[name] for name in ("timestamp", "ts", "unix") if name in table.column_names)
    if pa.types.is_timestamp(times.type):
        times = times.cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
    block = np.array([table[name].to_numpy() for name in COLUMNS])
    return Series(path.stem, f"{coin}-USD", interval, times.to_numpy(), block)


@lru_cache(maxsize=len(INTERVALS))
def read_all(folder: Path, interval: str) -> tuple[Series, ...]:
    """Every recording of the four coins at one interval."""
    paths = sorted((folder / "candles").glob(f"*_{interval}_*.parquet"))
    return tuple(read_series(path) for path in paths if path.name.startswith(COINS))


def find_ends(series: Series, length: int) -> Instants:
    """The rows after the last one of every window without a hole."""
    times, step = series.open_times, 1_000 * INTERVAL_SECONDS[series.interval]
    ends = np.arange(length, len(times) + 1)
    return ends[times[ends - 1] - times[ends - length] == (length - 1) * step]


def find_special(series: Series, length: int) -> list[Place]:
    """The windows of one recording that are worth reading."""
    ends = find_ends(series, length)
    if len(ends) == 0:
        return []
    opens, highs, lows, closes, volumes = series.block
    moves = np.diff(np.log(closes), prepend=np.log(closes[0]))
    gaps = np.abs(np.log(opens / np.concatenate([opens[:1], closes[:-1]])))

    def most(per_row: Floats) -> int:
        """The end of the window over which a figure of the rows adds up to most."""
        sums = np.concatenate([[0.0], np.cumsum(per_row)])
        return int(ends[np.argmax(sums[ends] - sums[ends - length])])

    return [
        Place(int(ends[0]), "the first"),
        Place(int(ends[-1]), "the last"),
        Place(int(ends[np.argmax(moves[ends - 1])]), "ends with the largest rise"),
        Place(int(ends[np.argmin(moves[ends - 1])]), "ends with the largest fall"),
        Place(int(ends[np.argmax(np.abs(moves[ends - length // 2]))]), "largest move in the middle"),
        Place(int(ends[np.argmax(np.abs(moves[ends - length + 1]))]), "begins with the largest move"),
        Place(most(moves**2), "the wildest"),
        Place(most(-np.abs(moves)), "the stillest"),
        Place(most(moves), "the steepest rise"),
        Place(most(-moves), "the steepest fall"),
        Place(most(1.0 * (volumes == 0.0)), "most candles without volume"),
        Place(most(1.0 * (highs == lows)), "most flat candles"),
        Place(most(1.0 * (moves == 0.0)), "most unchanged closes"),
        Place(most(gaps), "the widest gaps"),
    ]


def find_spread(series: Series, length: int) -> list[Place]:
    """Windows of one recording, evenly spread."""
    ends = find_ends(series, length)
    return [Place(int(end), "ordinary") for end in ends[:: max(1, len(ends) // SPREAD)]]


@lru_cache(maxsize=len(INTERVALS) * len(LENGTHS))
def special_windows(folder: Path, interval: str, length: int) -> tuple[list[str], Windows]:
    """The special places of all recordings as one batch, and what each row is."""
    return gather([(series, find_special(series, length)) for series in read_all(folder, interval)], length)


def gather(found: Sequence[tuple[Series, list[Place]]], length: int) -> tuple[list[str], Windows]:
    """Places of several recordings as one batch, each place once, and the name of each row."""
    rows = {f"{series.name}, row {end}": (series, end, what) for series, places in found for end, what in places}
    if not rows:
        pytest.skip(f"no recording has {length} candles without a hole")
    names = [f"{name}, {what}" for name, (_, _, what) in rows.items()]
    return names, stack_windows([series.cut(end - length, end) for series, end, _ in rows.values()], length)


def find_still(windows: Windows) -> list[bool]:
    """Which windows a theory may decline to read."""
    unchanged = np.diff(windows.close, axis=1) == 0.0
    return (unchanged[:, -STILL_CANDLES:].all(axis=1) | (unchanged.mean(axis=1) >= STILL_FRACTION)).tolist()


def assert_sound_everywhere(analyzer: Analyzer, names: Sequence[str], windows: Windows) -> list[Reading]:
    """Numbers within their bounds and never infinite, opinions that can be shown; the readings, for more."""
    contract.assert_within_declared_bounds(analyzer, contract.analyze(analyzer, windows), len(windows))
    readings = evaluate(analyzer, windows, LIBRARY)
    for name, reading in zip(names, readings, strict=True):
        contract.assert_sound(reading, analyzer, name)
    return readings


@every_theory
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_the_wildest_and_the_stillest_windows_are_read_soundly(
    analyzer: Analyzer, interval: str, length: int, real_folder: Path
) -> None:
    names, windows = special_windows(real_folder, interval, length)
    readings = assert_sound_everywhere(analyzer, names, windows)
    for row, (name, reading, still) in enumerate(zip(names, readings, find_still(windows), strict=True)):
        assert evaluate(analyzer, windows.row(row), LIBRARY) == [reading], name
        declined = reading.problem is not None
        assert declined <= (still or analyzer.name in WITHOUT_CANDLES), (name, reading.problem)


@pytest.mark.slow
@every_theory
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_ordinary_windows_are_read_soundly(analyzer: Analyzer, interval: str, length: int, real_folder: Path) -> None:
    found = [(series, find_spread(series, length)) for series in read_all(real_folder, interval)]
    assert_sound_everywhere(analyzer, *gather(found, length))


@pytest.mark.slow
@pytest.mark.parametrize("theory", [each.name for each in learners()])
@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h"])  # of days there are too few to learn from
def test_what_was_fitted_on_real_candles_reads_the_candles_after_them(
    theory: str, interval: str, real_folder: Path
) -> None:
    analyzer = THEORIES[theory]
    for series in read_all(real_folder, interval):
        ends = [end for begin, end in series.runs() if end - begin >= HISTORY_CANDLES + LENGTHS[-1]]
        for end in ends[-1:]:
            after = end - LENGTHS[-1]
            state = learn(Task(theory, series.cut(after - HISTORY_CANDLES, after))).state
            windows = cut_windows(series.cut(after, end), LENGTHS[0], step=10)
            columns = analyzer.analyze(windows, [state] * len(windows))
            contract.assert_within_declared_bounds(analyzer, columns, len(windows))
            assert not np.isnan(columns[analyzer.headline]).any(), series.name


def read_defect(folder: Path, name: str) -> Series:
    """A broken recording, as found."""
    path = folder / "defects" / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not among the broken recordings")
    return read_series(path)


def sift(series: Series) -> tuple[list[Candles], list[str]]:
    """The stretches without a hole that the gate accepts, and what it said of the others."""
    accepted, refusals = [], []
    for begin, end in series.runs():
        try:
            accepted.append(series.cut(begin, end))
        except CrpbotError as refused:
            refusals.append(refused.detail)
    return accepted, refusals


def cut_all(stretches: Sequence[Candles]) -> list[Windows]:
    """Windows of each length all along the stretches; a stretch that is too short for any is one window itself."""
    batches = defaultdict(list)
    for candles in stretches:
        for length in [each for each in LENGTHS if each <= len(candles)] or [len(candles)]:
            batches[length].append(cut_windows(candles, length, step=max(1, length // 4)))
    return [join_windows(batch) for batch in batches.values()]


@pytest.mark.parametrize(("name", "words"), DEFECTS.items(), ids=DEFECTS)
def test_a_broken_recording_is_refused_by_row_and_field_unless_its_candles_could_be_true(
    name: str, words: str | None, real_folder: Path
) -> None:
    series = read_defect(real_folder, name)
    if words is None:
        assert len(series.cut(0, len(series.open_times))) == len(series.open_times)
        return
    with pytest.raises(CrpbotError) as refused:
        series.cut(0, len(series.open_times))
    assert refused.value.detail.startswith(words)


@pytest.mark.parametrize(("name", "words"), NO_CANDLES.items(), ids=NO_CANDLES)
def test_a_recording_without_columns_of_candles_is_refused_by_their_names(
    name: str, words: str, real_folder: Path, tmp_path: Path
) -> None:
    path = real_folder / "defects" / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not among the broken recordings")
    shutil.copy(path, tmp_path / "BTC-USD_1m_a_b.parquet")
    assert words in refusal(ReplayMarket(tmp_path), "1m", 1).detail


def test_no_broken_recording_is_left_out(real_folder: Path) -> None:
    assert {path.stem for path in (real_folder / "defects").glob("*.parquet")} <= {*DEFECTS, *NO_CANDLES}


@pytest.mark.parametrize("name", DEFECTS)
def test_what_the_gate_accepts_of_a_broken_recording_is_read_soundly(name: str, real_folder: Path) -> None:
    accepted, refusals = sift(read_defect(real_folder, name))
    assert all("row " in words for words in refusals)
    for windows in cut_all(accepted):
        for analyzer in THEORIES.values():
            if windows.length < analyzer.min_length:
                problems = {reading.problem for reading in evaluate(analyzer, windows, LIBRARY)}
                assert problems == {f"needs {analyzer.min_length} candles, the window has {windows.length}"}
            else:
                assert_sound_everywhere(analyzer, [name] * len(windows), windows)


def test_a_volume_that_changes_its_unit_is_read_soundly_once_the_rows_are_in_order(real_folder: Path) -> None:
    found = read_defect(real_folder, "real_BTCUSD_1h_volume_unit_flip")
    series = found._replace(open_times=1_000 * found.open_times[::-1], block=found.block[:, ::-1])
    for windows in cut_all([series.cut(0, len(series.open_times))]):
        for analyzer in THEORIES.values():
            assert_sound_everywhere(analyzer, [found.name] * len(windows), windows)
