"""Recorded candles on disk: which files there are, what span they hold, and their rows.

A file is named `{SYMBOL}_{interval}_{start}_{end}.parquet` and has the columns timestamp (start of the candle,
milliseconds UTC, as Parquet timestamps or whole numbers), open, high, low, close, volume. The dates in the name are
for people; what counts is what the file holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import Code, CrpbotError
from core.market import COLUMNS, INTERVAL_SECONDS, SYMBOLS, Floats, Instants

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Recording:
    """One file as it stands on disk; a file written anew is another recording, so nothing stale is remembered."""

    path: Path
    symbol: str
    interval: str
    modified_ns: int
    size: int  # clocks of file systems are coarse: two writes may carry the same time

    @property
    def step_ms(self) -> int:
        return 1_000 * INTERVAL_SECONDS[self.interval]


class Span(NamedTuple):
    """The rows of one row group of a file: start of its earliest and of its latest candle."""

    group: int
    first: int
    last: int


class Rows(NamedTuple):
    """Recorded candles: (N,) start of each, (5, N) open, high, low, close, volume. As found: the gate judges them."""

    open_times: Instants
    block: Floats


class Group(NamedTuple):
    """One row group of a file. Nearly all are sorted, and a span is then found without looking at every row."""

    rows: Rows
    is_sorted: bool

    def cut(self, begin: int, end: int) -> Rows:
        times, block = self.rows
        if self.is_sorted:
            inside = slice(*np.searchsorted(times, (begin, end)))
            return Rows(times[inside], block[:, inside])
        chosen = np.flatnonzero((times >= begin) & (times < end))
        return Rows(times[chosen], block[:, chosen])


def list_recordings(folder: Path) -> list[Recording]:
    """Every recording of a known symbol and interval in the folder; other files are none of ours."""
    if not folder.is_dir():
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"replay: {folder} is not a folder; name the folder that holds the recorded Parquet files",
            reason="NO_RECORDINGS",
        )
    recordings = []
    for path in sorted(folder.glob("*_*_*_*.parquet")):
        words = path.stem.split("_")
        if len(words) == 4 and words[0] in SYMBOLS and words[1] in INTERVAL_SECONDS:
            state = path.stat()
            recordings.append(Recording(path, words[0], words[1], state.st_mtime_ns, state.st_size))
    return recordings


@lru_cache(maxsize=512)
def read_spans(recording: Recording) -> tuple[Span, ...]:
    """Where the rows of a file lie in time, from its footer alone. Remembered until the file changes."""
    try:
        with pq.ParquetFile(recording.path) as file:
            _check_columns(recording, file.schema_arrow)
            column = file.schema.names.index("timestamp")
            groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
    except (pa.ArrowException, OSError) as failure:
        raise _broken(recording, f"cannot be read as Parquet ({failure})") from failure
    return tuple(_span(recording, group, rows.column(column)) for group, rows in enumerate(groups) if rows.num_rows)


def read_rows(recording: Recording, begin: int, end: int) -> Rows:
    """The rows of a file that start at `begin` or later and before `end`; none is an answer too."""
    parts = []
    for span in read_spans(recording):
        if span.first < end and span.last >= begin:
            parts.append(_read_group(recording, span.group).cut(begin, end))
    return join_rows(parts)


def join_rows(parts: list[Rows]) -> Rows:
    """Rows behind one another, in the order given."""
    times = [np.empty(0, dtype=np.int64), *(rows.open_times for rows in parts)]
    blocks = [np.empty((len(COLUMNS), 0)), *(rows.block for rows in parts)]
    return Rows(np.concatenate(times), np.concatenate(blocks, axis=1))


@lru_cache(maxsize=32)
def _read_group(recording: Recording, group: int) -> Group:
    """One row group. Remembered, because replay asks for nearly the same rows again and again."""
    try:
        with pq.ParquetFile(recording.path) as file:
            table = file.read_row_group(group, columns=["timestamp", *COLUMNS])
        times = table["timestamp"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy()
        block = np.array([table[column].cast(pa.float64()).to_numpy() for column in COLUMNS])
    except (pa.ArrowException, OSError) as failure:
        raise _broken(recording, f"row group {group} cannot be read ({failure})") from failure
    if table["timestamp"].null_count:
        raise _broken(recording, f"row group {group} has {table['timestamp'].null_count} rows without a timestamp")
    return Group(Rows(times, block), is_sorted=bool((np.diff(times) >= 0).all()))


def _check_columns(recording: Recording, schema: pa.Schema) -> None:
    missing = [column for column in ("timestamp", *COLUMNS) if column not in schema.names]
    if missing:
        raise _broken(recording, f"has no column {', '.join(missing)}; it has {', '.join(schema.names)}")
    kind = schema.field("timestamp").type
    if not (pa.types.is_int64(kind) or pa.types.is_timestamp(kind)):
        raise _broken(recording, f"column timestamp is {kind}; it must be milliseconds UTC or a Parquet timestamp")


def _span(recording: Recording, group: int, column: pq.ColumnChunkMetaData) -> Span:
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        times = _read_group(recording, group).rows.open_times
        return Span(group, int(times.min()), int(times.max()))
    return Span(group, _milliseconds(statistics.min), _milliseconds(statistics.max))


def _milliseconds(value: int | datetime) -> int:
    """Parquet answers in the column's type: a whole number, or an instant that is UTC even when it does not say so."""
    if isinstance(value, int):
        return value
    instant = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (instant - EPOCH) // timedelta(milliseconds=1)


def _broken(recording: Recording, detail: str) -> CrpbotError:
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"replay: {recording.symbol} {recording.interval}: {recording.path.name} {detail}; "
        "record this file again or remove it from the folder",
        reason="BROKEN_RECORDING",
    )
