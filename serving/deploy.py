"""Puts the groups of theories on a running Ray cluster as Serve deployments. Run once per Ray session, then ends."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from core.panel import warm_up
from serving.analysts import Analyst, samples
from serving.groups import Group

NAMESPACE: Final = "crpbot"
QUEUE_PER_REPLICA: Final = 8
HEALTH_CHECK_SECONDS: Final = 5
POLL_SECONDS: Final = 0.05


def deploy(address: str, groups: Sequence[Group], fits: Path) -> None:
    """Deploys every group as an application of its own name, and waits until all replicas are warm.

    Meant to start beside Ray: while that comes up, the kernels are compiled once; the replicas find them in the cache.
    """
    for group in groups:
        warm_up(samples(), group.theories)
    import ray
    from ray import serve

    os.chdir(sys.prefix)  # Ray puts this folder on its workers' path, and the user's may hold modules named like ours
    _wait_until_up(address)
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    serve.start(proxy_location="Disabled")
    targets = []
    for group in groups:
        deployment: Any = serve.deployment(  # Any: Serve's decorator is untyped when called with a class
            Analyst,
            name=group.name,
            num_replicas=group.replicas,
            max_ongoing_requests=group.concurrency,
            max_queued_requests=group.replicas * group.concurrency * QUEUE_PER_REPLICA,
            ray_actor_options={"num_cpus": group.cpus},
            health_check_period_s=HEALTH_CHECK_SECONDS,
        )
        targets.append(serve.RunTarget(deployment.bind(group.theories, fits), name=group.name, route_prefix=None))
    serve.run_many(targets)
    ray.shutdown()


def _wait_until_up(address: str) -> None:
    """Returns when the cluster's directory service accepts connections; the supervisor ends us if it never does."""
    host, port = address.rsplit(":", 1)
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(POLL_SECONDS)
