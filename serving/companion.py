"""A process that works beside the gateway and is not needed for it: started when due, again when it ended.

The scheduler is one: a client of the API like any other, so that nothing it does can hold up an answer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from core.settings.declared import Settings
from serving.children import last_line, log_file, spawn
from serving.probe import server_url
from serving.restarts import Restarts

END_SECONDS: Final = 1.0  # for taking its line off the terminal; what takes longer is killed with the rest
LIVE: Final = "live"
CONFIRM: Final = "CRPBOT_CONFIRM"  # says live for the second time

Start = Callable[[], "subprocess.Popen[bytes] | None"]
"""Spawns the process; None where it must not run."""


class Companion:
    """One such process through its lives. `ended` hears with which status it ended."""

    def __init__(self, start: Start, ended: Callable[[int], None]) -> None:
        self._start = start
        self._ended = ended
        self._lives = Restarts()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> set[int]:
        """The process, while there is one."""
        return set() if self._process is None else {self._process.pid}

    def mend(self) -> None:
        """Starts it when it is due, tells when it ended."""
        if self._process is not None and (status := self._process.poll()) is not None:
            self._process = None
            self._lives.ended()
            self._ended(status)
        if self._process is None and self._lives.is_due():
            self._lives.begin()
            self._process = self._start()

    def end(self) -> None:
        """Asks it to end and waits a moment."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)


def scheduler(
    settings: Settings, folder: Path, environment: Mapping[str, str], *, shown: bool, told: Callable[[str], None]
) -> Companion:
    """`crpbot schedule` on our own server, on the terminal where `shown`, else in a log of its own."""
    mode = settings.runtime.mode
    seconds = settings.serving.schedule_seconds
    often = () if seconds is None else ("--sleep-seconds", str(seconds))
    arguments = ("cli.main", "schedule", "--stand-by", *often, "--mode", mode, "--url", server_url(settings))

    def start() -> subprocess.Popen[bytes] | None:
        if not settings.serving.schedule:
            return None
        if mode == LIVE and environment.get(CONFIRM) != LIVE:
            told(f"no signals are asked for: live must be said twice, set {CONFIRM}=live beside RUNTIME_MODE=live")
            return None
        return spawn(folder, "scheduler", environment, *arguments, shown=shown)

    def ended(status: int) -> None:
        words = last_line(log_file(folder, "scheduler"))
        told(f"the scheduler ended with status {status} ({words}); starting it again")

    return Companion(start, ended)
