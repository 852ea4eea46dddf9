"""What each theory is worth: what would have been decided without it, and how much of the result hangs on that.

Leave one out: every stored decision is made again without the theory, all else the same. For a decision of the rule
this is exact. Where a language model decided, the model cannot be asked again without having seen the theory; what is
made again is then the rule's part alone, and such decisions are counted as `inexact`.

The contribution of a theory to a decision is the result with it less the result without it:

- the same direction without it: nothing;
- a trade that would not have been made: its result;
- a trade in the other direction: its result less the other one's, where that is known (`outcome_of`), else its result;
- a HOLD that would have been a trade: less that trade's result, where it is known, else only counted as prevented.

Contributions of theories need not add up to the result: two theories that agree each find the other sufficient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import ClassVar, Final, NamedTuple

import numpy as np

from core.errors import invalid
from core.market import Floats
from core.performance.bootstrap import FEWEST, RESAMPLES, draw_means, estimate_of, percentile_interval
from core.performance.sample import Estimate, Method
from core.signal import Signal, Synthesis
from core.trade import STRICT, Direction

# Below so many decisions that a theory changed, silence about it is no proof that it does nothing.
ENOUGH_DECISIONS: Final = 200


class Role(Enum):
    """What a theory does, as far as the trades prove it."""

    DRIVES = "drives_winners"
    COSTS = "costs_money"
    ONLY_TIME = "only_costs_time"
    UNDECIDED = "not_decidable_yet"


class Choice(NamedTuple):
    """A decision made again: its direction after every limit, and its confidence."""

    direction: Direction
    confidence: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A stored decision and what became of it: the result of its trade (US dollars), 0 where there was none."""

    signal: Signal
    closed_at: datetime
    pnl_usd: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.pnl_usd):
            raise invalid("pnl_usd", f"of {self.signal.id!r} is {self.pnl_usd}; a number is needed")


DecideWithout = Callable[[str, Signal], Choice]
"""(theory, signal) -> what would have been decided. Pure."""

OutcomeOf = Callable[[Signal, Direction], float | None]
"""(signal, direction) -> the result that a trade in that direction would have had, None where it is not known."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One theory's part. `share` is of the whole result, given only where that is surely not 0."""

    __pydantic_config__: ClassVar = STRICT
    theory: str
    role: Role
    decisions: int
    inexact: int
    changed: int
    trades_made: int  # trades that would not have been made without it
    trades_turned: int  # and in the other direction
    trades_prevented: int  # HOLDs that would have been trades
    winners_made: int
    losers_made: int
    mean_confidence_change: float  # with it less without it, where the direction stays
    mean_milliseconds: float | None
    pnl_usd: Estimate
    share: Estimate


class _Change(NamedTuple):
    """What leaving the theory out changes about one decision."""

    worth: float
    made: bool
    turned: bool
    prevented: bool
    confidence: float


def contribute(
    judged: Sequence[Judged],
    theories: Sequence[str],
    decide_without: DecideWithout,
    *,
    outcome_of: OutcomeOf | None = None,
    resamples: int = RESAMPLES,
) -> tuple[Contribution, ...]:
    """Each theory's part in the results, the largest first."""
    ordered = sorted(judged, key=lambda each: (each.closed_at, each.signal.id))
    parts = []
    for theory in theories:
        changes = [_change(each, decide_without(theory, each.signal), outcome_of) for each in ordered]
        parts.append(_contribution(theory, changes, ordered, resamples=resamples))
    return tuple(sorted(parts, key=lambda part: (-(part.pnl_usd.value or 0.0), part.theory)))


def _change(judged: Judged, choice: Choice, outcome_of: OutcomeOf | None) -> _Change:
    signal = judged.signal
    was, would = signal.direction, choice.direction
    if was is would:
        gained = signal.confidence - choice.confidence
        return _Change(0.0, made=False, turned=False, prevented=False, confidence=gained)
    other = None
    if would is not Direction.HOLD and outcome_of is not None:
        other = outcome_of(signal, would)
    worth = (0.0 if was is Direction.HOLD else judged.pnl_usd) - (other or 0.0)
    return _Change(
        worth,
        made=would is Direction.HOLD,
        turned=was is not Direction.HOLD and would is not Direction.HOLD,
        prevented=was is Direction.HOLD,
        confidence=float("nan"),
    )


def _contribution(theory: str, changes: Sequence[_Change], judged: Sequence[Judged], *, resamples: int) -> Contribution:
    n = len(judged)
    worths = np.array([change.worth for change in changes])
    results = np.array([each.pnl_usd for each in judged])
    made = [each.pnl_usd for each, change in zip(judged, changes, strict=True) if change.made or change.turned]
    changed = sum(change.made or change.turned or change.prevented for change in changes)
    took = [each.signal.timings_ms[theory] for each in judged if theory in each.signal.timings_ms]
    confidences = np.array([change.confidence for change in changes])
    kept = confidences[np.isfinite(confidences)]
    pnl, share = _estimates(worths, results, resamples)
    return Contribution(
        theory=theory,
        role=_role(pnl, changed, n),
        decisions=n,
        inexact=sum(each.signal.synthesis is Synthesis.LLM for each in judged),
        changed=changed,
        trades_made=sum(change.made for change in changes),
        trades_turned=sum(change.turned for change in changes),
        trades_prevented=sum(change.prevented for change in changes),
        winners_made=sum(result > 0.0 for result in made),
        losers_made=sum(result < 0.0 for result in made),
        mean_confidence_change=float(kept.mean()) if len(kept) else 0.0,
        mean_milliseconds=float(np.mean(took)) if took else None,
        pnl_usd=pnl,
        share=share,
    )


def _estimates(worths: Floats, results: Floats, resamples: int) -> tuple[Estimate, Estimate]:
    """The sum of what it was worth, and its share of the whole, decision by decision in blocks."""
    n = len(worths)
    unknown = Estimate(None, None, None, n, Method.BOOTSTRAP)
    if n == 0:
        return unknown, unknown
    total, whole = float(worths.sum()), float(results.sum())
    if n < FEWEST or not resamples:
        return Estimate(total, None, None, n, Method.BOOTSTRAP), unknown
    means, blocks = draw_means(np.column_stack([worths, results]), resamples=resamples)
    interval = percentile_interval(n * means[:, 0], blocks)
    pnl = estimate_of(total, interval, n)
    around = percentile_interval(means[:, 1], blocks)
    if around is None or around[0] <= 0.0 <= around[1] or whole == 0.0:
        return pnl, unknown
    shares = np.divide(means[:, 0], means[:, 1], out=np.full(len(means), np.nan), where=means[:, 1] != 0.0)
    return pnl, estimate_of(total / whole, percentile_interval(shares, blocks), n)


def _role(pnl: Estimate, changed: int, n: int) -> Role:
    if changed == 0:
        return Role.ONLY_TIME if n >= ENOUGH_DECISIONS else Role.UNDECIDED
    if pnl.low is None or pnl.high is None:
        return Role.UNDECIDED
    return Role.DRIVES if pnl.low > 0.0 else Role.COSTS if pnl.high < 0.0 else Role.UNDECIDED
