"""What a machine of a cluster knows of its launch, and how it ends: the same for the head and for workers.

What was read once from the bucket lies in a folder of the machine, so a program that crashed comes back without it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.files import Files
from training.cluster.mail import MOST_TEXT_BYTES, Boot, cluster_key, read_boot

ROOT: Final = "/opt/crpbot"
LOG: Final = logging.getLogger("crpbot.machine")


@dataclass(frozen=True, slots=True)
class Launch:
    """What this machine belongs to."""

    boot: Boot
    files: Files
    folder: Path

    def keep(self, name: str) -> Path:
        """A text of the launch as a file of this machine, fetched once."""
        file = self.folder / name
        if not file.exists():
            key = cluster_key(self.boot.cluster, self.boot.launch, name)
            write_whole(file, self.files.read(key, most=MOST_TEXT_BYTES))
        return file

    def ends_at_steady(self) -> float:
        """When the launch ends by the clock that nobody sets, worked out once: a wall clock may be set later."""
        file = self.folder / "ends_at_steady.json"
        if not file.exists():
            lifetime = self.boot.ends_at - self.boot.launched_at
            left = min(self.boot.ends_at - time.time(), lifetime)
            write_whole(file, json.dumps(steady() + left).encode())
        return float(json.loads(file.read_text()))


class StartLimit:
    """Ends the machine of a program that never gets as far as its own watch, however often it is started again.

    Each life may crash, or hang, before it watches anything, and the system starts the next. So the first one writes
    down when it began, and whichever gets to its watch removes that.
    """

    def __init__(self, folder: Path, seconds: float, *, end: Callable[[], None], pause: float) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file, self._seconds, self._end, self._pause = folder / "unwatched_since.json", seconds, end, pause
        self._is_over = threading.Event()

    def begin(self) -> None:
        """Begins or goes on with the count. A life that comes too late ends the machine before it tries anything."""
        if not self._file.exists():
            write_whole(self._file, json.dumps(steady()).encode())
        self._look(json.loads(self._file.read_text()) + self._seconds)

    def over(self) -> None:
        """The program watches: the count is done with."""
        self._is_over.set()
        self._file.unlink(missing_ok=True)

    def _look(self, deadline: float) -> None:
        """Now, and at the deadline; from then on again and again, for a shutdown may fail."""
        left = deadline - steady()
        if left <= 0.0:
            LOG.error("the machine ends: its program did not start within %g seconds", self._seconds)
            self._end()
        threading.Thread(target=self._wait, args=(deadline, max(left, self._pause)), daemon=True).start()

    def _wait(self, deadline: float, seconds: float) -> None:
        if not self._is_over.wait(seconds):
            self._look(deadline)


def machine_folder(role: str) -> Path:
    """What this machine keeps of its launch."""
    return Path(os.environ.get("CRPBOT_ROOT") or ROOT) / role


def open_launch(role: str, open_files: Callable[[str], Files]) -> Launch:
    """Reads what the machine was told when it booted."""
    folder = machine_folder(role)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = folder / "boot.json"
    if not kept.exists():
        where, _, name = os.environ["CRPBOT_BOOT"].rpartition("/")
        write_whole(kept, open_files(where).read(name, most=MOST_TEXT_BYTES))
    boot = read_boot(kept.read_bytes())
    return Launch(boot, open_files(boot.url), folder)


def steady() -> float:
    """Seconds since the machine's start, by the clock that nobody sets; it counts while the machine sleeps, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def end_machine() -> None:
    """`shutdown` ends a machine of EC2 for good: its InstanceInitiatedShutdownBehavior is terminate."""
    try:
        subprocess.run(["shutdown", "-P", "now"], check=True, timeout=30.0)  # noqa: S607  # wherever the system has it
    except (OSError, subprocess.SubprocessError) as error:
        LOG.error("shutdown failed, tried again at the next look: %s", error)


def write_whole(file: Path, content: bytes) -> None:
    """Whole or not at all: a program that is killed in the middle comes back and reads it."""
    draft = file.with_name(f".{file.name}.new")
    draft.write_bytes(content)
    draft.replace(file)
