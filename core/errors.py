"""Why a request cannot be answered: one exception, one list of codes, told in words a caller can act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

SHOWN_CHARACTERS: Final = 64  # of a value that somebody sent
SHOWN_ERRORS: Final = 3  # of several that are told as one


class Code(Enum):
    """What kind of failure it is. `api/errors.py` maps each to an HTTP and a gRPC status."""

    MALFORMED = "malformed"
    INVALID_ARGUMENT = "invalid_argument"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    FAILED_PRECONDITION = "failed_precondition"
    ABORTED = "aborted"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    HEADERS_TOO_LARGE = "headers_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    REQUEST_TIMEOUT = "request_timeout"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    UNAVAILABLE = "unavailable"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that is wrong: where it stands, what was found there, what would be right."""

    field: str
    detail: str


class CrpbotError(Exception):
    """A request that cannot be answered: what, where, the value, the limit, the remedy.

    `reason` is the stable word for programs (UPPER_SNAKE), `detail` the sentence for people.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        reason: str,
        violations: tuple[Violation, ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.reason = reason
        self.violations = violations
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[partial[CrpbotError], tuple[()]]:
        """As it crosses from one process to another: an error that cannot would break the pool it was raised in."""
        rebuild = partial(
            CrpbotError,
            self.code,
            self.detail,
            reason=self.reason,
            violations=self.violations,
            retry_after_seconds=self.retry_after_seconds,
        )
        return rebuild, ()


def unknown(field: str, what: str, found: str, known: Iterable[str]) -> CrpbotError:
    """The caller named something that does not exist."""
    detail = f"unknown {what} {found[:SHOWN_CHARACTERS]!r}; known are {', '.join(known)}"
    return CrpbotError(
        Code.NOT_FOUND,
        f"{field}: {detail}",
        reason=f"UNKNOWN_{what.upper()}",
        violations=(Violation(field, detail),),
    )


def invalid(field: str, detail: str, *, reason: str = "INVALID_FIELD") -> CrpbotError:
    """The caller sent a field that cannot be used."""
    return CrpbotError(
        Code.INVALID_ARGUMENT, f"{field}: {detail}", reason=reason, violations=(Violation(field, detail),)
    )


def join_errors(errors: Sequence[CrpbotError], asked: int) -> CrpbotError:
    """One error for all symbols of a request that failed: the first one's kind, with the others' words."""
    first = errors[0]
    if asked == 1:
        return first
    words = "; ".join(error.detail for error in errors[:SHOWN_ERRORS])
    more = f"; and {len(errors) - SHOWN_ERRORS} more" if len(errors) > SHOWN_ERRORS else ""
    waits = [error.retry_after_seconds for error in errors if error.retry_after_seconds is not None]
    return CrpbotError(
        first.code,
        f"{len(errors)} of {asked} symbols failed: {words}{more}",
        reason=first.reason,
        violations=first.violations,
        retry_after_seconds=max(waits, default=None),
    )
