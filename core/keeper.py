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
from core.paper.bars import Bars
from core.paper.costs import costs_of
from core.paper.fill import Terms
from core.paper.hand import cancel
from core.paper.machine import advance, lapse
from core.paper.settle import Step
from core.paper.tape import Tape
from core.paper.trade import PaperTrade, rebuild
from core.ports import Market
from core.risk.account import Account, AccountKind, Clock, Moment, TradeState
from core.risk.booking import Entry, Trade
from core.risk.pack import RiskPack, find_pack

logger = logging.getLogger(__name__)

# A trade at the firm that waits is let expire this long after its time.
GRACE_MS: Final = 120_000
# On paper a candle decides, whenever it is told. A market that told none for a day is taken to have none.
SILENCE_MS: Final = 86_400_000
HALTED: Final = "KILL_SWITCH"  # the reason of a refused opening
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
        self._tape = Tape(market)
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
        work: list[tuple[Account, PaperTrade]] = []
        for account in await self._books.accounts():
            for stored, entries in await self._books.unfinished(account.id):
                try:
                    work.append((account, rebuild(stored, entries)))
                except CrpbotError as error:
                    logger.warning("trade %s cannot be followed: %s", stored.id, error.detail)
                    failed += 1
        tape = await self._read([trade for account, trade in work if account.kind is AccountKind.PAPER])
        for account, trade in work:
            try:
                done = await self._follow(account, trade, tape.get(trade.symbol))
            except CrpbotError as error:
                logger.info("trade %s is left as it is for now: %s", trade.id, error.detail)
                failed += 1
                continue
            moved, waiting = moved + done, waiting + (not done)
        return Tally(moved, waiting, failed)

    async def _follow(self, account: Account, trade: PaperTrade, bars: Bars | None) -> bool:
        """One trade: True when something was written. What is held at the firm is only let expire here."""
        on_paper = account.kind is AccountKind.PAPER
        step = Step(trade, ())
        if on_paper and bars is not None:
            terms = Terms(costs=costs_of(find_pack(account.pack, packs=self._packs)))
            step = advance(trade, bars.from_ms(trade.seen_ms), terms)
        if step.trade.state is TradeState.PENDING:
            lapsed = lapse(step.trade, milliseconds(self._clock().at) - (SILENCE_MS if on_paper else GRACE_MS))
            step = Step(lapsed.trade, step.moves + lapsed.moves)
        if not step.moves:
            return False
        try:
            await self._books.apply(account.id, trade, step, by="keeper", clock=self._clock)
        except CrpbotError as error:
            if error.reason != HALTED or trade.state is not TradeState.PENDING:
                raise
            # Opened after the halt it would be opened in hindsight: what waits is taken back once its entry is met.
            logger.info("trade %s is cancelled: %s", trade.id, error.detail)
            taken_back = cancel(trade, self._clock().at)
            await self._books.apply(account.id, trade, taken_back, by="keeper", clock=self._clock)
        return True

    async def _read(self, trades: Sequence[PaperTrade]) -> Mapping[str, Bars]:
        """The candles of each symbol since the first of its trades was last looked at, where the market tells some."""
        since: dict[str, int] = {}
        for trade in trades:
            since[trade.symbol] = min(trade.seen_ms, since.get(trade.symbol, trade.seen_ms))
        self._tape.keep(frozenset(since))
        found: dict[str, Bars] = {}
        for symbol, since_ms in since.items():
            try:
                bars = await self._tape.read(symbol, since_ms, milliseconds(self._clock().at))
            except CrpbotError as error:
                logger.warning("%s cannot be followed for now: %s", symbol, error.detail)
                continue
            if bars is not None:
                found[symbol] = bars
        return found

    async def _guard(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except CrpbotError as error:
            logger.warning("background work is put off: %s", error.detail)
        except Exception:
            logger.exception("background work failed; it is tried again")
