"""Any Parquet file of candles, as it is: whatever its rows hold, the gate decides what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import Code, CrpbotError
from core.gate import RawCandles
from core.market import COLUMNS, INTERVAL_SECONDS, Instants

# How files of the world call the start of a candle.
TIME_COLUMNS = ("timestamp", "open_time", "time", "ts", "unix", "date", "datetime")


class Title(NamedTuple):
    """What a file's name says: `BTC-USD_1m_20241121_20261121`."""

    symbol: str
    interval: str | None


def read_title(path: Path) -> Title:
    """Symbol and interval; the interval is None where the name has none."""
    words = path.stem.split("_")
    place = next((place for place, word in enumerate(words) if word in INTERVAL_SECONDS), None)
    if not place:
        return Title(words[0], None)
    return Title(words[place - 1], words[place])


def read_raw(path: Path) -> RawCandles:
    """All rows, unchanged and in their order."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            time = next((name for name in TIME_COLUMNS if name in names), TIME_COLUMNS[0])
            missing = [name for name in (time, *COLUMNS) if name not in names]
            if missing:
                raise _unusable(path, f"has no column {', '.join(missing)}; it has {', '.join(names)}")
            table = file.read(columns=[time, *COLUMNS])
    except (pa.ArrowException, OSError) as failure:
        raise _unusable(path, f"cannot be read as Parquet ({failure})") from failure
    return RawCandles(*(_column(table[name]) for name in (time, *COLUMNS)))


def guess_interval(times: Instants) -> str | None:
    """The interval that most neighbouring candles lie apart; None where there is no such interval."""
    steps, counts = np.unique(np.diff(np.sort(times)), return_counts=True)
    seconds = int(steps[counts.argmax()]) // 1_000 if len(steps) else 0
    return next((interval for interval, length in INTERVAL_SECONDS.items() if length == seconds), None)


def _column(column: pa.ChunkedArray) -> NDArray[Any]:  # Any: whatever the file holds
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("ms"), safe=False)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)) or column.null_count:
        return np.array(column.to_pylist(), dtype=object)
    values: NDArray[Any] = column.to_numpy()
    return values


def _unusable(path: Path, detail: str) -> CrpbotError:
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"{path.name} {detail}; download this series again, or write the columns timestamp (milliseconds UTC), "
        f"{', '.join(COLUMNS)}",
        reason="BROKEN_RECORDING",
    )
