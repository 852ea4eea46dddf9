"""A gateway of the tests' own, in this process, on free ports, and both ways to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import uvloop
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from api.gateway import Address, Gateway
from api.metrics import Metrics
from api.operation import Operation
from api.operations import analysis_operations
from api.readiness import Check, Readiness
from core.adapters.ledger.ledger import Ledger
from core.desk import Defaults, Desk
from core.fitted import NOTHING_FITTED
from core.panel import LocalAnalysts
from core.ports import Analysts
from core.settings.sources import load_settings
from protos import crpbot_pb2
from serving.app import build_local_desk, build_records
from serving.product import build_product
from serving.sources import build_market
from tests.fakes import FakeMarket, fixed_clock

HOST = "127.0.0.1"
# generous all of them: a machine that stalls must not change an outcome, and nobody waits for their end
SECONDS = 60.0  # that the gateway gives a call
CLIENT_SECONDS = 90.0  # longer: whatever takes too long is for the gateway to say
ANALYZE = "/crpbot.v1.AnalysisService/Analyze"


@dataclass(frozen=True)
class Refusal:
    """An error as both faces tell it, side by side."""

    status: int
    code: str
    reason: str
    detail: str
    fields: tuple[str, ...]
    request_id: str


@dataclass(frozen=True)
class Running:
    """A gateway that serves."""

    gateway: Gateway
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    rest: httpx.Client
    channel: grpc.Channel

    def stop(self) -> None:
        """Asks for the end; the thread ends when the requests in flight are answered."""
        self.loop.call_soon_threadsafe(self.gateway.stop)

    def call(self, method: str, request: Message | bytes, *, seconds: float = CLIENT_SECONDS, **options: Any) -> bytes:
        """One gRPC call, bytes out and bytes in; an error is a grpc.RpcError."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        answer: bytes = self.channel.unary_unary(method)(data, timeout=seconds, **options)
        return answer

    def events(self, method: str, request: Message) -> list[bytes]:
        """All answers of a gRPC stream, to its end."""
        call: Any = self.channel.unary_stream  # Any: the stubs know no call without serializers
        return list(call(f"/crpbot.v1.{method}")(request.SerializeToString(), timeout=CLIENT_SECONDS))

    def analyze(self, request: crpbot_pb2.AnalyzeRequest) -> crpbot_pb2.AnalyzeResponse:
        """The gRPC face's analysis."""
        return crpbot_pb2.AnalyzeResponse.FromString(self.call(ANALYZE, request))

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        """The REST face's answer to these bytes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.rest.post("/v1/analyze", content=body, headers={"content-type": "application/json", **named})

    def send(self, data: bytes, *, port: int | None = None, seconds: float = CLIENT_SECONDS) -> bytes:
        """Raw bytes to a port, and all that comes back until the server closes."""
        with socket.create_connection((HOST, port or self.gateway.http_port), timeout=seconds) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    def assert_alive(self) -> None:
        """Both faces still answer."""
        assert self.rest.get("/health/live").json() == {"status": "alive"}
        assert self.call("/crpbot.v1.AnalysisService/ListTheories", b"")


def refusal_of_rest(response: httpx.Response) -> Refusal:
    """The problem in a REST answer."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    fields = tuple(error["field"] for error in problem["errors"])
    return Refusal(
        problem["status"], problem["code"], problem["reason"], problem["detail"], fields, problem["request_id"]
    )


def refusal_of_bytes(answer: bytes) -> Refusal:
    """The problem in an answer read from a bare socket."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return refusal_of_rest(httpx.Response(int(status.split(" ")[1]), headers=headers, content=body))


def refusal_of_grpc(error: grpc.RpcError) -> Refusal:
    """The google.rpc details in a gRPC error."""
    trailer = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailer["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    fields = tuple(violation.field for violation in bad.field_violations)
    return Refusal(
        status.code, info.metadata["code"], info.reason, error.details(), fields, info.metadata["request_id"]
    )


def ask_for_results(running: Running) -> httpx.Response:
    """Every statistic, once there is a process that computes them: its start may take longer than a caller waits."""
    ends = time.monotonic() + 5 * SECONDS
    while (answer := running.rest.get("/v1/performance")).status_code != 200:
        assert refusal_of_rest(answer).reason in {"WORKER_ENDED", "DEADLINE_EXCEEDED"}
        assert time.monotonic() < ends
    return answer


async def fake_operations(metrics: Metrics, analysts: Analysts | None = None) -> tuple[Operation, ...]:
    """The analysis operations over the fake market; no ledger."""
    desk = Desk(
        market=FakeMarket(),
        analysts=analysts or LocalAnalysts(time.monotonic),
        now=fixed_clock,
        defaults=Defaults("5m", 500),
    )
    return analysis_operations(desk, metrics)


async def all_operations(metrics: Metrics, folder: Path, **changes: str) -> tuple[Operation, ...]:
    """Every operation, as the server itself puts them together: over the synthetic market and a ledger in `folder`.

    The market is the one without the edge: where theories lean in every window, the hourly limit would soon answer
    instead of them.
    """
    own = {"CRPBOT__RUNTIME__STATE_FOLDER": str(folder), "CRPBOT__MARKET__SYNTHETIC_EDGE": "false"}
    settings = load_settings({**own, **changes}, folder).settings
    ledger = await Ledger.open(settings.database_url.get_secret_value())
    source = build_market(settings)
    desk = build_local_desk(settings, source=source, records=build_records(ledger))
    product = await build_product(
        settings, desk=desk, source=source, ledger=ledger, library=lambda: NOTHING_FITTED, metrics=metrics
    )
    return product.operations


@contextlib.contextmanager
def running_gateway(
    *,
    analysts: Analysts | None = None,
    checks: Mapping[str, Check] | None = None,
    notes: Mapping[str, Check] | None = None,
    build: Callable[[Metrics], Awaitable[Sequence[Operation]]] | None = None,
    **options: Any,
) -> Iterator[Running]:
    """A gateway in a thread of its own, with an event loop as in production; drained at the end."""
    made: Future[tuple[Gateway, asyncio.AbstractEventLoop]] = Future()

    async def serve() -> None:
        metrics = Metrics()
        operations = await (build(metrics) if build else fake_operations(metrics, analysts))
        faces = {"http": Address(HOST, 0), "grpc": Address(HOST, 0), "timeout_seconds": SECONDS, **options}
        readiness = Readiness(checks or {}, notes=notes)
        gateway = Gateway(operations, readiness=readiness, metrics=metrics, **faces)
        made.set_result((gateway, asyncio.get_running_loop()))
        await gateway.run()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(serve())
            except BaseException as error:
                if not made.done():
                    made.set_exception(error)
                raise

    thread = threading.Thread(target=run, name="gateway")
    thread.start()
    gateway, loop = made.result(timeout=CLIENT_SECONDS)
    with (
        httpx.Client(base_url=f"http://{HOST}:{gateway.http_port}", timeout=CLIENT_SECONDS, trust_env=False) as rest,
        grpc.insecure_channel(f"{HOST}:{gateway.grpc_port}") as channel,
    ):
        running = Running(gateway, loop, thread, rest, channel)
        try:
            _wait_until_listening(gateway.http_port)
            yield running
        finally:
            if thread.is_alive():
                running.stop()
            thread.join(CLIENT_SECONDS)
            assert not thread.is_alive(), "the gateway did not end"


def _wait_until_listening(port: int) -> None:
    """The socket is bound at once, but taken into service a moment later."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection((HOST, port), timeout=SECONDS).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the gateway does not listen"
            time.sleep(0.01)
