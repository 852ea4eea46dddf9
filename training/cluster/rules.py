"""What must hold between the values of `ray_cluster.yaml`: each alone may be right and the cluster still unsafe."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from training.cluster.source import Source

EVERYWHERE: Final = re.compile(r"0\.0\.0\.0|(^|[^0-9a-fA-F:])::/0")
TAGGED: Final = ("instance", "volume")
TAG: Final = "crpbot-cluster"
HEAD_PROFILE: Final = "crpbot-training-head"
WORKER_PROFILE: Final = "crpbot-training-worker"
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


def check_rules(source: Source) -> None:
    """Refuses the file by the first rule that does not hold. Its shape is right by then."""
    for rule in RULES:
        rule(source)


def _nothing_is_open(source: Source) -> None:
    for path, value in source.values():
        if isinstance(value, str) and EVERYWHERE.search(value):
            raise source.refused(path, value, "opens something to everybody", "take it away: no port is open")


def _versions_are_ours(source: Source) -> None:
    installed = {"ray_version": version("ray"), "python_version": PYTHON}
    for key, ours in installed.items():
        found = source.content["provider"][key]
        if found != ours:
            limit = f"is not {ours}, the one that runs here; a cluster and its laptop must have the same"
            raise source.refused(("provider", key), found, limit, "write it, or install requirements.lock")


def _zones_are_of_the_region(source: Source) -> None:
    provider = source.content["provider"]
    for zone in provider["availability_zone"].split(","):
        if not re.fullmatch(re.escape(provider["region"]) + "[a-z]", zone):
            limit = f"is no zone of {provider['region']}"
            raise source.refused(("provider", "availability_zone"), zone, limit, f"name as {provider['region']}a")


def _head_is_a_head(source: Source) -> None:
    name, types = source.content["head_node_type"], source.content["available_node_types"]
    if name not in types:
        raise source.refused(
            ("head_node_type",), name, f"is none of available_node_types: {', '.join(types)}", "name one of them"
        )
    path = ("available_node_types", name)
    if types[name]["max_workers"] != 0:
        limit = "must be 0: it is no worker"
        raise source.refused((*path, "max_workers"), types[name]["max_workers"], limit, "write 0")
    if _is_spot(types[name]):
        limit = "is spot: a head that is taken ends every training"
        raise source.fault((*path, "node_config", "InstanceMarketOptions"), limit, "take the group away")
    if types[name]["resources"].get("CPU", -1) != 0:
        limit = "must be 0: work on the head would keep it from watching"
        raise source.refused((*path, "resources", "CPU"), types[name]["resources"].get("CPU"), limit, "write 0")
    if types[name]["resources"].get("driver", 0) < 1:
        limit = "must be 1 or more: each training run has its driver there"
        raise source.fault((*path, "resources", "driver"), limit, "write 100")


def _workers_fit(source: Source) -> None:
    most, workers = source.content["max_workers"], _workers(source)
    for name, each in workers.items():
        path = ("available_node_types", name)
        if not 1 <= each["max_workers"] <= most:
            limit = f"must be from 1 to {most}, the max_workers of all"
            raise source.refused((*path, "max_workers"), each["max_workers"], limit, "write no more than that")
        if each["resources"].get("CPU", 0) < 1:
            limit = "must be 1 or more"
            raise source.fault((*path, "resources", "CPU"), limit, "write the machine's vCPUs; the quotas count them")


def _spot_comes_first(source: Source) -> None:
    workers = _workers(source)
    spot = {name: each.get("priority", 0) for name, each in workers.items() if _is_spot(each)}
    steady = {name: each.get("priority", 0) for name, each in workers.items() if name not in spot}
    path = ("available_node_types",)
    if not spot:
        raise source.fault(path, "has no spot type, which costs a third", "write InstanceMarketOptions in one")
    if not steady:
        limit = "has no on-demand type: without spot machines a job would wait for ever"
        raise source.fault(path, limit, "write one without InstanceMarketOptions")
    first = min(spot, key=lambda name: spot[name])
    if spot[first] <= max(steady.values()):
        limit = f"must be above {max(steady.values())}, that of the on-demand types, or they are taken first"
        raise source.refused((*path, first, "priority"), spot[first], limit, "write 10")


def _profiles_are_of_the_policies(source: Source) -> None:
    for name, each in source.content["available_node_types"].items():
        ours = HEAD_PROFILE if name == source.content["head_node_type"] else WORKER_PROFILE
        profile = each["node_config"]["IamInstanceProfile"]["Name"]
        if profile != ours:
            path = ("available_node_types", name, "node_config", "IamInstanceProfile", "Name")
            limit = f"must be {ours!r}, the one whose role the policies in deploy/aws let be given"
            raise source.refused(path, profile, limit, f"write {ours}")


def _tags_name_the_cluster(source: Source) -> None:
    name = source.content["cluster_name"]
    for node, each in source.content["available_node_types"].items():
        found = {
            one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]}
            for one in each["node_config"]["TagSpecifications"]
        }
        path = ("available_node_types", node, "node_config", "TagSpecifications")
        for kind in TAGGED:
            tagged = found.get(kind, {}).get(TAG)
            if tagged != name:
                limit = f"tags no {kind} with {TAG}: {name}, by which what is left is found"
                raise source.fault(path, limit, f"write {{Key: {TAG}, Value: {name}}} for {kind}")


def _workers(source: Source) -> dict[str, dict[str, Any]]:
    types: dict[str, dict[str, Any]] = source.content["available_node_types"]
    return {name: each for name, each in types.items() if name != source.content["head_node_type"]}


def _is_spot(node: dict[str, Any]) -> bool:
    return "InstanceMarketOptions" in node["node_config"]


RULES: Final[tuple[Callable[[Source], None], ...]] = (
    _nothing_is_open,
    _versions_are_ours,
    _zones_are_of_the_region,
    _head_is_a_head,
    _workers_fit,
    _spot_comes_first,
    _profiles_are_of_the_policies,
    _tags_name_the_cluster,
)
