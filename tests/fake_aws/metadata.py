"""What a machine on AWS can ask about itself: its name, its place, its role's keys, and whether it is to be taken away.

As IMDSv2: nothing without a token, and a token only by PUT with its life in seconds. `with FakeMetadata() as metadata:`
serves `metadata.url`, which belongs into AWS_EC2_METADATA_SERVICE_ENDPOINT.
"""

from __future__ import annotations

import json
import secrets
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

MOST_TOKEN_SECONDS = 21_600  # six hours
NOTICE_SECONDS = 120.0  # between AWS's word and the end of a spot machine


class FakeMetadata:
    """The metadata of one machine. What may change during a test are its public attributes."""

    def __init__(
        self,
        *,
        instance_id: str = "i-0123456789abcdef0",
        is_spot: bool = False,
        region: str = "us-east-1",
        zone: str = "us-east-1a",
        instance_type: str = "g4dn.xlarge",
        role: str = "",
        local_ipv4: str = "127.0.0.1",  # where the machine really is, so that others find it
        user_data: str = "",
    ) -> None:
        self.texts = {
            "meta-data/instance-id": instance_id,
            "meta-data/instance-life-cycle": "spot" if is_spot else "on-demand",
            "meta-data/instance-type": instance_type,
            "meta-data/local-ipv4": local_ipv4,
            "meta-data/placement/region": region,
            "meta-data/placement/availability-zone": zone,
            "dynamic/instance-identity/document": json.dumps(
                {"instanceId": instance_id, "region": region, "availabilityZone": zone, "instanceType": instance_type}
            ),
        }
        self.key_id = f"ASIA{instance_id.removeprefix('i-').upper()[:16]}"  # of the role: tells whose calls are whose
        if role:
            self.texts |= {"meta-data/iam/security-credentials": role}
            self.texts |= {f"meta-data/iam/security-credentials/{role}": _write_credentials(self.key_id)}
        if user_data:
            self.texts["user-data"] = user_data
        self.asked: list[str] = []
        self.is_silent = False  # then it never answers, as behind a closed hop limit
        self._tokens: set[str] = set()
        self._over = threading.Event()
        self._server = _make_server(self)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="metadata").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def notice(self, *, seconds: float = NOTICE_SECONDS) -> None:
        """AWS gives its word that it takes this machine back."""
        at = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.texts["meta-data/spot/instance-action"] = json.dumps({"action": "terminate", "time": at})
        self.texts["meta-data/spot/termination-time"] = at

    def answer(self, method: str, path: str, token: str, life: str) -> tuple[int, str]:
        """Status and text."""
        if self.is_silent:
            self._over.wait()
        self.asked.append(path)
        if path == "/latest/api/token":
            if method != "PUT":
                return 405, ""
            if not life.isdigit() or not 1 <= int(life) <= MOST_TOKEN_SECONDS:
                return 400, ""
            fresh = secrets.token_urlsafe(32)
            self._tokens.add(fresh)
            return 200, fresh
        if method != "GET":
            return 405, ""
        if token not in self._tokens:
            return 401, ""
        text = self.texts.get(path.removeprefix("/latest/").rstrip("/"))  # a folder with its slash or without
        return (404, "") if text is None else (200, text)


def _write_credentials(key_id: str) -> str:
    until = datetime.now(UTC) + timedelta(hours=6)
    return json.dumps(
        {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": key_id,
            "SecretAccessKey": "not-a-secret",
            "Token": "not-a-token",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # every process of a machine asks for its role's keys, many at once

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: whoever asks may hang up."""


def _make_server(metadata: FakeMetadata) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            names = ("X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds")
            token, life = (self.headers.get(name, "") for name in names)
            status, text = metadata.answer(self.command, self.path, token, life)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing: a test's output is for its own words."""

    return _Server(("127.0.0.1", 0), Handler)
