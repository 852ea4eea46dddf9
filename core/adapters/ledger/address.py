"""Where the ledger lies: one reading of `DB_URL` for the server, the migrations and the tests."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from core.errors import Code, CrpbotError, invalid

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse_address(url: str) -> URL:
    """The URL with its asynchronous driver. A wrong one is refused without repeating it: it may hold a password."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise invalid("DB_URL", "is not a database URL; for example sqlite:///data/crpbot.db") from None
    if address.drivername not in DRIVERS:
        raise invalid("DB_URL", f"unknown database {address.drivername[:32]!r}; known are {', '.join(DRIVERS)}")
    if is_sqlite(address):
        _check_sqlite_address(address)
    return address.set(drivername=DRIVERS[address.drivername])


def is_sqlite(address: URL) -> bool:
    """True for the embedded store, which is one file on this machine."""
    return address.get_backend_name() == "sqlite"


def sqlite_file(address: URL) -> Path:
    """The file of a SQLite ledger."""
    return Path(address.database or "")


def describe(address: URL) -> str:
    """The place in words for messages; never the user, the password or the options."""
    if is_sqlite(address):
        return f"SQLite ledger {sqlite_file(address)}"
    host = address.host or address.query.get("host", "localhost")
    return f"PostgreSQL ledger {address.database!r} at {host}:{address.port or 5432}"


def make_sqlite_file(address: URL) -> None:
    """Make folder (0700) and file (0600) of a new ledger: it holds every decision, so nobody else may read it.

    What exists is left as it is, and a file that exists is not even opened: closing it would drop the locks that
    this process's own connections hold on it. SQLite gives its `-wal` and `-shm` files the mode of the file itself.
    """
    file = sqlite_file(address)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not file.is_file():
            raise _cannot_be_made(address, "something else stands in its place") from None
    except OSError as error:
        raise _cannot_be_made(address, str(error.strerror)) from error


def _cannot_be_made(address: URL, cause: str) -> CrpbotError:
    detail = f"{describe(address)}: cannot be made: {cause}; choose a writable folder in DB_URL"
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="LEDGER_NOT_WRITABLE")


def _check_sqlite_address(address: URL) -> None:
    name = address.database or ""
    if name in ("", ":memory:") or name.startswith("file:") or address.query or address.host:
        raise invalid("DB_URL", "SQLite needs a plain file, for example sqlite:///data/crpbot.db, without options")
