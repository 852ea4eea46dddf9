"""How theories did, evaluation by evaluation: written once a day and whenever somebody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, exists, select
from sqlalchemy.dialects import postgresql, sqlite

from core.adapters.ledger.idempotency import conclude, hold
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.risk_schema import trades
from core.adapters.ledger.signals.schema import theory_performance
from core.idempotency import Attempt
from core.performance.contribution import Role
from core.performance.question import ListTheoryPerformanceRequest
from core.performance.theories import TheoryPerformance

_figure = theory_performance.c


@dataclass(frozen=True, slots=True)
class StoredFigures:
    """The evaluations of one ledger."""

    ledger: Ledger

    async def store(self, rows: Sequence[TheoryPerformance], attempt: Attempt | None = None) -> None:
        """Store the figures of one evaluation; what another gateway stored for the same instant stays.

        With an attempt only as long as the key is its own, and with the answer that a repetition gets.
        """
        if not rows and attempt is None:
            return
        values = [{**asdict(row), "role": row.role.value} for row in rows]
        async with self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            if values:
                insert_many = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
                await connection.execute(insert_many(theory_performance).on_conflict_do_nothing(), values)
            await conclude(connection, attempt, tuple(rows))

    async def list(self, wanted: ListTheoryPerformanceRequest, *, limit: int) -> tuple[TheoryPerformance, ...]:
        """The newest evaluations first, in each the symbols and theories by name."""
        query = select(theory_performance)
        for name in ("account", "theory", "symbol"):
            value = getattr(wanted, name)
            if value is not None:
                query = query.where(_figure[name] == value)
        if wanted.since is not None:
            query = query.where(_figure.computed_at >= wanted.since)
        if wanted.until is not None:
            query = query.where(_figure.computed_at < wanted.until)
        order = (_figure.computed_at.desc(), _figure.account, _figure.symbol, _figure.theory)
        async with self.ledger.reading() as connection:
            rows = (await connection.execute(query.order_by(*order).limit(limit))).mappings().all()
        return tuple(_read(dict(row)) for row in rows)

    async def due(self, account: str, midnight: datetime) -> bool:
        """Whether trades closed before that midnight and nothing has been evaluated since."""
        done = exists().where(_figure.account == account, _figure.computed_at >= midnight)
        ended = exists().where(trades.c.account_id == account, trades.c.closed_at < midnight)
        async with self.ledger.reading() as connection:
            return bool((await connection.execute(select(and_(ended, ~done)))).scalar_one())


def _read(row: dict[str, Any]) -> TheoryPerformance:  # Any: columns of many types
    return TheoryPerformance(**{**row, "role": Role(row["role"])})
