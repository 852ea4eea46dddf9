"""Every private name of Ray that we use, in one file: when Ray moves, this is what breaks.

Ray 2.60 has no public way to send a call by value from the caller's own event loop, nor to say where a replica's
internal gRPC server listens.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from core.again import again

# What every process that touches Ray must have in its environment before it imports ray.
# Ten years: a driver otherwise ends itself about 60 s after the GCS died, and the gateway is a driver.
RECONNECT_SECONDS: Final = 10 * 365 * 24 * 3600

ENVIRONMENT: Final[Mapping[str, str]] = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # with it the node's address is 127.0.0.1 and Ray listens on loopback
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_SECONDS),
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_prestart_worker_first_driver": "0",  # idle workers cost 70 MB each and nobody here runs tasks
    "RAY_enable_worker_prestart": "0",
    "OMP_NUM_THREADS": "1",  # one thread a replica: parallelism comes from replicas
}


# How long the node may take until the cluster knows it. Ray's own 30 s pass on a machine that is busy otherwise.
JOIN_SECONDS: Final = 180.0

# Ends with the first of the cluster's processes that ends, whichever it is.
WATCH: Final = "import os; os.wait(); os._exit(1)"


def set_environment(token_file: str) -> None:
    """Prepares this process for `import ray`."""
    os.environ.update(ENVIRONMENT)
    os.environ["RAY_AUTH_TOKEN_PATH"] = token_file


def by_value(handle: Any) -> Any:  # Any: Ray's handles are untyped
    """A handle that sends its arguments by value and routes in the running event loop: 1.1 ms a call, not 1.75."""
    if not handle.is_initialized:  # Serve keeps handles and may give one that is in use
        handle._init(_run_router_in_separate_loop=False)
    return handle.options(_by_reference=False)


def start_head(arguments: list[str]) -> None:
    """`ray start` without what it starts on a head unasked: the Ray Client server, and the autoscaler's monitor.

    Nobody here is a Ray client, and one machine does not scale: two processes less. And once all is up, this process
    becomes a watch of a few MiB where Ray's own would keep 130: the kernel ends its children when it ends, as before.
    """
    from ray._private import node as node_module
    from ray._private import services
    from ray.scripts import scripts as module

    scripts: Any = module  # Any: private modules without types
    scripts.get_ray_client_dependency_error = lambda: "not wanted here"
    node: Any = node_module.Node
    node.start_monitor = lambda self: None
    node.dead_processes = lambda self: os.execv(sys.executable, [sys.executable, "-S", "-E", "-c", WATCH])  # noqa: S606
    known: Any = services
    known.get_node = again(known.get_node, RuntimeError, seconds=JOIN_SECONDS, clock=time)
    sys.argv = ["ray", "start", "--head", *arguments]
    scripts.main()


def listen_on_node_address_only() -> None:
    """Binds the replica's internal gRPC server to the node's address instead of to all interfaces.

    That server takes pickled payloads. Called from the deployment's constructor, which runs before the port is opened;
    the router reaches the replica under the node's address, so nothing else changes.
    """
    from ray.serve._private import replica as module
    from ray.util import get_node_ip_address

    replica: Any = module  # Any: a private module without types
    original = replica.add_port_to_grpc_server
    node_address: Any = get_node_ip_address

    def add_port(server: Any, address: str) -> Any:
        return original(server, address.replace("[::]", node_address()))

    replica.add_port_to_grpc_server = add_port


if __name__ == "__main__":
    start_head(sys.argv[1:])
