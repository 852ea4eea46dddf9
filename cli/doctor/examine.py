"""`crpbot doctor`: looks at the machine, the installation, the settings and the running server, and names remedies."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cli.doctor.finding import Finding, bad, ok, warn
from cli.doctor.machine import (
    check_cores,
    check_disk,
    check_memory,
    check_packages,
    check_postgres,
    check_python,
    check_shared_memory,
    check_torch,
    nearest_existing,
)
from core.errors import CrpbotError
from core.settings.declared import Settings
from core.settings.values import mask_database_url
from serving.configuration import load
from serving.preflight import wanted_ports
from serving.probe import server_url
from serving.processes import Listener, Process, bind_problem, command_line, descendants, identify, listeners
from serving.session import read_session

SERVER_SECONDS: Final = 3.0
BUG: Final = "Report this line to the project: the check itself is at fault."

Check = Callable[[], Finding | Iterable[Finding]]


def examine(url: str | None) -> list[Finding]:
    """Every check, in the order in which a new user meets the trouble. None of them raises, none changes anything.

    Without a `url` the server of the settings is looked at.
    """
    found = [
        *run("Python", check_python),
        *run("packages", check_packages),
        *run("torch", check_torch),
        *run("cores", check_cores),
        *run("memory", check_memory),
        *run("temporary disk", lambda: check_disk("temporary disk", Path(tempfile.gettempdir()))),
        *run("PostgreSQL programs", check_postgres),
    ]
    try:
        loaded = load()
    except CrpbotError as error:
        remedy = "Correct them in .env or in the environment, then run `crpbot doctor` again for what depends on them."
        return [
            *found,
            bad("settings", error.detail, remedy),
            *run("server", lambda: check_server(url or server_url(Settings()), Path())),
        ]
    warnings = [warn("settings", words, "Correct it in .env or in the environment.") for words in loaded.warnings]
    return [
        *found,
        *(warnings or [ok("settings", "valid")]),
        *_examine_with(loaded.settings, url or server_url(loaded.settings)),
    ]


def run(name: str, check: Check) -> list[Finding]:
    """One check. A refusal becomes a row; so does a fault of the check, because the other rows are still of use."""
    try:
        found = check()
        return [found] if isinstance(found, Finding) else list(found)
    except CrpbotError as error:
        return [bad(name, error.detail, "Do what it says, then run `crpbot doctor` again.")]
    except Exception as error:  # noqa: BLE001  # see above: shown, not hidden
        return [bad(name, f"{type(error).__name__}: {error}", BUG)]


def _examine_with(settings: Settings, url: str) -> list[Finding]:
    folder = settings.runtime.state_folder
    sockets = listeners()
    family = server_family(folder)
    found = [
        *run("state disk", lambda: check_disk("state disk", folder)),
        *run("state folder", lambda: check_state_folder(folder)),
        *run("database", lambda: check_database(settings)),
    ]
    if settings.serving.mode == "ray":
        found += run("shared memory", lambda: check_shared_memory(settings.ray.object_store_mb))
    found += run("ports", lambda: check_ports(settings, sockets, family))
    found += run("server", lambda: check_server(url, folder))
    return [*found, *run("listeners", lambda: check_listeners(sockets, family))]


def check_state_folder(folder: Path) -> Finding:
    """Whether ledger, logs and token can be written."""
    place = nearest_existing(folder)
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return ok(
            "state folder", f"{folder.absolute()} {'can be written' if place == folder.absolute() else 'can be made'}"
        )
    return bad(
        "state folder",
        f"{folder.absolute()} cannot be written: {place} refuses it",
        "Run `crpbot` as the owner of that folder, or set CRPBOT__RUNTIME__STATE_FOLDER to one of your own.",
    )


def check_database(settings: Settings) -> Finding:
    """Reachable, and with the tables that this program knows. Those that are only behind are brought up by a start."""
    from core.adapters.ledger.address import parse_address
    from core.adapters.ledger.migrations import current_revision, known_revisions

    url = settings.database_url.get_secret_value()
    place = mask_database_url(settings.database_url)
    try:
        revision = current_revision(url)
        known_revisions().check(revision, parse_address(url))
    except CrpbotError as error:
        if error.reason in ("SCHEMA_MISSING", "SCHEMA_OLD"):
            return warn("database", error.detail, "Run `crpbot db upgrade`; `crpbot serve` does it too.")
        return bad("database", error.detail, "Start the database or correct DB_URL, then run `crpbot doctor` again.")
    return ok("database", f"{place} at schema {revision}")


def check_ports(settings: Settings, sockets: Sequence[Listener], family: frozenset[int]) -> Iterator[Finding]:
    """Free, or taken by the server that runs from our state folder."""
    for purpose, host, port, setting in wanted_ports(settings):
        check = f"port {port}"
        owner = next((each.pid for each in sockets if each.port == port and each.pid is not None), None)
        problem = bind_problem(host, port)
        if owner in family:
            yield ok(check, f"{purpose}: our own server, pid {owner}")
        elif problem is None:
            yield ok(check, f"{purpose}: free")
        elif problem.errno != errno.EADDRINUSE:
            remedy = f"Set {setting} to another port."
            yield bad(check, f"{purpose}: cannot be used on {host}: {problem.strerror}", remedy)
        else:
            who = "a process of another user" if owner is None else f"pid {owner}: {command_line(owner)}"
            yield bad(check, f"{purpose}: taken by {who}", f"End that process, or set {setting} to another port.")


def check_server(url: str, folder: Path) -> Iterator[Finding]:
    """Whether a server answers, and each condition that keeps it from being ready."""
    from client.sdk import ApiError, Client, ForeignServerError

    try:
        with Client(url, timeout_seconds=SERVER_SECONDS) as client:
            health = client.ready()
        failing = [(each["name"], each["problem"]) for each in health["conditions"] if each["problem"]]
        ready = bool(health["ready"])
    except (ForeignServerError, KeyError, TypeError):
        remedy = "Name CRPBot's REST address with --url, or end what listens there."
        yield bad("server", f"what answers at {url} is not CRPBot", remedy)
        return
    except ApiError:
        yield warn("server", f"none answers at {url}", "Start one with `crpbot serve`, or name another with --url.")
        return
    if ready:
        yield ok("server", f"{url} is ready")
    for name, problem in failing:
        remedy = f"Wait a minute if it has just started; otherwise read {folder.absolute() / 'logs' / 'gateway.log'}."
        yield bad(f"server: {name}", problem, remedy)


def check_listeners(sockets: Sequence[Listener], family: frozenset[int]) -> Iterator[Finding]:
    """Every listening socket of our server's processes: none may be reachable from another machine."""
    ours = [each for each in sockets if each.pid in family]
    exposed = [each for each in ours if not each.is_loopback]
    if not family:
        yield ok("listeners", "no server runs from the state folder")
    elif not exposed:
        yield ok("listeners", f"all {len(ours)} listeners on loopback")
    for each in exposed:
        yield bad(
            f"listener {each.port}",
            f"pid {each.pid} can be reached from other machines: {command_line(each.pid or 0)}",
            f"Close port {each.port} in the machine's firewall or end the server, and report this line to the project.",
        )


def server_family(folder: Path) -> frozenset[int]:
    """The processes of the server that runs from this folder, or of one that was killed and left them behind."""
    session = read_session(folder)
    if session is None:
        return frozenset()
    supervisor = Process(*session.supervisor)
    recorded = [supervisor, *(Process(*each) for each in session.processes)]
    alive = {each.pid for each in recorded if identify(each.pid) == each}
    below = {each.pid for each in descendants(supervisor.pid)} if supervisor.pid in alive else set()
    return frozenset(alive | below)
