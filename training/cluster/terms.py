"""The cluster as `ray_cluster.yaml` describes it, and the limits that a launch gets: read and checked before anything
costs money.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import invalid
from training.cluster.rules import check_rules
from training.cluster.shape import check_shape
from training.cluster.source import read_source

CLUSTER_FILE: Final = Path("ray_cluster.yaml")
# Beyond them a number is a slip of the finger, not a limit.
MOST_HOURS: Final = 72.0
MOST_DOLLARS: Final = 1_000.0
MOST_IDLE_MINUTES: Final = 120.0
LEAST_IDLE_MINUTES: Final = 1.0  # the next job of somebody who looks at the first takes seconds to be given


@dataclass(frozen=True, slots=True)
class Machine:
    """One node type of the file."""

    name: str
    instance_type: str
    is_spot: bool
    most: int  # how many at once; 1 for the head
    gpus: int
    disk_gb: int
    priority: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """The file, checked. `content` is the whole of it, as Ray reads it."""

    name: str
    region: str
    zones: tuple[str, ...]
    head: Machine
    workers: tuple[Machine, ...]
    most_workers: int
    idle_minutes: float  # of a worker
    content: dict[str, Any]  # Any: YAML


@dataclass(frozen=True, slots=True)
class Limits:
    """What a launch may cost at most. Both end it; money does so as time, at the highest rate the cluster can reach."""

    hours: float
    dollars: float
    idle_minutes: float  # of the head, without a job and a worker

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("hours", self.hours, 0.0, MOST_HOURS),
            ("dollars", self.dollars, 0.0, MOST_DOLLARS),
            ("idle minutes", self.idle_minutes, LEAST_IDLE_MINUTES, MOST_IDLE_MINUTES),
        ):
            if not (math.isfinite(value) and 0 < value <= most and value >= least):
                lowest = f"at least {least:g}" if least else "above 0"
                raise invalid(
                    name,
                    f"{value:g} is no limit of a launch, which is {lowest} and at most {most:g}; remedy: name such one",
                    reason="LAUNCH_LIMITS",
                )


def read_cluster(path: Path = CLUSTER_FILE) -> Cluster:
    """The file; INVALID_ARGUMENT with line, value, limit and remedy where it is not safe or not whole."""
    source = read_source(path)
    check_shape(source)
    check_rules(source)
    content = source.content
    provider = content["provider"]
    machines = tuple(_machine(name, node) for name, node in content["available_node_types"].items())
    head = content["head_node_type"]
    return Cluster(
        name=content["cluster_name"],
        region=provider["region"],
        zones=tuple(provider["availability_zone"].split(",")),
        head=next(each for each in machines if each.name == head),
        workers=tuple(each for each in machines if each.name != head),
        most_workers=content["max_workers"],
        idle_minutes=float(content["idle_timeout_minutes"]),
        content=content,
    )


def _machine(name: str, node: dict[str, Any]) -> Machine:  # Any: YAML, its shape checked
    config, resources = node["node_config"], node["resources"]
    return Machine(
        name=name,
        instance_type=config["InstanceType"],
        is_spot="InstanceMarketOptions" in config,
        most=node["max_workers"] or 1,  # 0 is the head's, and of it there is one
        gpus=resources.get("GPU", 0),
        disk_gb=sum(each["Ebs"]["VolumeSize"] for each in config["BlockDeviceMappings"]),
        priority=node.get("priority", 0),
    )
