"""The end of a gateway: it says so at once, and finishes what it has begun."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest
from grpc_health.v1 import health_pb2

from core.adapters.ledger.migrations import upgrade
from protos import crpbot_pb2
from tests.api.gateways import Running, all_operations, running_gateway
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
        assert analysts.entered.wait(5)
        assert running.rest.get("/health/ready").status_code == 200

        running.stop()
        stopped = time.monotonic()
        ready = running.rest.get("/health/ready")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert ready.json()["conditions"][-1]["name"] == "gateway"
        while health(running) != health_pb2.HealthCheckResponse.NOT_SERVING:
            assert time.monotonic() - stopped < 1
        time.sleep(1.5)  # past the notice: the doors are closed by now
        assert running.thread.is_alive()
        assert not over_rest.done()
        assert not over_grpc.done()
        with httpx.Client(trust_env=False) as late, pytest.raises(httpx.ConnectError):
            late.get(running.rest.base_url.join("/health/live"), timeout=1)

        analysts.released.set()
        assert over_rest.result(5).json()["analyses"][0]["readings"][0]["words"] == "hurst_exponent of BTC-USD"
        assert over_grpc.result(5).analyses[0].readings[0].words == "hurst_exponent of BTC-USD"
        running.thread.join(5)
        assert not running.thread.is_alive()


def test_a_gateway_that_stops_ends_its_streams(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/crpbot.db")
    with running_gateway(build=partial(all_operations, folder=tmp_path)) as running:
        assert running.rest.post("/v1/signals", json={"symbol": "BTC-USD"}, timeout=60).status_code == 200
        over_grpc = running.channel.unary_stream("/crpbot.v1.SignalService/StreamSignals")(
            crpbot_pb2.StreamSignalsRequest(after=0).SerializeToString()
        )
        assert next(over_grpc)
        with running.rest.stream("GET", "/v1/signals/stream?after=0", timeout=20) as events:
            lines = events.iter_lines()
            assert next(lines).startswith("id: ")
            running.stop()
            stopped = time.monotonic()
            assert [line for line in lines if line.startswith("event: problem")] == []
            assert list(over_grpc) == []
        running.thread.join(10)
        assert not running.thread.is_alive()
        assert time.monotonic() - stopped < 10
