"""Nobody changes the audit log unseen: the database refuses it, and where that was overcome the chain shows it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.ledger import Ledger
from core.errors import CrpbotError

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

EVENT = AuditEvent(datetime(2026, 11, 21, 12, tzinfo=UTC), "key-1", "test.append", "account/paper", {"number": 1})


@pytest.fixture
def tamper(sql: Sql, ledger_url: str) -> Sql:
    """Drop the triggers, as an intruder with the owner's rights would, and run a statement."""

    def run(statement: str) -> list[tuple[Any, ...]]:
        if ledger_url.startswith("sqlite"):
            for name in ("update", "delete", "replace"):
                sql(f"DROP TRIGGER audit_log_{name}")
        else:
            sql("DROP TRIGGER audit_log_append_only ON audit_log")
        return sql(statement)

    return run


async def append_five(ledger: Ledger) -> None:
    for _ in range(5):
        await ledger.append_audit(EVENT)


async def assert_sound(ledger: Ledger) -> None:
    report = await ledger.verify_audit()
    assert (report.entries, report.problem) == (5, None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'someone else' WHERE seq = 2",
        "DELETE FROM audit_log WHERE seq = 3",
        "DELETE FROM audit_log",
    ],
)
async def test_the_database_refuses_to_change_the_log(ledger: Ledger, sql: Sql, statement: str) -> None:
    await append_five(ledger)
    with pytest.raises(DBAPIError, match="audit_log is append-only"):
        sql(statement)
    await assert_sound(ledger)


async def test_the_log_cannot_be_replaced_or_emptied_by_other_words(ledger: Ledger, sql: Sql, ledger_url: str) -> None:
    await append_five(ledger)
    replace = "REPLACE INTO audit_log SELECT seq, at, 'x', action, subject, detail, previous_hash, hash FROM audit_log"
    with pytest.raises(DBAPIError, match="audit_log is append-only"):
        sql(replace if ledger_url.startswith("sqlite") else "TRUNCATE audit_log")
    await assert_sound(ledger)


@pytest.mark.parametrize(
    ("statement", "broken", "problem"),
    [
        ("UPDATE audit_log SET detail = '{}' WHERE seq = 3", 3, "content does not match"),
        ("UPDATE audit_log SET actor = 'x' WHERE seq IN (2, 4)", 2, "content does not match"),
        ("UPDATE audit_log SET at = '2026-11-21 12:00:00.000001+00' WHERE seq = 5", 5, "content does not match"),
        ("UPDATE audit_log SET previous_hash = hash WHERE seq = 4", 4, "not the hash of the entry before"),
        ("UPDATE audit_log SET hash = previous_hash WHERE seq = 5", 5, "content does not match"),
        ("UPDATE audit_log SET seq = 9 WHERE seq = 5", 5, "entry 5 is missing, entry 9 follows"),
        ("DELETE FROM audit_log WHERE seq = 1", 1, "entry 1 is missing, entry 2 follows"),
        ("DELETE FROM audit_log WHERE seq = 3", 3, "entry 3 is missing, entry 4 follows"),
        ("DELETE FROM audit_log WHERE seq > 3", 4, "entry 4 is missing, audit_head counts 5"),
        ("UPDATE audit_head SET seq = 4", 5, "audit_head names entry 4"),
        ("UPDATE audit_head SET hash = (SELECT hash FROM audit_log WHERE seq = 1)", 5, "with another hash"),
        ("DELETE FROM audit_head", 5, "audit_head is gone"),
    ],
)
async def test_the_first_edited_entry_is_named(
    ledger: Ledger, tamper: Sql, statement: str, broken: int, problem: str
) -> None:
    await append_five(ledger)
    tamper(statement)
    report = await ledger.verify_audit()
    assert report.first_broken == broken
    assert problem in (report.problem or "")


async def test_an_instant_that_no_calendar_has_is_named_too(ledger: Ledger, tamper: Sql, ledger_url: str) -> None:
    await append_five(ledger)
    tamper(f"UPDATE audit_log SET at = '{'never' if ledger_url.startswith('sqlite') else 'infinity'}' WHERE seq = 2")
    assert (await ledger.verify_audit()).first_broken == 2


async def test_nothing_is_appended_without_a_head(ledger: Ledger, sql: Sql) -> None:
    sql("DELETE FROM audit_head")
    with pytest.raises(CrpbotError, match="restore the backup") as caught:
        await ledger.append_audit(EVENT)
    assert caught.value.reason == "AUDIT_HEAD_MISSING"
