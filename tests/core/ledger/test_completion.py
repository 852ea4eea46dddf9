"""The effect of a call and its answer are stored together: a crash between them, and a retry does nothing twice."""

from __future__ import annotations

import asyncio
import json
import signal as signals
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.body import adapter
from api.operation import Call, Operation, remember
from api.operations import account_operations, paper_operations, risk_operations, signal_operations
from core.adapters.ledger.idempotency import Idempotency
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import INI_FILE
from core.adapters.ledger.paper_books import StoredBooks
from core.adapters.ledger.trades import StoredTrades
from core.errors import Code, CrpbotError
from core.idempotency import LEASE_MS, Attempt
from core.paper.desk import PaperDesk
from core.paper.requests import CancelPaperTradeRequest, ClosePaperTradeRequest, OpenPaperTradeRequest
from core.risk.account import AccountKind, KillLevel, LatchKind, TradeState
from core.risk.report import GetRiskRequest
from core.risk.requests import (
    CreateAccountRequest,
    LiftLatchRequest,
    LiftLatchResponse,
    ReportAccountRequest,
    SetKillSwitchRequest,
)
from core.signal import Signal
from core.signals.reader import SignalReader
from core.signals.requests import GenerateSignalsRequest, GenerateSignalsResponse, MarkExecutedRequest
from core.trade import Direction
from tests.core.books import adjustment
from tests.core.signal_cases import FakeModel, Room, said

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

PATIENT = 60.0
OFF = SetKillSwitchRequest(KillLevel.OFF, "alice", "the drill is over")
LIFT = LiftLatchRequest("paper", LatchKind.TOTAL_STOP, "looked into it", "alice")
MINE = CreateAccountRequest("mine", AccountKind.PAPER, Decimal(1_000))
THREE = GenerateSignalsRequest(symbols=("BTC-USD", "ETH-USD", "SOL-USD"))

# A gateway that carries out one call under a key and is killed (-9) when the effect is stored: no line runs after it.
DYING = """
import asyncio, os, signal, sys
from dataclasses import replace
from api.operation import Call, remember
from core.adapters.ledger.idempotency import Idempotency
from core.adapters.ledger.ledger import Ledger
from tests.core.signal_cases import Room
from tests.core.ledger import test_completion as cases

async def main(url, rpc, ask):
    room = Room(await Ledger.open(url, lock_timeout_seconds=60))
    made = cases.operations(room)[rpc]

    async def die(request, call):
        await made.run(request, call)
        print("stored", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    keyed = remember(replace(made, run=die), Idempotency(room.ledger), room.clock)
    await keyed.run(getattr(cases, ask), Call(60.0, "key"))

asyncio.run(main(*sys.argv[1:]))
"""


class Keys:
    """The keys of a ledger, of which a step fails as often as told."""

    def __init__(self, ledger: Ledger, *, finish: int = 0, release: int = 0) -> None:
        self.stored = Idempotency(ledger)
        self.failing = {"finish": finish, "release": release}
        self.begin = self.stored.begin

    async def finish(self, attempt: Attempt, answer: bytes) -> None:
        self._fail("finish")
        await self.stored.finish(attempt, answer)

    async def release(self, attempt: Attempt) -> None:
        self._fail("release")
        await self.stored.release(attempt)

    def _fail(self, step: str) -> None:
        if self.failing[step]:
            self.failing[step] -= 1
            raise CrpbotError(Code.UNAVAILABLE, "the ledger is busy", reason="LEDGER_BUSY")


def operations(room: Room) -> dict[str, Operation]:
    """Every operation of the faces over a room, by its name."""
    reader = SignalReader(room.signals, room.clock)
    paper = PaperDesk(books=StoredBooks(room.ledger), archive=room.signals, risk=room.risk, clock=room.clock)
    made = (
        *(*risk_operations(room.risk), *account_operations(room.risk)),
        *(*signal_operations(room.desk, reader), *paper_operations(paper)),
    )
    return {each.rpc: each for each in made}


def keyed(room: Room, rpc: str, keys: Any = None) -> Operation:  # Any: keys that work and keys that fail
    return remember(operations(room)[rpc], keys or Idempotency(room.ledger), room.clock)


def kill_when_stored(url: str, rpc: str, ask: str) -> None:
    """Carry the call out in a process that dies with the commit."""
    command = [sys.executable, "-c", DYING, url, rpc, ask]
    died = subprocess.run(command, cwd=INI_FILE.parent, capture_output=True, text=True, timeout=300, check=False)
    assert (died.returncode, died.stdout) == (-signals.SIGKILL, "stored\n"), died.stderr


async def leave(call: Coroutine[Any, Any, Any], begun: asyncio.Event) -> None:  # Any: whatever it would answer
    """Go away when the call has come to a certain step."""
    calling = asyncio.create_task(call)
    async with asyncio.timeout(PATIENT):
        await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


def text_of(answer: GenerateSignalsResponse) -> bytes:
    return adapter(GenerateSignalsResponse).dump_json(answer)


# --- killed between the commit and the answer -------------------------------------------------------------------------


async def test_a_halt_set_after_a_crash_stays_when_the_call_to_lift_it_is_sent_again(
    ledger: Ledger, ledger_url: str
) -> None:
    room = await Room(ledger).open()
    kill_when_stored(ledger_url, "SetKillSwitch", "OFF")
    await room.switch.set(KillLevel.HALT, by="bob", reason="emergency", clock=room.clock)
    again = await keyed(room, "SetKillSwitch").run(OFF, Call(PATIENT, "key"))
    assert (again.level, again.by) == (KillLevel.OFF, "alice")
    room.clock.pass_time(LEASE_MS / 1_000 + 1)
    assert await keyed(room, "SetKillSwitch").run(OFF, Call(PATIENT, "key")) == again
    assert (await room.switch.read()).level is KillLevel.HALT


async def test_a_limit_that_trips_after_a_crash_stays_when_the_lift_is_sent_again(
    ledger: Ledger, ledger_url: str, sql: Sql
) -> None:
    room = await Room(ledger).open()
    await StoredTrades(ledger).book("paper", [adjustment("loss", "-9500")], by="test", clock=room.clock)
    await room.risk.report(GetRiskRequest("paper"))
    tripped = "SELECT count(*) FROM latches WHERE kind = 'total_stop' AND lifts IS NULL"
    assert sql(tripped) == [(1,)]
    kill_when_stored(ledger_url, "LiftLatch", "LIFT")
    await room.risk.report(GetRiskRequest("paper"))
    assert sql(tripped) == [(2,)]
    again = await keyed(room, "LiftLatch").run(LIFT, Call(PATIENT, "key"))
    assert again == LiftLatchResponse("paper", LatchKind.TOTAL_STOP, 1)
    assert sql("SELECT count(*) FROM latches WHERE lifts IS NOT NULL") == [(1,)]


async def test_an_account_made_before_a_crash_is_the_answer_to_the_call_sent_again(
    ledger: Ledger, ledger_url: str
) -> None:
    room = await Room(ledger).open()
    kill_when_stored(ledger_url, "CreateAccount", "MINE")
    again = await keyed(room, "CreateAccount").run(MINE, Call(PATIENT, "key"))
    assert again in await room.accounts.list()


async def test_signals_stored_before_a_crash_are_the_answer_to_the_call_sent_again(
    ledger: Ledger, ledger_url: str
) -> None:
    room = await Room(ledger).open()
    kill_when_stored(ledger_url, "GenerateSignals", "THREE")
    stored = {each.signal.symbol: each.signal for each in await room.signals.after(0, 10)}
    room.clock.pass_time(LEASE_MS / 1_000 + 1)
    again = await keyed(room, "GenerateSignals").run(THREE, Call(PATIENT, "key"))
    assert again.signals == tuple(stored[symbol] for symbol in THREE.symbols)
    assert len(await room.signals.after(0, 10)) == 3


async def test_a_report_told_before_a_failure_is_not_told_twice(ledger: Ledger, sql: Sql) -> None:
    room = await Room(ledger).open()
    await room.risk.create(replace(MINE, kind=AccountKind.REPORTED))
    told = ReportAccountRequest("mine", Decimal(1_000), Decimal(1_000), Decimal(1_000), 3)
    made = operations(room)["ReportAccount"]

    async def fail(request: ReportAccountRequest, call: Call) -> None:
        await made.run(request, call)
        raise CrpbotError(Code.UNAVAILABLE, "the quotes are away", reason="NO_QUOTES")

    keys = Idempotency(ledger)
    with pytest.raises(CrpbotError, match="the quotes are away"):
        await remember(replace(made, run=fail), keys, room.clock).run(told, Call(PATIENT, "key"))
    later = replace(told, balance=Decimal(990), equity=Decimal(990))
    await made.run(later, Call(PATIENT))
    again = await remember(made, keys, room.clock).run(told, Call(PATIENT, "key"))
    assert again.balance == Decimal(990)
    assert sql("SELECT count(*) FROM account_reports") == [(2,)]


async def test_a_hand_on_a_trade_before_a_failure_is_the_answer_to_the_call_sent_again(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    (first, other, _) = (await room.desk.generate(THREE, timeout_seconds=PATIENT)).signals
    trades = {trade.signal_id: trade.id for trade in await StoredTrades(ledger).list("paper")}
    calls = [
        ("OpenPaperTrade", OpenPaperTradeRequest(first.id), TradeState.OPEN),
        ("ClosePaperTrade", ClosePaperTradeRequest(trades[first.id]), TradeState.CLOSED),
        ("CancelPaperTrade", CancelPaperTradeRequest(trades[other.id]), TradeState.CLOSED),
    ]
    for rpc, ask, state in calls:
        made, answers = operations(room)[rpc], []

        async def fail(request: Any, call: Call, made: Operation = made, answers: list[Any] = answers) -> None:
            answers.append(await made.run(request, call))
            raise CrpbotError(Code.UNAVAILABLE, "the caller left", reason="LEFT")

        with pytest.raises(CrpbotError, match="the caller left"):
            await remember(replace(made, run=fail), Idempotency(ledger), room.clock).run(ask, Call(PATIENT, "key"))
        assert answers[0].state is state
        assert await keyed(room, rpc).run(ask, Call(PATIENT, "key")) == answers[0]


async def test_a_report_that_was_answered_is_answered_alike_again(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    await room.risk.create(replace(MINE, kind=AccountKind.REPORTED))
    told = ReportAccountRequest("mine", Decimal(1_000), Decimal(1_000), Decimal(1_000), 3)
    first = await keyed(room, "ReportAccount").run(told, Call(PATIENT, "key"))
    await keyed(room, "ReportAccount").run(replace(told, equity=Decimal(990)), Call(PATIENT, "other"))
    assert await keyed(room, "ReportAccount").run(told, Call(PATIENT, "key")) == first


# --- steps that fail --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rpc", "ask"), [("SetKillSwitch", OFF), ("CreateAccount", MINE), ("GenerateSignals", THREE)])
async def test_an_answer_that_cannot_be_kept_is_given_and_the_key_is_free_at_once(
    ledger: Ledger, rpc: str, ask: Any
) -> None:
    room = await Room(ledger).open()
    call = keyed(room, rpc, Keys(ledger, finish=1))
    first = await call.run(ask, Call(PATIENT, "key"))
    assert await call.run(ask, Call(PATIENT, "key")) == first


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_key_that_cannot_be_given_back_does_not_hide_why_the_call_failed(
    ledger: Ledger, cancelled: bool
) -> None:
    room = await Room(ledger).open()
    begun = asyncio.Event()

    async def fail(_request: SetKillSwitchRequest, _call: Call) -> None:
        if not cancelled:
            raise CrpbotError(Code.UNAVAILABLE, "the disk is full", reason="DISK_FULL")
        begun.set()
        await asyncio.Event().wait()

    made = replace(operations(room)["SetKillSwitch"], run=fail)
    call = remember(made, Keys(ledger, release=1), room.clock)
    if cancelled:
        await leave(call.run(OFF, Call(PATIENT, "key")), begun)
    else:
        with pytest.raises(CrpbotError, match="the disk is full"):
            await call.run(OFF, Call(PATIENT, "key"))


async def test_a_caller_who_leaves_while_the_answer_is_kept_leaves_a_free_key(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    begun = asyncio.Event()

    class Slow(Keys):
        async def finish(self, attempt: Attempt, answer: bytes) -> None:
            begun.set()
            await asyncio.Event().wait()

    await leave(keyed(room, "GenerateSignals", Slow(ledger)).run(THREE, Call(PATIENT, "key")), begun)
    again = await keyed(room, "GenerateSignals").run(THREE, Call(PATIENT, "key"))
    assert [signal.symbol for signal in again.signals] == list(THREE.symbols)
    assert len(await room.signals.after(0, 10)) == 3


# --- signals under a key ----------------------------------------------------------------------------------------------


async def test_a_repetition_reads_the_signals_back_to_the_last_byte_and_its_key_keeps_their_ids_only(
    ledger: Ledger, sql: Sql
) -> None:
    room = await Room(ledger, model=FakeModel(said(confidence=0.9))).open()
    call = keyed(room, "GenerateSignals")
    first = await call.run(THREE, Call(PATIENT, "key"))
    traded = [signal for signal in first.signals if signal.direction is not Direction.HOLD]
    marked = await keyed(room, "MarkExecuted").run(MarkExecutedRequest(traded[0].id), Call(PATIENT, "mark"))
    assert isinstance(marked, Signal)
    assert marked.executed
    assert text_of(await call.run(THREE, Call(PATIENT, "key"))) == text_of(first)
    ((kept,),) = sql("SELECT answer FROM idempotency_keys WHERE operation = 'SignalService.GenerateSignals'")
    assert json.loads(bytes(kept))["ids"] == [signal.id for signal in first.signals]
    assert len(bytes(kept)) < 200


async def test_a_retry_asks_the_model_for_what_is_missing_only(ledger: Ledger) -> None:
    room = await Room(ledger, model=FakeModel(said(confidence=0.9))).open()
    assert room.model is not None
    decide, stored = room.decisions.decide, 0

    class Crashing:
        def __getattr__(self, name: str) -> Any:  # Any: whatever the store has
            return getattr(room.decisions, name)

        async def decide(self, *arguments: Any, **named: Any) -> Any:
            nonlocal stored
            if stored == 2:
                raise CrpbotError(Code.UNAVAILABLE, "the machine died", reason="DIED")
            stored += 1
            return await decide(*arguments, **named)

    room.desk._decisions = Crashing()  # type: ignore[assignment]  # a store that dies at the third symbol
    with pytest.raises(CrpbotError, match="the machine died"):
        await room.desk.generate(THREE, timeout_seconds=PATIENT, key="key")
    first = {each.signal.id for each in await room.signals.after(0, 10)}
    assert (len(first), len(room.model.asked)) == (2, 3)
    room.desk._decisions = room.decisions
    again = await room.desk.generate(THREE, timeout_seconds=PATIENT, key="key")
    assert len(room.model.asked) == 4
    assert first < {signal.id for signal in again.signals}


async def test_a_key_of_days_ago_is_refused_instead_of_answered_with_a_decision_of_then(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    keys = Idempotency(ledger)
    call = keyed(room, "GenerateSignals", keys)
    await call.run(THREE, Call(PATIENT, "key"))
    room.clock.pass_time(timedelta(days=3).total_seconds())
    assert await keys.forget(room.clock()) == 1
    with pytest.raises(CrpbotError, match="choose a new key") as caught:
        await call.run(THREE, Call(PATIENT, "key"))
    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "KEY_EXPIRED")
    with pytest.raises(CrpbotError, match="choose a new key"):
        await call.run(THREE, Call(PATIENT, "key"))
    assert len((await call.run(THREE, Call(PATIENT, "new key"))).signals) == 3
