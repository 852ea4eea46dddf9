"""A head of the cluster on this machine: the real program with a real Ray on loopback, and a folder for its bucket.

The code is the bundle that a launch would send, but for the job, which does what its name says instead of training, and
beside it a provider of machines that has none to give, as EC2 on a bad day.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from core.adapters.files.folder import FolderFiles
from core.errors import CrpbotError
from serving.processes import Process, descendants, identify, kill_until_gone
from tests.fake_aws.metadata import FakeMetadata
from training.cluster.bundle import pack_code
from training.cluster.mail import Boot, State, cluster_key, read_state, write_boot

INSTANCE = "i-0a1b2c3d4e5f60718"
NO_MACHINES = "You have requested more vCPU capacity than your current vCPU limit of 0 allows"
NOWHERE = "http://127.0.0.1:9"  # of a test without an AWS of its own: nobody answers there
PATIENCE_SECONDS = 240.0  # of a busy machine; no test measures with it

JOB = '''"""Does what the job's name says."""
import sys, time
from pathlib import Path

url, job = sys.argv[1:]
with (Path(url) / "runs.txt").open("a") as runs:
    runs.write(job + "\\n")
print(f"this is {job}", flush=True)
if "long" in job:
    time.sleep(600)
if "hungry" in job:
    import ray

    ray.init(address="auto", logging_level="ERROR")

    @ray.remote(num_gpus=1)
    def learn():
        return None

    ray.get(learn.remote())
if "failing" in job:
    sys.exit("it fails as its name says")
'''
PROVIDER = f'''"""Machines that nobody gets."""
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.node_provider import NodeProvider

HEAD = {INSTANCE!r}


class NoMachines(NodeProvider):
    def non_terminated_nodes(self, tag_filters):
        kind = tag_filters.get("ray-node-type", "head")
        return [HEAD] if kind == "head" else []

    def is_running(self, node_id):
        return True

    def is_terminated(self, node_id):
        return False

    def node_tags(self, node_id):
        return {{"ray-node-type": "head", "ray-user-node-type": "head", "ray-node-status": "up-to-date"}}

    def external_ip(self, node_id):
        return "127.0.0.1"

    internal_ip = external_ip

    def create_node(self, node_config, tags, count):
        raise NodeLaunchException("VcpuLimitExceeded", {NO_MACHINES!r}, None)

    def create_node_with_resources_and_labels(self, node_config, tags, count, resources, labels):
        return self.create_node(node_config, tags, count)

    def terminate_node(self, node_id):
        pass

    @staticmethod
    def bootstrap_config(cluster_config):
        return cluster_config
'''
SHUTDOWN = '#!/bin/bash\necho "$*" >>"$SHUTDOWNS"\n'


def end_ray(folder: Path) -> None:
    """Ends what a program left running, by the number in its file."""
    with suppress(OSError, ValueError):
        ray = int((folder / "ray.pid").read_text())
        family = descendants(ray)
        with suppress(ProcessLookupError):
            os.killpg(ray, signal.SIGKILL)
        kill_until_gone(lambda: family, seconds=20.0)


class HeadMachine:
    """`with HeadMachine(folder, idle_minutes=0.2) as head:`; its program is started and killed as a test likes."""

    def __init__(self, place: Path, *, idle_minutes: float, hours: float = 1.0, has_workers: bool = False) -> None:
        # short, because Ray's sockets lie below it
        self.ray_folder = Path(tempfile.mkdtemp(prefix="crpbot-"))
        self.files, self.root, self.shutdowns = FolderFiles(place / "bucket"), place / "crpbot", place / "shutdowns"
        now = time.time()
        self.boot = Boot(
            cluster="c",
            launch="l",
            region="us-east-1",
            url=str(place / "bucket"),
            code="0" * 64,
            launched_at=now,
            ends_at=now + hours * 3_600.0,
            idle_minutes=idle_minutes,
            head_type="head",
        )
        self._metadata = FakeMetadata(instance_id=INSTANCE)
        self._log = place / "head.log"
        self._program: subprocess.Popen[bytes] | None = None
        # with "0" Ray listens on loopback alone, but takes no second machine
        self._loopback = {} if has_workers else {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        self._programs = place / "programs"
        self._install()

    def __enter__(self) -> Self:
        self._metadata.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._program is not None:
            self._program.kill()
            self._program.wait()
        end_ray(self.root / "head")
        self._metadata.__exit__(kind, error, trace)
        shutil.rmtree(self.ray_folder, ignore_errors=True)

    def start(self) -> None:
        """Starts the program, as systemd does first and after each crash."""
        environment = self.environment(self.root, self._metadata) | {"SHUTDOWNS": str(self.shutdowns)}
        with self._log.open("ab") as log:
            self._program = subprocess.Popen(
                [sys.executable, "-m", "training.cluster.head"],
                cwd=self.root / "code",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def environment(self, root: Path, metadata: FakeMetadata) -> dict[str, str]:
        """What a program of the launch is told on its machine, and how time runs there."""
        return {
            "AWS_ENDPOINT_URL": NOWHERE,
            **os.environ,
            **self._loopback,
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "code"),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url,
            "AWS_METADATA_SERVICE_TIMEOUT": "60",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "CRPBOT_BOOT": f"{self.boot.url}/{cluster_key('c', 'l', 'boot.json')}",
            "CRPBOT_ROOT": str(root),
            "CRPBOT_PORTS": "free",
            "CRPBOT_RAY_FOLDER": str(self.ray_folder),
            "CRPBOT_LOOK_SECONDS": "0.5",
            "CRPBOT_LAST_WORDS_SECONDS": "60",  # of a busy machine
        }

    def crash(self) -> None:
        """Kills the program, and nothing else."""
        assert self._program is not None
        self._program.kill()
        self._program.wait()

    def wait_for_crash(self) -> int:
        """The status with which the program ended by itself."""
        assert self._program is not None
        return self._program.wait(PATIENCE_SECONDS)

    def switch_off(self) -> int:
        """What the system does at a shutdown."""
        assert self._program is not None
        self._program.terminate()
        return self._program.wait(PATIENCE_SECONDS)

    def submit(self, job: str, letter: bytes = b"{}") -> None:
        self.files.write(cluster_key("c", "l", f"inbox/{job}"), letter)

    def stop(self, job: str) -> None:
        self.files.write(cluster_key("c", "l", f"stop/{job}"), b"")

    @property
    def state(self) -> State | None:
        try:
            return read_state(self.files.read(cluster_key("c", "l", "state.json"), most=1_000_000))
        except CrpbotError:
            return None

    @property
    def runs(self) -> list[str]:
        """The jobs that began, in their order."""
        try:
            return (Path(self.boot.url) / "runs.txt").read_text().splitlines()
        except FileNotFoundError:
            return []

    def wait(self, is_so: Callable[[State], bool]) -> State:
        """The first state that is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            state = self.state
            if state is not None and is_so(state):
                return state
            assert state is None or not state.ending, f"{state}; the head's log:\n{self.log}"
            assert self._program is not None
            assert self._program.poll() is None, self.log
            time.sleep(0.1)
        raise AssertionError(f"the last state was {self.state}; the head's log:\n{self.log}")

    def wait_for(self, file: Path) -> None:
        """Until something stands in it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not file.exists() or not file.stat().st_size:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def wait_for_end(self, process: Process) -> None:
        """Until it runs no more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while identify(process.pid) == process:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def end_launch_in(self, seconds: float) -> None:
        """Another lifetime for the next life of the program."""
        kept = self.root / "head"
        (kept / "boot.json").write_bytes(write_boot(dataclasses.replace(self.boot, ends_at=time.time() + seconds)))
        (kept / "ends_at_steady.json").unlink(missing_ok=True)

    def lose_bucket(self) -> None:
        """A file stands where it was. The head may make it anew between two of our steps: then once more."""
        bucket = Path(self.boot.url)
        while not bucket.is_file():
            with suppress(FileNotFoundError):
                bucket.rename(Path(tempfile.mkdtemp(dir=bucket.parent)) / "bucket")
            with suppress(IsADirectoryError):
                bucket.write_text("a file where the bucket was")

    @property
    def log(self) -> str:
        texts = [
            file.read_text(errors="replace") for file in (self._log, self.root / "head" / "ray.log") if file.exists()
        ]
        return "\n".join(texts)

    def _install(self) -> None:
        code = self.root / "code"
        content, _ = pack_code()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(code)
        (code / "training" / "cluster" / "job.py").write_text(JOB)
        (code / "no_machines.py").write_text(PROVIDER)
        self._programs.mkdir()
        (self._programs / "shutdown").write_text(SHUTDOWN)
        (self._programs / "shutdown").chmod(0o755)
        types = {
            "head": {"resources": {"CPU": 0, "driver": 100}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            "gpu-spot": {"resources": {"CPU": 4, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
        }
        config = {
            "cluster_name": "c",
            "max_workers": 2,
            "upscaling_speed": 1.0,
            "idle_timeout_minutes": 1,
            "provider": {
                "type": "external",
                "module": "no_machines.NoMachines",
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
            },
            "auth": {},
            # Ray has defaults of these for providers of its own alone
            **{f"{kind}setup_commands": [] for kind in ("", "head_", "worker_")},
            **{f"{kind}_start_ray_commands": [] for kind in ("head", "worker")},
            **{"initialization_commands": [], "file_mounts": {}, "cluster_synced_files": []},
            "head_node_type": "head",
            "available_node_types": types,
        }
        self.files.write(cluster_key("c", "l", "autoscaler.json"), json.dumps(config).encode())
        self.files.write(cluster_key("c", "l", "boot.json"), write_boot(self.boot))
