"""From readings and a verdict to a decision that may be shown: who decides, how sure is enough, at which prices.

Pure: the same case gives the same decision, in live, paper, replay and back-test. What an account forbids comes after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.analysis import Analysis
from core.deciding.confidence import Threshold, TierRecord, tier_of
from core.deciding.levels import Yardstick, check_levels, round_levels, rule_levels
from core.deciding.synthesis import LEAST_COVERAGE, Rule, Weighing, weigh
from core.ensemble import Ensemble
from core.signal import Degradation, Refusal, Strategy, Synthesis, Unasked, Variant, Verdict, Veto, Vote
from core.trade import Direction, Levels, Tier

CONFIDENCE_RULE: Final = "confidence_threshold"
COVERAGE_RULE: Final = "coverage"
DECIMALS_SHOWN: Final = 4
MOST_DECIMALS: Final = 18  # by then any two chances differ

Reply = Verdict | Refusal | Unasked


@dataclass(frozen=True, slots=True)
class Case:
    """All that a decision follows from. `variant` is the one that was drawn; without a model it does not count.

    `record` is what the theory of the win rate was told: the symbol's closed trades; None where it was told nothing.
    """

    analysis: Analysis
    rule: Rule
    reply: Reply
    variant: Variant
    threshold: Threshold
    yardstick: Yardstick
    record: TierRecord | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided before the account is asked. `leaning` is the direction before any limit.

    `ensemble` is what the models said together, where it was they who decided.
    """

    direction: Direction
    leaning: Direction
    confidence: float
    tier: Tier | None
    threshold: float
    levels: Levels | None
    vetoes: tuple[Veto, ...]
    degradations: tuple[Degradation, ...]
    variant: Variant | None
    synthesis: Synthesis
    synthesis_reason: str
    reasoning: str
    coverage: float
    votes: tuple[Vote, ...]
    strategy: Strategy = Strategy.V7
    ensemble: Ensemble | None = None


@dataclass(frozen=True, slots=True)
class _Judged:
    """Whose verdict it is, and why."""

    verdict: Verdict
    reason: str
    variant: Variant | None
    degradations: tuple[Degradation, ...] = ()


def decide(case: Case, *, without: str | None = None) -> Decision:
    """The decision of a case, or what it would be without one theory (in a model's verdict that theory stays)."""
    weighing = weigh_case(case, without=without)
    judged = _judge(case, weighing)
    verdict, leaning = judged.verdict, judged.verdict.direction
    levels: Levels | None = None
    vetoes: tuple[Veto, ...] = ()
    degradations = (*judged.degradations, *_note_coverage(weighing))
    if leaning is not Direction.HOLD:
        levels, by_model = _levels(verdict, case.yardstick)
        broken = check_levels(leaning, levels, case.yardstick)
        vetoes = (*_check_coverage(weighing), *check_confidence(verdict.confidence, case.threshold), *broken)
        if by_model and broken:
            degradations = (*degradations, Degradation("llm_levels", broken[0].detail))
    stopped = leaning is Direction.HOLD or bool(vetoes)
    return Decision(
        direction=Direction.HOLD if stopped else leaning,
        leaning=leaning,
        confidence=verdict.confidence,
        tier=None if leaning is Direction.HOLD else tier_of(verdict.confidence),
        threshold=case.threshold.value,
        levels=None if stopped else levels,
        vetoes=vetoes,
        degradations=degradations,
        variant=judged.variant,
        synthesis=verdict.by,
        synthesis_reason=judged.reason,
        reasoning=verdict.reasoning,
        coverage=weighing.coverage,
        votes=weighing.votes,
    )


def weigh_case(case: Case, *, without: str | None = None) -> Weighing:
    """What the rule makes of a case's readings, all of them or without one theory."""
    silent = tuple(gap.theory for gap in case.analysis.missing)
    return weigh(case.analysis.readings, case.rule, silent=silent, without=without)


def check_confidence(confidence: float, threshold: Threshold) -> tuple[Veto, ...]:
    """What forbids a signal of this confidence, if anything does."""
    if threshold.allows(confidence):
        return ()
    shown, limit = tell_apart(confidence, threshold.value)
    if not threshold.open:
        shown, limit = f"{confidence:.4f}", "none"
    detail = f"confidence {shown} is not enough, {limit} is needed: {threshold.reason}"
    return (Veto(CONFIDENCE_RULE, shown, limit, detail),)


def tell_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers with four decimals, or with as many as it takes to tell one from the other.

    >>> tell_apart(0.64, 0.65), tell_apart(0.649998, 0.65)
    (('0.6400', '0.6500'), ('0.649998', '0.650000'))
    """
    for decimals in range(DECIMALS_SHOWN, MOST_DECIMALS):
        told = f"{one:.{decimals}f}", f"{other:.{decimals}f}"
        if told[0] != told[1]:
            return told
    return f"{one:.{DECIMALS_SHOWN}f}", f"{other:.{DECIMALS_SHOWN}f}"


def is_model_needed(weighing: Weighing, *, skip_unanimous_hold: bool) -> bool:
    """Whether asking the language model is worth its price: not where no theory leans at all."""
    return not (skip_unanimous_hold and weighing.unanimous_hold)


UNANIMOUS_HOLD: Final = Unasked("unanimous_hold", "no theory leans either way, so the language model was not asked")


def _judge(case: Case, weighing: Weighing) -> _Judged:
    """Who decides: the rule where no model was asked, nobody where it failed, else what the variant says."""
    reply, rule = case.reply, weighing.verdict
    if isinstance(reply, Unasked):
        return _Judged(rule, f"{reply.reason}: {reply.detail}; rule with {case.rule.label}", None)
    if isinstance(reply, Refusal):
        reason = f"{reply.reason}: {reply.detail}"
        held = Verdict(Direction.HOLD, 0.0, f"The language model gave no usable answer: {reason}", None, Synthesis.NONE)
        return _Judged(held, reason, case.variant, (Degradation(reply.reason, reply.detail),))
    if case.variant is Variant.V7_DEEPSEEK_ONLY:
        words = f"{reply.reasoning} Beside it the rule: {rule.reasoning}"
        verdict = Verdict(reply.direction, reply.confidence, words, reply.levels, Synthesis.LLM, reply.raw)
        return _Judged(verdict, "the language model decides", case.variant)
    return _calm(rule, reply, case)


def _calm(rule: Verdict, reply: Verdict, case: Case) -> _Judged:
    """The rule decides; the model may say HOLD, contradict (which is HOLD) or be less sure. It sets no price."""
    said = f"the language model said {reply.direction.value} {reply.confidence:.2f}"
    words = f"{rule.reasoning} The language model: {reply.reasoning}"
    if rule.direction is not Direction.HOLD and reply.direction is not rule.direction:
        held = Verdict(Direction.HOLD, rule.confidence, words, None, Synthesis.LLM, reply.raw)
        return _Judged(held, f"the rule with {case.rule.label} said {rule.direction.value}, {said}", case.variant)
    if rule.direction is not Direction.HOLD and reply.confidence < rule.confidence:
        lowered = Verdict(rule.direction, reply.confidence, words, None, Synthesis.LLM, reply.raw)
        return _Judged(lowered, f"{said}, less than the rule with {case.rule.label}", case.variant)
    kept = Verdict(rule.direction, rule.confidence, words, None, Synthesis.RULES, reply.raw)
    return _Judged(kept, f"rule with {case.rule.label}; {said}", case.variant)


def _levels(verdict: Verdict, yardstick: Yardstick) -> tuple[Levels, bool]:
    """The verdict's own levels on the price grid, else those of the rule; and whether they are the model's."""
    if verdict.levels is not None:
        return round_levels(verdict.levels, yardstick), True
    found = rule_levels(verdict.direction, yardstick)
    assert found is not None  # the direction is no HOLD
    return found, False


def _check_coverage(weighing: Weighing) -> tuple[Veto, ...]:
    if weighing.coverage >= LEAST_COVERAGE:
        return ()
    shown, limit = f"{weighing.coverage:.2f}", f"{LEAST_COVERAGE:.2f}"
    return (Veto(COVERAGE_RULE, shown, limit, f"{shown} of the theories that may vote answered, {limit} is needed"),)


def _note_coverage(weighing: Weighing) -> tuple[Degradation, ...]:
    return tuple(Degradation("too_few_theories", veto.detail) for veto in _check_coverage(weighing))
