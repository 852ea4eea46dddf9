"""The machines of a cluster as Ray sees them, and why it could not have more of them.

Every private name of Ray that the cluster's programs use stands here: when Ray moves, this is what breaks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from training.cluster.ray_node import ENVIRONMENT

LAUNCH_FAILED: Final = re.compile(
    r"^(?:(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+\s)?.*?"  # each line of the log begins with its time
    r"Failed to launch \d+ nodes of type (\S+): (?:Node Launch Exception )?(.+)",
    re.MULTILINE,
)
MOST_PROBLEMS: Final = 10
MOST_LOG_BYTES: Final = 1_000_000  # of the autoscaler's log, read at one look


class Refusal(NamedTuple):
    """A request for machines that failed."""

    node_type: str
    at: float  # seconds since 1970; nought where the log does not say
    words: str


class Machines(NamedTuple):
    """The machines of Ray besides one, by what EC2 calls them."""

    workers: dict[str, int]  # alive, by node type
    nodes: dict[str, str]  # instance id -> Ray's id of the node


class Gcs:
    """Ray's directory of machines. Its names are private ones of Ray's, so they are used here and nowhere else."""

    def __init__(self, address: str, token_file: Path) -> None:
        # a client of it ends its process about a minute after the directory is lost; ours is to outlive it
        patience = {"RAY_gcs_rpc_server_reconnect_timeout_s": str(10 * 365 * 24 * 3600)}
        os.environ.update(ENVIRONMENT | patience, RAY_AUTH_TOKEN_PATH=str(token_file))
        self._address = address
        self._client: Any = None  # Any: Ray's client is untyped

    def machines(self, *, own: str) -> Machines:
        """Who is there besides the machine that asks. UNAVAILABLE and the like come as Ray's own errors."""
        from ray.core.generated import autoscaler_pb2  # noqa: PLC0415  # after its environment

        reply: Any = autoscaler_pb2.GetClusterStatusReply()  # type: ignore[attr-defined]  # Any: generated
        reply.ParseFromString(self._gcs().get_cluster_status(timeout_s=5))
        workers: dict[str, int] = {}
        nodes: dict[str, str] = {}
        for node in reply.cluster_resource_state.node_states:
            if node.status == autoscaler_pb2.NodeStatus.Value("DEAD"):  # type: ignore[attr-defined]
                continue
            nodes[node.instance_id] = node.node_id.hex()
            if node.instance_id != own:
                workers[node.ray_node_type_name] = workers.get(node.ray_node_type_name, 0) + 1
        return Machines(workers, nodes)

    def tell_most(self, config: Mapping[str, Any]) -> None:  # Any: JSON of the autoscaler
        """Tells Ray what machines there may be: its autoscaler does not, and a job could only see those that are."""
        from ray.core.generated import autoscaler_pb2  # noqa: PLC0415  # after its environment

        told: Any = autoscaler_pb2.ClusterConfig()  # type: ignore[attr-defined]  # Any: generated
        for name, node in config["available_node_types"].items():
            group = told.node_group_configs.add(name=name, max_count=node["max_workers"])
            group.resources.update(node["resources"])
            for resource, count in node["resources"].items():
                most = config["max_workers"] * count  # of all types together
                told.max_resources[resource] = max(told.max_resources.get(resource, 0), most)
        self._gcs().report_cluster_config(told.SerializeToString())

    def drain(self, instance: str, *, why: str, until: float) -> bool:
        """Tells Ray that the machine is taken away then, so that its work goes elsewhere; whether Ray took it."""
        from ray.core.generated import autoscaler_pb2  # noqa: PLC0415  # after its environment

        node = self.machines(own="").nodes.get(instance)
        if node is None:
            return False
        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")  # type: ignore[attr-defined]
        is_accepted, _ = self._gcs().drain_node(node, reason, why, int(until * 1_000.0), timeout=5)
        return bool(is_accepted)

    def _gcs(self) -> Any:
        if self._client is None:
            from ray._raylet import GcsClient  # type: ignore[attr-defined]  # noqa: PLC0415  # after its environment

            self._client = GcsClient(address=self._address)
        return self._client


def ray_errors() -> tuple[type[Exception], ...]:
    """What Ray raises when it does not answer."""
    from ray.exceptions import RayError  # noqa: PLC0415  # after its environment

    return RayError, OSError, RuntimeError, ValueError


def read_refusals(log: Path) -> tuple[Refusal, ...]:
    """The requests for machines that failed, newest last: the autoscaler's own state leaves out what AWS said."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - MOST_LOG_BYTES))
            text = file.read(MOST_LOG_BYTES).decode(errors="replace")
    except OSError:
        return ()
    return tuple(
        # the log's time is that of the machine's own zone
        Refusal(node_type, datetime.fromisoformat(at).timestamp() if at else 0.0, words.strip()[:500])
        for at, node_type, words in LAUNCH_FAILED.findall(text)
    )


def launch_problems(refusals: Iterable[Refusal]) -> tuple[str, ...]:
    """Why machines could not be had, each reason once, newest last."""
    found = [f"{each.node_type}: {each.words}" for each in refusals]
    newest_first = list(dict.fromkeys(reversed(found)))[:MOST_PROBLEMS]
    return tuple(reversed(newest_first))
