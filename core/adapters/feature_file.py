"""Features on disk, as training reads them: one row for each candle, 39 columns beside the candle's start.

The start is the index for readers that have one. Under `crpbot.features` the footer says of what the rows were made,
and which formulas made them: whoever reads another fingerprint reads other numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.adapters.history.file import replacing
from core.features import FEATURES, VERSION, WARM_UP, Category, FileColumn, fingerprint, tabulate
from core.market import COLUMNS, Candles

KEY: Final = b"crpbot.features"
# Candles of one table: 130 MiB of features, so that two years and ten need the same memory.
CHUNK_CANDLES: Final = 131_072


def feature_file(folder: Path, symbol: str, interval: str) -> Path:
    """Where the newest features of a series lie."""
    return folder / f"features_{symbol}_{interval}_latest.parquet"


def write_features(path: Path, stretches: Iterable[Candles], facts: Mapping[str, Any]) -> int:
    """The features of every stretch of candles without a hole, oldest first; says how many rows there are.

    A stretch begins anew: its first candles warm up and give no row. `facts` (any JSON) are told in the footer.
    """
    count = 0
    footer = {**facts, "fingerprint": fingerprint(), "version": VERSION, "features": list(FEATURES), "warm_up": WARM_UP}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as place, pq.ParquetWriter(place, _schema(footer), compression="zstd") as writer:
        for candles in stretches:
            for begin in range(0, max(0, len(candles) - WARM_UP), CHUNK_CANDLES):
                table = _table(_part(candles, begin, begin + WARM_UP + CHUNK_CANDLES), writer.schema)
                writer.write_table(table)
                count += table.num_rows
    return count


def _part(candles: Candles, begin: int, end: int) -> Candles:
    columns = (getattr(candles, name)[begin:end] for name in ("open_times", *COLUMNS))
    return Candles(candles.symbol, candles.interval, *columns)


def _table(candles: Candles, schema: pa.Schema) -> pa.Table:
    columns = {"timestamp": pa.array(candles.open_times[WARM_UP:]).cast(schema.field("timestamp").type)}
    columns |= {name: _column(column) for name, column in tabulate(candles).items()}
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _column(column: FileColumn) -> pa.Array:
    if isinstance(column, Category):
        return pa.DictionaryArray.from_arrays(pa.array(column.codes), pa.array(column.names))
    return pa.array(np.ascontiguousarray(column))


def _schema(footer: Mapping[str, Any]) -> pa.Schema:
    """The columns in order, and for pandas that the first is the index."""
    step = 60_000
    times = np.arange(WARM_UP + 1, dtype=np.int64) * step
    ones = np.ones(WARM_UP + 1)
    sample = tabulate(Candles("BTC-USD", "1m", times, ones, ones, ones, ones, ones))
    fields = [pa.field("timestamp", pa.timestamp("ms", tz="UTC"), nullable=False)]
    fields += [pa.field(name, _column(column).type) for name, column in sample.items()]
    index = {
        "name": "timestamp",
        "field_name": "timestamp",
        "pandas_type": "datetimetz",
        "numpy_type": "datetime64[ms]",
        "metadata": {"timezone": "UTC"},
    }
    pandas = {"index_columns": ["timestamp"], "column_indexes": [], "columns": [index]}
    return pa.schema(fields, metadata={b"pandas": json.dumps(pandas), KEY: json.dumps(footer)})
