"""The OpenAPI document, made from the same operations and dataclasses that are read and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from api.errors import Problem
from api.operation import MAX_TIMEOUT_SECONDS, Operation
from api.readiness import Health
from core.idempotency import MAX_KEY

# Any throughout: JSON schema


def describe(app: FastAPI, operations: Sequence[Operation]) -> dict[str, Any]:
    """FastAPI's document, with the schemas of our dataclasses and the one shape of every error."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        shapes: list[tuple[type[Any], JsonSchemaMode]] = [(Health, "serialization"), (Problem, "serialization")]
        for operation in operations:
            if operation.verb == "POST":
                shapes.append((operation.request, "validation"))
            shapes.append((operation.answer, "serialization"))
        for shape, mode in shapes:
            schema = dict(_schema(shape, mode))  # type: ignore[arg-type]  # classes are hashable
            schemas.update(schema.pop("$defs", {}))
            schemas[shape.__name__] = schema
        problem = {"description": "Any error", "content": _content(Problem, "application/problem+json")}
        for path in document["paths"].values():
            for entry in path.values():
                entry["responses"]["default"] = problem
        app.openapi_schema = document
    return app.openapi_schema


def describe_operation(operation: Operation) -> dict[str, Any]:
    """How one operation stands in the document, beside what FastAPI knows of it."""
    media_type = "text/event-stream" if operation.streams else "application/json"
    words = "The answers, one an event" if operation.streams else "The answer"
    page = {} if operation.page is None else {"text/html": {"schema": {"type": "string"}}}
    answer = {"200": {"description": words, "content": {**_content(operation.answer, media_type), **page}}}
    extra: dict[str, Any] = {"responses": answer, "parameters": list(_parameters(operation))}
    if operation.verb == "POST":
        extra["requestBody"] = {"required": True, "content": _content(operation.request)}
    return extra


def describe_health() -> dict[str, Any]:
    """Readiness answers 503 with the same shape."""
    return {
        "responses": {503: {"description": "Not ready", "content": _content(Health)}},
        "openapi_extra": {"responses": {"200": {"description": "Ready", "content": _content(Health)}}},
    }


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found = []
    if operation.verb == "GET":
        schema = _schema(operation.request, "validation")  # type: ignore[arg-type]
        required = schema.get("required", ())
        for field in fields(operation.request):
            place = "path" if f"{{{field.name}}}" in operation.path else "query"
            inner = _inline(schema["properties"][field.name], schema.get("$defs", {}))
            needed = place == "path" or field.name in required
            found.append({"name": field.name, "in": place, "required": needed, "schema": inner})
    if not operation.streams:
        found.append(
            _header(
                "X-Request-Timeout",
                "Seconds the caller will wait; the server answers 504 after that.",
                {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_SECONDS},
            )
        )
    if operation.creates:
        found.append(
            _header(
                "Idempotency-Key",
                "Makes a repetition harmless: the same key and body get the stored answer of the first call.",
                {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
            )
        )
    return found


def _inline(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema on its own; its place says that it may be absent, so null is no value of it."""
    if "$ref" in schema:
        return dict(definitions[schema["$ref"].rsplit("/", maxsplit=1)[-1]])
    if "anyOf" in schema:
        given = [inner for inner in schema["anyOf"] if inner != {"type": "null"}]
        return _inline(given[0], definitions) if len(given) == 1 else {"anyOf": given}
    return {name: value for name, value in schema.items() if name not in ("title", "default")}


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


@cache
def _schema(shape: type[Any], mode: JsonSchemaMode) -> dict[str, Any]:
    return TypeAdapter(shape).json_schema(ref_template="#/components/schemas/{model}", mode=mode)


def _content(shape: type[Any], media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}
