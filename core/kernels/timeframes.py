"""Compiled kernel for longer candles beside each minute: one pass, and a candle is shown only once it has closed."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.market import Floats, Instants


@njit(cache=True, nogil=True, error_model="numpy")
def align(
    times: Instants,
    columns: tuple[Floats, Floats, Floats, Floats, Floats],
    step: int,
    spans: Instants,
    table: NDArray[np.float32],
) -> None:
    """Fill the last rows of the candles: the last closed candle of each span, then how far all of them agree.

    Shape: times (N,) ms, rising, holes allowed; open, high, low, close, volume each (N,); spans (3,) -> table (M, 18),
    M <= N. `step` and `spans` are lengths in ms, each span a multiple of the one before. A candle of a span that begins
    before the first row is never shown.
    """
    opens, highs, lows, closes, volumes = columns
    first = times.size - table.shape[0]
    ends, is_whole = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.bool_)
    growing, judged = np.zeros((3, 5)), np.zeros((3, 2))
    shown = np.full(15, math.nan, dtype=np.float32)
    row = 0
    while row < times.size:
        for index in range(3):
            if times[row] >= ends[index]:
                if is_whole[index]:
                    _show(index, growing, judged, shown)
                begin = times[row] - times[row] % spans[index]
                ends[index] = begin + spans[index]
                is_whole[index] = begin >= times[0]
                growing[index, 0], growing[index, 4] = opens[row], 0.0
                growing[index, 1], growing[index, 2] = highs[row], lows[row]
        stop = row
        high, low, volume = highs[row], lows[row], 0.0
        while stop < times.size and times[stop] < ends[0]:
            high = highs[stop] if highs[stop] > high else high
            low = lows[stop] if lows[stop] < low else low
            volume += volumes[stop]
            stop += 1
        for index in range(3):
            growing[index, 1] = high if high > growing[index, 1] else growing[index, 1]
            growing[index, 2] = low if low < growing[index, 2] else growing[index, 2]
            growing[index, 3] = closes[stop - 1]
            growing[index, 4] += volume
        closing = stop - 1 if times[stop - 1] + step == ends[0] else stop
        for place in range(row, stop):
            if place == closing:
                for index in range(3):
                    if ends[index] == ends[0] and is_whole[index]:
                        _show(index, growing, judged, shown)
            if place >= first:
                for part in range(15):
                    table[place - first, part] = shown[part]
                sign, body = _judge(opens[place], highs[place], lows[place], closes[place])
                lead = sign + judged[0, 0] + judged[1, 0] + judged[2, 0]
                direction = np.sign(lead)
                table[place - first, 15] = abs(lead) / 4.0
                table[place - first, 16] = direction
                bodies = body + judged[0, 1] + judged[1, 1] + judged[2, 1]
                table[place - first, 17] = max(0.0, direction * bodies / 4.0)
        row = stop


@njit(cache=True, nogil=True, error_model="numpy")
def _show(index: int, growing: Floats, judged: Floats, shown: NDArray[np.float32]) -> None:
    """Keep a candle that has closed, and judge it."""
    for part in range(5):
        shown[5 * index + part] = growing[index, part]
    opened, high, low, closed = growing[index, 0], growing[index, 1], growing[index, 2], growing[index, 3]
    judged[index, 0], judged[index, 1] = _judge(opened, high, low, closed)


@njit(cache=True, nogil=True, error_model="numpy")
def _judge(opened: float, high: float, low: float, closed: float) -> tuple[float, float]:
    """Direction of a candle, and its body as a share of its range; 0 where it has none."""
    sign = 1.0 if closed > opened else -1.0 if closed < opened else 0.0
    return sign, (closed - opened) / (high - low) if high > low else 0.0
