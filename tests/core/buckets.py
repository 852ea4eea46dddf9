"""A bucket on loopback: moto's server, one request at a time as S3 decides conditions, with faults on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "crpbot-test"
Answer = tuple[str, bytes]  # a status line and a body
Fault = Callable[[WSGIEnvironment], Answer | None]


class BucketServer:
    """S3 that answers as told: `fault` may answer in its place, what is `lost` is done and its answer never arrives.

    `ahead` is how much later its clock is.
    """

    def __init__(self) -> None:
        self.fault: Fault = lambda _: None
        self.lost: Callable[[WSGIEnvironment], bool] = lambda _: False
        self.ahead = timedelta()
        self._client: Any = None  # Any: of boto3
        self.requests: list[tuple[str, str]] = []
        self._turn = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def client(self) -> Any:  # Any: of boto3
        if self._client is None:
            self._client = boto3.session.Session().client("s3", endpoint_url=self.address)
        return self._client

    def empty(self) -> None:
        """A new bucket, and no fault."""
        self.fault, self.lost, self.ahead = lambda _: None, lambda _: False, timedelta()
        client = self.client()
        client.create_bucket(Bucket=BUCKET)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for row in page.get("Contents", ()):
                client.delete_object(Bucket=BUCKET, Key=row["Key"])
        self.requests.clear()

    def _handler(self) -> type[WSGIRequestHandler]:
        own = self

        class Handler(WSGIRequestHandler):
            """Has our clock, and prints no line for each request."""

            def log_request(self, *_: object) -> None:
                """Nothing."""

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string((timestamp or time.time()) + own.ahead.total_seconds())

        return Handler

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._turn:
            self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            instead = self.fault(environ)
            if instead is not None:
                start_response(instead[0], [("Content-Length", str(len(instead[1])))])
                return [instead[1]]

            if self.lost(environ):
                list(self._app(environ, lambda *_: lambda _: None))
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return []
            return list(self._app(environ, start_response))


@contextmanager
def serving_bucket() -> Iterator[BucketServer]:
    """The server for as long as it is wanted."""
    server = BucketServer()
    try:
        yield server
    finally:
        server.stop()


def use_bucket(server: BucketServer, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Whoever opens a bucket finds this one, and nothing of the user's."""
    for name, value in {
        "AWS_ENDPOINT_URL": server.address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(home / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(home),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    server.empty()


def refuse(code: str, status: str = "403 Forbidden", *, method: str = "") -> Fault:
    """S3 says no, to all requests or those of one method."""
    body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
    return lambda environ: None if method and environ["REQUEST_METHOD"] != method else (status, body)
