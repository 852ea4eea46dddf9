"""Decisions for the tests: whole ones, with every field set to something that another field does not hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.store import store_signal
from core.signal import (
    Degradation,
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
from core.signals.store import NewSignal, StoredSignal
from core.trade import Book, Direction, Tier

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SLOT = timedelta(minutes=5)

LEVELS = {
    "entry": Decimal("67123.45"),
    "stop_loss": Decimal("66800.1"),
    "take_profit": Decimal("67900"),
    "stop_first": 0.4142135623730951,
    "quantity": Decimal("0.0123"),
    "lots": Decimal("0.01"),
    "risk_usd": Decimal("3.977163456789"),
    "size_limit": "risk_per_trade",
}
NO_LEVELS = dict.fromkeys(LEVELS)


def decision(number: int = 0, **changes: Any) -> Signal:  # Any: fields of many types
    """The BUY of slot `number` after noon, with changes; a HOLD loses its levels."""
    at = NOON + number * SLOT + timedelta(microseconds=1_234)
    levels = NO_LEVELS if changes.get("direction") is Direction.HOLD else LEVELS
    values = {
        "id": f"signal-{number}",
        "account": "paper",
        "book": Book.PRIMARY,
        "symbol": "BTC-USD",
        "slot": NOON + number * SLOT,
        "timestamp": at,
        "as_of": NOON + number * SLOT,
        "interval": "5m",
        "window": 500,
        "strategy": Strategy.V7,
        "variant": Variant.V7_FULL_MATH,
        "mode": Mode.CONSERVATIVE,
        "runtime_mode": RuntimeMode.DRYRUN,
        "direction": Direction.BUY,
        "confidence": 0.7071067811865476,
        "calibrated_confidence": 0.5772156649015329,
        "tier": Tier.MEDIUM,
        "threshold": 0.65,
        "synthesis": Synthesis.LLM,
        "synthesis_reason": "the language model decides",
        "reasoning": "Hurst 0.62 says trend; výnos 3 % – 日",
        "vetoes": (Veto("daily_loss", "451.2", "450", "too little room", NOON + timedelta(hours=10)),),
        "degraded": True,
        "degradations": (Degradation("context_stale", "the market's facts are 3 h old"),),
        "ftmo_compliant": True,
        "price": Decimal("67120.01"),
        "change_24h_percent": -1.2345678901234567,
        "source": "synthetic",
        "synthetic": True,
        "executed": False,
        "llm": LlmUse("deepseek-chat", Decimal("0.000285001"), 1_234, 1_024, 321, 2, 1234.5),
        "coverage": 14 / 15,
        "votes": (
            Vote("hurst_exponent", 0.1 + 0.2, -1e-17, 'Trend, "strong": Hurst 0.62.'),
            Vote("market_context", 0.0, 0.0, "", "no market context has been fetched yet"),
        ),
        "timings_ms": {"theories": 12.345, "store": 0.1},
        "versions": (Version("code", "0.1.0"), Version("prompt", "7")),
        **levels,
        **changes,
    }
    return Signal(**values)


async def store(ledger: Ledger, signal: Signal, **beside: Any) -> StoredSignal:  # Any: fields of many types
    """Store a decision in a transaction of its own."""
    async with ledger.writing() as connection:
        return await store_signal(connection, NewSignal(signal, "scheduler", **beside), created_at=signal.timestamp)
