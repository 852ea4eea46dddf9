"""The candles that were decided on last, so that the next decision need not read again what it has just stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from core.market import Floats, Instants
from core.signals.store import SnapshotReference

SERIES_REMEMBERED: Final = 256  # 24 kB each


class Series(NamedTuple):
    """A market's candles of one length, and how often it has corrected some."""

    id: int
    revision: int


class Seen(NamedTuple):
    """A stored snapshot and the candles in it, as the series' revision has them."""

    reference: SnapshotReference
    series: Series
    times: Instants
    block: Floats


@dataclass(frozen=True, slots=True)
class SeenLast:
    """The newest snapshot of each series, so that the next one need not read 500 candles to know that 499 are there.

    A snapshot that is still stored has all its candles: only those before the first of every snapshot are deleted.
    """

    by_series: dict[int, Seen] = field(default_factory=dict)

    def note(self, seen: Mapping[int, Seen]) -> None:
        """Remember what has been committed."""
        self.by_series.update(seen)
        while len(self.by_series) > SERIES_REMEMBERED:
            del self.by_series[next(iter(self.by_series))]

    def find(self, series: Series, times: Instants) -> tuple[Seen, int] | None:
        """The newest snapshot of a series and the place in it where these candles begin.

        None where a candle was corrected since, or where the snapshot does not hold each of them up to its end.
        """
        seen = self.by_series.get(series.id)
        if seen is None or seen.series != series:
            return None
        begin = int(np.searchsorted(seen.times, times[0]))
        held = len(seen.times) - begin
        return (seen, begin) if held and np.array_equal(seen.times[begin:], times[:held]) else None
