"""`crpbot signal` and `crpbot signals`: decides now, lists what was decided, and follows it as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from client.sdk import ApiError, Client
from core.errors import Code, CrpbotError
from serving.configuration import load
from serving.probe import server_url

Json = dict[str, Any]  # Any: decoded JSON

PAGE: Final = 100
RECONNECT_SECONDS: Final = 2.0
SHADOWS: Final = 3  # decisions that compare with one that is published: two strategies and the other variant
STORED_WITHIN: Final = timedelta(minutes=1)  # what compares is stored right after what it compares with


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


def listed(url: str | None, limit: int, filters: dict[str, str | None]) -> list[Json]:
    """The newest stored signals; of both books where a strategy or a model is asked for and no book is named.

    What decided may be published or only compare, and that follows from the server's settings at the time.
    """
    if filters["book"] is not None or not (filters["strategy"] or filters["model"]):
        return stored(url, limit, filters)
    found = [each for book in ("primary", "shadow") for each in stored(url, limit, {**filters, "book": book})]
    found.sort(key=lambda each: datetime.fromisoformat(each["timestamp"]), reverse=True)
    return found[:limit]


def unstaffed(url: str | None, published: Sequence[Json]) -> frozenset[str]:
    """The symbols of these for which certainly no model is promoted; none where the server cannot tell."""
    if not published:
        return frozenset()
    with _client(url) as client:
        try:
            models = client.get("/v1/models")["models"]
        except ApiError:
            return frozenset()
    if any(each["fault"] for each in models):  # who decides, and of which symbols a damaged one is, cannot be read
        return frozenset()
    known = {symbol for each in models if each["state"] == "promoted" for symbol in each["symbols"]}
    return frozenset(each["symbol"] for each in published) - known


def compared(url: str | None, published: Sequence[Json], symbol: str | None) -> list[Json]:
    """What the shadow book holds of the same minutes."""
    if not published:
        return []
    ends = datetime.fromisoformat(published[0]["timestamp"]) + STORED_WITHIN
    span = {"since": published[-1]["timestamp"], "until": ends.isoformat()}
    return stored(url, SHADOWS * len(published), {"book": "shadow", "symbol": symbol, **span})


def followed(url: str | None, wanted: dict[str, str]) -> Iterator[Json]:
    """Signals as they are stored, without end: a line that breaks is taken up after the last signal seen.

    The server's stream is of all signals of a book, so that it has no gaps; what is not `wanted` is left out here.
    """
    book = wanted.get("book")
    after: str | None = None
    with _client(url) as client:
        reached = False
        while True:
            try:
                for event in client.follow_signals(after, book=book):
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
