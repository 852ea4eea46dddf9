"""Puts the groups of theories on a running Ray cluster as Serve deployments. Run once per Ray session, then ends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from serving.groups import Group

NAMESPACE: Final = "crpbot"
QUEUE_PER_REPLICA: Final = 8
HEALTH_CHECK_SECONDS: Final = 5


def deploy(address: str, groups: Sequence[Group]) -> None:
    """Connects, deploys every group as an application of its own name, and waits until all replicas are warm."""
    import ray
    from ray import serve

    from serving.analysts import Analyst

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
        targets.append(serve.RunTarget(deployment.bind(group.theories), name=group.name, route_prefix=None))
    serve.run_many(targets)
    ray.shutdown()
