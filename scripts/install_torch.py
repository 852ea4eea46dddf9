"""Installs the pinned torch, but not gigabytes of CUDA libraries on a machine without a GPU: asks pip first."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = str(Path(__file__).parent.parent / "requirements-torch.txt")
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS]
REMEDY = """torch would come with {count} CUDA packages, and this machine shows no NVIDIA GPU (no nvidia-smi).
Name PyTorch's CPU index through pip's own variable and run the same command again:
    export PIP_EXTRA_INDEX_URL=<the CPU index that pytorch.org names under 'Get started'>
or take the CUDA build on purpose: make torch CUDA=yes"""


def main() -> int:
    if "--cuda" not in sys.argv and shutil.which("nvidia-smi") is None:
        report = subprocess.run([*PIP, "--dry-run", "--report", "-"], check=True, capture_output=True, text=True)
        names = [item["metadata"]["name"] for item in json.loads(report.stdout)["install"]]
        cuda = [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]
        if cuda:
            sys.stderr.write(REMEDY.format(count=len(cuda)) + "\n")
            return 1
    return subprocess.run(PIP, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
