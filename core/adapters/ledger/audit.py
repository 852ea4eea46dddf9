"""The audit log in the database: append an entry, read some, verify all; each inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

from sqlalchemy import ColumnElement, Text, bindparam, func, insert, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.chain import GENESIS, AuditEntry, AuditEvent, ChainReport, close_chain, extend_chain, link
from core.adapters.ledger.schema import audit_head, audit_log
from core.errors import Code, CrpbotError

PAGE = 500  # rows hashed between two looks at the event loop: about 2 ms

# made once: SQLAlchemy takes longer to put such a statement together than the database to execute it
_LOCK_HEAD = select(audit_head.c.seq, audit_head.c.hash).with_for_update()
_APPEND = insert(audit_log)
_MOVE_HEAD = update(audit_head).values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))


class Head(NamedTuple):
    """Where the chain ends."""

    seq: int
    hash: str


async def append_entry(connection: AsyncConnection, event: AuditEvent, *, head: Head | None = None) -> AuditEntry:
    """Append inside the caller's transaction, so that an action and its audit entry are stored together or not at all.

    The head row is locked until commit: entries are numbered without gaps, in the order of their commits. It is the
    last lock to take; whoever holds it needs no other. Whoever has locked it already says what they got.
    """
    return (await append_events(connection, [event], head=head))[0]


async def append_events(
    connection: AsyncConnection, events: Sequence[AuditEvent], *, head: Head | None = None
) -> list[AuditEntry]:
    """Append several at once: an entry for each, in their order, as if they had been appended one by one."""
    previous, entries = head or await lock_head(connection), list[AuditEntry]()
    for event in events:
        entry = link(event, seq=previous.seq + 1, previous_hash=previous.hash)
        previous = Head(entry.seq, entry.hash)
        entries.append(entry)
    if entries:
        await connection.execute(_APPEND, [asdict(entry) for entry in entries])
        await connection.execute(_MOVE_HEAD, {"new_seq": previous.seq, "new_hash": previous.hash})
    return entries


async def lock_head(connection: AsyncConnection) -> Head:
    """Wait here for whoever is about to append, when what is to be stored depends on what they store."""
    head = (await connection.execute(_LOCK_HEAD)).one_or_none()
    if head is None:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            "audit_head: its one row is gone, so nothing can be recorded; restore the backup (docs/storage.md)",
            reason="AUDIT_HEAD_MISSING",
        )
    return Head(head.seq, head.hash)


async def read_entries(connection: AsyncConnection, *, after: int, limit: int) -> list[AuditEntry]:
    """The entries that follow number `after`, oldest first."""
    query = select(audit_log).where(audit_log.c.seq > after).order_by(audit_log.c.seq).limit(limit)
    return [AuditEntry(**row) for row in (await connection.execute(query)).mappings()]


async def read_head(connection: AsyncConnection) -> ChainReport:
    """Where the chain ends, unverified."""
    head = (await connection.execute(select(audit_head.c.seq, audit_head.c.hash))).one_or_none()
    return ChainReport(0, GENESIS) if head is None else ChainReport(head.seq, head.hash)


async def verify_entries(connection: AsyncConnection) -> ChainReport:
    """Recompute every hash and compare the end with the head. Needs a transaction that sees one snapshot."""
    head = (await connection.execute(select(audit_head.c.seq, audit_head.c.hash))).one_or_none()
    log = audit_log.c
    # the instant as stored text: an edited row may hold what no datetime can
    query = select(
        log.seq, _stored_text(connection), log.actor, log.action, log.subject, log.detail, log.previous_hash, log.hash
    ).order_by(log.seq)
    report = ChainReport(0, GENESIS)
    async with connection.stream(query, execution_options={"yield_per": PAGE}) as rows:
        async for page in rows.partitions():
            for row in page:
                report = extend_chain(report, row)
                if report.problem is not None:
                    return report
    return close_chain(report, None if head is None else (head.seq, head.hash))


def _stored_text(connection: AsyncConnection) -> ColumnElement[str]:
    if connection.dialect.name == "sqlite":
        return type_coerce(audit_log.c.at, Text)
    return func.to_char(func.timezone("UTC", audit_log.c.at), "YYYY-MM-DD HH24:MI:SS.US")
