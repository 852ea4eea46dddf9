"""Ledgers for the tests, on SQLite and on PostgreSQL, and places for files, in a folder and in a bucket."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from core.adapters.files.bucket import BucketFiles
from core.adapters.files.folder import FolderFiles
from core.adapters.ledger import engine as ledger_engine
from core.adapters.ledger.address import make_sqlite_file, parse_address, sqlite_file
from core.adapters.ledger.engine import make_blocking_engine
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.files import Files
from tests.postgres import PostgresServer, running_server

if TYPE_CHECKING:
    from tests.core.buckets import BucketServer

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

PATIENT_SECONDS = 60.0  # a lock time-out that no busy machine reaches


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names no time-out of a lock waits as long as a busy machine may need."""
    monkeypatch.setattr(ledger_engine, "CONNECT_TIMEOUT_SECONDS", int(PATIENT_SECONDS))
    for function in (make_blocking_engine, Ledger.open.__func__):  # type: ignore[attr-defined]
        monkeypatch.setitem(function.__kwdefaults__, "lock_timeout_seconds", PATIENT_SECONDS)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the whole session (under xdist: for each worker)."""
    with running_server(os.environ) as server:
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite ledger that does not exist yet."""
    return f"sqlite:///{tmp_path}/ledger/crpbot.db"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database of the test's own."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database: each test that asks for one runs on both."""
    return str(request.param)


@pytest.fixture
def empty_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """An empty database of the test's own."""
    url: str = request.getfixturevalue("sqlite_url" if database_kind == "sqlite" else "postgres_url")
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger with all tables and nothing in them, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "crpbot.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer) -> Iterator[str]:
    """The same on PostgreSQL."""
    with postgres.migrated() as name:
        yield name


@pytest.fixture
def postgres_copy(postgres: PostgresServer, migrated_database: str) -> Iterator[str]:
    """A PostgreSQL ledger of the test's own, with all tables."""
    with postgres.new_copy(migrated_database) as url:
        yield url


@pytest.fixture
def sqlite_copy(sqlite_url: str, migrated_file: Path) -> str:
    """A SQLite ledger of the test's own, with all tables."""
    address = parse_address(sqlite_url)
    make_sqlite_file(address)
    shutil.copyfile(migrated_file, sqlite_file(address))
    return sqlite_url


@pytest.fixture
def ledger_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """A ledger of the test's own, with all tables."""
    url: str = request.getfixturevalue("sqlite_copy" if database_kind == "sqlite" else "postgres_copy")
    return url


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[Ledger]:
    """An open ledger without entries."""
    opened = await Ledger.open(ledger_url, lock_timeout_seconds=PATIENT_SECONDS)
    yield opened
    await opened.close()


@pytest.fixture
async def hasty(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """An open ledger that waits a moment for a lock; its own transactions may stand still as long as they like."""
    monkeypatch.setattr(ledger_engine, "IDLE_LOCK_TIMEOUTS", 300)
    opened = await Ledger.open(ledger_url, lock_timeout_seconds=0.2)
    yield opened
    await opened.close()


@pytest.fixture
def sql(request: pytest.FixtureRequest) -> Sql:
    """Run one statement on the database behind the ledger's back and commit it."""
    url = request.getfixturevalue("ledger_url" if "ledger_url" in request.fixturenames else "empty_url")

    def run(statement: str) -> list[tuple[Any, ...]]:
        engine = make_blocking_engine(parse_address(url), lock_timeout_seconds=PATIENT_SECONDS)
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    return run


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[BucketServer]:
    """A bucket on loopback for the whole session."""
    from tests.core.buckets import serving_bucket

    with serving_bucket() as server:
        yield server


@pytest.fixture
def bucket(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BucketFiles:
    """An empty part of it."""
    from tests.core.buckets import BUCKET, use_bucket

    use_bucket(bucket_server, monkeypatch, tmp_path)
    return BucketFiles(f"s3://{BUCKET}/a/part")


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """A place that is not there yet: each test that asks for one runs on both kinds."""
    if request.param == "folder":
        return FolderFiles(tmp_path / "a" / "part")
    found: BucketFiles = request.getfixturevalue("bucket")
    return found
