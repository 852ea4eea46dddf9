"""Where AWS has no spot machine, one on demand is asked for: decided from what was said, and tried with a real Ray."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_aws.faults import Refusal as AwsRefusal
from tests.fake_aws.hosts import Hosts
from tests.training.launching import Laptop, served
from tests.training.small_cluster import small_cluster
from training.cluster.fallback import LOWERED_SECONDS, lowered, reordered, tell
from training.cluster.launcher import wait_ready
from training.cluster.mail import MOST_TEXT_BYTES, Boot, cluster_key, read_state
from training.cluster.ray_machines import Refusal

NOW = 1_795_000_000.0
SPOT = {"InstanceType": "g4dn.xlarge", "InstanceMarketOptions": {"MarketType": "spot"}}
CONFIG: dict[str, Any] = {  # Any: JSON of the autoscaler
    "max_workers": 4,
    "available_node_types": {
        "head": {"max_workers": 0, "priority": -7, "node_config": {}},
        "big-spot": {"max_workers": 4, "priority": 20, "node_config": SPOT},
        "gpu-spot": {"max_workers": 4, "priority": 10, "node_config": SPOT},
        "gpu-ondemand": {"max_workers": 4, "priority": 3, "node_config": {"InstanceType": "g4dn.xlarge"}},
        "slow-ondemand": {"max_workers": 4, "node_config": {"InstanceType": "g4dn.xlarge"}},
    },
}
names = st.sampled_from([*CONFIG["available_node_types"], "a type of another file"])
refusals = st.lists(st.builds(Refusal, names, st.floats(NOW - 3_000.0, NOW + 3_000.0), st.just("no capacity")))
# waits for a machine with a processor, which the head is not
JOB = """
import os, sys, ray

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")


@ray.remote(num_cpus=1)
def learn():
    return os.environ["RAY_NODE_TYPE_NAME"]


print(ray.get(learn.remote()))
"""
JOB_SECONDS = 600
QUICK = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "CRPBOT_LOOK_SECONDS": "1", "OMP_NUM_THREADS": "1"}


@given(refusals)
def test_a_spot_type_is_lowered_for_ten_minutes_after_its_last_refusal_and_no_other_type_ever(
    refused: list[Refusal],
) -> None:
    low = lowered(CONFIG, refused, now=NOW)
    for name in CONFIG["available_node_types"]:
        known = [each.at for each in refused if each.node_type == name and each.at <= NOW]
        is_low = name.endswith("spot") and any(NOW - at < LOWERED_SECONDS for at in known)
        assert (name in low) == is_low
        if is_low:
            assert low[name] == max(known) + LOWERED_SECONDS


@given(st.sets(st.sampled_from(["big-spot", "gpu-spot"])))
def test_lowered_types_stand_below_all_on_demand_ones_and_nothing_else_changes(low: set[str]) -> None:
    before = json.dumps(CONFIG)
    types = reordered(CONFIG, low)["available_node_types"]
    assert json.dumps(CONFIG) == before
    for name, each in types.items():
        if name in low:
            assert each["priority"] < 0 == min(types[other].get("priority", 0) for other in types if "demand" in other)
            assert each | {"priority": 0} == CONFIG["available_node_types"][name] | {"priority": 0}
        else:
            assert each == CONFIG["available_node_types"][name]
    if len(low) == 2:
        assert types["big-spot"]["priority"] > types["gpu-spot"]["priority"]


def test_without_a_refusal_the_file_is_the_one_of_the_launch() -> None:
    assert reordered(CONFIG, lowered(CONFIG, [], now=NOW)) == CONFIG
    past = [Refusal("gpu-spot", NOW - LOWERED_SECONDS, "no capacity")]
    assert reordered(CONFIG, lowered(CONFIG, past, now=NOW)) == CONFIG, "its ten minutes are over"


def test_where_there_is_nothing_on_demand_nothing_is_lowered() -> None:
    spot = {name: each for name, each in CONFIG["available_node_types"].items() if "demand" not in name}
    assert reordered(CONFIG | {"available_node_types": spot}, ["gpu-spot"])["available_node_types"] == spot


def test_people_are_told_until_when() -> None:
    assert tell({"gpu-spot": 0.0}) == (
        "gpu-spot: AWS refused it, so on-demand machines are asked for first until 00:00 UTC",
    )
    assert tell({}) == ()


@pytest.mark.serve
@pytest.mark.slow
def test_an_on_demand_machine_does_the_work_where_aws_refuses_every_spot_machine(tmp_path: Path) -> None:
    with served(tmp_path) as aws, Hosts(aws, environment=QUICK) as hosts:
        laptop = Laptop(aws, tmp_path, small_cluster(tmp_path))
        laptop.prepare()
        boot = laptop.launch()
        wait_ready(boot, laptop.cloud, laptop.files, laptop.said.append)
        aws.plan(AwsRefusal.SPOT_LIMIT, "RunInstances", times=10_000, is_spot=True)
        address = json.loads(read(laptop, boot, "head.json"))["address"]
        token = read(laptop, boot, "token").decode()
        job = subprocess.run(
            [sys.executable, "-c", JOB, address],
            env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
            capture_output=True,
            text=True,
            timeout=JOB_SECONDS,
            check=False,
        )
        assert job.returncode == 0, job.stderr[-3_000:] + hosts.logs()
        state = read_state(read(laptop, boot, "state.json"))
        machines = [each.tags["ray-user-node-type"] for each in aws.instances()]

    assert job.stdout.split() == ["gpu-ondemand"]
    # more than one where the first did not join in time on a busy machine
    assert (machines[0], set(machines[1:])) == ("head", {"gpu-ondemand"})
    assert [each for each in state.problems if "Max spot instance count exceeded" in each]
    assert [each for each in state.problems if each.startswith("gpu-spot: AWS refused it, so on-demand machines are")]


def read(laptop: Laptop, boot: Boot, name: str) -> bytes:
    """A text of the launch."""
    return laptop.files.read(cluster_key(boot.cluster, boot.launch, name), most=MOST_TEXT_BYTES)
