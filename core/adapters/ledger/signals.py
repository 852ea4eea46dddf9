"""Decisions in the database: stored once with their audit entry, never changed, read one by one or as lists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.audit import append_entry, lock_head
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.packing import pack, unpack
from core.adapters.ledger.signal_rows import from_row, seal_row, to_row
from core.adapters.ledger.signal_texts import (
    DETAIL,
    day_of,
    encode_texts,
    insert_texts,
    name_base,
    read_bases,
    settle_bases,
)
from core.adapters.ledger.signals_schema import EMITTED, signals
from core.errors import Code, CrpbotError
from core.signal import Signal, Strategy, Variant
from core.signal_store import EVERYTHING, NewSignal, SignalFilter, SignalPage, StoredSignal
from core.trade import Book, Direction

CHANNEL = "crpbot_signals"  # on which PostgreSQL tells every gateway that there is something new
ACTION = "signal.store"
ROWS_BETWEEN_LOOKS = 50  # rows turned into signals between two looks at the event loop: about 3 ms

_column = signals.c
# made once: SQLAlchemy takes longer to put such a statement together than the database to execute it
_INSERT = insert(signals)
_EXISTING = (
    select(_column.audit_seq)
    .where(
        or_(
            _column.id == bindparam("same_id"),
            and_(
                _column.account == bindparam("same_account"),
                _column.symbol == bindparam("same_symbol"),
                _column.slot == bindparam("same_slot"),
                _column.strategy == bindparam("same_strategy"),
                _column.variant_key == bindparam("same_variant"),
            ),
        )
    )
    .limit(1)
)
_OF_SLOT = (
    select(signals)
    .where(_column.account == bindparam("of_account"), _column.slot == bindparam("of_slot"))
    .where(_column.symbol.in_(bindparam("of_symbols", expanding=True)))
    .order_by(_column.audit_seq)
)


async def store_signal(connection: AsyncConnection, new: NewSignal, *, created_at: datetime) -> StoredSignal:
    """Store a decision and its audit entry inside the caller's transaction; an existing row is the answer.

    Takes the audit head, the last lock of all, before it looks for an existing row: from there on no other decision
    can come in between. `is_new` tells whether anything was written.
    """
    signal = new.signal
    head = await lock_head(connection)
    existing = await _find_existing(connection, signal)
    if existing is not None:
        return existing
    await _refuse_second_emission(connection, signal)
    row, detail = to_row(new, created_at)
    texts = encode_texts(new.texts)
    facts = {**new.facts, "sha256": seal_row(row, detail)}
    entry = await append_entry(connection, AuditEvent(created_at, new.actor, ACTION, signal.id, facts), head=head)
    day, blob = day_of(signal.timestamp), detail.encode()
    names = {kind: name_base(kind, signal.symbol) for kind in texts}
    bases = await settle_bases(connection, day, {DETAIL: blob, **{names[kind]: text for kind, text in texts.items()}})
    await connection.execute(_INSERT, {**row, "audit_seq": entry.seq, "detail": pack(blob, bases[DETAIL, day])})
    own = {kind: bases[name, day] for kind, name in names.items()}
    await insert_texts(connection, entry.seq, texts, bases=own, detail=blob)
    if connection.dialect.name != "sqlite":
        await connection.execute(select(func.pg_notify(CHANNEL, "")))
    return StoredSignal(entry.seq, signal, created_at, new.key, new.snapshots, is_new=True)


async def find_signal(connection: AsyncConnection, signal_id: str) -> StoredSignal | None:
    """The decision of that id."""
    return await _find(connection, _column.id == signal_id)


async def find_signals(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, StoredSignal]:
    """Those decisions of these ids that are there, by id."""
    rows = (await connection.execute(select(signals).where(_column.id.in_(ids)))).mappings().all()
    return {stored.signal.id: stored for stored in await _load(connection, rows)}


async def find_decided(
    connection: AsyncConnection,
    *,
    account: str,
    symbol: str,
    slot: datetime,
    strategy: Strategy,
    variant: Variant | None,
) -> StoredSignal | None:
    """What has been decided for that slot already. Exact for whoever holds the account's lock."""
    return await _find(connection, _same_slot(account, symbol, slot, strategy=strategy, variant=variant))


async def mark_executed(connection: AsyncConnection, signal_id: str, *, at: datetime) -> None:
    """Note that a trade came of it: the one thing about a stored decision that changes, and only this way round."""
    await connection.execute(update(signals).where(_column.id == signal_id).values(executed=True, executed_at=at))


async def signals_after(
    connection: AsyncConnection, seq: int, limit: int, *, wanted: SignalFilter = EVERYTHING
) -> list[StoredSignal]:
    """The decisions after that audit number, oldest first. None that comes later has a smaller number."""
    query = select(signals).where(_column.audit_seq > seq, *_conditions(wanted)).order_by(_column.audit_seq)
    return await _load(connection, (await connection.execute(query.limit(limit))).mappings().all())


async def list_signals(
    connection: AsyncConnection,
    *,
    wanted: SignalFilter = EVERYTHING,
    cursor: int | None = None,
    limit: int,
    newest_first: bool = True,
) -> SignalPage:
    """A page of decisions. The cursor is the number of the last one seen, so that pages neither skip nor repeat."""
    order = _column.audit_seq.desc() if newest_first else _column.audit_seq.asc()
    query = select(signals).where(*_conditions(wanted)).order_by(order)
    if cursor is not None:
        query = query.where(_column.audit_seq < cursor if newest_first else _column.audit_seq > cursor)
    found = await _load(connection, (await connection.execute(query.limit(limit + 1))).mappings().all())
    page = tuple(found[:limit])
    return SignalPage(page, page[-1].seq if len(found) > limit else None)


async def read_names(connection: AsyncConnection, after_seq: int, limit: int) -> Sequence[tuple[int, str, str]]:
    """Number, id and symbol of the decisions after that audit number, oldest first."""
    query = select(_column.audit_seq, _column.id, _column.symbol).where(_column.audit_seq > after_seq)
    rows = (await connection.execute(query.order_by(_column.audit_seq).limit(limit))).all()
    return [(row.audit_seq, row.id, row.symbol) for row in rows]


async def newest_seq(connection: AsyncConnection) -> int:
    """The number of the newest decision; 0 when there is none."""
    return (await connection.execute(select(func.max(_column.audit_seq)))).scalar_one() or 0


async def read_sealed(connection: AsyncConnection, signal_id: str) -> tuple[RowMapping, str] | None:
    """A row as stored and the text of its detail."""
    row = (await connection.execute(select(signals).where(_column.id == signal_id))).mappings().one_or_none()
    if row is None:
        return None
    bases = await read_bases(connection, [day_of(row["timestamp"])], [DETAIL])
    return row, unpack(row["detail"], bases.get((DETAIL, day_of(row["timestamp"])), b"")).decode()


async def find_slot(
    connection: AsyncConnection, account: str, symbols: Sequence[str], slot: datetime
) -> dict[str, StoredSignal]:
    """What an account has decided on these symbols for that slot, by symbol; of several the one that was emitted."""
    asked = {"of_account": account, "of_slot": slot, "of_symbols": [*symbols]}
    rows = (await connection.execute(_OF_SLOT, asked)).mappings().all()
    found: dict[str, StoredSignal] = {}
    for stored in await _load(connection, rows):
        if stored.signal.symbol not in found or stored.signal.direction is not Direction.HOLD:
            found[stored.signal.symbol] = stored
    return found


def _conditions(wanted: SignalFilter) -> list[ColumnElement[bool]]:
    asked = {
        _column.symbol: wanted.symbol,
        _column.direction: wanted.direction and wanted.direction.value,
        _column.signal_variant: wanted.variant and wanted.variant.value,
        _column.tier: wanted.tier and wanted.tier.value,
        _column.book: wanted.book and wanted.book.value,
        _column.account: wanted.account,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in asked.items() if value is not None]
    if wanted.since is not None:
        conditions.append(_column.timestamp >= wanted.since)
    if wanted.until is not None:
        conditions.append(_column.timestamp < wanted.until)
    return conditions


def _same_slot(
    account: str, symbol: str, slot: datetime, *, strategy: Strategy, variant: Variant | None
) -> ColumnElement[bool]:
    return and_(
        _column.account == account,
        _column.symbol == symbol,
        _column.slot == slot,
        _column.strategy == strategy.value,
        _column.variant_key == ("" if variant is None else variant.value),
    )


async def _find(connection: AsyncConnection, condition: ColumnElement[bool]) -> StoredSignal | None:
    rows = (await connection.execute(select(signals).where(condition))).mappings().all()
    found = await _load(connection, rows)
    return found[0] if found else None


async def _find_existing(connection: AsyncConnection, signal: Signal) -> StoredSignal | None:
    """By its id, and where it has a slot also by that: of nearly every decision there is none, which costs one look."""
    same = {
        "same_id": signal.id,
        "same_account": signal.account,
        "same_symbol": signal.symbol,
        "same_slot": signal.slot,
        "same_strategy": signal.strategy.value,
        "same_variant": "" if signal.variant is None else signal.variant.value,
    }
    if (await connection.execute(_EXISTING, same)).first() is None:
        return None
    found = _column.id == signal.id
    if signal.slot is not None:
        slot = _same_slot(signal.account, signal.symbol, signal.slot, strategy=signal.strategy, variant=signal.variant)
        found = or_(found, slot)
    return await _find(connection, found)


async def _refuse_second_emission(connection: AsyncConnection, signal: Signal) -> None:
    """One BUY or SELL of the primary book for each account, symbol and slot, whoever decided it."""
    if signal.book is not Book.PRIMARY or signal.direction is Direction.HOLD or signal.slot is None:
        return
    same = and_(_column.account == signal.account, _column.symbol == signal.symbol, _column.slot == signal.slot)
    first = (await connection.execute(select(_column.id).where(same, EMITTED))).scalar_one_or_none()
    if first is not None:
        detail = (
            f"slot: {signal.symbol} of account {signal.account} has its signal of {signal.slot.isoformat()}: {first}; "
            "store another decision for the same slot in the shadow book"
        )
        raise CrpbotError(Code.ALREADY_EXISTS, detail, reason="SLOT_TAKEN")


async def _load(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[StoredSignal]:
    days = {day_of(row["timestamp"]) for row in rows}
    bases = await read_bases(connection, days, [DETAIL]) if rows else {}
    loaded = []
    for number, row in enumerate(rows, start=1):
        loaded.append(_read(row, bases))
        if number % ROWS_BETWEEN_LOOKS == 0:
            await asyncio.sleep(0)
    return loaded


def _read(row: RowMapping, bases: dict[tuple[str, str], bytes]) -> StoredSignal:
    values: dict[str, Any] = dict(row)  # Any: columns of many types
    detail = unpack(values["detail"], bases.get((DETAIL, day_of(values["timestamp"])), b"")).decode()
    return from_row(values, detail)
