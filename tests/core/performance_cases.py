"""Closed trades for the tests of measurement, and what they teach as a plain fold over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np

from core.deciding.confidence import TierRecord
from core.paper.record import Key, Learned, Tally
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


def key_of(trade: ClosedTrade) -> Key:
    """Whose record a trade belongs to."""
    return Key(trade.symbol, trade.variant, trade.tier, trade.direction)


def learn(learned: Learned, trade: ClosedTrade) -> dict[Key, Tally]:
    """The record with one more closed trade. One that never was in the market teaches nothing."""
    key = key_of(trade)
    before = learned.get(key, Tally())
    size = abs(trade.pnl_percent)
    if trade.outcome is Outcome.WIN:
        after = replace(before, wins=before.wins + 1, won_percent=before.won_percent + size)
    elif trade.outcome is Outcome.LOSS:
        after = replace(before, losses=before.losses + 1, lost_percent=before.lost_percent + size)
    elif trade.outcome is Outcome.BREAKEVEN:
        after = replace(before, breakevens=before.breakevens + 1)
    else:
        return dict(learned)
    return {**learned, key: after}


def learn_all(trades: Iterable[ClosedTrade], learned: Learned | None = None) -> dict[Key, Tally]:
    """The record after many trades, in the order of their closings, so that its sums are the same every time."""
    found = dict(learned or {})
    for trade in sorted(trades, key=lambda each: (each.closed_at, each.id)):
        found = learn(found, trade)
    return found


def tier_records(learned: Learned, symbol: str, variant: Variant | None) -> dict[Tier, TierRecord]:
    """Both directions together, by tier: what raises the threshold."""
    found: dict[Tier, Tally] = {}
    for key, tally in learned.items():
        if key.symbol == symbol and key.variant is variant and key.tier is not None:
            found[key.tier] = found.get(key.tier, Tally()) + tally
    return {
        tier: TierRecord(tally.wins, tally.losses, tally.break_even, tally.won_percent, tally.lost_percent)
        for tier, tally in found.items()
    }
