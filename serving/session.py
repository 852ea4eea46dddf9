"""What the supervisor tells the other processes, and the next start, about the Ray session it runs: one small file."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FILE: Final = "session.json"
TOKEN: Final = "ray-token"  # noqa: S105  # the name of the file, not the token


@dataclass(frozen=True, slots=True)
class Session:
    """One server that runs, and the life of its Ray cluster if it has one. Processes are (pid, start time)."""

    supervisor: tuple[int, int]
    id: str = ""
    address: str = ""
    temp_folder: str = ""
    processes: tuple[tuple[int, int], ...] = ()
    deployed: bool = False


def token_file(folder: Path) -> Path:
    """Where Ray's token lies: in the state folder, never in the home folder."""
    return folder.resolve() / TOKEN


def kernel_folder(state_folder: Path) -> Path:
    """Where compiled kernels are kept: with the installation they belong to, or with the state if that is closed."""
    shared = Path(sys.prefix)
    return shared / "kernels" if os.access(shared, os.W_OK) else state_folder.resolve() / "kernels"


def write_session(folder: Path, session: Session) -> None:
    """Replaces the file in one step: a reader sees the old or the new, never half."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f"{FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(session)))
    temporary.replace(folder / FILE)


def read_session(folder: Path) -> Session | None:
    """The session on record, or None. A file that cannot be understood counts as none: it is rewritten at a start."""
    try:
        fields = json.loads((folder / FILE).read_text())
        fields["supervisor"] = tuple(fields["supervisor"])
        fields["processes"] = tuple((pid, started) for pid, started in fields["processes"])
        return Session(**fields)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def forget_session(folder: Path) -> None:
    """After a clean end nothing is on record."""
    (folder / FILE).unlink(missing_ok=True)
