"""Columns as sources give them, read as times and numbers: whole numbers, instants or text, in any unit of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.gate.rules import Book
from core.market import Floats, Instants

Raw = NDArray[Any]  # Any: sources give numbers, instants, text or objects

NO_TIME = int(np.iinfo(np.int64).min)  # what NumPy's not-a-time becomes as a whole number
# from, below, and milliseconds in one: the numbers that are times between 1973 and 2286. The units do not overlap.
UNITS = {
    "seconds": (1e8, 1e10, 1_000.0),
    "milliseconds": (1e11, 1e13, 1.0),
    "microseconds": (1e14, 1e16, 1e-3),
    "nanoseconds": (1e17, 1e19, 1e-6),
}
NUMBER = re.compile(r"\d{9,19}(\.\d*)?")
TWELVE_HOURS = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{1,2})(:\d{2}(?::\d{2})?)?[ -]?([AP])M", re.IGNORECASE)


def read_times(column: Raw, book: Book) -> Instants:
    """Starts in milliseconds since 1970 (UTC), `NO_TIME` where none can be read. Text without a zone is UTC."""
    values = np.asarray(column)
    if values.dtype.kind == "M":
        times = values.astype("datetime64[ms]").astype(np.int64)
    elif values.dtype.kind in "iuf":
        times = _from_numbers(values, book)
    else:
        texts = values.astype(np.str_) if values.dtype.kind == "S" else values
        times = _from_numbers(np.array([_read_time(value) for value in texts.tolist()], dtype=np.float64), book)
    if times.min() == NO_TIME:
        unread = np.flatnonzero(times == NO_TIME)
        row = int(unread[0])
        book.note("unreadable_time", count=len(unread), example=f"row {row}: {str(values[row])[:40]!r}")
    return times


def read_numbers(columns: tuple[Raw, ...]) -> Floats:
    """(columns, rows) float64, NaN where there is no number."""
    return np.array([_read_column(np.asarray(column)) for column in columns], dtype=np.float64)


def _from_numbers(values: Raw, book: Book) -> Instants:
    """Numbers of one unit as milliseconds. What is no time in any unit is none; two units are told."""
    low, below, _ = UNITS["milliseconds"]
    if values.dtype.kind in "iu" and values.min() >= low and values.max() < below:
        return values.astype(np.int64, copy=False)
    times = np.full(len(values), NO_TIME)
    found: dict[str, int] = {}
    for unit, (low, below, factor) in UNITS.items():
        rows = np.flatnonzero((values >= low) & (values < below))
        if len(rows):
            times[rows] = np.rint(values[rows] * factor)
            found[unit] = int(rows[0])
    words = ", ".join(f"{unit} from row {row} on ({values[row]:.0f})" for unit, row in found.items())
    if len(found) > 1:
        book.note("mixed_time_units", count=int((times != NO_TIME).sum()), example=words)
    elif found and "milliseconds" not in found:
        book.note("time_unit", count=int((times != NO_TIME).sum()), example=words)
    return times


def _read_time(value: object) -> float:
    """A number of any unit, or the milliseconds of an instant: ISO 8601, or a 12-hour clock that says AM or PM."""
    text = value.isoformat() if isinstance(value, datetime) else str(value).strip()
    if isinstance(value, int | float) or NUMBER.fullmatch(text):
        return float(text) if not isinstance(value, bool) else np.nan
    clock = TWELVE_HOURS.fullmatch(text)
    if clock and 1 <= int(clock[2]) <= 12:
        hour = int(clock[2]) % 12 + 12 * (clock[4] in "Pp")
        text = f"{clock[1]}T{hour:02}{clock[3] or ':00'}"
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return np.nan
    return 1_000.0 * (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _read_column(column: Raw) -> Raw:
    if column.dtype.kind in "iuf":
        return column
    texts = column.astype(np.str_) if column.dtype.kind == "S" else column
    return np.array([_read_number(value) for value in texts.tolist()])


def _read_number(value: object) -> float:
    if value is None or isinstance(value, bool):
        return np.nan
    try:
        return float(str(value))
    except ValueError:
        return np.nan
