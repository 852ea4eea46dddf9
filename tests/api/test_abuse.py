"""What is no proper request at all gets a proper answer on both faces, and the next caller notices nothing."""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import grpc
import pytest

from api.http import Patience
from api.operation import LARGE_BYTES
from api.wire import to_message
from protos import crpbot_pb2
from tests.api.gateways import (
    ANALYZE,
    HOST,
    SECONDS,
    Running,
    refusal_of_bytes,
    refusal_of_grpc,
    refusal_of_rest,
    running_gateway,
)
from tests.fakes import as_columns, walk_candles

POST = b"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
GET = b"GET /v1/theories HTTP/1.1\r\nConnection: close\r\n"


class Body(NamedTuple):
    """A body that REST refuses: status, reason, and what the words must show."""

    content: bytes
    status: int
    reason: str
    shown: str


def price(text: bytes) -> bytes:
    """A body with one price written as this text."""
    rest = b'"symbol":"BTC-USD","interval":"5m","open_times_ms":[],"high":[],"low":[],"close":[],"volume":[]'
    return b'{"candles":[{%s,"open":[%s]}]}' % (rest, text)


BODIES = {
    "empty": Body(b"", 400, "MALFORMED_JSON", "EOF"),
    "truncated": Body(b'{"symbol": "BTC-', 400, "MALFORMED_JSON", "EOF"),
    "no object": Body(b'["BTC-USD"]', 422, "INVALID_FIELD", "body: "),
    "not UTF-8": Body(b'{"symbol": "\xff\xfe"}', 400, "MALFORMED_JSON", "unicode"),
    "half a surrogate": Body(b'{"symbol": "\\ud800"}', 400, "MALFORMED_JSON", "escape"),
    "two values": Body(b"{} {}", 400, "MALFORMED_JSON", "trailing"),
    "nested deeply": Body(b'{"symbol":' + b"[" * 100_000, 400, "MALFORMED_JSON", "recursion"),
    "unknown field": Body(b'{"symbol": "BTC-USD", "leverage": 3}', 422, "INVALID_FIELD", "leverage: "),
    "unknown field inside": Body(b'{"ccxt": [{"tick": 1}]}', 422, "INVALID_FIELD", "ccxt.0."),
    "text for a number": Body(
        b'{"window": "300"}', 422, "INVALID_FIELD", "window: Input should be a valid integer; found"
    ),
    "true for a number": Body(b'{"window": true}', 422, "INVALID_FIELD", "found True"),
    "a fraction of a window": Body(b'{"window": 300.5}', 422, "INVALID_FIELD", "window: "),
    "a window of 4000 digits": Body(b'{"window": %s}' % (b"9" * 4_000), 422, "INVALID_FIELD", "window: "),
    "number for text": Body(b'{"symbol": 7}', 422, "INVALID_FIELD", "symbol: "),
    "null for a list": Body(b'{"symbols": null}', 422, "INVALID_FIELD", "symbols: "),
    "text for a price": Body(price(b'"1.5"'), 422, "INVALID_FIELD", "candles.0.open.0: "),
    "true for a price": Body(price(b"true"), 422, "INVALID_FIELD", "candles.0.open.0: "),
    "NaN": Body(price(b"NaN"), 422, "INVALID_FIELD", "candles.0.open.0: Input should be a finite number; found nan"),
    "Infinity": Body(price(b"-Infinity"), 422, "INVALID_FIELD", "found -inf"),
    "1e400": Body(price(b"1e400"), 422, "INVALID_FIELD", "found inf"),
    "a key twice": Body(b'{"symbol": "BTC-USD", "symbol": "ETH-USD"}', 422, "DUPLICATE_KEY", "symbol: "),
    "a key twice, escaped": Body(b'{"symbol": "BTC-USD", "s\\u0079mbol": "ETH-USD"}', 422, "DUPLICATE_KEY", "symbol: "),
    "a key twice, inside": Body(
        b'{"ccxt": [{"symbol": "BTC-USD", "interval": "5m", "rows": [], "symbol": "ETH-USD"}]}',
        422,
        "DUPLICATE_KEY",
        "symbol: ",
    ),
    "10 MB": Body(b" " * 10_000_000, 413, "BODY_TOO_LARGE", "4,194,304 bytes"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_bad_body_is_a_problem_that_names_it(running: Running, body: Body) -> None:
    refusal = refusal_of_rest(running.post(body.content))
    assert (refusal.status, refusal.reason) == (body.status, body.reason)
    assert body.shown in refusal.detail
    running.assert_alive()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_a_body_of_another_type_is_refused(running: Running, content_type: str) -> None:
    refusal = refusal_of_rest(running.post(b'{"symbol":"BTC-USD"}', content_type=content_type))
    assert (refusal.status, refusal.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert content_type in refusal.detail


def test_the_type_may_carry_a_character_set(running: Running) -> None:
    content_type = "Application/JSON; charset=utf-8"
    answer = running.post(b'{"symbol":"BTC-USD","theories":["hurst_exponent"]}', content_type=content_type)
    assert answer.status_code == 200


def test_a_body_without_announced_length_is_cut_off_at_the_limit(running: Running) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 4 * LARGE_BYTES:
            sent += 65_536
            yield b" " * 65_536

    answer = running.rest.post("/v1/analyze", content=endless(), headers={"content-type": "application/json"})
    assert refusal_of_rest(answer).status == 413
    running.assert_alive()


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e400", "soon", "", "1,5"])
def test_a_time_limit_that_is_none_is_refused(running: Running, text: str) -> None:
    refusal = refusal_of_rest(running.post(b'{"symbol":"BTC-USD"}', x_request_timeout=text))
    assert (refusal.status, refusal.fields) == (422, ("x-request-timeout",))
    assert repr(text) in refusal.detail


@pytest.mark.parametrize(
    ("request_bytes", "status", "reason"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "MALFORMED_HTTP", id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "MALFORMED_HTTP", id="HTTP/2"),
        pytest.param(b"\x00" * 1_000, 400, "MALFORMED_HTTP", id="zeros"),
        pytest.param(b"CONNECT crpbot.dev:443 HTTP/1.1\r\n\r\n", 400, "MALFORMED_HTTP", id="proxy"),
        pytest.param(
            POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "MALFORMED_HTTP",
            id="smuggled",
        ),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", 400, "MALFORMED_HTTP", id="negative length"),
        pytest.param(GET + b"Host: evil.example\r\n\r\n", 403, "HOST_NOT_ALLOWED", id="foreign host"),
        pytest.param(GET + b"\r\n", 403, "HOST_NOT_ALLOWED", id="no host"),
        pytest.param(
            GET + b"Host: 127.0.0.1\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE", id="long header"
        ),
        pytest.param(b"GET /" + b"a" * 17_000, 431, "HEADERS_TOO_LARGE", id="endless line"),
        pytest.param(GET.replace(b"theories", b"oracles") + b"Host: localhost\r\n\r\n", 404, "NO_SUCH_PATH", id="path"),
        pytest.param(GET.replace(b"GET", b"PUT") + b"Host: localhost\r\n\r\n", 405, "METHOD_NOT_ALLOWED", id="method"),
    ],
)
def test_bytes_that_are_no_good_request_get_a_problem(
    running: Running, request_bytes: bytes, status: int, reason: str
) -> None:
    refusal = refusal_of_bytes(running.send(request_bytes))
    assert (refusal.status, refusal.reason) == (status, reason)
    running.assert_alive()


def test_half_a_body_is_refused_when_its_time_is_over() -> None:
    with running_gateway(patience=Patience(header_seconds=SECONDS, body_seconds=0.3)) as impatient:
        refusal = refusal_of_bytes(impatient.send(POST + b"Content-Length: 900\r\n\r\n{"))
        assert (refusal.status, refusal.reason) == (408, "BODY_TIMEOUT")
        impatient.assert_alive()


HEADER_SECONDS = 0.3


@pytest.fixture(scope="module")
def impatient() -> Iterator[Running]:
    """A gateway that waits a fraction of a second for headers where the real one waits for ten."""
    with running_gateway(patience=Patience(header_seconds=HEADER_SECONDS)) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "half",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /health/live HTTP/1.1\r\nHost: 127.0", id="headers"),
        pytest.param(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /health", id="a second request"),
    ],
)
def test_half_sent_headers_are_closed_when_their_time_is_over(impatient: Running, half: bytes) -> None:
    ends = time.monotonic() + SECONDS
    while True:
        started = time.monotonic()
        answer = until_closed(impatient, half)
        assert time.monotonic() - started > 0.9 * HEADER_SECONDS
        if answer.count(b"HTTP/1.1 200 OK") == half.count(b"\r\n\r\n"):
            return
        assert time.monotonic() < ends  # this machine stood still, and even the whole request before came too late


def until_closed(impatient: Running, half: bytes) -> bytes:
    """What comes back until the server closes, although there is a byte more now and then."""
    answer = b""
    ends = time.monotonic() + SECONDS
    with socket.create_connection((HOST, impatient.gateway.http_port), timeout=0.05) as connection:
        connection.sendall(half)
        with contextlib.suppress(ConnectionError):  # it was closed before we heard of it
            while time.monotonic() < ends:
                try:
                    data = connection.recv(65_536)
                except TimeoutError:
                    connection.sendall(b"X" if half else b"")
                    continue
                if not data:
                    break
                answer += data
    assert time.monotonic() < ends, "a byte now and then bought time"
    impatient.assert_alive()
    return answer


def test_a_client_that_leaves_inside_its_body_disturbs_nobody(running: Running) -> None:
    with socket.create_connection((HOST, running.gateway.http_port)) as connection:
        connection.sendall(POST + b"Content-Length: 900\r\n\r\n{")
    running.assert_alive()


def test_bytes_that_are_no_grpc_leave_the_port_alive(running: Running) -> None:
    running.send(b"garbage" * 1_000 + b"\r\n\r\n", port=running.gateway.grpc_port)
    running.assert_alive()


def no_number() -> bytes:
    """A message with a price that is none, which JSON could not even write."""
    own = as_columns(walk_candles(count=210))
    return to_message(replace(own, close=(*own.close[:-1], math.nan)), crpbot_pb2.CandleColumns).SerializeToString()


NAN_PRICE = crpbot_pb2.AnalyzeRequest(candles=[crpbot_pb2.CandleColumns.FromString(no_number())])


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        pytest.param(b"\xff\xff\xff\xff", "MALFORMED_MESSAGE", "no message", id="garbage"),
        pytest.param(b"\x0a\x02\xff\xfe", "MALFORMED_MESSAGE", "UTF-8", id="no UTF-8"),
        pytest.param(b"\x0a\x7f", "MALFORMED_MESSAGE", "no message", id="truncated"),
        pytest.param(
            b"\xa0\x06\x01" * 100_000, "UNKNOWN_FIELD", "AnalyzeRequest: unknown field number 100", id="unknown"
        ),
        pytest.param(NAN_PRICE.SerializeToString(), "INVALID_FIELD", "candles.0.close: row 209: nan is not", id="NaN"),
        pytest.param(
            crpbot_pb2.AnalyzeRequest(ccxt=[crpbot_pb2.CcxtCandles(rows=[["1"]])]).SerializeToString(),
            "INVALID_FIELD",
            "ccxt.0.rows.0.0: is not a number",
            id="text for a number",
        ),
    ],
)
def test_a_bad_message_is_an_invalid_argument(running: Running, data: bytes, reason: str, words: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        running.call(ANALYZE, data)
    refusal = refusal_of_grpc(caught.value)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.reason, bool(refusal.request_id)) == (reason, True)
    assert words in refusal.detail
    running.assert_alive()


@pytest.mark.parametrize(
    ("method", "data", "metadata", "status"),
    [
        pytest.param(ANALYZE, b"\x0a" * 5_000_000, (), grpc.StatusCode.RESOURCE_EXHAUSTED, id="5 MB"),
        pytest.param(ANALYZE, b"", (("x", "y" * 40_000),), grpc.StatusCode.RESOURCE_EXHAUSTED, id="40 KB of metadata"),
        pytest.param("/crpbot.v1.AnalysisService/Predict", b"", (), grpc.StatusCode.UNIMPLEMENTED, id="unknown method"),
    ],
)
def test_a_call_out_of_bounds_gets_the_right_status(
    running: Running, method: str, data: bytes, metadata: tuple[tuple[str, str], ...], status: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        running.call(method, data, metadata=metadata)
    assert caught.value.code() is status
    running.assert_alive()
