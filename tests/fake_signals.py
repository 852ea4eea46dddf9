"""A server of signals on the loopback: real HTTP, one decision a symbol and slot, and faults where wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from api.body import adapter
from core.llm.asking import SpendStatus
from core.risk.report import Window
from core.signal import (
    LlmUse,
    Mode,
    RuntimeMode,
    Signal,
    Strategy,
    Synthesis,
    Variant,
    Version,
    Veto,
    Vote,
)
from core.trade import Book, Direction, Tier

AT = datetime(2026, 11, 21, 12, 5, 6, tzinfo=UTC)
NO_LIVE = RuntimeMode.DRYRUN

HOLD = Signal(
    id="018f0000-0000-7000-8000-000000000001",
    account="default",
    book=Book.PRIMARY,
    symbol="ETH-USD",
    slot=datetime(2026, 11, 21, 12, 5, tzinfo=UTC),
    timestamp=AT,
    as_of=datetime(2026, 11, 21, 12, 5, tzinfo=UTC),
    interval="5m",
    window=500,
    strategy=Strategy.V7,
    variant=None,
    mode=Mode.CONSERVATIVE,
    runtime_mode=NO_LIVE,
    direction=Direction.HOLD,
    confidence=0.41,
    calibrated_confidence=None,
    tier=None,
    threshold=0.65,
    synthesis=Synthesis.RULES,
    synthesis_reason="no key is set",
    reasoning="The votes point nowhere together: 3 up, 2 down, 10 stay out.",
    entry=None,
    stop_loss=None,
    take_profit=None,
    stop_first=None,
    quantity=None,
    lots=None,
    risk_usd=None,
    size_limit=None,
    vetoes=(),
    degraded=False,
    degradations=(),
    ftmo_compliant=True,
    price=Decimal("2711.42"),
    change_24h_percent=-0.83,
    source="synthetic-7",
    synthetic=True,
    executed=False,
    llm=None,
    coverage=1.0,
    votes=(),
    timings_ms={"total": 31.2},
    versions=(Version("weights", "1"),),
)
BUY = replace(
    HOLD,
    id="018f0000-0000-7000-8000-000000000002",
    symbol="BTC-USD",
    variant=Variant.V7_FULL_MATH,
    direction=Direction.BUY,
    confidence=0.78,
    calibrated_confidence=0.61,
    tier=Tier.HIGH,
    synthesis=Synthesis.LLM,
    synthesis_reason="the language model was asked",
    reasoning="Trend and momentum agree, volatility is calm, and no theory of the fifteen contradicts with conviction.",
    entry=Decimal("84120.5"),
    stop_loss=Decimal("83630"),
    take_profit=Decimal("85101.5"),
    stop_first=0.38,
    quantity=Decimal("0.10"),
    lots=Decimal("0.10"),
    risk_usd=Decimal("49.05"),
    price=Decimal("84120.5"),
    change_24h_percent=1.32,
    llm=LlmUse("deepseek-flash", Decimal("0.00041230"), 1_912, 1_408, 164, 1, 1_840.0),
    votes=(
        Vote("hurst_exponent", 0.62, 0.31, "Trending: H 0.61 (95 % interval 0.55-0.67)."),
        Vote("market_regime", -0.2, -0.08, "Quiet, rather falling than rising."),
        Vote("monte_carlo", 0.0, 0.0, "The stop comes first with chance 0.38."),
        Vote("random_forest", 0.0, 0.0, "", problem="not fitted for this coin; remedy: crpbot fit"),
        Vote("bayesian_win_rate", 0.0, 0.0, "Not decidable yet: win rate 58.3 % of 12 closed trades."),
    ),
)
VETOED = replace(
    HOLD,
    symbol="SOL-USD",
    reasoning="A rise is likely.",
    ftmo_compliant=False,
    vetoes=(Veto("daily_loss_guard", "4.51 %", "4.5 %", "the day's loss is at the guard of the firm's rule"),),
)
SPEND = SpendStatus(
    day="2026-11-21",
    day_spent_usd=Decimal("0.42"),
    day_cap_usd=Decimal(5),
    day_calls=1_021,
    day_alarm=False,
    month="2026-11",
    month_spent_usd=Decimal("7.5"),
    month_cap_usd=Decimal(150),
    month_calls=18_230,
    month_alarm=False,
    in_flight=0,
    day_resets_at=datetime(2026, 11, 22, tzinfo=UTC),
    month_resets_at=datetime(2026, 12, 1, tzinfo=UTC),
)

Json = dict[str, Any]  # Any: decoded JSON


def as_json(signal: Signal) -> Json:
    """As the API writes it."""
    written: Json = adapter(Signal).dump_python(signal, mode="json")
    return written


@dataclass(frozen=True)
class Fault:
    """An answer in place of the right one; status 0 cuts the line. With `works` the call takes effect all the same."""

    status: int
    retry_after: str | None = None
    reason: str = "FAULT"
    works: bool = False


@dataclass
class Call:
    """A call for signals as it came."""

    key: str
    body: Json
    timeout_seconds: float


@dataclass
class FakeSignals:
    """One decision a symbol and slot: `decided` are the effects, `calls` what was asked for."""

    template: Signal = HOLD
    hourly: int = 3
    mode: RuntimeMode | None = None  # as readiness tells it; None: that of its signals
    faults: list[Fault] = field(default_factory=list)
    on_call: Callable[[], None] = lambda: None
    calls: list[Call] = field(default_factory=list)
    decided: dict[tuple[str, str], Json] = field(default_factory=dict)
    answers: dict[str, tuple[Json, Json]] = field(default_factory=dict)
    stored: list[Json] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    streams: list[bytes] = field(default_factory=list)
    resumed: list[str | None] = field(default_factory=list)
    models: list[Json] | None = field(default_factory=list)  # None: an older server, without such an answer
    busiest: int = 0

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._busy = 0

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                fake.post(self)

            def do_GET(self) -> None:
                fake.get(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        """POST /v1/signals."""
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        key = handler.headers["idempotency-key"] or ""
        with self._lock:
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            self.calls.append(Call(key, body, float(handler.headers["x-request-timeout"])))
            fault = self.faults.pop(0) if self.faults else None
        try:
            self.on_call()
            answer = self._decide(key, body) if fault is None or fault.works else None
        finally:
            with self._lock:
                self._busy -= 1
        if fault is None:
            send(handler, 409 if answer is None else 200, answer or {"detail": "another body", "reason": "REUSED"})
        elif fault.status == 0:
            handler.close_connection = True
        else:
            problem = {"detail": f"refused with {fault.status}", "reason": fault.reason, "status": fault.status}
            send(handler, fault.status, problem, retry_after=fault.retry_after)

    def _decide(self, key: str, body: Json) -> Json | None:
        """The answer; None where the key stands for another body."""
        with self._lock:
            known = self.answers.get(key)
            if known is not None:
                return known[1] if known[0] == body else None
            slot = body.get("slot")
            signals = [self._signal(symbol, slot) for symbol in body["symbols"] if symbol != "NOPE-USD"]
            refused = [
                {"symbol": symbol, "reason": "UNKNOWN_SYMBOL", "detail": "unknown symbol"}
                for symbol in body["symbols"]
                if symbol == "NOPE-USD"
            ]
            answer = {"signals": signals, "refused": refused}
            if key:
                self.answers[key] = body, answer
            return answer

    def _signal(self, symbol: str, slot: str | None) -> Json:
        made = {**as_json(self.template), "symbol": symbol, "slot": slot}
        if slot is None:
            return made
        return self.decided.setdefault((symbol, slot), made)

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        """Risk, spend, stored signals and their stream."""
        address = urlsplit(handler.path)
        parameters = dict(parse_qsl(address.query))
        self.asked.append((address.path, dict(parameters)))
        match address.path:
            case "/health/ready":
                send(
                    handler,
                    200,
                    {"ready": True, "mode": (self.mode or self.template.runtime_mode).value, "conditions": []},
                )
            case "/v1/risk":
                window = Window("signals_per_hour", 0, self.hourly, None)
                send(handler, 200, {"windows": [adapter(Window).dump_python(window, mode="json")]})
            case "/v1/spend":
                send(handler, 200, adapter(SpendStatus).dump_python(SPEND, mode="json"))
            case "/v1/signals":
                send(handler, 200, self._page(parameters))
            case "/v1/models" if self.models is not None:
                send(handler, 200, {"models": self.models})
            case "/v1/signals/stream" if self.streams:
                self.resumed.append(handler.headers["last-event-id"])
                handler.send_response(200)
                handler.send_header("content-type", "text/event-stream")
                handler.end_headers()
                handler.wfile.write(self.streams.pop(0))
                handler.close_connection = True
            case _:
                send(handler, 404, {"detail": f"{address.path}: no such path", "reason": "NO_SUCH_PATH"})

    def _page(self, parameters: dict[str, str]) -> Json:
        """Filters by what a signal holds, newest first; the cursor is a place in that list."""
        begin, limit = int(parameters.pop("cursor", "0")), int(parameters.pop("limit", "50"))
        first = datetime.fromisoformat(parameters.pop("since", "0001-01-01T00:00:00+00:00"))
        last = datetime.fromisoformat(parameters.pop("until", "9999-12-31T00:00:00+00:00"))
        parameters.setdefault("book", Book.PRIMARY.value)
        found = [
            each
            for each in self.stored
            if all(each[name] == value for name, value in parameters.items())
            and first <= datetime.fromisoformat(each["timestamp"]) < last
        ]
        end = begin + limit
        return {"signals": found[begin:end], "next_cursor": str(end) if end < len(found) else None}


def send(handler: BaseHTTPRequestHandler, status: int, answer: Json, *, retry_after: str | None = None) -> None:
    """JSON, or a problem where the status says so."""
    body = json.dumps(answer).encode()
    handler.send_response(status)
    handler.send_header("content-type", "application/json" if status < 400 else "application/problem+json")
    handler.send_header("content-length", str(len(body)))
    if retry_after is not None:
        handler.send_header("retry-after", retry_after)
    handler.end_headers()
    handler.wfile.write(body)
