"""The connection to SQLite goes to the database once a statement, and behaves as any other towards who uses it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.adapters.ledger.driver import ROWS_AT_ONCE, TripConnection

COUNT = 2 * ROWS_AT_ONCE + 10
NUMBERS = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COUNT}) SELECT i FROM n"


@asynccontextmanager
async def connected(path: Path, *, inline: bool = False) -> AsyncIterator[TripConnection]:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    connection = await TripConnection(connect, inline=inline)
    try:
        yield connection
    finally:
        await connection.close()


class Counted(TripConnection):
    """Counts the trips."""

    def __init__(self, path: Path) -> None:
        super().__init__(lambda: sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        self.trips = 0

    async def _go(self, work):  # type: ignore[no-untyped-def]
        self.trips += 1
        return await super()._go(work)


async def test_a_transaction_of_one_question_is_two_trips(tmp_path: Path) -> None:
    connection = await Counted(tmp_path / "a.db")
    before = connection.trips
    connection.hold_back("BEGIN")
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT 1 UNION SELECT 2")
        assert await cursor.fetchall() == [(1,), (2,)]
    await connection.rollback()
    assert connection.trips - before == 2
    connection.hold_back("BEGIN")
    await connection.rollback()
    await connection.commit()
    assert connection.trips - before == 3, "a transaction that never began needs no trip, a commit outside of one does"
    await connection.close()


async def test_what_is_held_back_begins_with_the_first_statement(tmp_path: Path) -> None:
    async with connected(tmp_path / "a.db") as connection:
        await connection.execute("CREATE TABLE t (i)")
        connection.hold_back("BEGIN")
        await connection.execute("INSERT INTO t VALUES (1)")
        await connection.rollback()
        cursor = await connection.cursor().execute("SELECT count(*) FROM t")
        assert await cursor.fetchone() == (0,)


@pytest.mark.parametrize("inline", [False, True])
async def test_of_a_long_answer_every_row_comes_once(tmp_path: Path, inline: bool) -> None:
    async with connected(tmp_path / "a.db", inline=inline) as connection:
        whole = await (await connection.cursor().execute(NUMBERS)).fetchall()
        cursor = await connection.cursor().execute(NUMBERS)
        pages = [await cursor.fetchmany(700) for _ in range(4)]
        one_by_one = [row async for row in await connection.cursor().execute(NUMBERS)]
        wanted = [(number,) for number in range(1, COUNT + 1)]
        assert whole == wanted
        assert [row for page in pages for row in page] == wanted
        assert await cursor.fetchone() is None
        assert one_by_one == wanted


async def test_a_long_answer_that_nobody_reads_to_its_end_stops_no_commit(tmp_path: Path) -> None:
    async with connected(tmp_path / "a.db") as connection:
        await connection.execute("CREATE TABLE t (i)")
        cursor = await connection.cursor().execute(NUMBERS)
        await cursor.fetchmany(3)
        await cursor.close()
        await connection.execute("DROP TABLE t")


@pytest.mark.parametrize("inline", [False, True])
async def test_a_refused_statement_raises_where_it_was_asked(tmp_path: Path, inline: bool) -> None:
    async with connected(tmp_path / "a.db", inline=inline) as connection:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await connection.cursor().execute("SELECT * FROM absent")
        assert await (await connection.cursor().execute("SELECT 1")).fetchone() == (1,)


async def test_what_changed_and_what_was_made_is_told(tmp_path: Path) -> None:
    async with connected(tmp_path / "a.db") as connection:
        await connection.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
        many = await connection.cursor().executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (7,)])
        changed = await connection.cursor().execute("UPDATE t SET i = i + 10 WHERE i > ?", (1,))
        made = await connection.cursor().execute("INSERT INTO t VALUES (99) RETURNING i")
        assert (many.rowcount, changed.rowcount, made.rowcount, made.lastrowid) == (3, 2, 1, 99)
        assert [field[0] for field in made.description] == ["i"]


async def test_who_gives_up_leaves_the_connection_usable(tmp_path: Path) -> None:
    async with connected(tmp_path / "a.db") as connection:
        gate = threading.Event()
        await connection.create_function("wait", 0, gate.wait)
        task = asyncio.create_task(connection.cursor().execute("SELECT wait()"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        assert await (await connection.cursor().execute("SELECT 1")).fetchone() == (1,)


async def test_a_closed_connection_says_so_and_its_thread_ends(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with connected(tmp_path / "a.db") as connection:
        (thread,) = set(threading.enumerate()) - before
    thread.join(60)
    assert not thread.is_alive()
    with pytest.raises(sqlite3.OperationalError, match="connection closed"):
        await connection.cursor().execute("SELECT 1")


async def test_a_file_that_cannot_be_opened_raises_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        async with connected(tmp_path / "absent" / "a.db"):
            pass
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
