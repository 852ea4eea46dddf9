"""One table: what kind of failure becomes which HTTP status and which gRPC status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from core.errors import Code, CrpbotError

DOMAIN: Final = "crpbot.dev"
STATUS_DETAILS: Final = "grpc-status-details-bin"

TABLE: Final[dict[Code, tuple[HTTPStatus, grpc.StatusCode]]] = {
    Code.MALFORMED: (HTTPStatus.BAD_REQUEST, grpc.StatusCode.INVALID_ARGUMENT),
    Code.INVALID_ARGUMENT: (HTTPStatus.UNPROCESSABLE_ENTITY, grpc.StatusCode.INVALID_ARGUMENT),
    Code.NOT_FOUND: (HTTPStatus.NOT_FOUND, grpc.StatusCode.NOT_FOUND),
    Code.METHOD_NOT_ALLOWED: (HTTPStatus.METHOD_NOT_ALLOWED, grpc.StatusCode.UNIMPLEMENTED),
    Code.ALREADY_EXISTS: (HTTPStatus.CONFLICT, grpc.StatusCode.ALREADY_EXISTS),
    Code.FAILED_PRECONDITION: (HTTPStatus.CONFLICT, grpc.StatusCode.FAILED_PRECONDITION),
    Code.ABORTED: (HTTPStatus.CONFLICT, grpc.StatusCode.ABORTED),
    Code.TOO_LARGE: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, grpc.StatusCode.RESOURCE_EXHAUSTED),
    Code.HEADERS_TOO_LARGE: (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, grpc.StatusCode.RESOURCE_EXHAUSTED),
    Code.UNSUPPORTED_MEDIA_TYPE: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, grpc.StatusCode.INVALID_ARGUMENT),
    Code.RESOURCE_EXHAUSTED: (HTTPStatus.TOO_MANY_REQUESTS, grpc.StatusCode.RESOURCE_EXHAUSTED),
    Code.UNAUTHENTICATED: (HTTPStatus.UNAUTHORIZED, grpc.StatusCode.UNAUTHENTICATED),
    Code.PERMISSION_DENIED: (HTTPStatus.FORBIDDEN, grpc.StatusCode.PERMISSION_DENIED),
    Code.REQUEST_TIMEOUT: (HTTPStatus.REQUEST_TIMEOUT, grpc.StatusCode.DEADLINE_EXCEEDED),
    Code.DEADLINE_EXCEEDED: (HTTPStatus.GATEWAY_TIMEOUT, grpc.StatusCode.DEADLINE_EXCEEDED),
    Code.UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    Code.UNIMPLEMENTED: (HTTPStatus.NOT_IMPLEMENTED, grpc.StatusCode.UNIMPLEMENTED),
    Code.INTERNAL: (HTTPStatus.INTERNAL_SERVER_ERROR, grpc.StatusCode.INTERNAL),
}


@dataclass(frozen=True, slots=True)
class ProblemField:
    """One field that is wrong."""

    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as REST shows it (RFC 9457, application/problem+json). `code` and `reason` are for programs."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    reason: str
    request_id: str
    errors: tuple[ProblemField, ...] = ()
    retry_after_seconds: float | None = None


def to_problem(error: CrpbotError, request_id: str) -> Problem:
    """The REST face of an error."""
    status, _ = TABLE[error.code]
    return Problem(
        type=f"urn:crpbot:problem:{error.reason.lower().replace('_', '-')}",
        title=status.phrase,
        status=status.value,
        detail=error.detail,
        code=error.code.value,
        reason=error.reason,
        request_id=request_id,
        errors=tuple(ProblemField(violation.field, violation.detail) for violation in error.violations),
        retry_after_seconds=error.retry_after_seconds,
    )


def retry_after_header(error: CrpbotError) -> dict[str, str]:
    """`Retry-After` in whole seconds, where waiting helps."""
    if error.retry_after_seconds is None:
        return {}
    return {"retry-after": str(math.ceil(error.retry_after_seconds))}


def to_rpc_status(error: CrpbotError, request_id: str) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """The gRPC face of an error: code, words, and google.rpc details in the trailer."""
    _, code = TABLE[error.code]
    details = [
        error_details_pb2.ErrorInfo(
            reason=error.reason, domain=DOMAIN, metadata={"code": error.code.value, "request_id": request_id}
        )
    ]
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.detail)
            for violation in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if error.retry_after_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after_seconds * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=code.value[0], message=error.detail)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return code, error.detail, ((STATUS_DETAILS, status.SerializeToString()),)
