"""A small client of the REST API, for the command line and for your own Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx

from client.events import Event, read_events

DEFAULT_URL: Final = "http://127.0.0.1:8000"
EXTRA_SECONDS: Final = 2.0  # on top of the server's deadline, so that its own answer arrives first
SIGNAL_SECONDS: Final = 30.0  # the longest a server works on one call; a language model alone may take 20
SILENCE_SECONDS: Final = 30.0  # a stream says every 10 s that it lives
STREAM: Final = "/v1/signals/stream"

Json = dict[str, Any]  # Any: decoded JSON as the server sent it
Parameters = Mapping[str, str | int | None]


class ApiError(Exception):
    """The server refused, or there is none. `problem` is its RFC 9457 answer where it gave one.

    `status` is its HTTP status, None where no answer came; `retry_after_seconds` how long it asks to be left alone.
    """

    def __init__(
        self,
        words: str,
        problem: Json | None = None,
        *,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(words)
        self.problem = problem
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class ForeignServerError(ApiError):
    """Something answers, and it is not CRPBot."""


class Client:
    """Talks to one server. Use it as a context manager, or close it."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_seconds: float = 10.0) -> None:
        self.url = url
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
        listed: list[Json] = self._call(("theories",), "GET", "/v1/theories")["theories"]
        return listed

    def analyze(
        self,
        *symbols: str,
        theories: Sequence[str] = (),
        window: int | None = None,
        interval: str | None = None,
        candles: Sequence[Json] = (),
        ccxt: Sequence[Json] = (),
    ) -> list[Json]:
        """One analysis for each symbol and each series of candles, in that order; a symbol without one is an error."""
        answer = self.ask(*symbols, theories=theories, window=window, interval=interval, candles=candles, ccxt=ccxt)
        refused = answer["refused"]
        if refused:
            raise ApiError("; ".join(f"{each['symbol']}: {each['detail']}" for each in refused))
        analyses: list[Json] = answer["analyses"]
        return analyses

    def ask(
        self,
        *symbols: str,
        theories: Sequence[str] = (),
        window: int | None = None,
        interval: str | None = None,
        candles: Sequence[Json] = (),
        ccxt: Sequence[Json] = (),
    ) -> Json:
        """The whole answer: `analyses`, and `refused` with the symbols that could not be read."""
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
        return self._call(("analyses", "refused"), "POST", "/v1/analyze", body)

    def signal(
        self,
        *symbols: str,
        slot: str | None = None,
        mode: str | None = None,
        account: str | None = None,
        interval: str | None = None,
        key: str | None = None,
        timeout_seconds: float = SIGNAL_SECONDS,
    ) -> Json:
        """Decides now: `signals`, and `refused` with the symbols for which nothing could be decided.

        With a `key` the call may be repeated: the same key and the same words never decide twice.
        """
        body: Json = {"symbols": list(symbols)}
        optional = {"slot": slot, "mode": mode, "account": account, "interval": interval}
        body |= {name: value for name, value in optional.items() if value is not None}
        answer = self._call(("signals",), "POST", "/v1/signals", body, key=key, timeout_seconds=timeout_seconds)
        return {"refused": [], **answer}

    def signals(self, **filters: str | int | None) -> Json:
        """Stored signals, newest first: `signals`, and `next_cursor`, which as `cursor` asks for the next page."""
        return self._call(("signals",), "GET", "/v1/signals", parameters=filters)

    def follow_signals(self, after: str | None = None, *, book: str | None = None) -> Iterator[Event]:
        """Signals as they are stored in a book, until the connection ends; `after` is the last event known."""
        headers, asked = {} if after is None else {"Last-Event-ID": after}, _given({"book": book})
        told = httpx.Timeout(self._timeout_seconds + EXTRA_SECONDS, read=SILENCE_SECONDS)
        try:
            with self._http.stream("GET", STREAM, params=asked, headers=headers, timeout=told) as response:
                if response.is_error:
                    response.read()
                    raise self._refusal(response, self._decode(response))
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise self._foreign()
                for event in read_events(response.iter_bytes()):
                    if event.kind == "problem":
                        raise ApiError(event.value.get("detail", "the stream ended"), event.value)
                    yield event
        except ValueError:
            raise self._foreign() from None
        except httpx.HTTPError as error:
            raise self._silence(error, SILENCE_SECONDS) from None

    def risk(self, account: str | None = None) -> Json:
        """How an account stands against its limits."""
        return self.get("/v1/risk", account=account)

    def spend(self) -> Json:
        """What the language model has cost today and this month, against its caps."""
        return self.get("/v1/spend")

    def get(self, path: str, **parameters: str | int | None) -> Json:
        """Any other answer of the API."""
        return self._call((), "GET", path, parameters=parameters)

    def post(self, path: str, body: Json, *, key: str | None = None) -> Json:
        """Any other call of the API; with a `key` it may be repeated."""
        return self._call((), "POST", path, body, key=key)

    def ready(self) -> Json:
        """What /health/ready says, ready or not."""
        return self._decode(self._send("GET", "/health/ready"))

    def _call(
        self,
        fields: Sequence[str],
        method: str,
        path: str,
        body: Json | None = None,
        **how: Any,  # Any: what _send takes by name
    ) -> Json:
        """The answer, which holds a list under each of these names."""
        response = self._send(method, path, body, **how)
        answer = self._decode(response)
        if response.is_error:
            raise self._refusal(response, answer)
        if not all(isinstance(answer.get(field), list) for field in fields):
            raise self._foreign()
        return answer

    def _send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        parameters: Parameters | None = None,
        key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> httpx.Response:
        seconds = timeout_seconds or self._timeout_seconds
        headers = {"X-Request-Timeout": f"{seconds:.3f}"} | ({} if key is None else {"Idempotency-Key": key})
        asked = _given(parameters or {}) or None
        try:
            return self._http.request(
                method, path, params=asked, json=body, headers=headers, timeout=seconds + EXTRA_SECONDS
            )
        except httpx.HTTPError as error:
            raise self._silence(error, seconds + EXTRA_SECONDS) from None

    def _silence(self, error: httpx.HTTPError, seconds: float) -> ApiError:
        """No answer came."""
        if isinstance(error, httpx.ReadTimeout):
            return ApiError(f"the server at {self.url} did not answer within {seconds:g} s; its log may say why")
        return ApiError(
            f"no server answers at {self.url} ({error}); start one with `crpbot serve` or name it with --url"
        )

    def _refusal(self, response: httpx.Response, answer: Json) -> ApiError:
        """The server's own words, and how long it asks to be left alone."""
        return ApiError(
            answer.get("detail", response.reason_phrase),
            answer,
            status=response.status_code,
            retry_after_seconds=_seconds(response.headers.get("retry-after")),
        )

    def _decode(self, response: httpx.Response) -> Json:
        try:
            answer = response.json()
        except ValueError:
            raise self._foreign() from None
        if not isinstance(answer, dict):
            raise self._foreign()
        return answer

    def _foreign(self) -> ForeignServerError:
        return ForeignServerError(f"what answers at {self.url} is not CRPBot; name its REST address with --url")


def _given(parameters: Parameters) -> dict[str, str | int]:
    return {name: value for name, value in parameters.items() if value is not None}


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds; its other form, a date, would need a clock that agrees with the server's."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
