"""The HTTP connection itself kept within bounds: the server library limits neither the size nor the time of headers."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES: Final = 16 * 1024
HEADER_SECONDS: Final = 10.0


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a deadline and a size limit for the request line and headers.

    Without it, sixty of sixty half-sent requests stayed open for ever, and enough of them starve the health probe.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: passes uvicorn's own arguments through
        super().__init__(*args, **kwargs)
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
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                "HEADERS_TOO_LARGE",
                f"the request line and headers are larger than {MAX_HEADER_BYTES:,} bytes",
            )

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
        self._refuse(HTTPStatus.BAD_REQUEST, "MALFORMED_HTTP", "the bytes are no HTTP/1.1 request")

    def _expect_headers(self) -> None:
        self._header_bytes = 0
        self._header_timer = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _give_up(self) -> None:
        self._header_timer = None
        self.transport.close()

    def _refuse(self, status: HTTPStatus, reason: str, detail: str) -> None:
        """Answers where no request exists yet that the application could answer."""
        self._stop_timer()
        problem = {
            "type": f"urn:crpbot:problem:{reason.lower().replace('_', '-')}",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "code": reason.lower(),
            "reason": reason,
        }
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
