"""Bring a ledger's tables to the shape this program knows, wholly or not at all.

These functions block (run them in a thread from asynchronous code). One upgrade or downgrade is one transaction on
both databases: a process killed in the middle leaves what was there before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, inspect, text

from core.adapters.ledger.address import describe, is_sqlite, make_sqlite_file, parse_address, sqlite_file
from core.adapters.ledger.engine import make_blocking_engine
from core.adapters.ledger.failures import CORRUPT, explained, failure
from core.errors import Code, CrpbotError

INI_FILE = Path(__file__).resolve().parents[3] / "alembic.ini"

_one_at_a_time = Lock()  # alembic keeps the running migration in module globals


@dataclass(frozen=True, slots=True)
class KnownRevisions:
    """The schema revisions this program can read about, and the one it works with."""

    head: str
    all: frozenset[str]

    def check(self, revision: str | None, address: URL) -> None:
        """Refuse a schema that is missing, older or newer than this program, and say what to do."""
        if revision == self.head:
            return
        if revision is None:
            raise _wrong_schema(address, "has no tables yet; run `crpbot db upgrade`", "SCHEMA_MISSING")
        if revision in self.all:
            detail = f"has schema {revision}, this program needs {self.head}; back up, then run `crpbot db upgrade`"
            raise _wrong_schema(address, detail, "SCHEMA_OLD")
        raise _newer_schema(address, revision, self.head)


def known_revisions() -> KnownRevisions:
    """Read the migration files that belong to this program."""
    scripts = ScriptDirectory.from_config(_configuration())
    head = scripts.get_current_head()
    if head is None:
        raise CrpbotError(Code.INTERNAL, f"{scripts.dir}: holds no migration", reason="MIGRATIONS_MISSING")
    return KnownRevisions(head, frozenset(script.revision for script in scripts.walk_revisions()))


def upgrade(url: str, revision: str = "head") -> None:
    """Make the ledger if there is none and bring its tables to `revision`."""
    address = parse_address(url)
    if is_sqlite(address):
        make_sqlite_file(address)
    _migrate(address, command.upgrade, revision)


def downgrade(url: str, revision: str) -> None:
    """Take the tables back to `revision`; `base` removes them all, with what they hold."""
    address = parse_address(url)
    require_sqlite_file(address)
    _migrate(address, command.downgrade, revision)


def current_revision(url: str) -> str | None:
    """The schema revision of the ledger; None when it has no tables or does not exist."""
    address = parse_address(url)
    if is_sqlite(address) and not sqlite_file(address).exists():
        return None
    return _current_revision(address)


def read_revision(connection: Connection) -> str | None:
    """The schema revision as the open connection sees it."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def require_sqlite_file(address: URL) -> None:
    """Refuse a SQLite ledger that does not exist, instead of making an empty one by looking at it."""
    if is_sqlite(address) and not sqlite_file(address).exists():
        raise _wrong_schema(address, "does not exist yet; run `crpbot db upgrade`", "SCHEMA_MISSING")


def check_sqlite_file(address: URL) -> None:
    """Refuse a damaged file before anything is built on it. PostgreSQL checks its pages itself."""
    if not is_sqlite(address):
        return
    with explained(address), make_blocking_engine(address, writing=False).connect() as connection:
        finding = connection.scalar(text("PRAGMA quick_check(1)"))
    if finding != "ok":
        raise failure(address, CORRUPT, str(finding))


def _migrate(address: URL, operation: Callable[[Config, str], None], revision: str) -> None:
    known = known_revisions()
    current = _current_revision(address)
    if current is not None and current not in known.all:
        raise _newer_schema(address, current, known.head)
    configuration = _configuration()
    configuration.attributes["address"] = address
    try:
        with explained(address), _one_at_a_time:
            operation(configuration, revision)
    except CommandError as error:
        detail = f"{describe(address)}: cannot go from schema {current} to {revision!r}: {error}"
        raise CrpbotError(Code.INVALID_ARGUMENT, detail, reason="MIGRATION_REFUSED") from error


def _current_revision(address: URL) -> str | None:
    with explained(address), make_blocking_engine(address, writing=False).connect() as connection:
        return read_revision(connection)


def _configuration() -> Config:
    if not INI_FILE.is_file():
        detail = f"{INI_FILE} is missing; run from a checkout (`make setup` installs it in place)"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="MIGRATIONS_MISSING")
    return Config(str(INI_FILE))


def _newer_schema(address: URL, revision: str, head: str) -> CrpbotError:
    detail = (
        f"has schema {revision}, newer than {head}, the newest this program knows; "
        "start the newer program, or restore the backup made before the upgrade (docs/storage.md)"
    )
    return _wrong_schema(address, detail, "SCHEMA_NEWER")


def _wrong_schema(address: URL, detail: str, reason: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, f"{describe(address)}: {detail}", reason=reason)
