"""Money in the ledger: entries are numbered without holes, never rewritten, and each event is booked once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.risk_schema import ledger_entries, trades
from core.errors import Code, CrpbotError, invalid
from core.money import from_units, to_units
from core.risk.account import Account
from core.risk.booking import Entry, EntryKind, NewEntry
from core.risk.calendar import firm_day

MAX_ENTRIES = 500  # of one call

_entry = ledger_entries.c


class Booked(NamedTuple):
    """The entries that were asked for as they stand in the ledger, and the numbers of those that are new."""

    entries: tuple[Entry, ...]
    new: tuple[int, ...]


async def append_entries(
    connection: AsyncConnection, account: Account, entries: Sequence[NewEntry], *, at: datetime
) -> Booked:
    """Append inside the caller's transaction, which holds the account. An event that is booked is answered as it is.

    They belong to the firm's day of `at`, the instant of the commit.
    """
    _check_batch(entries)
    booked = await _booked(connection, account.id, [entry.key for entry in entries])
    last = select(func.max(_entry.seq)).where(_entry.account_id == account.id)
    seq = (await connection.execute(last)).scalar() or 0
    day = firm_day(account.time_zone, at).date.isoformat()
    answer, rows = [], []
    for position, new in enumerate(entries):
        if new.key in booked:
            answer.append(_same(booked[new.key], new, position))
            continue
        seq += 1
        units = to_units(new.amount, field=f"entries.{position}.amount")
        entry = Entry(account.id, seq, new.key, at, day, from_units(units), new.kind, new.trade_id, new.detail)
        answer.append(entry)
        rows.append(_values(entry, units))
    if rows:
        await connection.execute(insert(ledger_entries), rows)
    return Booked(tuple(answer), tuple(entry.seq for entry in answer if entry.key not in booked))


async def require_unfinished(connection: AsyncConnection, account_id: str, entries: Sequence[NewEntry]) -> None:
    """Refuse entries of trades that are closed, not of this account or not there, unless they are booked already."""
    booked = await _booked(connection, account_id, [entry.key for entry in entries])
    named = {entry.trade_id for entry in entries if entry.trade_id is not None and entry.key not in booked}
    query = select(trades.c.id, trades.c.state).where(trades.c.id.in_(named), trades.c.account_id == account_id)
    states = {row.id: row.state for row in await connection.execute(query)} if named else {}
    for position, entry in enumerate(entries):
        if entry.trade_id not in named:
            continue
        field = f"entries.{position}.trade_id"
        if entry.trade_id not in states:
            raise invalid(field, f"account {account_id!r} has no trade {entry.trade_id!r}", reason="UNKNOWN_TRADE")
        if states[entry.trade_id] == "closed":
            detail = f"{field}: trade {entry.trade_id!r} is closed and its result stands; book an adjustment instead"
            raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="TRADE_CLOSED")


async def read_entries_after(
    connection: AsyncConnection, account_id: str, *, after: int, limit: int
) -> tuple[Entry, ...]:
    """The entries that follow number `after`, oldest first."""
    query = select(ledger_entries).where(_entry.account_id == account_id, _entry.seq > after)
    rows = await connection.execute(query.order_by(_entry.seq).limit(limit))
    return tuple(_to_entry(row) for row in rows)


async def sum_of_trade(connection: AsyncConnection, trade_id: str) -> int:
    """What a trade has moved so far, in units."""
    query = select(func.sum(_entry.amount_units)).where(_entry.trade_id == trade_id)
    return int((await connection.execute(query)).scalar() or 0)


async def _booked(connection: AsyncConnection, account_id: str, keys: Sequence[str]) -> dict[str, Entry]:
    if not keys:
        return {}
    query = select(ledger_entries).where(_entry.account_id == account_id, _entry.entry_key.in_(keys))
    return {row.entry_key: _to_entry(row) for row in await connection.execute(query)}


def _check_batch(entries: Sequence[NewEntry]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise invalid("entries", f"{len(entries)} in one call, at most {MAX_ENTRIES} are allowed")
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        if entry.key in seen:
            raise invalid(f"entries.{position}.key", f"{entry.key!r} stands twice in this call")
        seen.add(entry.key)


def _same(stored: Entry, new: NewEntry, position: int) -> Entry:
    if (stored.amount, stored.kind, stored.trade_id) != (new.amount, new.kind, new.trade_id):
        detail = (
            f"entries.{position}.key: {new.key!r} is booked as number {stored.seq} with {stored.amount} USD "
            f"({stored.kind.value}), not {new.amount} USD ({new.kind.value}); choose another key for another event"
        )
        raise CrpbotError(Code.ALREADY_EXISTS, detail, reason="ENTRY_KEY_REUSED")
    return stored


def _values(entry: Entry, units: int) -> dict[str, object]:
    return {
        "account_id": entry.account,
        "seq": entry.seq,
        "entry_key": entry.key,
        "at": entry.at,
        "day": entry.day,
        "amount_units": units,
        "kind": entry.kind.value,
        "trade_id": entry.trade_id,
        "detail": entry.detail,
    }


def _to_entry(row: Row[Any]) -> Entry:  # Any: the columns of the table
    return Entry(
        account=row.account_id,
        seq=row.seq,
        key=row.entry_key,
        at=row.at,
        day=row.day,
        amount=from_units(row.amount_units),
        kind=EntryKind(row.kind),
        trade_id=row.trade_id,
        detail=row.detail,
    )


async def entries_of_trades(connection: AsyncConnection, trade_ids: Sequence[str]) -> dict[str, list[Entry]]:
    """The entries of some trades, by trade, oldest first."""
    found: dict[str, list[Entry]] = {}
    if trade_ids:
        query = select(ledger_entries).where(ledger_entries.c.trade_id.in_(trade_ids)).order_by(ledger_entries.c.seq)
        for row in await connection.execute(query):
            found.setdefault(row.trade_id, []).append(_to_entry(row))
    return found
