"""A whole server in a process tree of its own, for tests: its ports, its pids, and calls to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving.processes import Process, command_line, descendants, free_ports

READY_SECONDS = 300  # generous: the machine may be busy; the figure is measured in the benchmark
END_SECONDS = 180
CALL_SECONDS = 30.0  # the most that the server gives a call; a slow machine needs it


class Server:
    """One `crpbot serve`, ready when made, unless the test does not wait for that."""

    def __init__(self, folder: Path, settings: Mapping[str, str], *, wait: bool = True) -> None:
        self.http_port, self.grpc_port, self.dashboard_port = free_ports(3)
        self.folder = folder
        self.state = folder / "state"
        self.url = f"http://127.0.0.1:{self.http_port}"
        environment = {
            **os.environ,
            "HOME": str(folder),
            "CRPBOT__HTTP__PORT": str(self.http_port),
            "CRPBOT__GRPC__PORT": str(self.grpc_port),
            "CRPBOT__RAY__DASHBOARD_PORT": str(self.dashboard_port),
            "CRPBOT__RUNTIME__STATE_FOLDER": str(self.state),
            "CRPBOT__SERVING__FIT_AT_START": "false",  # it takes longer than all that is tested with most servers
            "CRPBOT__SERVING__ANALYSIS_DEADLINE_SECONDS": f"{CALL_SECONDS:g}",
            "CRPBOT__SERVING__SCHEDULE": "false",  # signals of its own would disturb what is tested
            **settings,
        }
        self.child = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "serve", "--json"],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        if wait:
            self._wait_for_places()

    def _wait_for_places(self) -> None:
        """The line of JSON that says where everything is comes when the server is ready."""
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.output += line
            if line.startswith("{"):
                self.places = json.loads(line)
                return
        raise AssertionError(f"the server ended with {self.child.wait()}:\n{self.output}{self.logs()}")

    def logs(self) -> str:
        """The end of every log, for a failing test."""
        return "".join(
            f"\n== {path.name}\n" + path.read_text(errors="replace")[-2_000:]
            for path in sorted((self.state / "logs").glob("*.log"))
        )

    def family(self) -> tuple[Process, ...]:
        """Every process below the supervisor."""
        return descendants(self.child.pid)

    def find(self, words: str) -> list[int]:
        """The pids of our processes whose command line holds these words."""
        return [process.pid for process in self.family() if words in command_line(process.pid)]

    def kill(self, words: str) -> list[int]:
        """kill -9 to all of them."""
        pids = self.find(words)
        assert pids, f"no process with {words!r} among {[command_line(each.pid) for each in self.family()]}"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    def get(self, path: str) -> tuple[int, Any]:
        """GET: status and decoded body. Status 0 means that nobody answered."""
        return self._call(urllib.request.Request(self.url + path))

    def analyze(self, body: Mapping[str, Any], *, seconds: float = CALL_SECONDS) -> tuple[int, Any]:
        """POST /v1/analyze."""
        headers = {"content-type": "application/json", "x-request-timeout": str(seconds)}
        data = json.dumps(body).encode()
        return self._call(urllib.request.Request(self.url + "/v1/analyze", data=data, headers=headers))

    def _call(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=3 * CALL_SECONDS) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except OSError as error:
            return 0, str(error)

    def wait_for(self, path: str, status: int, *, seconds: float = READY_SECONDS) -> Any:
        """Asks until the answer has that status."""
        deadline = time.monotonic() + seconds
        while True:
            found, body = self.get(path)
            if found == status:
                return body
            assert time.monotonic() < deadline, f"{path}: {found} {body}, not {status}{self.logs()}"
            time.sleep(0.1)

    def end(self, number: int = signal.SIGINT) -> int:
        """Ends the server as a user does, and gives its exit status."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.end_by_itself()

    def end_by_itself(self) -> int:
        """Waits for an end that is already under way, and gives the exit status."""
        assert self.child.stdout is not None
        if not self.child.stdout.closed:
            self.output += self.child.stdout.read()
            self.child.stdout.close()
        return self.child.wait(END_SECONDS)


@contextmanager
def running_server(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that is ended whatever happens in the test."""
    server = Server(folder, settings or {})
    try:
        yield server
    finally:
        server.end()
