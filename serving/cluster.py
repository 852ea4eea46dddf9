"""One life of Ray with the theories on it: the head, and beside it the process that deploys."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from core.settings.declared import Ray
from serving.children import ended_well, failure, log_file, spawn
from serving.processes import Process
from serving.ray_head import RayHead

DEPLOY_SECONDS: Final = 300.0  # thirty replicas on two cores take minutes
GONE_SECONDS: Final = 5.0


class Cluster:
    """Starts when made. Every question raises `CrpbotError` once this life has failed; it is then stopped."""

    def __init__(self, ray: Ray, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._up_since: float | None = None
        self._deployed = False
        self.is_first = not Path(environment["NUMBA_CACHE_DIR"]).exists()
        with log_file(folder, "ray").open("ab") as log:
            self.head = RayHead(
                dashboard_port=ray.dashboard_port,
                cpus=ray.cpus,
                object_store_mb=ray.object_store_mb,
                environment=environment,
                log=log,
            )
        try:
            self._deployer = spawn(folder, "deploy", environment, "serving.app", "deploy", self.head.address)
        except OSError:
            self.head.stop(lambda: ())
            raise

    @property
    def children(self) -> set[int]:
        """The processes that are waited for here."""
        return {self.head.child.pid, self._deployer.pid}

    def is_up(self) -> bool:
        """Whether Ray accepts connections."""
        if self._up_since is None and self.head.is_up():
            self._up_since = time.monotonic()
        return self._up_since is not None

    def is_deployed(self) -> bool:
        """Whether the theories run."""
        self.head.check_alive()  # first: when Ray dies the deployment fails too, and is not to blame
        if not self._deployed and self.is_up():
            self._deployed = ended_well(self._folder, "deploy", self._deployer)
            if not self._deployed and time.monotonic() > (self._up_since or 0.0) + DEPLOY_SECONDS:
                what = f"did not bring up the theories within {DEPLOY_SECONDS:.0f} s; has Ray the cores they ask for?"
                raise failure(self._folder, "deploy", what)
        return self._deployed

    def stop(self, orphans: Callable[[], tuple[Process, ...]]) -> tuple[Process, ...]:
        """Ends all of it, `orphans` too; gives who could not be ended."""
        self._deployer.kill()
        left = self.head.stop(orphans)
        with suppress(subprocess.TimeoutExpired):
            self._deployer.wait(GONE_SECONDS)
        return left
