"""When a call to the kill switch has returned, nothing that it forbids is born; what is open can be closed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from core.adapters.ledger.kill import forced_switch
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import INI_FILE, upgrade
from core.errors import Code, CrpbotError
from core.risk.account import KillLevel, TradeState
from core.risk.booking import NewEmission, Opening, Outcome, Trade
from tests.core.books import NOON, Books, new_trade, seeded

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

# set the switch, say so, and wait to be killed
KILLER = """
import asyncio, sys
from datetime import UTC, datetime
from core.adapters.ledger.kill import StoredSwitch
from core.adapters.ledger.ledger import Ledger
from core.risk.account import KillLevel, Moment

async def kill(url):
    switch = StoredSwitch(await Ledger.open(url, lock_timeout_seconds=60))
    clock = lambda: Moment(datetime(2026, 11, 21, 12, tzinfo=UTC), 1)
    await switch.set(KillLevel.HALT, by="killer", reason="test", clock=clock)
    print("killed", flush=True)
    sys.stdin.readline()

asyncio.run(kill(sys.argv[1]))
"""


async def set_level(books: Books, level: KillLevel) -> None:
    await books.switch.set(level, by="key-1", reason="drill", clock=books.clock)


async def assert_refused(awaitable: Any) -> None:  # Any: whatever would have been the answer
    with pytest.raises(CrpbotError, match=r"set by .*crpbot kill off") as caught:
        await awaitable
    assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "KILL_SWITCH")


async def test_the_switch_is_off_at_first_and_tells_who_set_it_when_and_why(ledger: Ledger) -> None:
    books = await seeded(ledger)
    assert (await books.switch.read()).level is KillLevel.OFF
    answer = await books.switch.set(KillLevel.PAUSE, by="key-1", reason="news at two", clock=books.clock)
    assert (answer.level, answer.by, answer.reason, answer.at) == (KillLevel.PAUSE, "key-1", "news at two", NOON)
    assert await books.switch.read() == answer == (await books.facts()).kill_switch
    entry = (await ledger.audit_after(2, 10))[-1]
    assert (entry.actor, entry.action) == ("key-1", "kill_switch.set")
    assert entry.detail == '{"before":"off","level":"pause","reason":"news at two"}'


@pytest.mark.parametrize(("level", "trades_go_on"), [(KillLevel.PAUSE, True), (KillLevel.HALT, False)])
async def test_a_pause_stops_signals_and_a_halt_stops_trades_too(
    ledger: Ledger, level: KillLevel, trades_go_on: bool
) -> None:
    books = await seeded(ledger)
    await set_level(books, level)
    await assert_refused(books.emit("signal-1"))
    if trades_go_on:
        await books.admit(new_trade())
    else:
        await assert_refused(books.admit(new_trade()))
    await assert_refused(books.admit(new_trade(), emission=NewEmission("signal-2", False)))
    assert len(await books.trades.list("paper")) == int(trades_go_on)
    assert (await books.facts()).emissions == ()
    await books.admit(new_trade(), "shadow")  # compared, never published
    await set_level(books, KillLevel.OFF)
    await books.emit("signal-1")
    await books.admit(new_trade())


async def test_under_a_halt_what_is_open_can_be_closed_and_nothing_that_waits_is_opened(ledger: Ledger) -> None:
    books = await seeded(ledger)
    opened, *waiting = [await books.admit(new_trade(is_open=number == 0)) for number in range(3)]
    await set_level(books, KillLevel.HALT)
    fill = Opening(waiting[0].id, Decimal(100))
    await assert_refused(books.trades.move("paper", fill, by="filler", clock=books.clock))
    told = Opening(waiting[1].id, Decimal(100), already_filled=True)
    assert (await books.trades.move("paper", told, by="bridge", clock=books.clock)).state is TradeState.OPEN
    assert (await books.close(opened, "5")).outcome is Outcome.WIN


async def test_the_switch_survives_a_restart_and_a_kill_of_the_one_who_set_it(ledger: Ledger, ledger_url: str) -> None:
    books = await seeded(ledger)
    command = [sys.executable, "-c", KILLER, ledger_url]
    with subprocess.Popen(
        command, cwd=INI_FILE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killer:
        assert killer.stdout is not None
        assert killer.stdout.readline() == "killed\n"
        killer.kill()
    again = await Ledger.open(ledger_url)
    assert (await Books(again).switch.read()).by == "killer"
    await again.close()
    await assert_refused(books.emit("signal-1"))


async def test_kill_switch_at_the_start_wins_over_the_database_and_no_call_lifts_it(ledger: Ledger) -> None:
    await seeded(ledger)
    books = Books(ledger, forced_switch(NOON))
    await assert_refused(books.emit("signal-1"))
    await assert_refused(books.admit(new_trade()))
    switch = await books.switch.read()
    assert (switch.level, switch.forced) == (KillLevel.HALT, True)
    assert (await books.facts()).kill_switch == switch
    for level in (KillLevel.OFF, KillLevel.PAUSE):
        with pytest.raises(CrpbotError, match="started with KILL_SWITCH=true") as caught:
            await set_level(books, level)
        assert caught.value.reason == "KILL_SWITCH_FORCED"
    assert (await Books(ledger).switch.read()).level is KillLevel.OFF
    await set_level(books, KillLevel.HALT)  # for the other gateways, and for the next start without it
    assert (await Books(ledger).switch.read()).level is KillLevel.HALT


@pytest.mark.parametrize(("by", "reason"), [("", "x"), ("x", ""), ("x", "a\nb"), ("x", "y" * 257)])
async def test_a_switch_without_a_name_or_a_reason_is_refused(ledger: Ledger, by: str, reason: str) -> None:
    books = await seeded(ledger)
    with pytest.raises(CrpbotError):
        await books.switch.set(KillLevel.HALT, by=by, reason=reason, clock=books.clock)
    assert (await books.switch.read()).level is KillLevel.OFF


async def test_without_its_row_nothing_is_born(ledger: Ledger, sql: Sql) -> None:
    books = await seeded(ledger)
    sql("DELETE FROM kill_switch")
    for ask in (books.admit(new_trade()), books.switch.read(), set_level(books, KillLevel.OFF)):
        with pytest.raises(CrpbotError, match="restore the backup") as caught:
            await ask
        assert caught.value.reason == "KILL_SWITCH_MISSING"


async def test_nothing_is_born_after_the_call_returned_while_many_are_in_flight(
    ledger: Ledger, ledger_url: str
) -> None:
    books = await seeded(ledger)
    other = await Ledger.open(ledger_url, lock_timeout_seconds=60)
    elsewhere = Books(other)
    for _ in range(10):
        births = [asyncio.create_task(each.admit(new_trade())) for each in (books, elsewhere) for _ in range(8)]
        await asyncio.wait(births, return_when=asyncio.FIRST_COMPLETED)
        await set_level(books, KillLevel.HALT)
        visible = await elsewhere.trades.list("paper")
        outcomes = await asyncio.gather(*births, return_exceptions=True)
        assert await books.trades.list("paper") == visible
        assert {outcome.id for outcome in outcomes if isinstance(outcome, Trade)} <= {each.id for each in visible}
        await set_level(books, KillLevel.OFF)
    await other.close()


async def test_a_kill_call_is_not_overtaken_for_ever_by_births_that_come_after_it(postgres_url: str) -> None:
    upgrade(postgres_url)
    ledgers = [await Ledger.open(postgres_url, lock_timeout_seconds=60) for _ in range(2)]
    books = [await seeded(each) for each in ledgers]
    born = 0
    busy = asyncio.Event()

    async def trade(mine: Books) -> None:
        nonlocal born
        with suppress(CrpbotError):  # the switch ends it
            while True:
                await mine.admit(new_trade())
                born += 1
                if born == 32:
                    busy.set()

    births = [asyncio.create_task(trade(books[number % 2])) for number in range(16)]
    await asyncio.wait_for(busy.wait(), timeout=60)
    before = born
    await asyncio.wait_for(set_level(books[0], KillLevel.HALT), timeout=60)
    assert born - before <= 64  # each of the 16 a few times
    await asyncio.gather(*births)
    for each in ledgers:
        await each.close()
