"""The minutes of each market that paper trades are followed on: read once, kept while a trade needs them, holes kept.

A market tells stretches without a hole only. Where one candle is missing, the stretch before the hole and the one
after it are found by halving; what may lie between two holes is not looked for, and fills nothing, like the holes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import numpy as np

from core.errors import CrpbotError
from core.market import Candles
from core.paper.bars import Bars, read_bars
from core.ports import Market, Told

INTERVAL: Final = "1m"  # the shortest candles that every market has: stops are watched as closely as data allow
MINUTE_MS: Final = 60_000
LONGEST: Final = 10_000  # candles asked for at once: a week; what is newer follows in the next round
SETTLED_MS: Final = 30_000  # a market tells a candle some seconds after its end, and the next one has not closed then
# Why a market refuses a stretch of which a part exists.
HOLES: Final = frozenset({"TOO_FEW_CANDLES", "CANDLES_NOT_RECORDED", "NO_CANDLES"})
# Halving asks about the past too, where the newest candle before a hole is an old one.
ABSENT: Final = HOLES | {"STALE_MARKET_DATA"}


class Tape:
    """Belongs to one task. What is on it is the market's; nothing depends on whether it was kept or read again."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._kept: dict[str, Bars] = {}

    async def read(self, symbol: str, since_ms: int, now_ms: int) -> Bars | None:
        """The candles that do not begin before `since_ms`, as far as the market tells them; None where none is."""
        first = -(-since_ms // MINUTE_MS) * MINUTE_MS
        kept = self._kept.get(symbol)
        if kept is not None and (not len(kept) or int(kept.times[0]) > first):
            kept = None
        begin = first if kept is None else int(kept.times[-1]) + MINUTE_MS
        found = [] if kept is None else [kept]
        for candles in await self._stretches(symbol, begin, now_ms):
            fresh = read_bars(candles)
            known_ms = int(found[-1].times[-1]) + MINUTE_MS if found else first
            if len(fresh := fresh.from_ms(known_ms)):
                found.append(fresh)
        if not found:
            return None
        whole = _join(found).from_ms(first)
        if not len(whole):
            return None
        self._kept[symbol] = whole
        return whole

    def keep(self, symbols: frozenset[str]) -> None:
        """Forget every other symbol."""
        self._kept = {symbol: bars for symbol, bars in self._kept.items() if symbol in symbols}

    async def _stretches(self, symbol: str, begin: int, now_ms: int) -> list[Candles]:
        """Oldest first. A market that fails is no hole: it is asked again in the next round."""
        end = min(now_ms, begin + LONGEST * MINUTE_MS + SETTLED_MS)
        count = (end - begin) // MINUTE_MS
        if count < 1:
            return []
        whole = await self._ask(symbol, count, end)
        if isinstance(whole, Told):
            return [whole.candles]
        if whole.reason not in HOLES:
            return []

        async def before(size: int) -> Told | CrpbotError:
            return await self._ask(symbol, size, min(now_ms, begin + size * MINUTE_MS + SETTLED_MS))

        async def after(size: int) -> Told | CrpbotError:
            return await self._ask(symbol, size, end)

        try:
            sides = [await _longest(before, count), await _longest(after, count)]
        except CrpbotError:
            return []
        return [told.candles for told in sides if told is not None]

    async def _ask(self, symbol: str, count: int, now_ms: int) -> Told | CrpbotError:
        (answer,) = await self._market.latest_each([symbol], INTERVAL, count, now_ms=now_ms)
        return answer


async def _longest(ask: Callable[[int], Awaitable[Told | CrpbotError]], count: int) -> Told | None:
    """The longest stretch shorter than `count` that is told: one more candle would reach into the hole."""
    best, low, high = None, 1, count - 1
    while low <= high:
        middle = (low + high) // 2
        answer = await ask(middle)
        if isinstance(answer, Told):
            best, low = answer, middle + 1
        elif answer.reason in ABSENT:
            high = middle - 1
        else:
            raise answer
    return best


def _join(parts: list[Bars]) -> Bars:
    times = np.concatenate([part.times for part in parts])
    return Bars(parts[0].symbol, parts[0].step_ms, times, np.concatenate([part.prices for part in parts], axis=1))
