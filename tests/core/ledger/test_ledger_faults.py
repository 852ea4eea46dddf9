"""When the store fails the ledger says what it means and how to mend it, and goes on once it is mended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import URL, make_url, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from core.adapters.ledger.address import parse_address, sqlite_file
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.engine import make_blocking_engine
from core.adapters.ledger.failures import explained
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import INI_FILE, upgrade
from core.adapters.ledger.schema import audit_head
from core.errors import Code, CrpbotError
from tests.postgres import PostgresServer

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

EVENT = AuditEvent(datetime(2026, 11, 21, 12, tzinfo=UTC), "key-1", "test.append", "nothing", {"text": "x" * 500})

# fill the ledger until its files may not grow any more, lift the limit and go on
FULL_DISK = """
import asyncio, resource, sys
from datetime import UTC, datetime
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.failures import explained
from core.adapters.ledger.ledger import Ledger
from core.errors import CrpbotError

EVENT = AuditEvent(datetime(2026, 11, 21, tzinfo=UTC), "writer", "test.append", "nothing", {"text": "x" * 5_000})

async def write(url):
    ledger = await Ledger.open(url)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        while True:
            acknowledged = await ledger.append_audit(EVENT)
    except CrpbotError as error:
        print(error.code.name, error.reason)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    entry = await ledger.append_audit(EVENT)
    report = await ledger.verify_audit()
    print(acknowledged.seq > 5, entry.seq - acknowledged.seq, report.entries == entry.seq, report.problem)
    await ledger.close()

asyncio.run(write(sys.argv[1]))
"""


async def append_and_close(url: str, count: int) -> None:
    ledger = await Ledger.open(url)
    for _ in range(count):
        await ledger.append_audit(EVENT)
    await ledger.close()


def damage_last_pages(address: URL) -> None:
    """What a bad disk does."""
    file = sqlite_file(address)
    content = bytearray(file.read_bytes())
    content[-8_192:] = b"\xff" * 8_192
    file.write_bytes(content)


async def refusal(url: str) -> CrpbotError:
    """How the ledger refuses to open."""
    with pytest.raises(CrpbotError) as caught:
        await Ledger.open(url)
    return caught.value


# locks


async def test_a_lock_held_too_long_is_unavailable_while_reads_go_on(hasty: Ledger, ledger_url: str) -> None:
    await append_and_close(ledger_url, 1)
    other = make_blocking_engine(parse_address(ledger_url))
    with other.begin() as holder:
        holder.execute(select(audit_head).with_for_update())
        started = monotonic()
        async with asyncio.timeout(60):
            refusals = await asyncio.gather(*[hasty.append_audit(EVENT) for _ in range(5)], return_exceptions=True)
        assert monotonic() - started > 0.15
        for error in refusals:
            assert isinstance(error, CrpbotError)
            assert (error.code, error.reason, error.retry_after_seconds) == (Code.UNAVAILABLE, "LEDGER_BUSY", 1.0)
        assert len(await hasty.audit_after(0, 10)) == 1
        await hasty.check()
    assert (await hasty.append_audit(EVENT)).seq == 2


async def test_a_frozen_postgres_writer_loses_its_lock(postgres_url: str) -> None:
    upgrade(postgres_url)
    ledger = await Ledger.open(postgres_url)
    frozen = make_blocking_engine(parse_address(postgres_url), lock_timeout_seconds=5)
    with frozen.connect() as holder:
        holder.execute(select(audit_head).with_for_update())
        shown = holder.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
        assert shown == "20s"  # 4 time-outs; the test does not wait for them
        holder.exec_driver_sql("SET idle_in_transaction_session_timeout = '0.2s'")
        assert (await ledger.append_audit(EVENT)).seq == 1  # the holder stood idle and was ended
        holder.invalidate()
    await ledger.close()


# the wrong schema


async def test_a_ledger_without_tables_is_refused_with_the_command_to_run(empty_url: str, tmp_path: Path) -> None:
    error = await refusal(empty_url)
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "SCHEMA_MISSING")
    assert "crpbot db upgrade" in error.detail
    assert not (tmp_path / "ledger").exists()


async def test_an_empty_sqlite_file_is_a_ledger_without_tables(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    assert (await refusal(f"sqlite:///{tmp_path}/empty.db")).reason == "SCHEMA_MISSING"


async def test_a_schema_of_a_newer_program_is_refused(ledger_url: str, sql: Sql) -> None:
    sql("UPDATE alembic_version SET version_num = '9999'")
    error = await refusal(ledger_url)
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "SCHEMA_NEWER")
    assert "schema 9999, newer than" in error.detail


async def test_a_schema_taken_away_under_a_running_server_fails_its_check(ledger: Ledger, sql: Sql) -> None:
    await ledger.check()
    sql("DELETE FROM alembic_version")
    with pytest.raises(CrpbotError, match="crpbot db upgrade"):
        await ledger.check()


async def test_a_failure_nobody_has_foreseen_is_not_explained_away(ledger: Ledger, sql: Sql) -> None:
    sql("DROP TABLE audit_log")
    with pytest.raises((OperationalError, ProgrammingError), match="audit_log"):
        await ledger.append_audit(EVENT)


# damage and lack of space


async def test_a_file_that_is_no_database_is_refused_with_a_pointer_to_the_backup(tmp_path: Path) -> None:
    (tmp_path / "crpbot.db").write_bytes(b"not a database " * 1_000)
    error = await refusal(f"sqlite:///{tmp_path}/crpbot.db")
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "LEDGER_CORRUPT")
    assert "restore the backup (docs/storage.md)" in error.detail


async def test_a_damaged_page_is_found_at_the_start(sqlite_url: str) -> None:
    upgrade(sqlite_url)
    await append_and_close(sqlite_url, 100)
    damage_last_pages(parse_address(sqlite_url))
    assert (await refusal(sqlite_url)).reason == "LEDGER_CORRUPT"


def test_a_full_disk_is_unavailable_and_the_ledger_returns_by_itself(sqlite_url: str) -> None:
    upgrade(sqlite_url)
    command = [sys.executable, "-c", FULL_DISK, sqlite_url]
    lines = subprocess.run(command, cwd=INI_FILE.parent, stdout=subprocess.PIPE, text=True, check=True).stdout
    # the limit on the size of a file shows as a failed write; a disk without space has a reason of its own
    assert lines.splitlines() == ["UNAVAILABLE LEDGER_DISK_ERROR", "True 1 True None"]


def test_a_database_that_may_grow_no_more_means_a_full_disk(sqlite_url: str) -> None:
    upgrade(sqlite_url)
    address = parse_address(sqlite_url)
    with make_blocking_engine(address).connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(CrpbotError, match="free space") as caught, explained(address):
            connection.exec_driver_sql("CREATE TABLE one_page_more (text TEXT)")
    assert (caught.value.code, caught.value.reason) == (Code.UNAVAILABLE, "LEDGER_DISK_FULL")


# a server that goes away


async def test_a_restarted_postgres_is_found_again_and_nothing_is_lost(
    postgres: PostgresServer, postgres_url: str
) -> None:
    if postgres.cluster is None:
        pytest.skip("the PostgreSQL named in the environment is not ours to stop")
    upgrade(postgres_url)
    ledger = await Ledger.open(postgres_url)
    await ledger.append_audit(EVENT)
    postgres.cluster.stop()
    try:
        with pytest.raises(CrpbotError, match="no connection") as caught:
            await ledger.append_audit(EVENT)
        assert (caught.value.code, caught.value.reason) == (Code.UNAVAILABLE, "LEDGER_UNREACHABLE")
        with pytest.raises(CrpbotError, match="no connection"):
            await ledger.check()
    finally:
        postgres.cluster.start()
    assert (await ledger.append_audit(EVENT)).seq == 2
    assert (await ledger.verify_audit()).entries == 2
    await ledger.close()


async def test_a_connection_ended_by_the_server_costs_no_call(postgres_url: str, postgres: PostgresServer) -> None:
    upgrade(postgres_url)
    ledger = await Ledger.open(postgres_url)
    await ledger.append_audit(EVENT)
    with make_blocking_engine(parse_address(postgres.url)).begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crpbot' "
            "AND pid <> pg_backend_pid()"
        )
    assert (await ledger.append_audit(EVENT)).seq == 2
    await ledger.close()


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    error = await refusal("postgresql://trader:hunter2@127.0.0.1:1/crpbot?password=hunter3")
    assert (error.code, error.retry_after_seconds) == (Code.UNAVAILABLE, 5.0)
    assert "PostgreSQL ledger 'crpbot' at 127.0.0.1:1" in error.detail
    assert "hunter" not in error.detail


async def test_a_database_that_does_not_exist_is_named_in_the_words_of_the_server(postgres: PostgresServer) -> None:
    url = make_url(postgres.url).set(database="nowhere").render_as_string(hide_password=False)
    assert 'database "nowhere" does not exist' in (await refusal(url)).detail
