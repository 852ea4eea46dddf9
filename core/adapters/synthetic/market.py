"""A market that needs no exchange: endless, realistic, the same for the same seed, and marked as made up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from core.adapters.grid import closed_candles, merge_candles
from core.adapters.synthetic.noise import Noise
from core.adapters.synthetic.path import COINS, in_units, trade_minutes
from core.adapters.synthetic.spread import quote_around
from core.errors import CrpbotError
from core.market import Candles, Floats, parse_symbol
from core.ports import Told
from core.risk.account import Quote
from core.risk.size import Step

NAME = "synthetic"

DAY_MS = 86_400_000
MINUTE_MS = 60_000

# Days computed in one go: their arrays (180 KiB each) stay in the processor's cache.
CHUNK_DAYS = 16

# 500 candles of every interval for ten symbols are about 5 MiB; what does not fit is computed again.
CACHE_BYTES = 16 * 2**20
ENTRY_BYTES = 400  # what Python needs for a cached day besides its numbers

# Cutting and checking more candles than this takes milliseconds, which the caller's event loop must not lose.
INLINE_CANDLES = 20_000

Days = Mapping[tuple[str, int], Floats]


class SyntheticMarket:
    """Candles made from a seed. Any window is computed where it stands, so the past and the future have no end.

    With `edge` it can be foreseen a little, and is another market with a name of its own (`edge.py`).
    The cache belongs to the thread of the event loop: computing happens in a worker thread, on values alone.
    """

    def __init__(self, seed: int, *, edge: bool = False) -> None:
        self._seed = seed
        self._edge = edge
        self._cache: dict[tuple[str, str, int], Floats] = {}
        self._cache_bytes = 0

    @property
    def name(self) -> str:
        return NAME

    @property
    def identity(self) -> str:
        return f"{NAME}-{self._seed}{'-edge' if self._edge else ''}"

    @property
    def synthetic(self) -> bool:
        return True

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        """The newest `count` candles of each symbol that had closed at `now_ms`; one closing at that instant has."""
        starts = closed_candles(interval, count, now_ms)
        names = [parse_symbol(symbol) for symbol in symbols]
        wanted = [(symbol, day) for symbol in dict.fromkeys(names) for day in _days(starts)]
        known = {key: self._cache[interval, *key] for key in wanted if (interval, *key) in self._cache}
        if len(known) == len(wanted) and count * len(names) <= INLINE_CANDLES:
            return [_cut(symbol, interval, starts, known) for symbol in names]
        fresh, candles = await asyncio.to_thread(
            _complete, self._seed, names, interval, edge=self._edge, starts=starts, known=known
        )
        self._keep(interval, fresh)
        return candles

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Told | CrpbotError]:
        """The same symbol by symbol: nothing ever speaks against what a generator gives."""
        return [Told(candles, True) for candles in await self.latest(symbols, interval, count, now_ms=now_ms)]

    async def problem(self) -> str | None:
        """A generator has none."""
        return None

    async def quotes(self, symbols: Sequence[str], *, now_ms: int) -> list[Quote | CrpbotError]:
        """Offers around the close of the newest minute, which is the generator's price at this instant."""
        return [
            quote_around(
                candles.symbol,
                float(candles.close[-1]),
                at_ms=now_ms,
                tick=Decimal(1).scaleb(-COINS[candles.symbol].price_decimals),
            )
            for candles in await self.latest(symbols, "1m", 1, now_ms=now_ms)
        ]

    def step(self, symbol: str) -> Step:
        """Sizes as fine as an exchange has them: worth less than a cent at the price that the coin returns to."""
        coin = COINS[parse_symbol(symbol)]
        size = Decimal(1).scaleb(-(Decimal(repr(coin.anchor)).adjusted() + 3))
        return Step(size, size)

    def _keep(self, interval: str, fresh: Days) -> None:
        """Remember days, and forget the ones computed first when there are too many."""
        for key, block in fresh.items():
            if (interval, *key) not in self._cache:
                self._cache[interval, *key] = block
                self._cache_bytes += block.nbytes + ENTRY_BYTES
        while self._cache_bytes > CACHE_BYTES:
            oldest = next(iter(self._cache))
            self._cache_bytes -= self._cache.pop(oldest).nbytes + ENTRY_BYTES


def is_invented(source: str) -> bool:
    """Whether candles from a source of this identity were made by this generator."""
    return source.partition("-")[0] == NAME


def _days(starts: range) -> range:
    """Every day, numbered from 1970-01-01, that holds one of the candles. All intervals divide a day."""
    return range(starts[0] // DAY_MS, starts[-1] // DAY_MS + 1)


def _complete(
    seed: int, names: Sequence[str], interval: str, *, edge: bool, starts: range, known: Days
) -> tuple[Days, list[Candles]]:
    """The days that were not known yet, and the candles asked for."""
    fresh: dict[tuple[str, int], Floats] = {}
    for symbol in dict.fromkeys(names):
        missing = [day for day in _days(starts) if (symbol, day) not in known]
        for begin in range(0, len(missing), CHUNK_DAYS):
            chunk = missing[begin : begin + CHUNK_DAYS]
            blocks = _compute(Noise(seed, symbol), chunk, starts.step // MINUTE_MS, edge=edge)
            fresh.update(((symbol, day), block) for day, block in zip(chunk, blocks, strict=True))
    days = {**known, **fresh}
    return fresh, [_cut(symbol, interval, starts, days) for symbol in names]


def _compute(noise: Noise, days: list[int], minutes_a_candle: int, *, edge: bool) -> list[Floats]:
    """The candles of each day, (5, candles a day) each, in memory of its own so that the cache holds nothing else."""
    minutes = trade_minutes(noise, np.array(days, dtype=np.int64), edge=edge)
    block = in_units(noise.symbol, merge_candles(minutes, minutes_a_candle))
    return [np.ascontiguousarray(day) for day in np.split(block, len(days), axis=1)]


def _cut(symbol: str, interval: str, starts: range, days: Days) -> Candles:
    whole = np.concatenate([days[symbol, day] for day in _days(starts)], axis=1)
    skip = starts[0] % DAY_MS // starts.step
    return Candles(symbol, interval, np.array(starts, dtype=np.int64), *whole[:, skip : skip + len(starts)])
