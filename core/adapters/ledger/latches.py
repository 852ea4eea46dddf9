"""Limits that have tripped, in the database: rows are only ever added, and lifting one is a row that names it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.audit import append_entry
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.risk_schema import latches
from core.money import from_units, round_down
from core.risk.account import Latch, LatchKind

_latch = latches.c


async def trip_latch(connection: AsyncConnection, account_id: str, latch: Latch, *, by: str) -> bool:
    """Store it inside the caller's transaction, which holds the account; False when it had tripped already."""
    lifting = latches.alias().c
    lifted = select(lifting.seq).where(lifting.account_id == account_id, lifting.lifts == _latch.seq)
    same = select(_latch.seq).where(
        _latch.account_id == account_id,
        _latch.kind == latch.kind.value,
        _latch.rule == latch.rule,  # the breach of one rule does not hide that of the other
        _latch.lifts.is_(None),
        ~lifted.exists(),
    )
    if latch.kind is LatchKind.DAILY_STOP:
        same = same.where(_latch.day == latch.day)
    if (await connection.execute(same.limit(1))).one_or_none() is not None:
        return False
    values: dict[str, object] = {
        "lifts": None,
        "kind": latch.kind.value,
        "rule": latch.rule,
        "at": latch.at,
        "day": latch.day,
        # below what it was: an equity is not shown better than it is
        "value_units": round_down(latch.value, field="value"),
        "limit_units": round_down(latch.limit, field="limit"),
        "set_by": by,
        "reason": latch.rule,
    }
    await _append(connection, account_id, values)
    detail = {"kind": latch.kind.value, "rule": latch.rule, "day": latch.day}
    told = {**detail, "value": str(latch.value), "limit": str(latch.limit)}
    await append_entry(connection, AuditEvent(latch.at, by, "latch.trip", f"account/{account_id}", told))
    return True


async def lift_latches(
    connection: AsyncConnection,
    account_id: str,
    kind: LatchKind,
    *,
    rule: str | None = None,
    by: str,
    reason: str,
    at: datetime,
) -> int:
    """Lift those of that kind, and of that rule where one is named; the answer is their number.

    Inside the caller's transaction, which holds the account.
    """
    lifting = latches.alias().c
    lifted = select(lifting.seq).where(lifting.account_id == account_id, lifting.lifts == _latch.seq)
    query = (
        select(_latch.seq, _latch.rule, _latch.day, _latch.value_units, _latch.limit_units)
        .where(_latch.account_id == account_id, _latch.kind == kind.value, _latch.lifts.is_(None), ~lifted.exists())
        .order_by(_latch.seq)
    )
    if rule is not None:
        query = query.where(_latch.rule == rule)
    tripped = (await connection.execute(query)).all()
    for row in tripped:
        values = {**row._mapping, "lifts": row.seq, "kind": kind.value, "at": at, "set_by": by, "reason": reason}
        del values["seq"]
        await _append(connection, account_id, values)
    if tripped:
        last = tripped[-1]
        detail = {"kind": kind.value, "reason": reason, "lifted": len(tripped), "rule": last.rule, "day": last.day}
        told = {**detail, "value": str(from_units(last.value_units)), "limit": str(from_units(last.limit_units))}
        await append_entry(connection, AuditEvent(at, by, "latch.lift", f"account/{account_id}", told))
    return len(tripped)


async def _append(connection: AsyncConnection, account_id: str, values: dict[str, object]) -> None:
    last = select(func.max(_latch.seq)).where(_latch.account_id == account_id)
    seq = ((await connection.execute(last)).scalar() or 0) + 1
    await connection.execute(insert(latches).values(account_id=account_id, seq=seq, **values))
