"""Why this decision and not another: which theories moved it, what stopped it, and the smallest change that turns it.

Every change named here has been tried: the case was decided again with it, and the outcome was another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from core.deciding.decision import CONFIDENCE_RULE, Case, Decision, decide, tell_apart, weigh_case
from core.deciding.strategies import AnyCase
from core.deciding.synthesis import NEVER_VOTE, display_name
from core.explaining.explanation import Change, Explanation, sort_votes
from core.explaining.voices import explain_voices
from core.signal import Unasked, Variant, Verdict, Veto, Vote
from core.trade import Direction

CONFIDENCE: Final = "confidence"
# A vote that moves the log-odds by less than this turns nothing.
WEAKEST: Final = 1e-9
# A change that lands just on the edge is moved by so much, until it lies beyond rounding.
NUDGES: Final = (0.0, 1e-12, 1e-9, 1e-6)


def explain(case: AnyCase, *, vetoes: Sequence[Veto] = ()) -> Explanation:
    """The explanation of a case; `vetoes` are those of the account, which no reading could have lifted."""
    if not isinstance(case, Case):
        return explain_voices(case, vetoes=vetoes)
    decision = decide(case)
    moved = sort_votes(decision.votes)
    own = next((veto for veto in decision.vetoes if veto.rule != CONFIDENCE_RULE), None)
    stopped_by = next(iter((*vetoes, *((own,) if own else ()), *decision.vetoes)), None)
    change = None if vetoes else find_change(case)
    without = _pivots(case, decision)
    direction = Direction.HOLD if vetoes else decision.direction
    sentences = tuple(_tell(case, decision, moved, stopped_by, change, without))
    return Explanation(direction, sentences, moved, stopped_by, change, without)


def find_change(case: Case) -> Change | None:
    """The smallest change of one vote, or of the model's confidence, that gives another outcome, if there is one."""
    decision = decide(case)
    candidates = sorted(_candidates(case), key=lambda each: (abs(each.after - each.before), each.what, each.after))
    for each in candidates:
        for after in _nudge(each):
            outcome = decide(apply_change(case, replace(each, after=after))).direction
            if outcome is not decision.direction:
                return Change(each.what, each.before, after, outcome)
    return None


def apply_change(case: Case, change: Change) -> Case:
    """The case with that one number changed."""
    if change.what == CONFIDENCE:
        assert isinstance(case.reply, Verdict)
        return replace(case, reply=replace(case.reply, confidence=change.after))
    readings = tuple(
        replace(reading, vote=change.after) if reading.theory == change.what else reading
        for reading in case.analysis.readings
    )
    return replace(case, analysis=replace(case.analysis, readings=readings))


def _candidates(case: Case) -> Iterator[Change]:
    """Changes that bring confidence or log-odds just to where the outcome turns, one number at a time."""
    reply, threshold = case.reply, case.threshold
    if isinstance(reply, Verdict):
        for after in (threshold.value, math.nextafter(threshold.value, 0.0)):
            yield Change(CONFIDENCE, reply.confidence, after, Direction.HOLD)
    if not isinstance(reply, Unasked) and case.variant is Variant.V7_DEEPSEEK_ONLY:
        return
    weighing = weigh_case(case)
    edge = math.log(threshold.value / (1.0 - threshold.value)) if threshold.value < 1.0 else math.inf
    for reading in case.analysis.readings:
        force = weighing.scale * case.rule.weight(reading.theory)
        if reading.problem is not None or reading.theory in NEVER_VOTE or abs(force) < WEAKEST:
            continue
        for target in (edge, -edge):
            after = reading.vote + (target - weighing.log_odds) / force
            if math.isfinite(after) and abs(after) <= 1.0:
                yield Change(reading.theory, reading.vote, after, Direction.HOLD)


def _nudge(change: Change) -> Iterator[float]:
    """The change itself, then a little less and a little more of it, within what the number may be."""
    low = 0.0 if change.what == CONFIDENCE else -1.0
    for share in NUDGES:
        for side in (1.0, -1.0):
            yield min(max(change.after + side * share, low), 1.0)


def _pivots(case: Case, decision: Decision) -> tuple[str, ...]:
    names = (reading.theory for reading in case.analysis.readings if reading.problem is None)
    return tuple(name for name in names if decide(case, without=name).direction is not decision.direction)


def _tell(
    case: Case,
    decision: Decision,
    moved: tuple[Vote, ...],
    stopped_by: Veto | None,
    change: Change | None,
    without: tuple[str, ...],
) -> Iterator[str]:
    """The explanation as sentences, in the order in which the decision was made."""
    weighing = weigh_case(case)
    leaning = f"{decision.leaning.value} before any limit, confidence {decision.confidence:.1%}"
    yield f"{leaning}: {decision.synthesis_reason}."
    for vote in moved:
        way, odds = ("up", math.exp(vote.pull)) if vote.pull > 0.0 else ("down", math.exp(-vote.pull))
        name = display_name(vote.theory)
        yield f"{name} voted {vote.vote:+.2f} and moved the odds {odds:.2f} times {way}: {vote.words}"
    if not moved:
        yield "No theory moved the odds of a rise or a fall."
    if isinstance(case.reply, Verdict) and case.variant is Variant.V7_DEEPSEEK_ONLY:
        yield "The language model read these votes; they did not decide."
    yield f"The filters call {weighing.randomness:.0%} of the window chance: a vote counts {weighing.scale:.2f} times."
    if stopped_by is not None:
        yield f"Stopped by the rule {stopped_by.rule}: {stopped_by.detail}."
    yield _tell_change(change)
    if without:
        names = ", ".join(display_name(name) for name in without)
        yield f"Without one of these theories it would have been another decision: {names}."


def _tell_change(change: Change | None) -> str:
    if change is None:
        return "No change of one vote or of the confidence would have changed the outcome."
    what = "the model's confidence" if change.what == CONFIDENCE else f"the vote of {display_name(change.what)}"
    after, before = tell_apart(change.after, change.before)
    return f"With {what} at {after} instead of {before} it would have been {change.outcome.value}."
