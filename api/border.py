"""What every HTTP request passes: host check, header size, request id, metrics, and no error that is not a problem."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.body import adapter
from api.errors import Problem, retry_after_header, to_problem
from api.http import MAX_HEADER_BYTES, headers_too_large
from api.metrics import Metrics
from core.errors import Code, CrpbotError

logger = logging.getLogger(__name__)

REQUEST_ID_CHARACTERS: Final = 64
PORT: Final = re.compile(r":\d{1,5}$")


class Border:
    """The outermost layer of the HTTP face."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], metrics: Metrics) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = choose_request_id(headers.get("x-request-id"))
        scope["state"]["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"cache-control", b"no-store"),
                ]
            await send(message)

        try:
            self._check(headers, scope)
            await self._app(scope, receive, note)
        except CrpbotError as error:
            if status == 0:
                await problem_response(error, request_id)(scope, receive, note)
        except Exception:  # the last line: a bug becomes an honest 500, its trace goes to the log
            logger.exception("request %s failed", request_id)
            if status == 0:
                await problem_response(bug_of_ours(), request_id)(scope, receive, note)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.observe("http", route, str(status), time.perf_counter() - started)

    def _check(self, headers: Headers, scope: Scope) -> None:
        host = PORT.sub("", headers.get("host", ""))
        if host.lower() not in self._hosts:
            raise CrpbotError(
                Code.PERMISSION_DENIED,
                f"host {host[:64]!r} is not served here; use {' or '.join(sorted(self._hosts))}",
                reason="HOST_NOT_ALLOWED",
            )
        size = sum(len(name) + len(value) for name, value in scope["headers"]) + len(scope["raw_path"])
        if size + len(scope["query_string"]) > MAX_HEADER_BYTES:
            raise headers_too_large()


def problem_response(error: CrpbotError, request_id: str) -> Response:
    """An error as application/problem+json."""
    problem = to_problem(error, request_id)
    body = adapter(Problem).dump_json(problem, exclude_none=True)
    return Response(body, problem.status, media_type="application/problem+json", headers=retry_after_header(error))


def choose_request_id(given: str | None) -> str:
    """The caller's request id when it is short and printable, else a new one."""
    if given and len(given) <= REQUEST_ID_CHARACTERS and given.isascii() and given.isprintable():
        return given
    return uuid.uuid4().hex


def bug_of_ours() -> CrpbotError:
    """What a caller is told of a fault that nobody foresaw."""
    return CrpbotError(Code.INTERNAL, "an error of ours; the log has it under the request id", reason="INTERNAL")
