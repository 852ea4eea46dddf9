"""The models on a real Ray Serve: every kind answers, a replica that is killed comes back, and nobody waits for one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.adapters.models.folder import ModelFolder
from core.models.manifest import Kind
from core.models.weighting import KINDS
from tests.core.bad_model_files import BAD_FILES
from tests.core.model_cases import make_model
from tests.serving.running import Server

pytestmark = pytest.mark.serve

PATIENCE_SECONDS = 60.0
STOPPED_SECONDS = 0.5


class ModelCaller:
    """A process that asks the groups of models as the gateway does."""

    def __init__(self, server: Server) -> None:
        root = Path(__file__).parents[2]
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.serving.model_caller", str(server.state)],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.attached = self._read()["attached"]

    def ask(self, *questions: dict[str, Any]) -> list[Any]:
        """All of them at the same time."""
        self.send(*questions)
        return self.read_answers()

    def read_answers(self) -> list[Any]:
        answers: list[Any] = self._read()
        return answers

    def send(self, *questions: dict[str, Any]) -> None:
        """The same, without waiting for the answers."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(questions) + "\n")
        self.child.stdin.flush()

    def close(self) -> None:
        self.child.communicate(timeout=PATIENCE_SECONDS)

    def _read(self) -> Any:
        assert self.child.stdout is not None
        return json.loads(self.child.stdout.readline())


def analyze(group: str, *versions: str, seconds: float = 60.0) -> dict[str, Any]:
    return {"call": "analyze", "group": group, "versions": versions, "seconds": seconds}


def prepare(group: str, *versions: str) -> dict[str, Any]:
    return {"call": "prepare", "group": group, "versions": versions}


@pytest.fixture(scope="module")
def folder(server: Server) -> ModelFolder:
    """The server's own model folder; nothing in it is promoted, so that no other test sees it."""
    return ModelFolder(server.folder / "data" / "models")


@pytest.fixture(scope="module")
def versions(folder: ModelFolder) -> dict[str, str]:
    return {kind.value: folder.save(*make_model(kind)) for kind in Kind}


@pytest.fixture(scope="module")
def caller(server: Server) -> Iterator[ModelCaller]:
    made = ModelCaller(server)
    try:
        yield made
    finally:
        made.close()


def test_a_kind_has_no_process_until_it_is_wanted_and_then_each_answers(
    server: Server, caller: ModelCaller, versions: dict[str, str]
) -> None:
    assert caller.attached == list(KINDS)
    assert [kind for kind in KINDS if server.find(f"ray::ServeReplica:{kind}")] == []
    prepared = caller.ask(*(prepare(kind, version) for kind, version in versions.items()))
    assert [each["found"] for each in prepared] == [{version: ""} for version in versions.values()]
    models = server.folder / "data" / "models"
    away = models.rename(models.with_name("away"))  # it was prepared: nothing is opened in the call
    try:
        answers = caller.ask(*(analyze(kind, version) for kind, version in versions.items()))
    finally:
        away.rename(models)
    for version, answer in zip(versions.values(), answers, strict=True):
        assert 0.0 < answer["found"]["readings"][version] < 1.0
        assert answer["found"]["missing"] == {}
    (trial,) = caller.ask(analyze("lstm", versions["lstm"]) | {"on_trial": True})
    assert trial["found"] == answers[list(versions).index("lstm")]["found"], "a candidate is asked what the others are"


def test_a_bad_file_is_named_and_the_model_before_it_answers(
    server: Server, folder: ModelFolder, caller: ModelCaller, versions: dict[str, str]
) -> None:
    manifest, blob = make_model(seed=8)
    bad = folder.save(manifest, blob)
    weights = (
        server.folder / "data" / "models" / next(each.file for each in folder.entries() if each.read().version == bad)
    )
    weights.write_bytes(BAD_FILES["truncated"][0]())
    (prepared,) = caller.ask(prepare("lstm", versions["lstm"], bad))
    assert prepared["found"][versions["lstm"]] == ""
    assert "the manifest vouches for" in prepared["found"][bad]
    (answer,) = caller.ask(analyze("lstm", versions["lstm"], bad))
    assert list(answer["found"]["readings"]) == [versions["lstm"]]
    assert answer["found"]["missing"] == {bad: "failed"}
    weights.unlink()
    weights.with_suffix(".json").unlink()


def test_a_replica_killed_under_its_calls_costs_none_of_them_and_no_theory_waits(
    server: Server, caller: ModelCaller, versions: dict[str, str]
) -> None:
    lstm = versions["lstm"]
    before, _ = caller.ask(analyze("lstm", lstm), prepare("lstm", lstm))
    (pid,) = server.find("ray::ServeReplica:lstm")
    os.kill(pid, signal.SIGSTOP)  # so that all that is asked now is under way when it dies
    caller.send(*[analyze("lstm", lstm)] * 8, *[prepare("lstm", lstm)] * 2)
    time.sleep(STOPPED_SECONDS)
    os.kill(pid, signal.SIGKILL)
    answers = caller.read_answers()
    assert [each["found"] for each in answers] == [before["found"]] * 8 + [{lstm: ""}] * 2
    assert server.find("ray::ServeReplica:lstm") not in ([], [pid])
    assert server.get("/health/ready")[0] == 200
    status, body = server.analyze({"symbol": "BTC-USD"})
    assert (status, body["analyses"][0]["missing"]) == (200, [])


def test_a_model_group_that_is_gone_leaves_the_server_ready_and_the_theories_whole(
    server: Server, caller: ModelCaller, versions: dict[str, str]
) -> None:
    caller.ask(prepare("ppo", versions["ppo"]))
    server.kill("ray::ServeReplica:ppo")
    (found,) = caller.ask(analyze("ppo", versions["ppo"], seconds=0.3))
    assert found["found"]["readings"] == {}, "it was waited for"
    assert found["found"]["missing"][versions["ppo"]] in {"deadline", "unavailable"}
    status, body = server.analyze({"symbol": "BTC-USD"})
    assert (status, body["analyses"][0]["missing"]) == (200, [])
    assert server.get("/health/ready")[0] == 200
