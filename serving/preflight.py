"""Before anything is started: what an earlier run left is ended, and each port is free or its owner is named."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from core.errors import Code, CrpbotError
from core.settings.declared import Settings
from serving.processes import Process, bind_problem, command_line, identify, kill_until_gone, listeners
from serving.session import forget_session, read_session

LOCK: Final = "lock"
GONE_SECONDS: Final = 5.0  # what is killed is gone in milliseconds, unless it waits for a disk


class WantedPort(NamedTuple):
    """A port that we need, what for, and the setting that moves it."""

    purpose: str
    host: str
    port: int
    setting: str


def wanted_ports(settings: Settings) -> list[WantedPort]:
    """Every port that has to be at a known place."""
    ports = [
        WantedPort("REST", settings.http.host, settings.http.port, "CRPBOT__HTTP__PORT"),
        WantedPort("gRPC", settings.grpc.host, settings.grpc.port, "CRPBOT__GRPC__PORT"),
    ]
    if settings.serving.mode == "ray":
        dashboard = settings.ray.dashboard_port
        ports.append(WantedPort("Ray dashboard", "127.0.0.1", dashboard, "CRPBOT__RAY__DASHBOARD_PORT"))
    return ports


def check_ports(wanted: Iterable[WantedPort]) -> None:
    """Refuses a taken port by naming who has it and the setting that moves ours."""
    for purpose, host, port, setting in wanted:
        problem = bind_problem(host, port)
        if problem is None:
            continue
        if problem.errno != errno.EADDRINUSE:
            raise CrpbotError(
                Code.FAILED_PRECONDITION,
                f"port {port} for {purpose} on {host} is refused ({problem.strerror}); set {setting} to another port",
                reason="PORT_REFUSED",
            )
        owner = next((each.pid for each in listeners() if each.port == port and each.pid is not None), None)
        who = f"pid {owner}: {command_line(owner)}" if owner is not None else "a process of another user"
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"port {port} for {purpose} is taken by {who}; end that process or set {setting} to another port",
            reason="PORT_TAKEN",
        )


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Makes the folder ours alone, as long as the block and no longer than this process, however it ends."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise _already_running(folder, lock.read().strip()) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def end_earlier_run(folder: Path) -> int:
    """Ends what a killed supervisor of this folder left: its recorded processes and no others. Gives how many."""
    session = read_session(folder)
    if session is None:
        return 0
    owner = Process(*session.supervisor)
    if identify(owner.pid) == owner:
        raise _already_running(folder, str(owner.pid))
    recorded = [Process(*each) for each in session.processes]
    alive = [each for each in recorded if identify(each.pid) == each]
    left = kill_until_gone(lambda: alive, seconds=GONE_SECONDS)
    if left:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"an earlier run from {folder} left processes that cannot be ended now: "
            + ", ".join(f"pid {each.pid} ({command_line(each.pid)})" for each in left)
            + "; they wait for a disk or a device, try again when that answers",
            reason="EARLIER_RUN_LEFT",
        )
    if session.temp_folder:
        shutil.rmtree(session.temp_folder, ignore_errors=True)
    forget_session(folder)
    return len(alive)


def _already_running(folder: Path, pid: str) -> CrpbotError:
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"a server already runs from {folder} (pid {pid}); end it, or set CRPBOT__RUNTIME__STATE_FOLDER "
        "to another folder",
        reason="ALREADY_RUNNING",
    )
