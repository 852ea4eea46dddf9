"""Is it better than that? Yes, no, or not decidable yet, and then how many trades more it takes to know.

The answer is what the 95 % interval says: yes where all of it lies above the benchmark, no where all lies below. Else
it is open, and the trades still needed follow from the power that they would give: so many that an advantage as large
as the one observed is shown in 8 of 10 such histories. For a rate that is counted (binomial against Clopper-Pearson;
beyond 2,000 trades by the normal law with Casagrande's correction), for all else the error shrinks with the root of the
number of trades: ((1.96 + 0.84) error / distance)^2 - 1 times as many.

The observed advantage flatters itself while it is uncertain, so the number is the least to expect, no promise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

import numpy as np
from scipy.special import betainc, betaincinv, ndtri

from core.errors import invalid
from core.market import Floats
from core.performance.bootstrap import TAIL, draw_means, estimate_of, percentile_interval
from core.performance.measure import MIN_DAYS
from core.performance.sample import ClosedTrade, Estimate, Method, Span, daily_returns
from core.trade import STRICT

POWER: Final = 0.8
COUNTED: Final = 2_000  # trades; beyond, the normal law is as good and quick
FARTHEST: Final = 2**20  # trades are not counted ahead beyond this: a century at thirty a day


class Answer(Enum):
    """What the trades say so far."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "not_decidable_yet"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to "is it above this?". `trades_needed` are further ones; None: decided, or too many to count."""

    __pydantic_config__: ClassVar = STRICT
    estimate: Estimate
    benchmark: float
    answer: Answer
    trades_needed: int | None

    def __str__(self) -> str:
        if self.answer is not Answer.UNDECIDED:
            return "yes" if self.answer is Answer.YES else "no"
        if self.trades_needed is None:
            return "not decidable yet, nor in any number of trades that can be waited for"
        return f"not decidable yet: about {self.trades_needed:,} more trades"


def is_above(estimate: Estimate, benchmark: float) -> Finding:
    """Whether the truth behind an estimate lies above the benchmark."""
    if not math.isfinite(benchmark):
        raise invalid("benchmark", f"is {benchmark}; a number is needed")
    if estimate.method is Method.RANGE:
        raise invalid("estimate", "is given with a range, which is no interval: it cannot be compared")
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return Finding(estimate, benchmark, Answer.UNDECIDED, None)
    if low > benchmark or high < benchmark:
        return Finding(estimate, benchmark, Answer.YES if low > benchmark else Answer.NO, None)
    if estimate.method is Method.EXACT:
        total = trades_for_rate(value, benchmark) if 0.0 < benchmark < 1.0 else None
    else:
        total = _trades_for_mean(estimate, value, benchmark, (high - low) / 2.0)
    needed = None if total is None else max(1, total - estimate.n)
    return Finding(estimate, benchmark, Answer.UNDECIDED, needed)


def is_better(one: Sequence[ClosedTrade], other: Sequence[ClosedTrade], span: Span) -> Finding:
    """Whether one way earns more a day than another over the same days: their difference, day by day, in blocks."""
    difference = daily_returns(one, span) - daily_returns(other, span)
    n = len(one) + len(other)
    if len(difference) < MIN_DAYS or not (one and other):
        return is_above(Estimate(None, None, None, n, Method.BOOTSTRAP), 0.0)
    means, blocks = draw_means(difference[:, None])
    return is_above(estimate_of(float(difference.mean()), percentile_interval(means[:, 0], blocks), n), 0.0)


def trades_for_rate(rate: float, benchmark: float, *, tail: float = TAIL, power: float = POWER) -> int | None:
    """The fewest trades of which, at this rate, the exact interval excludes the benchmark with that power.

    Counted up to where it stays so: whole numbers make the power of an exact test jump. None beyond FARTHEST.

    >>> trades_for_rate(0.75, 0.68, tail=0.05)
    283
    """
    if rate == benchmark:
        return None
    if rate < benchmark:
        rate, benchmark = 1.0 - rate, 1.0 - benchmark
    if rate >= 1.0:
        rate = 1.0 - 1e-9
    spread = ndtri(1.0 - tail) * math.sqrt(benchmark * (1.0 - benchmark)) + ndtri(power) * math.sqrt(rate - rate**2)
    distance = rate - benchmark
    guess = (spread / distance) ** 2
    guess *= (1.0 + math.sqrt(1.0 + 2.0 / (guess * distance))) ** 2 / 4.0
    if guess > COUNTED:
        return None if guess > FARTHEST else math.ceil(guess)
    sizes = np.arange(1, int(1.3 * guess) + 40, dtype=np.float64)
    enough = _power(sizes, rate, benchmark, tail) >= power
    short = np.flatnonzero(~enough)
    return 1 if len(short) == 0 else int(sizes[short[-1]]) + 1


def _power(sizes: Floats, rate: float, benchmark: float, tail: float) -> Floats:
    """The chance that so many trades at this rate put the lower bound above the benchmark. Shape: (N,) -> (N,)."""
    wins = _fewest_wins(sizes, benchmark, tail)
    reachable = np.minimum(wins, sizes)
    chance: Floats = np.where(wins <= sizes, betainc(reachable, sizes - reachable + 1.0, rate), 0.0)
    return chance


def _fewest_wins(sizes: Floats, benchmark: float, tail: float) -> Floats:
    """The fewest wins whose lower bound is above the benchmark; one more than all where none are enough."""
    low, high = np.zeros(len(sizes)), sizes + 1.0
    while (high - low > 1.0).any():
        middle = np.floor((low + high) / 2.0)
        bound = betaincinv(np.maximum(middle, 1.0), np.maximum(sizes - middle, 0.0) + 1.0, tail)
        above = (bound > benchmark) & (middle >= 1.0)
        high = np.where(above, middle, high)
        low = np.where(above, low, np.maximum(middle, low))
    return high


def _trades_for_mean(estimate: Estimate, value: float, benchmark: float, half_width: float) -> int | None:
    distance = abs(value - benchmark)
    error = half_width / float(ndtri(1.0 - TAIL))
    if distance <= 0.0:
        return None
    factor = (float(ndtri(1.0 - TAIL) + ndtri(POWER)) * error / distance) ** 2
    total = estimate.n * factor
    return None if total > FARTHEST else math.ceil(total)
