"""Results over both faces of one gateway, computed in a process of its own: equal, and never on the gateway's loop."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from protos import crpbot_pb2
from serving.processes import descendants
from tests.api.gateways import Running, all_operations, refusal_of_rest, running_gateway
from tests.api.test_risk_faces import rest, rpc
from tests.core.books import seeded
from tests.core.results_world import FIRST, fill

PATH = "/v1/performance"
TRADES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("results")
    url = f"sqlite:///{made}/crpbot.db"
    upgrade(url)

    async def fill_it() -> None:
        ledger = await Ledger.open(url)
        try:
            await seeded(ledger)
            await fill(ledger, TRADES)
        finally:
            await ledger.close()

    asyncio.run(fill_it())
    return made


@pytest.fixture(scope="module")
def full(folder: Path) -> Iterator[Running]:
    with running_gateway(build=partial(all_operations, folder=folder), timeout_seconds=20.0) as gateway:
        gateway.rest.get(PATH, timeout=60.0)  # starts the process that computes, which may take a while
        yield gateway


def told(value: Any) -> Any:  # Any: decoded JSON of any shape
    """An answer of REST in the words of gRPC: whole numbers as text, what is absent left out, enums by name."""
    if isinstance(value, dict):
        return {name: told(each) for name, each in value.items() if each is not None}
    return [told(each) for each in value] if isinstance(value, list) else value


def numbers(value: Any) -> list[float]:
    """Every number of an answer in the order of its fields, however a face spells it."""
    if isinstance(value, dict):
        return [number for name in sorted(value) for number in numbers(value[name])]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    try:
        return [float(value)]
    except (TypeError, ValueError):
        return []


@pytest.mark.parametrize(
    ("path", "method", "answer"),
    [
        ("", "GetPerformance", crpbot_pb2.PerformanceReport),
        ("/review", "GetReview", crpbot_pb2.Review),
        ("/equity", "GetEquity", crpbot_pb2.EquityCurve),
        ("/calibration", "GetCalibration", crpbot_pb2.Calibration),
        ("/contribution", "GetContribution", crpbot_pb2.ContributionReport),
    ],
)
def test_both_faces_tell_the_same_numbers(full: Running, path: str, method: str, answer: Any) -> None:
    seen = rest(full, "GET", f"{PATH}{path}?symbol=BTC-USD&account=paper")
    same = rpc(full, f"PerformanceService/{method}", {"symbol": "BTC-USD", "account": "paper"}, answer)
    assert len(numbers(seen)) > 3
    assert sorted(each for each in numbers(told(seen)) if each) == sorted(each for each in numbers(same) if each)


def test_results_are_grouped_and_say_what_they_do_not_prove(full: Running) -> None:
    found = rest(full, "GET", f"{PATH}?group_by=period")
    assert [(group["key"], group["performance"]["trades"]) for group in found["groups"]] == [("2026-11", TRADES)]
    assert found["performance"]["win_rate"]["n"] == TRADES
    assert found["performance"]["win_rate"]["method"] == "exact"
    assert found["wins_more_than_half"]["answer"] == "not_decidable_yet"
    assert found["wins_more_than_half"]["trades_needed"] > 0


def test_an_evaluation_asked_for_is_stored_once_under_its_key(full: Running) -> None:
    key = {"idempotency-key": "evaluate-1"}
    first = rest(full, "POST", f"{PATH}/theories", {}, **key)
    assert rest(full, "POST", f"{PATH}/theories", {}, **key) == first
    stored = rest(full, "GET", f"{PATH}/theories?symbol=ALL&limit=500")["evaluations"]
    assert [each["theory"] for each in stored] == [
        each["theory"] for each in first["evaluations"] if each["symbol"] == "ALL"
    ]
    assert {each["trades"] for each in stored} == {TRADES}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?account=nobody", 404),
        ("?symbol=NOPE-USD", 404),
        ("?group_by=colour", 422),
        ("?since=2999-01-01T00:00:00Z", 422),
        ("/theories?limit=501", 422),
        ("/contribution?account=nobody", 404),
    ],
)
def test_a_question_that_has_no_answer_is_refused(full: Running, query: str, status: int) -> None:
    assert refusal_of_rest(full.rest.get(f"{PATH}{query}")).status == status


def test_a_worker_that_is_killed_is_replaced(full: Running) -> None:
    rest(full, "GET", PATH)
    assert end_workers() == 1
    ends = time.monotonic() + 60
    while (answer := full.rest.get(PATH, timeout=30)).status_code == 503:
        assert refusal_of_rest(answer).reason == "WORKER_ENDED"
        assert time.monotonic() < ends
    assert answer.json()["performance"]["trades"] == TRADES


def test_a_kill_call_does_not_wait_for_statistics(full: Running) -> None:
    rest(full, "GET", PATH)
    ends = time.monotonic() + 2.0
    busy: list[int] = []

    def ask() -> None:
        while time.monotonic() < ends:
            busy.append(full.rest.get(f"{PATH}?group_by=symbol").status_code)

    thread = Thread(target=ask)
    thread.start()
    waits = []
    while time.monotonic() < ends:
        started = time.monotonic()
        assert full.rest.get("/health/live").status_code == 200
        waits.append(time.monotonic() - started)
    thread.join()
    assert set(busy) == {200}
    assert sorted(waits)[len(waits) // 2] < 0.05  # a question about results takes several times as long


def end_workers() -> int:
    """Kill the processes of this one that compute; their number."""
    commands = {each: Path(f"/proc/{each.pid}/cmdline").read_bytes() for each in descendants(os.getpid())}
    workers = [each for each, command in commands.items() if b"spawn_main" in command]
    for each in workers:
        os.kill(each.pid, signal.SIGKILL)
    return len(workers)


assert timedelta(hours=6) * TRADES < timedelta(days=28)  # all in the month of FIRST
assert FIRST.day == 2
