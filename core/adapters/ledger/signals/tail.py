"""Decisions as they are stored, to whoever listens: every gateway reads the ledger, so all of them tell the same.

One watcher in each gateway asks the ledger every second for the newest number; PostgreSQL wakes it earlier. Listeners
sleep until there is something behind their cursor, and read it a page at a time, so a slow one holds no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import URL

from core.adapters.ledger.address import is_sqlite
from core.adapters.ledger.ledger import MAX_SEQ, Ledger
from core.adapters.ledger.signals.store import CHANNEL, newest_seq, signals_after
from core.errors import CrpbotError, invalid
from core.signals.store import EVERYTHING, SignalFilter, StoredSignal

POLL_SECONDS: Final = 1.0
PAGE: Final = 100  # decisions that one listener holds at most


class SignalTail:
    """All listeners of one gateway. Belongs to one event loop; nothing runs while nobody listens."""

    def __init__(self, ledger: Ledger, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._ledger = ledger
        self._poll_seconds = poll_seconds
        self._newest = 0
        self._grown = asyncio.Condition()
        self._fault: Exception | None = None
        self._listeners = 0
        self._enough = asyncio.Event()

    async def follow(self, after_seq: int, *, wanted: SignalFilter = EVERYTHING) -> AsyncGenerator[StoredSignal, None]:
        """Every decision after that audit number, stored already or in the future, in order, each once.

        Ends when the caller closes or cancels it. Resume with the `seq` of the last decision that was dealt with.
        """
        if not 0 <= after_seq <= MAX_SEQ:
            raise invalid("after_seq", f"must be 0 to {MAX_SEQ}")
        cursor = after_seq
        async with self._watching():
            while True:
                newest = self._newest
                async with self._ledger.reading() as connection:
                    page = await signals_after(connection, cursor, PAGE, wanted=wanted)
                for stored in page:
                    yield stored
                    cursor = stored.seq
                if len(page) < PAGE:
                    cursor = max(cursor, newest)  # what the filter left out need not be read again
                    await self._wait_beyond(cursor)

    async def _wait_beyond(self, seq: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: self._newest > seq or self._fault is not None)
        if self._fault is not None:
            raise self._fault

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Keep the watcher running while there are listeners."""
        self._listeners += 1
        if self._listeners == 1:
            self._fault, self._enough = None, asyncio.Event()
            self._watcher = asyncio.create_task(self._watch(self._enough))
        try:
            yield
        finally:
            self._listeners -= 1
            if self._listeners == 0:
                self._enough.set()
                await self._watcher

    async def _watch(self, enough: asyncio.Event) -> None:
        """Look for new decisions until there is nobody left to tell; a look is never cut off in the middle."""
        bell = asyncio.Event()
        address = self._ledger.address
        ringers = [asyncio.create_task(_ring(bell, enough))]
        if not is_sqlite(address):
            ringers.append(asyncio.create_task(_listen(address, bell, pause_seconds=self._poll_seconds)))
        try:
            while not enough.is_set():
                bell.clear()
                with suppress(CrpbotError):  # the ledger is away: its health check says so, the next look may find it
                    await self._look()
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), self._poll_seconds)
        except Exception as error:  # noqa: BLE001 - what nobody has foreseen ends every stream instead of silencing it
            async with self._grown:
                self._fault = error
                self._grown.notify_all()
        finally:
            for ringer in ringers:
                ringer.cancel()
            await asyncio.gather(*ringers, return_exceptions=True)

    async def _look(self) -> None:
        async with self._ledger.reading() as connection:
            newest = await newest_seq(connection)
        if newest > self._newest:
            async with self._grown:
                self._newest = newest
                self._grown.notify_all()


async def _ring(bell: asyncio.Event, enough: asyncio.Event) -> None:
    """Wake the watcher when it may stop."""
    await enough.wait()
    bell.set()


async def _listen(address: URL, bell: asyncio.Event, *, pause_seconds: float) -> None:
    """Ring as soon as PostgreSQL tells of a commit. Without it the poll alone finds everything, later."""
    name = address.set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        with suppress(psycopg.Error):
            connection = await psycopg.AsyncConnection.connect(name, autocommit=True, connect_timeout=5)
            async with connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                bell.set()  # what was stored before that moment rang for nobody
                async for _ in connection.notifies():
                    bell.set()
        await asyncio.sleep(pause_seconds)
