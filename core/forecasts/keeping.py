"""Keeps what the models said beside every decision, and learns what came once the minutes are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from core.analysis import RefusedSymbol
from core.errors import Code, CrpbotError
from core.forecasts.log import (
    Awaited,
    ForecastLog,
    ForecastStore,
    Noted,
    Settled,
    ask_at_ms,
    give_up,
    minutes_of,
    notes_of,
    settle_one,
)
from core.forecasts.pauses import Pauses, is_away
from core.paper.tape import INTERVAL
from core.ports import Market, Told
from core.risk.account import Clock, Moment
from core.signals.ports import Studies, Study

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 2_000  # notes: ten coins with ten models, twenty times
MOST_SETTLED: Final = 5_000  # symbols and instants looked at in one round; the rest follows a minute later
MOST_ASKED: Final = 100  # calls of the market in one round
ROUND_SECONDS: Final = 2.0  # of which the market may take all: the keeper follows trades every ten
LAST_CALL: Final = 0.5  # of a round: each call has as long at least, so that who needs longer is rightly called away
CLOSE_SECONDS: Final = 5.0
_OTHER_MINUTES: Final = CrpbotError(
    Code.FAILED_PRECONDITION, "the market told other minutes than were asked for", reason="TOO_FEW_CANDLES"
)


class NotedStudies:
    """Studies, of which what the models said is kept: beside every decision, and without a part in it."""

    def __init__(self, studies: Studies, log: ForecastLog, clock: Clock) -> None:
        self._studies = studies
        self._log = log
        self._clock = clock

    async def study(
        self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
    ) -> list[Study | RefusedSymbol]:
        """Each symbol as it stands now, in their order."""
        at = self._clock().at
        found = await self._studies.study(symbols, interval, timeout_seconds=timeout_seconds)
        self._log.note([each for each in found if isinstance(each, Study)], at)
        return found

    def staffed(self, symbols: Sequence[str]) -> frozenset[str]:
        """Those of the symbols of which models speak."""
        return self._studies.staffed(symbols)


class ForecastKeeper:
    """Belongs to one gateway. Of several that note the same, the first one's note stays, or the first that spoke."""

    def __init__(
        self, *, store: ForecastStore, market: Market, retention: timedelta, seconds: float = ROUND_SECONDS
    ) -> None:
        self._store = store
        self._market = market
        self._retention = retention
        self._seconds = seconds
        self._pauses = Pauses()
        self._waiting: list[Noted] = []
        self._writer: asyncio.Task[None] | None = None

    def note(self, studies: Sequence[Study], at: datetime) -> None:
        """Keep what the models said of these markets, a moment later. What cannot be kept is told to the log."""
        notes = notes_of(studies, at)
        if len(self._waiting) + len(notes) > MOST_WAITING:
            logger.warning("%d forecasts are not kept: %d wait already", len(notes), len(self._waiting))
            return
        self._waiting += notes
        if self._waiting and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write())

    async def settle(self, moment: Moment) -> None:
        """Learn what came of every forecast whose horizon is over, as far as a short round goes.

        The oldest first. The round ends where the market as a whole is away, or when its time is over; who waits for
        its end, such as the paper trades, waits for seconds.
        """
        identity = self._market.identity
        rows = await self._store.awaited(identity, moment.at, limit=MOST_SETTLED)
        end = asyncio.get_running_loop().time() + self._seconds
        self._pauses.forget(moment.at)
        asked, goes_on = 0, True
        for awaited in rows:
            found = self._pauses.given_up(awaited, moment.at)
            due = self._pauses.due(awaited, moment.at)
            left = end - asyncio.get_running_loop().time()
            if left <= 0 or (due.symbols and (asked == MOST_ASKED or left < LAST_CALL * self._seconds)):
                return
            if due.symbols:
                asked += 1
                told = await self._ask(due, left)
                found += self._read(due, told, moment)
                goes_on = not all(isinstance(each, CrpbotError) and is_away(each) for each in told)
            if found:
                await self._store.settle(identity, awaited, found)
            if not goes_on:
                return

    async def forget(self, moment: Moment) -> None:
        """Delete what is older than the ledger keeps texts and candles."""
        await self._store.forget(moment.at - self._retention)

    async def close(self) -> None:
        """Write what still waits, for a few seconds at most."""
        if self._writer is not None:
            _, late = await asyncio.wait({self._writer}, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _write(self) -> None:
        """All that waits, a statement for each time that something has come meanwhile."""
        while self._waiting:
            notes, self._waiting = self._waiting, []
            try:
                await self._store.store(notes)
            except CrpbotError as error:
                logger.warning("%d forecasts are not kept: %s", len(notes), error.detail)
            except Exception:
                logger.exception("%d forecasts are not kept", len(notes))

    async def _ask(self, awaited: Awaited, seconds: float) -> Sequence[Told | CrpbotError]:
        """What the market tells of each symbol, in one call."""
        try:
            async with asyncio.timeout(seconds):
                return await self._market.latest_each(
                    awaited.symbols, INTERVAL, minutes_of(awaited), now_ms=ask_at_ms(awaited)
                )
        except CrpbotError as error:
            return [error] * len(awaited.symbols)
        except TimeoutError:
            detail = f"the market told nothing within {seconds:.1f} s"
            return [CrpbotError(Code.DEADLINE_EXCEEDED, detail, reason="MARKET_SILENT")] * len(awaited.symbols)

    def _read(self, awaited: Awaited, told: Sequence[Told | CrpbotError], moment: Moment) -> list[Settled]:
        """What came on each symbol, as far as the market tells; nothing of those that it may tell later."""
        found = []
        for symbol, each in zip(awaited.symbols, told, strict=True):
            settled = None if isinstance(each, CrpbotError) else settle_one(awaited, each.candles)
            if settled is not None:
                self._pauses.told(symbol)
            else:
                error = each if isinstance(each, CrpbotError) else _OTHER_MINUTES
                self._pauses.failed(awaited, symbol, error, moment.at)
                settled = give_up(awaited, symbol, error.reason, moment.at)
            if settled is not None:
                found.append(settled)
        return found
