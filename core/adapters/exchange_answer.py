"""What one answer of an exchange is worth: read within bounds, unpacked within bounds, judged by its status."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from core.errors import Code, CrpbotError

Body = Mapping[str, Any]  # Any: JSON of somebody else; each reader checks what it takes out

GZIP: Final = 31  # zlib's number for "gzip with the largest window"
ERROR_WORD_CHARACTERS: Final = 40
RETRY_AFTER_DIGITS: Final = 9  # more seconds than a person lives

# reason -> kind of failure, and what can be done about it
FAILURES: Final[Mapping[str, tuple[Code, str]]] = {
    "EXCHANGE_RATE_LIMITED": (Code.UNAVAILABLE, "ask again later, or for fewer symbols"),
    "EXCHANGE_TIMEOUT": (Code.UNAVAILABLE, "ask again, or check the network to the exchange"),
    "EXCHANGE_UNAVAILABLE": (Code.UNAVAILABLE, "ask again, or look at the exchange's status page"),
    "EXCHANGE_BROKEN_ANSWER": (Code.UNAVAILABLE, "check that the base URL is the exchange's and that no proxy answers"),
    "EXCHANGE_REFUSED_KEY": (Code.FAILED_PRECONDITION, "check the API key and this machine's clock, or unset the key"),
    "EXCHANGE_FORBIDDEN": (Code.FAILED_PRECONDITION, "give the key the view scope and allow this machine's address"),
    "EXCHANGE_NOT_FOUND": (Code.NOT_FOUND, "leave it out, or check whether the exchange renamed it"),
    "EXCHANGE_REFUSED_REQUEST": (Code.FAILED_PRECONDITION, "ask for another span or interval, or update this program"),
}
REASONS_BY_STATUS: Final = {401: "EXCHANGE_REFUSED_KEY", 403: "EXCHANGE_FORBIDDEN", 404: "EXCHANGE_NOT_FOUND"}


class Trouble(Exception):  # noqa: N818 - becomes an error only when nothing is left to try
    """One attempt that gave nothing."""

    def __init__(self, reason: str, words: str, *, passes: bool = False, wait_seconds: float | None = None) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words
        self.passes = passes  # worth another attempt
        self.wait_seconds = wait_seconds  # what the exchange asked for

    def as_error(self, exchange: str, subject: str, *, attempts: int = 1) -> CrpbotError:
        """What the caller is told: who, what, why, and what to do."""
        code, remedy = FAILURES[self.reason]
        tries = f" ({attempts} attempts)" if attempts > 1 else ""
        return CrpbotError(
            code,
            f"{exchange}: {subject}: {self.words}{tries}; {remedy}",
            reason=self.reason,
            retry_after_seconds=self.wait_seconds,
        )


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The whole body, unpacked, and never more than `limit` bytes of either form."""
    packed = bytearray()
    async for chunk in response.aiter_raw():
        packed += chunk
        if len(packed) > limit:
            raise _too_large(limit)
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return bytes(packed)
    if encoding != "gzip":
        raise Trouble("EXCHANGE_BROKEN_ANSWER", "it answered in an encoding that was not asked for")
    unpacker = zlib.decompressobj(GZIP)
    try:
        body = unpacker.decompress(bytes(packed), limit + 1)
    except zlib.error:
        raise Trouble("EXCHANGE_BROKEN_ANSWER", "its answer does not unpack", passes=True) from None
    if len(body) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise Trouble("EXCHANGE_BROKEN_ANSWER", "its answer breaks off", passes=True)
    return body


def judge(response: httpx.Response, body: bytes, *, now_ms: int) -> Body:
    """The JSON object of an answer, or the trouble it stands for. Texts of errors change, so only the status counts."""
    status = response.status_code
    if status == httpx.codes.OK:
        return _parse(response, body)
    words = f"it answered {status}{_error_word(body)}"
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise Trouble("EXCHANGE_RATE_LIMITED", words, passes=True, wait_seconds=retry_after(response, now_ms))
    if status == httpx.codes.REQUEST_TIMEOUT or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Trouble("EXCHANGE_UNAVAILABLE", words, passes=True, wait_seconds=retry_after(response, now_ms))
    if status < httpx.codes.BAD_REQUEST:
        raise Trouble("EXCHANGE_BROKEN_ANSWER", f"{words} instead of 200 (redirects are not followed)")
    raise Trouble(REASONS_BY_STATUS.get(status, "EXCHANGE_REFUSED_REQUEST"), words)


def _too_large(limit: int) -> Trouble:
    return Trouble("EXCHANGE_BROKEN_ANSWER", f"its answer is larger than {limit} bytes and was not read to its end")


def _parse(response: httpx.Response, body: bytes) -> Body:
    if "json" not in response.headers.get("content-type", ""):
        raise Trouble("EXCHANGE_BROKEN_ANSWER", "its answer is not JSON", passes=True)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Trouble("EXCHANGE_BROKEN_ANSWER", "its answer is broken JSON", passes=True) from None
    if not isinstance(content, dict):
        raise Trouble("EXCHANGE_BROKEN_ANSWER", "its answer is not a JSON object", passes=True)
    return content


def _error_word(body: bytes) -> str:
    """The exchange's own word for the error, like INVALID_ARGUMENT. Its sentences may repeat what was sent."""
    try:
        word = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    fits = isinstance(word, str) and len(word) <= ERROR_WORD_CHARACTERS and word.isascii()
    return f" {word}" if fits and word.isupper() and word.replace("_", "").isalpha() else ""


def retry_after(response: httpx.Response, now_ms: int) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date; None where it is neither."""
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdecimal():
        return float(text[:RETRY_AFTER_DIGITS])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now_ms / 1_000)
