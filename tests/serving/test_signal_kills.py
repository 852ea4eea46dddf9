"""kill -9 of the gateway under load: what was acknowledged is there, what was not is whole or absent, keys go on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.idempotency import LEASE_MS
from core.market import SYMBOLS
from serving.processes import free_ports
from tests.fake_deepseek import KEY, FakeDeepSeek

pytestmark = pytest.mark.slow

READY_SECONDS = 300.0
CALL_SECONDS = 90.0  # longer than the server gives a call
CALLERS = 4
KILLS = 20
AFTER_LEASE_SECONDS = LEASE_MS / 1_000 + 90.0  # the attempt that died blocks its key no longer
SEED = 7
Json = dict[str, Any]  # Any: decoded JSON


class Gateway:
    """A gateway process without supervisor, which is started again over the same state."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.state, self._settings = folder, folder / "state", settings
        self.state.mkdir(exist_ok=True)
        upgrade(f"sqlite:///{self.state}/crpbot.db")
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        http, rpc = free_ports(2)
        self.url = f"http://127.0.0.1:{http}"
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "CRPBOT__HTTP__PORT": str(http),
            "CRPBOT__GRPC__PORT": str(rpc),
            "CRPBOT__RUNTIME__STATE_FOLDER": str(self.state),
            "CRPBOT__SERVING__MODE": "inprocess",
            "CRPBOT__MARKET__SYNTHETIC_EDGE": "false",  # else the hourly limit would soon answer
            "DATA_PROVIDER": "synthetic",
            "MAX_SIGNALS_PER_HOUR": "60",
            **self._settings,
        }
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "serving.app", "gateway"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + READY_SECONDS
        while self.get("/health/ready")[0] != 200:
            assert self.child.poll() is None, (self.folder / "log").read_text()[-2_000:]
            assert time.monotonic() < end, "not ready"
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        if self.child is not None and self.child.poll() is None:
            os.kill(self.child.pid, signal.SIGKILL)
            self.child.wait()

    def get(self, path: str) -> tuple[int, Any]:
        return self._send(urllib.request.Request(self.url + path))

    def generate(self, body: Json, key: str) -> tuple[int, Any]:
        """POST /v1/signals; status 0 means that nobody answered."""
        headers = {"content-type": "application/json", "idempotency-key": key}
        return self._send(urllib.request.Request(self.url + "/v1/signals", json.dumps(body).encode(), headers))

    def until_answered(self, body: Json, key: str, *, seconds: float) -> Json:
        """Repeats the call until it is answered; another attempt's lease may have to end first."""
        end = time.monotonic() + seconds
        while True:
            status, answer = self.generate(body, key)
            if status == 200:
                found: Json = answer
                return found
            assert status in {0, 409, 504}, (status, answer)
            assert time.monotonic() < end, f"{key} stays blocked: {answer}"
            time.sleep(0.1)

    @staticmethod
    def _send(request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except (OSError, ValueError) as error:
            return 0, str(error)


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[Gateway]:
    gateway = Gateway(folder, **settings)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.kill()


class Caller(threading.Thread):
    """Asks under one key after the other, and keeps what was acknowledged."""

    def __init__(self, gateway: Gateway, number: int) -> None:
        super().__init__()
        self.gateway, self.number = gateway, number
        self.acknowledged: dict[str, Json] = {}
        self.lost: dict[str, Json] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        for count in range(1_000_000):
            if self.ended.is_set():
                return
            key = f"{self.number}-{count}"
            body = {"symbols": [SYMBOLS[(self.number + count + step) % len(SYMBOLS)] for step in range(3)]}
            status, answer = self.gateway.generate(body, key)
            if status == 200:
                self.acknowledged[key] = answer
            else:
                self.lost[key] = body
                time.sleep(0.05)


async def count_verified(folder: Path) -> int:
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{folder}/crpbot.db")
    try:
        return (await ledger.verify_audit()).entries
    finally:
        await ledger.close()


def stored(gateway: Gateway) -> list[Json]:
    """Every decision."""
    found: list[Json] = []
    path = "/v1/signals?limit=100"
    while True:
        status, page = gateway.get(path)
        assert status == 200, page
        found += page["signals"]
        if page["next_cursor"] is None:
            return found
        path = f"/v1/signals?limit=100&cursor={page['next_cursor']}"


@pytest.mark.waits
def test_after_twenty_kills_every_acknowledged_signal_is_there_and_the_chain_holds(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    with running(tmp_path) as gateway:
        callers = [Caller(gateway, number) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            for _ in range(KILLS):
                time.sleep(draw.uniform(0.2, 2.0))
                gateway.kill()
                gateway.start()
            end = time.monotonic() + READY_SECONDS
            while sum(3 * len(caller.acknowledged) for caller in callers) <= KILLS:  # a slow machine comes to little
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            for caller in callers:
                caller.ended.set()
            for caller in callers:
                caller.join()
        acknowledged = [
            each for caller in callers for answer in caller.acknowledged.values() for each in answer["signals"]
        ]
        assert len(acknowledged) > KILLS
        rows = {each["id"]: each for each in stored(gateway)}
        assert [each["id"] for each in acknowledged if rows.get(each["id"]) != each] == []
        keys = {key: caller.lost[key] for caller in callers for key in list(caller.lost)[-1:]}
        answers = {key: gateway.until_answered(body, key, seconds=AFTER_LEASE_SECONDS) for key, body in keys.items()}
        for key, answer in answers.items():
            assert [each["symbol"] for each in answer["signals"]] == keys[key]["symbols"]
        assert gateway.get("/v1/risk")[0] == 200
    assert asyncio.run(count_verified(gateway.state)) > len(rows)


def kill_at(gateway: Gateway, rows: int) -> None:
    """kill -9 as soon as so many decisions are stored."""
    end = time.monotonic() + CALL_SECONDS
    with contextlib.closing(sqlite3.connect(f"file:{gateway.state}/crpbot.db?mode=ro", uri=True)) as connection:
        while connection.execute("SELECT count(*) FROM signals").fetchone()[0] < rows:
            assert time.monotonic() < end, "nothing is stored"
            time.sleep(0.001)  # the model's server is a thread of this process
    gateway.kill()


@pytest.mark.alone  # the process must die between the third of ten decisions and the last, which takes a moment
@pytest.mark.parametrize("has_model", [False, True], ids=["rule", "model"])
def test_a_call_of_ten_that_died_halfway_is_finished_with_each_symbol_once(tmp_path: Path, has_model: bool) -> None:
    body, key = {"symbols": list(SYMBOLS)}, "ten"
    with FakeDeepSeek() as server:
        model = {"DEEPSEEK_API_KEY": KEY, "LLM_BASE_URL": server.url, "CRPBOT__DECISION__SKIP_UNANIMOUS_HOLD": "false"}
        gateway, first = die_halfway(tmp_path, body, key, model if has_model else {})
        try:
            assert 3 <= len(first) < len(SYMBOLS)
            answer = gateway.until_answered(body, key, seconds=AFTER_LEASE_SECONDS)
            assert [each["symbol"] for each in answer["signals"]] == list(SYMBOLS)
            rows = {each["id"]: each for each in stored(gateway)}
            assert rows == {each["id"]: each for each in answer["signals"]}
            assert all(rows[each["id"]] == each for each in first)
            assert gateway.until_answered(body, key, seconds=0.0) == answer
        finally:
            gateway.kill()
    assert asyncio.run(count_verified(gateway.state)) >= len(rows)


def die_halfway(folder: Path, body: Json, key: str, settings: Mapping[str, str]) -> tuple[Gateway, list[Json]]:
    """A gateway that died in this call and was started again, and what it had decided by then.

    Tried again with another one where the machine stood still for so long that the call was over.
    """
    for attempt in range(10):
        home = folder / str(attempt)
        home.mkdir()
        gateway = Gateway(home, **settings)
        try:
            gateway.start()
            calling = threading.Thread(target=gateway.generate, args=(body, key))
            calling.start()
            kill_at(gateway, 3)
            calling.join()
            gateway.start()
            first = stored(gateway)
        except BaseException:
            gateway.kill()
            raise
        if len(first) < len(SYMBOLS):
            break
        gateway.kill()
    return gateway, first
