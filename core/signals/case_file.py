"""All that a decision follows from, as it is kept beside the decision: read back, it decides the same again."""

from __future__ import annotations

from dataclasses import dataclass, fields

from core.analysis import Analysis
from core.canonical import read_canonical, write_canonical
from core.deciding.confidence import Threshold, TierRecord
from core.deciding.decision import Case
from core.deciding.ensemble_decision import EnsembleCase
from core.deciding.levels import Yardstick
from core.deciding.strategies import AnyCase
from core.deciding.synthesis import Rule
from core.deciding.vote import Side, VoteCase
from core.ensemble import Outlook
from core.signal import Mode, Refusal, Strategy, Unasked, Variant, Verdict

VERSION = 1  # of the file; an older one is read as it was written
RECORDED = 2  # of one with the closed trades that its theories were told; without them it is written as before


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case with the mode it was judged in. Of verdict, refusal and unasked exactly one is there."""

    version: int
    analysis: Analysis
    rule: Rule
    variant: Variant
    mode: Mode
    threshold: Threshold
    yardstick: Yardstick
    verdict: Verdict | None = None
    refusal: Refusal | None = None
    unasked: Unasked | None = None
    record: TierRecord | None = None


@dataclass(frozen=True, slots=True)
class EnsembleFile:
    """What the models said, with the mode it was judged in."""

    version: int
    strategy: Strategy
    mode: Mode
    analysis: Analysis
    outlook: Outlook
    threshold: Threshold
    yardstick: Yardstick


@dataclass(frozen=True, slots=True)
class VoteFile:
    """What both sides said, with the mode it was judged in."""

    version: int
    strategy: Strategy
    mode: Mode
    analysis: Analysis
    sides: tuple[Side, ...]
    threshold: Threshold
    yardstick: Yardstick


@dataclass(frozen=True, slots=True)
class _Heading:
    """Which kind of case a text holds; one that does not say so is of the theories."""

    strategy: Strategy = Strategy.V7


def write_case(case: AnyCase, mode: Mode) -> str:
    """The text that is stored."""
    if isinstance(case, EnsembleCase):
        ground = (case.analysis, case.outlook, case.threshold, case.yardstick)
        return write_canonical(EnsembleFile(VERSION, Strategy.V6, mode, *ground))
    if isinstance(case, VoteCase):
        said = (case.analysis, case.sides, case.threshold, case.yardstick)
        return write_canonical(VoteFile(VERSION, Strategy.VOTE, mode, *said))
    return _write_theories(case, mode)


def read_case(text: str) -> tuple[AnyCase, Mode]:
    """The case that was written, and its mode."""
    strategy = read_canonical(text, _Heading).strategy
    if strategy is Strategy.V6:
        models = read_canonical(text, EnsembleFile)
        return EnsembleCase(models.analysis, models.outlook, models.threshold, models.yardstick), models.mode
    if strategy is Strategy.VOTE:
        vote = read_canonical(text, VoteFile)
        return VoteCase(vote.analysis, vote.sides, vote.threshold, vote.yardstick), vote.mode
    file = read_canonical(text, CaseFile)
    reply = file.verdict or file.refusal or file.unasked
    assert reply is not None  # one of them was written
    case = Case(file.analysis, file.rule, reply, file.variant, file.threshold, file.yardstick, file.record)
    return case, file.mode


def _write_theories(case: Case, mode: Mode) -> str:
    reply = case.reply
    file = CaseFile(
        VERSION if case.record is None else RECORDED,
        case.analysis,
        case.rule,
        case.variant,
        mode,
        case.threshold,
        case.yardstick,
        verdict=reply if isinstance(reply, Verdict) else None,
        refusal=reply if isinstance(reply, Refusal) else None,
        unasked=reply if isinstance(reply, Unasked) else None,
        record=case.record,
    )
    kept = {each.name: getattr(file, each.name) for each in fields(file)}
    if file.record is None:
        del kept["record"]
    return write_canonical(kept)
