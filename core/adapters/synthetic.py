"""A market that needs no exchange: endless, realistic, the same for the same seed, and marked as made up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.adapters.aggregation import merge_candles
from core.adapters.synthetic_noise import Noise
from core.adapters.synthetic_path import in_units, trade_minutes
from core.errors import invalid
from core.market import Candles, Floats, interval_seconds, parse_symbol

DAY_SECONDS = 86_400

# Days computed in one go: their arrays (180 KiB each) stay in the processor's cache.
CHUNK_DAYS = 16

# 500 candles of every interval for ten symbols are about 3 MiB; what does not fit is computed again.
CACHE_BYTES = 16 * 2**20
ENTRY_BYTES = 400  # what Python needs for a cached day besides its numbers

# Cutting and checking more candles than this takes milliseconds, which the caller's event loop must not lose.
INLINE_CANDLES = 20_000

Days = Mapping[tuple[str, int], Floats]


@dataclass(frozen=True, slots=True)
class _Span:
    """The candles asked for: `count` of one interval, the first one `first` intervals after 1970."""

    interval: str
    seconds: int
    first: int
    count: int

    @property
    def candles_a_day(self) -> int:
        return DAY_SECONDS // self.seconds

    @property
    def days(self) -> range:
        """Every day that holds one of the candles."""
        return range(self.first // self.candles_a_day, (self.first + self.count - 1) // self.candles_a_day + 1)


class SyntheticMarket:
    """Candles made from a seed. Any window is computed where it stands, so the past and the future have no end.

    Only the event loop's thread touches the cache; computing happens in a worker thread on values alone.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._cache: dict[tuple[str, str, int], Floats] = {}
        self._cache_bytes = 0

    @property
    def name(self) -> str:
        return "synthetic"

    @property
    def synthetic(self) -> bool:
        return True

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        """The newest `count` candles of each symbol that had closed at `now_ms`; one closing at that instant has."""
        if count < 1:
            raise invalid("count", f"{count} candles asked for; at least 1 is needed")
        seconds = interval_seconds(interval)
        span = _Span(interval, seconds, now_ms // (1_000 * seconds) - count, count)
        names = [parse_symbol(symbol) for symbol in symbols]
        wanted = [(symbol, day) for symbol in dict.fromkeys(names) for day in span.days]
        known = {key: self._cache[interval, *key] for key in wanted if (interval, *key) in self._cache}
        if len(known) == len(wanted) and count * len(names) <= INLINE_CANDLES:
            return [_cut(symbol, span, known) for symbol in names]
        fresh, candles = await asyncio.to_thread(_complete, self._seed, names, span, known)
        self._keep(interval, fresh)
        return candles

    def _keep(self, interval: str, fresh: Days) -> None:
        for key, block in fresh.items():
            if (interval, *key) not in self._cache:
                self._cache[interval, *key] = block
                self._cache_bytes += block.nbytes + ENTRY_BYTES
        while self._cache_bytes > CACHE_BYTES:
            oldest = next(iter(self._cache))
            self._cache_bytes -= self._cache.pop(oldest).nbytes + ENTRY_BYTES


def _complete(seed: int, names: Sequence[str], span: _Span, known: Days) -> tuple[Days, list[Candles]]:
    """What was not known yet, and the candles asked for."""
    fresh: dict[tuple[str, int], Floats] = {}
    for symbol in dict.fromkeys(names):
        missing = [day for day in span.days if (symbol, day) not in known]
        for begin in range(0, len(missing), CHUNK_DAYS):
            chunk = missing[begin : begin + CHUNK_DAYS]
            blocks = _compute(Noise(seed, symbol), span, chunk)
            fresh.update(((symbol, day), block) for day, block in zip(chunk, blocks, strict=True))
    return fresh, [_cut(symbol, span, {**known, **fresh}) for symbol in names]


def _compute(noise: Noise, span: _Span, days: list[int]) -> list[Floats]:
    """The candles of each day, (5, candles a day) each, in memory of its own so that the cache holds nothing else."""
    minutes = trade_minutes(noise, np.array(days, dtype=np.int64))
    block = in_units(noise.symbol, merge_candles(minutes, span.seconds // 60))
    return [np.ascontiguousarray(day) for day in np.split(block, len(days), axis=1)]


def _cut(symbol: str, span: _Span, days: Days) -> Candles:
    whole = np.concatenate([days[symbol, day] for day in span.days], axis=1)
    skip = span.first - span.days.start * span.candles_a_day
    columns = whole[:, skip : skip + span.count]
    times = (span.first + np.arange(span.count)) * (1_000 * span.seconds)
    return Candles(symbol, span.interval, times, *columns)
