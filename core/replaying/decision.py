"""A stored decision is made once more from what was kept beside it; whatever comes out otherwise is named.

Nothing is asked anew: the reply is the recorded one. The account's last word (its vetoes after the decision's own, and
the size) is taken as it was said, because what the account was then is not kept beside each decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

from core.deciding.consultation import Consultation
from core.deciding.decision import Case, Decision
from core.deciding.ensemble_decision import EnsembleCase, model_versions
from core.deciding.levels import chance_of_stop_first, measure
from core.deciding.strategies import AnyCase, decide_case
from core.llm.asking import Prompt
from core.llm.prompt import hash_prompt
from core.market import instant, stack_windows
from core.models.weighting import KINDS
from core.replaying.difference import SHOWN, is_equal, show_both, spell
from core.replaying.texts import compare_texts, write_again
from core.signal import Mode, Signal, Version
from core.signals.case_file import read_case
from core.signals.draft import Frame, draft
from core.signals.ports import Study, WholeSignal
from core.trade import Direction

# What the account may still change or say; it is judged by _judge, the rest of the row must be equal.
ACCOUNTS_OWN: Final = frozenset(
    {
        *("direction", "entry", "stop_loss", "take_profit", "stop_first", "quantity", "lots", "risk_usd", "size_limit"),
        *("vetoes", "ftmo_compliant", "executed"),
    }
)
LEVELS: Final = ("entry", "stop_loss", "take_profit")
DECIDERS: Final = frozenset({"rule", "prompt", *KINDS})  # parts of a row's versions that follow from its case
# What reading a text that is none of ours any more can raise.
UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a decision's replay: each part equal, not equal, or (None) not there to be compared."""

    id: str
    symbol: str
    decision: bool | None = None
    prompt: bool | None = None
    readings: bool | None = None
    differences: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """What stands on this machine: the version of the code, and the arithmetic."""

    code: str
    numerics: str


def replay_decision(whole: WholeSignal, machine: Machine) -> Replayed:
    """The decision and the prompt from the stored case and the recorded reply, compared with the stored row."""
    signal = whole.stored.signal
    found = Replayed(signal.id, signal.symbol)
    if "case" not in whole.texts:
        return replace(found, decision=True if signal.as_of is None else None, remarks=(_tell_absence(signal),))
    if len(whole.candles) < max(1, len(whole.stored.snapshots)):
        return replace(found, remarks=("its candles have been forgotten: nothing to replay it on",))
    try:
        case, mode = read_case(whole.texts["case"])
        prompt, unlike = write_again(whole, case, mode)
        wrong = [*compare_texts(whole, case, mode), *_compare_row(whole, case, mode, prompt, machine)]
    except UNREADABLE as error:
        words = f"case: cannot be read or decided on ({type(error).__name__}: {str(error)[:SHOWN]})"
        return replace(found, decision=False, differences=(words,))
    return replace(
        found,
        decision=not wrong,
        prompt=None if "prompt" not in whole.texts else not unlike,
        differences=(*wrong, *unlike),
        remarks=_name_cause(signal, machine) if wrong or unlike else (),
    )


def is_same_arithmetic(signal: Signal, machine: Machine) -> bool:
    """Whether this machine's arithmetic made the decision, so that numbers must be equal to the last bit."""
    return _version(signal, "numerics") == machine.numerics


def _tell_absence(signal: Signal) -> str:
    if signal.as_of is not None:
        return "its texts have been forgotten: nothing to replay it from"
    return "nothing was read for it, so the row is all there is"


def _name_cause(signal: Signal, machine: Machine) -> tuple[str, ...]:
    """What differs between the machine that decided and this one."""
    here = {"code": machine.code, "numerics": machine.numerics}
    changed = [(part, _version(signal, part), now) for part, now in here.items() if _version(signal, part) != now]
    return tuple(f"{part}: decided by {then}, this is {now}" for part, then, now in changed)


def _version(signal: Signal, part: str) -> str:
    return next((each.version for each in signal.versions if each.part == part), "")


def _compare_row(
    whole: WholeSignal, case: AnyCase, mode: Mode, prompt: Prompt | None, machine: Machine
) -> Iterator[str]:
    """The stored row against the one that this case gives."""
    signal, candles = whole.stored.signal, whole.candles[0]
    exact = is_same_arithmetic(signal, machine)
    decision = decide_case(case)
    again = _draft_again(whole, case, decision, mode=mode, prompt=prompt)
    if again.change_24h_percent is None:  # the desk may have read more candles than the window that is kept
        again = replace(again, change_24h_percent=signal.change_24h_percent)
    for name in (each.name for each in fields(Signal) if each.name not in ACCOUNTS_OWN):
        stored, found = spell(getattr(signal, name)), spell(getattr(again, name))
        if stored != found:
            yield show_both(name, stored, found)
    if (candles.symbol, candles.as_of, len(candles)) != _seen(case):
        yield show_both("candles", str(_seen(case)), str((candles.symbol, candles.as_of, len(candles))))
    if isinstance(case, EnsembleCase) and len(whole.candles) > 1 and case.outlook.as_of is not None:
        read = instant(whole.candles[1].as_of)
        if read != case.outlook.as_of:
            yield show_both("minutes", case.outlook.as_of.isoformat(), read.isoformat())
    if float(candles.close[-1]) != float(case.analysis.price):
        yield show_both("price", str(case.analysis.price), repr(float(candles.close[-1])))
    for name, kept, measured in zip(("close", "atr"), case.yardstick, measure(candles), strict=True):
        if not is_equal(float(kept), float(measured), exact=exact):
            yield show_both(f"yardstick {name}", str(kept), str(measured))
    yield from _judge(whole, decision, again, exact=exact)


def _seen(case: AnyCase) -> tuple[str, int, int]:
    analysis = case.analysis
    return analysis.symbol, round(analysis.as_of.timestamp() * 1_000), analysis.window


def _draft_again(whole: WholeSignal, case: AnyCase, decision: Decision, *, mode: Mode, prompt: Prompt | None) -> Signal:
    """The row as it was before the account was asked, by the very function that made it."""
    stored, signal = whole.stored, whole.stored.signal
    frame = Frame(
        account=signal.account,
        slot=signal.slot,
        key=stored.key or "",
        mode=mode,
        runtime_mode=signal.runtime_mode,
        interval=signal.interval,
        window=signal.window,
        source=signal.source,
        synthetic=signal.synthetic,
        versions=tuple(each for each in signal.versions if each.part not in DECIDERS),
        actor="",
        strategy=signal.strategy,
    )
    consultation = Consultation(
        signal.book,
        case,
        decision,
        mode,
        prompt,
        whole.texts.get("reply"),
        signal.llm,
        signal.calibrated_confidence,  # closed trades of then said it, and those are not kept
        _deciders(signal, case, prompt),
    )
    return draft(
        Study(whole.candles[0], "", case.analysis),
        consultation,
        frame,
        at=signal.timestamp,
        stop_first=None,
        references=stored.snapshots,
        timings_ms=signal.timings_ms,
    ).signal


def _deciders(signal: Signal, case: AnyCase, prompt: Prompt | None) -> tuple[Version, ...]:
    """The versions of who decided. A vote does not keep those of its sides, so they are as they were said."""
    if isinstance(case, Case):
        rule = Version("rule", case.rule.label)
        return (rule,) if prompt is None else (rule, Version("prompt", hash_prompt(prompt)))
    if isinstance(case, EnsembleCase):
        return model_versions(case.outlook)
    return tuple(each for each in signal.versions if each.part in DECIDERS)


def _judge(whole: WholeSignal, decision: Decision, again: Signal, *, exact: bool) -> Iterator[str]:
    """What was published, or why it was not, against what this decision allows."""
    signal, held, candles = whole.stored.signal, len(again.vetoes), whole.candles[0]
    if signal.vetoes[:held] != again.vetoes:
        yield show_both("vetoes", spell(signal.vetoes[:held]), spell(again.vetoes))
    if signal.direction is Direction.HOLD:
        if decision.direction is not Direction.HOLD and len(signal.vetoes) == held and not again.degraded:
            yield f"direction: HOLD is stored, {decision.direction.value} comes out and nothing forbade it"
        return
    if signal.vetoes or again.degraded or signal.direction is not decision.direction or decision.levels is None:
        yield f"direction: {signal.direction.value} is stored, {decision.direction.value} comes out"
        return
    for name in LEVELS:
        stored, found = getattr(signal, name), getattr(decision.levels, name)
        if stored != found:
            yield show_both(name, str(stored), str(found))
    window = stack_windows([candles], len(candles))
    chance = chance_of_stop_first(window, signal.direction, decision.levels)
    if not is_equal(signal.stop_first, chance, exact=exact):
        yield show_both("stop_first", str(signal.stop_first), str(chance))
