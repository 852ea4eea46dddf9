"""What works beside the gateway: started again when it ends, ended with the rest, and live only when said twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.settings.declared import Settings
from core.settings.sources import load_settings
from serving import companion as companions
from serving.companion import CONFIRM, Companion, scheduler
from serving.processes import free_ports, identify

SECONDS = 60.0


def settings_of(folder: Path, **texts: str) -> Settings:
    http, grpc = free_ports(2)
    ports = {"CRPBOT__HTTP__PORT": str(http), "CRPBOT__GRPC__PORT": str(grpc)}
    return load_settings({**ports, "CRPBOT__RUNTIME__STATE_FOLDER": str(folder), **texts}, folder, {}).settings


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_companion_that_ends_is_started_again_and_ended_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companions, "END_SECONDS", SECONDS)
    statuses: list[int] = []
    code = "import time; time.sleep(600)"
    companion = Companion(lambda: subprocess.Popen([sys.executable, "-c", code]), statuses.append)
    companion.mend()
    [first] = companion.pids
    os.kill(first, 9)

    def is_started_again() -> bool:
        companion.mend()
        return bool(companion.pids - {first})

    wait_until(is_started_again)
    assert statuses == [-9]
    [second] = companion.pids
    companion.end()
    assert identify(second) is None


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def test_the_scheduler_asks_our_own_server_and_stands_by_beside_another(logs: Path) -> None:
    told: list[str] = []
    settings = settings_of(logs, CRPBOT__SERVING__SCHEDULE_SECONDS="120")
    companion = scheduler(settings, logs, dict(os.environ), shown=False, told=told.append)
    companion.mend()
    [pid] = companion.pids
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    companion.end()
    assert "schedule --stand-by --sleep-seconds 120 --mode dryrun" in words
    assert f"--url http://127.0.0.1:{settings.http.port}" in words


@pytest.mark.parametrize(
    ("texts", "environment", "words"),
    [
        ({"CRPBOT__SERVING__SCHEDULE": "false"}, {}, []),
        ({"RUNTIME_MODE": "live", "DATA_PROVIDER": "coinbase"}, {}, ["live must be said twice"]),
        ({"RUNTIME_MODE": "live", "DATA_PROVIDER": "coinbase"}, {CONFIRM: "yes"}, ["live must be said twice"]),
    ],
    ids=["switched off", "said once", "not said so"],
)
def test_nothing_is_scheduled_that_was_not_wanted(
    logs: Path, texts: dict[str, str], environment: dict[str, str], words: list[str]
) -> None:
    told: list[str] = []
    companion = scheduler(settings_of(logs, **texts), logs, environment, shown=False, told=told.append)
    companion.mend()
    assert companion.pids == set()
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))
    assert CONFIRM in "".join(told) or not told
