"""The load test itself: that its figures are right, that it runs, and that a failure is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.run import percentile, summarize
from serving.processes import free_ports

ROOT = Path(__file__).parents[2]
OPERATIONS = {
    *(f"REST {name}" for name in ("one symbol", "ten symbols", "500 own candles", "theories", "health")),
    *(f"gRPC {name}" for name in ("one symbol", "ten symbols", "500 own candles", "theories")),
}


def load(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`make loadtest` with these arguments, ended. locust must stay out of this process: it changes its sockets."""
    command = [sys.executable, "-m", "loadtests.run", "--json", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [percentile(hundred, percent) for percent in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0


def test_operations_are_counted_with_their_failures() -> None:
    record = {
        "REST b": {"milliseconds": [3.0, 1.0, 2.0], "failures": ["refused", "refused"]},
        "REST a": {"milliseconds": [float(value) for value in range(100)], "failures": []},
    }
    outcome = summarize(record, 2.0, generator_cpu_percent=12.0)
    first, second = outcome.operations
    assert (first.name, first.requests, first.failures, first.per_second, first.p99_ms) == (
        "REST a",
        100,
        0,
        50.0,
        98.0,
    )
    assert (second.name, second.failures, second.median_ms, second.p99_ms) == ("REST b", 2, 2.0, None)
    assert outcome.failures == ("REST b: refused",)


@pytest.mark.slow
@pytest.mark.alone
def test_a_short_load_on_both_faces_passes() -> None:
    ended = load("--mode", "inprocess", "--seconds", "3", "--users", "6")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    outcome = json.loads(ended.stdout)
    assert {operation["name"] for operation in outcome["operations"]} <= OPERATIONS
    assert {operation["name"].split()[0] for operation in outcome["operations"]} == {"REST", "gRPC"}
    assert all(operation["median_ms"] > 0 for operation in outcome["operations"])
    assert outcome["failures"] == []


@pytest.mark.slow
@pytest.mark.alone
def test_a_load_on_nobody_fails() -> None:
    http, grpc = free_ports(2)
    ended = load("--url", f"http://127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}", "--seconds", "2", "--users", "4")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    outcome = json.loads(ended.stdout)
    assert all(operation["failures"] == operation["requests"] for operation in outcome["operations"])
    assert {failure.split()[0] for failure in outcome["failures"]} == {"REST", "gRPC"}
