"""The REST face: reads a request, performs the operation, writes the answer. No rule of the product lives here."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, StreamingResponse

from api.body import adapter, parse_parameters, read_json
from api.border import bug_of_ours, problem_response
from api.events import write_events
from api.http import Patience
from api.limits import check_request
from api.metrics import CONTENT_TYPE, Metrics
from api.openapi import describe, describe_health, describe_operation
from api.operation import MAX_TIMEOUT_SECONDS, Call, Operation, follow, perform
from api.page import render_page
from api.readiness import Health, Readiness
from core.errors import Code, CrpbotError, invalid

TIMEOUT_HEADER: Final = "x-request-timeout"
KEY_HEADER: Final = "idempotency-key"

_STATUS_CODES: Final = {
    HTTPStatus.NOT_FOUND: (Code.NOT_FOUND, "NO_SUCH_PATH"),
    HTTPStatus.METHOD_NOT_ALLOWED: (Code.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
}


def create_app(
    operations: Sequence[Operation],
    *,
    readiness: Readiness,
    metrics: Metrics,
    default_timeout_seconds: float,
    patience: Patience,
    closing: asyncio.Event | None = None,
) -> FastAPI:
    """The HTTP application over these operations."""
    app = FastAPI(
        title="CRPBot",
        version="1",
        description="Reads crypto markets through tested statistics. Errors are RFC 9457 problems.",
        openapi_url="/openapi.json",
        docs_url=None,  # the library's page loads its scripts from the internet; ours is below
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    _add_errors(app)
    for operation in operations:
        _add_operation(app, operation, default_timeout_seconds, patience, closing or asyncio.Event())
    _add_health(app, readiness, metrics)

    def document() -> dict[str, Any]:
        return describe(app, operations)

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        return Response(render_page(document()), media_type="text/html")

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _add_operation(
    app: FastAPI, operation: Operation, default_timeout_seconds: float, patience: Patience, closing: asyncio.Event
) -> None:
    async def answer(request: Request) -> Response:
        call = Call(
            _timeout(request, operation.patience_seconds or default_timeout_seconds), request.headers.get(KEY_HEADER)
        )
        if operation.verb == "POST":
            asked = await read_json(
                request, operation.request, max_bytes=operation.max_bytes, seconds=patience.body_seconds
            )
        else:
            asked = parse_parameters(_parameters(request, operation), operation.request)
        check_request(asked)
        if operation.streams:
            events: AsyncIterator[bytes] = write_events(operation, follow(operation, asked, call, closing))
            return StreamingResponse(events, media_type="text/event-stream")
        found = await perform(operation, asked, call)
        if operation.page is not None and "text/html" in request.headers.get("accept", ""):
            return _html(getattr(found, operation.page))
        return _json(operation.answer, found)

    app.add_api_route(
        operation.path,
        answer,
        methods=[operation.verb],
        summary=operation.summary,
        description=operation.description,
        tags=[operation.service.removesuffix("Service").lower()],
        operation_id=operation.name,
        openapi_extra=describe_operation(operation),
    )


def _add_health(app: FastAPI, readiness: Readiness, metrics: Metrics) -> None:
    @app.get("/health/live", summary="The process answers", tags=["operations"], operation_id="live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/health/ready",
        summary="The gateway can analyse, or what is in the way",
        tags=["operations"],
        operation_id="ready",
        **describe_health(),
    )
    async def ready() -> Response:
        health = await readiness.check()
        metrics.set_ready(health.ready)
        return _json(Health, health, status=200 if health.ready else 503)

    @app.get(
        "/metrics",
        summary="Prometheus metrics",
        tags=["operations"],
        operation_id="metrics",
        response_class=PlainTextResponse,
    )
    async def prometheus() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(CrpbotError)
    async def refused(request: Request, error: CrpbotError) -> Response:
        return problem_response(error, request.state.request_id)

    @app.exception_handler(Exception)
    async def failed(request: Request, _error: Exception) -> Response:
        # the library would answer in plain text; after this it raises the error again, and the border logs its trace
        return problem_response(bug_of_ours(), request.state.request_id)

    @app.exception_handler(HTTPException)
    async def unmatched(request: Request, error: HTTPException) -> Response:
        code, reason = _STATUS_CODES.get(HTTPStatus(error.status_code), (Code.MALFORMED, "BAD_REQUEST"))
        detail = f"{request.method} {request.url.path[:128]}: {error.detail}; /openapi.json lists what exists"
        response = problem_response(CrpbotError(code, detail, reason=reason), request.state.request_id)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid_parameter(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        return problem_response(invalid(field, first["msg"]), request.state.request_id)


def _parameters(request: Request, operation: Operation) -> dict[str, str]:
    """What stands in the path and after the question mark, each name once; a stream goes on after the event named."""
    found = dict(request.path_params)
    for name, value in request.query_params.multi_items():
        if name in found:
            raise invalid(name[:64], "is given twice")
        found[name] = value
    resumed = request.headers.get("last-event-id")
    if operation.streams and resumed is not None:
        found["after"] = resumed
    return found


def _timeout(request: Request, default_seconds: float) -> float:
    """The caller's `X-Request-Timeout` in seconds, or the server's default; never more than the maximum."""
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return default_seconds
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if "_" in text or not 0 < seconds < math.inf:  # Python's own numbers may hold underscores
        raise invalid(TIMEOUT_HEADER, f"{text[:32]!r} is not a positive number of seconds")
    return min(seconds, MAX_TIMEOUT_SECONDS)


def _html(page: str) -> Response:
    """A page from a file: its style and its pictures, and nothing that could act in the name of this server."""
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return Response(page, media_type="text/html", headers={"content-security-policy": policy})


def _json(shape: type[Any], value: object, *, status: int = 200) -> Response:  # Any: one writer for every answer
    return Response(adapter(shape).dump_json(value), status, media_type="application/json")
