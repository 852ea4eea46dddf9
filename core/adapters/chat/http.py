"""Talks to one server in OpenAI's words: one request, one judged answer, and no more bytes than fit.

Redirects are refused, cookies are not kept, proxies of the environment are ignored: the configured host is the only one
that is ever spoken to. While a model thinks, servers send blank lines to keep a connection alive, and each of them
resets a read time-out; so there is none here, and whoever calls puts one deadline around the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, Self

import httpx

from core.adapters.chat.answer import Completion, Mishap, read_completion, read_object, refuse_status
from core.adapters.exchange_answer import Trouble, read_body, retry_after
from core.adapters.exchange_http import Surroundings, is_loopback, trusted_certificates
from core.errors import Code, CrpbotError, invalid
from core.llm.asking import FailureReason, Prompt
from core.settings.declared import Llm

BODY_BYTES: Final = 2_000_000
CONNECT_SECONDS: Final = 5.0
CONNECTIONS: Final = 64
# They decide what is asked, of whom, how long an answer is and how often it is paid.
RESERVED_FIELDS: Final = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "n", "best_of", "stream", "stream_options"}
    | {"tools", "tool_choice", "functions", "function_call"}
)


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """The server, the model and how it is asked. `extra_body` is JSON text of fields for each request."""

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    extra_body: str = "{}"
    has_json_mode: bool = True
    max_tokens: int = 600
    is_free: bool = False

    @classmethod
    def of(cls, llm: Llm) -> Self:
        """As the settings say."""
        return cls(
            base_url=llm.base_url,
            model=llm.model,
            api_key=None if llm.api_key is None else llm.api_key.get_secret_value(),
            extra_body=llm.extra_body,
            has_json_mode=llm.supports_json_mode,
            max_tokens=llm.max_tokens,
            is_free=llm.price_free,
        )


class ChatHttp:
    """The connection to the server. Belongs to one event loop. What fails raises `Mishap`."""

    def __init__(self, options: ChatOptions, surroundings: Surroundings) -> None:
        self._root = httpx.URL(options.base_url)
        self._world = surroundings
        _check_key(options, self._root)
        self._fields = _fixed_fields(options)
        headers = {"User-Agent": "crpbot", "Accept": "application/json", "Accept-Encoding": "gzip"}
        if options.api_key:
            headers["Authorization"] = f"Bearer {options.api_key}"
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            trust_env=False,
            verify=trusted_certificates(),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers=headers,
        )

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._http.aclose()

    def encode(self, prompt: Prompt) -> bytes:
        """The body of a request."""
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        body = json.dumps({"messages": messages, **self._fields}, ensure_ascii=False, separators=(",", ":"))
        return body.encode(errors="replace")

    async def complete(self, body: bytes) -> Completion:
        """One attempt. It may last for ever: the caller has the deadline."""
        return read_completion(await self._exchange("POST", "/chat/completions", body))

    async def models(self) -> tuple[str, ...]:
        """The names of the models that the server offers."""
        content = read_object(await self._exchange("GET", "/models", None))
        rows = content.get("data")
        if not isinstance(rows, list):
            raise Mishap(FailureReason.BROKEN_TRANSPORT, "the server's list of models has another shape")
        names = [row.get("id") for row in rows if isinstance(row, dict)]
        return tuple(name for name in names if isinstance(name, str))

    async def _exchange(self, method: str, path: str, content: bytes | None) -> bytes:
        url = self._root.copy_with(path=self._root.path.rstrip("/") + path)
        headers = {} if content is None else {"Content-Type": "application/json"}
        has_begun = False
        try:
            async with self._http.stream(method, url, content=content, headers=headers) as response:
                has_begun = True
                if response.status_code != httpx.codes.OK:
                    raise refuse_status(response.status_code, retry_after(response, self._world.now_ms()))
                return await read_body(response, BODY_BYTES)
        except Trouble as trouble:
            raise Mishap(FailureReason.BROKEN_TRANSPORT, trouble.words) from None
        except (httpx.ConnectError, httpx.ConnectTimeout):
            words = "the server cannot be reached; check LLM_BASE_URL and the network"
            raise Mishap(FailureReason.UNREACHABLE, words, passes=True, is_owed=False) from None
        except httpx.HTTPError as error:
            if has_begun:
                words = f"the answer broke off ({type(error).__name__})"
                raise Mishap(FailureReason.BROKEN_TRANSPORT, words) from None
            words = f"the connection failed before an answer ({type(error).__name__})"
            raise Mishap(FailureReason.UNREACHABLE, words, passes=True) from None


def _check_key(options: ChatOptions, root: httpx.URL) -> None:
    """A key travels in a header, and in the clear only to this machine or to a server that is the user's own."""
    if not options.api_key:
        return
    if not (options.api_key.isascii() and options.api_key.isprintable() and " " not in options.api_key):
        raise invalid("DEEPSEEK_API_KEY", "holds characters that no key has; copy it again", reason="BAD_LLM_KEY")
    if root.scheme != "https" and not is_loopback(root.host) and not options.is_free:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            "LLM_BASE_URL: a key is set and the URL is not https; use https, or LLM_PRICE_FREE=true for a server of "
            "your own",
            reason="INSECURE_BASE_URL",
        )


def _fixed_fields(options: ChatOptions) -> Mapping[str, Any]:  # Any: JSON
    """What is the same in each request. The user's own fields may change how is sampled, not what is paid."""
    extra = json.loads(options.extra_body)
    if stray := RESERVED_FIELDS & extra.keys():
        raise invalid("LLM_EXTRA_BODY", f"must not hold {', '.join(sorted(stray))}: they are set by other settings")
    fields = {"temperature": 0, "response_format": {"type": "json_object"}, **extra}
    if not options.has_json_mode and "response_format" not in extra:
        del fields["response_format"]
    return {"model": options.model, "max_tokens": options.max_tokens, "stream": False, **fields}
