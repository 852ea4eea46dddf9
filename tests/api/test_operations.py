"""What an operator asks: is it alive, is it ready, what has it done, what can it do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from prometheus_client.parser import text_string_to_metric_families

from protos import crpbot_pb2
from tests.api.gateways import ANALYZE, HOST, Running, running_gateway

SERVICE = "crpbot.v1.AnalysisService"
HEALTH = health_pb2.HealthCheckResponse


async def well() -> str | None:
    return None


async def broken() -> str | None:
    return "the disk is full"


async def raising() -> str | None:
    raise OSError("nobody expected this")


def grpc_health(running: Running, service: str) -> int:
    answer = running.call("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(service=service))
    return int(HEALTH.FromString(answer).status)


def counted(running: Running, **labels: str) -> float:
    """How many requests with these labels the metrics page shows."""
    page = running.rest.get("/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "crpbot_request_seconds_count" and labels.items() <= sample.labels.items()
    )


def test_a_healthy_gateway_is_alive_and_ready(running: Running) -> None:
    assert running.rest.get("/health/live").json() == {"status": "alive"}
    ready = running.rest.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "mode": "dryrun", "conditions": []})
    assert [grpc_health(running, service) for service in ("", SERVICE)] == [HEALTH.SERVING] * 2


def test_a_check_that_fails_or_raises_is_named_and_makes_the_gateway_not_ready() -> None:
    with running_gateway(checks={"ledger": well, "analysts": broken, "market": raising}) as running:
        ready = running.rest.get("/health/ready")
        assert ready.status_code == 503
        problems = {condition["name"]: condition["problem"] for condition in ready.json()["conditions"]}
        assert problems["ledger"] is None
        assert problems["analysts"] == "the disk is full"
        assert problems["market"] == "the check itself failed with OSError; the log has the trace"
        assert running.rest.get("/health/live").status_code == 200
        assert grpc_health(running, SERVICE) == HEALTH.NOT_SERVING
        assert "crpbot_ready 0.0" in running.rest.get("/metrics").text


def test_a_note_is_told_and_leaves_the_gateway_ready_on_both_faces() -> None:
    with running_gateway(checks={"ledger": well}, notes={"models": broken, "quiet": well}) as running:
        ready = running.rest.get("/health/ready")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert ready.json()["conditions"] == [
            {"name": "ledger", "problem": None},
            {"name": "models", "problem": None, "note": "the disk is full"},
            {"name": "quiet", "problem": None},
        ]
        assert [grpc_health(running, service) for service in ("", SERVICE)] == [HEALTH.SERVING] * 2
        assert "crpbot_ready 1.0" in running.rest.get("/metrics").text


def test_requests_are_counted_by_face_operation_and_status(running: Running) -> None:
    kinds = (
        {"face": "http", "operation": "/v1/analyze", "status": "200"},
        {"face": "http", "operation": "/v1/analyze", "status": "422"},
        {"face": "http", "operation": "unmatched", "status": "404"},
        {"face": "grpc", "operation": "Analyze", "status": "OK"},
        {"face": "grpc", "operation": "Analyze", "status": "INVALID_ARGUMENT"},
    )
    before = [counted(running, **kind) for kind in kinds]
    body = {"symbol": "BTC-USD", "theories": ["hurst_exponent"]}
    running.rest.post("/v1/analyze", json=body)
    running.rest.post("/v1/analyze", json={})
    running.rest.get("/wp-login.php")
    running.analyze(crpbot_pb2.AnalyzeRequest(**body))
    with pytest.raises(grpc.RpcError):
        running.call(ANALYZE, b"")
    assert [counted(running, **kind) for kind in kinds] == [count + 1 for count in before]


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("x" * 65, False), ("caf\xe9", False)])
def test_a_good_request_id_is_kept_and_another_is_replaced(running: Running, given: str, kept: bool) -> None:
    answer = running.rest.get("/v1/nowhere", headers={"x-request-id": given.encode("latin-1")})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_answers_may_not_be_cached_or_guessed_at(running: Running) -> None:
    headers = running.rest.get("/v1/theories").headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_a_stranger_can_list_and_call_our_methods_by_reflection(running: Running) -> None:
    buf = Path(sys.executable).with_name("buf")
    url = f"http://{HOST}:{running.gateway.grpc_port}"

    def curl(*arguments: str) -> str:
        command = [str(buf), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout

    assert {f"{SERVICE}/Analyze", f"{SERVICE}/ListTheories"} <= set(curl("--list-methods", url).split())
    asked = json.dumps({"symbol": "BTC-USD", "theories": ["hurst_exponent"]})
    answered = json.loads(curl("-d", asked, f"{url}/{SERVICE}/Analyze"))
    assert answered["analyses"][0]["readings"][0]["theory"] == "hurst_exponent"
