"""What models said on live windows: kept in one statement a call, settled when the future is there, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.forecasts_schema import AWAITED, forecast_sources, forecasts
from core.adapters.ledger.ledger import Ledger
from core.forecasts.log import Awaited, Noted, Settled, Source
from core.market import instant, milliseconds
from core.paper.tape import MINUTE_MS, SETTLED_MS

MILLION: Final = 1_000_000

_source, _forecast = forecast_sources.c, forecasts.c

# made once: putting such a statement together takes longer than executing it
_SETTLE: Final = (
    update(forecasts)
    .where(
        _forecast.minute == bindparam("of_minute"),
        AWAITED,
        _forecast.source_id.in_(
            select(_source.id).where(
                _source.identity == bindparam("of_identity"),
                _source.symbol == bindparam("of_symbol"),
                _source.horizon_minutes == bindparam("of_horizon"),
            )
        ),
    )
    .values(came=bindparam("what_came"), move_millionths=bindparam("the_move"))
)


class StoredForecasts:
    """The forecasts of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._ids: dict[Source, int] = {}  # of every source that was met; they never change

    async def store(self, notes: Sequence[Noted]) -> None:
        """Keep these; what a model has said of a symbol and instant already stays, but a silence gives way to it.

        Gateways that note the same lock one another's rows, so each of them does so in the order of the key.
        """
        if not notes:
            return
        ids = dict(self._ids)
        async with self._ledger.writing() as connection:
            new = sorted({note.source for note in notes if note.source not in ids})
            ids.update(await _number(connection, new) if new else {})
            await connection.execute(_keep(connection), _rows(notes, ids))
        self._ids = ids  # only what a transaction that ended has stored

    async def awaited(self, identity: str, now: datetime, *, limit: int) -> Sequence[Awaited]:
        """The oldest instants whose horizon is over and of which nobody knows yet what came."""
        last = (milliseconds(now) - SETTLED_MS) // MINUTE_MS
        query = (
            select(_forecast.minute, _source.horizon_minutes, _source.symbol)
            .join(forecast_sources, _forecast.source_id == _source.id)
            .where(AWAITED, _source.identity == identity, _forecast.minute + _source.horizon_minutes <= last)
            .distinct()
            .order_by(_forecast.minute, _source.horizon_minutes, _source.symbol)
            .limit(limit)
        )
        async with self._ledger.reading() as connection:
            rows = (await connection.execute(query)).all()
        symbols: dict[tuple[int, int], list[str]] = {}
        for minute, horizon, symbol in rows:
            symbols.setdefault((minute, horizon), []).append(symbol)
        return [Awaited(to_instant(minute), horizon, tuple(names)) for (minute, horizon), names in symbols.items()]

    async def settle(self, identity: str, awaited: Awaited, found: Sequence[Settled]) -> None:
        """Keep what came; what is known already stays."""
        values = [
            {
                "of_minute": _minute(awaited.as_of),
                "of_identity": identity,
                "of_symbol": each.symbol,
                "of_horizon": awaited.horizon_minutes,
                "what_came": int(each.came),
                "the_move": _millionths(each.move),
            }
            for each in found
        ]
        async with self._ledger.writing() as connection:
            await connection.execute(_SETTLE, values)

    async def forget(self, before: datetime) -> int:
        """Delete what was said before that instant."""
        sources = select(_source.id)  # named, so that each is a range of the key
        statement = delete(forecasts).where(_forecast.source_id.in_(sources), _forecast.minute < _minute(before))
        async with self._ledger.writing() as connection:
            return int((await connection.execute(statement)).rowcount)


def to_instant(minute: int) -> datetime:
    """The instant that a minute since 1970 is."""
    return instant(minute * MINUTE_MS)


async def _number(connection: AsyncConnection, sources: Sequence[Source]) -> dict[Source, int]:
    """The numbers of sources, given to those that are new."""
    values = [source._asdict() for source in sources]
    await connection.execute(_insert(connection, forecast_sources).on_conflict_do_nothing(), values)
    columns = [_source[name] for name in Source._fields]
    query = select(_source.id, *columns).where(_source.version.in_({source.version for source in sources}))
    known = {Source(*rest): number for number, *rest in (await connection.execute(query)).all()}
    return {source: known[source] for source in sources}


def _keep(connection: AsyncConnection) -> Any:  # Any: a statement of either dialect
    """Inserts what was said; a silence of which nothing came gives way to what was said of the same instant."""
    statement = _insert(connection, forecasts)
    said = {name: statement.excluded[name] for name in ("candidate", "probability_millionths", "calibrated_millionths")}
    return statement.on_conflict_do_update(
        index_elements=["source_id", "minute"],
        set_=said,
        where=_forecast.probability_millionths.is_(None)
        & _forecast.came.is_(None)
        & statement.excluded.probability_millionths.is_not(None),
    )


def _rows(notes: Sequence[Noted], ids: Mapping[Source, int]) -> list[dict[str, object]]:
    """A row for each key, in the order of the keys; of several notes the first that spoke."""
    rows: dict[tuple[int, int], dict[str, object]] = {}
    for note in sorted(notes, key=lambda each: each.probability is None):
        key = ids[note.source], _minute(note.as_of)
        rows.setdefault(
            key,
            {
                "source_id": key[0],
                "minute": key[1],
                "candidate": note.candidate,
                "probability_millionths": _millionths(note.probability),
                "calibrated_millionths": _millionths(note.calibrated),
            },
        )
    return [rows[key] for key in sorted(rows)]


def _insert(connection: AsyncConnection, table: Any) -> Any:  # Any: a statement of either dialect
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _millionths(value: float | None) -> int | None:
    return None if value is None else round(value * MILLION)


def _minute(at: datetime) -> int:
    return milliseconds(at) // MINUTE_MS
