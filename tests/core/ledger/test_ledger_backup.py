"""The backups that docs/storage.md describes hold whole ledgers, also when made while the server writes."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.adapters.ledger.address import parse_address, sqlite_file
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from tests.postgres import PostgresServer

EVENT = AuditEvent(datetime(2026, 11, 21, 12, tzinfo=UTC), "key-1", "test.append", "nothing", {})


def run(program: str, *arguments: str) -> None:
    """Run a program of the database, or skip where it is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on PATH")
    subprocess.run([program, *arguments], check=True, timeout=300)


async def assert_whole(url: str, entries: int) -> None:
    """The ledger opens, verifies and goes on."""
    ledger = await Ledger.open(url)
    assert (await ledger.verify_audit()).entries == entries
    assert (await ledger.append_audit(EVENT)).seq == entries + 1
    await ledger.close()


async def test_a_sqlite_backup_made_under_writing_is_a_whole_ledger(sqlite_url: str, tmp_path: Path) -> None:
    upgrade(sqlite_url)
    ledger = await Ledger.open(sqlite_url)
    await ledger.append_audit(EVENT)
    run("sqlite3", str(sqlite_file(parse_address(sqlite_url))), f"VACUUM INTO '{tmp_path}/backup.db'")
    await ledger.append_audit(EVENT)
    await ledger.close()
    await assert_whole(f"sqlite:///{tmp_path}/backup.db", 1)


async def test_a_postgres_dump_restored_elsewhere_is_a_whole_ledger(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    upgrade(postgres_url)
    ledger = await Ledger.open(postgres_url)
    await ledger.append_audit(EVENT)
    with postgres.new_database() as copy_url:
        dump = str(tmp_path / "crpbot.dump")
        run("pg_dump", "--format=custom", f"--file={dump}", postgres_url.replace("+psycopg", ""))
        await ledger.append_audit(EVENT)
        await ledger.close()
        run(
            "pg_restore",
            "--exit-on-error",
            "--clean",
            "--if-exists",
            f"--dbname={copy_url.replace('+psycopg', '')}",
            dump,
        )
        await assert_whole(copy_url, 1)
