"""A person with an account on AWS, two coins' candles and a laptop on which `crpbot` runs as a program of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.adapters.files.places import open_files
from core.files import Files
from serving.processes import command_line
from tests.core.recordings import make_rows, save
from tests.fake_aws.hosts import Host, Hosts
from tests.fake_aws.server import FakeAws
from tests.training.launching import served
from tests.training.small_cluster import write_small_cluster
from training.cluster.mail import MOST_TEXT_BYTES, read_state

COINS = ("BTC-USD", "ETH-USD")
CANDLES = 6 * 1_440  # six days of minutes
# our programs and the autoscaler look every second and not every five; a process computes on one core
QUICK = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "CRPBOT_LOOK_SECONDS": "1", "OMP_NUM_THREADS": "1"}
TRAINING = (
    "train",
    "lstm",
    "--coin",
    "all",
    "--data",
    "candles",
    "--hidden",
    "8",
    "--models",
    "models",
    "--aws",
    "--yes",
)
WAIT_SECONDS = 900.0  # generous: the machine may be busy, and nothing here is measured
LOOK_SECONDS = 0.2


class Account:
    """The account's AWS and machines, and the laptop's folder."""

    def __init__(self, aws: FakeAws, hosts: Hosts, folder: Path) -> None:
        self.aws, self.hosts, self.folder = aws, hosts, folder
        self.heard: list[tuple[str, str]] = []  # unit and words, whenever they changed
        write_small_cluster(folder)
        (folder / "candles").mkdir()
        for number, coin in enumerate(COINS):
            save(folder / "candles", make_rows("1m", CANDLES - number), symbol=coin)

    @property
    def files(self) -> Files:
        """What lies in the bucket."""
        return open_files("s3://crpbot-123456789012-us-east-1/training")

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """`crpbot` with these words, in a group of its own."""
        with (self.folder / "stderr.txt").open("w") as told:
            return subprocess.Popen(
                [sys.executable, "-m", "cli.main", *words],
                cwd=self.folder,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
                start_new_session=True,
            )

    def run(self, *words: str) -> Any:  # Any: JSON
        """`crpbot` to its end; what it printed as JSON."""
        return self.end(self.begin(*words, "--json"))

    def end(self, program: subprocess.Popen[str]) -> Any:  # Any: JSON
        """Waits for a program that succeeds or refuses a model; what it printed as JSON."""
        try:
            out, _ = program.communicate(timeout=WAIT_SECONDS)
        finally:
            stop(program)
        assert program.returncode in {0, 1}, f"{program.returncode}: {self.said()}{self.hosts.logs()}"
        assert out, self.said() + self.hosts.logs()
        return json.loads(out)

    def said(self) -> str:
        """What the last program told people."""
        return (self.folder / "stderr.txt").read_text()

    def wait(self, is_so: Callable[[], bool], what: str, *, program: subprocess.Popen[str] | None = None) -> None:
        """Until it is so; meanwhile progress is heard. The program, if there is one, must go on."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_so():
            self.hear()
            is_over = program is not None and program.poll() is not None
            assert not is_over or is_so(), f"ended before {what}: {self.said()}{self.hosts.logs()}"
            assert time.monotonic() < deadline, f"not in time: {what}; {self.said()}{self.hosts.logs()}"
            time.sleep(LOOK_SECONDS)

    def hear(self) -> None:
        """Notes what the units say."""
        for unit, progress in self.progress().items():
            words = (unit, str(progress["words"]))
            if progress["total"] and next((old for old in reversed(self.heard) if old[0] == unit), None) != words:
                self.heard.append(words)

    def progress(self) -> Mapping[str, Mapping[str, Any]]:
        """How far the units of the one job are, by the bucket."""
        for name in self.files.stamps("jobs/"):
            if name.endswith("/progress.json"):
                found: dict[str, dict[str, Any]] = json.loads(self.files.read(name, most=MOST_TEXT_BYTES))
                return found
        return {}

    def ending(self) -> str:
        """Why the head of the one launch ended, by the bucket."""
        (name,) = (each for each in self.files.stamps("clusters/") if each.endswith("/state.json"))
        return read_state(self.files.read(name, most=MOST_TEXT_BYTES)).ending

    def trainers(self) -> list[Host]:
        """The machines on which a network learns at this moment."""
        workers = [each for each in self.hosts.on() if each.instance.tags["ray-user-node-type"] != "head"]
        return [each for each in workers if any("RayTrainWorker" in command_line(one.pid) for one in each.processes)]

    def epochs(self, unit: str) -> list[int]:
        """The epochs of a unit that were heard of, in their order."""
        found = (re.match(r"epoch (\d+)", words) for name, words in self.heard if name == unit)
        return [int(each[1]) for each in found if each]


def stop(program: subprocess.Popen[str]) -> None:
    """kill -9 to the program and whatever it started: the laptop is closed."""
    if program.poll() is None:
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    if program.stdout is not None:
        program.stdout.close()


@contextmanager
def account(folder: Path) -> Iterator[Account]:
    """Prepared once, with nothing that runs."""
    laptop = folder / "laptop"
    laptop.mkdir()
    with served(folder) as aws, Hosts(aws, environment=QUICK) as hosts:
        mine = Account(aws, hosts, laptop)
        mine.run("cluster", "prepare")
        yield mine
