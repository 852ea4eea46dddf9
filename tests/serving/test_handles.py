"""A group of replicas as the desk sees it: deadlines, the breaker, and what a failing group does to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError

from core.analysis import Findings
from core.errors import CrpbotError
from core.market import Windows, stack_windows
from serving.groups import Group
from serving.handles import BREAKER_FAILURES, GroupCaller, ServeAnalysts
from tests.fakes import telling_answer, walk_candles

Behaviour = Callable[[int], object]


class FakeHandle:
    """A deployment handle: `behave` gives for each call an answer, an exception, or seconds to be silent."""

    def __init__(self, behave: Behaviour) -> None:
        self.calls = 0
        self.budgets: list[float] = []
        self.analyze = SimpleNamespace(remote=self._remote)
        self._behave = behave

    async def _remote(self, batches: Sequence[Windows], theories: Sequence[str], seconds: float) -> Any:
        self.calls += 1
        self.budgets.append(seconds)
        outcome = self._behave(self.calls)
        if isinstance(outcome, BaseException):
            raise outcome
        if isinstance(outcome, float):
            await asyncio.sleep(outcome)
        return telling_answer(batches, theories)


def always(outcome: object) -> Behaviour:
    return lambda _: outcome


def group(name: str, *theories: str) -> Group:
    return Group(name, theories, replicas=1, cpus=0.1, concurrency=1)


def analysts(**handles: FakeHandle) -> ServeAnalysts:
    """One group for each handle, with one theory of the same name."""
    made = ServeAnalysts([group(name, name) for name in handles])
    for caller, handle in zip(made.callers, handles.values(), strict=True):
        caller.attach(handle)
    return made


def windows() -> Windows:
    return stack_windows([walk_candles("BTC-USD", count=20)], 20)


async def ask(made: ServeAnalysts, *, seconds: float = 5.0) -> Findings:
    theories = [theory for caller in made.callers for theory in caller.group.theories]
    ((found,),) = await made.analyze([windows()], theories, timeout_seconds=seconds)
    return found


def outcome(found: Findings) -> tuple[list[str], list[tuple[str, str]]]:
    return [reading.theory for reading in found.readings], [(gap.theory, gap.reason) for gap in found.missing]


async def test_a_call_is_repeated_when_its_replica_dies() -> None:
    handle = FakeHandle(lambda call: RayActorError() if call == 1 else None)
    assert outcome(await ask(analysts(a=handle))) == (["a"], [])
    assert handle.calls == 2


async def test_the_replica_has_less_time_than_the_caller_so_that_its_partial_answer_arrives() -> None:
    handle = FakeHandle(always(None))
    await ask(analysts(a=handle), seconds=1.0)
    assert handle.budgets[0] < 0.9 * 0.9 + 0.001


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (RayActorError(), "unavailable"),
        (RuntimeError("Serve raises what it likes"), "unavailable"),
        (asyncio.CancelledError(), "unavailable"),
        (30.0, "deadline"),
    ],
    ids=["dead replicas", "an odd error", "dropped", "silent"],
)
async def test_a_group_in_trouble_is_missing_and_the_others_answer(trouble: object, reason: str) -> None:
    made = analysts(ill=FakeHandle(always(trouble)), well=FakeHandle(always(None)))
    assert outcome(await ask(made, seconds=0.5)) == (["well"], [("ill", reason)])


async def test_when_no_group_answers_the_call_is_an_error_with_the_reason() -> None:
    with pytest.raises(CrpbotError) as refused:
        await ask(analysts(ill=FakeHandle(always(RuntimeError()))))
    assert refused.value.reason == "ANALYSTS_UNAVAILABLE"
    with pytest.raises(CrpbotError) as refused:
        await ask(analysts(ill=FakeHandle(always(30.0))), seconds=0.05)
    assert refused.value.reason == "DEADLINE_EXCEEDED"


async def test_the_breaker_opens_after_failures_in_a_row_and_spares_the_next_caller() -> None:
    handle = FakeHandle(always(RuntimeError()))
    made = analysts(ill=handle, well=FakeHandle(always(None)))
    for _ in range(BREAKER_FAILURES + 3):
        assert outcome(await ask(made)) == (["well"], [("ill", "unavailable")])
    assert handle.calls == BREAKER_FAILURES
    assert made.callers[0].needs_attaching
    assert await made.problem() is not None
    assert not made.callers[1].needs_attaching


async def test_impatient_callers_do_not_open_the_breaker_for_everybody() -> None:
    made = analysts(slow=FakeHandle(always(0.2)))
    for _ in range(BREAKER_FAILURES + 1):
        with pytest.raises(CrpbotError):
            await ask(made, seconds=0.02)
    assert await made.problem() is None


async def test_failures_of_a_handle_that_was_replaced_do_not_speak_against_the_new_one() -> None:
    caller = GroupCaller(group("a", "a"))
    caller.attach(FakeHandle(lambda _: 0.05))
    gate = asyncio.Event()

    class Doomed(FakeHandle):
        async def _remote(self, batches: Sequence[Windows], theories: Sequence[str], seconds: float) -> Any:
            await gate.wait()
            raise RuntimeError("the cluster behind it is gone")

    caller.attach(Doomed(always(None)))
    waiting = asyncio.create_task(caller.analyze([windows()], ("a",), 5.0))
    await asyncio.sleep(0.01)
    caller.attach(FakeHandle(always(None)))
    gate.set()
    await waiting
    assert caller.problem() is None
    assert not caller.needs_attaching


async def test_without_a_handle_the_group_says_so_at_once() -> None:
    caller = GroupCaller(group("a", "a"))
    ((found,),) = await caller.analyze([windows()], ("a",), 5.0)
    assert outcome(found) == ([], [("a", "unavailable")])
    assert caller.problem() == "not attached to Ray Serve"
