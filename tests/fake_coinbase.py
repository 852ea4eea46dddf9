"""A Coinbase on the loopback: the recorded payloads' shapes, tokens checked, limits kept, faults on demand.

`with FakeCoinbase() as exchange:` serves `exchange.url`. Its clock is the machine's, or stands where `now_ms` says.
`python -m tests.fake_coinbase` serves until it is stopped, for servers in other processes.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.fake_coinbase_market import MARKETS, MINUTE_MS, Flaw, spoil, tell, truth
from tests.loopback_server import JSON_TYPE, Answer, LoopbackServer, Wire

PREFIX = "/api/v3/brokerage"
GRANULARITIES = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1_800,
    "ONE_HOUR": 3_600,
    "TWO_HOUR": 7_200,
    "SIX_HOUR": 21_600,
    "ONE_DAY": 86_400,
}
MOST_CANDLES = 350  # "should be less than 350"
PLAIN_TEXT = {"Content-Type": "text/plain"}

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey


class Reply(StrEnum):
    """What the exchange can answer instead of what was asked for."""

    RATE_LIMITED = "429"  # `detail`: its Retry-After, where it has one
    STATUS = "status"  # `detail`: which
    REDIRECT = "redirect"  # `detail`: where to
    HTML = "html"
    DEEP = "deep"  # JSON of 100,000 levels
    LIST = "list"  # JSON that is no object
    WRONG_SCHEMA = "wrong schema"
    ECHO = "echo"  # 400 whose texts repeat the token that was sent
    BODY = "body"  # `detail`: which JSON


class Seen(NamedTuple):
    """One request as it arrived."""

    at: float
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    headers: Mapping[str, str]

    @property
    def token(self) -> str:
        """What it was signed with; empty when it was not."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def get(self, name: str) -> str:
        """A value of the query."""
        return dict(self.query)[name]


@dataclass
class _Planned:
    fault: Reply | Flaw | Wire
    detail: str
    part: str
    left: int


class FakeCoinbase(LoopbackServer):
    """The exchange. What may change during a test are its public attributes."""

    # seen on the exchange, and neither to be obeyed nor kept
    always = ("cache-control: max-age=14400", "set-cookie: __cf_bm=abc; path=/")

    def __init__(self, *, now_ms: int | None = None, public_per_second: int = 10, private_per_second: int = 30) -> None:
        super().__init__()
        self.now_ms = now_ms
        self.public_per_second = public_per_second
        self.private_per_second = private_per_second
        self.keys: dict[str, PublicKey] = {}  # by name
        self.holes: dict[str, set[int]] = {}  # starts (ms) of minutes without a trade, by symbol
        self.halted: set[str] = set()
        self.one_sided: set[str] = set()  # symbols that nobody offers for sale
        self.seen: deque[Seen] = deque(maxlen=100_000)
        self.refused: deque[str] = deque(maxlen=100)  # why tokens were not accepted
        self._plans: list[_Planned] = []
        self._arrivals: deque[float] = deque(maxlen=64)
        self._nonces: set[str] = set()

    def plan(self, fault: Reply | Flaw | Wire, detail: object = "", *, part: str = "/candles", times: int = 1) -> None:
        """The next `times` requests in whose path and query this part stands meet the fault."""
        self._plans.append(_Planned(fault, str(detail), part, times))

    def heal(self) -> None:
        """No more faults."""
        self._plans.clear()

    def asked(self, part: str = "/candles") -> list[Seen]:
        """The requests in whose path this stands."""
        return [each for each in list(self.seen) if part in each.path]

    def clock_ms(self) -> int:
        """The exchange's now."""
        return time.time_ns() // 1_000_000 if self.now_ms is None else self.now_ms

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        url = urlsplit(target)
        query = tuple(parse_qsl(url.query))
        seen = Seen(time.monotonic(), url.path, query, 200, headers)
        planned = next((each for each in self._plans if each.part in target and each.left > 0), None)
        if planned:
            planned.left -= 1
        if planned and isinstance(planned.fault, Reply):
            answer = _reply(planned.fault, planned.detail, seen.token)
        else:
            flaw = planned.fault if planned and isinstance(planned.fault, Flaw) else None
            answer = self._judge(seen, flaw)
        self.seen.append(seen._replace(status=answer.status))
        return answer._replace(wire=planned.fault) if planned and isinstance(planned.fault, Wire) else answer

    def _judge(self, seen: Seen, flaw: Flaw | None) -> Answer:
        if not self._is_within_limit(seen.token):
            return _error(429, "RESOURCE_EXHAUSTED", "rate limit exceeded")
        if seen.token or not seen.path.startswith((f"{PREFIX}/market/", f"{PREFIX}/time")):
            reason = self._find_flaw(seen.token, f"GET {seen.headers.get('host', '')}{seen.path}")
            if reason:
                self.refused.append(reason)
                return Answer(401, b"Unauthorized\n", PLAIN_TEXT)
        what = seen.path.removeprefix(PREFIX).removeprefix("/market")
        return self._time() if what == "/time" else self._serve(what, dict(seen.query), flaw)

    def _serve(self, what: str, query: Mapping[str, str], flaw: Flaw | None) -> Answer:
        if what == "/products":
            products = [self._product(symbol) for symbol in MARKETS]
            return _json({"products": products, "num_products": len(products), "pagination": None})
        symbol, _, what = what.removeprefix("/products/").partition("/")
        if symbol not in MARKETS:
            return _error(404, "NOT_FOUND")
        if what == "candles":
            return self._candles(symbol, query, flaw)
        return self._ticker(symbol) if what == "ticker" else _json(self._product(symbol))

    def _is_within_limit(self, token: str) -> bool:
        """As many requests as allowed in the second that ends now."""
        now = time.monotonic()
        recent = sum(now - at < 1.0 for at in self._arrivals)
        self._arrivals.append(now)
        return recent < (self.private_per_second if token else self.public_per_second)

    def _find_flaw(self, token: str, uri: str) -> str:
        """Why a token is not accepted; empty when it is."""
        try:
            signed, _, signature = token.rpartition(".")
            header, claims = (json.loads(_from_base64url(part)) for part in signed.split("."))
            verify(self.keys[header["kid"]], header["alg"], signed.encode(), _from_base64url(signature))
        except (ValueError, KeyError, InvalidSignature) as error:
            return f"unreadable or not signed ({type(error).__name__})"
        now = self.clock_ms() / 1_000
        nonce = header.get("nonce", "")
        wrong = {
            "typ": header.get("typ") != "JWT",
            "nonce": len(nonce) < 16 or nonce in self._nonces,
            "iss": claims.get("iss") != "cdp",
            "sub": claims.get("sub") != header["kid"],
            "uri": claims.get("uri") != uri,
            "life": claims.get("exp", 0) - claims.get("nbf", 0) != 120,
            "nbf": claims.get("nbf", 0) > now + 1,
            "exp": claims.get("exp", 0) <= now,
        }
        self._nonces.add(nonce)
        return ", ".join(name for name, is_wrong in wrong.items() if is_wrong)

    def _time(self) -> Answer:
        now = self.clock_ms()
        iso = datetime.fromtimestamp(now / 1_000, UTC).isoformat().replace("+00:00", "Z")
        return _json({"iso": iso, "epochSeconds": str(now // 1_000), "epochMillis": str(now)})

    def _candles(self, symbol: str, query: Mapping[str, str], flaw: Flaw | None) -> Answer:
        seconds = GRANULARITIES.get(query.get("granularity", ""))
        if seconds is None:
            return _error(400, "INVALID_ARGUMENT", "granularity argument is invalid")
        try:
            start, end = int(query["start"]), int(query["end"])
        except (KeyError, ValueError):
            return _error(400, "INVALID_ARGUMENT", "start and end argument is invalid")
        if end < start or (end - start) // seconds + 1 >= MOST_CANDLES:
            words = "start and end argument is invalid - number of candles requested should be less than 350"
            return _error(400, "INVALID_ARGUMENT", words)
        now = self.clock_ms()
        rows = tell(symbol, start, end, seconds, now_ms=now, holes=self.holes.get(symbol, frozenset()))
        return _json({"candles": spoil(rows, flaw, seconds=seconds, now_ms=now) if flaw and rows else rows})

    def _product(self, symbol: str) -> dict[str, object]:
        price, decimals = MARKETS[symbol]
        names = ("is_disabled", "cancel_only", "limit_only", "post_only", "auction_mode", "view_only", "watched", "new")
        return {
            "product_id": symbol,
            "price": f"{price:.{decimals}f}",
            "base_increment": "0.00000001",
            "quote_increment": f"{10.0**-decimals:.{decimals}f}",
            "price_increment": f"{10.0**-decimals:.{decimals}f}",
            "base_min_size": "0.00000001",
            "base_max_size": "3400",
            "quote_min_size": "1",
            "status": "online",
            "trading_disabled": symbol in self.halted,
            "product_type": "SPOT",
            "alias": "",
            "alias_to": [f"{symbol}C"],
            "mid_market_price": "",
        } | dict.fromkeys(names, False)

    def _ticker(self, symbol: str) -> Answer:
        now = self.clock_ms()
        close = truth(symbol, np.array([now // MINUTE_MS * MINUTE_MS]))[3][0]
        at = datetime.fromtimestamp(now / 1_000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        decimals = MARKETS[symbol][1]
        price, ask = (f"{each:.{decimals}f}" for each in (close, close + 10.0**-decimals))
        words = {"trade_id": "995098663", "product_id": symbol, "side": "SELL", "exchange": "coinbase"}
        trade = {**words, "price": price, "size": "0.00064", "time": at, "bid": "", "ask": ""}
        return _json({"trades": [trade], "best_bid": price, "best_ask": "" if symbol in self.one_sided else ask})


def verify(key: PublicKey, algorithm: str, signed: bytes, signature: bytes) -> None:
    """Raises unless the signature of a JSON Web Signature is this key's."""
    if isinstance(key, Ed25519PublicKey):
        if algorithm != "EdDSA":
            raise ValueError("an Ed25519 key signs with EdDSA")
        key.verify(signature, signed)
        return
    if algorithm != "ES256" or len(signature) != 64:
        raise ValueError("a P-256 key signs with ES256, in 64 bytes")
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key.verify(encode_dss_signature(r, s), signed, ECDSA(SHA256()))


def _reply(fault: Reply, detail: str, token: str) -> Answer:
    if fault is Reply.RATE_LIMITED:
        limited = _error(429, "RESOURCE_EXHAUSTED", "rate limit exceeded")
        return limited._replace(headers={**JSON_TYPE, "Retry-After": detail}) if detail else limited
    if fault is Reply.STATUS:
        words = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
        return _error(int(detail), words.get(int(detail), "UNAVAILABLE"))
    answers = {
        Reply.REDIRECT: Answer(302, headers={"Location": detail}),
        Reply.HTML: Answer(200, b"<html>Just a moment...</html>", {"Content-Type": "text/html"}),
        Reply.DEEP: Answer(200, b'{"candles":' + b"[" * 100_000),
        Reply.LIST: Answer(200, b"[]"),
        Reply.WRONG_SCHEMA: _json({"candles": [{"time": 1}], "products": [{}], "trades": []}),
        Reply.BODY: Answer(200, detail.encode()),
        Reply.ECHO: _error(400, f"bad {token}", f"bad {token}"),
    }
    return answers[fault]


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _json(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode())


def _error(status: int, word: str, words: str = "") -> Answer:
    return Answer(status, json.dumps({"error": word, "error_details": words, "message": words}).encode())


def main() -> None:
    """Serves until it is stopped; the first line printed is the base URL."""
    with FakeCoinbase() as exchange:
        print(exchange.url, flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
