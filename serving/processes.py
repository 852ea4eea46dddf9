"""Processes as the kernel shows them: who listens on a port, who descends from whom, who is still there."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
LISTENING: Final = "0A"
POLL_SECONDS: Final = 0.05
LOOPBACK_HEX: Final = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


class Process(NamedTuple):
    """A process beyond doubt: the kernel may give its number again, but not with the same start time."""

    pid: int
    started: int


class Listener(NamedTuple):
    """A listening socket: its port, whether only this machine can reach it, and the process that owns it."""

    port: int
    is_loopback: bool
    pid: int | None


def adopt_orphans() -> None:
    """Makes grandchildren whose parent dies ours, so that none is lost."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Runs in a child between fork and exec: the kernel ends it when its parent dies, however that dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def identify(pid: int) -> Process | None:
    """The process of that number, or None when there is none (a zombie counts as none)."""
    stat = _stat(pid)
    return None if stat is None or stat[0] == "Z" else Process(pid, int(stat[19]))


def descendants(root: int) -> tuple[Process, ...]:
    """Every living process below `root`."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        stat = _stat(pid)
        if stat is not None:
            children.setdefault(int(stat[1]), []).append(pid)
    found: list[Process] = []
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop()
        waiting.extend(children.get(pid, ()))
        process = identify(pid)
        if process is not None:
            found.append(process)
    return tuple(sorted(found))


def reap_orphans(own: Iterable[int]) -> None:
    """Collects dead processes that fell to us, but not the children that somebody here waits for."""
    waited_for = set(own)
    for pid in _pids():
        stat = _stat(pid)
        if stat is not None and stat[0] == "Z" and int(stat[1]) == os.getpid() and pid not in waited_for:
            os.waitpid(pid, os.WNOHANG)


def kill(processes: Iterable[Process]) -> tuple[Process, ...]:
    """SIGKILL to each that is still the one meant; gives those that were alive."""
    alive = tuple(process for process in processes if identify(process.pid) == process)
    for process in alive:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended in between, which is what was wanted
    return alive


def kill_until_gone(find: Callable[[], Iterable[Process]], *, seconds: float) -> tuple[Process, ...]:
    """SIGKILL to whatever `find` finds, until it finds nobody alive; gives who is left after that time.

    Somebody can be left: the kernel ends a process that waits for a disk or a device only after that wait.
    """
    deadline = time.monotonic() + seconds
    while left := kill(find()):
        if time.monotonic() > deadline:
            return left
        time.sleep(POLL_SECONDS)
    return ()


def command_line(pid: int) -> str:
    """How a process was started, for people."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:120]
    except OSError:
        return "?"


def memory_mib(pid: int) -> float:
    """Proportional memory of a process: shared pages count by their share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def listeners() -> tuple[Listener, ...]:
    """Every listening TCP socket of this machine; the owner is None where we may not look."""
    owners = _socket_owners()
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == LISTENING:
                address, port = parts[1].split(":")
                found.append(
                    Listener(int(port, 16), address in LOOPBACK_HEX or address.endswith("7F"), owners.get(parts[9]))
                )
    return tuple(found)


def bind_problem(host: str, port: int) -> OSError | None:
    """Why we could not listen there: EADDRINUSE when somebody else does, or another cause; None when we could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at this moment."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name (which may hold anything but ends at the last parenthesis)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(") ", 1)[1].split()
    except (OSError, IndexError):
        return None


def _socket_owners() -> dict[str, int]:
    owners = {}
    for pid in _pids():
        try:
            descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue  # ended in between, or another user's: its sockets stay without an owner
        for descriptor in descriptors:
            try:
                link = str(descriptor.readlink())
            except OSError:
                continue  # closed in between; the others still count
            if link.startswith("socket:["):
                owners[link[8:-1]] = pid
    return owners
