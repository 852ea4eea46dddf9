"""What one answer of a language model's server is worth: read strictly, judged by its status and its shape.

The server is believed in nothing that can be checked. What is no JSON object of the documented shape is no answer; of
several choices, of tools and of cut texts nothing is taken; a count of tokens that cannot be true counts as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.llm.asking import FailureReason
from core.llm.price import Usage, is_plausible
from core.strictjson import Json, parse_object

MOST_CHARACTERS: Final = 65_536  # of a reply; a verdict has a hundredth of it
WORDS_CHARACTERS: Final = 80  # of what is wrong with it
NAME_CHARACTERS: Final = 128  # of a model's name or a request's id

RETRIED: Final = frozenset({429, 500, 502, 503, 504})
# The provider says that it did nothing: nothing is owed. Of a 500, 502 and 504 nobody knows how far it came.
UNBILLED: Final = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429, 503})
REASONS_BY_STATUS: Final[Mapping[int, FailureReason]] = {
    401: FailureReason.UNAUTHORIZED,
    402: FailureReason.NO_BALANCE,
    403: FailureReason.UNAUTHORIZED,
    408: FailureReason.SERVER_ERROR,
    429: FailureReason.RATE_LIMITED,
}
REASONS_BY_FINISH: Final[Mapping[str, FailureReason]] = {
    "length": FailureReason.TRUNCATED,
    "content_filter": FailureReason.CONTENT_FILTER,
    "tool_calls": FailureReason.TOOL_CALL,
    "function_call": FailureReason.TOOL_CALL,
    "insufficient_system_resource": FailureReason.SERVER_ERROR,
}
REMEDIES: Final[Mapping[int, str]] = {
    400: "see LLM_EXTRA_BODY and LLM_SUPPORTS_JSON_MODE, which other servers may need changed",
    401: "check DEEPSEEK_API_KEY",
    402: "the account is empty; top it up",
    403: "check DEEPSEEK_API_KEY and what it may do",
    404: "check LLM_BASE_URL and LLM_MODEL",
    422: "see LLM_EXTRA_BODY and CRPBOT__LLM__MAX_TOKENS",
}


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole reply as the server sent it, its text not yet cleaned."""

    text: str
    model: str
    finish_reason: str
    request_id: str
    usage: Usage | None


class Mishap(Exception):  # noqa: N818 - becomes a value that is stored, never an error
    """One attempt that gave no reply. What is owed for it: nothing, what `usage` says, or the whole reservation."""

    def __init__(
        self,
        reason: FailureReason,
        words: str,
        *,
        passes: bool = False,
        is_owed: bool = True,
        usage: Usage | None = None,
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words
        self.passes = passes  # worth another attempt
        self.is_owed = is_owed
        self.usage = usage
        self.wait_seconds = wait_seconds  # what the server asked for


def refuse_status(status: int, wait_seconds: float | None) -> Mishap:
    """What a status other than 200 stands for. Texts of errors change and may repeat secrets: they are not read."""
    if status < 400:
        words = f"the server answered {status} instead of 200 (redirects are not followed); check LLM_BASE_URL"
        return Mishap(FailureReason.BROKEN_TRANSPORT, words)
    default = FailureReason.SERVER_ERROR if status >= 500 else FailureReason.REFUSED_REQUEST
    remedy = f"; {REMEDIES[status]}" if status in REMEDIES else ""
    return Mishap(
        REASONS_BY_STATUS.get(status, default),
        f"the server answered {status}{remedy}",
        passes=status in RETRIED,
        is_owed=status not in UNBILLED,
        wait_seconds=wait_seconds,
    )


def read_object(body: bytes) -> Json:
    """The one JSON object that a body must be; blank lines before it are patience and no part of it."""
    try:
        return parse_object(body.decode(), most_characters=len(body))
    except ValueError as error:
        words = f"the answer is not one JSON object ({str(error)[:WORDS_CHARACTERS]})"
        raise Mishap(FailureReason.BROKEN_TRANSPORT, words) from None


def read_completion(body: bytes) -> Completion:
    """The reply in a body that came with status 200; a `Mishap` carries the usage where the server told one."""
    content = read_object(body)
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise Mishap(FailureReason.BROKEN_TRANSPORT, "the answer has not one choice with a message")
    text = message.get("content")
    usage = read_usage(content.get("usage"), has_text=bool(text))
    _check_finish(choice.get("finish_reason"), message, usage)
    return Completion(
        text=_check_text(text, usage),
        model=_name(content.get("model")),
        finish_reason="stop",
        request_id=_name(content.get("id")),
        usage=usage,
    )


def read_usage(counted: object, *, has_text: bool) -> Usage | None:
    """What the server counted, in DeepSeek's or OpenAI's words; None where it cannot be true."""
    if not isinstance(counted, dict):
        return None
    completion_details = counted.get("completion_tokens_details")
    prompt_details = counted.get("prompt_tokens_details")
    details = prompt_details if isinstance(prompt_details, dict) else {}
    reasoned = completion_details if isinstance(completion_details, dict) else {}
    hits = [each for each in (counted.get("prompt_cache_hit_tokens"), details.get("cached_tokens")) if each is not None]
    missed, thought = counted.get("prompt_cache_miss_tokens"), reasoned.get("reasoning_tokens")
    reasoning = 0 if thought is None else thought
    prompt, completion = counted.get("prompt_tokens"), counted.get("completion_tokens")
    told = [prompt, completion, reasoning, *hits, *([] if missed is None else [missed])]
    if not all(_is_count(each) for each in told):
        return None
    usage = Usage(int(prompt or 0), min(hits, default=0), int(completion or 0), reasoning)
    split = missed is None or not hits or missed + hits[0] == prompt
    return usage if split and is_plausible(usage, has_text=has_text) else None


def _check_finish(finish: object, message: Json, usage: Usage | None) -> None:
    if message.get("tool_calls") or message.get("function_call"):
        raise Mishap(FailureReason.TOOL_CALL, "the model calls a tool, and was offered none", usage=usage)
    if finish == "stop":
        return
    reason = REASONS_BY_FINISH.get(finish) if isinstance(finish, str) else None
    if reason is None:
        raise Mishap(FailureReason.BROKEN_TRANSPORT, "the answer does not say that it is complete", usage=usage)
    remedy = "; see CRPBOT__LLM__MAX_TOKENS" if reason is FailureReason.TRUNCATED else ""
    raise Mishap(reason, f"the reply ended with {finish}{remedy}", usage=usage)


def _check_text(text: object, usage: Usage | None) -> str:
    """The text, if the ledger can store it: not blank, not endless, no NUL and no half of a character."""
    if not isinstance(text, str) or not text.strip():
        raise Mishap(FailureReason.BROKEN_CONTENT, "the reply is blank", usage=usage)
    if len(text) > MOST_CHARACTERS:
        raise Mishap(
            FailureReason.BROKEN_CONTENT, f"the reply has more than {MOST_CHARACTERS:,} characters", usage=usage
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Mishap(FailureReason.BROKEN_CONTENT, "the reply has halves of characters", usage=usage) from None
    if "\0" in text:
        raise Mishap(FailureReason.BROKEN_CONTENT, "the reply has a NUL, which no ledger stores", usage=usage)
    return text


def _is_count(value: object) -> bool:
    """A whole number; a bool is one to Python and none here."""
    return isinstance(value, int) and not isinstance(value, bool)


def _name(value: object) -> str:
    """A name that the server gave, fit for a log and a table."""
    if not isinstance(value, str):
        return ""
    return "".join(each for each in value[:NAME_CHARACTERS] if each.isascii() and each.isprintable())
