"""A downloaded series on disk: its candles, and what is known about those that are not there.

A Parquet file as `recording.py` reads it; under the key `crpbot.history` its footer says in JSON

    source, symbol, interval   where the candles come from
    candles                    how many there are
    covered                    [begin, end) of all that the source was asked for and has answered
    holes                      candles in there that the source has not: nobody need ask for them again
    revisions                  candles that the source told otherwise later, and when; the first answer stays

A file is replaced in one step and only when it is whole on disk, so a reader sees the old one or the new one. The same
rows and answers give the same bytes, however often the download was broken off.
"""

from __future__ import annotations

import json
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.adapters.history.recording import Rows, join_rows
from core.adapters.stretches import Stretch
from core.errors import Code, CrpbotError
from core.gate import Revision
from core.market import COLUMNS, INTERVAL_SECONDS, Instants

KEY: Final = b"crpbot.history"
FORMAT: Final = 1
SCHEMA: Final = pa.schema(
    [
        pa.field("timestamp", pa.timestamp("ms", tz="UTC"), nullable=False),
        *(pa.field(column, pa.float64(), nullable=False) for column in COLUMNS),
    ]
)

NO_HOLES: Final = np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Memo:
    """What the footer says. `holes` is (H, 2): begin and end of each; `noticed` has an instant for each revision."""

    source: str
    symbol: str
    interval: str
    candles: int
    covered: tuple[Stretch, ...]
    holes: Instants = field(default_factory=lambda: NO_HOLES)
    revisions: tuple[Revision, ...] = ()
    noticed: tuple[int, ...] = ()

    @property
    def step_ms(self) -> int:
        return 1_000 * INTERVAL_SECONDS[self.interval]

    @property
    def span(self) -> Stretch:
        """From the first candle that was asked for to the last."""
        return Stretch(self.covered[0].begin, self.covered[-1].end) if self.covered else Stretch(0, 0)


class Damage(Exception):  # noqa: N818 - the state of a file, which callers mend or tell
    """A file that cannot be read as what its name says: cut short, or changed on the disk."""


def read_memo(path: Path) -> Memo | None:
    """What the file's footer says; None for a file that no download has written."""
    with _noticing_damage(path), pq.ParquetFile(path) as file:
        content = (file.metadata.metadata or {}).get(KEY)
        return None if content is None else _decode(content)


def check_file(path: Path) -> Memo | None:
    """The same, after a look at every page: a file that was changed on the disk is told as damaged."""
    memo = read_memo(path)
    if memo is not None:
        with _noticing_damage(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.metadata.num_row_groups):
                file.read_row_group(group)
    return memo


def read_stretch(path: Path, begin: int, end: int) -> Rows:
    """The candles of a downloaded file that start at `begin` or later and before `end`."""
    parts = []
    with _noticing_damage(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.metadata.num_row_groups):
            first, last = _bounds(file.metadata.row_group(group))
            if first < end and last >= begin:
                rows = _rows(file.read_row_group(group, columns=SCHEMA.names))
                inside = slice(*np.searchsorted(rows.open_times, (begin, end)))
                parts.append(Rows(rows.open_times[inside], rows.block[:, inside]))
    return join_rows(parts)


def write_part(path: Path, rows: Rows, memo: Memo) -> None:
    """One piece of a download, whole or not at all."""
    with replacing(path) as file, open_writer(file) as writer:
        if len(rows.open_times):
            writer.write_table(as_table(rows))
        writer.add_key_value_metadata({KEY: encode(memo)})


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write; what was written there takes the file's name in one step, when it is safely on disk."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Waits until the disk has it; of a folder, its list of names."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def open_writer(path: Path) -> Iterator[pq.ParquetWriter]:
    """Each call of `write_table` makes row groups of its own; pages carry checksums."""
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        yield writer


def as_table(rows: Rows) -> pa.Table:
    """Candles as the file has them."""
    times = pa.array(rows.open_times, type=pa.int64()).cast(SCHEMA.field("timestamp").type)
    return pa.Table.from_arrays([times, *(pa.array(column) for column in rows.block)], schema=SCHEMA)


def encode(memo: Memo) -> bytes:
    """The footer's JSON. Holes of a thin coin are many: their differences, packed."""
    content = {
        "format": FORMAT,
        "source": memo.source,
        "symbol": memo.symbol,
        "interval": memo.interval,
        "candles": memo.candles,
        "covered": memo.covered,
        "holes": b64encode(zlib.compress(np.diff(memo.holes.ravel(), prepend=0).astype("<i8").tobytes(), 9)).decode(),
        "revisions": [
            [at, revision.open_time, revision.stored, revision.fresh]
            for at, revision in zip(memo.noticed, memo.revisions, strict=True)
        ],
    }
    return json.dumps(content).encode()


@contextmanager
def _noticing_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, ValueError, KeyError, TypeError, zlib.error) as error:
        raise Damage(f"{path.name} is damaged ({error})") from error
    except OSError as error:
        if error.errno is not None:  # the disk or its rights, not the content
            raise
        raise Damage(f"{path.name} is damaged ({error})") from error


def _rows(table: pa.Table) -> Rows:
    times = table["timestamp"].cast(pa.int64()).to_numpy()
    return Rows(times, np.array([table[column].to_numpy() for column in COLUMNS]))


def _bounds(group: pq.RowGroupMetaData) -> tuple[int, int]:
    statistics = group.column(0).statistics  # the writer always adds them
    return tuple(round(each.timestamp() * 1_000) for each in (statistics.min, statistics.max))


def _decode(content: bytes) -> Memo:
    memo: dict[str, Any] = json.loads(content)  # Any: decoded JSON
    if memo["format"] != FORMAT:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"this history has format {memo['format']}, this version reads {FORMAT}; use the version that wrote it",
            reason="OTHER_FORMAT",
        )
    return Memo(
        source=memo["source"],
        symbol=memo["symbol"],
        interval=memo["interval"],
        candles=memo["candles"],
        covered=tuple(Stretch(*each) for each in memo["covered"]),
        holes=np.cumsum(np.frombuffer(zlib.decompress(b64decode(memo["holes"])), dtype="<i8")).reshape(-1, 2),
        revisions=tuple(Revision(at, tuple(old), tuple(new)) for _, at, old, new in memo["revisions"]),
        noticed=tuple(at for at, *_ in memo["revisions"]),
    )
