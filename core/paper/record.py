"""What is learned from closed trades: wins and losses of each symbol, variant, tier and direction.

A fold over trades: the record after one more trade is the record before and that trade. The break-even is the win rate
that would just have paid for the losses, mean loss / (mean win + mean loss) with all costs in both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from core.deciding.confidence import TierRecord
from core.errors import invalid
from core.market import Record
from core.performance.sample import ClosedTrade
from core.risk.booking import Outcome
from core.signal import Variant
from core.trade import Direction, Tier

FORMAT: Final = "crpbot-record/1"


class Key(NamedTuple):
    """Whose record it is. A trade without a language model has no variant."""

    symbol: str
    variant: Variant | None
    tier: Tier | None
    direction: Direction


@dataclass(frozen=True, slots=True)
class Tally:
    """Wins and losses, trades that ended even, and the sums of what was won and lost (percent of the notional)."""

    wins: int = 0
    losses: int = 0
    breakevens: int = 0
    won_percent: float = 0.0
    lost_percent: float = 0.0

    def __post_init__(self) -> None:
        counts, sums = (self.wins, self.losses, self.breakevens), (self.won_percent, self.lost_percent)
        if min(counts) < 0 or not all(math.isfinite(each) and each >= 0.0 for each in sums):
            raise invalid("record", f"counts {counts} and sums {sums} cannot be below 0")

    @property
    def break_even(self) -> float | None:
        """The win rate that just pays; None before there was a win and a loss."""
        if not (self.wins and self.losses):
            return None
        win, loss = self.won_percent / self.wins, self.lost_percent / self.losses
        return loss / (win + loss) if win + loss > 0.0 else None

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.wins + other.wins,
            self.losses + other.losses,
            self.breakevens + other.breakevens,
            self.won_percent + other.won_percent,
            self.lost_percent + other.lost_percent,
        )


Learned = Mapping[Key, Tally]


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
        key = key_of(trade)
        found[key] = learn({key: found[key]} if key in found else {}, trade).get(key, Tally())
    return {key: tally for key, tally in found.items() if tally != Tally()}


def read_record(learned: Learned, keys: Sequence[Key]) -> Record:
    """The record's columns as the theory of the win rate reads them, one row a key. Shape: (B,) each."""
    tallies = [learned.get(key, Tally()) for key in keys]
    return Record(
        wins=np.array([tally.wins for tally in tallies], dtype=np.float64),
        losses=np.array([tally.losses for tally in tallies], dtype=np.float64),
        break_even=np.array([math.nan if tally.break_even is None else tally.break_even for tally in tallies]),
    )


def tier_records(learned: Learned, symbol: str, variant: Variant | None) -> dict[Tier, TierRecord]:
    """Both directions together, by tier: what raises the threshold."""
    found: dict[Tier, Tally] = {}
    for key in sorted(learned, key=_order):
        if key.symbol == symbol and key.variant is variant and key.tier is not None:
            found[key.tier] = found.get(key.tier, Tally()) + learned[key]
    return {
        tier: TierRecord(tally.wins, tally.losses, tally.break_even, tally.won_percent, tally.lost_percent)
        for tier, tally in found.items()
    }


def write_json(learned: Learned) -> str:
    """The record as JSON, its rows in a fixed order."""
    rows = [
        {
            "symbol": key.symbol,
            "variant": None if key.variant is None else key.variant.value,
            "tier": None if key.tier is None else key.tier.value,
            "direction": key.direction.value,
            "wins": learned[key].wins,
            "losses": learned[key].losses,
            "breakevens": learned[key].breakevens,
            "won_percent": learned[key].won_percent,
            "lost_percent": learned[key].lost_percent,
        }
        for key in sorted(learned, key=_order)
    ]
    return json.dumps({"format": FORMAT, "records": rows}, indent=1, allow_nan=False) + "\n"


def read_json(text: str) -> dict[Key, Tally]:
    """The record that `write_json` wrote; anything else is refused by its place."""
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise invalid("format", f"is not {FORMAT!r}")
        return dict(_read_row(row) for row in document["records"])
    except (KeyError, TypeError, ValueError) as error:
        raise invalid("records", f"cannot be read: {str(error)[:100]}") from None


def _read_row(row: dict[str, object]) -> tuple[Key, Tally]:
    variant, tier = row["variant"], row["tier"]
    counts = [row[name] for name in ("wins", "losses", "breakevens")]
    sums = [row[name] for name in ("won_percent", "lost_percent")]
    if not all(type(count) is int for count in counts) or not all(type(each) in {int, float} for each in sums):
        raise ValueError(f"counts {counts} and sums {sums} must be numbers")
    key = Key(
        str(row["symbol"]),
        None if variant is None else Variant(variant),
        None if tier is None else Tier(tier),
        Direction(row["direction"]),
    )
    wins, losses, breakevens = (int(str(count)) for count in counts)
    won, lost = (float(str(each)) for each in sums)
    return key, Tally(wins, losses, breakevens, won, lost)


def _order(key: Key) -> tuple[str, str, str, str]:
    variant = "" if key.variant is None else key.variant.value
    return key.symbol, variant, "" if key.tier is None else key.tier.value, key.direction.value
