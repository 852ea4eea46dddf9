"""Readings and cases for the tests of decisions: made by hand, so that what must come out can be worked out."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from core.analysis import Analysis, Missing, Reading
from core.analyzers import discover
from core.deciding.confidence import Threshold
from core.deciding.decision import Case, Reply
from core.deciding.levels import Yardstick
from core.deciding.synthesis import EQUAL, FILTERS, Rule
from core.signal import Synthesis, Unasked, Variant, Verdict
from core.trade import Direction, Levels

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
NO_KEY = Unasked("no_key", "no key is set")
YARDSTICK = Yardstick(Decimal("50000"), Decimal("100"))
GOOD_BUY = Levels(Decimal("50000"), Decimal("49850"), Decimal("50225"))
OPEN = Threshold(0.65, True, "the profile's 0.65")

CHANCE = {
    "fractal_dimension": {"p_value": 0.6},
    "hurst_exponent": {"hurst_low": 0.4, "hurst_high": 0.6, "hurst_robust_low": 0.4, "hurst_robust_high": 0.6},
    "kolmogorov_complexity": {"sign_p_value": 0.5, "p_value": 0.7},
    "shannon_entropy": {"p_value": 0.9, "sign_p_value": 0.4},
}
ORDER = {
    "fractal_dimension": {"p_value": 0.0001},
    "hurst_exponent": {"hurst_low": 0.55, "hurst_high": 0.7, "hurst_robust_low": 0.52, "hurst_robust_high": 0.8},
    "kolmogorov_complexity": {"sign_p_value": 0.0001, "p_value": 0.7},
    "shannon_entropy": {"p_value": 0.0001, "sign_p_value": 0.4},
}


def a_reading(theory: str, vote: float = 0.0, *, ordered: bool = False, problem: str | None = None) -> Reading:
    """One theory's reading; a filter says order or chance."""
    values = (ORDER if ordered else CHANCE).get(theory, {})
    if problem is not None:
        return Reading(theory, {}, 0.0, "", problem)
    return Reading(theory, dict(values), vote, f"{theory} speaks.")


def readings_of(*, ordered: bool = False, silent: tuple[str, ...] = (), **votes: float) -> tuple[Reading, ...]:
    """All fifteen; those not named vote 0, those silent are left out."""
    names = [name for name in discover() if name not in silent]
    return tuple(a_reading(name, votes.get(name, 0.0), ordered=ordered) for name in names)


def an_analysis(readings: tuple[Reading, ...], *, missing: tuple[str, ...] = ()) -> Analysis:
    """An analysis of Bitcoin with these readings."""
    gaps = tuple(Missing(name, "deadline", "came too late") for name in missing)
    return Analysis("BTC-USD", "5m", 500, AS_OF, Decimal("50000"), "synthetic", True, readings, gaps, 1.0)


def a_verdict(word: str = "BUY", confidence: float = 0.8, levels: Levels | None = None) -> Verdict:
    """What a language model may have said."""
    return Verdict(Direction[word], confidence, "Because of Hurst.", levels, Synthesis.LLM, raw="{}")


def a_case(
    readings: tuple[Reading, ...],
    *,
    reply: Reply = NO_KEY,
    variant: Variant = Variant.V7_FULL_MATH,
    threshold: Threshold = OPEN,
    yardstick: Yardstick = YARDSTICK,
    rule: Rule = EQUAL,
    missing: tuple[str, ...] = (),
) -> Case:
    """A case of these readings; without more the rule decides."""
    return Case(an_analysis(readings, missing=missing), rule, reply, variant, threshold, yardstick)


assert set(CHANCE) == set(ORDER) == set(FILTERS)
