"""The work that nobody asks for: paper trades followed to their end, what has expired cleared away, the audit anchored.

Every gateway runs one. None needs to know of the others: each thing that is written names what it expects to find (a
trade that is still open, an entry not booked yet), so that of two keepers the second finds it done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from core.errors import CrpbotError
from core.market import milliseconds
from core.paper.bars import Bars, read_bars
from core.paper.costs import costs_of
from core.paper.fill import Terms
from core.paper.machine import advance, lapse
from core.paper.settle import Step
from core.paper.trade import PaperTrade, rebuild
from core.ports import Market, Told
from core.risk.account import Account, AccountKind, Clock, Moment, TradeState
from core.risk.booking import Entry, Trade
from core.risk.pack import RiskPack, find_pack

logger = logging.getLogger(__name__)

INTERVAL: Final = "1m"  # the shortest candles that every market has: stops are watched as closely as data allow
MINUTE_MS: Final = 60_000
LONGEST_CATCH_UP: Final = 10_000  # candles asked for at once: a week; what is older is caught up with in pieces
GRACE_MS: Final = 120_000  # a candle is told a little after it closed; only then may a missing one be called a hole
TICK_SECONDS: Final = 10.0
CHORES_SECONDS: Final = 60.0


class Books(Protocol):
    """The accounts' trades, and what is written when they move on."""

    async def accounts(self) -> Sequence[Account]:
        """Every account."""
        ...

    async def unfinished(self, account_id: str) -> Sequence[tuple[Trade, Sequence[Entry]]]:
        """The trades that wait or are open, each with its own entries."""
        ...

    async def apply(self, account_id: str, before: PaperTrade, step: Step, *, by: str, clock: Clock) -> None:
        """Store what became of a trade, its money and its signal's result, wholly or not at all."""
        ...


Chore = Callable[[Moment], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Tally:
    """What one round did."""

    moved: int
    waiting: int
    failed: int


class Keeper:
    """Runs until cancelled. A round that fails is told to the log and tried again; it never stops the server."""

    def __init__(
        self,
        *,
        books: Books,
        market: Market,
        clock: Clock,
        packs: Mapping[str, RiskPack],
        chores: Sequence[Chore] = (),
    ) -> None:
        self._books = books
        self._market = market
        self._clock = clock
        self._packs = packs
        self._chores = chores

    async def run(self) -> None:
        """Rounds without end, chores once a minute."""
        loop = asyncio.get_running_loop()
        chores_at = loop.time()
        while True:
            await self._guard(self.follow_trades)
            if loop.time() >= chores_at:
                chores_at = loop.time() + CHORES_SECONDS
                for chore in self._chores:
                    await self._guard(lambda chore=chore: chore(self._clock()))  # type: ignore[misc]
            await asyncio.sleep(TICK_SECONDS)

    async def follow_trades(self) -> Tally:
        """Brings every paper trade up to the newest closed candle."""
        moved = waiting = failed = 0
        for account in await self._books.accounts():
            by_symbol: dict[str, list[PaperTrade]] = {}
            for stored, entries in await self._books.unfinished(account.id):
                by_symbol.setdefault(stored.symbol, []).append(rebuild(stored, entries))
            for symbol, trades in by_symbol.items():
                bars = await self._bars(symbol, trades) if account.kind is AccountKind.PAPER else None
                for trade in trades:
                    try:
                        done = await self._follow(account, trade, bars)
                    except CrpbotError as error:
                        logger.info("trade %s is left as it is for now: %s", trade.id, error.detail)
                        failed += 1
                        continue
                    moved, waiting = moved + done, waiting + (not done)
        return Tally(moved, waiting, failed)

    async def _follow(self, account: Account, trade: PaperTrade, bars: Bars | None) -> bool:
        """One trade: True when something was written. What is held at the firm is only let expire here."""
        terms = Terms(costs=costs_of(find_pack(account.pack, packs=self._packs)))
        step = Step(trade, ())
        if bars is not None:
            step = advance(trade, bars.from_ms(trade.seen_ms), terms)
        if step.trade.state is TradeState.PENDING:
            lapsed = lapse(step.trade, milliseconds(self._clock().at) - GRACE_MS)
            step = Step(lapsed.trade, step.moves + lapsed.moves)
        if not step.moves:
            return False
        await self._books.apply(account.id, trade, step, by="keeper", clock=self._clock)
        return True

    async def _bars(self, symbol: str, trades: Sequence[PaperTrade]) -> Bars | None:
        """The candles since the first of these trades was last looked at; None where the market tells none now."""
        now_ms = milliseconds(self._clock().at)
        first = min(trade.seen_ms for trade in trades)
        count = min((now_ms - first) // MINUTE_MS + 1, LONGEST_CATCH_UP)
        if count < 1:
            return None
        (told,) = await self._market.latest_each([symbol], INTERVAL, count, now_ms=now_ms)
        return read_bars(told.candles) if isinstance(told, Told) else None

    async def _guard(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except CrpbotError as error:
            logger.warning("background work is put off: %s", error.detail)
        except Exception:
            logger.exception("background work failed; it is tried again")
