"""Before anything is started: what an earlier run left is ended, and each port is free or its owner is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from core.errors import Code, CrpbotError
from core.settings import Settings
from serving.processes import Process, command_line, identify, is_free, kill, listeners
from serving.session import forget_session, read_session


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
        if is_free(host, port):
            continue
        owner = next((each.pid for each in listeners() if each.port == port and each.pid is not None), None)
        who = f"pid {owner}: {command_line(owner)}" if owner is not None else "a process of another user"
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"port {port} for {purpose} is taken by {who}; end that process or set {setting} to another port",
            reason="PORT_TAKEN",
        )


def end_earlier_run(folder: Path) -> int:
    """Ends what a killed supervisor of this folder left: its recorded processes and no others. Gives how many."""
    session = read_session(folder)
    if session is None:
        return 0
    owner = Process(*session.supervisor)
    if identify(owner.pid) == owner:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"a server already runs from {folder} (pid {owner.pid}); end it, or set CRPBOT__RUNTIME__STATE_FOLDER "
            "to another folder",
            reason="ALREADY_RUNNING",
        )
    ended = kill(Process(*each) for each in session.processes)
    if session.temp_folder:
        shutil.rmtree(session.temp_folder, ignore_errors=True)
    forget_session(folder)
    return len(ended)
