"""How an exchange is asked over HTTP: never faster than it allows, never longer than promised, never more than fits.

A request has a deadline. Within it, what may pass by itself (429, 5xx, silence, a broken body) is tried again after a
wait that doubles and is drawn by chance, so that many clients do not come back at once; what the exchange asks for with
Retry-After holds for everybody who shares the limiter. Redirects are refused, cookies are not kept, proxies of the
environment are ignored, and neither an answer nor what it unpacks to may be larger than the pace allows.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address

import httpx

from core.adapters.exchange_answer import Body, Trouble, judge, read_body
from core.errors import Code, CrpbotError

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Clocks, patience and chance: what an adapter takes from outside besides the network."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000  # labels instants, never measures spans
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[float], float] = lambda most: random.uniform(0.0, most)  # noqa: S311 - spreads load, hides nothing
    nonce: Callable[[], str] = lambda: secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, how long and how much."""

    requests_per_second: int = 5  # half of what Coinbase has ever allowed without a key
    attempts: int = 5
    attempt_seconds: float = 3.0  # an answer takes a tenth of it
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 30.0
    longest_hold_seconds: float = 60.0  # a Retry-After beyond this is taken for a mistake and asked about again
    body_bytes: int = 2_000_000


class RateLimiter:
    """At most so many requests in any second, in the order of asking, for everybody who shares it."""

    def __init__(self, per_second: int, surroundings: Surroundings) -> None:
        self._granted = deque([-math.inf] * per_second, maxlen=per_second)
        self._held_until = -math.inf
        self._waiting = 0
        self._lock = asyncio.Lock()
        self._world = surroundings

    def hold(self, seconds: float) -> None:
        """Nobody asks before this time has passed."""
        self._held_until = max(self._held_until, self._world.monotonic() + seconds)

    async def turn(self, deadline: float) -> float | None:
        """Waits for a turn. A wait that would pass the deadline is not begun; how long it would be is the answer."""
        soonest = self._soonest(self._waiting)
        if soonest > deadline:
            return soonest - self._world.monotonic()
        self._waiting += 1
        try:
            async with self._lock:
                while (wait := self._soonest(0) - self._world.monotonic()) > 0.0:
                    if self._world.monotonic() + wait > deadline:
                        return wait
                    await self._world.sleep(wait)
                self._granted.append(self._world.monotonic())
                return None
        finally:
            self._waiting -= 1

    def _soonest(self, ahead: int) -> float:
        """The first instant at which somebody with so many others before him can have his turn."""
        rounds, place = divmod(ahead, len(self._granted))
        return max(self._world.monotonic(), self._held_until, self._granted[place] + 1.0) + rounds


class PoliteClient:
    """GET and JSON, for one exchange. Belongs to one event loop.

    A key is either a token that `authorize` makes for each single request, or the same `key_headers` in all of them.
    """

    def __init__(
        self,
        exchange: str,
        base_url: str,
        *,
        pace: Pace,
        surroundings: Surroundings,
        authorize: Callable[[str], str] | None = None,
        key_headers: Mapping[str, str] | None = None,
    ) -> None:
        self._exchange = exchange
        self._base = httpx.URL(base_url)
        if (authorize or key_headers) and self._base.scheme != "https" and not is_loopback(self._base.host):
            raise CrpbotError(
                Code.FAILED_PRECONDITION,
                f"{exchange}: a key is set and the base URL is not https; use https, or unset the key",
                reason="INSECURE_BASE_URL",
            )
        self._pace = pace
        self._world = surroundings
        self._authorize = authorize
        self._key_headers = dict(key_headers or {})
        self._limiter = RateLimiter(pace.requests_per_second, surroundings)
        self._http = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - `_attempt` bounds the whole exchange of bytes, which these time-outs do not
            trust_env=False,
            verify=trusted_certificates(),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={
                "User-Agent": "crpbot",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "Cache-Control": "no-cache",
            },
        )

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._http.aclose()

    async def get(self, path: str, query: Query = (), *, deadline: float, subject: str, signed: bool = True) -> Body:
        """The JSON object at a path of the base URL. `deadline` is an instant of the monotonic clock.

        `subject` says in errors what was asked for. Nothing is tried again past the deadline.
        """
        failure = Trouble("EXCHANGE_TIMEOUT", "no answer came before the deadline"), 1
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline - self._world.monotonic()):
                found = await self._ask(path, query, deadline=deadline, signed=signed)
                if not isinstance(found, tuple):
                    return found
                failure = found
        # raised here, where no exception is in flight whose request would show the token
        trouble, attempts = failure
        raise trouble.as_error(self._exchange, subject, attempts=attempts)

    async def _ask(self, path: str, query: Query, *, deadline: float, signed: bool) -> Body | tuple[Trouble, int]:
        """The answer, or the last trouble and how many attempts there were."""
        attempt = 0
        while True:
            seconds = await self._limiter.turn(deadline)
            if seconds is not None and seconds <= 0.0:
                return Trouble("EXCHANGE_TIMEOUT", "the deadline had passed before it was asked"), attempt
            if seconds is not None:
                words = f"its turn would come in {seconds:.1f} s, after the deadline"
                return Trouble("EXCHANGE_RATE_LIMITED", words, wait_seconds=seconds), attempt
            attempt += 1
            try:
                return await self._attempt(path, query, deadline=deadline, signed=signed)
            except Trouble as trouble:
                wait = self._wait(trouble, attempt)
                late = self._world.monotonic() + wait >= deadline
                if late or attempt >= self._pace.attempts or not trouble.passes:
                    return trouble, attempt
            await self._world.sleep(wait)

    def _wait(self, trouble: Trouble, attempt: int) -> float:
        """Seconds until the next attempt; what the exchange asked for holds for everybody."""
        if trouble.wait_seconds is not None:
            asked = min(trouble.wait_seconds, self._pace.longest_hold_seconds)
            self._limiter.hold(asked)
            return asked
        if trouble.reason == "EXCHANGE_RATE_LIMITED":
            self._limiter.hold(1.0)  # limits count by the second
        longest = self._pace.first_wait_seconds * 2.0 ** (attempt - 1)
        return self._world.jitter(min(self._pace.longest_wait_seconds, longest))

    async def _attempt(self, path: str, query: Query, *, deadline: float, signed: bool) -> Body:
        seconds = min(self._pace.attempt_seconds, deadline - self._world.monotonic())
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path)
        headers = dict(self._key_headers) if signed else {}
        if signed and self._authorize:
            # a token is bound to host and path, without scheme and query
            headers["Authorization"] = f"Bearer {self._authorize(f'GET {url.netloc.decode()}{url.path}')}"
        parameters = httpx.QueryParams(list(query))
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.stream("GET", url, params=parameters, headers=headers) as response,
            ):
                body = await read_body(response, self._pace.body_bytes)
        except TimeoutError:
            raise Trouble("EXCHANGE_TIMEOUT", f"no whole answer came within {seconds:.1f} s", passes=True) from None
        except httpx.HTTPError as error:
            words = f"the connection failed ({type(error).__name__})"
            raise Trouble("EXCHANGE_UNAVAILABLE", words, passes=True) from None
        return judge(response, body, now_ms=self._world.now_ms())


@cache
def trusted_certificates() -> ssl.SSLContext:
    """The certificates that are trusted, read once; the environment cannot name others."""
    return httpx.create_ssl_context(trust_env=False)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
