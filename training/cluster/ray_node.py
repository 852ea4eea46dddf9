"""Ray on one machine of the cluster: started once, found again by a program that was restarted, ended without a rest.

Ray runs beside our program and not below it: who watches may crash and come back while a training goes on. Ray's token
lies in a file that its owner alone reads, and stands in no argument, no log and no other text.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

# On the disk: /tmp is memory on Amazon Linux 2023. Short: paths of Ray's sockets below it are limited to 107 bytes.
# Workers, which are told none, take the head's.
RAY_FOLDER: Final = "/var/tmp/ray"  # noqa: S108  # a machine of our own, on which nobody else writes
RAY_FOLDER_VARIABLE: Final = "CRPBOT_RAY_FOLDER"
PORTS_VARIABLE: Final = "CRPBOT_PORTS"  # `free`: any that nobody uses, where a machine has several heads
GCS_PORT: Final = 6379
DASHBOARD_PORT: Final = 8265
AGENT_PORT: Final = 52365
GONE_SECONDS: Final = 20.0  # Ray ends its own children within a second or two
ENVIRONMENT: Final = {
    "RAY_AUTH_MODE": "token",  # unset, Ray would start open where it finds no token
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_autoscaler_v2": "1",
    # asked to end, Ray would first wait half a minute for work to leave: whoever ends it here has seen to that
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    # Each machine is asked for alone, in all zones: of four asked for at once EC2 may give two, and Ray would wait for
    # the others. An answer comes within seconds of each zone; by default Ray would wait 600.
    "AUTOSCALER_MAX_LAUNCH_BATCH": "1",
    "RAY_AUTOSCALER_RECONCILE_REQUEST_STATUS_TIMEOUT_S": "120",
    # A machine that runs and does not join, because its user data never ran: by default it is paid for 3600. A boot
    # has 900 (boot.sh), and then Ray must start and be seen.
    "RAY_AUTOSCALER_RECONCILE_ALLOCATE_STATUS_TIMEOUT_S": "1500",
}
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")  # which Ray gives its words whoever reads them
MOST_LINES: Final = 4
MOST_WORDS: Final = 500
# flags of `ray start` for what is no custom resource
FLAGS: Final = {
    "CPU": "--num-cpus",
    "GPU": "--num-gpus",
    "memory": "--memory",
    "object_store_memory": "--object-store-memory",
}


class Ports(NamedTuple):
    gcs: int
    dashboard: int  # on loopback: it is also the jobs API, which runs what it is given
    agent: int  # of each machine: starts the jobs on the head. Where it cannot listen no job can be given


class RayNode:
    """`ray start --block` of this machine, by the file in which it wrote its process number."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.logs = Path(environment.get(RAY_FOLDER_VARIABLE) or RAY_FOLDER) / "session_latest" / "logs"
        self._environment = environment
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    def keep_token(self, token: str) -> None:
        """Puts it where Ray of this machine reads it; its owner alone can."""
        number = os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(number, "w") as file:
            file.write(token)

    def ports(self) -> Ports:
        """Those of this machine, the same for as long as it lives."""
        file = self.folder / "ports.json"
        with suppress(FileNotFoundError):
            return Ports(*json.loads(file.read_text()))
        is_free = self._environment.get(PORTS_VARIABLE) == "free"
        ports = Ports(*_free_ports(3)) if is_free else Ports(GCS_PORT, DASHBOARD_PORT, AGENT_PORT)
        file.write_text(json.dumps(ports))
        return ports

    def start(self, arguments: list[str], told: Mapping[str, str]) -> None:
        """Starts Ray; once for all lives of our program, however often it is called.

        The shell writes its process number and then becomes Ray: no moment is left in which Ray runs and nobody knows.
        """
        if self._pid_file.exists():
            return
        agent = f"--dashboard-agent-listen-port={self.ports().agent}"
        command = [sys.executable, "-m", "training.cluster.ray_start", "start", *arguments, agent, "--block"]
        script = f'echo $$ > {shlex.quote(str(self._pid_file))} && exec "$@"'
        with (self.folder / "ray.log").open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603  # our own command line
                ["/bin/sh", "-c", script, "sh", *command],
                env={**self._environment, **ENVIRONMENT, **told, "RAY_AUTH_TOKEN_PATH": str(self.token_file)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        """Whether Ray was started and runs no more."""
        if self._child is not None:
            return self._child.poll() is not None
        return not _is_ray(self._pid())

    def last_words(self) -> str:
        """What Ray printed last, for people: of several lines, because the last alone says only that it ends."""
        try:
            text = (self.folder / "ray.log").read_text(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in COLOUR.sub("", text).splitlines() if line.strip()]
        return " / ".join(lines[-MOST_LINES:])[-MOST_WORDS:]

    def stop(self) -> None:
        """Ends it and everything below it."""
        pid = self._pid()
        if not _is_ray(pid):
            return
        family = _descendants(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + GONE_SECONDS
        while not self.has_ended() and time.monotonic() < deadline:
            time.sleep(0.1)
        for each, started in {pid: _started(pid), **family}.items():
            if started is not None and _started(each) == started:  # the kernel may have given its number again
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    @property
    def _pid_file(self) -> Path:
        return self.folder / "ray.pid"

    def _pid(self) -> int:
        try:
            return int(self._pid_file.read_text())
        except (OSError, ValueError):  # not started, or the machine stopped in the middle
            return 0


def resource_arguments(config: Mapping[str, Any], node_type: str) -> list[str]:  # Any: JSON of the autoscaler
    """What a machine of that type has, as flags of `ray start`; the autoscaler counts on exactly that."""
    resources: dict[str, float] = dict(config["available_node_types"][node_type]["resources"])
    flags = [f"{flag}={resources.pop(name)}" for name, flag in FLAGS.items() if name in resources]
    return [*flags, f"--resources={json.dumps(resources)}"] if resources else flags


def _is_ray(pid: int) -> bool:
    """Whether that process lives and is the one that we started: after a restart the number alone says little."""
    stat = _stat(pid)
    if not stat or stat[0] == "Z":
        return False
    with suppress(OSError):
        return b"ray" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _descendants(root: int) -> dict[int, str | None]:
    """Every process below it, with the time it was started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found: dict[int, str | None] = {}
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop()
        found[pid] = _started(pid)
        waiting.extend(children.get(pid, ()))
    return found


def _started(pid: int) -> str | None:
    stat = _stat(pid)
    return stat[19] if stat and stat[0] != "Z" else None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (which may hold anything but ends at the last parenthesis)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(") ", 1)[1].split()
    except (OSError, IndexError):
        return []


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
