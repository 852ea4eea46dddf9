"""Ray dies; the gateway does not."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from serving.processes import identify
from tests.serving.running import Server, running_server

pytestmark = [pytest.mark.serve, pytest.mark.slow]

# a Ray driver ends itself about 60 s after the GCS or the raylet died; half as long again shows that ours does not
WITHOUT_RAY_SECONDS = 90


class Pulse:
    """Asks /health/live without pause and keeps every answer that was not 200."""

    def __init__(self, server: Server) -> None:
        self.silences: list[Any] = []
        self.beats = 0
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            status, body = self._server.get("/health/live")
            self.beats += 1
            if status != 200:
                self.silences.append((status, body))

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("victim", ["gcs_server", "raylet/raylet"])
def test_the_gateway_outlives_ray_and_analyses_again_once_it_is_back(tmp_path: Path, victim: str) -> None:
    with running_server(tmp_path) as server:
        gateway = identify(server.find("serving.app gateway")[0])
        pulse = Pulse(server)
        try:
            os.kill(server.child.pid, signal.SIGSTOP)  # so that nobody brings Ray back meanwhile
            server.kill(victim)
            time.sleep(WITHOUT_RAY_SECONDS)
            assert gateway is not None
            assert identify(gateway.pid) == gateway
            assert server.get("/v1/theories")[0] == 200
        finally:
            os.kill(server.child.pid, signal.SIGCONT)
            pulse.end()
        assert pulse.beats > WITHOUT_RAY_SECONDS / 4
        assert pulse.silences == []
        wait_for_analysis(server)
        assert identify(gateway.pid) == gateway


def test_the_supervisor_brings_ray_back_by_itself(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        gateway = server.find("serving.app gateway")
        for victim in ("gcs_server", "raylet/raylet"):
            before = server.find("gcs_server")
            server.kill(victim)
            wait_until_replaced(server, before)
            wait_for_analysis(server)
        assert server.find("serving.app gateway") == gateway
    assert "Ray ended" in server.output


def test_a_killed_gateway_is_started_again(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        killed = server.kill("serving.app gateway")
        wait_for_analysis(server)
        assert server.find("serving.app gateway") != killed


def wait_until_replaced(server: Server, before: list[int], *, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not (found := server.find("gcs_server")) or found == before:
        assert time.monotonic() < deadline, f"Ray was not started again{server.logs()}"
        time.sleep(0.2)


def wait_for_analysis(server: Server, *, seconds: float = 300.0) -> None:
    """An analysis with nothing missing."""
    deadline = time.monotonic() + seconds
    while True:
        status, body = server.analyze({"symbol": "BTC-USD"})
        if status == 200 and not body["analyses"][0]["missing"]:
            return
        assert time.monotonic() < deadline, f"{status} {body}{server.logs()}"
        time.sleep(0.5)
