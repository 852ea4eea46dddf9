"""Results over both faces of one gateway, computed in a process of its own: equal, and never on the gateway's loop."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from protos import crpbot_pb2
from serving.processes import descendants
from tests.api.gateways import SECONDS, Running, all_operations, ask_for_results, refusal_of_rest, running_gateway
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
    with running_gateway(build=partial(all_operations, folder=folder)) as gateway:
        ask_for_results(gateway)
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
    (worker,) = workers()
    os.kill(worker, signal.SIGKILL)
    assert ask_for_results(full).json()["performance"]["trades"] == TRADES
    assert workers() != [worker]


def test_a_kill_call_does_not_wait_for_statistics(full: Running) -> None:
    rest(full, "GET", PATH)
    (worker,) = workers()
    ends = time.monotonic() + SECONDS
    overtaken = False
    while not overtaken:  # whoever stops and continues all our processes meanwhile makes the worker go on too soon
        assert time.monotonic() < ends
        with ThreadPoolExecutor(1) as aside:
            os.kill(worker, signal.SIGSTOP)
            try:
                asked = aside.submit(full.rest.get, PATH)
                for level in ("halt", "off"):
                    switch = {"level": level, "by": "test", "reason": "drill"}
                    assert rest(full, "POST", "/v1/kill-switch", switch)["level"] == level
                overtaken = not asked.done()
            finally:
                os.kill(worker, signal.SIGCONT)
            assert asked.result().status_code == 200


def workers() -> list[int]:
    """The processes of this one that compute."""
    commands = {each.pid: Path(f"/proc/{each.pid}/cmdline").read_bytes() for each in descendants(os.getpid())}
    return [pid for pid, command in commands.items() if b"spawn_main" in command]


assert timedelta(hours=6) * TRADES < timedelta(days=28)  # all in the month of FIRST
assert FIRST.day == 2
