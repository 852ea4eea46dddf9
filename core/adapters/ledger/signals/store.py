"""Decisions in the database: stored once with their audit entry, never changed, read one by one or as lists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, RowMapping, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.audit import append_events, lock_head
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.packing import pack, unpack
from core.adapters.ledger.signals.rows import from_row, seal_row, to_row
from core.adapters.ledger.signals.schema import EMITTED, signals
from core.adapters.ledger.signals.texts import (
    DETAIL,
    Bases,
    day_of,
    encode_texts,
    insert_texts,
    name_base,
    read_bases,
    settle_bases,
    text_rows,
)
from core.errors import Code, CrpbotError
from core.signal import Signal, Strategy, Variant
from core.signals.store import EVERYTHING, NewSignal, SignalFilter, SignalPage, StoredSignal
from core.trade import Book, Direction

CHANNEL = "crpbot_signals"  # on which PostgreSQL tells every gateway that there is something new
ACTION = "signal.store"
ROWS_BETWEEN_LOOKS = 50  # rows turned into signals between two looks at the event loop: about 3 ms

_column = signals.c
_PLACE = (_column.symbol, _column.strategy, _column.variant_key)  # of a decision among those of an account and a slot
# made once: SQLAlchemy takes longer to put such a statement together than the database to execute it
_INSERT = insert(signals)
_EXISTING = select(_column.id, _column.account, _column.slot, *_PLACE).where(
    or_(
        _column.id.in_(bindparam("same_ids", expanding=True)),
        and_(
            _column.account == bindparam("same_account"),
            _column.slot == bindparam("same_slot"),
            _column.symbol.in_(bindparam("same_symbols", expanding=True)),
        ),
    )
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
    return (await store_signals(connection, [new], created_at=created_at))[0]


async def store_signals(
    connection: AsyncConnection, news: Sequence[NewSignal], *, created_at: datetime
) -> list[StoredSignal]:
    """Store decisions of one account and slot (or none) at once, as if one by one: each with its own audit entry."""
    head = await lock_head(connection)
    existing = await _find_existing(connection, [new.signal for new in news])
    fresh = [new for new in news if new.signal.id not in existing]
    for new in fresh:
        await _refuse_second_emission(connection, new.signal)
    rows = [_Row(new, *to_row(new, created_at)) for new in fresh]
    entries = await append_events(connection, [each.event(created_at) for each in rows], head=head)
    await _insert(connection, rows, [entry.seq for entry in entries])
    stored = dict(existing)
    for new, entry in zip(fresh, entries, strict=True):
        stored[new.signal.id] = StoredSignal(entry.seq, new.signal, created_at, new.key, new.snapshots, is_new=True)
    return [stored[new.signal.id] for new in news]


class _Row(NamedTuple):
    """A decision that is about to be stored: its columns, and the text of its detail."""

    new: NewSignal
    columns: dict[str, Any]  # Any: columns of many types
    detail: str

    def event(self, at: datetime) -> AuditEvent:
        """What the audit chain says of it."""
        facts = {**self.new.facts, "sha256": seal_row(self.columns, self.detail)}
        return AuditEvent(at, self.new.actor, ACTION, self.new.signal.id, facts)


async def _insert(connection: AsyncConnection, rows: Sequence[_Row], numbers: Sequence[int]) -> None:
    """The rows under their numbers of the audit log, then their texts. The first text of a day is its dictionary."""
    if not rows:
        return
    wanted: dict[str, dict[str, bytes]] = {}
    packed: list[tuple[int, _Row, dict[str, bytes]]] = []
    for number, each in zip(numbers, rows, strict=True):
        texts, signal = encode_texts(each.new.texts), each.new.signal
        of_day = wanted.setdefault(day_of(signal.timestamp), {})
        of_day.setdefault(DETAIL, each.detail.encode())
        for kind, body in texts.items():
            of_day.setdefault(name_base(kind, signal.symbol), body)
        packed.append((number, each, texts))
    bases: Bases = {}
    for day, firsts in wanted.items():
        bases |= await settle_bases(connection, day, firsts)
    values, stored_texts = [], []
    for number, each, texts in packed:
        signal, blob = each.new.signal, each.detail.encode()
        day = day_of(signal.timestamp)
        values.append({**each.columns, "audit_seq": number, "detail": pack(blob, bases[DETAIL, day])})
        own = {kind: bases[name_base(kind, signal.symbol), day] for kind in texts}
        stored_texts += text_rows(number, texts, bases=own, detail=blob)
    await connection.execute(_INSERT, values)
    await insert_texts(connection, stored_texts)
    if connection.dialect.name != "sqlite":
        await connection.execute(select(func.pg_notify(CHANNEL, "")))


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
        _column.strategy: wanted.strategy and wanted.strategy.value,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in asked.items() if value is not None]
    if wanted.since is not None:
        conditions.append(_column.timestamp >= wanted.since)
    if wanted.until is not None:
        conditions.append(_column.timestamp < wanted.until)
    if wanted.model is not None:
        conditions.append((" " + _column.models + " ").contains(f" {wanted.model} ", autoescape=True))
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


async def _find_existing(connection: AsyncConnection, news: Sequence[Signal]) -> dict[str, StoredSignal]:
    """What is there already in the stead of these, by their ids: found by id, and where it has a slot also by that.

    Of nearly every decision there is none, which costs one look for all of them.
    """
    asked = {
        "same_ids": [each.id for each in news],
        "same_account": news[0].account,
        "same_slot": news[0].slot,
        "same_symbols": sorted({each.symbol for each in news}),
    }
    there = (await connection.execute(_EXISTING, asked)).all() if news else []
    if not there:
        return {}
    ids = {row.id for row in there}
    same = (news[0].account, news[0].slot)
    places = {
        (row.symbol, row.strategy, row.variant_key): row.id
        for row in there
        if row.slot is not None and (row.account, row.slot) == same
    }
    kept = await find_signals(connection, [*ids])
    stands = {each.id: each.id if each.id in ids else places.get(_place(each)) for each in news}
    return {own: kept[other] for own, other in stands.items() if other is not None}


def _place(signal: Signal) -> tuple[str, str, str]:
    return signal.symbol, signal.strategy.value, "" if signal.variant is None else signal.variant.value


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
