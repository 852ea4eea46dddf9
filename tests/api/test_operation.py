"""An operation is carried out once for a key, within its deadline, whatever face it came by."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from api.body import parse_parameters
from api.events import write_events
from api.operation import Call, Operation, perform, remember
from core.errors import Code, CrpbotError
from core.idempotency import Attempt, InFlight, Outcome, Replay, Reused, Started
from core.idempotency import Call as KeyedCall
from core.risk.account import KillLevel, KillSwitch, Moment
from core.risk.requests import SetKillSwitchRequest
from core.signals.requests import ListSignalsRequest
from core.trade import STRICT, Direction

ASKED = SetKillSwitchRequest(KillLevel.PAUSE, "me", "because")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def clock() -> Moment:
    return Moment(NOW, 1)


class FakeKeys:
    """Keys in a dict: what was answered is replayed, another body is refused."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[str, bytes | None]] = {}

    async def begin(self, call: KeyedCall, moment: Moment) -> Outcome:
        name = (call.operation, call.key)
        if name not in self.answers:
            self.answers[name] = (call.body_sha256, None)
            return Started(Attempt(call, "owner"))
        sha256, answer = self.answers[name]
        if sha256 != call.body_sha256:
            return Reused()
        return InFlight(3.0) if answer is None else Replay(answer)

    async def finish(self, attempt: Attempt, answer: bytes) -> None:
        self.answers[attempt.call.operation, attempt.call.key] = (attempt.call.body_sha256, answer)

    async def release(self, attempt: Attempt) -> None:
        del self.answers[attempt.call.operation, attempt.call.key]


class Switch:
    """Counts how often it was set."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.failing = False

    async def set(self, request: SetKillSwitchRequest, call: Call) -> KillSwitch:
        self.calls.append(call)
        if self.failing:
            raise CrpbotError(Code.UNAVAILABLE, "the disk is full", reason="LEDGER_BUSY")
        return KillSwitch(request.level, request.by, f"{request.reason} {len(self.calls)}", NOW)


def operation(switch: Switch, keys: FakeKeys) -> Operation:
    made = Operation(
        *("RiskService", "SetKillSwitch", "POST", "/v1/kill-switch", SetKillSwitchRequest, KillSwitch, switch.set),
        summary="Set it",
        creates=True,
    )
    return remember(made, keys, clock)


async def test_a_call_with_a_key_is_done_once_and_its_answer_repeated() -> None:
    switch = Switch()
    kill = operation(switch, FakeKeys())
    first = await perform(kill, ASKED, Call(60.0, "key"))
    assert await perform(kill, ASKED, Call(60.0, "key")) == first
    assert [call.attempt is not None for call in switch.calls] == [True]
    assert (await perform(kill, ASKED, Call(60.0, "another"))).reason == "because 2"


async def test_a_call_without_a_key_is_done_each_time() -> None:
    switch = Switch()
    kill = operation(switch, FakeKeys())
    await perform(kill, ASKED, Call(60.0))
    await perform(kill, ASKED, Call(60.0))
    assert [call.attempt for call in switch.calls] == [None, None]


async def test_a_key_with_another_body_is_refused() -> None:
    kill = operation(Switch(), FakeKeys())
    await perform(kill, ASKED, Call(60.0, "key"))
    with pytest.raises(CrpbotError) as caught:
        await perform(kill, SetKillSwitchRequest(KillLevel.OFF, "me", "because"), Call(60.0, "key"))
    assert (caught.value.reason, caught.value.code) == ("KEY_REUSED", Code.INVALID_ARGUMENT)


async def test_a_failed_call_gives_its_key_back() -> None:
    switch = Switch()
    kill = operation(switch, FakeKeys())
    switch.failing = True
    with pytest.raises(CrpbotError, match="the disk is full"):
        await perform(kill, ASKED, Call(60.0, "key"))
    switch.failing = False
    assert (await perform(kill, ASKED, Call(60.0, "key"))).reason == "because 2"


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\t", "schlüssel"])
async def test_a_key_that_no_header_carries_is_refused(key: str) -> None:
    with pytest.raises(CrpbotError) as caught:
        await perform(operation(Switch(), FakeKeys()), ASKED, Call(60.0, key))
    assert caught.value.reason == "INVALID_KEY"


async def test_a_call_ends_at_its_deadline() -> None:
    async def sleep(_request: SetKillSwitchRequest, _call: Call) -> KillSwitch:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")

    slow = Operation(*("S", "Slow", "POST", "/slow", SetKillSwitchRequest, KillSwitch, sleep), summary="Slow")
    for seconds in (0.01, 0.0, -1.0):
        with pytest.raises(CrpbotError) as caught:
            await perform(slow, ASKED, Call(seconds))
        assert caught.value.reason == "DEADLINE_EXCEEDED"


# --- parameters -------------------------------------------------------------------------------------------------------


def test_the_texts_of_an_address_become_a_request() -> None:
    texts = {"symbol": "BTC-USD", "direction": "SELL", "since": "2026-03-02T12:00:00Z", "limit": "7"}
    request = parse_parameters(texts, ListSignalsRequest)
    assert request == ListSignalsRequest(symbol="BTC-USD", direction=Direction.SELL, since=NOW, limit=7)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("limit", "seven"),
        ("limit", "7_0"),
        ("limit", " 7"),
        ("limit", ""),
        ("direction", "sell"),
        ("since", "2026-03-02T12:00:00"),
        ("symbol", "BTC\x00USD"),
        ("colour", "red"),
    ],
)
def test_a_text_that_is_no_value_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(CrpbotError) as caught:
        parse_parameters({name: text}, ListSignalsRequest)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert name in caught.value.detail


# --- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """Something with a number."""

    __pydantic_config__: ClassVar = STRICT
    sequence: int
    price: Decimal


STREAM = Operation(
    *("S", "Stream", "GET", "/stream", ListSignalsRequest, Event, lambda _request, _call: None),
    summary="Stream",
    streams=True,
)


async def written(answers: Any) -> list[bytes]:
    return [chunk async for chunk in write_events(STREAM, answers)]


async def test_each_answer_of_a_stream_is_an_event_with_its_number() -> None:
    async def answers() -> Any:
        yield Event(4, Decimal("1.50"))
        yield Event(9, Decimal("1E-8"))

    assert await written(answers()) == [
        b'id: 4\ndata: {"sequence":4,"price":"1.50"}\n\n',
        b'id: 9\ndata: {"sequence":9,"price":"0.00000001"}\n\n',
    ]


async def test_an_error_in_a_stream_is_its_last_event() -> None:
    async def answers() -> Any:
        yield Event(4, Decimal(1))
        raise CrpbotError(Code.UNAVAILABLE, "the ledger is away", reason="LEDGER_AWAY")

    events = await written(answers())
    assert len(events) == 2
    assert events[1].startswith(b"event: problem\ndata: ")
    assert b"LEDGER_AWAY" in events[1]


async def test_a_reader_who_leaves_ends_the_stream() -> None:
    ended = asyncio.Event()

    async def answers() -> Any:
        try:
            yield Event(4, Decimal(1))
            await asyncio.sleep(60)
        finally:
            ended.set()

    chunks = write_events(STREAM, answers())
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    assert ended.is_set()
