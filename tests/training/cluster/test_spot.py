"""A machine that is to be taken away: its state is kept at that very step, and another one goes on from there."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.models.manifest import Kind
from tests.training.test_workers import DATASET, QUICK, TOLERANCE, losses
from training import lstm
from training.checkpoint import Row, State
from training.dataset import Dataset
from training.identity import name_job
from training.lstm import Config
from training.runs import Place, Where, launch
from training.workers import ENVIRONMENT

pytestmark = [pytest.mark.serve, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")]

PATIENCE = 240.0  # seconds until the test says that something never came; nothing is judged by the clock
SPOT, SPARE = "spot", "spare"


class Machines:
    """Raylets of this machine that stand for machines of a cluster; a token is asked of whoever speaks to them.

    Not on loopback: there Ray refuses a second raylet.
    """

    def __init__(self, token: str) -> None:
        from ray.util import get_node_ip_address

        self._folder = tempfile.mkdtemp(prefix="crpbot-")
        self._environment = {**os.environ, **ENVIRONMENT, "RAY_AUTH_TOKEN": token}
        self.address = f"{get_node_ip_address()}:{free_port()}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: str) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats", *words]
        with (Path(self._folder) / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def start_head(self) -> None:
        port, other = self.address.partition(":")[2], free_port()
        ports = (f"--port={port}", f"--ray-client-server-port={other}", f"--temp-dir={self._folder}/r")
        self.start("head", "--head", "--num-cpus=0", "--include-dashboard=false", *ports)
        wait_for(lambda: can_be_reached(self.address))

    def start_worker(self, name: str) -> None:
        self.start(name, f"--address={self.address}", "--num-cpus=1", f'--resources={{"{name}": 1}}')

    def kill(self, name: str) -> None:
        """As Amazon does it: nobody is asked."""
        program = self._running.pop(name)
        with_children = os.getpgid(program.pid) if program.poll() is None else None
        if with_children is not None:
            os.killpg(with_children, signal.SIGKILL)
        program.wait()

    def close(self) -> None:
        for name in list(self._running):
            self.kill(name)
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    from training.workers import _token

    for name, value in {
        **ENVIRONMENT,
        "RAY_AUTH_TOKEN": _token(),
    }.items():  # Ray reads them when it is loaded
        monkeypatch.setenv(name, value)
    found = Machines(_token())
    try:
        found.start_head()
        yield found
    finally:
        found.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def can_be_reached(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as caller:
        return caller.connect_ex((host, int(port))) == 0


def wait_for(is_so: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := is_so()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.2)
    return found


def write_down(config: Config, diary: str, dataset: Dataset, place: Place) -> None:
    """The work of a worker that says where and at which step each state was kept and found again.

    In its second epoch it waits until it has heard that the first machine is to go.
    """
    keep, restore, stopping, steps = place.keep, place.restore, place.is_stopping, [0]

    def note(what: str, state: State | None) -> None:
        import ray

        if state is not None:
            line = [what, state["epoch"], state["step"], ray.get_runtime_context().get_node_id()]
            with Path(diary).open("a") as file:
                file.write(json.dumps(line) + "\n")

    def keep_and_note(state: State, history: Sequence[Row]) -> None:
        keep(state, history)
        note("kept", state)

    def restore_and_note() -> State | None:
        found = restore()
        note("found", found)
        return found

    def wait() -> bool:
        from ray.train.v2._internal.execution.context import get_train_context

        steps[0] += 1
        if steps[0] == 50 and not any(line[0] == "found" for line in read_diary(Path(diary))):
            Path(f"{diary}.ready").touch()
            wait_for(lambda: get_train_context().preemption_context.preemption_info)
        return stopping()

    place.keep, place.restore, place.is_stopping = keep_and_note, restore_and_note, wait  # type: ignore[method-assign]
    lstm.learn(config, dataset, place)


def read_diary(path: Path) -> list[list[Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def node_of(name: str) -> str | None:
    """The machine of that name, by Ray's id."""
    import ray

    return next((each["NodeID"] for each in ray.nodes() if each["Alive"] and name in each["Resources"]), None)


def take_away(machines: Machines, diary: Path) -> None:
    """What happens around the run: another machine comes, the first one is said to go, and goes."""
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    wait_for(lambda: Path(f"{diary}.ready").exists() or Path(f"{diary}.over").exists())
    assert not Path(f"{diary}.over").exists(), "the run ended before it came so far"
    machines.start_worker(SPARE)
    wait_for(lambda: node_of(SPARE))
    deadline = round(1_000 * (time.time() + 120.0))
    gcs = GcsClient(address=machines.address)
    reason = DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
    assert gcs.drain_node(node_of(SPOT), reason, "spot interruption", deadline)[0]
    wait_for(lambda: [line for line in read_diary(diary) if line[0] == "found"])
    machines.kill(SPOT)


def test_a_machine_that_is_to_go_costs_not_one_step(machines: Machines, tmp_path: Path) -> None:
    config = replace(QUICK, save_every=1_000_000)  # by itself a state is kept only at the end of an epoch
    alone = lstm.train(config, DATASET, root=tmp_path / "alone")
    job = name_job(Kind.LSTM, config, DATASET, root=tmp_path / "away")
    diary = tmp_path / "diary"
    machines.start_worker(SPOT)
    with ThreadPoolExecutor(1) as beside:
        around = beside.submit(take_away, machines, diary)
        where = Where(address=machines.address)
        try:
            state = launch(partial(write_down, config, str(diary)), DATASET, job, where=where)
        finally:
            Path(f"{diary}.over").touch()
        around.result()

    lines = read_diary(diary)
    (again,) = [place for place, line in enumerate(lines) if line[0] == "found"]
    kept, found = lines[again - 1], lines[again]
    assert kept[0] == "kept"
    assert found[1:3] == kept[1:3], "at the very step that was kept"
    assert kept[1] == 1, "in the second epoch"
    assert kept[2] > 0, "in the midst of it"
    assert found[3] != kept[3], "on another machine"
    np.testing.assert_allclose(losses(state["history"]), losses(alone.history), rtol=0, atol=TOLERANCE)
