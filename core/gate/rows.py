"""Rows one by one: which are closed candles, which have numbers that can be one, and each once, oldest first."""

from __future__ import annotations

import numpy as np

from core.gate.columns import NO_TIME
from core.gate.rules import Book, example, utc, words_of
from core.market import Floats, Instants

HOUR_MS = 3_600_000


def keep_closed(
    times: Instants, block: Floats, book: Book, *, step: int, now_ms: int, since_ms: int
) -> tuple[Instants, Floats]:
    """Rows of candles that have closed, on the interval's grid and under the coin's own name."""
    good = (times >= since_ms) & (times <= now_ms - step) & (times % step == 0)
    if good.all():
        return times, block
    rest = np.sort(times[~good & (times != NO_TIME)])
    for kind, rows in (
        ("future", rest > now_ms),
        ("open_candle", (rest <= now_ms) & (rest > now_ms - step)),
        ("off_grid", (rest <= now_ms - step) & (rest % step != 0)),
        ("before_listing", (rest < since_ms) & (rest % step == 0)),
    ):
        found = rest[rows]
        if len(found):
            book.note(kind, found, example=f"{utc(found[0])}, now {utc(now_ms)}")
    return times[good], block[:, good]


def keep_possible(times: Instants, block: Floats, book: Book) -> tuple[Instants, Floats]:
    """Rows whose numbers can be a candle. A row with several faults is told once, by the first of them."""
    opens, high, low, close, volume = block
    with np.errstate(invalid="ignore"):
        faults = {
            "not_finite": ~np.isfinite(block).all(axis=0),
            "not_positive": (np.minimum(np.minimum(opens, high), np.minimum(low, close)) <= 0) | (volume < 0),
            "high_below_low": high < low,
            "outside_range": (high < np.maximum(opens, close)) | (low > np.minimum(opens, close)),
        }
    good = ~np.logical_or.reduce(list(faults.values()))
    if good.all():
        return times, block
    told = np.zeros(len(times), dtype=bool)
    for kind, wrong in faults.items():
        rows = np.flatnonzero(wrong & ~told)
        told |= wrong
        if len(rows):
            rows = rows[np.argsort(times[rows], kind="stable")]
            book.note(kind, times[rows], example=example(times, block, rows[0]))
    return times[good], block[:, good]


def sort_rows(times: Instants, block: Floats, book: Book) -> tuple[Instants, Floats]:
    """Oldest first, each candle once. Of rows that claim to be the same candle the first given stays."""
    steps = np.diff(times)
    if (steps > 0).all():
        return times, block
    if (steps < 0).all():
        book.note("out_of_order", times[:0:-1], example="newest first")
        return times[::-1], np.ascontiguousarray(block[:, ::-1])
    back = np.flatnonzero(steps < 0)
    if len(back):
        row = int(back[0])
        words = f"{utc(times[row + 1])} stands after {utc(times[row])}"
        book.note("out_of_order", np.sort(times[back + 1]), example=words)
        order = np.argsort(times, kind="stable")
        times, block = times[order], block[:, order]
    again = np.flatnonzero(times[1:] == times[:-1]) + 1
    if len(again) == 0:
        return times, block
    firsts = np.searchsorted(times, times[again])
    same = (block[:, again] == block[:, firsts]).all(axis=0)
    if same.any():
        book.note("duplicate", times[again[same]], example=utc(times[again[same][0]]))
    if not same.all():
        words = f"{example(times, block, firsts[~same][0])} and {words_of(block[:, again[~same][0]])}"
        concerned = np.unique(times[again[~same]])
        book.note("twelve_hour_clock" if _half_a_day(times, concerned) else "conflict", concerned, example=words)
    return np.delete(times, again), np.delete(block, again, axis=1)


def _half_a_day(times: Instants, doubled: Instants) -> bool:
    """Half of the candles twice, and none in the afternoon: a 12-hour clock that lost its AM and PM."""
    long = times[-1] - times[0] >= 12 * HOUR_MS
    return bool(long and 4 * len(doubled) > len(times) and (times // HOUR_MS % 24).max() <= 12)
