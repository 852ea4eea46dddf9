"""`crpbot serve`: starts Ray, puts the theories on it, runs the gateway, mends what dies, and ends all of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Protocol

from core.errors import Code, CrpbotError
from core.settings.declared import Settings
from serving.children import ended_well, failure, last_line, log_file, spawn
from serving.cluster import Cluster
from serving.companion import scheduler
from serving.orders import Orders, Stopped
from serving.preflight import check_ports, claim, end_earlier_run, wanted_ports
from serving.probe import readiness, server_url
from serving.processes import (
    Process,
    adopt_orphans,
    command_line,
    descendants,
    identify,
    kill_until_gone,
    reap_orphans,
)
from serving.ray_head import child_environment, without_secrets, write_token
from serving.restarts import Restarts
from serving.session import Session, forget_session, token_file, write_session

POLL_SECONDS: Final = 0.1
RECORD_SECONDS: Final = 2.0
READY_SECONDS: Final = 60.0
QUICK_END_SECONDS: Final = 7.0  # after Ctrl-C everything is gone within 10 s
DRAIN_SECONDS: Final = 17.0  # after SIGTERM requests in flight may finish, and all is gone within 20 s
GONE_SECONDS: Final = 5.0
FIT_SECONDS: Final = 300.0  # ten coins take 10 to 60 s; past this the server starts without
SYNTHETIC: Final = "synthetic"  # the provider


class Stopwatch(Protocol):
    """A step under way."""

    def tell(self, words: str) -> None: ...

    def done(self) -> None: ...

    def failed(self) -> None: ...


class Progress(Protocol):
    """How the supervisor tells a person what it does."""

    def step(self, name: str) -> Stopwatch: ...

    def note(self, words: str) -> None: ...


class Supervisor:
    """One run of the server. State outside this process: the session file, and the children."""

    def __init__(
        self, settings: Settings, progress: Progress, *, environment: Mapping[str, str], shows_signals: bool = False
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._folder = settings.runtime.state_folder.resolve()
        self._environment = child_environment(environment, self._folder)
        self._uses_ray = settings.serving.mode == "ray"
        self._orders = Orders()
        self._session = Session(supervisor=identify(os.getpid()) or (os.getpid(), 0))
        self._written: Session | None = None
        self._recorded_at = 0.0
        self._cluster: Cluster | None = None
        self._cluster_lives = Restarts()
        self._gateway: subprocess.Popen[bytes] | None = None
        self._gateway_lives = Restarts()
        self._scheduler = scheduler(
            settings, self._folder, self._environment, shown=shows_signals, told=self._note_trouble
        )
        self._trouble = ""

    def run(self, when_ready: Callable[[], None]) -> int:
        """Serves until SIGINT, SIGTERM or SIGHUP. `when_ready` is called once, when an analysis can be asked for."""
        adopt_orphans()
        with self._orders.heard(), claim(self._folder):
            try:
                self._start()
                when_ready()
                self._watch()
            except Stopped:
                pass
            finally:
                self._end()
        return 0

    def _start(self) -> None:
        self._prepare()
        if self._uses_ray:
            self._start_cluster()  # first, because it takes longest; the next steps go on beside it
        fitting = self._start_fitting()
        self._migrate()
        self._start_gateway()
        if fitting is not None:
            self._wait_for_fits(fitting)
        if self._uses_ray:
            self._wait_for_cluster()
        with self._step("gateway"):
            deadline = time.monotonic() + READY_SECONDS
            self._wait_until(lambda: self._is_ready(deadline))

    def _prepare(self) -> None:
        ended = end_earlier_run(self._folder)
        if ended:
            self._progress.note(f"ended {ended} processes that an earlier run left behind")
        check_ports(wanted_ports(self._settings))
        (self._folder / "logs").mkdir(mode=0o700, exist_ok=True)
        self._record()
        if self._uses_ray:
            write_token(token_file(self._folder))

    def _migrate(self) -> None:
        """Brings the database to the code's schema, in a process of its own: its libraries are not needed here."""
        migration = spawn(self._folder, "database", self._environment, "cli.main", "db", "upgrade")
        with self._step("database"):
            self._wait_until(lambda: ended_well(self._folder, "database", migration))

    def _start_fitting(self) -> subprocess.Popen[bytes] | None:
        """On the synthetic market what is not fitted yet is fitted now; on a real one that is the user's decision."""
        if self._settings.market.provider != SYNTHETIC or not self._settings.serving.fit_at_start:
            return None
        log_file(self._folder, "fit").unlink(missing_ok=True)  # its last line is shown, which must be of this start
        return spawn(self._folder, "fit", self._environment, "cli.main", "fit", "--missing")

    def _wait_for_fits(self, fitting: subprocess.Popen[bytes]) -> None:
        """Shows how far the fitting is. Without fits the server lacks a few theories and says so: it goes on."""
        log = log_file(self._folder, "fit")
        with self._step("fitted theories") as watch:
            deadline = time.monotonic() + FIT_SECONDS

            def is_over() -> bool:
                watch.tell(last_line(log))
                if self._gateway is not None and self._gateway.poll() is not None:
                    raise failure(self._folder, "gateway", f"ended with status {self._gateway.returncode}")
                if self._cluster is not None:
                    self._cluster.is_deployed()  # raises when Ray has failed
                return fitting.poll() is not None or time.monotonic() > deadline

            self._wait_until(is_over)
        if fitting.poll() != 0:
            fitting.kill()
            self._progress.note(f"the fitted theories are missing, see {log}; remedy: crpbot fit")

    def _start_gateway(self) -> None:
        self._gateway_lives.begin()
        self._gateway = spawn(self._folder, "gateway", self._environment, "serving.app", "gateway")

    def _start_cluster(self) -> None:
        """A fresh cluster, begun and put on record; what waits for it follows the record."""
        self._cluster_lives.begin()
        environment = without_secrets(self._environment, models=self._settings.models.url)
        self._cluster = Cluster(self._settings.ray, self._folder, environment)
        head = self._cluster.head
        self._session = replace(
            self._session, id=head.id, address=head.address, temp_folder=head.temp_folder, deployed=False
        )
        self._record()

    def _wait_for_cluster(self) -> None:
        assert self._cluster is not None
        with self._step("Ray"):
            self._wait_until(self._cluster.is_up)
        with self._step("theories on Ray Serve" + (", compiled for the first time" if self._cluster.is_first else "")):
            self._wait_until(self._cluster.is_deployed)
        self._session = replace(self._session, deployed=True)
        self._record()

    def _is_ready(self, deadline: float) -> bool:
        """Whether our gateway can answer. It is looked at first: another program could answer in its place."""
        assert self._gateway is not None
        status = self._gateway.poll()
        if status is not None:
            raise failure(self._folder, "gateway", f"ended with status {status}")
        problem = readiness(server_url(self._settings))
        if problem and time.monotonic() > deadline:
            raise CrpbotError(
                Code.UNAVAILABLE, f"not ready within {READY_SECONDS:.0f} s: {problem}", reason="NOT_READY"
            )
        return not problem

    def _watch(self) -> None:
        """Until somebody asks for the end: restarts what died, keeps the record of processes, collects the dead.

        No part waits for another: a gateway that dies while Ray starts anew is mended meanwhile.
        """
        while not self._orders.end:
            for mend in (self._mend_gateway, self._mend_cluster, self._scheduler.mend, self._keep_record):
                try:
                    mend()
                except OSError as error:  # a full disk, no memory: it may pass, and what still runs goes on
                    self._note_trouble(f"{error}; trying again")
            time.sleep(POLL_SECONDS)

    def _mend_gateway(self) -> None:
        if self._gateway is not None and self._gateway.poll() is not None:
            self._progress.note(f"the gateway ended with status {self._gateway.returncode}; starting it again")
            self._gateway = None
            self._gateway_lives.ended()
        if self._gateway is None and self._gateway_lives.is_due():
            self._start_gateway()

    def _mend_cluster(self) -> None:
        if self._cluster is not None:
            try:
                if self._cluster.is_deployed() and not self._session.deployed:
                    self._session = replace(self._session, deployed=True)
                    self._record()
            except CrpbotError as error:  # the gateway still answers for what needs no theory
                self._progress.note(f"{error.detail}\nstarting Ray again")
                self._name_left(self._cluster.stop(self._orphans))
                self._cluster = None
                self._cluster_lives.ended()
        if self._uses_ray and self._cluster is None and self._cluster_lives.is_due():
            self._start_cluster()

    def _keep_record(self) -> None:
        """Keeps the list of processes current, so that the next start can end them should we be killed."""
        if time.monotonic() - self._recorded_at > RECORD_SECONDS:
            reap_orphans(self._children())
            self._record()

    def _record(self) -> None:
        self._recorded_at = time.monotonic()
        self._session = replace(self._session, processes=descendants(os.getpid()))
        if self._session != self._written:
            write_session(self._folder, self._session)
            self._written = self._session

    def _end(self) -> None:
        """Drains the gateway, then ends Ray, then makes sure that nobody is left."""
        self._scheduler.end()
        with self._step("end"):
            self._drain()
            if self._cluster is not None:
                self._cluster.stop(self._orphans)
            left = kill_until_gone(lambda: descendants(os.getpid()), seconds=GONE_SECONDS)
            reap_orphans(())
            if self._written is not None and not left:
                forget_session(self._folder)
        self._name_left(left)

    def _drain(self) -> None:
        """Lets the gateway answer what it has begun, unless somebody presses Ctrl-C again."""
        if self._gateway is None:
            return
        self._gateway.terminate()
        deadline = time.monotonic() + (QUICK_END_SECONDS if self._orders.from_keyboard else DRAIN_SECONDS)
        while self._gateway.poll() is None and time.monotonic() < deadline and not self._orders.at_once:
            time.sleep(POLL_SECONDS)

    def _orphans(self) -> tuple[Process, ...]:
        """Descendants of ours that are neither the gateway nor anything below it, nor the scheduler."""
        keep = {os.getpid(), *self._scheduler.pids}
        if self._gateway is not None:
            keep.add(self._gateway.pid)
            keep.update(process.pid for process in descendants(self._gateway.pid))
        return tuple(process for process in descendants(os.getpid()) if process.pid not in keep)

    def _children(self) -> set[int]:
        """The processes that we started and wait for ourselves."""
        gateway = set() if self._gateway is None else {self._gateway.pid}
        return gateway | self._scheduler.pids | (set() if self._cluster is None else self._cluster.children)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns when the condition holds; an order to end, or whatever the condition raises, comes before that."""
        while not condition():
            self._orders.raise_if_end()
            time.sleep(POLL_SECONDS)

    def _name_left(self, left: tuple[Process, ...]) -> None:
        for each in left:
            self._progress.note(f"pid {each.pid} cannot be ended, it waits for a device: {command_line(each.pid)}")

    def _note_trouble(self, words: str) -> None:
        """Tells a trouble once, not ten times a second."""
        if words != self._trouble:
            self._trouble = words
            self._progress.note(words)

    @contextmanager
    def _step(self, name: str) -> Iterator[Stopwatch]:
        """Shows what takes time. It may run a thread to do so: nothing is spawned within."""
        watch = self._progress.step(name)
        try:
            yield watch
        except BaseException:
            watch.failed()
            raise
        watch.done()
