"""The REST face: reads a request, calls the desk, writes the answer. No rule of the product lives here."""

from __future__ import annotations

import math
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from api.body import adapter, read_json
from api.border import problem_response
from api.errors import Problem
from api.http import Patience
from api.metrics import CONTENT_TYPE, Metrics
from api.page import render_page
from api.readiness import Health, Readiness
from core.analysis import AnalyzeRequest, AnalyzeResponse, ListTheoriesResponse
from core.desk import Desk
from core.errors import Code, CrpbotError, invalid

MAX_ANALYZE_BYTES: Final = 4 * 1024 * 1024  # ten windows of 500 candles are 293-526 KB
MAX_TIMEOUT_SECONDS: Final = 30.0
TIMEOUT_HEADER: Final = "x-request-timeout"

_STATUS_CODES: Final = {
    HTTPStatus.NOT_FOUND: (Code.NOT_FOUND, "NO_SUCH_PATH"),
    HTTPStatus.METHOD_NOT_ALLOWED: (Code.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
}


def create_app(
    desk: Desk, *, readiness: Readiness, metrics: Metrics, default_timeout_seconds: float, patience: Patience
) -> FastAPI:
    """The HTTP application over one desk."""
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
    _add_analysis(app, desk, metrics, default_timeout_seconds, patience)
    _add_operations(app, readiness, metrics)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _add_analysis(
    app: FastAPI, desk: Desk, metrics: Metrics, default_timeout_seconds: float, patience: Patience
) -> None:
    @app.post(
        "/v1/analyze",
        summary="Analyse one or many windows",
        description="The latest closed candles of `symbol` or `symbols`, or the caller's own `candles` or `ccxt` rows.",
        tags=["analysis"],
        operation_id="analyze",
        **_contract(AnalyzeResponse, body=AnalyzeRequest, timeout=True),
    )
    async def analyze(request: Request) -> Response:
        timeout_seconds = _timeout(request, default_timeout_seconds)
        asked = await read_json(request, AnalyzeRequest, max_bytes=MAX_ANALYZE_BYTES, seconds=patience.body_seconds)
        response = await desk.analyze(asked, timeout_seconds=timeout_seconds)
        for analysis in response.analyses:
            for gap in analysis.missing:
                metrics.count_missing(gap.theory, gap.reason)
        return _json(AnalyzeResponse, response)

    @app.get(
        "/v1/theories",
        summary="List the theories",
        tags=["analysis"],
        operation_id="list_theories",
        **_contract(ListTheoriesResponse),
    )
    async def theories() -> Response:
        return _json(ListTheoriesResponse, desk.list_theories())


def _add_operations(app: FastAPI, readiness: Readiness, metrics: Metrics) -> None:
    @app.get("/health/live", summary="The process answers", tags=["operations"], operation_id="live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/health/ready",
        summary="The gateway can analyse, or what is in the way",
        tags=["operations"],
        operation_id="ready",
        responses={503: {"description": "Not ready", "content": _content(Health)}},
        openapi_extra={"responses": {"200": {"description": "Ready", "content": _content(Health)}}},
    )
    async def ready() -> Response:
        health = await readiness.check()
        metrics.set_ready(health.ready)
        return _json(Health, health, status=200 if health.ready else 503)

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        return Response(render_page(describe(app)), media_type="text/html")

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


def _json(shape: type[Any], value: object, *, status: int = 200) -> Response:  # Any: one writer for every answer
    return Response(adapter(shape).dump_json(value), status, media_type="application/json")  # type: ignore[arg-type]  # classes are hashable


@cache
def _schema(shape: type[Any], mode: JsonSchemaMode) -> dict[str, Any]:  # Any: JSON schema
    return TypeAdapter(shape).json_schema(ref_template="#/components/schemas/{model}", mode=mode)


def _content(shape: type[Any], media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}


def _contract(answer: type[Any], *, body: type[Any] | None = None, timeout: bool = False) -> dict[str, Any]:
    """How an operation stands in the OpenAPI document, made from the same dataclasses that are read and written."""
    extra: dict[str, Any] = {"responses": {"200": {"description": "The answer", "content": _content(answer)}}}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": _content(body)}
    if timeout:
        extra["parameters"] = [
            {
                "name": "X-Request-Timeout",
                "in": "header",
                "required": False,
                "description": "Seconds the caller will wait; the server answers 504 after that.",
                "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_SECONDS},
            }
        ]
    return {"openapi_extra": extra}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's, with the schemas of our dataclasses and the one shape of every error."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for shape in (AnalyzeRequest, AnalyzeResponse, ListTheoriesResponse, Health, Problem):
            mode: JsonSchemaMode = "validation" if shape is AnalyzeRequest else "serialization"
            schema = dict(_schema(shape, mode))
            schemas.update(schema.pop("$defs", {}))
            schemas[shape.__name__] = schema
        problem = {"description": "Any error", "content": _content(Problem, "application/problem+json")}
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"]["default"] = problem
        app.openapi_schema = document
    return app.openapi_schema
