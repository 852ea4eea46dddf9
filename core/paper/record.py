"""What is learned from closed trades: wins and losses of each symbol, variant, tier and direction.

The break-even is the win rate that would just have paid for the losses, mean loss / (mean win + mean loss) with all
costs in both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from core.errors import invalid
from core.market import Record
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


def read_record(learned: Learned, keys: Sequence[Key]) -> Record:
    """The record's columns as the theory of the win rate reads them, one row a key. Shape: (B,) each."""
    tallies = [learned.get(key, Tally()) for key in keys]
    return Record(
        wins=np.array([tally.wins for tally in tallies], dtype=np.float64),
        losses=np.array([tally.losses for tally in tallies], dtype=np.float64),
        break_even=np.array([math.nan if tally.break_even is None else tally.break_even for tally in tallies]),
    )


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
