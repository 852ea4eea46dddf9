"""How the ledger is connected: durable, with bounded waiting, and readers that no writer can stop."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlalchemy.util import await_only

from core.adapters.ledger.address import is_sqlite
from core.adapters.ledger.driver import TripConnection

LOCK_TIMEOUT_SECONDS = 5.0
CONNECT_TIMEOUT_SECONDS = 5
READERS = 4  # SQLite connections beside the one writer; each is a thread
POSTGRES_CONNECTIONS = 10
LOOK_AGAIN_SECONDS = 0.001  # for the lock of the one writer: a fraction of what a transaction takes

BEGIN_WRITING = "BEGIN IMMEDIATE"

Begin = Callable[[Connection], object]

# a gateway frozen inside a transaction loses its locks after so many lock time-outs, so that the others go on
IDLE_LOCK_TIMEOUTS = 4


@dataclass(frozen=True, slots=True)
class Engines:
    """Where to write and where to read. On PostgreSQL both are the same."""

    writer: AsyncEngine
    reader: AsyncEngine

    async def dispose(self) -> None:
        """Close every connection."""
        await self.writer.dispose()
        await self.reader.dispose()


def make_engines(address: URL, *, lock_timeout_seconds: float, durable: bool = True) -> Engines:
    """Engines that connect at their first use. Nobody waits longer than the lock time-out for a lock or a connection.

    SQLite allows one writer, so there is one writing connection: tasks queue for it in memory instead of polling
    the file's lock. Readers have connections of their own and see the last commit while a writer waits (WAL).
    Where it need not be durable, as in a simulation that can be run again, SQLite does not wait for the disk, and the
    event loop, which nobody else needs, does the work itself.
    """
    if is_sqlite(address):
        # FULL: an acknowledged commit survives a power cut
        synchronous = "FULL" if durable else "OFF"
        return Engines(
            writer=_sqlite_engine(address, 1, lock_timeout_seconds, synchronous=synchronous, alone=not durable),
            reader=_sqlite_engine(address, READERS, lock_timeout_seconds, query_only=True, alone=not durable),
        )
    engine = create_async_engine(
        address,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=lock_timeout_seconds,
        pool_pre_ping=True,  # a restarted server costs one ping, not a failed call
        connect_args=_postgres_arguments(lock_timeout_seconds),
    )
    return Engines(engine, engine)


def make_blocking_engine(
    address: URL, *, writing: bool = True, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
) -> Engine:
    """For migrations and checks: transactions cover DDL too, and foreign keys stay off as SQLite's rebuilds need.

    Its first connection to a SQLite file makes sure that readers and the writer do not stop each other (WAL); the
    file keeps that mode.
    """
    if not is_sqlite(address):
        return create_engine(address, poolclass=NullPool, connect_args=_postgres_arguments(lock_timeout_seconds))
    engine = create_engine(
        address.set(drivername="sqlite"), poolclass=NullPool, connect_args=_sqlite_arguments(lock_timeout_seconds)
    )
    event.listen(engine, "connect", lambda connection, _: _switch_to_wal(connection, lock_timeout_seconds))
    begin = _beginning(BEGIN_WRITING if writing else "BEGIN")
    _configure_sqlite(engine, begin=begin, pragmas={"foreign_keys": "OFF"})
    return engine


def _sqlite_engine(
    address: URL,
    connections: int,
    lock_timeout_seconds: float,
    *,
    query_only: bool = False,
    synchronous: str = "FULL",
    alone: bool = False,
) -> AsyncEngine:
    def connect(*arguments: Any, **options: Any) -> TripConnection:  # Any: of sqlite3.connect
        return TripConnection(partial(sqlite3.connect, *arguments, **options), inline=alone)

    engine = create_async_engine(
        address,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=lock_timeout_seconds,
        connect_args={**_sqlite_arguments(lock_timeout_seconds), "async_creator_fn": connect},
    )
    pragmas = {"foreign_keys": "ON", "query_only": "ON" if query_only else "OFF", "synchronous": synchronous}
    if query_only:
        _configure_sqlite(engine.sync_engine, begin=_begin_with_the_first_question, pragmas=pragmas)
    else:
        patient = _begin_in_turn(lock_timeout_seconds)
        _configure_sqlite(engine.sync_engine, begin=patient, pragmas={**pragmas, "busy_timeout": "0"})
    return engine


def _begin_with_the_first_question(connection: Connection) -> None:
    """A snapshot is taken by the first read in any case, so beginning need not be a trip of its own."""
    _driver(connection).hold_back("BEGIN")


def _beginning(begin: str) -> Begin:
    """Begin with that statement; SQLite waits for its lock by itself."""
    return lambda connection: connection.exec_driver_sql(begin)


def _begin_in_turn(patience_seconds: float) -> Begin:
    """Begin to write, and look for the lock so often that a busy process cannot keep it from the others.

    SQLite itself looks again after up to 100 ms, in which a process that writes all the time has taken the lock back:
    a kill call took 0.9 s that way, and could take the whole time-out.
    """

    def begin_transaction(connection: Connection) -> None:
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            try:
                await_only(_driver(connection).execute(BEGIN_WRITING))
                return
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            # spread, so that two who wait do not look in step
            await_only(asyncio.sleep(random.uniform(0.5, 1.5) * LOOK_AGAIN_SECONDS))  # noqa: S311 - no secret
        connection.exec_driver_sql(BEGIN_WRITING)  # the last look, whose failure is told in the usual words

    return begin_transaction


def _driver(connection: Connection) -> TripConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, TripConnection)  # the engine makes no others
    return driver


def _sqlite_arguments(lock_timeout_seconds: float) -> dict[str, object]:
    # isolation_level None: the driver begins nothing by itself. Its own mode begins at the first INSERT only, so DDL
    # would be committed statement by statement and reads would not be repeatable.
    return {"timeout": lock_timeout_seconds, "isolation_level": None}


def _configure_sqlite(engine: Engine, *, begin: Begin, pragmas: dict[str, str]) -> None:
    """Set each new connection up, and begin every transaction with `begin`."""

    def set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for name, value in {"synchronous": "FULL", **pragmas}.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    event.listen(engine, "connect", set_pragmas)
    event.listen(engine, "begin", begin)


def _switch_to_wal(connection: DBAPIConnection, patience_seconds: float) -> None:
    # two processes that switch a file at once do not wait for each other: one is refused at once and must try again
    deadline = time.monotonic() + patience_seconds
    cursor = connection.cursor()
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    cursor.close()


def _postgres_arguments(lock_timeout_seconds: float) -> dict[str, object]:
    lock_ms = round(lock_timeout_seconds * 1_000)
    idle_ms = lock_ms * IDLE_LOCK_TIMEOUTS
    return {
        "application_name": "crpbot",
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "options": f"-c lock_timeout={lock_ms} -c idle_in_transaction_session_timeout={idle_ms}",
    }
