"""Puts the groups of theories and models on a running Ray cluster as Serve deployments. Run once a session."""

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
from serving.models import Modeller

NAMESPACE: Final = "crpbot"
QUEUE_PER_REPLICA: Final = 8
PREPARING: Final = 2  # calls that open models: one, and one that was given up and is still under way
HEALTH_CHECK_SECONDS: Final = 5
POLL_SECONDS: Final = 0.05
ANY_REQUEST: Final = 0.01  # requests a replica that justify one more: a single one brings up all that a group may have
NEVER_SECONDS: Final = 10.0 * 365 * 24 * 3600


def deploy(address: str, groups: Sequence[Group], fits: Path, *, model_groups: Sequence[Group], models: str) -> None:
    """Deploys every group as an application of its own name, and waits until all replicas with theories are warm.

    Meant to start beside Ray: while that comes up, the kernels are compiled once; the replicas find them in the cache.
    The models follow, and nobody waits for them: a group that cannot be placed keeps no theory from answering, and one
    that nobody asks has no process.
    """
    for group in groups:
        warm_up(samples(), group.theories)
    import ray
    from ray import serve

    os.chdir(sys.prefix)  # Ray puts this folder on its workers' path, and the user's may hold modules named like ours
    _wait_until_up(address)
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    serve.start(proxy_location="Disabled")
    analysts = [_bind(Analyst, group, group.theories, fits, num_replicas=group.replicas) for group in groups]
    serve.run_many(analysts)
    serve.run_many(
        [_bind_models(group, models) for group in model_groups],
        wait_for_applications_running=False,
    )
    ray.shutdown()


def _bind(replica: type, group: Group, *arguments: object, **scale: Any) -> Any:  # Any: what Serve's options are
    """A group as one application with one deployment, both of its name."""
    from ray import serve

    scale.setdefault("max_ongoing_requests", group.concurrency)
    deployment: Any = serve.deployment(  # Any: Serve's decorator is untyped when called with a class
        replica,
        name=group.name,
        max_queued_requests=group.replicas * group.concurrency * QUEUE_PER_REPLICA,
        ray_actor_options={"num_cpus": group.cpus, "num_gpus": group.gpus},
        health_check_period_s=HEALTH_CHECK_SECONDS,
        **scale,
    )
    return serve.RunTarget(deployment.bind(*arguments), name=group.name, route_prefix=None)


def _bind_models(group: Group, url: str) -> Any:  # Any: as above
    """A group of models. A replica also has room for what must keep no question waiting.

    Serve counts a call that opens models like any other, and one may take half a minute: with room for questions alone
    a promotion would block them. Such calls and those of candidates compute in threads of their own.
    """
    room = group.concurrency + PREPARING + group.replicas
    return _bind(Modeller, group, url, group.precision, group.gpus, max_ongoing_requests=room, **_on_demand(group))


def _on_demand(group: Group) -> dict[str, object]:
    """No process until the first question or the first model to prepare, then all of them for good.

    Without a promoted model the three shipped groups would take a third of a gigabyte for nothing.
    """
    scaling = {
        "min_replicas": 0,
        "initial_replicas": 0,
        "max_replicas": group.replicas,
        "target_ongoing_requests": ANY_REQUEST,
        "upscale_delay_s": 0.0,
        "downscale_delay_s": NEVER_SECONDS,
        "downscale_to_zero_delay_s": NEVER_SECONDS,
    }
    return {"autoscaling_config": scaling}


def _wait_until_up(address: str) -> None:
    """Returns when the cluster's directory service accepts connections; the supervisor ends us if it never does."""
    host, port = address.rsplit(":", 1)
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(POLL_SECONDS)
