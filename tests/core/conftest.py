"""Ledgers for the tests: each test that asks for one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.adapters.ledger.address import parse_address
from core.adapters.ledger.engine import make_blocking_engine
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from tests.postgres import PostgresServer, running_server

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

PATIENT_SECONDS = 60.0  # a lock time-out that no busy machine reaches


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
def empty_url(request: pytest.FixtureRequest) -> str:
    """An empty database of the test's own, once of each kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def ledger_url(empty_url: str) -> str:
    """The same with all tables."""
    upgrade(empty_url)
    return empty_url


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[Ledger]:
    """An open ledger without entries."""
    opened = await Ledger.open(ledger_url, lock_timeout_seconds=PATIENT_SECONDS)
    yield opened
    await opened.close()


@pytest.fixture
def sql(empty_url: str) -> Sql:
    """Run one statement on the database behind the ledger's back and commit it."""

    def run(statement: str) -> list[tuple[Any, ...]]:
        engine = make_blocking_engine(parse_address(empty_url), lock_timeout_seconds=PATIENT_SECONDS)
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    return run
