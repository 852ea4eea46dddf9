"""Closed trades for the tests of measurement."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np

from core.performance.sample import ClosedTrade, Span
from core.risk.booking import Outcome
from core.signal import Strategy, Variant
from core.trade import Direction, Tier

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
CAPITAL = Decimal(100_000)


def closed(number: int, pnl: float, **changes: object) -> ClosedTrade:
    """A trade that ended with so many dollars; one every four hours unless it is said when."""
    opened = FIRST + timedelta(hours=4 * number)
    outcome = Outcome.WIN if pnl > 0 else Outcome.LOSS if pnl < 0 else Outcome.BREAKEVEN
    values: dict[str, object] = {
        "id": f"t-{number:06d}",
        "symbol": ("BTC-USD", "ETH-USD", "SOL-USD")[number % 3],
        "strategy": Strategy.V7,
        "variant": Variant.V7_FULL_MATH if number % 2 else Variant.V7_DEEPSEEK_ONLY,
        "tier": (Tier.HIGH, Tier.MEDIUM, Tier.LOW)[number % 3],
        "direction": Direction.BUY if number % 2 else Direction.SELL,
        "opened_at": opened,
        "closed_at": opened + timedelta(hours=2),
        "outcome": outcome,
        "pnl": Decimal(str(round(pnl, 8))),
        "pnl_percent": pnl / 500.0,
        "confidence": 0.7,
        **changes,
    }
    return ClosedTrade(**values)  # type: ignore[arg-type]


def history(
    seed: int, count: int, *, win_rate: float = 0.5, reward: float = 1.5, size: float = 500.0
) -> list[ClosedTrade]:
    """Independent trades that win at this rate and then pay so many losses, each result with its own size."""
    rng = np.random.default_rng(seed)
    results = np.where(rng.random(count) < win_rate, reward, -1.0) * np.exp(rng.normal(-0.045, 0.3, count)) * size
    return [closed(number, float(result)) for number, result in enumerate(results)]


def by_days(returns: np.ndarray, capital: Decimal = CAPITAL) -> tuple[list[ClosedTrade], Span]:
    """One trade a day that moves the equity by these returns, and their span."""
    equity, trades = float(capital), []
    for number, change in enumerate(returns):
        at = FIRST + timedelta(days=number, hours=12)
        trades.append(closed(number, equity * change, opened_at=at, closed_at=at + timedelta(hours=1)))
        equity += float(trades[-1].pnl)
    return trades, Span(date(2026, 1, 1), date(2026, 1, 1) + timedelta(days=len(returns) - 1), capital)
