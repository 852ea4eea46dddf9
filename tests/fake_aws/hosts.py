"""Machines for an AWS without machines: each instance that runs boots its real user data, as processes of this machine.

`with Hosts(aws):` watches what the account has. A machine has a folder, a home, metadata and programs of its own; its
processor, memory and loopback it shares with the others. What is begun ends with the context.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.processes import Process, descendants
from tests.fake_aws.metadata import NOTICE_SECONDS, FakeMetadata
from tests.fake_aws.server import ENDED, FakeAws, Instance

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
OURS = ("crpbot-cluster", "ray-cluster-name")
LOOK_SECONDS = 0.1
END_SECONDS = 60.0


class Host:
    """One machine that runs: its folder, its metadata and its processes."""

    def __init__(self, instance: Instance, aws: FakeAws, environment: Mapping[str, str], minute_seconds: float) -> None:
        self.instance = instance
        # short: the paths of Ray's sockets are limited to 107 bytes
        self.root = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
        self.metadata = FakeMetadata(
            instance_id=instance.id,
            is_spot=instance.is_spot,
            region=instance.region,
            zone=instance.zone,
            instance_type=instance.instance_type,
            role=instance.profile,
            user_data=instance.user_data,
        )
        self.metadata.__enter__()
        for name in ("home", "tmp"):
            (self.root / name).mkdir()
        self._environment = {
            "PATH": f"{PROGRAMS}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            **aws.endpoint,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.url,
            "AWS_METADATA_SERVICE_TIMEOUT": "60",  # of a busy machine; what boots for real says what it takes in life
            "CRPBOT_ROOT": str(self.root / "crpbot"),
            "CRPBOT_PER_BOOT": str(self.root / "per-boot"),
            "CRPBOT_CONSOLE": str(self.root / "console"),
            "CRPBOT_RAY_FOLDER": str(self.root / "ray"),
            "CRPBOT_PORTS": "free",  # all machines share one loopback
            "FAKE_PYTHON": sys.executable,
            "FAKE_ROOT": str(self.root),
            "FAKE_MINUTE_SECONDS": str(minute_seconds),
            **environment,
        }
        (self.root / "environment.json").write_text(json.dumps(self._environment))
        (self.root / "user-data").write_text(instance.user_data)
        self._first = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_aws.machine", str(self.root)],
            cwd=REPOSITORY,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def processes(self) -> tuple[Process, ...]:
        """Everything that runs on it, besides its first process."""
        return descendants(self._first.pid)

    @property
    def is_on(self) -> bool:
        return self._first.poll() is None

    def wants_to_end(self) -> bool:
        """Whether `shutdown` was called, and its time has come."""
        try:
            return time.time() >= float((self.root / "power-off").read_text())
        except FileNotFoundError:
            return False

    def switch_off(self) -> None:
        """All its processes are killed, at once, as by a plug that is pulled."""
        if self.is_on:
            self._first.send_signal(signal.SIGTERM)
            assert self._first.wait(END_SECONDS) == 0, f"processes of {self.instance.id} outlive it"
            self.metadata.__exit__(None, None, None)

    def logs(self) -> str:
        """What it printed, for a test that fails."""
        found = sorted(self.root.glob("*.log")) + sorted(self.root.glob("crpbot/**/*.log"))
        return "".join(
            f"\n== {self.instance.id} {path.name}\n{path.read_text(errors='replace')[-3_000:]}" for path in found
        )


class Hosts:
    """All machines of an account. `minute_seconds`: how long a minute of `shutdown +1` takes."""

    def __init__(
        self, aws: FakeAws, *, environment: Mapping[str, str] | None = None, minute_seconds: float = 60.0
    ) -> None:
        self.aws = aws
        self.hosts: dict[str, Host] = {}  # by instance, also those that are off
        self.history: list[tuple[float, int]] = []  # when how many machines ran, wherever that changed
        self._environment = dict(environment or {})
        self._minute_seconds = minute_seconds
        self._taken: dict[str, float] = {}  # spot machines: when they end
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, name="hosts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(END_SECONDS)
        with ExitStack() as endings:  # all are called, whatever one of them raises
            for host in self.hosts.values():
                endings.callback(shutil.rmtree, host.root)
                endings.callback(host.switch_off)
        if self._error is not None and error is None:
            raise self._error

    def interrupt(self, instance: str, *, seconds: float = NOTICE_SECONDS) -> None:
        """AWS takes a spot machine back: its notice now, its end so many seconds later."""
        self.hosts[instance].metadata.notice(seconds=seconds)
        self._taken[instance] = time.monotonic() + seconds

    def on(self) -> list[Host]:
        """The machines that run."""
        return [each for each in self.hosts.values() if each.is_on]

    def logs(self) -> str:
        """What all machines printed, for a test that fails."""
        return "".join(each.logs() for each in self.hosts.values())

    def _watch(self) -> None:
        try:
            while not self._over.wait(LOOK_SECONDS):
                self._look()
        except BaseException as error:  # noqa: BLE001  # raised where the context ends
            self._error = error

    def _look(self) -> None:
        for instance in self.aws.instances():
            host = self.hosts.get(instance.id)
            if host is None and instance.state == "running" and any(name in instance.tags for name in OURS):
                self.hosts[instance.id] = Host(instance, self.aws, self._environment, self._minute_seconds)
            elif host is not None and host.is_on:
                self._look_at(host, instance)
        count = len(self.on())
        if not self.history or self.history[-1][1] != count:
            self.history.append((time.monotonic(), count))

    def _look_at(self, host: Host, instance: Instance) -> None:
        if instance.state in {*ENDED, "stopping", "stopped"}:
            host.switch_off()
        elif host.wants_to_end():
            host.switch_off()
            if instance.on_shutdown == "terminate":
                self.aws.end([instance.id])
            else:
                self.aws.stop(instance.id)
        elif time.monotonic() >= self._taken.get(instance.id, float("inf")):
            self.aws.end([instance.id])
