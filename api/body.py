"""Reads a JSON body within its limits: size, time, media type, no key twice, strict types."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema
from starlette.requests import ClientDisconnect, Request

from core.errors import Code, CrpbotError, Violation, invalid

MAX_VIOLATIONS: Final = 20  # enough to mend a request; a body of a million wrong keys must not become a larger answer
MAX_EXPLAINED: Final = 1_000  # listing 300,000 wrong keys took a second; past this their number has to do
SHOWN_CHARACTERS: Final = 64

Shape = TypeVar("Shape")


async def read_json(request: Request, shape: type[Shape], *, max_bytes: int, seconds: float) -> Shape:
    """The request's body as `shape`; anything else is refused with the field and the value."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise CrpbotError(
            Code.UNSUPPORTED_MEDIA_TYPE,
            f"content-type is {media_type[:SHOWN_CHARACTERS] or 'absent'!r}; send application/json",
            reason="UNSUPPORTED_MEDIA_TYPE",
        )
    return parse_json(await _read_bounded(request, max_bytes, seconds), shape)


def parse_json(body: bytes, shape: type[Shape]) -> Shape:
    """Strict: no NaN, no `true` for a number, no text for a number, no unknown field, no key twice."""
    try:
        value: Shape = adapter(shape).validate_json(body)
    except ValidationError as error:
        raise _explain(error) from None
    _refuse_duplicate_key(body)  # afterwards: a body that fits its shape cannot nest deeply enough to make this slow
    return value


def parse_parameters(parameters: Mapping[str, str], shape: type[Shape]) -> Shape:
    """A request made of the texts in an address; what the shape does not know is refused."""
    for name, text in parameters.items():
        if not text.isprintable() or text != text.strip() or ("_" in text and text.replace("_", "").isdigit()):
            raise invalid(name[:SHOWN_CHARACTERS], f"{text[:SHOWN_CHARACTERS]!r} is no value")
    try:
        value: Shape = adapter(shape).validate_strings(parameters)
    except ValidationError as error:
        raise _explain(error) from None
    return value


def adapter(shape: type[Shape]) -> TypeAdapter[Shape]:
    """How a dataclass is read from JSON and written to it, built once."""
    built: TypeAdapter[Shape] = _build_adapter(shape)  # type: ignore[arg-type]  # classes are hashable
    return built


@cache
def _build_adapter(
    shape: Any,
) -> TypeAdapter[Any]:  # Any: to mypy a class cannot be hashed
    built = TypeAdapter(shape)
    built.core_schema = _amend(built.core_schema)
    built.validator = SchemaValidator(built.core_schema)
    built.serializer = SchemaSerializer(built.core_schema)
    return built


def _amend(schema: Any) -> Any:  # Any: the validator's schema is a tree of dicts and lists of every kind
    """Habits of the library put right: a list ends at its first wrong item (800,000 of them took 6 s and 850 MB to
    explain), an instant without a zone is refused, and a decimal number is written without an exponent."""
    if isinstance(schema, list):
        return [_amend(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    amended = {key: _amend(part) for key, part in schema.items()}
    if amended.get("type") == "tuple":
        amended["fail_fast"] = True
    if amended.get("type") == "datetime":
        amended["tz_constraint"] = "aware"
    if amended.get("type") == "decimal":
        amended["serialization"] = core_schema.plain_serializer_function_ser_schema(
            _write_decimal, return_schema=core_schema.str_schema(), when_used="json"
        )
    return amended


def _write_decimal(value: Decimal) -> str:
    return format(value, "f")


async def _read_bounded(request: Request, max_bytes: int, seconds: float) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:20]) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise CrpbotError(
            Code.REQUEST_TIMEOUT, f"the body did not arrive within {seconds:g} s", reason="BODY_TIMEOUT"
        ) from None
    except ClientDisconnect:
        raise CrpbotError(Code.MALFORMED, "the connection ended inside the body", reason="BODY_TRUNCATED") from None
    return b"".join(chunks)


def _too_large(max_bytes: int) -> CrpbotError:
    return CrpbotError(
        Code.TOO_LARGE, f"the body is larger than {max_bytes:,} bytes; send fewer windows", reason="BODY_TOO_LARGE"
    )


def _refuse_duplicate_key(body: bytes) -> None:
    key = duplicate_key(body)
    if key is not None:
        shown = key[:SHOWN_CHARACTERS]
        raise CrpbotError(
            Code.INVALID_ARGUMENT,
            f"{shown}: the key stands twice in one object",
            reason="DUPLICATE_KEY",
            violations=(Violation(shown, "the key stands twice in one object"),),
        )


def duplicate_key(body: bytes) -> str | None:
    """The first key that stands twice in one object, or None; malformed JSON is left to the parser.

    The parsers at hand silently keep the last of two equal keys. Cutting the body at its quotes leaves the structure in
    every other piece, so a body of numbers costs three passes in C; an escaped character takes the slow, exact way.
    """
    if b"\\" in body:
        return _duplicate_key_with_escapes(body)
    pieces = body.split(b'"')
    seen: list[set[bytes]] = [set()]
    for index in range(0, len(pieces), 2):
        for brace in pieces[index].translate(None, _NOT_BRACES):
            if brace == ord("{"):
                seen.append(set())
            elif len(seen) > 1:
                seen.pop()
        if index + 2 < len(pieces) and pieces[index + 2].lstrip()[:1] == b":":
            key = pieces[index + 1]
            if key in seen[-1]:
                return key.decode(errors="replace")
            seen[-1].add(key)
    return None


_NOT_BRACES = bytes(value for value in range(256) if value not in b"{}")


class _DuplicateKeyError(Exception):
    """Ends the slow scan at the first duplicate."""


def _duplicate_key_with_escapes(body: bytes) -> str | None:
    def check(pairs: list[tuple[str, Any]]) -> None:  # Any: values of every JSON kind pass by unread
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                raise _DuplicateKeyError(key)
            keys.add(key)

    try:
        json.loads(body, object_pairs_hook=check)
    except _DuplicateKeyError as found:
        return str(found)
    except (ValueError, RecursionError):
        return None
    return None


def _explain(error: ValidationError) -> CrpbotError:
    """The validator's findings in our words; the value is shown only as a short text, so that NaN cannot break JSON."""
    if error.error_count() > MAX_EXPLAINED:
        return invalid("body", f"{error.error_count():,} values do not fit; /openapi.json describes those that do")
    details = error.errors(include_url=False, include_context=False)
    if details[0]["type"] == "json_invalid":
        return CrpbotError(Code.MALFORMED, f"the body is no JSON: {details[0]['msg']}", reason="MALFORMED_JSON")
    violations = tuple(
        Violation(
            ".".join(str(step)[:SHOWN_CHARACTERS] for step in detail["loc"]) or "body",
            f"{detail['msg']}; found {repr(detail['input'])[:SHOWN_CHARACTERS]}",
        )
        for detail in details[:MAX_VIOLATIONS]
    )
    first = violations[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return CrpbotError(
        Code.INVALID_ARGUMENT, f"{first.field}: {first.detail}{more}", reason="INVALID_FIELD", violations=violations
    )
