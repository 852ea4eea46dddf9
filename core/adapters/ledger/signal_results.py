"""What became of decisions, and how often each theory pointed the right way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.signals_schema import signal_results, theory_performance
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


@dataclass(frozen=True, slots=True)
class TheoryPerformance:
    """How a theory's votes on a symbol went: how many, how many right, the share with its interval, what it added."""

    theory: str
    symbol: str
    computed_at: datetime
    votes: int
    hits: int
    hit_fraction: float | None
    hit_low: float | None
    hit_high: float | None
    contribution_percent: float | None


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


async def store_performance(connection: AsyncConnection, rows: Sequence[TheoryPerformance]) -> None:
    """Store the figures of one evaluation."""
    await connection.execute(insert(theory_performance), [asdict(row) for row in rows])


async def read_performance(connection: AsyncConnection, computed_at: datetime) -> list[TheoryPerformance]:
    """The figures of the evaluation made at that instant, by theory and symbol."""
    figures = theory_performance.c
    query = select(theory_performance).where(figures.computed_at == computed_at)
    rows = (await connection.execute(query.order_by(figures.theory, figures.symbol))).mappings()
    return [TheoryPerformance(**row) for row in rows]
