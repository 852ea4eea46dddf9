"""All that a decision follows from, as it is kept beside the decision: read back, it decides the same again."""

from __future__ import annotations

from dataclasses import dataclass, fields

from core.analysis import Analysis
from core.canonical import read_canonical, write_canonical
from core.confidence import Threshold, TierRecord
from core.decision import Case
from core.levels import Yardstick
from core.signal import Mode, Refusal, Unasked, Variant, Verdict
from core.synthesis import Rule

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


def write_case(case: Case, mode: Mode) -> str:
    """The text that is stored."""
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


def read_case(text: str) -> tuple[Case, Mode]:
    """The case that was written, and its mode."""
    file = read_canonical(text, CaseFile)
    reply = file.verdict or file.refusal or file.unasked
    assert reply is not None  # one of them was written
    case = Case(file.analysis, file.rule, reply, file.variant, file.threshold, file.yardstick, file.record)
    return case, file.mode
