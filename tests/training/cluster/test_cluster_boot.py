"""What machines are told when they boot: short enough, safe to quote, and what Ray takes for its own configuration."""

import dataclasses
import subprocess

import pytest

from core.errors import CrpbotError
from tests.training.launching import ROOT
from training.cluster.boot import MOST_USER_DATA, Ground, autoscaler_config, head_request, node_config, user_data
from training.cluster.mail import Boot
from training.cluster.terms import Cluster, read_cluster

BOOT = Boot(
    cluster="crpbot-training",
    launch="20261121T223300Z-1f3a",
    region="us-east-1",
    url="s3://crpbot-123456789012-us-east-1/training",
    code="ab" * 32,
    launched_at=1_795_300_000.0,
    ends_at=1_795_310_000.9,
    idle_minutes=15.0,
    head_type="head",
)
KEY = f"code/{BOOT.code}.zip"
GROUND = Ground(
    subnets=("subnet-a", "subnet-b"),
    group="sg-1",
    images={"head": "ami-head", "gpu-spot": "ami-gpu", "gpu-ondemand": "ami-gpu"},
)


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return read_cluster(ROOT / "ray_cluster.yaml")


def exported(text: str) -> dict[str, str]:
    """What a shell has in its environment after the header."""
    header = "".join(
        line for line in text.partition("\nset -e")[0].splitlines(keepends=True) if line.startswith("export ")
    )
    shown = subprocess.run(["bash", "-c", header + "env -0"], check=True, capture_output=True, env={}).stdout.decode()
    return dict(each.split("=", 1) for each in shown.split("\0") if each.startswith(("CRPBOT_", "AWS_")))


def test_the_header_says_what_the_machine_is() -> None:
    text = user_data("worker", BOOT, KEY, node_type="gpu-spot", gpu=True)
    assert text.startswith("#!/bin/bash\nexport CRPBOT_ROLE=worker\n")
    assert text.count("#!/bin/bash\n") == 1
    assert exported(text) == {
        "CRPBOT_ROLE": "worker",
        "CRPBOT_BOOT": f"{BOOT.url}/clusters/crpbot-training/{BOOT.launch}/boot.json",
        "CRPBOT_CODE": f"{BOOT.url}/{KEY}",
        "CRPBOT_CODE_SHA256": BOOT.code,
        "CRPBOT_ENDS_AT": "1795310000",
        "CRPBOT_LIFETIME_MINUTES": "167",  # 10,000.9 seconds
        "CRPBOT_NODE_TYPE": "gpu-spot",
        "CRPBOT_GPU": "yes",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_it_is_a_program_that_bash_reads_and_that_ec2_takes() -> None:
    for role, gpu in (("head", False), ("worker", True)):
        text = user_data(role, BOOT, KEY, node_type=role, gpu=gpu)  # type: ignore[arg-type]
        subprocess.run(["bash", "-n"], input=text.encode(), check=True)
        assert len(text.encode()) <= MOST_USER_DATA


def test_no_value_can_become_a_command() -> None:
    evil = "$(touch x) `id`; \"'\n|& *"
    text = user_data("head", dataclasses.replace(BOOT, code=evil), KEY, node_type=evil, gpu=False)
    told = exported(user_data("head", dataclasses.replace(BOOT, code="$(id)'\" ;"), KEY, node_type="*", gpu=False))
    assert told["CRPBOT_CODE_SHA256"] == "$(id)'\" ;"
    assert told["CRPBOT_NODE_TYPE"] == "*"
    subprocess.run(["bash", "-n"], input=text.encode(), check=True)


def test_what_ec2_would_not_take_is_refused() -> None:
    long = dataclasses.replace(BOOT, url="s3://bucket/" + "x" * 9_000)
    with pytest.raises(CrpbotError, match=r"EC2 takes 16,384; remedy: a shorter place"):
        user_data("head", long, KEY, node_type="head", gpu=False)


def test_every_machine_and_disk_carries_the_tags_by_which_it_is_ended(cluster: Cluster) -> None:
    for machine in (cluster.head, *cluster.workers):
        config = node_config(cluster, machine, BOOT, GROUND, KEY)
        kinds = {
            each["ResourceType"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
            for each in config["TagSpecifications"]
        }
        assert set(kinds) == {"instance", "volume"}
        for tags in kinds.values():
            assert tags["crpbot-cluster"] == tags["ray-cluster-name"] == BOOT.cluster
            assert tags["crpbot-launch"] == BOOT.launch
        assert config["InstanceInitiatedShutdownBehavior"] == "terminate"
        assert config["SecurityGroupIds"] == ["sg-1"]
        assert config["ImageId"] == GROUND.images[machine.name]


def test_the_cluster_file_itself_is_not_changed(cluster: Cluster) -> None:
    before = repr(cluster.content)
    autoscaler_config(cluster, BOOT, GROUND, KEY)
    head_request(cluster, BOOT, GROUND, KEY)
    assert repr(cluster.content) == before


def test_the_head_is_one_machine_and_ray_may_start_no_second(cluster: Cluster) -> None:
    request = head_request(cluster, BOOT, GROUND, KEY)
    assert (request["MinCount"], request["MaxCount"]) == (1, 1)
    assert "SubnetIds" not in request
    config = autoscaler_config(cluster, BOOT, GROUND, KEY)
    assert config["available_node_types"]["head"]["max_workers"] == 0
    assert config["max_workers"] == cluster.most_workers


def test_ray_gets_ids_and_neither_ssh_nor_commands(cluster: Cluster) -> None:
    config = autoscaler_config(cluster, BOOT, GROUND, KEY)
    assert config["provider"]["disable_node_updaters"]
    assert config["provider"]["cache_stopped_nodes"] is False
    assert config["auth"] == {}
    assert not [name for name in config if "commands" in name or "mounts" in name]
    for name in ("gpu-spot", "gpu-ondemand"):
        given = config["available_node_types"][name]
        assert given["node_config"]["SubnetIds"] == ["subnet-a", "subnet-b"]
        assert f"export CRPBOT_NODE_TYPE={name}\n" in given["node_config"]["UserData"]
        assert given["min_workers"] == 0
    assert config["available_node_types"]["gpu-spot"]["priority"] > config["available_node_types"]["gpu-ondemand"].get(
        "priority", 0
    )


def test_ray_itself_accepts_the_configuration(cluster: Cluster) -> None:
    util = pytest.importorskip("ray.autoscaler._private.util")
    config = autoscaler_config(cluster, BOOT, GROUND, KEY)
    util.validate_config(util.prepare_config(config))
