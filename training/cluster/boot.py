"""What a new machine is told when it starts: its user data, its tags, and for the head how Ray may start others.

Everything of the launch is in it with ids resolved; there is no secret in it, because whoever may look at an instance
can read its user data.
"""

from __future__ import annotations

import copy
import math
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple

from core.errors import Code, CrpbotError
from training.cluster.mail import Boot, cluster_key
from training.cluster.terms import Cluster, Machine

MOST_USER_DATA: Final = 16_384  # bytes, EC2's limit before base64
CLUSTER_TAG: Final = "crpbot-cluster"
LAUNCH_TAG: Final = "crpbot-launch"

Role = Literal["head", "worker"]
NodeConfig = dict[str, Any]  # Any: the arguments of RunInstances, as AWS documents them


class Ground(NamedTuple):
    """What a launch stands on, as ids of this account and region."""

    subnets: tuple[str, ...]  # one for each zone, in the order in which they are tried
    group: str
    images: Mapping[str, str]  # of each node type


def user_data(role: Role, boot: Boot, code_key: str, *, node_type: str, gpu: bool) -> str:
    """The first program of a machine: what it is, then `boot.sh`, the same for all."""
    told = {
        "CRPBOT_ROLE": role,
        "CRPBOT_BOOT": f"{boot.url}/{cluster_key(boot.cluster, boot.launch, 'boot.json')}",
        "CRPBOT_CODE": f"{boot.url}/{code_key}",
        "CRPBOT_CODE_SHA256": boot.code,
        "CRPBOT_ENDS_AT": str(int(boot.ends_at)),
        "CRPBOT_LIFETIME_MINUTES": str(math.ceil((boot.ends_at - boot.launched_at) / 60.0)),
        "CRPBOT_NODE_TYPE": node_type,
        "CRPBOT_GPU": "yes" if gpu else "no",
        "AWS_DEFAULT_REGION": boot.region,
    }
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in told.items())
    program = files("training.cluster").joinpath("boot.sh").read_text()
    if program.startswith("#!"):  # ours must stand on the first line
        program = program.partition("\n")[2]
    text = f"#!/bin/bash\n{exports}{program}"
    if len(text.encode()) > MOST_USER_DATA:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"the user data of a {role} has {len(text.encode()):,} bytes, EC2 takes {MOST_USER_DATA:,}; remedy: a "
            "shorter place for the cluster (--bucket), or a shorter training/cluster/boot.sh",
            reason="USER_DATA_TOO_LARGE",
        )
    return text


def tags_of(boot: Boot) -> dict[str, str]:
    """What every instance and volume of a launch carries: by these it is found again and ended."""
    return {"ray-cluster-name": boot.cluster, CLUSTER_TAG: boot.cluster, LAUNCH_TAG: boot.launch}


def node_config(cluster: Cluster, machine: Machine, boot: Boot, ground: Ground, code_key: str) -> NodeConfig:
    """The file's own node_config of a type, with everything resolved. No subnet: each machine gets its own."""
    config: NodeConfig = copy.deepcopy(cluster.content["available_node_types"][machine.name]["node_config"])
    role: Role = "head" if machine == cluster.head else "worker"
    tags = {each["ResourceType"]: _names(each["Tags"]) for each in config.get("TagSpecifications", ())}
    for kind in ("instance", "volume"):
        tags[kind] = tags.get(kind, {}) | tags_of(boot)
    return config | {
        "ImageId": ground.images[machine.name],
        "SecurityGroupIds": [ground.group],
        "InstanceInitiatedShutdownBehavior": "terminate",  # `shutdown` on the machine ends it, for good
        "UserData": user_data(role, boot, code_key, node_type=machine.name, gpu=machine.gpus > 0),
        "TagSpecifications": [{"ResourceType": kind, "Tags": _pairs(named)} for kind, named in tags.items()],
    }


def head_request(cluster: Cluster, boot: Boot, ground: Ground, code_key: str) -> NodeConfig:
    """The arguments of RunInstances for the head, but for its subnet. The tags make it the head in Ray's eyes."""
    config = node_config(cluster, cluster.head, boot, ground, code_key)
    config.pop("SubnetIds", None)  # Ray's own key, unknown to EC2
    for each in config["TagSpecifications"]:
        if each["ResourceType"] == "instance":
            each["Tags"] += _pairs(
                {
                    "Name": f"ray-{boot.cluster}-head",
                    "ray-node-type": "head",
                    "ray-user-node-type": cluster.head.name,
                    "ray-node-status": "up-to-date",
                    "ray-launch-config": boot.launch,
                }
            )
    return config | {"MinCount": 1, "MaxCount": 1}


def autoscaler_config(cluster: Cluster, boot: Boot, ground: Ground, code_key: str) -> dict[str, Any]:
    """Ray's configuration for the head: the file without what only a laptop needs, and with ids for names."""
    content, head = cluster.content, cluster.head.name
    provider = {
        name: value
        for name, value in content["provider"].items()
        if name not in {"security_group", "availability_zone"}
    }
    types = {}
    for machine in (cluster.head, *cluster.workers):
        given = copy.deepcopy(content["available_node_types"][machine.name])
        config = node_config(cluster, machine, boot, ground, code_key) | {"SubnetIds": list(ground.subnets)}
        # the head is there already and no other may be started: Ray need not know how
        only = {"UserData": ""} if machine.name == head else {}
        types[machine.name] = given | {
            "node_config": config | only,
            "min_workers": 0,
            "max_workers": 0 if machine.name == head else machine.most,
        }
    return {
        "cluster_name": cluster.name,
        "max_workers": cluster.most_workers,
        "upscaling_speed": content.get("upscaling_speed", 1.0),
        "idle_timeout_minutes": cluster.idle_minutes,
        "provider": provider
        | {
            "type": "aws",
            "region": cluster.region,
            "cache_stopped_nodes": False,  # ended, not stopped: a stopped machine's disk goes on costing
            "use_internal_ips": True,
            "disable_node_updaters": True,  # they are SSH; a worker's user data does their work
        },
        "auth": {},  # no key pair: nobody signs in
        "head_node_type": head,
        "available_node_types": types,
    }


def _names(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in tags}


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]
