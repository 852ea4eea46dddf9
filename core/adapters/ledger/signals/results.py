"""What became of decisions: stored once, with the closing of the trade."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.signals.schema import signal_results
from core.money import decimal_text, to_units


@dataclass(frozen=True, slots=True)
class SignalResult:
    """How a signal's trade ended. `pnl_percent` is of the entry price, costs included."""

    signal_id: str
    outcome: str
    pnl_percent: float
    pnl_usd: Decimal | None
    exit_price: Decimal | None
    closed_at: datetime


async def store_result(connection: AsyncConnection, result: SignalResult, *, created_at: datetime) -> bool:
    """Store how a signal ended, inside the caller's transaction. False: it had ended before, and nothing changes."""
    ended = select(signal_results.c.signal_id).where(signal_results.c.signal_id == result.signal_id)
    if (await connection.execute(ended)).one_or_none() is not None:
        return False
    insert_one = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert_one(signal_results).values(
        signal_id=result.signal_id,
        outcome=result.outcome,
        pnl_percent=result.pnl_percent,
        pnl_units=None if result.pnl_usd is None else to_units(result.pnl_usd, field="pnl_usd"),
        exit_price=None if result.exit_price is None else decimal_text(result.exit_price, field="exit_price"),
        closed_at=result.closed_at,
        created_at=created_at,
    )
    stored = await connection.execute(statement.on_conflict_do_nothing().returning(signal_results.c.signal_id))
    return stored.one_or_none() is not None
