"""The market of the fake Coinbase: a fixed function of symbol and minute, told in rows as the exchange tells them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Set
from enum import StrEnum
from typing import Any

import numpy as np

MINUTE_MS = 60_000
TEN_YEARS_SECONDS = 3_650 * 86_400

MARKETS = {  # price about which it moves, decimals of the price
    "BTC-USD": (68_000.0, 2),
    "ETH-USD": (3_500.0, 2),
    "SOL-USD": (180.0, 2),
    "XRP-USD": (0.6, 4),
    "DOGE-USD": (0.15, 5),
    "ADA-USD": (0.45, 4),
    "AVAX-USD": (36.0, 2),
    "LINK-USD": (15.0, 3),
    "POL-USD": (0.5, 4),
    "LTC-USD": (85.0, 2),
}
WAVES = ((0.08, 43_200.0), (0.03, 4_321.0), (0.01, 377.0), (0.003, 41.0))  # size in logarithms, period in minutes

Row = dict[str, Any]  # Any: faults put in what does not belong there
Rows = list[Row]


class Flaw(StrEnum):
    """What can be wrong with the rows of an answer."""

    EMPTY = "empty"
    STALE = "stale"  # the newest hundred are missing
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    SHUFFLED = "shuffled"
    ASCENDING = "ascending"
    GAPPED = "gapped"  # ten in the middle are missing
    NAN = "nan"
    NULL = "null"
    NEGATIVE = "negative"
    HIGH_BELOW_LOW = "high below low"
    SPIKE = "spike"
    FUTURE = "future"
    OFF_GRID = "off grid"
    REVISED = "revised"  # every candle is told otherwise
    BOUNDARY = "boundary"  # the row before the page is repeated


def truth(symbol: str, minutes: np.ndarray) -> np.ndarray:
    """(5, N) open, high, low, close, volume of the minutes that start at these milliseconds: slow waves and noise."""
    level, decimals = MARKETS[symbol]
    phase = zlib.crc32(symbol.encode()) % 1_000
    edges = np.stack((minutes // MINUTE_MS, minutes // MINUTE_MS + 1)).astype(np.float64)
    waves = sum(size * np.sin(2.0 * np.pi * edges / period + phase) for size, period in WAVES)
    opens, close = np.round(level * np.exp(waves + 0.0005 * _noise(edges + phase)), decimals)
    top, bottom = np.maximum(opens, close), np.minimum(opens, close)
    high = np.maximum(top, np.round(top * (1.0 + 0.0004 * np.abs(_noise(edges[0] + 7 * phase))), decimals))
    low = np.minimum(bottom, np.round(bottom * (1.0 - 0.0004 * np.abs(_noise(edges[0] + 11 * phase))), decimals))
    volume = np.round(5.0 + 4.0 * _noise(edges[0] + 13 * phase), 8)
    return np.array([opens, high, low, close, volume])


def _noise(places: np.ndarray) -> np.ndarray:
    """A number from -1 to 1 for each place, the same every time."""
    scrambled = places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    scrambled ^= scrambled >> np.uint64(29)
    scrambled *= np.uint64(0xBF58476D1CE4E5B9)
    return (scrambled >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0


def tell(symbol: str, start: int, end: int, seconds: int, *, now_ms: int, holes: Set[int] = frozenset()) -> Rows:
    """Rows newest first. `start` and `end` are seconds and both count. The candle in progress is among them, and is
    another one with every look; a bucket without a trade has no row. `holes` are minutes (ms) without a trade."""
    first, last = -(-start // seconds) * seconds, end // seconds * seconds
    minutes = np.arange(first * 1_000, min((last + seconds) * 1_000, now_ms + 1), MINUTE_MS)
    if holes:
        minutes = minutes[~np.isin(minutes, list(holes))]
    if len(minutes) == 0:
        return []
    opens, high, low, close, volume = truth(symbol, minutes)
    starts, begins = np.unique(minutes // (seconds * 1_000) * seconds, return_index=True)
    ends = np.append(begins[1:], len(minutes)) - 1
    closes, tops, bottoms = close[ends], np.maximum.reduceat(high, begins), np.minimum.reduceat(low, begins)
    if (starts[-1] + seconds) * 1_000 > now_ms:
        closes[-1] *= 1.0 + 0.001 * np.sin(now_ms)
        tops[-1], bottoms[-1] = max(tops[-1], closes[-1]), min(bottoms[-1], closes[-1])
    decimals = MARKETS[symbol][1]
    columns = (starts, bottoms, tops, opens[begins], closes, np.add.reduceat(volume, begins))
    return [
        {
            "start": str(begin),
            "low": f"{low:.{decimals}f}",
            "high": f"{high:.{decimals}f}",
            "open": f"{opened:.{decimals}f}",
            "close": f"{closed:.{decimals}f}",
            "volume": f"{traded:.8f}",
        }
        for begin, low, high, opened, closed, traded in zip(*(column[::-1].tolist() for column in columns), strict=True)
    ]


def spoil(rows: Rows, flaw: Flaw, *, seconds: int, now_ms: int) -> Rows:
    """The rows with the flaw in them; the single bad one is the newest but one."""
    if flaw in _BAD_ROWS and len(rows) > 1:
        return [rows[0], {**rows[1], **_BAD_ROWS[flaw](rows[1])}, *rows[2:]]
    middle = len(rows) // 2
    future = {**rows[0], "start": str(now_ms // 1_000 // seconds * seconds + TEN_YEARS_SECONDS)}
    before = {**rows[-1], "start": str(int(rows[-1]["start"]) - seconds)}
    spoilt: Mapping[Flaw, Rows] = {
        Flaw.EMPTY: [],
        Flaw.STALE: rows[100:],
        Flaw.DUPLICATE: [row for row in rows for _ in range(2)],
        Flaw.CONFLICT: [*rows[: middle + 1], {**rows[middle], "volume": "1.00000000"}, *rows[middle + 1 :]],
        Flaw.SHUFFLED: [rows[place] for place in np.random.default_rng(7).permutation(len(rows))],
        Flaw.ASCENDING: rows[::-1],
        Flaw.GAPPED: rows[:middle] + rows[middle + 10 :],
        Flaw.FUTURE: [future, *rows],
        Flaw.REVISED: [{**row, "volume": f"{float(row['volume']) + 1.0:.8f}"} for row in rows],
        Flaw.BOUNDARY: [*rows, before],
    }
    return spoilt.get(flaw, rows)


_BAD_ROWS: Mapping[Flaw, Callable[[Row], Row]] = {
    Flaw.NAN: lambda _: {"close": "NaN"},
    Flaw.NULL: lambda _: {"close": None},
    Flaw.NEGATIVE: lambda _: {"low": "-1.5"},
    Flaw.HIGH_BELOW_LOW: lambda row: {"high": row["low"], "low": row["high"]},
    Flaw.SPIKE: lambda row: {"high": f"{100.0 * float(row['high']):.2f}"},
    Flaw.OFF_GRID: lambda row: {"start": str(int(row["start"]) + 7)},
}
