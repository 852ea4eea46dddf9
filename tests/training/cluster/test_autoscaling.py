"""The cluster that our launcher starts grows for a job and shrinks after it, by Ray's own autoscaler and AWS provider.

AWS is moto's server; each machine is processes of this one, which boot by their real user data.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_aws.hosts import Hosts
from tests.training.autoscaled_job import EPOCHS, SEEN
from tests.training.aws_account import QUICK
from tests.training.launching import Laptop, served
from tests.training.small_cluster import WORKERS, small_cluster
from training.cluster.launcher import wait_ready
from training.cluster.mail import MOST_TEXT_BYTES, cluster_key

pytestmark = [pytest.mark.serve, pytest.mark.slow, pytest.mark.alone]  # idle seconds are of the wall's

JOB_SECONDS = 900


def assert_rises_and_falls_once(counts: list[int], *, most: int) -> None:
    """From the head alone up to `most`, by whatever steps, and down to the head again, with no other turn."""
    assert max(counts) == most
    top = counts.index(most)
    assert counts[: top + 1] == sorted(set(counts[: top + 1])), counts
    assert counts[top:] == sorted(set(counts[top:]), reverse=True), counts
    assert (counts[0], counts[-1]) == (1, 1), counts


@pytest.mark.parametrize("counts", [[1, 3, 1, 3, 1], [1, 2, 1, 3, 1], [1, 3, 2, 3, 1], [1, 2, 1], [1, 4, 1], [1, 3, 2]])
def test_a_history_with_another_turn_is_noticed(counts: list[int]) -> None:
    with pytest.raises(AssertionError):
        assert_rises_and_falls_once(counts, most=3)
    assert_rises_and_falls_once([1, 2, 3, 1], most=3)


def test_nodes_come_for_a_training_and_go_after_it(tmp_path: Path) -> None:
    with served(tmp_path) as aws, Hosts(aws, environment=QUICK) as hosts:
        laptop = Laptop(aws, tmp_path, small_cluster(tmp_path))
        laptop.prepare()
        boot = laptop.launch()
        wait_ready(boot, laptop.cloud, laptop.files, laptop.said.append)
        names = ("head.json", "token")
        head, token = (
            laptop.files.read(cluster_key(boot.cluster, boot.launch, each), most=MOST_TEXT_BYTES) for each in names
        )
        address = json.loads(head)["address"]
        environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token.decode()}
        job = subprocess.run(
            [sys.executable, "-m", "tests.training.autoscaled_job", address, str(tmp_path / "runs")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=JOB_SECONDS,
            check=False,
        )
        assert job.returncode == 0, job.stderr[-3_000:] + hosts.logs()
        seen = json.loads((tmp_path / "runs" / SEEN).read_text())
        machines = [each.tags["ray-user-node-type"] for each in aws.instances()]
        left = [each.tags["ray-user-node-type"] for each in aws.alive()]

    assert seen["before"] == 1
    assert_rises_and_falls_once(seen["counts"], most=1 + WORKERS)
    assert seen["metrics"] == {"epoch": EPOCHS, "total": 2.0, "backend": "gloo", "world_size": 2}
    assert seen["kept"] == str(EPOCHS)
    assert seen["after"] == 1, f"{seen['down_seconds']:.0f} s after the job"
    # more than two where one did not join in time on a busy machine, and another came for it
    assert (machines[0], set(machines[1:])) == ("head", {"gpu-spot"}), "spot machines first"
    assert left == ["head"]
