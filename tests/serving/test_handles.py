"""A group of replicas as the desk sees it: deadlines, the breaker, and what a failing group does to the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError

from core.analysis import Findings
from core.errors import CrpbotError
from core.market import Windows, stack_windows
from core.panel import less_margin
from serving import handles, preparing
from serving.groups import Group
from serving.handles import BREAKER_FAILURES, GroupCaller, ServeAnalysts
from tests.core.virtual_time import until
from tests.fakes import telling_answer, walk_candles

Behaviour = Callable[[int], object]


class FakeHandle:
    """A deployment handle: `behave` gives for each call an answer, an exception, or seconds to be silent."""

    def __init__(self, behave: Behaviour) -> None:
        self.calls = 0
        self.budgets: list[float] = []
        self.analyze = SimpleNamespace(remote=self._remote)
        self._behave = behave

    async def _remote(
        self, batches: Sequence[Windows], theories: Sequence[str], seconds: float, on_trial: bool = False
    ) -> Any:
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


async def ask(made: ServeAnalysts, *, seconds: float = 60.0) -> Findings:
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
    await ask(analysts(a=handle), seconds=60.0)
    assert handle.budgets[0] <= less_margin(less_margin(60.0)) < 60.0


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
    ends = time.monotonic() + 60.0
    found = await ask(made, seconds=0.5 if reason == "deadline" else 60.0)
    while not found.readings:  # the machine stood still, and the one that answers was late too
        assert time.monotonic() < ends
        found = await ask(made, seconds=0.5)
    assert outcome(found) == (["well"], [("ill", reason)])


async def test_when_no_group_answers_the_call_is_an_error_with_the_reason() -> None:
    with pytest.raises(CrpbotError) as refused:
        await ask(analysts(ill=FakeHandle(always(RuntimeError()))))
    assert refused.value.reason == "ANALYSTS_UNAVAILABLE"
    with pytest.raises(CrpbotError) as refused:
        await ask(analysts(ill=FakeHandle(always(30.0))), seconds=0.05)
    assert refused.value.reason == "DEADLINE_EXCEEDED"


async def test_the_breaker_opens_after_failures_in_a_row_and_spares_the_next_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handles, "BREAKER_SECONDS", 600.0)
    handle = FakeHandle(always(RuntimeError()))
    made = analysts(ill=handle, well=FakeHandle(always(None)))
    for _ in range(BREAKER_FAILURES + 3):
        assert outcome(await ask(made)) == (["well"], [("ill", "unavailable")])
    assert handle.calls == BREAKER_FAILURES
    assert made.callers[0].needs_attaching
    assert await made.problem() is not None
    assert not made.callers[1].needs_attaching


async def test_impatient_callers_do_not_open_the_breaker_for_everybody() -> None:
    made = analysts(slow=FakeHandle(always(30.0)))
    for _ in range(BREAKER_FAILURES + 1):
        with pytest.raises(CrpbotError):
            await ask(made, seconds=0.02)
    assert await made.problem() is None


async def test_failures_of_a_handle_that_was_replaced_do_not_speak_against_the_new_one() -> None:
    caller = GroupCaller(group("a", "a"))
    caller.attach(FakeHandle(lambda _: 0.05))
    entered, gate = asyncio.Event(), asyncio.Event()

    class Doomed(FakeHandle):
        async def _remote(self, batches: Sequence[Windows], theories: Sequence[str], seconds: float) -> Any:
            entered.set()
            await gate.wait()
            raise RuntimeError("the cluster behind it is gone")

    caller.attach(Doomed(always(None)))
    waiting = asyncio.create_task(caller.analyze([windows()], ("a",), 60.0))
    await entered.wait()
    caller.attach(FakeHandle(always(None)))
    gate.set()
    await waiting
    assert caller.problem() is None
    assert not caller.needs_attaching


async def test_without_a_handle_the_group_says_so_at_once() -> None:
    caller = GroupCaller(group("a", "a"))
    ((found,),) = await caller.analyze([windows()], ("a",), 60.0)
    assert outcome(found) == ([], [("a", "unavailable")])
    assert caller.problem() == "not attached to Ray Serve"


class FakeModels:
    """A handle of several replicas of models: each call meets one, by a list, and what it answers is its own."""

    def __init__(self, *answers: tuple[int, dict[str, str]] | BaseException) -> None:
        self.answers = list(answers)
        self.prepare = SimpleNamespace(remote=self._remote)

    async def _remote(self, versions: Sequence[str]) -> tuple[int, dict[str, str]]:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def models(handle: FakeModels, *, replicas: int = 1) -> GroupCaller:
    caller = GroupCaller(Group("m", ("lstm",), replicas=replicas, cpus=0.1, concurrency=1))
    caller.attach(handle)
    return caller


async def test_every_replica_is_prepared_and_one_fault_of_one_of_them_counts() -> None:
    handle = FakeModels((1, {"a": "", "b": ""}), (1, {"a": "", "b": ""}), (2, {"a": "bad", "b": ""}), (1, {"a": ""}))
    assert await models(handle, replicas=2).prepare(["a", "b"]) == {"a": "bad", "b": ""}
    assert len(handle.answers) == 1, "asked on after all were met"


async def test_a_replica_that_is_away_does_not_keep_the_others_from_a_new_lineup() -> None:
    handle = FakeModels(*[(1, {"a": ""})] * 100)
    assert await models(handle, replicas=2).prepare(["a"]) == {"a": ""}


@pytest.mark.parametrize("trouble", [RuntimeError(), asyncio.CancelledError()])
async def test_a_lineup_that_no_replica_heard_of_is_told_again(trouble: BaseException) -> None:
    assert await models(FakeModels(trouble, trouble, (3, {"a": ""}))).prepare(["a"]) == {"a": ""}
    with pytest.raises(CrpbotError, match="group m of the models does not answer on Ray Serve") as refused:
        await models(FakeModels(trouble, trouble, trouble)).prepare(["a"])
    assert refused.value.reason == "MODELS_UNAVAILABLE"


class Mortal:
    """A handle of a replica that dies over some versions, and over its next calls where a test says so."""

    def __init__(self, *deadly: str, deaths: int = 0) -> None:
        self.deadly = set(deadly)
        self.deaths = deaths
        self.killed = 0
        self.asked: list[tuple[str, ...]] = []
        self.opened: set[str] = set()
        self.prepare = SimpleNamespace(remote=self._remote)

    async def _remote(self, versions: Sequence[str]) -> tuple[int, dict[str, str]]:
        self.asked.append(tuple(versions))
        self.deaths -= 1
        if self.deaths >= 0 or not self.deadly.isdisjoint(versions):
            self.killed += 1
            self.opened = set()
            raise RayActorError()
        self.opened.update(versions)
        return self.killed, dict.fromkeys(versions, "")


async def test_a_replica_that_is_killed_over_a_lineup_speaks_against_no_model() -> None:
    handle = Mortal(deaths=1)
    assert await models(handle).prepare(["a", "b"]) == {"a": "", "b": ""}  # type: ignore[arg-type]
    known = models(handle)  # type: ignore[arg-type]
    await known.prepare(["a", "b"])
    handle.deaths = 2
    assert await known.prepare(["a", "b"]) == {"a": "", "b": ""}


async def test_a_model_over_which_replicas_die_is_named_and_left_alone_and_the_others_are_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle = Mortal("poison")
    caller = models(handle)  # type: ignore[arg-type]
    await caller.prepare(["serves"])
    for _ in range(20):
        found = await caller.prepare(["poison", "new", "serves"])
        assert found == {"poison": "the replica died while it was opened", "new": "", "serves": ""}
        assert handle.opened == {"serves", "new"}
    assert handle.killed == 2
    assert caller.problem() is None, "the models that decide are asked on"
    monkeypatch.setattr(preparing, "PEACE_SECONDS", 0.0)
    await caller.prepare(["poison", "other", "serves"])
    assert handle.killed == 3, "other versions are named: it has one more chance, by itself"
    await caller.prepare(["poison", "other", "serves"])
    assert handle.killed == 4, "its time is over"
    handle.deadly.clear()
    assert set((await caller.prepare(["poison", "other", "serves"])).values()) == {""}


async def test_the_models_that_work_are_opened_before_the_one_that_killed_is_tried_again() -> None:
    handle = Mortal("poison")
    caller = models(handle)  # type: ignore[arg-type]
    await caller.prepare(["serves"])
    handle.asked.clear()
    await caller.prepare(["poison", "serves"])
    assert handle.asked == [("poison", "serves"), ("serves",), ("serves", "poison"), ("serves",)]


async def test_no_failure_to_prepare_keeps_a_question_from_the_replicas() -> None:
    caller = models(FakeModels(*[RuntimeError()] * 30))
    for _ in range(BREAKER_FAILURES):
        with pytest.raises(CrpbotError):
            await caller.prepare(["a"])
    assert caller.problem() is None
    assert caller.needs_attaching, "the handle may be to blame"
    caller.attach(FakeModels((1, {"a": ""})))
    assert not caller.needs_attaching


async def test_candidates_that_are_late_or_fail_close_no_breaker_and_take_no_place_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handles, "FAIR_SECONDS", 0.0)
    caller = GroupCaller(group("m", "lstm"))
    for trouble, reason in ((RuntimeError(), "unavailable"), (30.0, "deadline")):
        caller.attach(FakeHandle(always(trouble)))
        for _ in range(BREAKER_FAILURES):
            seconds = 0.02 if reason == "deadline" else 60.0
            ((found,),) = await caller.analyze([windows()], ("trial",), seconds, on_trial=True)
            assert outcome(found) == ([], [("trial", reason)])
        assert caller.problem() is None
    slow = FakeHandle(lambda call: 600.0 if call <= 1 else None)
    caller.attach(slow)
    trial = asyncio.create_task(caller.analyze([windows()], ("trial",), 600.0, on_trial=True))
    await until(lambda: slow.calls == 1)
    await caller.analyze([windows()], ("lstm",), 60.0)
    assert slow.calls == 2
    assert not trial.done(), "the group has one place for a question, and the candidate did not take it"
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)


async def test_a_group_that_is_not_attached_cannot_say_whether_a_model_is_usable() -> None:
    caller = GroupCaller(group("m", "lstm"))
    with pytest.raises(CrpbotError, match="it is not attached"):
        await caller.prepare(["a"])
    assert await caller.prepare([]) == {}
