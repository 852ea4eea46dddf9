"""The command line as a user starts it: a process of its own, in an empty folder, without any setting around it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.settings.catalogue import catalogue

ROOT = Path(__file__).parents[2]

OTHER_PROGRAM = """
import socket
taken = socket.create_server(("127.0.0.1", 0))
print(taken.getsockname()[1], flush=True)
input()
"""

# the longest time that an analysis may be given, for machines that are busy
PATIENT = {"CRPBOT__SERVING__ANALYSIS_DEADLINE_SECONDS": "30"}

Crpbot = Callable[..., "subprocess.CompletedProcess[str]"]


def clean_environment() -> dict[str, str]:
    """This environment without any setting of the product."""
    ours = {spelling for each in catalogue() for spelling in each.spellings}
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("CRPBOT")}


@contextmanager
def other_program(folder: Path) -> Iterator[tuple[int, int]]:
    """A program that is not ours and listens on a port as long as the block: its pid and the port."""
    (folder / "other_program.py").write_text(OTHER_PROGRAM)
    with subprocess.Popen(
        [sys.executable, "other_program.py"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        yield program.pid, int(program.stdout.readline())
        program.communicate("\n")


@pytest.fixture
def crpbot(tmp_path: Path) -> Crpbot:
    """`crpbot ARGUMENTS` with settings as keywords, ended."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=tmp_path,
            env={**clean_environment(), "PYTHONPATH": str(ROOT), "COLUMNS": "200", **settings},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of this process, without a `.env` in it and without settings around it."""
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
