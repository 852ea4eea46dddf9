"""The gateway's tie to Ray: one sick group holds up no other, and models never cost the analysts their connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import CrpbotError
from serving import link
from serving.groups import Group
from serving.handles import BREAKER_FAILURES, GroupCaller, ServeAnalysts
from serving.link import RayLink
from serving.session import Session, write_session
from tests.core.virtual_time import until


class FakeHandle:
    """A handle that counts the calls that show whether it works, and answers, fails or is silent as it is told."""

    is_initialized = True

    def __init__(self) -> None:
        self.probes = 0
        self.trouble: BaseException | float | None = None
        self.analyze = SimpleNamespace(remote=self._remote)

    def options(self, **_: object) -> FakeHandle:
        return self

    async def shutdown_async(self) -> None:
        """Nothing is open."""

    async def _remote(self, *_: object) -> list[object]:
        self.probes += 1
        if isinstance(self.trouble, BaseException):
            raise self.trouble
        if self.trouble is not None:
            await asyncio.sleep(self.trouble)
        return []


class Cluster:
    """A link that runs, with a handle for each group and a count of its connections."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *, analysts: int, models: int) -> None:
        names = [f"a{place}" for place in range(analysts)] + [f"m{place}" for place in range(models)]
        self.handles: dict[str, Any] = {name: FakeHandle() for name in names}
        self.connections = 0
        groups = [Group(name, (name,), replicas=1, cpus=0.1, concurrency=1) for name in names]
        self.analysts = ServeAnalysts(groups[:analysts])
        self.models = tuple(GroupCaller(group) for group in groups[analysts:])
        for model in self.models:
            model.is_wanted = True
        monkeypatch.setattr(link, "POLL_SECONDS", 0.01)
        monkeypatch.setattr(link, "RETRY_SECONDS", 0.1)
        monkeypatch.setattr(link, "PROBE_SECONDS", 0.3)
        monkeypatch.setattr(link, "_connect", self._connect)
        monkeypatch.setattr(link, "_find", self.handles.__getitem__)
        write_session(folder, Session((1, 1), id="one", address="127.0.0.1:1", deployed=True))
        self.folder = folder

    def _connect(self, _: Session) -> None:
        self.connections += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(RayLink(self.analysts, self.folder, self.models).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def break_down(caller: GroupCaller) -> None:
    """As many failures as make it ill."""
    for _ in range(BREAKER_FAILURES):
        caller._count_failure(caller._handle)


async def test_models_are_attached_without_a_question_that_would_start_their_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path, analysts=2, models=2)
    async with cluster.running():
        await until(lambda: not any(each.needs_attaching for each in (*cluster.analysts.callers, *cluster.models)))
    assert {name: handle.probes for name, handle in cluster.handles.items()} == {"a0": 1, "a1": 1, "m0": 0, "m1": 0}
    assert cluster.connections == 1


async def test_a_sick_group_is_tried_again_by_itself_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path, analysts=2, models=1)
    cluster.handles["a0"].trouble = 30.0
    sick, well = cluster.analysts.callers
    async with cluster.running():
        await until(lambda: not well.needs_attaching and not cluster.models[0].needs_attaching)
        assert sick.needs_attaching
        await until(lambda: cluster.handles["a0"].probes >= 2)
        assert cluster.connections == 1
        cluster.handles["a0"].trouble = None
        await until(lambda: not sick.needs_attaching)
    assert cluster.handles["a1"].probes == 1


async def test_dead_models_cost_the_analysts_no_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = Cluster(monkeypatch, tmp_path, analysts=1, models=2)
    async with cluster.running():
        await until(lambda: not any(each.needs_attaching for each in (*cluster.analysts.callers, *cluster.models)))
        for caller in cluster.models:
            cluster.handles[caller.group.name].trouble = RuntimeError("its process is gone")
            break_down(caller)
        await until(lambda: all(cluster.handles[each.group.name].probes >= 2 for each in cluster.models))
        assert cluster.connections == 1
        assert not cluster.analysts.callers[0].needs_attaching
        for caller in cluster.models:
            cluster.handles[caller.group.name].trouble = None
        await until(lambda: not any(each.needs_attaching for each in cluster.models))
    assert cluster.connections == 1


@pytest.mark.parametrize("analysts", [1, 3])
async def test_without_any_analyst_the_connection_is_made_anew_even_when_no_model_has_complained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, analysts: int
) -> None:
    cluster = Cluster(monkeypatch, tmp_path, analysts=analysts, models=1)
    async with cluster.running():
        await until(lambda: not any(each.needs_attaching for each in cluster.analysts.callers))
        await asyncio.sleep(0.15)
        for caller in cluster.analysts.callers:
            cluster.handles[caller.group.name].trouble = RuntimeError("the connection is dead")
            break_down(caller)
        await until(lambda: cluster.connections >= 3)
        for caller in cluster.analysts.callers:
            cluster.handles[caller.group.name].trouble = None
        await until(lambda: not any(each.needs_attaching for each in (*cluster.analysts.callers, *cluster.models)))


async def test_another_session_is_followed_whatever_the_groups_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path, analysts=1, models=1)
    async with cluster.running():
        await until(lambda: cluster.connections == 1 and not cluster.models[0].needs_attaching)
        write_session(tmp_path, Session((1, 1), id="two", address="127.0.0.1:2", deployed=True))
        await until(lambda: cluster.connections == 2)
        await until(lambda: not any(each.needs_attaching for each in (*cluster.analysts.callers, *cluster.models)))


async def test_models_come_after_the_analysts_and_only_when_somebody_asks_for_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path, analysts=1, models=2)
    wanted, idle = cluster.models
    wanted.is_wanted = idle.is_wanted = False
    (analysts,) = cluster.analysts.callers
    cluster.handles["a0"].trouble = RuntimeError("not yet")
    async with cluster.running():
        await until(lambda: cluster.handles["a0"].probes > 0)
        with pytest.raises(CrpbotError, match="not attached"):
            await wanted.prepare(["lstm-1"])
        await asyncio.sleep(0.1)
        assert wanted.needs_attaching, "no analyst is attached"
        cluster.handles["a0"].trouble = None
        await until(lambda: not analysts.needs_attaching and not wanted.needs_attaching)
        await asyncio.sleep(0.1)
        assert idle.needs_attaching
