"""Reading decisions back, whole and checked, and forgetting what was kept for a while only."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.audit import append_entry, lock_head
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.idempotency import conclude, hold
from core.adapters.ledger.ledger import MAX_PAGE, MAX_SEQ, Ledger
from core.adapters.ledger.schema import audit_log
from core.adapters.ledger.signals.rows import Row, from_row, seal_row
from core.adapters.ledger.signals.seen import Seen, SeenLast
from core.adapters.ledger.signals.snapshots import delete_snapshots_batch, read_identity, read_snapshot, store_snapshot
from core.adapters.ledger.signals.store import (
    find_signal,
    find_signals,
    list_signals,
    mark_executed,
    newest_seq,
    read_names,
    read_sealed,
    signals_after,
)
from core.adapters.ledger.signals.tail import SignalTail
from core.adapters.ledger.signals.texts import day_of, delete_texts_batch, read_texts
from core.errors import Code, CrpbotError, invalid
from core.idempotency import Attempt
from core.market import Candles
from core.risk.account import Clock
from core.signals.ports import WholeSignal
from core.signals.store import EVERYTHING, SignalFilter, SignalPage, SnapshotReference, StoredSignal
from core.trade import Book, Direction

EXECUTED: Final = "signal.execute"
SHOWN: Final = 64  # characters of an id that somebody sent


class Signals:
    """The stored decisions of one ledger. Each method is one transaction, or a row of small ones."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tail = SignalTail(ledger)
        self._last = SeenLast()

    async def get(self, signal_id: str) -> StoredSignal:
        """The decision of that id."""
        async with self._ledger.reading() as connection:
            found = await find_signal(connection, signal_id)
        if found is None:
            raise _unknown(signal_id)
        return found

    async def several(self, ids: Sequence[str]) -> dict[str, StoredSignal]:
        """Those decisions of these ids that are there, by id."""
        async with self._ledger.reading() as connection:
            return await find_signals(connection, ids)

    async def list(
        self,
        *,
        wanted: SignalFilter = EVERYTHING,
        cursor: int | None = None,
        limit: int,
        newest_first: bool = True,
    ) -> SignalPage:
        """A page of decisions, from the newest back or from the oldest on."""
        _check_page(cursor or 0, limit)
        async with self._ledger.reading() as connection:
            return await list_signals(connection, wanted=wanted, cursor=cursor, limit=limit, newest_first=newest_first)

    async def after(self, seq: int, limit: int, *, wanted: SignalFilter = EVERYTHING) -> Sequence[StoredSignal]:
        """The decisions that follow an audit number, oldest first."""
        _check_page(seq, limit)
        async with self._ledger.reading() as connection:
            return await signals_after(connection, seq, limit, wanted=wanted)

    async def whole(self, signal_id: str) -> WholeSignal:
        """A decision with its texts and candles. Any part that is not what was stored is an error that names it."""
        async with self._ledger.reading() as connection:
            found = await read_sealed(connection, signal_id)
            if found is None:
                raise _unknown(signal_id)
            row, detail = dict(found[0]), found[1]
            await _check_seal(connection, row, detail)
            stored = from_row(row, detail)
            texts = await read_texts(connection, stored.seq, day=day_of(stored.signal.timestamp), detail=detail)
            found_candles = [(one, await _kept(connection, one)) for one in stored.snapshots]
            kept = [(one, candles) for one, candles in found_candles if candles is not None]
            identities = [await read_identity(connection, one) for one, _ in kept]
        return WholeSignal(stored, texts, tuple(candles for _, candles in kept), tuple(identities))

    async def names(self, after_seq: int, limit: int) -> Sequence[tuple[int, str, str]]:
        """Number, id and symbol of the decisions that follow a number, oldest first, whatever else their rows hold."""
        _check_page(after_seq, limit)
        async with self._ledger.reading() as connection:
            return await read_names(connection, after_seq, limit)

    async def newest(self) -> int:
        """The number of the newest decision; 0 when there is none."""
        async with self._ledger.reading() as connection:
            return await newest_seq(connection)

    def follow(self, after_seq: int, *, wanted: SignalFilter = EVERYTHING) -> AsyncGenerator[StoredSignal, None]:
        """Every decision after that number, then each new one as it is stored."""
        return self._tail.follow(after_seq, wanted=wanted)

    async def mark_executed(
        self, signal_id: str, *, by: str, clock: Clock, attempt: Attempt | None = None
    ) -> StoredSignal:
        """Note that the trader took it, once; the answer is the decision with its mark."""
        async with self._ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            await lock_head(connection)
            found = await find_signal(connection, signal_id)
            if found is None:
                raise _unknown(signal_id)
            if found.signal.book is not Book.PRIMARY:
                detail = (
                    f"signal_id: {found.signal.id} is of the {found.signal.book.value} book, which only compares; "
                    "what was not published cannot be taken"
                )
                raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NOT_PUBLISHED")
            if found.signal.direction is Direction.HOLD:
                detail = f"signal_id: {found.signal.id} says HOLD, so there is nothing to execute"
                raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NOTHING_TO_EXECUTE")
            if not found.signal.executed:
                at = clock().at
                await mark_executed(connection, signal_id, at=at)
                await append_entry(connection, AuditEvent(at, by, EXECUTED, found.signal.id, {}))
            marked = replace(found, signal=replace(found.signal, executed=True))
            await conclude(connection, attempt, marked.signal)
        return marked

    async def store_snapshots(
        self, candles: Sequence[Candles], *, identity: str, at: datetime
    ) -> tuple[SnapshotReference, ...]:
        """Store what several decisions are about to see; the answers are in the order of the candles."""
        order = sorted(range(len(candles)), key=lambda place: (candles[place].symbol, candles[place].interval))
        seen: dict[int, Seen] = {}
        async with self._ledger.writing() as connection:
            for place in order:
                one = candles[place]
                seen[place] = await store_snapshot(connection, one, identity=identity, at=at, last=self._last)
        self._last.note({each.series.id: each for each in seen.values()})
        return tuple(seen[place].reference for place in range(len(candles)))

    async def forget(self, before: datetime) -> int:
        """Delete texts, snapshots and candles that only decisions before that instant need; never a decision."""
        return await self._forget(delete_texts_batch, before) + await self._forget(delete_snapshots_batch, before)

    async def _forget(self, batch: Callable[[AsyncConnection, datetime], Awaitable[int]], before: datetime) -> int:
        forgotten = 0
        while True:
            async with self._ledger.writing() as connection:
                deleted = await batch(connection, before)
            if deleted == 0:
                return forgotten
            forgotten += deleted


async def _kept(connection: AsyncConnection, reference: SnapshotReference) -> Candles | None:
    try:
        return await read_snapshot(connection, reference)
    except CrpbotError as error:
        if error.code is Code.NOT_FOUND:
            return None
        raise


async def _check_seal(connection: AsyncConnection, row: Row, detail: str) -> None:
    """The decision's row against the hash in its audit entry."""
    query = select(audit_log.c.detail).where(audit_log.c.seq == row["audit_seq"], audit_log.c.subject == row["id"])
    entry = (await connection.execute(query)).scalar_one_or_none()
    found = seal_row(row, detail)
    if entry is None or json.loads(entry).get("sha256") != found:
        words = (
            f"signal {row['id']} is not what was stored: its SHA-256 {found} does not stand in audit entry "
            f"{row['audit_seq']}; compare with a backup (docs/storage.md)"
        )
        raise CrpbotError(Code.FAILED_PRECONDITION, words, reason="SIGNAL_ALTERED")


def _check_page(cursor: int, limit: int) -> None:
    if not 0 <= cursor <= MAX_SEQ:
        raise invalid("cursor", f"must be 0 to {MAX_SEQ}")
    if not 1 <= limit <= MAX_PAGE:
        raise invalid("limit", f"must be 1 to {MAX_PAGE}")


def _unknown(signal_id: str) -> CrpbotError:
    return CrpbotError(Code.NOT_FOUND, f"signal_id: no signal {signal_id[:SHOWN]!r}", reason="UNKNOWN_SIGNAL")
