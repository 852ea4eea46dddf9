"""What an exchange has told of one series, so that only what has closed since is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.gate import RawCandles, Revision, Sifted, revisions
from core.market import COLUMNS, Instants

# Twice the longest window: 200 KiB a series, so that memory has an end.
MOST_CANDLES: Final = 4_096

# Exchanges correct their newest candles, mostly the last: so many are asked for again each time, to know of it.
READ_AGAIN: Final = 2

NO_ROWS: Final = RawCandles(np.empty(0, dtype=np.int64), *(np.empty(0) for _ in COLUMNS))


class KnownCandles:
    """The newest candles of one series as they were told; a hole in them is one that the exchange has."""

    def __init__(self, step_ms: int) -> None:
        self._step = step_ms
        self._begin = 0  # from here to the newest candle everything was asked for
        self._rows = NO_ROWS
        self._revisions: dict[int, Revision] = {}  # by start, as long as the candle is known

    def unknown(self, wanted: range) -> list[range]:
        """The starts that must be asked for so that all wanted ones are known: at most one span on either side."""
        if wanted.start > self._end or wanted.stop < self._begin:
            return [wanted]
        before = range(wanted.start, self._begin, self._step)
        again = max(wanted.start, self._begin, self._end - READ_AGAIN * self._step)
        after = range(again, wanted.stop, self._step)
        return [span for span in (before, after if wanted.stop > self._end else range(0)) if span]

    def with_fresh(self, wanted: range, fresh: RawCandles, sound: Instants = NO_ROWS.open_times) -> RawCandles:
        """The wanted candles: what is known, and the fresh rows of what is not.

        A known candle that is told again, once and among the `sound` starts, adds no row: `revised` says whether it
        was told otherwise. What is wrong with other rows is for the gate to find.
        """
        known = self._rows.open_times
        old = (known >= wanted.start) & (known < wanted.stop)
        times, counts = np.unique(fresh.open_times, return_counts=True)
        again = np.isin(fresh.open_times, times[counts == 1]) & np.isin(fresh.open_times, sound)
        new = ~(again & np.isin(fresh.open_times, known))
        return _join(_take(self._rows, old), _take(fresh, new))

    def keep(self, asked: Sequence[range], fresh: Sifted) -> tuple[Revision, ...]:
        """Remember what was told without a fault. A candle that was told before stays as it was: decisions saw it.

        The answer has the candles that are told otherwise now.
        """
        if not asked or not len(fresh.open_times) or asked[-1].stop < self._begin:
            return ()  # nothing, or older than what is known and apart from it
        if asked[0].start > self._end:  # newer and apart: what was known is forgotten
            self._begin, self._rows = asked[0].start, NO_ROWS
        told = RawCandles(fresh.open_times, *fresh.block)
        changed = revisions(self._rows, told)
        rows = _join(self._rows, _take(told, ~np.isin(told.open_times, self._rows.open_times)))
        newest = np.argsort(rows.open_times)[-MOST_CANDLES:]
        self._rows = _take(rows, newest)
        complete = len(newest) == len(rows.open_times)
        self._begin = min(self._begin, asked[0].start) if complete else int(self._rows.open_times[0])
        self._revisions |= {revision.open_time: revision for revision in changed}
        self._revisions = {at: each for at, each in self._revisions.items() if at >= self._begin}
        return changed

    def revised(self, wanted: range) -> tuple[Revision, ...]:
        """The wanted candles that were told otherwise later, oldest first, each with what was told last."""
        return tuple(self._revisions[at] for at in sorted(self._revisions) if wanted.start <= at < wanted.stop)

    @property
    def _end(self) -> int:
        """Close of the newest candle."""
        times = self._rows.open_times
        return int(times[-1]) + self._step if len(times) else 0


def _take(rows: RawCandles, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> RawCandles:
    return RawCandles(*(column[chosen] for column in rows))


def _join(rows: RawCandles, others: RawCandles) -> RawCandles:
    return RawCandles(*(np.concatenate(columns) for columns in zip(rows, others, strict=True)))
