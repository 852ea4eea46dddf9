"""Closed candles of a market, and how a batch of windows is cut from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid, unknown

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]

BASES = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "POL", "LTC")
SYMBOLS = tuple(f"{base}-USD" for base in BASES)
# Name until the day -> name since, and the day. The later market does not continue the earlier one's candles.
RENAMED = {"MATIC-USD": ("POL-USD", 1_725_408_000_000)}  # 2024-09-04

# Where candles came from that were sent with a request; else it is the market's name and identity.
REQUEST_SOURCE = "request"

INTERVAL_SECONDS = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "1d": 86_400,
}

COLUMNS = ("open", "high", "low", "close", "volume")


def parse_symbol(text: str, *, field: str = "symbol") -> str:
    """`BTC-USD`, `BTC/USD` and `btc-usd` are the same market; an unknown one is refused by name."""
    symbol = text.strip().upper().replace("/", "-")
    if symbol in RENAMED:
        name, since = RENAMED[symbol]
        raise invalid(
            field,
            f"{symbol} has been {name} since {instant(since):%Y-%m-%d}: ask for {name}; "
            "its earlier candles are another series and are not joined",
            reason="RENAMED_SYMBOL",
        )
    if symbol not in SYMBOLS:
        raise unknown(field, "symbol", text, SYMBOLS)
    return symbol


def interval_seconds(interval: str, *, field: str = "interval") -> int:
    """Length of one candle; an unknown interval is refused by name."""
    try:
        return INTERVAL_SECONDS[interval]
    except KeyError:
        raise invalid(
            field,
            f"unknown interval {interval[:32]!r}; allowed are {', '.join(INTERVAL_SECONDS)}",
            reason="UNKNOWN_INTERVAL",
        ) from None


def instant(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as an aware instant."""
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)


def milliseconds(at: datetime) -> int:
    """An aware instant as milliseconds since 1970."""
    return round(at.timestamp() * 1_000)


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Closed candles of one symbol, oldest first, without holes. Checked when made, so it cannot be wrong.

    `open_times` are milliseconds since 1970 (UTC) of each candle's start; all columns have the same length.
    """

    symbol: str
    interval: str
    open_times: Instants
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    field: InitVar[str] = "candles"  # how errors name these candles

    def __post_init__(self, field: str) -> None:
        check_candles(self, field=field)

    def __len__(self) -> int:
        return len(self.open_times)

    @property
    def as_of(self) -> int:
        """The instant (ms) at which the last candle closed: what a decision on these candles could see."""
        return int(self.open_times[-1]) + 1_000 * INTERVAL_SECONDS[self.interval]


def check_candles(candles: Candles, *, field: str) -> None:
    """Refuse what cannot be a series of closed candles, naming row and value. Nothing is ever repaired here."""
    times = candles.open_times
    step = 1_000 * interval_seconds(candles.interval)
    if len(times) == 0:
        raise invalid(field, "no candles: at least one is needed", reason="NO_CANDLES")
    for column in COLUMNS:
        found = len(getattr(candles, column))
        if found != len(times):
            raise invalid(f"{field}.{column}", f"has {found} values, open_times_ms has {len(times)}")
    _check_order(times, step, field)
    _check_prices(candles, field)


def _check_order(times: Instants, step: int, field: str) -> None:
    where = f"{field}.open_times_ms"
    if times[0] % step:
        raise invalid(where, f"row 0: {times[0]} is not on the interval's grid of {step} ms", reason="OFF_GRID")
    steps = np.diff(times)
    wrong = np.flatnonzero(steps != step)
    if len(wrong) == 0:
        return
    row = int(wrong[0]) + 1
    found = int(steps[wrong[0]])
    pair = f"row {row}: {times[row]} follows {times[row - 1]}"
    if found == 0:
        raise invalid(where, f"{pair}: the same candle twice", reason="DUPLICATE_CANDLE")
    if found < 0:
        raise invalid(where, f"{pair}: candles must be sorted, oldest first", reason="UNSORTED_CANDLES")
    if found % step:
        raise invalid(where, f"{pair}: not on the interval's grid of {step} ms", reason="OFF_GRID")
    raise invalid(where, f"{pair}: {found // step - 1} candle(s) missing between them", reason="GAP_IN_CANDLES")


def _check_prices(candles: Candles, field: str) -> None:
    for column in COLUMNS:
        values = getattr(candles, column)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise invalid(f"{field}.{column}", f"row {bad[0]}: {values[bad[0]]} is not a finite number")
        floor_broken = values < 0 if column == "volume" else values <= 0
        bad = np.flatnonzero(floor_broken)
        if len(bad):
            need = "0 or more" if column == "volume" else "above 0"
            raise invalid(f"{field}.{column}", f"row {bad[0]}: {values[bad[0]]} must be {need}")
    top = np.maximum(candles.open, candles.close)
    bottom = np.minimum(candles.open, candles.close)
    bad = np.flatnonzero(candles.high < candles.low)
    if len(bad):
        row = bad[0]
        raise invalid(f"{field}.high", f"row {row}: high {candles.high[row]} is below low {candles.low[row]}")
    bad = np.flatnonzero((candles.high < top) | (candles.low > bottom))
    if len(bad):
        row = bad[0]
        raise invalid(
            field,
            f"row {row}: open {candles.open[row]} or close {candles.close[row]} lies outside "
            f"low {candles.low[row]} .. high {candles.high[row]}",
        )


class Record(NamedTuple):
    """The closed trades of each row's symbol, strategy and tier. Every column is (B,)."""

    wins: Floats
    losses: Floats
    break_even: Floats  # the win probability that just pays for the losses and the costs; NaN where unknown


class Context(NamedTuple):
    """What the whole market did, as known at each row's `as_of`. Every column is (B,), NaN where unknown."""

    cap_change_percent: Floats  # total market capitalisation over 24 hours
    dominance_percent: Floats  # Bitcoin's share of it
    breadth_fraction: Floats  # share of the followed coins that rose over 24 hours
    fear_greed: Floats  # 0 extreme fear .. 100 extreme greed
    age_seconds: Floats  # since the oldest of these facts was fetched; negative would be a look into the future


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """B windows of T closed candles, one interval: what every theory reads.

    Shape: `block` is (5, B, T) float64, C-contiguous, in the order open, high, low, close, volume;
    `open_times` is (B, T) int64 milliseconds. A row is one symbol and never depends on its neighbours.
    `origins` names the market of each row's candles; without it nothing fitted is used on them.
    `record` and `market` are what theories read besides candles; None where there is none yet.
    """

    symbols: tuple[str, ...]
    interval: str
    open_times: Instants
    block: Floats
    origins: tuple[str, ...] = ()
    record: Record | None = None
    market: Context | None = None

    def __post_init__(self) -> None:
        rows = len(self.symbols)
        expected = (5, rows, self.open_times.shape[1])
        if self.block.shape != expected or not self.block.flags.c_contiguous:
            raise ValueError(f"block must be C-contiguous {expected}, got {self.block.shape}")
        if self.origins and len(self.origins) != rows:
            raise ValueError(f"origins must name the market of each of the {rows} rows, got {len(self.origins)}")
        for column in (*(self.record or ()), *(self.market or ())):
            if column.shape != (rows,):
                raise ValueError(f"columns of record and market must be ({rows},), got {column.shape}")
        # Read-only and contiguous wherever they come from: a kernel is compiled for each kind of array it is given, and
        # what arrives through Ray's shared memory is read-only.
        for name in ("open_times", "block"):
            view = np.ascontiguousarray(getattr(self, name)).view()
            view.setflags(write=False)
            object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def length(self) -> int:
        """T: candles in each window."""
        return int(self.block.shape[2])

    @property
    def open(self) -> Floats:
        return self._column(0)

    @property
    def high(self) -> Floats:
        return self._column(1)

    @property
    def low(self) -> Floats:
        return self._column(2)

    @property
    def close(self) -> Floats:
        return self._column(3)

    @property
    def volume(self) -> Floats:
        return self._column(4)

    @property
    def as_of(self) -> Instants:
        """(B,) milliseconds: when each window's last candle closed."""
        return np.asarray(self.open_times[:, -1] + 1_000 * INTERVAL_SECONDS[self.interval], dtype=np.int64)

    def _column(self, index: int) -> Floats:
        column: Floats = self.block[index]
        return column

    def log_returns(self) -> Floats:
        """(B, T - 1) natural-log returns of the closes."""
        return np.diff(np.log(self.close), axis=1)

    def seeds(self, purpose: str) -> NDArray[np.uint64]:
        """(B,) seeds that follow from what each row is: its symbol, its instant and what the chance is for."""
        texts = (f"{symbol}/{as_of}/{purpose}" for symbol, as_of in zip(self.symbols, self.as_of, strict=True))
        digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
        return np.frombuffer(digests, dtype="<u8").astype(np.uint64)

    def rows(self, chosen: Sequence[int] | slice) -> Windows:
        """Some of the windows as a batch of their own."""
        places = list(range(len(self)))[chosen] if isinstance(chosen, slice) else list(chosen)
        index = chosen if isinstance(chosen, slice) else places
        return Windows(
            tuple(self.symbols[place] for place in places),
            self.interval,
            self.open_times[index],
            np.ascontiguousarray(self.block[:, index]),
            tuple(self.origins[place] for place in places) if self.origins else (),
            None if self.record is None else Record(*(column[index] for column in self.record)),
            None if self.market is None else Context(*(column[index] for column in self.market)),
        )

    def row(self, index: int) -> Windows:
        """One window as a batch of its own."""
        return self.rows(slice(index, index + 1))


def stack_windows(series: Sequence[Candles], length: int, *, origins: tuple[str, ...] = ()) -> Windows:
    """The newest `length` candles of each series, as one batch. All series share one interval."""
    block = np.array([[getattr(candles, column)[-length:] for candles in series] for column in COLUMNS])
    times = np.array([candles.open_times[-length:] for candles in series])
    return Windows(tuple(candles.symbol for candles in series), series[0].interval, times, block, origins)


def join_windows(batches: Sequence[Windows]) -> Windows:
    """Batches of one shape, interval and set of columns (see `shape_of`), joined row after row."""
    if len(batches) == 1:
        return batches[0]
    records = [batch.record for batch in batches if batch.record is not None]
    markets = [batch.market for batch in batches if batch.market is not None]
    return Windows(
        tuple(symbol for batch in batches for symbol in batch.symbols),
        batches[0].interval,
        np.concatenate([batch.open_times for batch in batches]),
        np.ascontiguousarray(np.concatenate([batch.block for batch in batches], axis=1)),
        tuple(origin for batch in batches for origin in batch.origins),
        Record(*map(np.concatenate, zip(*records, strict=True))) if records else None,
        Context(*map(np.concatenate, zip(*markets, strict=True))) if markets else None,
    )


def shape_of(batch: Windows) -> tuple[str, int, bool, bool, bool]:
    """What batches must have in common to be joined."""
    return batch.interval, batch.length, bool(batch.origins), batch.record is None, batch.market is None


def cut_windows(candles: Candles, length: int, *, step: int = 1, origin: str = "") -> Windows:
    """Every window of `length` candles, `step` apart, copied into one contiguous batch (for back-tests)."""
    starts = np.arange(0, len(candles) - length + 1, step)
    rows = starts[:, None] + np.arange(length)
    block = np.ascontiguousarray(np.stack([getattr(candles, column)[rows] for column in COLUMNS]))
    symbols, origins = (candles.symbol,) * len(starts), (origin,) * len(starts) if origin else ()
    return Windows(symbols, candles.interval, candles.open_times[rows], block, origins)
