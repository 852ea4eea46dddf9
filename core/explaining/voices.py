"""Why the models, or both sides of the vote, decided like this, and the smallest change of one of them that turns it.

Every change named here has been tried. The outcome moves one way with each number, so the nearest one that turns it is
found by halving, on the grid on which chances are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from core.deciding.decision import CONFIDENCE_RULE, Decision, tell_apart
from core.deciding.ensemble_decision import NAMES, EnsembleCase
from core.deciding.lean import EVEN, log_odds_of
from core.deciding.strategies import decide_case
from core.deciding.vote import Side, VoteCase
from core.ensemble import DECIMALS, Ensemble
from core.explaining.explanation import Change, Explanation, sort_votes
from core.signal import Veto
from core.trade import Direction

GRID: Final = 10**DECIMALS

VoicedCase = EnsembleCase | VoteCase


def explain_voices(case: VoicedCase, *, vetoes: Sequence[Veto] = ()) -> Explanation:
    """The explanation of a case; `vetoes` are those of the account, which no voice could have lifted."""
    decision = decide_case(case)
    moved = sort_votes(decision.votes)
    own = next((veto for veto in decision.vetoes if veto.rule != CONFIDENCE_RULE), None)
    stopped_by = next(iter((*vetoes, *((own,) if own else ()), *decision.vetoes)), None)
    change = None if vetoes else find_turn(case)
    without = _pivots(case, decision)
    direction = Direction.HOLD if vetoes else decision.direction
    first = tuple(_tell_voices(decision))
    last = tuple(_tell_outcome(case, stopped_by, change, without))
    return Explanation(direction, (*first, *last), moved, stopped_by, change, without)


def find_turn(case: VoicedCase) -> Change | None:
    """The smallest change of one model's chance, or of one side's confidence, that gives another outcome."""
    found = sorted(_turns(case), key=lambda each: (abs(each.after - each.before), each.what, each.after))
    return found[0] if found else None


def change_voice(case: VoicedCase, what: str, number: float) -> VoicedCase:
    """The case with one model's chance, or one side's confidence, changed."""
    if isinstance(case, VoteCase):
        sides = tuple(replace(each, confidence=number) if each.strategy.value == what else each for each in case.sides)
        return replace(case, sides=sides)
    forecasts = tuple(
        replace(each, probability=number) if each.kind == what else each for each in case.outlook.forecasts
    )
    return replace(case, outlook=replace(case.outlook, forecasts=forecasts))


def _turns(case: VoicedCase) -> Iterator[Change]:
    """For each voice the nearest number below and above its own that turns the outcome."""
    now = decide_case(case).direction

    def outcome_at(what: str) -> Callable[[int], Direction]:
        return lambda place: decide_case(change_voice(case, what, place / GRID)).direction

    for what, before, stages in _numbers(case):
        for ends in (stages[0], stages[1]):
            place = _find_place(before, ends, now, outcome_at(what))
            if place is not None:
                yield Change(what, before, place / GRID, outcome_at(what)(place))


def _numbers(case: VoicedCase) -> Iterator[tuple[str, float, tuple[tuple[float, ...], tuple[float, ...]]]]:
    """Each number that may be changed, and the stretches below and above it on which the outcome moves one way."""
    if isinstance(case, VoteCase):
        for side in case.sides:
            if side.problem is None:
                yield side.strategy.value, side.confidence, _stages(side)
        return
    for each in case.outlook.forecasts:
        if each.probability is not None and each.kind in case.outlook.speaking:
            yield each.kind, each.probability, ((0.0,), (1.0,))


def _stages(side: Side) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A lean of less than one half counts as even, so that what more of it does turns there."""
    if side.leaning is Direction.HOLD:
        return (0.0,), (1.0,)
    return ((EVEN, 0.0), (1.0,)) if side.confidence > EVEN else ((0.0,), (EVEN, 1.0))


def _find_place(
    before: float, ends: tuple[float, ...], now: Direction, outcome_at: Callable[[int], Direction]
) -> int | None:
    """The first place of the grid on the way to these ends where the outcome is another."""
    rising = ends[-1] > before
    near = math.floor(before * GRID) if rising else math.ceil(before * GRID)
    for end in ends:
        far = round(end * GRID)
        if outcome_at(far) is now:
            near = far
            continue
        while abs(far - near) > 1:
            middle = (near + far) // 2
            near, far = (middle, far) if outcome_at(middle) is now else (near, middle)
        return far
    return None


def _pivots(case: VoicedCase, decision: Decision) -> tuple[str, ...]:
    names = (what for what, _, _ in _numbers(case))
    return tuple(name for name in names if decide_case(case, without=name).direction is not decision.direction)


def _tell_voices(decision: Decision) -> Iterator[str]:
    leaning = f"{decision.leaning.value} before any limit, confidence {decision.confidence:.1%}"
    yield f"{leaning}: {decision.synthesis_reason}."
    moved = sort_votes(decision.votes)
    for vote in moved:
        yield f"{_name(vote.theory)} voted {vote.vote:+.2f} and moved the odds {_tell_times(vote.pull)}: {vote.words}"
    if not moved:
        yield "Nobody moved the odds of a rise or a fall."
    yield from _tell_line(decision.ensemble)
    for vote in decision.votes:
        if vote.problem is not None:
            yield f"{_name(vote.theory)} had no part: {vote.problem}."


def _tell_line(ensemble: Ensemble | None) -> Iterator[str]:
    """The calibration's own part: what the models' pulls add up to is the mean before it."""
    if ensemble is None or ensemble.probability is None or ensemble.raw is None or ensemble.probability == ensemble.raw:
        return
    moved = log_odds_of(ensemble.probability) - log_odds_of(ensemble.raw)
    worth, mean = tell_apart(ensemble.probability, ensemble.raw)
    yield f"Calibration moved the odds {_tell_times(moved)}: a mean of {mean} is worth {worth}."


def _tell_times(pull: float) -> str:
    """How far log odds were moved, as odds."""
    return f"{math.exp(abs(pull)):.2f} times {'up' if pull > 0.0 else 'down'}"


def _tell_outcome(
    case: VoicedCase, stopped_by: Veto | None, change: Change | None, without: tuple[str, ...]
) -> Iterator[str]:
    number, voices = ("confidence", "sides") if isinstance(case, VoteCase) else ("chance of a rise", "models")
    if stopped_by is not None:
        yield f"Stopped by the rule {stopped_by.rule}: {stopped_by.detail}."
    if change is None:
        yield f"No change of the {number} of one of the {voices} would have changed the outcome."
    else:
        turned = "at {} instead of {}".format(*tell_apart(change.after, change.before))
        yield f"With the {number} of {_name(change.what)} {turned} it would have been {change.outcome.value}."
    if without:
        names = ", ".join(_name(each) for each in without)
        yield f"Without one of these {voices} it would have been another decision: {names}."


def _name(voice: str) -> str:
    return NAMES.get(voice, voice.upper())
