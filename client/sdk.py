"""A small client of the REST API, for the command line and for your own Python."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx

DEFAULT_URL: Final = "http://127.0.0.1:8000"
EXTRA_SECONDS: Final = 2.0  # on top of the server's deadline, so that its own answer arrives first

Json = dict[str, Any]  # Any: decoded JSON as the server sent it


class ApiError(Exception):
    """The server refused, or there is none. `problem` is its RFC 9457 answer where it gave one."""

    def __init__(self, words: str, problem: Json | None = None) -> None:
        super().__init__(words)
        self.problem = problem


class ForeignServerError(ApiError):
    """Something answers, and it is not CRPBot."""


class Client:
    """Talks to one server. Use it as a context manager, or close it."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_seconds: float = 10.0) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        # trust_env off: a proxy meant for the internet must not see calls to our own machine
        try:
            self._http = httpx.Client(base_url=url, timeout=timeout_seconds + EXTRA_SECONDS, trust_env=False)
        except httpx.InvalidURL as error:
            raise ApiError(f"{url!r} is not an address ({error}); write http://HOST:PORT") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def theories(self) -> list[Json]:
        """The catalogue of theories."""
        return self._call("theories", "GET", "/v1/theories")

    def analyze(
        self,
        *symbols: str,
        theories: Sequence[str] = (),
        window: int | None = None,
        interval: str | None = None,
        candles: Sequence[Json] = (),
        ccxt: Sequence[Json] = (),
    ) -> list[Json]:
        """One analysis for each symbol and each series of candles, in that order."""
        body: Json = {
            "symbols": list(symbols),
            "theories": list(theories),
            "candles": list(candles),
            "ccxt": list(ccxt),
        }
        if window is not None:
            body["window"] = window
        if interval is not None:
            body["interval"] = interval
        return self._call("analyses", "POST", "/v1/analyze", body)

    def ready(self) -> Json:
        """What /health/ready says, ready or not."""
        return self._decode(self._send("GET", "/health/ready"))

    def _call(self, field: str, method: str, path: str, body: Json | None = None) -> list[Json]:
        """The list that the answer holds under that name."""
        response = self._send(method, path, body)
        answer = self._decode(response)
        if response.is_error:
            raise ApiError(answer.get("detail", response.reason_phrase), answer)
        found = answer.get(field)
        if not isinstance(found, list):
            raise self._foreign()
        return found

    def _send(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        headers = {"X-Request-Timeout": str(self._timeout_seconds)}
        try:
            return self._http.request(method, path, json=body, headers=headers)
        except httpx.ReadTimeout:
            seconds = self._timeout_seconds + EXTRA_SECONDS
            raise ApiError(
                f"the server at {self._url} did not answer within {seconds:g} s; its log may say why"
            ) from None
        except httpx.HTTPError as error:
            raise ApiError(
                f"no server answers at {self._url} ({error}); start one with `crpbot serve` or name it with --url"
            ) from None

    def _decode(self, response: httpx.Response) -> Json:
        try:
            answer = response.json()
        except ValueError:
            raise self._foreign() from None
        if not isinstance(answer, dict):
            raise self._foreign()
        return answer

    def _foreign(self) -> ForeignServerError:
        return ForeignServerError(f"what answers at {self._url} is not CRPBot; name its REST address with --url")
