"""CoinGecko and alternative.me on the loopback: the recorded answers, keys checked, credits counted, faults on demand.

`with FakeCoinGecko() as site:` serves CoinGecko at `site.coingecko_url` and the Fear & Greed index at `site.url`. Its
clock is the machine's, or stands where `now` says. `python -m tests.fake_coingecko` serves until it is stopped.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tests.loopback_server import JSON_TYPE, Answer, LoopbackServer, Wire

PREFIX = "/api/v3"
PAYLOADS = Path(__file__).parent / "payloads"
KEY_HEADERS = {False: "x-cg-demo-api-key", True: "x-cg-pro-api-key"}  # by whether the plan is paid
DAY_SECONDS = 86_400
LONG_AGO = 1_705_262_221  # when the recordings were made
HTML_TYPE = {"Content-Type": "text/html; charset=UTF-8"}
# Coins that the recording lacks.
INVENTED_CHANGES = {"avalanche-2": 1.1, "chainlink": -0.6, "polygon-ecosystem-token": -2.0, "litecoin": 0.0}


class Reply(StrEnum):
    """What can be answered instead of what was asked for."""

    RATE_LIMITED = "429"  # `detail`: its Retry-After, where it has one
    STATUS = "status"  # `detail`: which
    REDIRECT = "redirect"  # `detail`: where to
    FIREWALL = "firewall"  # how the network in front of CoinGecko turns machines away
    HTML = "html"
    LIST = "list"
    DEEP = "deep"  # JSON of 100,000 levels
    REPORTED = "reported"  # an error that comes with status 200


class Flaw(StrEnum):
    """What can be wrong with an answer that looks right."""

    STALE = "stale"
    FUTURE = "future"
    TIMELESS = "timeless"
    NAN = "NaN"
    INFINITE = "infinite"
    NULL = "null"
    ABSURD = "absurd"  # whole numbers of 400 digits
    TRUTH = "true instead of a number"
    EMPTY = "empty"


class Seen(NamedTuple):
    """One request as it arrived; `at` is the site's clock."""

    at: float
    path: str
    query: str
    headers: Mapping[str, str]
    status: int


@dataclass
class _Planned:
    fault: Reply | Flaw | Wire
    detail: str
    part: str
    left: int


class FakeCoinGecko(LoopbackServer):
    """Both sites. What may change during a test are the public attributes; `key` None means that none is asked for."""

    def __init__(self, *, key: str | None = None, is_paid: bool = False, now: float | None = None) -> None:
        super().__init__()
        self.key = key
        self.is_paid = is_paid
        self.now = now
        self.credits = 0
        self.seen: deque[Seen] = deque(maxlen=100_000)
        self.cap_change_percent = float(_body("coingecko_global")["data"]["market_cap_change_percentage_24h_usd"])
        self.dominance_percent = float(_body("coingecko_global")["data"]["market_cap_percentage"]["btc"])
        recorded = {row["id"]: row["price_change_percentage_24h"] for row in _body("coingecko_coins_markets")}
        self.changes: dict[str, float] = {**recorded, **INVENTED_CHANGES}
        self.fear_greed = int(_body("alternative_fear_greed")["data"][0]["value"])
        self._plans: list[_Planned] = []

    @property
    def coingecko_url(self) -> str:
        return f"{self.url}{PREFIX}"

    def plan(self, fault: Reply | Flaw | Wire, detail: object = "", *, part: str = "", times: int = 1_000_000) -> None:
        """The next `times` requests in whose path this part stands meet the fault."""
        self._plans.append(_Planned(fault, str(detail), part, times))

    def heal(self) -> None:
        """No more faults."""
        self._plans.clear()

    def asked(self, part: str = "") -> list[Seen]:
        """The requests in whose path this stands."""
        return [each for each in list(self.seen) if part in each.path]

    def clock(self) -> float:
        """Seconds since 1970."""
        return time.time() if self.now is None else self.now

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        url = urlsplit(target)
        planned = next((each for each in self._plans if each.part in url.path and each.left > 0), None)
        if planned:
            planned.left -= 1
        flaw = planned.fault if planned and isinstance(planned.fault, Flaw) else None
        answer = self._refusal(url.path, headers) or self._content(url.path, dict(parse_qsl(url.query)), flaw)
        if planned and isinstance(planned.fault, Reply):
            answer = _reply(planned.fault, planned.detail)
        if url.path.startswith(PREFIX) and answer.status == 200:
            self.credits += 1
        self.seen.append(Seen(self.clock(), url.path, url.query, dict(headers), answer.status))
        return answer._replace(wire=planned.fault) if planned and isinstance(planned.fault, Wire) else answer

    def _refusal(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        if self.key is None or not path.startswith(PREFIX):
            return None
        if headers.get(KEY_HEADERS[self.is_paid]) == self.key:
            return None
        if KEY_HEADERS[not self.is_paid] in headers:
            return _error(401, 10_011 if self.is_paid else 10_010, "the key is for the other root URL")
        return _error(401, 10_002, "API Key Missing")

    def _content(self, path: str, query: Mapping[str, str], flaw: Flaw | None) -> Answer:
        if path == "/fng/":
            return _json(self._fear_greed(flaw))
        what = path.removeprefix(PREFIX)
        if what == "/ping":
            return _json({"gecko_says": "(V3) To the Moon!"})
        if what == "/global":
            return _json(self._global(flaw))
        if what == "/simple/price" and "vs_currencies" in query:
            return _json(self._simple_price(query, flaw))
        return _error(404, 404, "not found")

    def _global(self, flaw: Flaw | None) -> dict[str, Any]:
        body = copy.deepcopy(_body("coingecko_global"))
        content = body["data"]
        content["market_cap_change_percentage_24h_usd"] = _spoil(self.cap_change_percent, flaw)
        content["market_cap_percentage"]["btc"] = _spoil(self.dominance_percent, flaw)
        content["updated_at"] = self._stamp(120, flaw)
        return {} if flaw is Flaw.EMPTY else body

    def _simple_price(self, query: Mapping[str, str], flaw: Flaw | None) -> dict[str, Any]:
        """Unknown coins are left out without a word; what was not asked to be included is not."""
        prices = {row["id"]: row["current_price"] for row in _body("coingecko_coins_markets")}
        answer: dict[str, Any] = {}
        for coin in query["ids"].split(","):
            if coin in self.changes:
                answer[coin] = {} if flaw is Flaw.EMPTY else {"usd": prices.get(coin, 1)}
            if coin in self.changes and flaw is not Flaw.EMPTY and query.get("include_24hr_change") == "true":
                answer[coin]["usd_24h_change"] = _spoil(self.changes[coin], flaw)
            if coin in self.changes and flaw is not Flaw.EMPTY and query.get("include_last_updated_at") == "true":
                answer[coin]["last_updated_at"] = self._stamp(30, flaw)
        return answer

    def _fear_greed(self, flaw: Flaw | None) -> dict[str, Any]:
        body = copy.deepcopy(_body("alternative_fear_greed"))
        (newest,) = body["data"]
        into_day = int(self.clock()) % DAY_SECONDS
        stamp = self._stamp(into_day, flaw)
        spoiled = _spoil(self.fear_greed, flaw)
        newest["value"] = str(spoiled) if flaw is not Flaw.NULL else None
        newest["timestamp"] = None if stamp is None else str(stamp)
        newest["time_until_update"] = str(DAY_SECONDS - into_day)
        return {**body, "data": []} if flaw is Flaw.EMPTY else body

    def _stamp(self, age_seconds: int, flaw: Flaw | None) -> int | None:
        stamps = {Flaw.STALE: LONG_AGO, Flaw.FUTURE: int(self.clock()) + DAY_SECONDS, Flaw.TIMELESS: None}
        return stamps[flaw] if flaw in stamps else int(self.clock()) - age_seconds


def _body(name: str) -> Any:  # Any: decoded JSON
    return json.loads((PAYLOADS / f"{name}.json").read_text())["response"]["body"]


def _spoil(value: float, flaw: Flaw | None) -> Any:  # Any: what no JSON number should be
    spoiled = {Flaw.NAN: float("nan"), Flaw.INFINITE: float("inf"), Flaw.ABSURD: 10**400, Flaw.TRUTH: True}
    return None if flaw is Flaw.NULL else spoiled.get(flaw, value) if flaw else value


def _reply(fault: Reply, detail: str) -> Answer:
    if fault is Reply.RATE_LIMITED:
        (recorded,) = [each for each in _cases() if each.get("status") == 429]
        headers = {**JSON_TYPE, "Retry-After": detail} if detail else JSON_TYPE
        return Answer(429, json.dumps(recorded["body"]).encode(), headers)
    if fault is Reply.STATUS:
        return _error(int(detail), int(detail), "trouble")
    answers = {
        Reply.REDIRECT: Answer(302, headers={"Location": detail}),
        Reply.FIREWALL: Answer(403, b"<html>error code: 1020</html>", HTML_TYPE),
        Reply.HTML: Answer(200, b"<html>Just a moment...</html>", HTML_TYPE),
        Reply.LIST: Answer(200, b"[]"),
        Reply.DEEP: Answer(200, b'{"data":' + b"[" * 100_000),
        Reply.REPORTED: _json({"data": [], "metadata": {"error": "out of order"}, "error": "out of order"}),
    }
    return answers[fault]


def _cases() -> Any:  # Any: decoded JSON
    return json.loads((PAYLOADS / "coingecko_errors.json").read_text())["cases"]


def _json(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode())


def _error(status: int, code: int, words: str) -> Answer:
    return Answer(status, json.dumps({"status": {"error_code": code, "error_message": words}}).encode())


def main() -> None:
    """Serves until it is stopped; the first line printed is CoinGecko's base URL, the second alternative.me's."""
    with FakeCoinGecko() as site:
        print(site.coingecko_url, site.url, sep="\n", flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
