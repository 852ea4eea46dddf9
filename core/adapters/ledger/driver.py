"""SQLite at one trip a statement: a question goes to the database's thread once and comes back with all its rows.

aiosqlite goes there four times for each statement (cursor, execute, fetch, close), and each time two threads wait for
each other. A decision is some twenty statements, so most of its time went into that. SQLAlchemy takes this connection
in the place of aiosqlite's.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

Answer = TypeVar("Answer")
Parameters = Sequence[Any]  # Any: what a column may hold
Job = tuple[asyncio.Future[Any] | None, asyncio.AbstractEventLoop | None, Callable[[], Any]]

ROWS_AT_ONCE: Final = 1_000  # that travel with the answer; of a longer one the rest is fetched when it is asked for


class TripConnection:
    """A connection whose work is done by a thread of its own, or at once where nobody else needs the event loop."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, inline: bool = False) -> None:
        self._connect = connect
        self._inline = inline
        self._connection: sqlite3.Connection | None = None  # SQLAlchemy looks at it
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._held: str | None = None

    def __await__(self) -> Generator[Any, None, TripConnection]:
        return self._open().__await__()

    def cursor(self) -> TripCursor:
        """A new cursor; making one is no trip."""
        return TripCursor(self)

    def hold_back(self, begin: str) -> None:
        """Begin with the next statement, in the same trip. A transaction without one never was."""
        self._held = begin

    async def run(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """One trip: what was held back, then the work."""
        held, self._held = self._held, None
        return await self._go(partial(_after, held, self._open_connection(), work))

    async def execute(self, statement: str) -> None:
        """One statement without an answer."""
        await self.run(lambda connection: connection.execute(statement).close())

    async def commit(self) -> None:
        """Make it last."""
        if self._held is None:
            await self.run(sqlite3.Connection.commit)
        self._held = None

    async def rollback(self) -> None:
        """Undo it. Of a transaction that never began nothing is left to undo."""
        if self._held is None:
            await self.run(sqlite3.Connection.rollback)
        self._held = None

    async def create_function(self, *arguments: Any, **options: Any) -> None:  # Any: sqlite3's own signature
        """Teach the database a function."""
        await self.run(lambda connection: connection.create_function(*arguments, **options))

    async def close(self) -> None:
        """Close, and end the thread."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                await self._go(connection.close)
            finally:
                self._jobs.put(None)

    def stop(self) -> None:
        """Close without waiting: nobody is left who could."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            if self._inline:
                connection.close()
            else:
                self._jobs.put((None, None, connection.close))
                self._jobs.put(None)

    async def _open(self) -> TripConnection:
        if not self._inline:
            Thread(target=_work, args=(self._jobs,), name="ledger", daemon=True).start()
        try:
            self._connection = await self._go(self._connect)
        except BaseException:
            self._jobs.put(None)
            raise
        return self

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("connection closed")
        return self._connection

    async def _go(self, work: Callable[[], Answer]) -> Answer:
        if self._inline:
            return work()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._jobs.put((future, loop, work))
        return await future


class TripCursor:
    """A statement and its rows: they came with the first trip, and only of a long answer more are fetched."""

    def __init__(self, connection: TripConnection) -> None:
        self._owner = connection
        self._cursor: sqlite3.Cursor | None = None  # while it has rows that were not fetched
        self._rows: deque[Any] = deque()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> TripCursor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def execute(self, statement: str, parameters: Parameters = ()) -> TripCursor:
        """Execute and fetch in one trip."""
        await self._owner.run(partial(self._execute, statement, parameters))
        return self

    async def executemany(self, statement: str, rows: Iterable[Parameters]) -> TripCursor:
        """Execute for each row, in one trip."""
        await self._owner.run(partial(self._execute_many, statement, rows))
        return self

    async def fetchone(self) -> Any:
        """The next row."""
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """The next rows, at most so many."""
        wanted = size or self.arraysize
        if len(self._rows) < wanted:
            await self._fetch(max(wanted - len(self._rows), ROWS_AT_ONCE))
        return [self._rows.popleft() for _ in range(min(wanted, len(self._rows)))]

    async def fetchall(self) -> Sequence[Any]:
        """Every row that is left."""
        await self._fetch(None)
        rows, self._rows = list(self._rows), deque()
        return rows

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (row := await self.fetchone()) is not None:
            yield row

    async def close(self) -> None:
        """Give up what was not fetched."""
        self._rows.clear()
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            await self._owner.run(lambda _: cursor.close())

    def _execute(self, statement: str, parameters: Parameters, connection: sqlite3.Connection) -> None:
        cursor = connection.execute(statement, parameters)
        self.description, self.lastrowid = cursor.description, cursor.lastrowid
        self._cursor = cursor
        self._take(ROWS_AT_ONCE if cursor.description else None)
        self.rowcount = cursor.rowcount

    def _execute_many(self, statement: str, rows: Iterable[Parameters], connection: sqlite3.Connection) -> None:
        cursor = connection.executemany(statement, rows)
        self.description, self.lastrowid, self.rowcount = cursor.description, cursor.lastrowid, cursor.rowcount
        cursor.close()

    async def _fetch(self, count: int | None) -> None:
        if self._cursor is not None:
            await self._owner.run(lambda _: self._take(count))

    def _take(self, count: int | None) -> None:
        """Fetch on the thread of the database; a cursor that has given everything is closed in the same trip."""
        cursor = self._cursor
        assert cursor is not None
        rows = cursor.fetchall() if count is None else cursor.fetchmany(count)
        self._rows.extend(rows)
        if count is None or len(rows) < count:
            cursor.close()
            self._cursor = None


def _after(held: str | None, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
    if held is not None:
        connection.execute(held).close()
    return work(connection)


def _work(jobs: SimpleQueue[Job | None]) -> None:
    """The life of a connection's thread: one job after the other, until there is none."""
    while (job := jobs.get()) is not None:
        future, loop, work = job
        try:
            answer, error = work(), None
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it belongs to who asked
            answer, error = None, raised
        if future is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_tell, future, answer, error)
        del job, future, loop, work, answer, error  # a thread that waits holds nothing


def _tell(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    if future.done():  # who asked has given up
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
