"""Which instants a model may learn from and which it is judged on: spans of time that share not one candle."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.features import WARM_UP
from core.market import Instants, instant

# To learn, to stop in time, to calibrate, to be judged. Stopping and calibrating share the 15 % of validation: whoever
# chose the best epoch on some rows may not call the same rows untouched when the probabilities are put right.
SHARES: Final = {"train": 0.7, "stop": 0.075, "calibrate": 0.075, "test": 0.15}


class Part(NamedTuple):
    """The windows of one span: `rows` are the places of their last candles, `first` and `last` when those began."""

    name: str
    rows: NDArray[np.int64]
    first: datetime
    last: datetime


class Reach(NamedTuple):
    """How far one window reaches, in candles: before its last one with all that its inputs look at, and after it."""

    before: int
    after: int

    @property
    def candles(self) -> int:
        """From the first candle that the inputs see to the one that tells the label."""
        return self.before + 1 + self.after


def reach_of(window: int, horizon: int) -> Reach:
    """An input forgets what lies more than the warm-up before it, so that a window sees `window - 1 + WARM_UP` back."""
    return Reach(window - 1 + WARM_UP, horizon)


def draw_borders(begin: int, end: int, *, step: int) -> tuple[int, ...]:
    """The five instants (ms) between which the four parts of [begin, end) lie, on the grid of the candles.

    >>> draw_borders(0, 60_000_000, step=60_000)
    (0, 42000000, 46500000, 51000000, 60000000)
    """
    candles = (end - begin) // step
    ends = np.rint(np.cumsum(list(SHARES.values())) * candles).astype(int)
    return begin, *(begin + int(place) * step for place in ends)


def candles_needed(reach: Reach) -> int:
    """Candles without a hole below which one of the parts would be empty."""
    count = ceil(reach.candles / min(SHARES.values()))
    while np.diff(draw_borders(0, count, step=1)).min() < reach.candles:
        count += 1
    return count


def cut_part(
    name: str, open_times: Instants, is_whole: NDArray[np.bool_], span: tuple[int, int], *, reach: Reach, step: int
) -> Part:
    """The windows that lie in [begin, end) with all that their inputs look back on and with all of their label.

    Between the last window of one part and the first of the next lie therefore horizon + look-back: what one part saw
    as its future is gone before the next one begins to look (purge and embargo).
    """
    begin, end = span
    is_inside = (open_times - reach.before * step >= begin) & (open_times + (1 + reach.after) * step <= end)
    rows = np.flatnonzero(is_whole & is_inside)
    if len(rows) == 0:
        raise invalid(
            "candles",
            f"the part {name!r}, {instant(begin):%Y-%m-%d %H:%M} to {instant(end):%Y-%m-%d %H:%M}, holds no "
            f"{reach.candles} candles without a hole; give a longer span or fill the holes",
            reason="TOO_FEW_CANDLES",
        )
    return Part(name, rows, instant(int(open_times[rows[0]])), instant(int(open_times[rows[-1]])))


def check_borders(borders: Sequence[int]) -> tuple[int, ...]:
    """The borders, refused where they are not five rising instants."""
    if len(borders) != len(SHARES) + 1 or (np.diff(borders) <= 0).any():
        raise invalid("borders", f"{list(borders)} are not {len(SHARES) + 1} rising instants in milliseconds")
    return tuple(int(border) for border in borders)
