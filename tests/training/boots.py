"""Runs the first program of a machine with stand-ins for what belongs to the system, and says what it called."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final, NamedTuple

BOOT = Path(__file__).parents[2] / "training/cluster/boot.sh"
STAND_INS = ("shutdown", "poweroff", "curl", "systemd-run", "python3.11", "aws")
INSTALLED: Final = ("python3.11",)  # by the system's package manager; `aws` comes with the images
# What a new machine of Amazon Linux has besides, of that which the script and the stand-ins use.
OF_THE_SYSTEM: Final = (
    *("bash", "basename", "cat", "chmod", "cp", "curl", "date", "dirname", "hostname", "ln", "mkdir", "rm"),
    *("sha256sum", "sleep", "tail", "tee", "timeout", "touch", "env"),
)
MINUTES = 90


class Booted(NamedTuple):
    """What was called, in its order, and what runs at each later start of the machine."""

    calls: tuple[str, ...]
    per_boot: str


def new_system(folder: Path) -> Path:
    """The programs of a machine that nothing was installed on: whatever this machine has besides is not found there."""
    programs = folder / "programs"
    programs.mkdir(parents=True)
    for name in OF_THE_SYSTEM:
        place = shutil.which(name)
        assert place is not None, f"this machine has no {name}"
        (programs / name).symlink_to(place)
    return programs


def install(file: Path, text: str) -> None:
    """A program of the machine, in the place of one that may be there."""
    file.unlink(missing_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def boot(folder: Path, *, fails: str, ends_in_minutes: int = MINUTES) -> Booted:
    """A boot in which one of the stand-ins fails; the others do nothing."""
    programs, packages, per_boot, called = (
        new_system(folder),
        folder / "packages",
        folder / "per-boot",
        folder / "called",
    )
    packages.mkdir()
    per_boot.mkdir()

    def stand_in(name: str, then: str = "") -> str:
        status = 1 if name == fails else 0
        return f'#!/bin/bash\necho "{name} $*" >>"{called}"\n[[ {status} == 0 ]] || exit {status}\n{then}\nexit 0\n'

    for name in STAND_INS:
        install((packages if name in INSTALLED else programs) / name, stand_in(name))
    install(programs / "dnf", stand_in("dnf", f'cp "{packages}"/* "{programs}"'))
    environment = {
        "PATH": str(programs),
        "CRPBOT_ROLE": "worker",
        "CRPBOT_BOOT": "s3://bucket/training/clusters/c/l/boot.json",
        "CRPBOT_CODE": "s3://bucket/training/code/x.zip",
        "CRPBOT_CODE_SHA256": "0" * 64,
        "CRPBOT_ENDS_AT": str(int(time.time()) + 60 * ends_in_minutes),
        "CRPBOT_LIFETIME_MINUTES": str(MINUTES + 1),
        "CRPBOT_GPU": "no",
        "CRPBOT_NODE_TYPE": "gpu-spot",
        "CRPBOT_ROOT": str(folder / "root"),
        "CRPBOT_PER_BOOT": str(per_boot),
        "CRPBOT_CONSOLE": os.devnull,
        "CRPBOT_LOOK_SECONDS": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    subprocess.run(["bash", str(BOOT)], env=environment, check=False, capture_output=True, timeout=300)
    at_start = [file.read_text() for file in per_boot.iterdir()]
    return Booted(tuple(called.read_text().splitlines()), "".join(at_start))
