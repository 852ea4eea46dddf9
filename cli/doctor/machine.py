"""What the doctor looks at without any settings: Python, its packages, and what the machine has."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Final

from cli.doctor.finding import Finding, bad, ok, warn

NEEDED_PYTHON: Final = (3, 11)
NEEDED_TORCH: Final = "2.13.0"
NEEDED_CORES: Final = 2
NEEDED_MEMORY_GIB: Final = 4.0
NEEDED_DISK_GIB: Final = 1.0  # logs, ledger and Ray's session together stay far below
SHOWN_PACKAGES: Final = 5
GIB: Final = 2**30

LOCK: Final = Path(__file__).parents[2] / "requirements.lock"
LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
CUDA: Final = re.compile(r"^cuda\b[^=]*= *'([^']+)'", re.MULTILINE)
GPU_DRIVER: Final = Path("/proc/driver/nvidia/version")
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # looked at, not written to
MEMORY_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")  # of the container, when there is one

VersionOf = Callable[[str], str]
"""The installed version of a distribution; raises PackageNotFoundError when there is none."""


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    """The interpreter: the lock and the compiled packages are made for one minor version."""
    found = ".".join(str(part) for part in version)
    if version[:2] == NEEDED_PYTHON:
        return ok("Python", found)
    return bad("Python", found, "Install Python 3.11, delete the folder .venv and run `make setup`.")


def check_packages(lock: Path = LOCK, version_of: VersionOf = metadata.version) -> Finding:
    """Every package of the lock, in the locked version."""
    if not lock.is_file():
        return ok("packages", "not compared: there is no requirements.lock beside the program")
    locked = LOCKED.findall(lock.read_text())
    missing, other = [], []
    for name, version in locked:
        try:
            installed = version_of(name)
        except metadata.PackageNotFoundError:
            missing.append(f"{name} {version}")
            continue
        if installed.split("+")[0] != version:
            other.append(f"{name} {installed} instead of {version}")
    remedy = "Run `make setup`, or `pip install --require-hashes -r requirements.lock`."
    if missing:
        return bad("packages", f"missing: {_some(missing)}", remedy)
    if other:
        return warn("packages", f"not as locked: {_some(other)}", remedy)
    return ok("packages", f"all {len(locked)} as locked")


def check_torch() -> Finding:
    """torch is not in the lock, because which build is right depends on the machine."""
    try:
        torch = metadata.distribution("torch")
    except metadata.PackageNotFoundError:
        return warn(
            "torch",
            "not installed",
            "Nothing to do unless you train models; then run `make torch`.",
        )
    source = Path(str(torch.locate_file("torch/version.py"))).read_text()
    cuda = CUDA.search(source)
    return judge_torch(torch.version, cuda and cuda[1], has_gpu=GPU_DRIVER.exists())


def judge_torch(version: str, cuda: str | None, *, has_gpu: bool) -> Finding:
    """Whether this build fits the program and the machine."""
    found = f"{version}, {f'built for CUDA {cuda}' if cuda else 'built for the CPU'}"
    if version.split("+", maxsplit=1)[0] != NEEDED_TORCH:
        return warn("torch", found, f"Run `make torch`, which installs {NEEDED_TORCH}.")
    if cuda and not has_gpu:
        return warn(
            "torch",
            f"{found}, but there is no GPU",
            "To save about 5 GB, run `pip uninstall torch` and then `make torch` with "
            "PIP_EXTRA_INDEX_URL set to PyTorch's CPU index (https://download.pytorch.org/whl/cpu).",
        )
    return ok("torch", found)


def check_cores(cores: int | None = None) -> Finding:
    """Two replicas and the gateway share them."""
    count = len(os.sched_getaffinity(0)) if cores is None else cores
    if count >= NEEDED_CORES:
        return ok("cores", str(count))
    return warn("cores", str(count), f"Expect slow answers; {NEEDED_CORES} cores or more are meant.")


def check_memory(gib: float | None = None) -> Finding:
    """What this process may use: the machine's, or less in a container."""
    found = _memory_bytes() / GIB if gib is None else gib
    if found >= NEEDED_MEMORY_GIB:
        return ok("memory", f"{found:.1f} GiB")
    return warn(
        "memory",
        f"{found:.1f} GiB",
        f"Give it {NEEDED_MEMORY_GIB:g} GiB or more, or set CRPBOT__SERVING__MODE=inprocess to do without Ray.",
    )


def check_disk(check: str, folder: Path) -> Finding:
    """Free space where `folder` is or will be made."""
    free = shutil.disk_usage(nearest_existing(folder)).free / GIB
    found = f"{free:.1f} GiB free for {folder}"
    if free >= NEEDED_DISK_GIB:
        return ok(check, found)
    return bad(check, found, f"Free {NEEDED_DISK_GIB:g} GiB or more on the disk of {folder}.")


def check_shared_memory(needed_mb: int, folder: Path = SHARED_MEMORY) -> Finding:
    """Ray keeps its object store there; without room it takes the slower disk."""
    if not folder.is_dir():
        found = "there is none"
    elif (free := shutil.disk_usage(folder).free / 1e6) >= needed_mb:
        return ok("shared memory", f"{free:,.0f} MB free in {folder}, {needed_mb} needed")
    else:
        found = f"{free:,.0f} MB free in {folder}, {needed_mb} needed"
    return warn("shared memory", found, "In a container give it more, for example `docker run --shm-size=1g`.")


def check_postgres(path: str | None = None, debian: Path = Path("/usr/lib/postgresql")) -> Finding:
    """A server's programs, from which the tests start a private one."""
    if shutil.which("initdb", path=path) or any(debian.glob("*/bin/initdb")):
        return ok("PostgreSQL programs", "found; the tests use them")
    return warn(
        "PostgreSQL programs",
        "not found; only the project's tests need them",
        "Nothing to do unless you run the tests; then install PostgreSQL's server (Debian: `apt install postgresql`).",
    )


def nearest_existing(folder: Path) -> Path:
    """The folder, or the closest one above it that exists."""
    absolute = folder.absolute()
    return next(each for each in (absolute, *absolute.parents) if each.exists())


def _memory_bytes() -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = MEMORY_LIMIT.read_text().strip() if MEMORY_LIMIT.is_file() else "max"
    return min(machine, int(limit)) if limit.isdigit() else machine


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_PACKAGES} more" if len(names) > SHOWN_PACKAGES else ""
    return ", ".join(names[:SHOWN_PACKAGES]) + more
