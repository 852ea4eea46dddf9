"""The schema: it goes up and down on both databases, wholly or not at all, and matches the tables in the code."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, Inspector, event, inspect

from core.adapters.ledger.address import parse_address
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.engine import make_blocking_engine
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import (
    INI_FILE,
    KnownRevisions,
    current_revision,
    downgrade,
    known_revisions,
    upgrade,
)
from core.adapters.ledger.schema import metadata
from core.errors import Code, CrpbotError
from tests.postgres import PROGRAMS, find_programs, skip_without_server

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENT = AuditEvent(NOON, "key-1", "kill.set", "account/paper", {"reason": "test"})

# upgrade a database, and wait for a line right after the statement that contains the given words
HALTED_UPGRADE = """
import sys
from sqlalchemy import Engine, event
from core.adapters.ledger.migrations import upgrade

def halt(connection, cursor, statement, parameters, context, executemany):
    if sys.argv[2] in statement:
        print("halted", flush=True)
        sys.stdin.readline()

event.listen(Engine, "after_cursor_execute", halt)
upgrade(sys.argv[1])
"""


def halted_upgrade(url: str, words: str) -> subprocess.Popen[str]:
    """A process that stands in the middle of its upgrade."""
    command = [sys.executable, "-c", HALTED_UPGRADE, url, words]
    process = subprocess.Popen(
        command, cwd=INI_FILE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "halted\n"
    return process


def table_names(url: str) -> set[str]:
    engine = make_blocking_engine(parse_address(url))
    with engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def shape(connection: Connection) -> dict[str, str]:
    """Columns and constraints of every table, in words."""
    look = inspect(connection)
    questions = (look.get_columns, look.get_pk_constraint, look.get_check_constraints, look.get_unique_constraints)
    return {
        table: repr([*(question(table) for question in questions), index_words(look, table)])
        for table in metadata.tables
    }


def index_words(look: Inspector, table: str) -> list[str]:
    """The indexes, each with the condition it is limited to as text."""
    return [
        repr({**index, "dialect_options": {name: str(option) for name, option in index["dialect_options"].items()}})
        for index in look.get_indexes(table)
    ]


def journal_mode(address: URL, start: Barrier) -> str:
    """What a new connection makes of the file when several come at the same moment."""
    engine = make_blocking_engine(address, writing=False)
    event.listen(engine, "connect", lambda *_: start.wait(), insert=True)
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())


async def append(url: str) -> int:
    """The number that a new entry gets."""
    ledger = await Ledger.open(url)
    entry = await ledger.append_audit(EVENT)
    await ledger.close()
    return entry.seq


def test_an_empty_database_has_no_revision_and_looking_makes_no_file(empty_url: str, tmp_path: Path) -> None:
    assert current_revision(empty_url) is None
    assert not (tmp_path / "ledger").exists()


def test_upgrade_reaches_the_newest_revision_and_downgrade_leaves_nothing(empty_url: str) -> None:
    upgrade(empty_url)
    assert current_revision(empty_url) == known_revisions().head
    assert table_names(empty_url) == {"alembic_version", *metadata.tables}
    downgrade(empty_url, "base")
    assert current_revision(empty_url) is None
    assert table_names(empty_url) == {"alembic_version"}


def test_every_revision_goes_up_down_and_up_again(empty_url: str) -> None:
    for revision in sorted(known_revisions().all):
        upgrade(empty_url, revision)
        downgrade(empty_url, "-1")
        upgrade(empty_url, revision)
        assert current_revision(empty_url) == revision


def test_a_ledger_with_rows_is_kept_by_a_second_upgrade_and_can_be_taken_down_and_up(ledger_url: str) -> None:
    assert asyncio.run(append(ledger_url)) == 1
    upgrade(ledger_url)
    assert asyncio.run(append(ledger_url)) == 2
    downgrade(ledger_url, "base")
    upgrade(ledger_url)
    assert asyncio.run(append(ledger_url)) == 1


def test_the_migrated_schema_is_the_one_in_the_code(ledger_url: str) -> None:
    engine = make_blocking_engine(parse_address(ledger_url))
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        migrated = shape(connection)
    downgrade(ledger_url, "base")
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert shape(connection) == migrated


@pytest.mark.parametrize("last_words", ["CREATE TABLE audit_log", "INTO alembic_version"])
def test_a_migration_killed_half_way_leaves_nothing_and_can_be_repeated(empty_url: str, last_words: str) -> None:
    with halted_upgrade(empty_url, last_words) as process:
        process.kill()
    assert table_names(empty_url) == set()
    upgrade(empty_url)
    assert asyncio.run(append(empty_url)) == 1


def test_a_second_upgrade_waits_for_the_first_and_finds_its_work_done(empty_url: str) -> None:
    with halted_upgrade(empty_url, "CREATE TABLE audit_log") as first, ThreadPoolExecutor(1) as thread:
        second = thread.submit(upgrade, empty_url)
        with pytest.raises(TimeoutError):
            second.result(timeout=0.3)
        first.communicate("go on\n", timeout=120)
        second.result(timeout=120)
    assert first.returncode == 0
    assert asyncio.run(append(empty_url)) == 1


def test_many_first_connections_at_once_all_reach_a_new_sqlite_file(tmp_path: Path) -> None:
    for attempt in range(20):  # a single try fails in about one round of five
        address = parse_address(f"sqlite:///{tmp_path}/{attempt}.db")
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(journal_mode, [address] * 4, [Barrier(4)] * 4)) == ["wal"] * 4


async def test_an_asynchronous_program_upgrades_in_a_thread(empty_url: str) -> None:
    await asyncio.gather(*[asyncio.to_thread(upgrade, empty_url) for _ in range(3)])
    assert await append(empty_url) == 1


def test_upgrade_refuses_a_schema_of_a_newer_program(ledger_url: str, sql: Callable[[str], object]) -> None:
    sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CrpbotError, match="schema 9999, newer than") as caught:
        upgrade(ledger_url)
    assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "SCHEMA_NEWER")


def test_a_schema_of_an_older_program_asks_for_an_upgrade() -> None:
    known = KnownRevisions("0002", frozenset({"0001", "0002"}))
    with pytest.raises(CrpbotError, match=r"has schema 0001, this program needs 0002; .*crpbot db upgrade") as caught:
        known.check("0001", parse_address("sqlite:///crpbot.db"))
    assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "SCHEMA_OLD")


def test_an_unknown_target_is_refused(ledger_url: str) -> None:
    newest = known_revisions().head
    with pytest.raises(CrpbotError, match=f"cannot go from schema {newest} to 'nonsense'") as caught:
        upgrade(ledger_url, "nonsense")
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_downgrade_of_a_missing_file_is_refused(sqlite_url: str) -> None:
    with pytest.raises(CrpbotError, match="crpbot db upgrade"):
        downgrade(sqlite_url, "base")


def test_only_the_owner_may_read_a_new_sqlite_ledger(sqlite_url: str, tmp_path: Path) -> None:
    upgrade(sqlite_url)
    assert stat.S_IMODE((tmp_path / "ledger").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "ledger" / "crpbot.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("place", ["file/crpbot.db", "folder"])
def test_a_sqlite_ledger_in_a_place_that_cannot_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CrpbotError, match="choose a writable folder in DB_URL") as caught:
        upgrade(f"sqlite:///{tmp_path}/{place}")
    assert caught.value.reason == "LEDGER_NOT_WRITABLE"


def test_the_alembic_command_works_on_db_url(sqlite_url: str) -> None:
    upgrade(sqlite_url)
    command = [sys.executable, "-m", "alembic", "check"]
    environment = {**os.environ, "DB_URL": sqlite_url}
    answer = subprocess.run(command, cwd=INI_FILE.parent, env=environment, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout.strip()) == (0, "No new upgrade operations detected.")


def test_the_newest_complete_postgresql_is_found(tmp_path: Path) -> None:
    for version, programs in (("9.6", PROGRAMS), ("15", PROGRAMS), ("16", PROGRAMS[:2])):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        for program in programs:
            (folder / program).touch(mode=0o755)
    assert find_programs("", tmp_path) == tmp_path / "15" / "bin"
    assert find_programs(str(tmp_path / "9.6" / "bin"), tmp_path) == tmp_path / "9.6" / "bin"
    assert find_programs("", tmp_path / "elsewhere") is None


def test_without_postgresql_a_developer_skips_and_ci_fails() -> None:
    with pytest.raises(pytest.skip.Exception, match="no PostgreSQL"):
        skip_without_server({})
    with pytest.raises(pytest.fail.Exception, match="no PostgreSQL"):
        skip_without_server({"CI": "true"})
