"""The weekly review: what the rule says about the strategy, and beside it what the trades really allow to say.

The rule, from 20 closed trades on: a Sharpe ratio (a year of daily equity returns, corrected for autocorrelation) below
1.0 says improve, from 1.0 to 1.5 one more week, above 1.5 keep. Twenty trades prove next to nothing: a coin reaches any
of the three. So the review also says whether the ratio is surely above or below each bound, and how many trades more it
takes to know; a verdict that is not `decided` is a habit, no finding.

The targets: win rate at least 55 %, mean confidence at least 70 %, at most 30 % of the signals that went out close as a
loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

from core.errors import invalid
from core.performance.better import Answer, Finding, is_above
from core.performance.decisions import estimate_confidence
from core.performance.measure import Performance, estimate_rate
from core.performance.sample import Decided, Estimate
from core.trade import STRICT

LEAST_TRADES: Final = 20
IMPROVE_BELOW: Final = 1.0
KEEP_ABOVE: Final = 1.5


class Advice(Enum):
    """What the rule says."""

    TOO_FEW = "too_few_trades"
    IMPROVE = "improve"
    ONE_MORE_WEEK = "one_more_week"
    KEEP = "keep"


class Reached(Enum):
    """Whether a target is met: surely, surely not, or as it looks so far."""

    MET = "met"
    MISSED = "missed"
    LOOKS_MET = "looks_met_not_decidable_yet"
    LOOKS_MISSED = "looks_missed_not_decidable_yet"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """A target against what was reached. `is_floor`: at least this much, else at most."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    limit: float
    is_floor: bool
    finding: Finding
    reached: Reached


@dataclass(frozen=True, slots=True)
class Review:
    """The rule's advice, whether the trades decide it, and the targets."""

    __pydantic_config__: ClassVar = STRICT
    advice: Advice
    decided: bool
    trades: int
    days: int
    sharpe: Estimate
    above_improve: Finding
    above_keep: Finding
    trades_needed: int | None  # further ones until the advice is decided; None: it is, or it cannot be counted
    targets: tuple[Target, ...]
    words: str


def review(performance: Performance, emitted: Sequence[Decided]) -> Review:
    """The review of what was measured. `emitted` are the BUY and SELL signals that went out and have ended since."""
    sharpe = performance.sharpe
    low, high = is_above(sharpe, IMPROVE_BELOW), is_above(sharpe, KEEP_ABOVE)
    advice = _advise(sharpe.value, performance.trades)
    open_ones = [found for found in _bounds_of(advice, low, high) if found.answer is Answer.UNDECIDED]
    decided = advice is not Advice.TOO_FEW and not open_ones
    needed = None
    if advice is Advice.TOO_FEW and performance.trades < LEAST_TRADES:
        needed = LEAST_TRADES - performance.trades
    elif open_ones and all(found.trades_needed is not None for found in open_ones):
        needed = max(found.trades_needed or 0 for found in open_ones)
    return Review(
        advice=advice,
        decided=decided,
        trades=performance.trades,
        days=performance.days,
        sharpe=sharpe,
        above_improve=low,
        above_keep=high,
        trades_needed=needed,
        targets=_targets(performance, emitted),
        words=_explain(advice, sharpe, decided=decided, needed=needed),
    )


def _advise(sharpe: float | None, trades: int) -> Advice:
    if trades < LEAST_TRADES or sharpe is None:
        return Advice.TOO_FEW
    if sharpe < IMPROVE_BELOW:
        return Advice.IMPROVE
    return Advice.KEEP if sharpe > KEEP_ABOVE else Advice.ONE_MORE_WEEK


def _bounds_of(advice: Advice, low: Finding, high: Finding) -> tuple[Finding, ...]:
    """The bounds that an advice hangs on."""
    return {Advice.IMPROVE: (low,), Advice.KEEP: (high,)}.get(advice, (low, high))


def _targets(performance: Performance, emitted: Sequence[Decided]) -> tuple[Target, ...]:
    if len(emitted) < performance.trades:
        detail = f"are {len(emitted)}, but {performance.trades} trades have closed: each trade comes from a signal"
        raise invalid("emitted", detail)
    return (
        _target("win_rate", 0.55, performance.win_rate),
        _target("mean_confidence", 0.70, estimate_confidence(emitted)),
        _target("false_positives", 0.30, estimate_rate(performance.losses, len(emitted)), is_floor=False),
    )


def _target(name: str, limit: float, estimate: Estimate, *, is_floor: bool = True) -> Target:
    finding = is_above(estimate, limit)
    return Target(name, limit, is_floor, finding, _reached(finding, is_floor=is_floor))


def _reached(finding: Finding, *, is_floor: bool) -> Reached:
    value = finding.estimate.value
    if value is None:
        return Reached.UNKNOWN
    if finding.answer is not Answer.UNDECIDED:
        return Reached.MET if (finding.answer is Answer.YES) == is_floor else Reached.MISSED
    looks = value >= finding.benchmark if is_floor else value <= finding.benchmark
    return Reached.LOOKS_MET if looks else Reached.LOOKS_MISSED


def _explain(advice: Advice, sharpe: Estimate, *, decided: bool, needed: int | None) -> str:
    if sharpe.value is None:
        return f"No Sharpe ratio can be given yet: {sharpe.n} closed trades."
    interval = "no interval yet" if sharpe.low is None else f"95 % interval {sharpe.low:.2f} to {sharpe.high:.2f}"
    found = f"Sharpe {sharpe.value:.2f} ({interval}, {sharpe.n} closed trades)"
    if advice is Advice.TOO_FEW:
        return f"{found}: the rule speaks from {LEAST_TRADES} trades on."
    said = f"{found}: the rule says {advice.value.replace('_', ' ')}"
    if decided:
        return f"{said}, and the trades prove it."
    if needed is None:
        return f"{said}, but that is not decidable, nor in any number of trades that can be waited for."
    return f"{said}, but that is not decidable yet: about {needed:,} more trades are needed."
