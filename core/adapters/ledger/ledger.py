"""The ledger: what the server has done, kept so that a crash loses nothing and an edit shows.

When a call has returned, what it wrote is on disk. A call that raised wrote nothing, except that a connection which
breaks during the commit leaves that open; the caller's idempotency key settles it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import URL, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.address import is_sqlite, parse_address
from core.adapters.ledger.audit import append_entry, read_entries, read_head, verify_entries
from core.adapters.ledger.chain import AuditEntry, AuditEvent, ChainReport
from core.adapters.ledger.engine import LOCK_TIMEOUT_SECONDS, Engines, make_engines
from core.adapters.ledger.failures import BUSY, explained, failure
from core.adapters.ledger.migrations import (
    KnownRevisions,
    check_sqlite_file,
    known_revisions,
    read_revision,
    require_sqlite_file,
)
from core.adapters.ledger.schema import runs
from core.errors import invalid

MAX_PAGE = 500  # entries in one answer, as for every list of the API
MAX_SEQ = 2**63 - 1  # what both databases can hold; a larger cursor would break the driver


@dataclass(frozen=True, slots=True)
class Run:
    """One start of the server. `settings` is JSON text in which the caller has masked every secret."""

    started_at: datetime
    version: str
    settings: str
    data_provider: str
    runtime_mode: str


class Ledger:
    """One open ledger. Any number of tasks and processes may share the same database."""

    def __init__(self, address: URL, engines: Engines, known: KnownRevisions, *, patience_seconds: float) -> None:
        self._address = address
        self._engines = engines
        self._known = known
        self._patience_seconds = patience_seconds
        self._turns: dict[str, asyncio.Lock] = {}

    @classmethod
    async def open(cls, url: str, *, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS, durable: bool = True) -> Self:
        """Connect and check. A ledger that is missing, damaged, or of another schema is refused with the remedy.

        Only one that can be made again, such as a simulation's, may be opened without waiting for the disk.
        """
        address = parse_address(url)
        require_sqlite_file(address)
        await asyncio.to_thread(check_sqlite_file, address)
        known = await asyncio.to_thread(known_revisions)
        engines = make_engines(address, lock_timeout_seconds=lock_timeout_seconds, durable=durable)
        ledger = cls(address, engines, known, patience_seconds=lock_timeout_seconds)
        try:
            await ledger.check()
        except BaseException:
            await ledger.close()
            raise
        return ledger

    @property
    def address(self) -> URL:
        """Where the ledger lies; holds the password."""
        return self._address

    async def close(self) -> None:
        """Close every connection. Call it when no other call is in flight."""
        await self._engines.dispose()

    async def check(self) -> None:
        """Refuse unless the database answers and its schema is the one this program works with."""
        async with self.reading() as connection:
            revision = await connection.run_sync(read_revision)
        self._known.check(revision, self._address)

    async def record_run(self, run: Run) -> int:
        """Store a start of the server; the answer is its number."""
        sha256 = hashlib.sha256(run.settings.encode()).hexdigest()
        statement = insert(runs).values(
            started_at=run.started_at,
            version=run.version,
            settings=run.settings,
            settings_sha256=sha256,
            data_provider=run.data_provider,
            runtime_mode=run.runtime_mode,
        )
        async with self.writing() as connection:
            return int((await connection.execute(statement.returning(runs.c.id))).scalar_one())

    async def append_audit(self, event: AuditEvent) -> AuditEntry:
        """Append one entry to the audit chain. Entries are numbered 1, 2, 3 ... without gaps, in commit order."""
        async with self.writing() as connection:
            return await append_entry(connection, event)

    async def audit_after(self, seq: int, limit: int) -> list[AuditEntry]:
        """The entries that follow number `seq`, oldest first; none when the end is reached."""
        if not 0 <= seq <= MAX_SEQ:
            raise invalid("seq", f"must be 0 to {MAX_SEQ}")
        if not 1 <= limit <= MAX_PAGE:
            raise invalid("limit", f"must be 1 to {MAX_PAGE}")
        async with self.reading() as connection:
            return await read_entries(connection, after=seq, limit=limit)

    async def audit_head(self) -> ChainReport:
        """How many entries the chain has, and the hash of the last: to be kept elsewhere."""
        async with self.reading() as connection:
            return await read_head(connection)

    async def verify_audit(self) -> ChainReport:
        """Recompute the whole chain and name the first broken entry, if any.

        It sees every edit but two: a tail cut off together with its head, and a chain written anew. Only a hash kept
        elsewhere shows those (`docs/storage.md`).
        """
        async with self.reading() as connection:
            return await verify_entries(connection)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end of the block and undone when it raises."""
        with explained(self._address):
            async with self._engines.writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def turn(self, account_id: str) -> AsyncIterator[None]:
        """One writer at a time on an account, as far as this program goes; taken before its transaction begins.

        In the database they would wait for each other too, but with a connection each, and births would meanwhile hold
        the switch that a kill call waits for.
        """
        lock = self._turns.setdefault(account_id, asyncio.Lock())
        try:
            async with asyncio.timeout(self._patience_seconds):
                await lock.acquire()
        except TimeoutError:
            raise failure(self._address, BUSY, f"account {account_id[:64]!r} was busy") from None
        try:
            yield
        finally:
            lock.release()
            if not lock.locked():  # ids are not kept; who waits holds the old lock, which costs order but no safety
                self._turns.pop(account_id, None)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one snapshot: SQLite's always does, PostgreSQL's when told."""
        with explained(self._address):
            async with self._engines.reader.connect() as connection:
                if not is_sqlite(self._address):
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                yield connection
