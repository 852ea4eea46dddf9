"""A machine that is about to boot, with stand-ins for whatever of its system the first program would use or change."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import zipfile
from hashlib import sha256
from pathlib import Path

from tests.fake_aws.metadata import FakeMetadata
from tests.training.boots import BOOT, install, new_system

INSTANCE = "i-0a1b2c3d4e5f60718"
# Every program of the system that the script uses and that would change this machine: it writes down how it was called.
CALLED = """#!/bin/bash
name=$(basename "$0")
echo "$name $*" >>"$CALLS"
env >"$CALLS-environment-of-$name"
[[ " $FAILING " == *" $name "* ]] && exit 7
"""
STAND_IN = f"{CALLED}exit 0\n"
DNF = f'{CALLED}cp "$PACKAGES"/* "$STAND_INS"\n'
# The Python of the environment: FAILING says `gpu` where the machine has none that works.
VENV_PYTHON = f'{CALLED}[[ " $FAILING " != *" gpu "* || $1 != -c ]]\n'
AWS = f"""{CALLED}
if [[ " $FAILING " == *" first-aws "* && ! -e $CALLS-aws-failed ]]; then touch "$CALLS-aws-failed"; exit 7; fi
from=${{@: -2:1}} to=${{*: -1}}
from=${{from/#s3:\\/\\//$BUCKETS/}} to=${{to/#s3:\\/\\//$BUCKETS/}}
mkdir -p "$(dirname "$to")" && cp "$from" "$to"
"""
# The script's two seconds for the machine's name are of a machine that does nothing else.
CURL = """#!/bin/bash
exec "$REAL_CURL" "${@/#2/60}"
"""
PYTHON = """#!/bin/bash
echo "python3.11 $*" >>"$CALLS"
if [[ $2 == zipfile ]]; then exec "$REAL_PYTHON" "$@"; fi
if [[ $2 == venv ]]; then mkdir -p "${*: -1}/bin" && ln -s "$STAND_INS/venv-python" "${*: -1}/bin/python"; fi
"""


class Machine:
    """A machine that is about to boot: stand-ins for its system, a folder for its bucket, a folder for its root."""

    def __init__(self, place: Path, service: FakeMetadata) -> None:
        self.root, self.calls_file, self.bucket = (
            place / "crpbot",
            place / "calls",
            place / "buckets" / "b" / "training",
        )
        programs, packages = new_system(place), place / "packages"
        packages.mkdir()
        for name in ("shutdown", "poweroff", "systemd-run", "sleep"):
            install(programs / name, STAND_IN)
        install(programs / "venv-python", VENV_PYTHON)
        install(programs / "curl", CURL)
        install(programs / "dnf", DNF)
        install(programs / "aws", AWS)  # which the images bring along, unlike Python 3.11
        install(packages / "aws", AWS)
        install(packages / "python3.11", PYTHON)
        self.programs, self.packages, self.console = programs, packages, place / "console"
        self.console.touch()
        code = self.bucket / "code" / "c.zip"
        code.parent.mkdir(parents=True)
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("requirements.lock", "")
            archive.writestr("training/cluster/head.py", "")
        self.environment = {
            "PATH": str(programs),
            "CALLS": str(self.calls_file),
            "FAILING": "",
            "STAND_INS": str(programs),
            "PACKAGES": str(packages),
            "BUCKETS": str(place / "buckets"),
            "REAL_PYTHON": sys.executable,
            "REAL_CURL": str(shutil.which("curl")),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "CRPBOT_ROOT": str(self.root),
            "CRPBOT_PER_BOOT": str(place / "per-boot"),
            "CRPBOT_ROLE": "head",
            "CRPBOT_BOOT": "s3://b/training/clusters/c/l/boot.json",
            "CRPBOT_CODE": "s3://b/training/code/c.zip",
            "CRPBOT_CODE_SHA256": sha256(code.read_bytes()).hexdigest(),
            "CRPBOT_ENDS_AT": str(int(time.time()) + 4 * 3_600),
            "CRPBOT_LIFETIME_MINUTES": "240",
            "CRPBOT_CONSOLE": str(self.console),
            "CRPBOT_GPU": "no",
        }

    def boot(self, **changed: str) -> int:
        """Runs the script to its end."""
        done = subprocess.run(["/bin/bash", str(BOOT)], env={**self.environment, **changed}, check=False, timeout=300.0)
        return done.returncode

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines()

    @property
    def log(self) -> str:
        return (self.root / "boot.log").read_text()

    @property
    def trouble(self) -> str:
        return (self.bucket / "clusters" / "c" / "l" / "trouble" / f"{INSTANCE}.txt").read_text()

    def environment_of(self, program: str) -> dict[str, str]:
        """What that program had in its environment when it was called last."""
        lines = Path(f"{self.calls_file}-environment-of-{program}").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
