"""A call sent twice, at once, later, after a crash or with another body: one owner, one answer, and nobody blocked."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.ledger.audit import append_entry
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.idempotency import Idempotency, complete, conclude, hold
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import INI_FILE
from core.errors import Code, CrpbotError
from core.idempotency import (
    CLOCK_SKEW_MS,
    LEASE_MS,
    LONGEST_REQUEST_MS,
    OLDEST_ANSWER,
    Attempt,
    Call,
    InFlight,
    Outcome,
    Replay,
    Reused,
    Started,
    check_key,
    refuse_expired,
    settled,
)
from core.risk.account import Moment

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CALL = Call("create_signal", "key-1", sha256(b"body").hexdigest())
EVENT = AuditEvent(NOON, "key-1", "test.append", "nothing", {})

# at every key start as many tasks as told; whoever wins finishes with a name of its own, the others say what they saw
RACER = """
import asyncio, sys
from datetime import UTC, datetime
from hashlib import sha256
from core.adapters.ledger.idempotency import Idempotency
from core.adapters.ledger.ledger import Ledger
from core.idempotency import Call, Replay, Started
from core.risk.account import Moment

MOMENT = Moment(datetime(2026, 11, 21, 12, tzinfo=UTC), 1_000_000)

async def attempt(store, number, name):
    call = Call("create_signal", f"key-{number}", sha256(b"body").hexdigest())
    outcome = await store.begin(call, MOMENT)
    if isinstance(outcome, Started):
        await asyncio.sleep(0.05)
        await store.finish(outcome.attempt, name.encode())
    return f"{number} {type(outcome).__name__} {name if isinstance(outcome, Started) else ''}"

async def race(url, name, keys, tasks):
    ledger = await Ledger.open(url, lock_timeout_seconds=60)
    store = Idempotency(ledger)
    print("ready", flush=True)
    sys.stdin.readline()
    attempts = [attempt(store, number, f"{name}-{task}") for task in range(tasks) for number in range(keys)]
    for line in await asyncio.gather(*attempts):
        print(line)
    await ledger.close()

asyncio.run(race(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""

# take a key and hang
HANGING = """
import asyncio, sys
from datetime import UTC, datetime
from core.adapters.ledger.idempotency import Idempotency
from core.adapters.ledger.ledger import Ledger
from core.idempotency import Call
from core.risk.account import Moment

async def hang(url, key, body_sha256):
    ledger = await Ledger.open(url, lock_timeout_seconds=60)
    moment = Moment(datetime(2026, 11, 21, 12, tzinfo=UTC), 1_000_000)
    print(type(await Idempotency(ledger).begin(Call("create_signal", key, body_sha256), moment)).__name__, flush=True)
    await asyncio.sleep(600)

asyncio.run(hang(*sys.argv[1:]))
"""


def after(milliseconds: int) -> Moment:
    """So long after noon by both clocks."""
    return Moment(NOON + timedelta(milliseconds=milliseconds), 1_000_000 + milliseconds)


def start_python(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=INI_FILE.parent, stdin=pipe, stdout=pipe, text=True, bufsize=1)


def started(outcome: Outcome) -> Attempt:
    assert isinstance(outcome, Started), outcome
    return outcome.attempt


async def store_work(ledger: Ledger, attempt: Attempt, failure: Exception | None = None) -> None:
    """One transaction: what the call does, and that it is done."""
    async with ledger.writing() as connection:
        await append_entry(connection, EVENT)
        await complete(connection, attempt, b"answer")
        if failure is not None:
            raise failure


async def conclude_work(ledger: Ledger, attempt: Attempt) -> None:
    """One transaction of a store that is given a seal."""
    async with ledger.writing() as connection:
        await append_entry(connection, EVENT)
        await conclude(connection, attempt, None)


@pytest.fixture
def store(ledger: Ledger) -> Idempotency:
    return Idempotency(ledger)


# once, again, at once, with another body


async def test_a_second_call_gets_the_answer_of_the_first_byte_for_byte(store: Idempotency) -> None:
    attempt = started(await store.begin(CALL, after(0)))
    await store.finish(attempt, b"\x00\xffanswer")
    for later in (1, LEASE_MS, 86_000_000):
        assert await store.begin(CALL, after(later)) == Replay(b"\x00\xffanswer")


async def test_an_empty_answer_is_an_answer(store: Idempotency) -> None:
    await store.finish(started(await store.begin(CALL, after(0))), b"")
    assert await store.begin(CALL, after(1)) == Replay(b"")


async def test_a_replay_survives_a_restart(ledger_url: str) -> None:
    for expected in (None, Replay(b"answer")):
        ledger = await Ledger.open(ledger_url)
        outcome = await Idempotency(ledger).begin(CALL, after(0))
        if expected is None:
            await Idempotency(ledger).finish(started(outcome), b"answer")
        else:
            assert outcome == expected
        await ledger.close()


async def test_a_call_in_flight_says_when_to_come_back(store: Idempotency) -> None:
    started(await store.begin(CALL, after(0)))
    assert await store.begin(CALL, after(2_000)) == InFlight((LEASE_MS - 2_000) / 1_000)


@pytest.mark.parametrize("finished", [False, True])
async def test_another_body_changes_nothing_before_and_after_the_answer(store: Idempotency, finished: bool) -> None:
    attempt = started(await store.begin(CALL, after(0)))
    if finished:
        await store.finish(attempt, b"answer")
    other = replace(CALL, body_sha256=sha256(b"other").hexdigest())
    for later in (1, LEASE_MS + 1):
        assert await store.begin(other, after(later)) == Reused()
    if not finished:
        await store.finish(attempt, b"answer")
    assert await store.begin(CALL, after(2)) == Replay(b"answer")


async def test_the_same_key_of_another_operation_is_another_call(store: Idempotency) -> None:
    started(await store.begin(CALL, after(0)))
    started(await store.begin(replace(CALL, operation="close_trade"), after(0)))


async def test_of_300_racing_tasks_one_works_and_all_others_wait_or_replay(store: Idempotency) -> None:
    async def attempt(number: int) -> Outcome:
        outcome = await store.begin(CALL, after(number))
        if isinstance(outcome, Started):
            await asyncio.sleep(0.05)
            await store.finish(outcome.attempt, str(number).encode())
        return outcome

    outcomes = await asyncio.gather(*[attempt(number) for number in range(300)])
    kinds = Counter(type(outcome) for outcome in outcomes)
    assert kinds[Started] == 1
    assert kinds[Started] + kinds[InFlight] + kinds[Replay] == 300
    winner = next(number for number, outcome in enumerate(outcomes) if isinstance(outcome, Started))
    answers = {outcome.answer for outcome in outcomes if isinstance(outcome, Replay)}
    assert answers <= {str(winner).encode()}
    assert await store.begin(CALL, after(300)) == Replay(str(winner).encode())


async def test_of_two_racing_processes_one_wins_each_key(store: Idempotency, ledger_url: str) -> None:
    racers = [start_python(RACER, ledger_url, name, "15", "10") for name in ("left", "right")]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    lines = [line.split() for racer in racers for line in racer.communicate(timeout=300)[0].splitlines()]
    assert len(lines) == 300
    assert {line[1] for line in lines} <= {"Started", "InFlight", "Replay"}
    winners = {line[0]: line[2] for line in lines if line[1] == "Started"}
    assert Counter(line[1] for line in lines)["Started"] == len(winners) == 15
    for number, name in winners.items():
        call = replace(CALL, key=f"key-{number}")
        assert await store.begin(call, Moment(NOON, 1_000_000)) == Replay(name.encode())


# attempts that die


async def test_a_process_killed_in_its_attempt_frees_the_key_after_one_lease(
    store: Idempotency, ledger_url: str
) -> None:
    with start_python(HANGING, ledger_url, CALL.key, CALL.body_sha256) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Started\n"
        process.kill()
    assert await store.begin(CALL, after(LEASE_MS - 1)) == InFlight(0.001)
    attempt = started(await store.begin(CALL, after(LEASE_MS)))
    await store.finish(attempt, b"answer")
    assert await store.begin(CALL, after(LEASE_MS + 1)) == Replay(b"answer")


async def test_a_dead_attempt_that_wakes_leaves_no_trace(store: Idempotency, ledger: Ledger) -> None:
    dead = started(await store.begin(CALL, after(0)))
    heir = started(await store.begin(CALL, after(LEASE_MS)))
    with pytest.raises(CrpbotError, match="gone to a later attempt") as caught:
        await store_work(ledger, dead)
    assert (caught.value.code, caught.value.reason) == (Code.ABORTED, "LEASE_LOST")
    with pytest.raises(CrpbotError, match="gone to a later attempt"):
        async with ledger.writing() as connection:
            await hold(connection, dead)
    await store.release(dead)
    assert await ledger.audit_after(0, 10) == []
    assert isinstance(await store.begin(CALL, after(LEASE_MS + 1)), InFlight)
    await store.finish(heir, b"answer")
    with pytest.raises(CrpbotError, match="gone to a later attempt"):
        await store.finish(dead, b"late")
    assert await store.begin(CALL, after(LEASE_MS + 2)) == Replay(b"answer")


async def test_an_owner_finishes_after_its_lease_as_long_as_nobody_took_over(store: Idempotency) -> None:
    attempt = started(await store.begin(CALL, after(0)))
    await store.finish(attempt, b"late but alone")
    assert await store.begin(CALL, after(2 * LEASE_MS)) == Replay(b"late but alone")


async def test_work_and_completion_are_stored_together_or_not_at_all(store: Idempotency, ledger: Ledger) -> None:
    attempt = started(await store.begin(CALL, after(0)))
    with pytest.raises(OSError, match="disk full"):
        await store_work(ledger, attempt, failure=OSError("disk full"))
    assert await ledger.audit_after(0, 10) == []
    await store_work(ledger, attempt)
    assert len(await ledger.audit_after(0, 10)) == 1
    assert await store.begin(CALL, after(1)) == Replay(b"answer")


async def test_a_seal_stores_the_answer_with_the_effect_and_the_owner_may_still_add_to_it(
    store: Idempotency, ledger: Ledger
) -> None:
    attempt = started(await store.begin(CALL, after(0)))
    sealed = replace(attempt, seal=lambda answer: str(answer).encode()).answering(lambda number: f"{number} lifted")
    assert sealed == attempt
    for rolled_back in (True, False):
        with contextlib.suppress(OSError):
            async with ledger.writing() as connection:
                await append_entry(connection, EVENT)
                await conclude(connection, sealed, 3)
                if rolled_back:
                    raise OSError("disk full")
        assert isinstance(await store.begin(CALL, after(1)), InFlight if rolled_back else Replay)
    assert await store.begin(CALL, after(LEASE_MS)) == Replay(b"3 lifted")
    await store.release(sealed)  # what is answered stays answered
    assert await store.begin(CALL, after(LEASE_MS)) == Replay(b"3 lifted")
    await store.finish(sealed, b"3 lifted, and how it stands")
    assert await store.begin(CALL, after(LEASE_MS)) == Replay(b"3 lifted, and how it stands")


async def test_without_a_key_or_a_seal_there_is_nothing_to_store(store: Idempotency, ledger: Ledger) -> None:
    attempt = started(await store.begin(CALL, after(0)))
    async with ledger.writing() as connection:
        await conclude(connection, None, 3)
        await conclude(connection, attempt.answering(str), 3)
    assert isinstance(await store.begin(CALL, after(1)), InFlight)


async def test_a_dead_attempt_cannot_conclude(store: Idempotency, ledger: Ledger) -> None:
    dead = replace(started(await store.begin(CALL, after(0))), seal=lambda _answer: b"late")
    started(await store.begin(CALL, after(LEASE_MS)))
    with pytest.raises(CrpbotError, match="gone to a later attempt"):
        await conclude_work(ledger, dead)
    assert await ledger.audit_after(0, 10) == []


async def test_nobody_takes_a_key_over_while_its_owner_stores_the_work(store: Idempotency, ledger: Ledger) -> None:
    attempt = started(await store.begin(CALL, after(0)))
    async with ledger.writing() as connection:
        await hold(connection, attempt)
        taking_over = asyncio.create_task(store.begin(CALL, after(LEASE_MS)))
        await asyncio.sleep(0.2)
        assert not taking_over.done()
        await complete(connection, attempt, b"answer")
    assert await taking_over == Replay(b"answer")


async def test_a_released_key_can_be_used_at_once_by_the_same_body_alone(store: Idempotency) -> None:
    await store.release(started(await store.begin(CALL, after(0))))
    other = replace(CALL, body_sha256=sha256(b"other").hexdigest())
    assert await store.begin(other, after(1)) == Reused()
    heir = started(await store.begin(CALL, after(1)))
    assert isinstance(await store.begin(CALL, after(2)), InFlight)
    await store.finish(heir, b"answer")
    await store.release(heir)
    assert await store.begin(CALL, after(3)) == Replay(b"answer")


def test_a_lease_outlives_the_longest_request_and_ends_within_five_seconds_of_it() -> None:
    assert LONGEST_REQUEST_MS < LEASE_MS
    assert LEASE_MS + CLOCK_SKEW_MS <= LONGEST_REQUEST_MS + 5_000


async def test_a_jump_of_the_wall_clock_changes_no_lease(store: Idempotency) -> None:
    started(await store.begin(CALL, after(0)))
    for hours in (-1, 1):
        jumped = Moment(NOON + timedelta(hours=hours), 1_000_001)
        assert isinstance(await store.begin(CALL, jumped), InFlight)


async def test_after_a_reboot_no_lease_of_the_former_boot_holds(store: Idempotency) -> None:
    started(await store.begin(CALL, after(0)))
    assert await store.begin(CALL, after(-CLOCK_SKEW_MS)) == InFlight((LEASE_MS + CLOCK_SKEW_MS) / 1_000)
    started(await store.begin(CALL, Moment(NOON, 5_000)))


# forgetting


async def test_keys_are_forgotten_after_their_time_and_not_by_a_jump_of_the_clock(store: Idempotency) -> None:
    for number in range(5):
        await store.begin(replace(CALL, key=f"key-{number}"), after(0))
    assert await store.forget(Moment(NOON + timedelta(hours=30), 1_000_001)) == 0  # only the wall clock says so
    await store.begin(replace(CALL, key="young"), after(7_200_000))
    assert await store.forget(after(86_399_000)) == 0
    assert await store.forget(after(86_401_000)) == 5
    assert isinstance(await store.begin(replace(CALL, key="young"), after(7_200_001)), InFlight)
    started(await store.begin(replace(CALL, key="key-0"), after(86_401_000)))


async def test_forgetting_works_in_batches(store: Idempotency, sql: Sql, ledger_url: str) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
    row = f"'create_signal', 'key-' || i, '{CALL.body_sha256}', 'started', 'x', 0, '2026-11-20 12:00:00.000000+00'"
    cast = row.replace("+00'", "'") if ledger_url.startswith("sqlite") else row.replace("+00'", "+00'::timestamptz")
    columns = "operation, key, body_sha256, state, owner, leased_ms, created_at"
    sql(f"INSERT INTO idempotency_keys ({columns}) {numbers} SELECT {cast} FROM n")
    assert await store.forget(after(200_000_000)) == 2_500
    assert sql("SELECT count(*) FROM idempotency_keys") == [(0,)]


async def test_nobody_may_forget_within_a_day(store: Idempotency) -> None:
    with pytest.raises(CrpbotError, match="retention"):
        await store.forget(after(0), retention=timedelta(hours=23))


def test_what_was_stored_before_a_key_can_be_forgotten_is_an_answer_and_later_it_is_none() -> None:
    refuse_expired("key", NOON, NOON + OLDEST_ANSWER - timedelta(milliseconds=1))
    with pytest.raises(CrpbotError, match="choose a new key") as caught:
        refuse_expired("key", NOON, NOON + OLDEST_ANSWER)
    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "KEY_EXPIRED")


# what a key may be


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=255))
def test_printable_ascii_up_to_255_characters_is_a_key(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize("key", ["", "x" * 256, "line\nbreak", "nul\0", "é", "\x7f", "\ud800", "tab\t"])
def test_what_a_header_cannot_carry_is_no_key(key: str) -> None:
    with pytest.raises(CrpbotError, match="idempotency_key") as caught:
        Call("create_signal", key, CALL.body_sha256)
    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "INVALID_KEY")


def test_what_stands_in_the_way_has_a_code_and_a_reason() -> None:
    with pytest.raises(CrpbotError, match="in use by another attempt") as waiting:
        settled(InFlight(12.5), CALL)
    assert (waiting.value.code, waiting.value.reason) == (Code.ABORTED, "IN_PROGRESS")
    assert waiting.value.retry_after_seconds == 12.5
    with pytest.raises(CrpbotError, match="choose a new key") as reused:
        settled(Reused(), CALL)
    assert (reused.value.code, reused.value.reason) == (Code.INVALID_ARGUMENT, "KEY_REUSED")
    assert settled(Replay(b"answer"), CALL) == Replay(b"answer")
