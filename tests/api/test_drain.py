"""The end of a gateway: it says so at once, and finishes what it has begun."""

from __future__ import annotations

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2

from api import gateway
from api.gateway import NOTICE_SECONDS
from core.adapters.ledger.migrations import upgrade
from protos import crpbot_pb2
from tests.api.gateways import HOST, SECONDS, Running, all_operations, running_gateway
from tests.fakes import HeldAnalysts

REQUEST = {"symbol": "BTC-USD", "theories": ["hurst_exponent"]}


def health(running: Running) -> int:
    """What gRPC health says."""
    answer = running.call("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest())
    return int(health_pb2.HealthCheckResponse.FromString(answer).status)


def test_a_gateway_that_stops_says_so_and_answers_what_it_has_begun() -> None:
    analysts = HeldAnalysts()
    with running_gateway(analysts=analysts) as running, ThreadPoolExecutor(2) as pool:
        over_rest = pool.submit(running.rest.post, "/v1/analyze", json=REQUEST)
        over_grpc = pool.submit(running.analyze, crpbot_pb2.AnalyzeRequest(**REQUEST))
        assert analysts.entered.wait(SECONDS)
        assert running.rest.get("/health/ready").status_code == 200

        stopped = time.monotonic()
        running.stop()
        try:
            ready = running.rest.get("/health/ready")
            assert (ready.status_code, ready.json()["ready"]) == (503, False)
            assert ready.json()["conditions"][-1]["name"] == "gateway"
            told = (health(running) for _ in range(100))  # of which the first few may come too soon
            assert health_pb2.HealthCheckResponse.NOT_SERVING in told
        except (httpx.TransportError, grpc.RpcError):  # a machine that stood still finds the doors closed
            assert time.monotonic() - stopped > NOTICE_SECONDS
        wait_until_closed(running)
        assert running.thread.is_alive()
        assert not over_rest.done()
        assert not over_grpc.done()
        analysts.released.set()
        assert over_rest.result(SECONDS).json()["analyses"][0]["readings"][0]["words"] == "hurst_exponent of BTC-USD"
        assert over_grpc.result(SECONDS).analyses[0].readings[0].words == "hurst_exponent of BTC-USD"
        running.thread.join(SECONDS)
        assert not running.thread.is_alive()


def wait_until_closed(running: Running) -> None:
    """Until nobody takes a new connection."""
    ends = time.monotonic() + SECONDS
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            socket.create_connection((HOST, running.gateway.http_port), timeout=SECONDS).close()
            assert time.monotonic() < ends, "the doors stay open"
            time.sleep(0.05)


def test_a_gateway_that_stops_ends_its_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "DRAIN_SECONDS", 10 * SECONDS)  # which nobody waits for
    upgrade(f"sqlite:///{tmp_path}/crpbot.db")
    with running_gateway(build=partial(all_operations, folder=tmp_path)) as running:
        assert running.rest.post("/v1/signals", json={"symbol": "BTC-USD"}).status_code == 200
        over_grpc = running.channel.unary_stream("/crpbot.v1.SignalService/StreamSignals")(
            crpbot_pb2.StreamSignalsRequest(after=0).SerializeToString()
        )
        assert next(over_grpc)
        with running.rest.stream("GET", "/v1/signals/stream?after=0") as events:
            lines = events.iter_lines()
            assert next(lines).startswith("id: ")
            running.stop()
            assert [line for line in lines if line.startswith("event: problem")] == []
            assert list(over_grpc) == []
        running.thread.join(SECONDS)
        assert not running.thread.is_alive()
