"""`crpbot signal` and `crpbot signals`: decides now, lists what was decided, and follows it as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from client.sdk import ApiError, Client
from core.errors import Code, CrpbotError
from serving.configuration import load
from serving.probe import server_url

Json = dict[str, Any]  # Any: decoded JSON

PAGE: Final = 100
RECONNECT_SECONDS: Final = 2.0


def decide(url: str | None, symbols: Sequence[str], judging: str | None, account: str | None) -> Json:
    """The server's decisions of now: `signals` and `refused`."""
    with _client(url) as client:
        try:
            return client.signal(*symbols, mode=judging, account=account)
        except ApiError as error:
            raise _refused(error) from None


def stored(url: str | None, limit: int, filters: dict[str, str | None]) -> list[Json]:
    """The newest stored signals, so many of them."""
    found: list[Json] = []
    cursor: str | None = None
    with _client(url) as client:
        try:
            while len(found) < limit:
                page = client.signals(limit=min(PAGE, limit - len(found)), cursor=cursor, **filters)
                found += page["signals"]
                cursor = page.get("next_cursor")
                if cursor is None:
                    break
        except ApiError as error:
            raise _refused(error) from None
    return found


def followed(url: str | None, wanted: dict[str, str]) -> Iterator[Json]:
    """Signals as they are stored, without end: a line that breaks is taken up after the last signal seen.

    The server's stream is of all signals, so that it has no gaps; what is not `wanted` is left out here.
    """
    after: str | None = None
    with _client(url) as client:
        reached = False
        while True:
            try:
                for event in client.follow_signals(after):
                    reached = True
                    after = event.id or after
                    signal: Json = event.value["signal"]
                    if all(signal[name] == value for name, value in wanted.items()):
                        yield signal
            except ApiError as error:
                if error.status is not None or error.problem is not None or not reached:
                    raise _refused(error) from None
            time.sleep(RECONNECT_SECONDS)


def _client(url: str | None) -> Client:
    return Client(url or server_url(load().settings))


def _refused(error: ApiError) -> CrpbotError:
    return CrpbotError(Code.UNAVAILABLE, str(error), reason="SERVER_REFUSED")
