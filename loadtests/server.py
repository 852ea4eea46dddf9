"""A server of its own for a measurement: started on free ports in a temporary folder, and ended with nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from loadtests.payloads import encode, one_symbol, own_candles, ten_symbols
from serving.processes import Process, descendants, free_ports, identify, kill, memory_mib

Mode = Literal["ray", "inprocess"]

START_SECONDS: Final = 300.0  # what it took is measured; this only ends a start that hangs
END_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.05
PROBE_SECONDS: Final = 2.0
FIRST_ANSWER_SECONDS: Final = 30.0  # a server without Ray compiles its kernels in the first request
SHOWN_CHARACTERS: Final = 2_000


class Server:
    """One life of `crpbot serve`. `cold_start_seconds` is the time from its command to the first "ready"."""

    def __init__(self, folder: Path, mode: Mode) -> None:
        http_port, grpc_port, dashboard_port = free_ports(3)
        self.url = f"http://127.0.0.1:{http_port}"
        self.grpc_address = f"127.0.0.1:{grpc_port}"
        self.http_port = http_port
        self._output = folder / "output"
        environment = {
            **os.environ,
            "CRPBOT__HTTP__PORT": str(http_port),
            "CRPBOT__GRPC__PORT": str(grpc_port),
            "CRPBOT__RAY__DASHBOARD_PORT": str(dashboard_port),
            "CRPBOT__RUNTIME__STATE_FOLDER": str(folder / "state"),
            "CRPBOT__SERVING__MODE": mode,
            "DATA_PROVIDER": "synthetic",
        }
        started = time.monotonic()
        with self._output.open("wb") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "serve", "--no-first-analysis"],
                cwd=folder,  # the developer's own .env stays out of it
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_ready()
        self.cold_start_seconds = time.monotonic() - started

    def processes(self) -> tuple[Process, ...]:
        """The supervisor and all below it."""
        supervisor = identify(self._supervisor.pid)
        return (*([supervisor] if supervisor else []), *descendants(self._supervisor.pid))

    def memory_mib(self) -> float:
        """Proportional memory of all processes together."""
        return sum(memory_mib(process.pid) for process in self.processes())

    def end(self) -> float:
        """Asks for the end as Ctrl-C does; gives the seconds until the last process was gone."""
        family = self.processes()
        started = time.monotonic()
        self._supervisor.send_signal(signal.SIGINT)
        while self._supervisor.poll() is None or any(identify(each.pid) == each for each in family):
            if time.monotonic() - started > END_SECONDS:
                left = kill(family)
                raise RuntimeError(f"{len(left)} processes were still there {END_SECONDS:.0f} s after SIGINT")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started

    def answer(self, body: bytes) -> bytes:
        """The answer to one analysis."""
        headers = {"Content-Type": "application/json", "X-Request-Timeout": f"{FIRST_ANSWER_SECONDS:.0f}"}
        request = urllib.request.Request(f"{self.url}/v1/analyze", body, headers)
        with urllib.request.urlopen(request, timeout=FIRST_ANSWER_SECONDS) as response:
            answer: bytes = response.read()
        return answer

    def is_running(self) -> bool:
        """Whether it was not ended yet."""
        return self._supervisor.poll() is None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if not self.is_running():
                raise RuntimeError(f"the server ended with status {self._supervisor.returncode}: {self._last_words()}")
            if time.monotonic() > deadline:
                words = self._last_words()
                self.end()
                raise RuntimeError(f"the server was not ready within {START_SECONDS:.0f} s: {words}")
            time.sleep(POLL_SECONDS)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=PROBE_SECONDS):
                return True
        except OSError:  # refused at first, then 503 until everything is there
            return False

    def _last_words(self) -> str:
        return self._output.read_text(errors="replace")[-SHOWN_CHARACTERS:]


@contextmanager
def running_server(mode: Mode = "ray") -> Iterator[Server]:
    """A ready and warm server as long as the block; one that was ended inside is left alone."""
    with tempfile.TemporaryDirectory(prefix="crpbot-load-") as folder:
        server = Server(Path(folder), mode)
        try:
            for body in (one_symbol(), ten_symbols(), own_candles()):
                server.answer(encode(body))
            yield server
        finally:
            if server.is_running():
                server.end()
