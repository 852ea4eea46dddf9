"""The local Ray cluster as one child of the supervisor: started on loopback with a token, ended without a trace."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from core.bucket_address import SCHEME
from core.errors import Code, CrpbotError
from core.settings.catalogue import catalogue
from serving.processes import Process, descendants, die_with_parent, free_ports, kill, kill_until_gone
from serving.ray_private import ENVIRONMENT
from serving.session import kernel_folder, token_file

START_SECONDS: Final = 60.0
GONE_SECONDS: Final = 5.0
MEGABYTE: Final = 1_000_000
AWS_KEYS: Final = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})


def child_environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of every process of ours: the user's, and on top what Ray must have."""
    kernels = {"NUMBA_CACHE_DIR": str(kernel_folder(folder))}
    return {**kernels, **environment, **ENVIRONMENT, "RAY_AUTH_TOKEN_PATH": str(token_file(folder))}


def without_secrets(environment: Mapping[str, str], *, models: str = "") -> dict[str, str]:
    """The environment for Ray and the theories: they compute, and need no key, no password and no database.

    Who reads models from a bucket must be known to AWS; from a folder, nobody need be.
    """
    names = {spelling for each in catalogue() if each.secret for spelling in each.spellings}
    if not models.startswith(SCHEME):
        names |= AWS_KEYS
    return {name: text for name, text in environment.items() if name not in names}


def write_token(path: Path) -> None:
    """Makes Ray's token once, readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))


class RayHead:
    """One life of the cluster. Whatever ends it, `stop` leaves no process and no folder of it behind."""

    def __init__(
        self, *, dashboard_port: int, cpus: int, object_store_mb: int, environment: Mapping[str, str], log: IO[bytes]
    ) -> None:
        self.id = uuid.uuid4().hex
        # directly under the system's folder: the paths of Ray's sockets below it are limited to 107 bytes
        self.temp_folder = tempfile.mkdtemp(prefix="crpbot-")
        port, agent, agent_grpc, runtime_env, metrics = free_ports(5)
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._started = time.monotonic()
        command = [
            sys.executable,
            "-P",  # the folder in which the user stands may hold modules of the same names as ours
            "-m",
            "serving.ray_private",
            "--block",
            "--node-ip-address=127.0.0.1",
            f"--port={port}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={dashboard_port}",
            f"--dashboard-agent-listen-port={agent}",
            f"--dashboard-agent-grpc-port={agent_grpc}",
            f"--runtime-env-agent-port={runtime_env}",
            f"--metrics-export-port={metrics}",
            f"--object-store-memory={object_store_mb * MEGABYTE}",
            f"--temp-dir={self.temp_folder}",
            "--disable-usage-stats",
            "--include-log-monitor=false",  # replicas log to files; nobody reads a driver's echo of them
        ]
        if cpus:
            command.append(f"--num-cpus={cpus}")
        try:
            self.child = subprocess.Popen(  # noqa: S603  # our own command line
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # the supervisor has one thread
            )
        except OSError:
            shutil.rmtree(self.temp_folder, ignore_errors=True)
            raise

    def is_up(self) -> bool:
        """Whether the cluster's directory service accepts connections. Raises when it ended, or is late."""
        self.check_alive()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                return True
        if time.monotonic() > self._started + START_SECONDS:
            raise _failed(f"did not come up within {START_SECONDS:.0f} s")
        return False

    def check_alive(self) -> None:
        """Raises when the cluster ended."""
        if self.child.poll() is not None:
            raise _failed(f"ended with status {self.child.returncode}")

    def processes(self) -> tuple[Process, ...]:
        """Everything below the head's own process."""
        return descendants(self.child.pid)

    def stop(self, orphans: Callable[[], tuple[Process, ...]]) -> tuple[Process, ...]:
        """Ends it at once: Ray's own graceful end takes half a minute and keeps nothing that we need.

        Gives who could not be ended.
        """
        family = self.processes()
        self.child.kill()
        kill(family)
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(GONE_SECONDS)
        left = kill_until_gone(orphans, seconds=GONE_SECONDS)  # what the dying ones had just started
        shutil.rmtree(self.temp_folder, ignore_errors=True)
        return left


def _failed(detail: str) -> CrpbotError:
    return CrpbotError(Code.UNAVAILABLE, f"Ray {detail}; its log has the cause", reason="RAY_START_FAILED")
