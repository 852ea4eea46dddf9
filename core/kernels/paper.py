"""Compiled kernels for paper trading: in which candle each of many trades is entered and left.

Whole numbers only, so that a million candles give what one candle at a time gives. Kernels hold no module constants and
call only kernels of this file: the cache on disk would not notice their change.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from core.market import Instants


@njit(cache=True, nogil=True)
def walk_trades(
    times: Instants, prices: Instants, orders: Instants, spans: tuple[int, int], optimistic: bool
) -> Instants:
    """The candles and ways of entry and exit of each order, by the rules of core/paper/fill.py.

    Orders hold side, eligible from (ms), expires at (ms), lowest and highest price within reach, 1 where each of these
    is an edge at which the price may come in, stop and target; prices in the mirror for side -1. The answer holds the
    row of the entry, its way, the row of the exit, its way, and 1 where the exit's candle met both stop and target and
    their order decided; -1 stands for no row, and the row of the expiry stands as exit with way 0.

    Ways: 0 none, 1 at the open, 2 from above, 3 from below, 4 stop, 5 stop gap, 6 target, 7 target gap, 8 time-out.

    `spans` are the milliseconds of a candle and of a trade's life.

    Shape: (N,), (4, N), (9, M) -> (5, M).
    """
    found = np.empty((5, orders.shape[1]), np.int64)
    for trade in range(orders.shape[1]):
        entry, way, end = _find_entry(times, prices, orders[:, trade], spans[0])
        found[0, trade], found[1, trade] = entry, way
        found[2, trade], found[3, trade], found[4, trade] = end, 0, 0
        if entry < 0:
            continue
        last, left, both = _find_exit(times, prices, orders[:, trade], spans, (entry, way, optimistic))
        found[2, trade], found[3, trade], found[4, trade] = last, left, both
    return found


@njit(cache=True, nogil=True)
def _find_entry(times: Instants, prices: Instants, order: Instants, step_ms: int) -> tuple[int, int, int]:
    """Row and way of the entry, or -1, 0 and the row of the expiry (-1 where the candles end before)."""
    side, eligible, expires, low, high, low_is_edge, high_is_edge = order[:7]
    for row in range(np.searchsorted(times, eligible), times.size):
        closes = times[row] + step_ms
        if times[row] < expires:
            opened, top, bottom = _mirror(prices, row, side)
            if low <= opened <= high:
                return row, 1, -1
            if closes <= expires and low <= high:
                if opened > high and bottom <= high and high_is_edge == 1:
                    return row, 2, -1
                if opened < low and top >= low and low_is_edge == 1:
                    return row, 3, -1
        if closes >= expires:
            return -1, 0, row
    return -1, 0, -1


@njit(cache=True, nogil=True)
def _find_exit(
    times: Instants, prices: Instants, order: Instants, spans: tuple[int, int], entered: tuple[int, int, bool]
) -> tuple[int, int, int]:
    """Row and way of the exit, and whether it hung on the order of stop and target; -1, 0, 0 where there is none."""
    side, stop, target = order[0], order[7], order[8]
    entry, entry_way, optimistic = entered
    deadline = times[entry] + spans[1]
    for row in range(entry, times.size):
        if row > entry and times[row] + spans[0] > deadline:
            return row, 8, 0
        opened, top, bottom = _mirror(prices, row, side)
        within = row == entry and entry_way != 1
        if not within:
            if opened <= stop:
                return row, 5, 0
            if opened >= target:
                return row, 7, 0
        stopped, reached = bottom <= stop, top >= target
        both = 1 if reached and (stopped or within) else 0
        if reached and (optimistic or not (stopped or within)):
            return row, 6, both
        if stopped:
            return row, 4, both
    return -1, 0, 0


@njit(cache=True, nogil=True)
def _mirror(prices: Instants, row: int, side: int) -> tuple[int, int, int]:
    """Open, high and low of a candle as the trade sees it."""
    if side > 0:
        return prices[0, row], prices[1, row], prices[2, row]
    return -prices[0, row], -prices[2, row], -prices[1, row]
