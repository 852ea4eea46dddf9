"""The candles that decisions saw, each stored once: a decision keeps a reference and the hash they must have.

A market may correct a candle later. The series then gets a new revision and the corrected candle a row of its own, so
that an earlier decision still finds what it saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any, Final

import numpy as np
from sqlalchemy import and_, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.signals.schema import candle_series, candles, snapshots
from core.adapters.ledger.signals.seen import Seen, SeenLast, Series
from core.errors import Code, CrpbotError
from core.market import COLUMNS, Candles, Floats, Instants, interval_seconds
from core.signals.store import SnapshotReference

DELETED_AT_ONCE: Final = 2_000

_series, _candle, _snapshot = candle_series.c, candles.c, snapshots.c
_VALUES: Final = tuple(_candle[name] for name in COLUMNS)

# made once: SQLAlchemy takes longer to put such a statement together than the database to execute it
_FIND_SERIES: Final = (
    select(_series.id, _series.revision)
    .where(*(_series[name] == bindparam(f"of_{name}") for name in ("identity", "symbol", "interval")))
    .with_for_update()
)
_READ_CANDLES: Final = (
    select(_candle.open_ms, *_VALUES)
    .where(
        _candle.series_id == bindparam("of_series"),
        _candle.open_ms >= bindparam("first_ms"),
        _candle.open_ms < bindparam("end_ms"),
        _candle.revision <= bindparam("up_to_revision"),
    )
    .order_by(_candle.open_ms, _candle.revision)
)
# nothing where the snapshot is gone, else at least one row, without a candle where there is no later one
_READ_LATER_CANDLES: Final = (
    select(_candle.open_ms, *_VALUES)
    .select_from(snapshots)
    .outerjoin(
        candles,
        and_(
            _candle.series_id == _snapshot.series_id,
            _candle.open_ms > bindparam("last_ms"),
            _candle.open_ms < bindparam("end_ms"),
            _candle.revision <= _snapshot.revision,
        ),
    )
    .where(_snapshot.id == bindparam("of_id"))
    .order_by(_candle.open_ms, _candle.revision)
)
_INSERT_CANDLES: Final = insert(candles)


async def store_snapshot(
    connection: AsyncConnection, candles_seen: Candles, *, identity: str, at: datetime, last: SeenLast
) -> Seen:
    """Store what is new among these candles of that market; its reference is what a decision keeps of them.

    Locks the series until the transaction ends, so call it in a transaction of its own, before the one that decides;
    for several symbols in their alphabetical order. `last` is told of it once the transaction has ended.
    """
    series = await _lock_series(connection, candles_seen, identity)
    times, block = candles_seen.open_times, _block(candles_seen)
    known = await _know(connection, series, times, last=last, interval=candles_seen.interval)
    revision = await _store_missing(connection, series, times, block=block, known_times=known[0], known=known[1])
    key = {"series_id": series.id, "first_ms": int(times[0]), "length": len(times), "revision": revision}
    digest = _digest(times, block)
    statement = _upsert_snapshot(connection.dialect.name)
    stored = await connection.execute(statement, {**key, "sha256": digest, "used_at": at})
    reference = SnapshotReference(stored.scalar_one(), digest.hex())
    return Seen(reference, Series(series.id, revision), times, block)


@cache
def _upsert_snapshot(dialect: str) -> Any:  # Any: a statement of either dialect
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(snapshots)
    key = [_snapshot.series_id, _snapshot.first_ms, _snapshot.length, _snapshot.revision]
    used = {"used_at": statement.excluded.used_at}
    return statement.on_conflict_do_update(index_elements=key, set_=used).returning(_snapshot.id)


async def read_snapshot(connection: AsyncConnection, reference: SnapshotReference) -> Candles:
    """The candles exactly as the decision saw them. A changed, missing or deleted one is an error that says so."""
    query = (
        select(_snapshot.first_ms, _snapshot.length, _snapshot.revision, _series.id, _series.symbol, _series.interval)
        .join(candle_series, _snapshot.series_id == _series.id)
        .where(_snapshot.id == reference.id)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        detail = f"snapshot {reference.id} has been deleted: its candles are kept for as long as the retention says"
        raise CrpbotError(Code.NOT_FOUND, detail, reason="SNAPSHOT_EXPIRED")
    times, block = await _read_block(connection, Series(row.id, row.revision), row.first_ms, row.length, row.interval)
    found = _digest(times, block).hex()
    if found != reference.sha256:
        detail = (
            f"snapshot {reference.id}: {len(times)} of {row.length} candles of {row.symbol} {row.interval} from "
            f"{row.first_ms} ms have the SHA-256 {found}, the decision saw {reference.sha256}; "
            "compare with a backup (docs/storage.md)"
        )
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="SNAPSHOT_ALTERED")
    return Candles(row.symbol, row.interval, times, *block)


async def read_identity(connection: AsyncConnection, reference: SnapshotReference) -> str:
    """The market of a stored snapshot's candles."""
    query = select(_series.identity).join(snapshots, _snapshot.series_id == _series.id)
    return str((await connection.execute(query.where(_snapshot.id == reference.id))).scalar_one())


async def delete_snapshots_batch(connection: AsyncConnection, before: datetime) -> int:
    """Delete some snapshots not used since then, and candles that none needs any more; the answer is their number."""
    doomed = select(_snapshot.id).where(_snapshot.used_at < before).order_by(_snapshot.id).limit(DELETED_AT_ONCE)
    deleted = (await connection.execute(delete(snapshots).where(_snapshot.id.in_(doomed)))).rowcount
    if deleted:
        return deleted
    return await _delete_unneeded_candles(connection)


async def _delete_unneeded_candles(connection: AsyncConnection) -> int:
    """Candles before the first one of every snapshot that is left, series by series."""
    deleted = 0
    for (series_id,) in (await connection.execute(select(_series.id).order_by(_series.id))).all():
        await connection.execute(select(_series.id).where(_series.id == series_id).with_for_update())
        query = select(func.min(_snapshot.first_ms)).where(_snapshot.series_id == series_id)
        needed = (await connection.execute(query)).scalar_one()
        old = _candle.series_id == series_id
        if needed is not None:
            old = and_(old, _candle.open_ms < needed)
        last = select(_candle.open_ms).where(old).order_by(_candle.open_ms).limit(DELETED_AT_ONCE - deleted)
        deleted += (
            await connection.execute(delete(candles).where(_candle.series_id == series_id, _candle.open_ms.in_(last)))
        ).rowcount
        if deleted >= DELETED_AT_ONCE:
            break
    return deleted


async def _lock_series(connection: AsyncConnection, seen: Candles, identity: str) -> Series:
    key = {"identity": identity, "symbol": seen.symbol, "interval": seen.interval}
    asked = {f"of_{name}": value for name, value in key.items()}
    row = (await connection.execute(_FIND_SERIES, asked)).one_or_none()
    if row is None:
        insert_one = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        await connection.execute(insert_one(candle_series).values(**key, revision=0).on_conflict_do_nothing())
        row = (await connection.execute(_FIND_SERIES, asked)).one()
    return Series(row.id, row.revision)


async def _read_block(
    connection: AsyncConnection, series: Series, first_ms: int, length: int, interval: str
) -> tuple[Instants, Floats]:
    """The stored candles of that span as the series' revision has them: (n,) open times and (5, n) values."""
    asked = {
        "of_series": series.id,
        "first_ms": first_ms,
        "end_ms": first_ms + length * 1_000 * interval_seconds(interval),
        "up_to_revision": series.revision,
    }
    return _newest(await connection.execute(_READ_CANDLES, asked))


async def _know(
    connection: AsyncConnection, series: Series, times: Instants, *, last: SeenLast, interval: str
) -> tuple[Instants, Floats]:
    """What of these candles is stored: of the newest snapshot all is, so only what is later than it is read."""
    found = last.find(series, times)
    if found is not None:
        seen, begin = found
        end_ms = int(times[-1]) + 1
        asked = {"of_id": seen.reference.id, "last_ms": int(seen.times[-1]), "end_ms": end_ms}
        rows = (await connection.execute(_READ_LATER_CANDLES, asked)).all()
        if rows:
            later_times, later = _newest(row for row in rows if row[0] is not None)
            return np.concatenate([seen.times[begin:], later_times]), np.hstack([seen.block[:, begin:], later])
    return await _read_block(connection, series, int(times[0]), len(times), interval)


def _newest(rows: Iterable[Sequence[Any]]) -> tuple[Instants, Floats]:  # Any: the columns of a candle
    """Open times and values; a later revision of a candle takes the place of the earlier one."""
    newest = {row[0]: row for row in rows}
    times = np.fromiter(newest, dtype=np.int64, count=len(newest))
    block = np.array([row[1:] for row in newest.values()], dtype=np.float64).reshape(len(newest), len(COLUMNS))
    return times, np.ascontiguousarray(block.T)


async def _store_missing(
    connection: AsyncConnection,
    series: Series,
    times: Instants,
    *,
    block: Floats,
    known_times: Instants,
    known: Floats,
) -> int:
    """Insert candles that are not stored yet, and as a new revision those that differ; the answer is the revision."""
    places = np.searchsorted(times, known_times)
    is_known = np.zeros(len(times), dtype=np.bool_)
    is_known[places] = True
    differ = places[(block[:, places] != known).any(axis=0)]
    revision = series.revision
    if len(differ):
        revision += 1
        await connection.execute(update(candle_series).where(_series.id == series.id).values(revision=revision))
    rows = [
        {"series_id": series.id, "open_ms": int(times[place]), "revision": revision}
        | dict(zip(COLUMNS, block[:, place].tolist(), strict=True))
        for place in sorted([*np.flatnonzero(~is_known).tolist(), *differ.tolist()])
    ]
    if rows:
        await connection.execute(_INSERT_CANDLES, rows)
    return revision


def _block(seen: Candles) -> Floats:
    # zero has one spelling here, because a database may not keep the sign of -0.0
    return np.array([getattr(seen, name) for name in COLUMNS], dtype=np.float64) + 0.0


def _digest(times: Instants, block: Floats) -> bytes:
    """SHA-256 over the open times and the columns as little-endian bytes."""
    return sha256(times.astype("<i8").tobytes() + np.ascontiguousarray(block).astype("<f8").tobytes()).digest()
