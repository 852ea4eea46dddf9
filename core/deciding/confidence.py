"""How sure is sure enough: tiers, the threshold that closed trades can raise, and what a confidence was worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from core.analyzers.bayesian_win_rate import assess
from core.market import Record
from core.signal import Mode, Variant
from core.trade import Tier

# From this confidence on; in ascending order.
FLOORS: Final[Mapping[Tier, float]] = {Tier.LOW: 0.55, Tier.MEDIUM: 0.65, Tier.HIGH: 0.75}
AGGRESSIVE_THRESHOLD: Final = FLOORS[Tier.LOW]
# A tier pays where it is at least as likely above break-even as below.
PAYS: Final = 0.5
# The 95 % interval of a win rate near one half then reaches 10 points to either side: enough to tell two tiers apart.
ENOUGH_TRADES: Final = 100
# A tier is judged from as many trades as a review is: after a single loss the chance to pay is 0.34, and a tier that is
# shut gets no trades that could open it again.
JUDGED_FROM: Final = 20


class TierRecord(NamedTuple):
    """The closed trades of one symbol, variant and tier, and the win rate that just pays (None: half is assumed).

    `won_percent` and `lost_percent` are the sums of what was won and lost: what several records are pooled by.
    """

    wins: int
    losses: int
    break_even: float | None = None
    won_percent: float = 0.0
    lost_percent: float = 0.0


Records = Mapping[Variant | None, Mapping[Tier, TierRecord]]
"""The closed trades of one symbol's signals, by variant and tier."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The confidence from which a signal is given, and why. Where it is not `open`, no confidence is enough."""

    value: float
    open: bool
    reason: str

    def allows(self, confidence: float) -> bool:
        """Whether this confidence is enough."""
        return self.open and confidence >= self.value


def tier_of(confidence: float) -> Tier | None:
    """High from 0.75, medium from 0.65, low from 0.55, else none.

    >>> tier_of(0.75), tier_of(0.549)
    (<Tier.HIGH: 'high'>, None)
    """
    reached = [tier for tier, floor in FLOORS.items() if confidence >= floor]
    return reached[-1] if reached else None


def profile_threshold(mode: Mode, setting: float) -> float:
    """The threshold before any trade: the setting, or 0.55 in aggressive mode where the setting asks for more."""
    return min(setting, AGGRESSIVE_THRESHOLD) if mode is Mode.AGGRESSIVE else setting


def raise_threshold(profile: float, records: Mapping[Tier, TierRecord]) -> Threshold:
    """Raises the profile's threshold to the lowest tier that pays; a tier without trades is not judged and may try."""
    lost: list[str] = []
    tiers = list(FLOORS)
    for place, (tier, floor) in enumerate(FLOORS.items()):
        last = place + 1 == len(tiers)
        if not last and FLOORS[tiers[place + 1]] <= profile:
            continue  # the whole tier lies below the profile's threshold
        chance = chance_to_pay(records.get(tier))
        if chance is None or chance >= PAYS:
            value = max(profile, floor)
            return Threshold(value, True, _explain(value, profile, lost))
        lost.append(f"{tier.value} (chance {chance:.2f} that it pays)")
    return Threshold(1.0, False, f"no tier pays: {', '.join(lost)}")


def chance_to_pay(record: TierRecord | None) -> float | None:
    """P(win rate > break-even) from the closed trades; None where there are too few to judge."""
    if record is None or record.wins + record.losses < JUDGED_FROM:
        return None
    return _posterior(record, "probability_above_break_even")


def pool(records: Records) -> TierRecord:
    """All trades of a symbol's signals in one record: what is known before it is known which variant and tier decide.

    >>> pool({None: {Tier.LOW: TierRecord(2, 1, 0.5, 2.0, 1.0), Tier.HIGH: TierRecord(1, 1, 0.4, 3.0, 2.0)}})
    TierRecord(wins=3, losses=2, break_even=0.4736842105263158, won_percent=5.0, lost_percent=3.0)
    """
    found = [records[variant][tier] for variant in records for tier in records[variant]]
    if len(found) == 1:
        return found[0]
    wins, losses = sum(each.wins for each in found), sum(each.losses for each in found)
    won, lost = math.fsum(each.won_percent for each in found), math.fsum(each.lost_percent for each in found)
    break_even = None
    if won > 0.0 and lost > 0.0:
        break_even = (lost / losses) / (won / wins + lost / losses)
    return TierRecord(wins, losses, break_even, won, lost)


def to_columns(records: Sequence[TierRecord | None]) -> Record:
    """Records as the theory of the win rate reads them, one row each; a row without one is not a number throughout."""
    rows = [(np.nan, np.nan, np.nan) if each is None else _row(each) for each in records]
    return Record(*(np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)))


def calibrate(record: TierRecord | None) -> float | None:
    """The share of such signals that end as wins, once there are enough to say so; None means not decidable yet."""
    if record is None or record.wins + record.losses < ENOUGH_TRADES:
        return None
    return _posterior(record, "win_rate")


def _posterior(record: TierRecord, field: str) -> float:
    return float(assess(to_columns([record]))[field][0])


def _row(record: TierRecord) -> tuple[float, float, float]:
    return record.wins, record.losses, np.nan if record.break_even is None else record.break_even


def _explain(value: float, profile: float, lost: list[str]) -> str:
    if value == profile:
        return f"the profile's {profile:g}"
    return f"raised from {profile:g} to {value:g}: {', '.join(lost)} did not pay"
