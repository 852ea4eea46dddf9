"""The theories on a real Ray Serve: the same bytes as in process, loopback alone, no request lost with a replica."""

import asyncio
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.body import adapter
from core.analysis import AnalyzeRequest, AnalyzeResponse
from core.analyzers import discover
from core.models.weighting import KINDS
from core.settings.sources import load_settings
from serving.app import build_local_desk
from serving.processes import identify, listeners
from tests.serving.running import CALL_SECONDS, READY_SECONDS, Server, running_server

pytestmark = pytest.mark.serve

CANDLES = 500


def inline_candles(symbol: str, phase: int) -> dict[str, Any]:
    """Candles of a caller: a slow swing with small steps, different for each phase."""
    closes = [100.0 + 5.0 * ((index * 7919 + phase * 104_729) % 1_000) / 1_000 for index in range(CANDLES)]
    return {
        "symbol": symbol,
        "interval": "5m",
        "open_times_ms": [1_700_000_100_000 + 300_000 * index for index in range(CANDLES)],
        "open": closes,
        "high": [close + 0.5 for close in closes],
        "low": [close - 0.5 for close in closes],
        "close": closes,
        "volume": [1.0] * CANDLES,
    }


def post(server: Server, body: bytes) -> bytes:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(server.url + "/v1/analyze", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=3 * CALL_SECONDS) as answer:
        return bytes(answer.read())


def test_serve_gives_the_bytes_of_the_same_desk_without_ray(server: Server, tmp_path: Path) -> None:
    body = json.dumps({"candles": [inline_candles("BTC-USD", 1), inline_candles("ETH-USD", 2)]}).encode()
    desk = build_local_desk(load_settings({}, tmp_path).settings)
    request = adapter(AnalyzeRequest).validate_json(body)
    here = asyncio.run(desk.analyze(request, timeout_seconds=300))
    assert post(server, body) == adapter(AnalyzeResponse).dump_json(here)


def test_requests_that_travel_together_get_the_bytes_they_get_alone(server: Server) -> None:
    bodies = [json.dumps({"candles": [inline_candles("BTC-USD", phase)]}).encode() for phase in range(24)]
    alone = [post(server, body) for body in bodies]
    together: list[bytes] = [b""] * len(bodies)

    def ask(index: int) -> None:
        together[index] = post(server, bodies[index])

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_every_listener_is_on_loopback(server: Server) -> None:
    ours = {process.pid for process in server.family()}
    found = [listener for listener in listeners() if listener.pid in ours]
    assert {server.http_port, server.grpc_port, server.dashboard_port} <= {listener.port for listener in found}
    assert [listener for listener in found if not listener.is_loopback] == []


def test_the_dashboard_wants_the_token_and_lists_the_groups(server: Server) -> None:
    assert set(dashboard_applications(server)) == {"analysts", *KINDS}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(
            f"http://127.0.0.1:{server.dashboard_port}/api/serve/applications/", timeout=CALL_SECONDS
        )
    with refused.value as answer:
        assert answer.code == 401


def dashboard_applications(server: Server) -> dict[str, Any]:
    token = (server.state / "ray-token").read_text()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.dashboard_port}/api/serve/applications/",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
        applications: dict[str, Any] = json.loads(answer.read())["applications"]
        return applications


def test_the_token_and_the_state_are_for_the_owner_alone(server: Server) -> None:
    assert (server.state / "ray-token").stat().st_mode & 0o077 == 0
    assert server.state.stat().st_mode & 0o077 == 0
    assert not (server.folder / ".ray").exists(), "Ray wrote into the home folder"


def test_no_request_is_lost_when_a_replica_is_killed_under_load(server: Server) -> None:
    failures: list[tuple[int, Any]] = []
    answered = 0
    stop = threading.Event()
    count = threading.Lock()

    def load() -> None:
        nonlocal answered
        while not stop.is_set():
            status, body = server.analyze({"symbol": "BTC-USD"})
            with count:
                answered += 1
                if status != 200 or body["analyses"][0]["missing"]:
                    failures.append((status, body))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            until(lambda enough=answered + 16: answered >= enough)  # under load
            before = server.find("ray::ServeReplica:analysts")
            os.kill(before[0], signal.SIGKILL)
            until(lambda killed=set(before): set(server.find("ray::ServeReplica:analysts")) - killed)
            until(lambda enough=answered + 16: answered >= enough)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_deployment_per_theory_by_configuration_alone(server: Server, tmp_path: Path) -> None:
    groups = tmp_path / "groups.yaml"
    # a second replica for one of them: thirty processes would keep two cores busy for minutes
    entries = [
        {"name": name.replace("_", "-"), "theories": [name], "replicas": 2 if place == 0 else 1, "cpus": 0.1}
        for place, name in enumerate(discover())
    ]
    groups.write_text(json.dumps({"groups": entries}))
    body = json.dumps({"candles": [inline_candles("BTC-USD", 3)]}).encode()
    with running_server(tmp_path, {"CRPBOT__SERVING__GROUPS_FILE": str(groups)}) as spread:
        assert post(spread, body) == post(server, body)
        listed = dashboard_applications(spread)
        assert set(listed) == {*(entry["name"] for entry in entries), *KINDS}
        found = {name: len(listed[name]["deployments"][name]["replicas"]) for name in set(listed) - set(KINDS)}
        assert found == {entry["name"]: entry["replicas"] for entry in entries}


@pytest.mark.slow
def test_a_deployment_that_fails_is_tried_again_and_the_gateway_is_mended_meanwhile(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        server.kill("gcs_server")
        deadline = time.monotonic() + READY_SECONDS
        while not server.find("serving.app deploy"):
            assert time.monotonic() < deadline, server.logs()
            time.sleep(0.02)
        server.kill("serving.app deploy")
        server.kill("serving.app gateway")
        assert server.wait_for("/health/ready", 200)["ready"] is True
        assert server.analyze({"symbol": "BTC-USD"})[0] == 200
    assert "deploy ended with status -9" in server.output
    assert "the gateway ended with status -9" in server.output


def test_a_start_cleans_up_after_a_killed_supervisor_and_nobody_else_and_its_end_leaves_nothing(
    server: Server, tmp_path: Path
) -> None:
    with running_server(tmp_path) as killed:
        family = killed.family()
        killed.child.kill()
        killed.child.wait()
        with running_server(tmp_path) as again:
            assert [process for process in family if identify(process.pid) == process] == []
            assert again.analyze({"symbol": "BTC-USD"})[0] == 200
            end_without_a_trace(again)
    assert server.analyze({"symbol": "BTC-USD"})[0] == 200


def end_without_a_trace(server: Server) -> None:
    """Its end leaves no process, no folder and no record."""
    family = server.family()
    session = json.loads((server.state / "session.json").read_text())
    assert len(family) > 5
    assert server.end() == 0
    assert [process for process in family if identify(process.pid) == process] == []
    assert not Path(session["temp_folder"]).exists()
    assert not (server.state / "session.json").exists()
