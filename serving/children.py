"""Our own processes beside the supervisor: how one is started, and what is told when it fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from core.errors import Code, CrpbotError
from serving.processes import die_with_parent

LOG_LINES: Final = 15


def log_file(folder: Path, name: str) -> Path:
    """Where a child of that name writes."""
    return folder / "logs" / f"{name}.log"


def last_line(log: Path) -> str:
    """What a child wrote last, empty before it wrote."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def spawn(
    folder: Path, name: str, environment: Mapping[str, str], *arguments: str, shown: bool = False
) -> subprocess.Popen[bytes]:
    """`python -m ARGUMENTS`, a process that dies with us and logs to its own file; `shown` prints where we do."""
    with log_file(folder, name).open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own interpreter and module
            # -P: the folder in which the user stands may hold modules of the same names as ours
            [sys.executable, "-P", "-m", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=None if shown else log,  # errors go into the log all the same
            stderr=log,
            start_new_session=True,  # a terminal's Ctrl-C comes to the supervisor alone, which ends the rest in order
            preexec_fn=die_with_parent,  # noqa: PLW1509  # the supervisor has one thread here: no step is shown
        )


def failure(folder: Path, name: str, what: str) -> CrpbotError:
    """What is told of a child that failed, with the end of its log."""
    log = log_file(folder, name)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    return CrpbotError(Code.UNAVAILABLE, f"{name} {what}; the end of {log}:\n{tail}", reason="CHILD_FAILED")


def ended_well(folder: Path, name: str, child: subprocess.Popen[bytes]) -> bool:
    """Whether a child that has an end came to it. Raises when it failed."""
    status = child.poll()
    if status:
        raise failure(folder, name, f"ended with status {status}")
    return status == 0
