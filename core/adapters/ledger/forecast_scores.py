"""Live scores of models, computed from one ledger. A score takes tenths of seconds: no event loop may compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.forecasts import MILLION, to_instant
from core.adapters.ledger.forecasts_schema import forecast_sources, forecasts
from core.adapters.ledger.ledger import Ledger
from core.forecasts.log import Came
from core.forecasts.score import MOST_WINDOWS, Counts, LiveCount, LiveScore, Scope, Windows, score

_source, _forecast = forecast_sources.c, forecasts.c
_SAID = func.coalesce(_forecast.calibrated_millionths, _forecast.probability_millionths)
_SILENT = _forecast.probability_millionths.is_(None)
_KNOWN = _forecast.came >= int(Came.NOT_UP)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


_COUNTS = (
    func.count(),
    _count(_SILENT),
    _count(_forecast.came.is_(None) & ~_SILENT),
    _count(_forecast.came == int(Came.UNKNOWN)),
    func.min(_forecast.minute),
    func.max(_forecast.minute),
)
_RIGHT = _count(_KNOWN & ((_SAID >= MILLION // 2) == (_forecast.came == int(Came.UP))))


@dataclass(frozen=True, slots=True)
class ForecastScores:
    """The live scores of one ledger."""

    ledger: Ledger

    async def count(self) -> Mapping[Scope, LiveCount]:
        """How often each model spoke and was right, by version, market and horizon."""
        scope = (_source.version, _source.identity, _source.horizon_minutes)
        query = select(*scope, *_COUNTS, _count(_KNOWN), _RIGHT)
        query = query.join(forecast_sources, _forecast.source_id == _source.id).group_by(*scope)
        async with self.ledger.reading() as connection:
            rows = (await connection.execute(query)).all()
        return {
            Scope(version, identity, horizon): LiveCount(
                asked, silent, waiting, unknown, known, right, to_instant(last)
            )
            for version, identity, horizon, asked, silent, waiting, unknown, _, last, known, right in rows
        }

    async def score(self, scope: Scope, champion: str | None = None) -> LiveScore:
        """What a model's live forecasts were worth, and against the champion on the windows of both.

        Of the champion too, only what it said on this market over this horizon counts.
        """
        symbols: dict[str, int] = {}
        async with self.ledger.reading() as connection:
            counts = await _read_counts(connection, scope)
            own = await _read_windows(connection, scope, symbols)
            against = None
            if champion is not None and champion != scope.version:
                other = scope._replace(version=champion)
                against = (champion, await _read_windows(connection, other, symbols))
        return score(scope.version, counts, own, against)


async def _read_counts(connection: AsyncConnection, scope: Scope) -> Counts:
    query = select(*_COUNTS).join(forecast_sources, _forecast.source_id == _source.id).where(_within(scope))
    asked, silent, waiting, unknown, first, last = (await connection.execute(query)).one()
    return Counts(asked, silent, waiting, unknown, _instant(first), _instant(last))


async def _read_windows(connection: AsyncConnection, scope: Scope, symbols: dict[str, int]) -> Windows:
    """The newest windows whose outcome is known; `symbols` gives each symbol its number."""
    query = (
        select(_forecast.minute, _source.symbol, _SAID, _forecast.came)
        .join(forecast_sources, _forecast.source_id == _source.id)
        .where(_within(scope), _KNOWN)
        .order_by(_forecast.minute.desc(), _source.symbol)
        .limit(MOST_WINDOWS)
    )
    rows = (await connection.execute(query)).all()[::-1]
    table = np.array(
        [(minute, symbols.setdefault(symbol, len(symbols)), said, came) for minute, symbol, said, came in rows],
        dtype=np.int64,
    ).reshape(len(rows), 4)
    minute, symbol, said, came = table.T
    return Windows(minute, symbol, said / MILLION, came == int(Came.UP))


def _within(scope: Scope) -> ColumnElement[bool]:
    return and_(*(_source[name] == value for name, value in scope._asdict().items()))


def _instant(minute: int | None) -> datetime | None:
    return None if minute is None else to_instant(minute)
