"""Users of both faces. `make loadtest` runs them; `locust -f loadtests/locustfile.py` shows them in a browser.

Rules that keep the generator out of the figures: fast HTTP users, a fixed wait, at most 100 users a process. Times are
kept as measured, because locust itself rounds them to whole milliseconds.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
from grpc.experimental import gevent as grpc_gevent
from locust import FastHttpUser, User, constant, events, task
from locust.env import Environment

from loadtests.payloads import encode, one_symbol, own_candles, ten_symbols
from protos import crpbot_pb2, crpbot_pb2_grpc

WAIT_SECONDS: Final = 0.1
TIMEOUT_SECONDS: Final = 10.0
HEADERS: Final = {"Content-Type": "application/json"}
BODIES: Final = {name: make() for name, make in (("one", one_symbol), ("ten", ten_symbols), ("own", own_candles))}
JSON: Final = {name: encode(body) for name, body in BODIES.items()}
MESSAGES: Final = {name: crpbot_pb2.AnalyzeRequest(**body) for name, body in BODIES.items()}

grpc_gevent.init_gevent()  # gRPC's own threads wait in gevent's loop from here on


class RestUser(FastHttpUser):
    """Asks over REST."""

    wait_time = constant(WAIT_SECONDS)
    connection_timeout = TIMEOUT_SECONDS
    network_timeout = TIMEOUT_SECONDS

    @task(4)
    def analyze_one_symbol(self) -> None:
        self._analyze("one", "one symbol", windows=1)

    @task(2)
    def analyze_ten_symbols(self) -> None:
        self._analyze("ten", "ten symbols", windows=10)

    @task(2)
    def analyze_own_candles(self) -> None:
        self._analyze("own", "500 own candles", windows=1)

    @task(1)
    def list_theories(self) -> None:
        self.client.get("/v1/theories", name="theories")

    @task(1)
    def ask_readiness(self) -> None:
        self.client.get("/health/ready", name="health")

    def _analyze(self, body: str, name: str, *, windows: int) -> None:
        """An answer without all its readings is a failure here, although the server calls it partial."""
        with self.client.post(
            "/v1/analyze", data=JSON[body], headers=HEADERS, name=name, catch_response=True
        ) as response:
            if response.status_code == 200 and response.content.count(b'"missing":[]') != windows:
                response.failure("partial answer")


class GrpcUser(User):
    """Asks over gRPC, all calls of a user on one channel."""

    wait_time = constant(WAIT_SECONDS)

    def on_start(self) -> None:
        self._channel = grpc.insecure_channel(self.environment.parsed_options.grpc_address)
        self._stub = crpbot_pb2_grpc.AnalysisServiceStub(self._channel)

    def on_stop(self) -> None:
        self._channel.close()

    @task(4)
    def analyze_one_symbol(self) -> None:
        self._call("one symbol", self._stub.Analyze, MESSAGES["one"])

    @task(2)
    def analyze_ten_symbols(self) -> None:
        self._call("ten symbols", self._stub.Analyze, MESSAGES["ten"])

    @task(2)
    def analyze_own_candles(self) -> None:
        self._call("500 own candles", self._stub.Analyze, MESSAGES["own"])

    @task(1)
    def list_theories(self) -> None:
        self._call("theories", self._stub.ListTheories, crpbot_pb2.ListTheoriesRequest())

    def _call(self, name: str, method: Callable[..., Any], request: Any) -> None:  # Any: gRPC's stubs are untyped
        error: Exception | None = None
        length = 0
        started = time.perf_counter()
        try:
            answer = method(request, timeout=TIMEOUT_SECONDS)
            length = answer.ByteSize()
            if any(analysis.missing for analysis in getattr(answer, "analyses", ())):
                error = RuntimeError("partial answer")
        except grpc.RpcError as refused:
            error = refused
        milliseconds = 1_000 * (time.perf_counter() - started)
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=milliseconds,
            response_length=length,
            exception=error,
            context={},
        )


class Recorder:
    """The exact time of every request, written to a file at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._times: dict[str, list[float]] = defaultdict(list)
        self._failures: dict[str, list[str]] = defaultdict(list)

    def note(
        self,
        request_type: str,
        name: str,
        response_time: float,
        exception: BaseException | None = None,
        **_: Any,  # Any: what else locust tells
    ) -> None:
        operation = f"{'gRPC' if request_type == 'grpc' else 'REST'} {name}"
        self._times[operation].append(response_time)
        if exception is not None:
            self._failures[operation].append(str(exception))

    def write(self, **_: Any) -> None:  # Any: what locust tells
        operations = {
            operation: {"milliseconds": times, "failures": self._failures[operation]}
            for operation, times in self._times.items()
        }
        self._file.write_text(json.dumps(operations))


@events.init_command_line_parser.add_listener
def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--grpc-address", default="127.0.0.1:9000", help="Where the gRPC face listens.")
    parser.add_argument("--record", default="", help="File for the time of every request, as JSON.")


@events.init.add_listener
def _record(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    if options is not None and options.record:
        recorder = Recorder(Path(options.record))
        environment.events.request.add_listener(recorder.note)
        environment.events.quitting.add_listener(recorder.write)
