"""What is asked of a model before its words may move money, and how one rule is written down.

Two of the house's limits may be asked for otherwise, the accuracy and the calibration error: a stricter value is used,
a weaker one only reports, because a gate that can be lowered for one model is none.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, NamedTuple

from core.errors import invalid
from core.market import Floats
from core.models.judgement import HOUSE, OPTIONAL, Outcome, RuleName, Ruling, decide
from core.performance.bootstrap import FEWEST, draw_means, percentile_interval
from core.risk.pack import DEFAULT_PACK, find_pack
from training.scores import Scores, Trades

ONE_SIDE: Final = 0.05  # beyond a bound that holds with 95 %
MIN_ACCURACY: Final = HOUSE[RuleName.WIN_RATE].limit
MAX_CALIBRATION_ERROR: Final = HOUSE[RuleName.CALIBRATION].limit


class Terms(NamedTuple):
    """How trades are made of scores, and what is asked.

    `threshold` opens a trade, `round_trip` is what it costs (fraction of the price), `horizon` its minutes, `stake` the
    part of the capital that each trade moves: 1 is all of it, without leverage. Several coins share one account and
    this stake evenly (`training.account`).
    """

    threshold: float
    round_trip: float
    horizon: int = 15
    stake: float = 1.0
    pack: str = DEFAULT_PACK
    min_accuracy: float = MIN_ACCURACY
    max_calibration_error: float = MAX_CALIBRATION_ERROR

    @property
    def weaker(self) -> tuple[str, ...]:
        """Which asked values are weaker than the house's, in words."""
        found = []
        if self.min_accuracy < MIN_ACCURACY:
            found.append(f"an accuracy of {self.min_accuracy:g} where {MIN_ACCURACY:g} is needed")
        if self.max_calibration_error > MAX_CALIBRATION_ERROR:
            found.append(f"a calibration error of {self.max_calibration_error:g}, {MAX_CALIBRATION_ERROR:g} is allowed")
        return tuple(found)


class Case(NamedTuple):
    """One symbol's scores under terms, with what follows from them."""

    scores: Scores
    independent: Scores  # those of which no two share a future
    trades: Trades
    returns: Floats  # of each day (UTC)
    terms: Terms


def check_terms(terms: Terms) -> None:
    """Refuse terms under which nothing can be judged."""
    for name, low, high in (("min_accuracy", 0.0, 1.0), ("max_calibration_error", 0.0, 1.0), ("stake", 1e-6, 10.0)):
        value = getattr(terms, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise invalid(name, f"is {value}; {low:g} to {high:g} is needed")
    find_pack(terms.pack)


def rule_on(
    case: Case,
    rule: RuleName,
    sentence: str,
    *,
    value: float | None,
    n: int,
    bound: float | None = None,
    limit: float | None = None,
) -> Ruling:
    """A ruling with the outcome that follows from its numbers; a number that is none is not known.

    The sentence is told where the deciding number is known; else what is missing.
    """
    asked = HOUSE[rule]
    if rule not in OPTIONAL and _known(bound if asked.by_bound else value) is None:
        sentence = _too_few(case)
    found = Ruling(
        rule=rule,
        symbol=case.scores.symbol,
        value=_known(value),
        bound=_known(bound),
        by_bound=asked.by_bound,
        relation=asked.relation,
        limit=asked.limit if limit is None else limit,
        n=n,
        outcome=Outcome.INSUFFICIENT,
        sentence=sentence,
    )
    return replace(found, outcome=decide(found))


def lower_mean(values: Floats) -> float | None:
    """The lower 95 % bound of a mean, from values drawn anew in blocks; None for fewer than ten."""
    if len(values) < FEWEST:
        return None
    means, blocks = draw_means(values[:, None])
    interval = percentile_interval(means[:, 0], blocks, tail=ONE_SIDE)
    return None if interval is None else interval[0]


def tell_share(number: float | None) -> str:
    """A fraction in a sentence."""
    return "an unknown share" if number is None or not math.isfinite(number) else f"{100.0 * number:.1f} %"


def tell_points(number: float | None) -> str:
    """A return in a sentence."""
    return "an unknown number of bp" if number is None or not math.isfinite(number) else f"{1e4 * number:.2f} bp"


def tell_number(number: float | None) -> str:
    """Any number in a sentence."""
    return "unknown" if number is None or not math.isfinite(number) else f"{number:.2f}"


def _too_few(case: Case) -> str:
    n, days = len(case.trades.net), len(case.returns)
    if not n:
        return f"The model was never {tell_share(case.terms.threshold)} sure, so there is no trade to judge."
    return f"{n:,} trades and {len(case.independent.open_times):,} scores on {days} days are too few to say."


def _known(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None
