"""The supervisor without Ray: who may start, how it ends, and the rooms it is built from."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from core.settings.catalogue import catalogue
from serving import probe
from serving.orders import Orders, Stopped
from serving.probe import readiness
from serving.processes import descendants, free_ports, identify
from serving.ray_head import without_secrets
from serving.restarts import LIFE_THAT_COUNTS_SECONDS, PAUSES, Restarts
from serving.session import read_session
from tests.cli.conftest import other_program
from tests.serving.running import Server, running_server

WITHOUT_RAY = {"CRPBOT__SERVING__MODE": "inprocess"}
BODY = b'{"symbol": "BTC-USD"}'


def test_a_second_start_in_a_folder_is_refused_and_the_first_serves_on_until_it_has_answered(tmp_path: Path) -> None:
    with running_server(tmp_path, WITHOUT_RAY) as first:
        second = Server(tmp_path, WITHOUT_RAY, wait=False)
        assert second.end_by_itself() == 1
        assert f"a server already runs from {first.state} (pid {first.child.pid})" in second.output
        assert "Traceback" not in second.output
        record = read_session(first.state)
        assert record is not None
        assert record.supervisor == identify(first.child.pid)
        first.kill("serving.app gateway")
        first.wait_for("/health/ready", 200)
        end_with_a_request_in_flight(first)


def end_with_a_request_in_flight(server: Server) -> None:
    """SIGTERM when half a request is sent: it is still answered, and no new one is asked for."""
    family = descendants(server.child.pid)
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=60) as caller:
        head = f"POST /v1/analyze HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(BODY)}\r\n"
        caller.sendall(head.encode() + b"content-type: application/json\r\n\r\n" + BODY[:5])
        server.child.send_signal(signal.SIGTERM)
        ends = time.monotonic() + 300.0
        while server.get("/health/ready")[0] == 200:
            assert time.monotonic() < ends, "it does not say that it ends"
            time.sleep(0.05)  # then it says that it is not, or its doors are closed already
        caller.sendall(BODY[5:])
        answer = b"".join(iter(lambda: caller.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"BTC-USD"' in answer
    assert server.end_by_itself() == 0
    assert [process for process in family if identify(process.pid) == process] == []
    assert not (server.state / "session.json").exists()


def test_a_taken_port_ends_the_start_and_leaves_nothing_on_record(tmp_path: Path) -> None:
    with other_program(tmp_path) as (pid, port):
        server = Server(tmp_path, {**WITHOUT_RAY, "CRPBOT__GRPC__PORT": str(port)}, wait=False)
        assert server.end_by_itself() == 1
    assert f"port {port} for gRPC is taken by pid {pid}: " in server.output
    assert "Traceback" not in server.output
    assert not (server.state / "session.json").exists()


def test_ctrl_c_during_the_start_leaves_nobody_and_nothing_on_record(tmp_path: Path) -> None:
    server = Server(tmp_path, WITHOUT_RAY, wait=False)
    deadline = time.monotonic() + 60.0
    while not (family := server.family()):  # the first of them brings the ledger up to date
        assert time.monotonic() < deadline, server.logs()
        time.sleep(0.02)
    server.child.send_signal(signal.SIGINT)
    assert server.end_by_itself() == 0
    assert [process for process in family if identify(process.pid) == process] == []
    assert not (server.state / "session.json").exists()
    assert '"REST"' not in server.output, "it was ready before anybody pressed Ctrl-C"


@pytest.fixture
def hangup() -> Iterator[Callable[[signal.Handlers], None]]:
    """Sets what happens when the terminal closes, whatever the tests themselves were started with."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def test_the_first_signal_asks_for_the_end_and_ctrl_c_after_it_for_the_end_at_once(
    hangup: Callable[[signal.Handlers], None],
) -> None:
    hangup(signal.SIG_DFL)
    before = signal.getsignal(signal.SIGINT)
    orders = Orders()
    with orders.heard():
        orders.raise_if_end()
        os.kill(os.getpid(), signal.SIGHUP)
        assert (orders.end, orders.from_keyboard, orders.at_once) == (True, False, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert not orders.at_once
        os.kill(os.getpid(), signal.SIGINT)
        assert orders.at_once
        with pytest.raises(Stopped):
            orders.raise_if_end()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_server_started_with_nohup_does_not_hear_the_terminal_close(
    hangup: Callable[[signal.Handlers], None],
) -> None:
    hangup(signal.SIG_IGN)
    orders = Orders()
    with orders.heard():
        os.kill(os.getpid(), signal.SIGHUP)
        assert not orders.end


def test_the_pause_grows_with_each_short_life_and_a_long_one_forgets_them() -> None:
    now = 1_000.0
    lives = Restarts(lambda: now)
    assert lives.is_due()
    for pause in (*PAUSES, PAUSES[-1]):
        lives.begin()
        lives.ended()
        now += pause - 0.01
        assert not lives.is_due()
        now += 0.02
        assert lives.is_due()
    lives.begin()
    now += LIFE_THAT_COUNTS_SECONDS + 1.0
    lives.ended()
    now += PAUSES[0]
    assert lives.is_due()


def test_a_start_that_fails_by_itself_is_not_tried_again_at_once() -> None:
    now = 0.0
    lives = Restarts(lambda: now)
    lives.begin()
    assert not lives.is_due()


def test_ray_gets_no_secret_and_everything_else() -> None:
    secrets = {spelling: "canary" for each in catalogue() if each.secret for spelling in each.spellings}
    assert {"DB_URL", "DEEPSEEK_API_KEY_FILE", "COINBASE_API_KEY"} <= set(secrets)
    assert without_secrets({**secrets, "PATH": "/bin", "LOG_LEVEL": "INFO"}) == {"PATH": "/bin", "LOG_LEVEL": "INFO"}


def test_keys_of_aws_reach_ray_only_where_its_models_are_in_a_bucket() -> None:
    found = {"AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "x", "AWS_ACCESS_KEY_ID": "x", "AWS_PROFILE": "desk"}
    assert without_secrets(found, models="data/models") == {"AWS_PROFILE": "desk"}
    assert without_secrets(found, models="s3://bucket/models") == found


@contextmanager
def answering(status: int, content: str) -> Iterator[str]:
    """A server on loopback that gives everybody the same answer; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


SICK = {"ready": False, "conditions": [{"name": "ledger", "problem": "away"}, {"name": "analysts", "problem": None}]}


@pytest.mark.parametrize(
    ("status", "content", "problem"),
    [
        (200, '{"ready": true, "conditions": []}', ""),
        (503, json.dumps(SICK), "ledger: away"),
        (404, '{"detail": "no such page"}', "status 404 from something that is not the gateway"),
        (200, "<html>", "status 200 from something that is not the gateway"),
        (502, "[]", "status 502 from something that is not the gateway"),
        (503, '{"ready": false, "conditions": []}', "status 503"),
    ],
)
def test_only_the_gateways_own_yes_counts_as_ready(
    monkeypatch: pytest.MonkeyPatch, status: int, content: str, problem: str
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setattr(probe, "PROBE_SECONDS", 60.0)
    with answering(status, content) as url:
        assert readiness(url) == problem


def test_a_gateway_that_does_not_answer_is_not_ready() -> None:
    assert "does not answer" in readiness(f"http://127.0.0.1:{free_ports(1)[0]}")
