"""The HTTP connection itself kept within bounds: the server library limits neither the size nor the time of headers."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.body import adapter
from api.errors import Problem, to_problem
from core.errors import Code, CrpbotError

MAX_HEADER_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take to say what it wants; whoever takes longer is an attacker or a dead line."""

    header_seconds: float = 10.0
    body_seconds: float = 30.0


PATIENCE: Final = Patience()


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a deadline and a size limit for the request line and headers.

    Without it, sixty of sixty half-sent requests stayed open for ever, and enough of them starve the health probe.
    """

    def __init__(self, *args: Any, patience: Patience, **kwargs: Any) -> None:  # Any: uvicorn's own arguments
        super().__init__(*args, **kwargs)
        self._header_seconds = patience.header_seconds
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        if self._header_timer is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._header_timer is not None and self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(headers_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._header_timer is None:
            self._expect_headers()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._refuse(CrpbotError(Code.MALFORMED, "the bytes are no HTTP/1.1 request", reason="MALFORMED_HTTP"))

    def _expect_headers(self) -> None:
        self._header_bytes = 0
        self._header_timer = self.loop.call_later(self._header_seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _give_up(self) -> None:
        self._header_timer = None
        self.transport.close()

    def _refuse(self, error: CrpbotError) -> None:
        """Answers where no request exists yet that the application could answer."""
        self._stop_timer()
        problem = to_problem(error, uuid.uuid4().hex)
        body = adapter(Problem).dump_json(problem, exclude_none=True)
        head = (
            f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {problem.request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def headers_too_large() -> CrpbotError:
    """The request line and headers together are over the limit."""
    return CrpbotError(
        Code.HEADERS_TOO_LARGE,
        f"the request line and headers are larger than {MAX_HEADER_BYTES:,} bytes",
        reason="HEADERS_TOO_LARGE",
    )
