"""What was learned from the published signals of a ledger: wins and losses by symbol, variant, tier and direction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.schema import signal_results, signals
from core.paper.record import Key, Tally
from core.risk.booking import NEVER_IN_MARKET, Outcome
from core.signal import Strategy, Variant
from core.trade import Book, Direction, Tier


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """The record of one ledger: the closed trades that threshold and theory read, told apart by direction too."""

    ledger: Ledger

    async def learned(self, *, synthetic: bool) -> dict[Key, Tally]:
        """Of signals on invented prices, or of all others."""
        signal, percent = signals.c, signal_results.c.pnl_percent
        query = (
            select(
                *(signal.symbol, signal.signal_variant, signal.tier, signal.direction, signal_results.c.outcome),
                *(func.count(), func.sum(func.abs(percent))),
            )
            .join(signal_results, signal_results.c.signal_id == signal.id)
            .where(
                signal.book == Book.PRIMARY.value,
                signal.strategy == Strategy.V7.value,
                signal.synthetic.is_(synthetic),
                signal_results.c.outcome.not_in([each.value for each in NEVER_IN_MARKET]),
            )
            .group_by(signal.symbol, signal.signal_variant, signal.tier, signal.direction, signal_results.c.outcome)
        )
        found: dict[Key, Tally] = {}
        async with self.ledger.reading() as connection:
            for symbol, variant, tier, direction, outcome, count, percents in await connection.execute(query):
                key = Key(
                    symbol,
                    None if variant is None else Variant(variant),
                    None if tier is None else Tier(tier),
                    Direction(direction),
                )
                found[key] = found.get(key, Tally()) + _tally(Outcome(outcome), count, percents)
        return found


def _tally(outcome: Outcome, count: int, percents: float) -> Tally:
    if outcome is Outcome.WIN:
        return Tally(wins=count, won_percent=percents)
    if outcome is Outcome.LOSS:
        return Tally(losses=count, lost_percent=percents)
    return Tally(breakevens=count)
