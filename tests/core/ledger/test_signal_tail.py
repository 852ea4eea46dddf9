"""Whoever follows the decisions sees each one once and in order, from whichever gateway it came."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.adapters.ledger.signals.tail import PAGE, SignalTail
from core.errors import CrpbotError
from core.signals.store import EVERYTHING, SignalFilter, StoredSignal
from tests.core.decisions import NOON, decision, store
from tests.postgres import PostgresServer

EVENT = AuditEvent(NOON, "x", "test.append", "nothing", {})
NEVER_SECONDS = 3_600.0


async def take(
    tail: SignalTail, count: int, *, after: int = 0, wanted: SignalFilter = EVERYTHING
) -> list[StoredSignal]:
    """So many decisions of a stream, which is closed then."""
    found: list[StoredSignal] = []
    async with aclosing(tail.follow(after, wanted=wanted)) as stream, asyncio.timeout(60):
        async for stored in stream:
            found.append(stored)
            if len(found) == count:
                break
    return found


@asynccontextmanager
async def following(tail: SignalTail, count: int, *, after: int = 0) -> AsyncIterator[asyncio.Task[list[StoredSignal]]]:
    """A follower that already waits for something new."""
    task = asyncio.create_task(take(tail, count, after=after))
    await asyncio.sleep(0.2)
    yield task
    await task


def numbers(found: list[StoredSignal]) -> list[int]:
    return [int(stored.signal.id.removeprefix("signal-")) for stored in found]


async def test_what_is_stored_already_comes_first_and_then_what_is_new(ledger: Ledger) -> None:
    for number in range(3):
        await store(ledger, decision(number))
    async with following(SignalTail(ledger, poll_seconds=0.05), 6) as task:
        assert not task.done()
        for number in range(3, 6):
            await ledger.append_audit(EVENT)
            await store(ledger, decision(number))
    found = task.result()
    assert numbers(found) == list(range(6))
    assert [stored.seq for stored in found] == [1, 2, 3, 5, 7, 9]


async def test_a_stream_resumes_after_the_last_decision_that_was_dealt_with(ledger: Ledger) -> None:
    tail = SignalTail(ledger, poll_seconds=0.05)
    for number in range(PAGE + 20):
        await store(ledger, decision(number))
    first = await take(tail, 7)
    rest = await take(tail, PAGE + 13, after=first[-1].seq)
    assert numbers(first + rest) == list(range(PAGE + 20))


async def test_followers_of_two_gateways_see_the_writers_of_both_in_one_order(ledger: Ledger, ledger_url: str) -> None:
    other = await Ledger.open(ledger_url, lock_timeout_seconds=60)
    tails = [SignalTail(each, poll_seconds=0.05) for each in (ledger, other)]
    tasks = [asyncio.create_task(take(tail, 40)) for tail in tails for _ in range(3)]
    await asyncio.gather(*[store((ledger, other)[number % 2], decision(number)) for number in range(40)])
    streams = [await task for task in tasks]
    assert all(stream == streams[0] for stream in streams)
    assert sorted(numbers(streams[0])) == list(range(40))
    assert [stored.seq for stored in streams[0]] == list(range(1, 41))
    await other.close()


async def test_a_filter_leaves_out_and_still_moves_on(ledger: Ledger) -> None:
    tail = SignalTail(ledger, poll_seconds=0.05)
    task = asyncio.create_task(take(tail, 3, wanted=SignalFilter(symbol="ETH-USD")))
    for number in range(9):
        await store(ledger, decision(number, symbol="ETH-USD" if number % 3 == 2 else "BTC-USD"))
    assert numbers(await task) == [2, 5, 8]


async def test_a_decision_that_was_undone_is_never_seen(ledger: Ledger) -> None:
    async with following(SignalTail(ledger, poll_seconds=0.02), 1) as task:
        with pytest.raises(CrpbotError, match="is no name of a text"):
            await store(ledger, decision(0), texts={"no name": ""})
        await asyncio.sleep(0.1)
        assert not task.done()
        await store(ledger, decision(1))
    assert numbers(task.result()) == [1]


async def test_postgresql_wakes_followers_without_waiting_for_the_poll(postgres_url: str) -> None:
    upgrade(postgres_url)
    ledger = await Ledger.open(postgres_url)
    other = await Ledger.open(postgres_url)
    async with following(SignalTail(ledger, poll_seconds=NEVER_SECONDS), 1) as task:
        await store(other, decision())
    assert numbers(task.result()) == [0]
    await ledger.close()
    await other.close()


async def test_a_stream_outlives_a_restart_of_postgresql(postgres: PostgresServer, postgres_url: str) -> None:
    if postgres.cluster is None:
        pytest.skip("the PostgreSQL named in the environment is not ours to stop")
    upgrade(postgres_url)
    ledger = await Ledger.open(postgres_url)
    async with following(SignalTail(ledger, poll_seconds=0.1), 1) as task:
        postgres.cluster.stop()
        try:
            await asyncio.sleep(0.3)
        finally:
            postgres.cluster.start()
        await store(ledger, decision())
    assert numbers(task.result()) == [0]
    await ledger.close()


async def test_nothing_runs_while_nobody_listens(ledger: Ledger) -> None:
    before = asyncio.all_tasks()
    tail = SignalTail(ledger, poll_seconds=0.05)
    await store(ledger, decision())
    async with following(tail, 2) as task:
        async with asyncio.timeout(60):
            while not asyncio.all_tasks() - before - {task}:
                await asyncio.sleep(0.01)
        await store(ledger, decision(1))
    gc.collect()
    assert asyncio.all_tasks() == before
    assert numbers(await take(tail, 2)) == [0, 1]  # and it starts again for the next one


async def test_a_cancelled_follower_leaves_the_others_alone(ledger: Ledger) -> None:
    tail = SignalTail(ledger, poll_seconds=0.05)
    async with following(tail, 1) as staying:
        leaving = asyncio.create_task(take(tail, 1))
        await asyncio.sleep(0.1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await store(ledger, decision())
    assert numbers(staying.result()) == [0]


async def test_a_fault_nobody_has_foreseen_ends_the_stream(ledger: Ledger) -> None:
    task = asyncio.create_task(take(SignalTail(ledger, poll_seconds=0.05), 1))
    await asyncio.sleep(0.2)
    async with ledger.writing() as connection:
        for table in ("signal_texts", "signal_results", "signals"):
            await connection.exec_driver_sql(f"DROP TABLE {table}")
    with pytest.raises(Exception, match="signals"):
        await task


@pytest.mark.parametrize("seq", [-1, 2**63, -(10**400)], ids=["negative", "large", "huge"])
async def test_a_cursor_out_of_range_is_refused(ledger: Ledger, seq: int) -> None:
    with pytest.raises(CrpbotError, match="after_seq"):
        await take(SignalTail(ledger), 1, after=seq)
