"""The keys of idempotent calls in the database: one owner at a time, whatever the number of gateways.

Every step is a single conditional statement, so that racing tasks and processes agree without holding a lock between
statements. That nothing happens twice rests on the owner token alone; the clock only says when a dead attempt's key is
free again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, not_, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.idempotency_schema import idempotency_keys
from core.adapters.ledger.ledger import Ledger
from core.errors import invalid
from core.idempotency import (
    CLOCK_SKEW_MS,
    LEASE_MS,
    SHORTEST_RETENTION,
    Attempt,
    Call,
    InFlight,
    Outcome,
    Replay,
    Reused,
    Started,
    lease_lost,
)
from core.risk.account import Moment

FORGOTTEN_AT_ONCE = 1_000  # rows in one transaction: some 10 ms in which other writers wait
TRIES = 5  # each try that ends without an answer means that somebody else moved the key meanwhile

_keys = idempotency_keys.c


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The store of keys. Its methods are transactions of their own; the functions below run inside the caller's."""

    ledger: Ledger

    async def begin(self, call: Call, moment: Moment) -> Outcome:
        """Take the key, or say what stands in the way. The answer is stored when this returns."""
        for _ in range(TRIES):
            async with self.ledger.reading() as connection:
                outcome = await look_up(connection, call, moment)
            if outcome is not None:
                return outcome
            async with self.ledger.writing() as connection:
                started = await claim(connection, call, moment)
            if started is not None:
                return started
        return InFlight(1.0)

    async def finish(self, attempt: Attempt, answer: bytes) -> None:
        """Store the answer, also in place of what `conclude` stored; not when a later attempt owns the key."""
        owned = and_(_named(attempt.call), _keys.owner == attempt.owner, _keys.state.in_(("started", "done")))
        async with self.ledger.writing() as connection:
            statement = update(idempotency_keys).where(owned).values(state="done", answer=answer)
            if (await connection.execute(statement)).rowcount != 1:
                raise lease_lost(attempt)

    async def release(self, attempt: Attempt) -> None:
        """Give the key back after a failure, so that the client need not wait for the lease. Never fails an owner."""
        async with self.ledger.writing() as connection:
            await connection.execute(update(idempotency_keys).where(_owned(attempt)).values(state="released"))

    async def forget(self, moment: Moment, *, retention: timedelta = SHORTEST_RETENTION) -> int:
        """Delete keys older than `retention`, a batch at a time; the answer is their number."""
        if retention < SHORTEST_RETENTION:
            raise invalid(
                "retention", f"{retention} is less than {SHORTEST_RETENTION}, in which a client may come back"
            )
        forgotten = 0
        while True:
            async with self.ledger.writing() as connection:
                batch = await _forget_batch(connection, moment, retention)
            forgotten += batch
            if batch < FORGOTTEN_AT_ONCE:
                return forgotten


async def look_up(connection: AsyncConnection, call: Call, moment: Moment) -> Outcome | None:
    """What stands in the way of this call; None when its key can be claimed."""
    query = select(_keys.body_sha256, _keys.state, _keys.leased_ms, _keys.answer).where(_named(call))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    if row.body_sha256 != call.body_sha256:
        return Reused()
    if row.answer is not None:
        return Replay(row.answer)
    left_ms = row.leased_ms + LEASE_MS - moment.steady_ms
    if row.state == "started" and 0 < left_ms <= LEASE_MS + CLOCK_SKEW_MS:
        return InFlight(left_ms / 1_000)
    return None


async def claim(connection: AsyncConnection, call: Call, moment: Moment) -> Started | None:
    """Take a key that is new, released, or whose attempt died; None when somebody else holds or has answered it."""
    owner = secrets.token_hex(16)
    values = {
        "operation": call.operation,
        "key": call.key,
        "body_sha256": call.body_sha256,
        "state": "started",
        "owner": owner,
        "leased_ms": moment.steady_ms,
        "created_at": moment.at,
    }
    free = and_(
        _keys.body_sha256 == call.body_sha256,
        or_(_keys.state == "released", and_(_keys.state == "started", not_(_leased(moment)))),
    )
    taken = {"state": "started", "owner": owner, "leased_ms": moment.steady_ms}
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = (
        insert(idempotency_keys)
        .values(values)
        .on_conflict_do_update(index_elements=["operation", "key"], set_=taken, where=free)
        .returning(_keys.owner)
    )
    won = (await connection.execute(statement)).scalar_one_or_none()
    return None if won is None else Started(Attempt(call, owner))


async def hold(connection: AsyncConnection, attempt: Attempt) -> None:
    """Refuse unless this attempt owns its key, and keep it so until the caller's transaction ends.

    To be called first in each transaction that stores a part of a call: no later attempt can then begin before it.
    """
    query = select(_keys.owner).where(_owned(attempt)).with_for_update()
    if (await connection.execute(query)).one_or_none() is None:
        raise lease_lost(attempt)


async def complete(connection: AsyncConnection, attempt: Attempt, answer: bytes) -> None:
    """Store the answer inside the caller's transaction. A dead attempt that wakes raises, which undoes all of it."""
    statement = update(idempotency_keys).where(_owned(attempt)).values(state="done", answer=answer)
    if (await connection.execute(statement)).rowcount != 1:
        raise lease_lost(attempt)


async def conclude(connection: AsyncConnection, attempt: Attempt | None, answer: object) -> None:
    """Store the answer of a call in the transaction of its effect: once that has happened, no retry does it again."""
    if attempt is not None and attempt.seal is not None:
        await complete(connection, attempt, attempt.seal(answer))


async def _forget_batch(connection: AsyncConnection, moment: Moment, retention: timedelta) -> int:
    """Old by the wall clock and not young by the steady one: a clock that jumps ahead forgets nothing."""
    retention_ms = retention // timedelta(milliseconds=1)
    young = _keys.leased_ms.between(moment.steady_ms - retention_ms, moment.steady_ms)
    old = and_(_keys.created_at < moment.at - retention, not_(young))
    doomed = select(_keys.operation, _keys.key).where(old).limit(FORGOTTEN_AT_ONCE)
    statement = delete(idempotency_keys).where(tuple_(_keys.operation, _keys.key).in_(doomed))
    return (await connection.execute(statement)).rowcount


def _leased(moment: Moment) -> ColumnElement[bool]:
    """The lease holds. One that begins too far ahead was counted by the clock of another boot, and is over."""
    now_ms = moment.steady_ms
    return and_(_keys.leased_ms > now_ms - LEASE_MS, _keys.leased_ms <= now_ms + CLOCK_SKEW_MS)


def _named(call: Call) -> ColumnElement[bool]:
    return and_(_keys.operation == call.operation, _keys.key == call.key)


def _owned(attempt: Attempt) -> ColumnElement[bool]:
    return and_(_named(attempt.call), _keys.owner == attempt.owner, _keys.state == "started")
