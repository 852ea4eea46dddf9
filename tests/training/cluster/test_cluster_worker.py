"""A worker's program: joins the head's Ray as what it is, leaves when AWS takes it, and never outlives its cluster."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fake_aws.metadata import FakeMetadata
from tests.training.head_machine import PATIENCE_SECONDS, HeadMachine, end_ray
from training.cluster.mail import cluster_key, write_boot

pytestmark = [pytest.mark.serve, pytest.mark.slow]


class WorkerMachine(NamedTuple):
    program: subprocess.Popen[bytes]
    metadata: FakeMetadata
    shutdowns: Path
    log: Path

    def wait_for_shutdown(self, *words: str) -> None:
        """Until the program has ended the machine, and said so with these words."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self._is_shut_down() and all(each in self.log.read_text() for each in words)):
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.program.poll() is None, self.log.read_text()
            time.sleep(0.1)
        assert self.shutdowns.read_text().splitlines()[0] == "-P now"

    def _is_shut_down(self) -> bool:
        return self.shutdowns.exists() and self.shutdowns.stat().st_size > 0


@contextmanager
def working(head: HeadMachine, place: Path, **told: str) -> Iterator[WorkerMachine]:
    """A worker of that head's launch, on this machine."""
    root, shutdowns, log = place / "worker", place / "worker-shutdowns", place / "worker.log"
    with FakeMetadata(instance_id="i-0fffffffffffffff1", is_spot=True) as metadata:
        own = {"SHUTDOWNS": str(shutdowns), "CRPBOT_NODE_TYPE": "gpu-spot"}
        with log.open("ab") as output:
            program = subprocess.Popen(
                [sys.executable, "-m", "training.cluster.worker"],
                cwd=head.root / "code",
                env={**head.environment(root, metadata), **own, **told},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield WorkerMachine(program, metadata, shutdowns, log)
        finally:
            program.kill()
            program.wait()
            end_ray(root / "worker")


def test_a_spot_machine_joins_as_what_it_is_and_leaves_when_aws_takes_it(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=10.0, has_workers=True) as head:
        head.start()
        head.wait(lambda state: state.phase == "ready")  # as in life, where Ray asks for its workers
        with working(head, tmp_path) as worker:
            head.wait(lambda state: state.workers == {"gpu-spot": 1})
            token = (tmp_path / "worker" / "worker" / "token").read_text()
            assert token not in worker.log.read_text()
            worker.metadata.notice()
            worker.wait_for_shutdown("AWS takes this machine: terminate")
            head.wait(lambda state: state.workers == {})


def test_a_worker_whose_head_is_gone_ends_itself(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=10.0, has_workers=True) as head:
        head.start()
        head.wait(lambda state: state.phase == "ready")  # as in life, where Ray asks for its workers
        with working(head, tmp_path, CRPBOT_LOST_SECONDS="3") as worker:
            head.wait(lambda state: state.workers == {"gpu-spot": 1})
            head.switch_off()
            worker.wait_for_shutdown("the machine ends: ")


def test_a_worker_without_a_head_ends_itself(tmp_path: Path) -> None:
    with (
        HeadMachine(tmp_path, idle_minutes=10.0) as head,
        working(head, tmp_path, CRPBOT_JOIN_SECONDS="2") as worker,
    ):
        worker.wait_for_shutdown("the machine ends: no head: ")


def test_a_worker_whose_lifetime_is_over_ends_itself(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=10.0, hours=2.0 / 3_600.0) as head:
        head.files.write(cluster_key("c", "l", "boot.json"), write_boot(head.boot))
        head.files.write(cluster_key("c", "l", "token"), b"x" * 64)
        with working(head, tmp_path) as worker:
            worker.wait_for_shutdown("the machine ends: the lifetime of its launch is over")


def test_a_worker_asks_for_what_its_type_has(tmp_path: Path) -> None:
    from training.cluster.ray_node import resource_arguments

    content = {"available_node_types": {"gpu-spot": {"resources": {"CPU": 4, "GPU": 1, "memory": 10, "local": 2}}}}
    assert resource_arguments(content, "gpu-spot") == [
        *("--num-cpus=4", "--num-gpus=1", "--memory=10"),
        f"--resources={json.dumps({'local': 2})}",
    ]


def test_a_worker_that_never_reaches_the_bucket_ends_its_machine(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=10.0) as head:
        (tmp_path / "bucket").rename(tmp_path / "away")
        for _ in range(2):  # the system starts it again
            with working(head, tmp_path, CRPBOT_JOIN_SECONDS="0.01") as worker:
                assert worker.program.wait(PATIENCE_SECONDS) != 0
        assert worker.shutdowns.read_text().splitlines()[0] == "-P now"
