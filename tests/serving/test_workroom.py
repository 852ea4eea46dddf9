"""The process beside the gateway that computes: nobody waits for what nobody asks for any more."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import CrpbotError
from core.performance.question import MeasureRequest
from serving import workroom
from serving.workroom import Workroom

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ASKED = MeasureRequest()


class FakePool:
    """A pool whose answers come when the test says so."""

    made: list[FakePool]

    def __init__(self, *_: object) -> None:
        self.futures: list[Future[Any]] = []
        self.waited: list[bool] = []
        type(self).made.append(self)

    def submit(self, *_: object) -> Future[Any]:
        self.futures.append(Future())
        self.futures[-1].set_running_or_notify_cancel()
        return self.futures[-1]

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        assert cancel_futures
        self.waited.append(wait)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Workroom:
    FakePool.made = []
    monkeypatch.setattr(workroom, "ProcessPoolExecutor", FakePool)
    return Workroom("sqlite://")


async def test_the_end_waits_for_an_idle_process_and_not_for_one_whose_caller_has_given_up(room: Workroom) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await room.review(ASKED, NOW)
    room.close()
    (pool,) = FakePool.made
    assert pool.waited == [False]
    asked = asyncio.create_task(room.equity(ASKED))
    await asyncio.sleep(0)
    FakePool.made[1].futures[0].set_result("an answer")
    assert await asked == "an answer"
    room.close()
    assert FakePool.made[1].waited == [True]


async def test_those_who_lost_a_process_do_not_end_the_next_one(room: Workroom) -> None:
    lost = [asyncio.create_task(room.equity(ASKED)) for _ in range(2)]
    await asyncio.sleep(0)
    first = FakePool.made[0]
    first.futures[0].set_exception(BrokenProcessPool())
    while not lost[0].done():
        await asyncio.sleep(0)
    fresh = asyncio.create_task(room.equity(ASKED))
    await asyncio.sleep(0)
    first.futures[1].set_exception(BrokenProcessPool())
    for each in lost:
        with pytest.raises(CrpbotError, match="ask again"):
            await each
    assert FakePool.made[1].waited == []
    FakePool.made[1].futures[0].set_result("an answer")
    assert await fresh == "an answer"
    room.close()
