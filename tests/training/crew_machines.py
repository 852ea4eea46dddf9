"""Machines of a launch as its autoscaler begins them, whose first program never runs."""

from __future__ import annotations

from training.cluster.boot import CLUSTER_TAG, LAUNCH_TAG
from training.cluster.cloud import Cloud


def begin_machine(cloud: Cloud, *, launch: str, cluster: str = "c", kind: str = "worker") -> str:
    """Its id; a worker is of the type gpu-spot."""
    named = {
        CLUSTER_TAG: cluster,
        LAUNCH_TAG: launch,
        "ray-node-type": kind,
        "ray-user-node-type": "head" if kind == "head" else "gpu-spot",
    }
    tags = [{"ResourceType": "instance", "Tags": [{"Key": name, "Value": value} for name, value in named.items()]}]
    what = {"ImageId": "ami-12c6146b", "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1}
    return str(cloud.ask("ec2", "run_instances", **what, TagSpecifications=tags)["Instances"][0]["InstanceId"])
