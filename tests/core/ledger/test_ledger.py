"""The ledger keeps what it acknowledged, numbers it without gaps under any race."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from core.adapters.ledger.chain import GENESIS, AuditEvent
from core.adapters.ledger.ledger import MAX_SEQ, Ledger, Run
from core.adapters.ledger.migrations import INI_FILE
from core.errors import Code, CrpbotError

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

# append entries (0: without end), and print the number and hash of each one acknowledged
WRITER = """
import asyncio, itertools, sys
from datetime import UTC, datetime
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.ledger import Ledger

async def write(url, count):
    ledger = await Ledger.open(url, lock_timeout_seconds=60)
    for number in range(count) if count else itertools.count():
        at = datetime(2026, 11, 21, tzinfo=UTC)
        entry = await ledger.append_audit(AuditEvent(at, "writer", "test.append", "nothing", {"number": number}))
        print(entry.seq, entry.hash, flush=True)
    await ledger.close()

asyncio.run(write(sys.argv[1], int(sys.argv[2])))
"""


def event(number: int = 0, at: datetime = NOON) -> AuditEvent:
    return AuditEvent(at, "key-1", "test.append", "account/paper", {"number": number})


def start_python(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, cwd=INI_FILE.parent, stdout=subprocess.PIPE, text=True)


async def append_many(ledger: Ledger, count: int) -> list[int]:
    entries = await asyncio.gather(*[ledger.append_audit(event(number)) for number in range(count)])
    return [entry.seq for entry in entries]


async def assert_sound(ledger: Ledger, entries: int) -> None:
    report = await ledger.verify_audit()
    assert (report.entries, report.first_broken, report.problem) == (entries, None, None)


# the chain


async def test_the_first_entry_is_number_one_and_its_hash_can_be_recomputed_by_anyone(ledger: Ledger) -> None:
    prague = timezone(timedelta(hours=1))
    at = datetime(2026, 11, 21, 13, 0, 0, 5, tzinfo=prague)
    entry = await ledger.append_audit(AuditEvent(at, "key-1", "kill.set", "účet", {"b": 1.5, "a": None}))
    sealed = GENESIS + r'[1,"2026-11-21 12:00:00.000005","key-1","kill.set","\u00fa\u010det","{\"a\":null,\"b\":1.5}"]'
    assert entry.seq == 1
    assert entry.detail == '{"a":null,"b":1.5}'
    assert entry.hash == hashlib.sha256(sealed.encode("ascii")).hexdigest()
    assert await ledger.audit_after(0, 10) == [entry]


async def test_an_empty_chain_is_sound(ledger: Ledger) -> None:
    report = await ledger.verify_audit()
    assert (report.entries, report.hash, report.problem) == (0, GENESIS, None)


async def test_racing_tasks_of_two_gateways_leave_no_gap_and_no_fork(ledger: Ledger, ledger_url: str) -> None:
    other = await Ledger.open(ledger_url, lock_timeout_seconds=60)
    numbers = await asyncio.gather(append_many(ledger, 100), append_many(other, 100))
    assert sorted(numbers[0] + numbers[1]) == list(range(1, 201))
    await assert_sound(ledger, 200)
    await other.close()


async def test_two_processes_write_one_chain(ledger: Ledger, ledger_url: str) -> None:
    writers = [start_python(WRITER, ledger_url, "40") for _ in range(2)]
    lines = [line for writer in writers for line in writer.communicate(timeout=300)[0].splitlines()]
    assert sorted(int(line.split()[0]) for line in lines) == list(range(1, 81))
    await assert_sound(ledger, 80)


async def test_verifying_beside_a_writer_raises_no_false_alarm(ledger: Ledger) -> None:
    async def write() -> None:
        for number in range(50):
            await ledger.append_audit(event(number))

    writing = asyncio.create_task(write())
    reports = []
    while not writing.done():
        reports.append(await ledger.verify_audit())
    await writing
    assert len({report.entries for report in reports}) > 3  # it did see the chain grow
    assert {report.problem for report in reports} == {None}


async def test_cancelled_appends_are_wholly_there_or_wholly_absent(ledger: Ledger) -> None:
    tasks = [asyncio.create_task(ledger.append_audit(event(number))) for number in range(60)]
    await asyncio.wait(tasks[:3], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    acknowledged = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    last = await ledger.append_audit(event())
    await assert_sound(ledger, last.seq)
    stored = await ledger.audit_after(0, 100)
    assert set(acknowledged) <= set(stored)


async def test_pages_follow_each_other_and_end_empty(ledger: Ledger) -> None:
    await append_many(ledger, 5)
    pages = [await ledger.audit_after(seq, 2) for seq in (0, 2, 4, 5)]
    assert [[entry.seq for entry in page] for page in pages] == [[1, 2], [3, 4], [5], []]


@pytest.mark.parametrize(("seq", "limit"), [(-1, 1), (MAX_SEQ + 1, 1), (-(10**400), 1), (0, 0), (0, 501)])
async def test_a_cursor_out_of_range_is_refused(ledger: Ledger, seq: int, limit: int) -> None:
    with pytest.raises(CrpbotError) as caught:
        await ledger.audit_after(seq, limit)
    assert caught.value.code is Code.INVALID_ARGUMENT


# what is kept


async def test_a_restart_keeps_entries_and_runs(ledger_url: str, sql: Sql) -> None:
    run = Run(NOON, "0.1.0", '{"DB_URL":"***"}', "synthetic", "dryrun")
    first = await Ledger.open(ledger_url)
    entry = await first.append_audit(event())
    assert await first.record_run(run) == 1
    await first.close()
    second = await Ledger.open(ledger_url)
    assert await second.record_run(run) == 2
    assert await second.audit_after(0, 10) == [entry]
    assert (await second.append_audit(event())).previous_hash == entry.hash
    await second.close()
    sha256 = hashlib.sha256(run.settings.encode()).hexdigest()
    stored = sql("SELECT id, version, settings, settings_sha256, data_provider, runtime_mode FROM runs ORDER BY id")
    assert stored == [(number, "0.1.0", run.settings, sha256, "synthetic", "dryrun") for number in (1, 2)]


async def test_a_writer_killed_in_the_middle_loses_nothing_it_acknowledged(ledger: Ledger, ledger_url: str) -> None:
    with start_python(WRITER, ledger_url, "0") as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        lines += writer.stdout.readlines()
    acknowledged = [(int(seq), entry_hash) for seq, entry_hash in (line.split() for line in lines)]
    stored = [(entry.seq, entry.hash) for entry in await ledger.audit_after(0, 500)]
    assert stored[: len(acknowledged)] == acknowledged
    assert len(stored) - len(acknowledged) in (0, 1)  # the one it was killed in may be there
    await ledger.append_audit(event())
    await assert_sound(ledger, len(stored) + 1)


async def test_instants_compare_with_the_clock_of_the_database(ledger: Ledger, sql: Sql, ledger_url: str) -> None:
    now = datetime.now(UTC)
    for hours in (25, 23, 0):
        await ledger.append_audit(event(at=now - timedelta(hours=hours)))
    yesterday = "datetime('now', '-24 hours')" if ledger_url.startswith("sqlite") else "now() - interval '24 hours'"
    assert sql(f"SELECT seq FROM audit_log WHERE at > {yesterday} ORDER BY seq") == [(2,), (3,)]


async def test_a_naive_instant_is_refused_wherever_it_comes_in(ledger: Ledger, sql: Sql) -> None:
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(CrpbotError, match="at: 2026-11-21T12:00:00 has no time zone"):
        event(at=naive)
    with pytest.raises(CrpbotError, match="has no time zone") as caught:
        await ledger.record_run(Run(naive, "0.1.0", "{}", "synthetic", "dryrun"))
    assert caught.value.reason == "NAIVE_DATETIME"
    assert sql("SELECT count(*) FROM runs") == [(0,)]
