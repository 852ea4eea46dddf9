"""How the ledger is connected: what DB_URL may be, and what each SQLite connection is set to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from core.adapters.ledger.address import parse_address
from core.adapters.ledger.engine import make_blocking_engine, make_engines
from core.adapters.ledger.failures import explained
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.errors import Code, CrpbotError


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_both_spellings_of_sqlite_are_one_address(scheme: str) -> None:
    assert str(parse_address(f"{scheme}:////srv/crpbot.db")) == "sqlite+aiosqlite:////srv/crpbot.db"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_both_spellings_of_postgresql_are_one_address(scheme: str) -> None:
    assert str(parse_address(f"{scheme}://trader@db:5433/crpbot")) == "postgresql+psycopg://trader@db:5433/crpbot"


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "",
        "postgresql://trader:hunter2@db:port/crpbot",
        "mysql://trader:hunter2@db/crpbot",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:hunter2.db?uri=true",
        "sqlite://trader:hunter2@host/file.db",
    ],
)
def test_an_address_that_cannot_hold_a_ledger_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(CrpbotError, match="DB_URL: ") as caught:
        parse_address(url)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "hunter2" not in caught.value.detail


async def test_a_file_in_the_old_journal_mode_is_switched_when_it_is_opened(sqlite_url: str, tmp_path: Path) -> None:
    upgrade(sqlite_url)
    with closing(sqlite3.connect(tmp_path / "ledger" / "crpbot.db")) as file:
        assert file.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    await (await Ledger.open(sqlite_url)).close()
    with closing(sqlite3.connect(tmp_path / "ledger" / "crpbot.db")) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_another_program_holds_is_busy(tmp_path: Path) -> None:
    address = parse_address(f"sqlite:///{tmp_path}/crpbot.db")
    with closing(sqlite3.connect(tmp_path / "crpbot.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CrpbotError, match="lock") as caught, explained(address):
            make_blocking_engine(address, lock_timeout_seconds=0.1).connect()
    assert (caught.value.code, caught.value.reason) == (Code.UNAVAILABLE, "LEDGER_BUSY")


async def test_sqlite_commits_are_durable_and_its_readers_cannot_write(sqlite_url: str) -> None:
    upgrade(sqlite_url)
    engines = make_engines(parse_address(sqlite_url), lock_timeout_seconds=1)
    async with engines.writer.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        values = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in pragmas]
        assert values == ["wal", 2, 1, 0]  # 2 is FULL; the writer waits for its lock by looking again
    async with engines.reader.connect() as connection:
        values = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in pragmas]
        assert values == ["wal", 2, 1, 1_000]
        with pytest.raises(OperationalError, match="readonly"):
            await connection.exec_driver_sql("DELETE FROM runs")
    await engines.dispose()
