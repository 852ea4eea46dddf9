"""`crpbot serve`: starts Ray, puts the theories on it, runs the gateway, mends what dies, and ends all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from core.errors import Code, CrpbotError
from core.settings import Settings
from serving.preflight import check_ports, end_earlier_run, wanted_ports
from serving.processes import (
    Process,
    adopt_orphans,
    descendants,
    die_with_parent,
    identify,
    kill,
    reap_orphans,
)
from serving.ray_head import RayHead, child_environment, write_token
from serving.session import Session, forget_session, read_session, token_file, write_session

POLL_SECONDS: Final = 0.1
RECORD_SECONDS: Final = 2.0
READY_SECONDS: Final = 60.0
PROBE_SECONDS: Final = 2.0
QUICK_END_SECONDS: Final = 7.0  # after Ctrl-C everything is gone within 10 s
DRAIN_SECONDS: Final = 19.0  # after SIGTERM requests in flight may finish
RESTART_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
LIFE_THAT_COUNTS_SECONDS: Final = 60.0  # a life this long forgets the failures before it
LOG_LINES: Final = 15


class Stopwatch(Protocol):
    """A step under way."""

    def done(self) -> None: ...


class Progress(Protocol):
    """How the supervisor tells a person what it does."""

    def step(self, name: str) -> Stopwatch: ...

    def note(self, words: str) -> None: ...


class Stopped(Exception):  # noqa: N818  # an order, not an error
    """Somebody asked for the end while something was still starting."""


class Supervisor:
    """One run of the server. State outside this process: the session file, and the children."""

    def __init__(self, settings: Settings, progress: Progress, *, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._progress = progress
        self._folder = settings.runtime.state_folder.resolve()
        self._environment = child_environment(environment, self._folder)
        self._uses_ray = settings.serving.mode == "ray"
        self._head: RayHead | None = None
        self._deployer: subprocess.Popen[bytes] | None = None
        self._gateway: subprocess.Popen[bytes] | None = None
        self._signal: int | None = None
        self._recorded_at = 0.0
        self._failures = 0
        self._started_at = 0.0

    def run(self, when_ready: Callable[[], None]) -> int:
        """Serves until SIGINT or SIGTERM. `when_ready` is called once, when an analysis can be asked for."""
        adopt_orphans()
        with self._signals():
            try:
                self._prepare()
                if self._uses_ray:
                    self._launch_ray()  # first, because it takes longest; the next steps go on beside it
                self._migrate()
                self._start_gateway()
                if self._uses_ray:
                    self._finish_ray()
                self._wait_until_ready()
                when_ready()
                self._watch()
            except Stopped:
                pass
            finally:
                self._end()
        return 0

    def _prepare(self) -> None:
        ended = end_earlier_run(self._folder)
        if ended:
            self._progress.note(f"ended {ended} processes that an earlier run left behind")
        check_ports(wanted_ports(self._settings))
        for folder in (self._folder, self._folder / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._record(self._session())
        if self._uses_ray:
            write_token(token_file(self._folder))

    def _migrate(self) -> None:
        """Brings the database to the code's schema, in a process of its own: its libraries are not needed here."""
        with self._step("database"):
            migration = self._spawn("database", "-m", "cli.main", "db", "upgrade")
            if migration.wait() != 0:
                raise self._child_failed("database", migration.returncode)

    def _start_gateway(self) -> None:
        self._gateway = self._spawn("gateway", "-m", "serving.app", "gateway")

    def _launch_ray(self) -> None:
        """A fresh cluster, begun and put on record, and beside it the process that will put the theories on it."""
        ray = self._settings.ray
        self._started_at = time.monotonic()
        with (self._folder / "logs" / "ray.log").open("ab") as log:
            self._head = RayHead(
                dashboard_port=ray.dashboard_port,
                cpus=ray.cpus,
                object_store_mb=ray.object_store_mb,
                environment=self._environment,
                log=log,
            )
        self._record(
            replace(self._session(), id=self._head.id, address=self._head.address, temp_folder=self._head.temp_folder)
        )
        self._deployer = self._spawn("deploy", "-m", "serving.app", "deploy", self._head.address)

    def _finish_ray(self) -> None:
        """Waits until the theories run on the cluster, and makes it known to the gateway."""
        assert self._head is not None
        assert self._deployer is not None
        with self._step("Ray"):
            self._head.wait_until_up(self._is_stopping)
            self._raise_if_stopping()
        is_first = not Path(self._environment["NUMBA_CACHE_DIR"]).exists()
        with self._step("theories on Ray Serve" + (", compiled for the first time" if is_first else "")):
            while self._deployer.poll() is None:
                self._raise_if_stopping()
                if self._head.child.poll() is not None:
                    self._deployer.kill()
                time.sleep(POLL_SECONDS)
        if self._deployer.returncode != 0:
            raise self._child_failed("deploy", self._deployer.returncode)
        session = read_session(self._folder)
        assert session is not None
        self._record(replace(session, deployed=True))

    def _spawn(self, log_name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A process of ours that dies with us and logs to its own file."""
        with (self._folder / "logs" / f"{log_name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C comes to us alone, and we end the rest in order
                preexec_fn=die_with_parent,  # noqa: PLW1509  # one thread here
            )

    def _wait_until_ready(self) -> None:
        with self._step("gateway"):
            deadline = time.monotonic() + READY_SECONDS
            while not self._is_ready():
                self._raise_if_stopping()
                assert self._gateway is not None
                if self._gateway.poll() is not None:
                    raise self._child_failed("gateway", self._gateway.returncode)
                if time.monotonic() > deadline:
                    raise CrpbotError(
                        Code.UNAVAILABLE,
                        f"not ready within {READY_SECONDS:.0f} s: {self._readiness()}",
                        reason="NOT_READY",
                    )
                time.sleep(POLL_SECONDS)

    def _is_ready(self) -> bool:
        return self._readiness() == ""

    def _readiness(self) -> str:
        """Empty when ready, else what is in the way."""
        host, port = self._settings.http.host, self._settings.http.port
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/health/ready", timeout=PROBE_SECONDS):
                return ""
        except urllib.error.HTTPError as error:
            conditions = json.loads(error.read()).get("conditions", [])
            return "; ".join(f"{each['name']}: {each['problem']}" for each in conditions if each["problem"])
        except OSError as error:
            return f"the gateway does not answer: {error}"

    def _watch(self) -> None:
        """Until somebody asks for the end: restarts what died, keeps the record of processes, collects the dead."""
        while not self._is_stopping():
            if self._gateway is not None and self._gateway.poll() is not None:
                self._progress.note(f"the gateway ended with status {self._gateway.returncode}; starting it again")
                self._pause()
                self._start_gateway()
            if self._head is not None and self._head.child.poll() is not None:
                self._progress.note("Ray ended; starting it again")
                self._restart_ray()
            self._refresh_record()
            reap_orphans(self._children())
            time.sleep(POLL_SECONDS)

    def _restart_ray(self) -> None:
        assert self._head is not None
        self._head.stop(self._orphans)
        self._pause()
        try:
            self._launch_ray()
            self._finish_ray()
        except CrpbotError as error:  # the gateway still keeps ledger and risk working; the next round tries again
            self._progress.note(f"Ray could not be started: {error.detail}")

    def _pause(self) -> None:
        """Waits longer with every quick death, so that a broken machine is not kept busy by restarts."""
        if time.monotonic() - self._started_at > LIFE_THAT_COUNTS_SECONDS:
            self._failures = 0
        deadline = time.monotonic() + RESTART_PAUSES[min(self._failures, len(RESTART_PAUSES) - 1)]
        self._failures += 1
        while time.monotonic() < deadline and not self._is_stopping():
            time.sleep(POLL_SECONDS)

    def _end(self) -> None:
        """Drains the gateway, then ends Ray, then makes sure that nobody is left."""
        with self._step("end"):
            if self._gateway is not None and self._gateway.poll() is None:
                self._gateway.terminate()
                patience = QUICK_END_SECONDS if self._signal == signal.SIGINT else DRAIN_SECONDS
                with suppress(subprocess.TimeoutExpired):
                    self._gateway.wait(patience)
            if self._head is not None:
                self._head.stop(self._orphans)
            while kill(descendants(os.getpid())):
                time.sleep(POLL_SECONDS)
                reap_orphans(())
            forget_session(self._folder)

    def _orphans(self) -> tuple[Process, ...]:
        """Descendants of ours that are neither the gateway nor anything below it."""
        keep = {os.getpid()}
        if self._gateway is not None:
            keep.add(self._gateway.pid)
            keep.update(process.pid for process in descendants(self._gateway.pid))
        reap_orphans(self._children())
        return tuple(process for process in descendants(os.getpid()) if process.pid not in keep)

    def _children(self) -> set[int]:
        """The processes that we started and wait for ourselves."""
        own = [self._gateway, self._deployer, None if self._head is None else self._head.child]
        return {child.pid for child in own if child is not None}

    def _session(self) -> Session:
        """This run, before it has a cluster."""
        return Session(supervisor=identify(os.getpid()) or (os.getpid(), 0))

    def _record(self, session: Session) -> None:
        write_session(self._folder, replace(session, processes=descendants(os.getpid())))
        self._recorded_at = time.monotonic()

    def _refresh_record(self) -> None:
        """Keeps the list of processes current, so that the next start can end them should we be killed."""
        if time.monotonic() - self._recorded_at < RECORD_SECONDS:
            return
        session = read_session(self._folder)
        self._recorded_at = time.monotonic()
        if session is not None and session.processes != descendants(os.getpid()):
            self._record(session)

    def _child_failed(self, name: str, status: int) -> CrpbotError:
        log = self._folder / "logs" / f"{name}.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
        return CrpbotError(
            Code.UNAVAILABLE, f"{name} ended with status {status}; the end of {log}:\n{tail}", reason="CHILD_FAILED"
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def ask_for_end(number: int, frame: FrameType | None) -> None:
            self._signal = number

        before = {number: signal.signal(number, ask_for_end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        watch = self._progress.step(name)
        yield
        watch.done()

    def _is_stopping(self) -> bool:
        return self._signal is not None

    def _raise_if_stopping(self) -> None:
        if self._is_stopping():
            raise Stopped
