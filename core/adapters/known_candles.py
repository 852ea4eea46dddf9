"""What an exchange has told of one series, so that only what has closed since is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from core.gate import RawCandles, Revision, Sifted, revisions
from core.market import COLUMNS

# Twice the longest window: 200 KiB a series, so that memory has an end.
MOST_CANDLES: Final = 4_096

# Exchanges correct their newest candles, mostly the last: so many are asked for again each time.
READ_AGAIN: Final = 2

NO_ROWS: Final = RawCandles(np.empty(0, dtype=np.int64), *(np.empty(0) for _ in COLUMNS))


class KnownCandles:
    """The newest candles of one series as they were told; a hole in them is one that the exchange has."""

    def __init__(self, step_ms: int) -> None:
        self._step = step_ms
        self._begin = 0  # from here to the newest candle everything was asked for
        self._rows = NO_ROWS

    def unknown(self, wanted: range) -> list[range]:
        """The starts that must be asked for so that all wanted ones are known: at most one span on either side."""
        if wanted.start > self._end or wanted.stop < self._begin:
            return [wanted]
        before = range(wanted.start, self._begin, self._step)
        again = max(wanted.start, self._begin, self._end - READ_AGAIN * self._step)
        after = range(again, wanted.stop, self._step)
        return [span for span in (before, after if wanted.stop > self._end else range(0)) if span]

    def with_fresh(self, wanted: range, fresh: RawCandles) -> RawCandles:
        """The wanted candles: the fresh rows as they are, and what is known and was not told again."""
        times = self._rows.open_times
        old = (times >= wanted.start) & (times < wanted.stop) & ~np.isin(times, fresh.open_times)
        return _join(self._rows, old, fresh)

    def keep(self, asked: Sequence[range], fresh: Sifted) -> tuple[Revision, ...]:
        """Remember what was told without a fault; a candle that was told otherwise before is replaced, and named."""
        if not asked or not len(fresh.open_times) or asked[-1].stop < self._begin:
            return ()  # nothing, or older than what is known and apart from it
        if asked[0].start > self._end:  # newer and apart: what was known is forgotten
            self._begin, self._rows = asked[0].start, NO_ROWS
        told = RawCandles(fresh.open_times, *fresh.block)
        changed = revisions(self._rows, told)
        rows = _join(self._rows, ~np.isin(self._rows.open_times, told.open_times), told)
        newest = np.argsort(rows.open_times)[-MOST_CANDLES:]
        self._rows = RawCandles(*(column[newest] for column in rows))
        complete = len(newest) == len(rows.open_times)
        self._begin = min(self._begin, asked[0].start) if complete else int(self._rows.open_times[0])
        return changed

    @property
    def _end(self) -> int:
        """Close of the newest candle."""
        times = self._rows.open_times
        return int(times[-1]) + self._step if len(times) else 0


def _join(rows: RawCandles, chosen: np.ndarray, others: RawCandles) -> RawCandles:
    return RawCandles(*(np.concatenate((column[chosen], other)) for column, other in zip(rows, others, strict=True)))
