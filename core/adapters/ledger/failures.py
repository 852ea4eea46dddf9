"""What a database's failure means to the caller: wait, repair or restore, and how."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from sqlalchemy import URL
from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.adapters.ledger.address import describe, is_sqlite
from core.errors import Code, CrpbotError


class Meaning(NamedTuple):
    """A failure in the caller's terms. `retry_after_seconds` is set when waiting helps."""

    reason: str
    words: str
    retry_after_seconds: float | None = None

    @property
    def code(self) -> Code:
        """Waiting helps: unavailable. It does not: someone must put the store right first."""
        return Code.FAILED_PRECONDITION if self.retry_after_seconds is None else Code.UNAVAILABLE


BUSY = Meaning("LEDGER_BUSY", "another writer held the lock for longer than the time-out; try again", 1.0)
FULL = Meaning("LEDGER_DISK_FULL", "the disk is full; free space, nothing acknowledged is lost", 30.0)
DISK = Meaning("LEDGER_DISK_ERROR", "the disk refused to read or write; look at the system log", 30.0)
UNREACHABLE = Meaning("LEDGER_UNREACHABLE", "no connection to the database; see that it runs, and DB_URL", 5.0)
REFUSED = Meaning("LEDGER_REFUSED", "the database refuses this user; see DB_URL and the rights of its user")
NOT_WRITABLE = Meaning("LEDGER_NOT_WRITABLE", "file or folder cannot be opened for writing; see their owner and mode")
CORRUPT = Meaning("LEDGER_CORRUPT", "the file is damaged; stop the server and restore the backup (docs/storage.md)")

# primary result codes, https://www.sqlite.org/rescode.html
SQLITE_MEANINGS = {
    5: BUSY,
    6: BUSY,
    8: NOT_WRITABLE,
    10: DISK,
    11: CORRUPT,
    13: FULL,
    14: NOT_WRITABLE,
    26: CORRUPT,
}

# SQLSTATE or its class, https://www.postgresql.org/docs/15/errcodes-appendix.html
POSTGRES_MEANINGS = {
    "08": UNREACHABLE,
    "25P03": BUSY,  # the server ended a transaction that stood idle
    "40": BUSY,
    "42501": REFUSED,
    "53100": FULL,
    "53": UNREACHABLE,
    "55P03": BUSY,
    "57": UNREACHABLE,
    "58": DISK,
    "XX001": CORRUPT,
    "XX002": CORRUPT,
}


@contextmanager
def explained(address: URL) -> Iterator[None]:
    """Turn what the driver raises inside into a `CrpbotError` with its remedy; unknown failures pass unchanged."""
    try:
        yield
    except PoolTimeoutError as error:
        raise failure(address, BUSY, str(error)) from error
    except StatementError as error:
        if isinstance(error.orig, CrpbotError):  # a column type refused the value
            raise error.orig from error
        meaning = _meaning(address, error)
        if meaning is None:
            raise
        raise failure(address, meaning, str(error.orig)) from error


def failure(address: URL, meaning: Meaning, cause: str) -> CrpbotError:
    """The error as the caller sees it: where, what it means, what the driver said in its first line."""
    first_line = cause.strip().partition("\n")[0]
    return CrpbotError(
        meaning.code,
        f"{describe(address)}: {meaning.words} ({first_line})",
        reason=meaning.reason,
        retry_after_seconds=meaning.retry_after_seconds,
    )


def _meaning(address: URL, error: StatementError) -> Meaning | None:
    if is_sqlite(address):
        return SQLITE_MEANINGS.get(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return POSTGRES_MEANINGS.get(state) or POSTGRES_MEANINGS.get(state[:2])
    # a connection that failed (also by a wrong password or database name) or broke off has no SQLSTATE
    broken = isinstance(error.orig, (psycopg.OperationalError, psycopg.InterfaceError))
    return UNREACHABLE if broken else None
