"""Run the migrations on one connection, in one transaction, one process at a time.

`core.adapters.ledger.migrations` gives the address; the `alembic` command (to write a new migration) takes DB_URL.
"""

from __future__ import annotations

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import URL, Connection, text

from core.adapters.ledger.address import is_sqlite, parse_address
from core.adapters.ledger.engine import make_blocking_engine
from core.adapters.ledger.schema import metadata

ADVISORY_LOCK = 4_312_706  # any number, as long as every release uses the same


def migrate() -> None:
    """Everything between BEGIN and COMMIT: a process that dies here leaves the ledger as it was."""
    if context.is_offline_mode():
        raise CommandError("SQL scripts (--sql) are not offered; run against a database")
    engine = make_blocking_engine(find_address())
    with engine.begin() as connection:
        if not is_sqlite(engine.url):  # SQLite has taken its write lock with BEGIN IMMEDIATE
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        context.run_migrations()
        if is_sqlite(engine.url):
            check_foreign_keys(connection)


def find_address() -> URL:
    """The address handed over by the program, or DB_URL."""
    address = context.config.attributes.get("address")
    if isinstance(address, URL):
        return address
    if "DB_URL" not in os.environ:
        raise CommandError("DB_URL is not set; for example DB_URL=sqlite:///data/crpbot.db")
    return parse_address(os.environ["DB_URL"])


def check_foreign_keys(connection: Connection) -> None:
    """SQLite rebuilds tables with foreign keys off, so they are checked once before the commit."""
    broken = connection.execute(text("PRAGMA foreign_key_check")).first()
    if broken is not None:
        raise CommandError(f"the migration leaves a row of {broken[0]} without its row in {broken[2]}")


migrate()
