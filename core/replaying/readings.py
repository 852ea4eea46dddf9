"""What the theories said at a decision, computed once more from the candles that the decision saw.

Under the same arithmetic a reading must be equal to the last bit, under another one to nine digits. A reading cannot be
computed again where it rests on what is not kept beside the decision: facts of the whole market, closed trades of a
decision from before they were kept, or a fit that has been replaced since. Those are named with the reason, and are no
difference.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from core import analyzers
from core.analysis import Analysis, Reading
from core.analyzers import Analyzer
from core.canonical import write_canonical
from core.deciding.confidence import TierRecord, to_columns
from core.deciding.decision import Case
from core.fitted import Fit, Library, Shelf, Unfitted, Wanted
from core.market import Candles, Context, Record, Windows, stack_windows
from core.replaying.decision import UNREADABLE, Machine, Replayed, is_same_arithmetic, replay_decision
from core.replaying.difference import is_equal, show_both
from core.signals.case_file import read_case
from core.signals.ports import WholeSignal

logger = logging.getLogger(__name__)

Evaluate = Callable[[Analyzer, Windows, Library], Sequence[Reading]]

# A fit is saved a moment after it was made, and what was already being computed does not see it.
TAKING_UP: Final = timedelta(minutes=1)
# Any facts do: they only show whether a theory looks at them.
SOME_TRADES: Final = (30.0, 10.0, 0.5)
SOME_FACTS: Final = (3.0, 50.0, 0.8, 60.0, 10.0)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the theories said at one decision, on which candles of which market."""

    analysis: Analysis
    candles: Candles
    identity: str
    at: datetime
    exact: bool  # whether it was computed by the arithmetic of this machine
    record: TierRecord | None = None  # the closed trades that the theories were told


class Compared(NamedTuple):
    """How the readings of a decision differ now, and which could not be computed again."""

    differences: tuple[str, ...]
    remarks: tuple[str, ...]


def replay(
    wholes: Sequence[WholeSignal], shelf: Shelf, machine: Machine, *, evaluate: Evaluate = analyzers.evaluate
) -> list[Replayed]:
    """Every decision with its prompt and its readings made once more."""
    found = [replay_decision(whole, machine) for whole in wholes]
    heard = {place: each for place, each in enumerate(_hear(whole, machine) for whole in wholes) if each is not None}
    compared = replay_readings([*heard.values()], shelf, evaluate=evaluate)
    for place, (differences, remarks) in zip(heard, compared, strict=True):
        before = found[place]
        found[place] = replace(
            before,
            readings=not differences,
            differences=(*before.differences, *differences),
            remarks=tuple(dict.fromkeys((*before.remarks, *remarks))),
        )
    return found


def replay_readings(heard: Sequence[Heard], shelf: Shelf, *, evaluate: Evaluate = analyzers.evaluate) -> list[Compared]:
    """Every decision's readings computed anew; windows of one shape are computed as one batch."""
    groups: dict[tuple[str, int], list[int]] = {}
    for place, each in enumerate(heard):
        groups.setdefault((each.candles.interval, len(each.candles)), []).append(place)
    found: dict[int, Compared] = {}
    for (_, length), places in groups.items():
        members = [heard[place] for place in places]
        candles = [each.candles for each in members]
        windows = stack_windows(candles, length, origins=tuple(each.identity for each in members))
        if any(each.record is not None for each in members):
            windows = replace(windows, record=to_columns([each.record for each in members]))
        again = _compute(members, windows, shelf, evaluate)
        for row, place in enumerate(places):
            said = {name: readings[row] for name, readings in again.items()}
            found[place] = _compare(heard[place], windows.row(row), said, shelf=shelf, evaluate=evaluate)
    return [found[place] for place in range(len(heard))]


def _hear(whole: WholeSignal, machine: Machine) -> Heard | None:
    """What there is to be computed again; None where no theory decided.

    None too where it was forgotten or cannot be read, which is told elsewhere.
    """
    signal = whole.stored.signal
    if "case" not in whole.texts or not whole.candles:
        return None
    try:
        case, _ = read_case(whole.texts["case"])
    except UNREADABLE:
        return None
    if not isinstance(case, Case):
        return None
    identity = whole.identities[0] if whole.identities else ""
    return Heard(
        case.analysis, whole.candles[0], identity, signal.timestamp, is_same_arithmetic(signal, machine), case.record
    )


def _compute(
    members: Sequence[Heard], windows: Windows, shelf: Shelf, evaluate: Evaluate
) -> Mapping[str, Sequence[Reading | str]]:
    """Each theory on all windows: a reading a row, or what went wrong."""
    stored = {reading.theory for each in members for reading in each.analysis.readings}
    known = [each for name, each in analyzers.discover().items() if name in stored]
    return {each.name: _evaluate(each, windows, shelf, evaluate) for each in known}


def _evaluate(analyzer: Analyzer, windows: Windows, shelf: Shelf, evaluate: Evaluate) -> Sequence[Reading | str]:
    try:
        return evaluate(analyzer, windows, shelf)
    except Exception as error:  # one theory's fault, even on one row, must not hide what the others say
        if len(windows) > 1:
            return [_evaluate(analyzer, windows.row(row), shelf, evaluate)[0] for row in range(len(windows))]
        logger.exception("theory %s failed on %s as of %s", analyzer.name, windows.symbols[0], windows.as_of[0])
        return [f"raises {type(error).__name__} now"]


def _compare(
    heard: Heard, window: Windows, again: Mapping[str, Reading | str], *, shelf: Shelf, evaluate: Evaluate
) -> Compared:
    differences, remarks, apart = [], [], []
    for stored in heard.analysis.readings:
        found = again.get(stored.theory)
        if found is None:
            remarks.append(f"{stored.theory} was not computed again: there is no such theory any more")
        elif isinstance(found, str):
            differences.append(f"{stored.theory}: {found}")
        elif _spell(stored) != _spell(found):
            if not heard.exact and _is_near(stored, found):
                apart.append(stored.theory)
                continue
            reason = _find_reason(heard, stored, window, shelf=shelf, evaluate=evaluate)
            if reason is not None:
                remarks.append(f"{stored.theory} was not computed again: {reason}")
            else:
                differences.append(_tell(stored, found))
    if apart:
        names = ", ".join(apart)
        remarks.append(f"numerics: another arithmetic decided; equal to nine digits and not to the last bit: {names}")
    return Compared(tuple(differences), tuple(remarks))


def _find_reason(heard: Heard, stored: Reading, window: Windows, *, shelf: Shelf, evaluate: Evaluate) -> str | None:
    """Why a reading cannot be expected to be the same; None: it must be."""
    analyzer = analyzers.find(stored.theory)
    if analyzer.learning is not None:
        return _judge_fit(heard, stored, window, shelf=shelf, undefined=analyzer.undefined)
    trades, facts = (tuple(np.array([value]) for value in values) for values in (SOME_TRADES, SOME_FACTS))
    record = Record(*trades) if heard.record is None else window.record  # what was kept has been told already
    told = replace(window, record=record, market=Context(*facts))
    plain, other = (_evaluate(analyzer, each, shelf, evaluate)[0] for each in (window, told))
    if stored.problem is not None and isinstance(plain, Reading) and plain.problem is not None:
        return None  # it had no facts then either
    if _spell(plain) != _spell(other):
        return "it reads facts besides the candles, and those are not kept"
    return None


def _judge_fit(heard: Heard, stored: Reading, window: Windows, *, shelf: Shelf, undefined: str) -> str | None:
    wanted = Wanted(heard.identity, window.interval, window.symbols[0], int(window.as_of[0]))
    if stored.problem not in {None, undefined}:
        return f"it had no fit then: {stored.problem}"
    fit = _find_fit(stored.theory, wanted, shelf)
    if fit is not None and fit.fitted_at > heard.at - TAKING_UP:
        return f"it was fitted anew on {fit.fitted_at:%Y-%m-%d %H:%M} UTC, after the decision"
    state = shelf.find(stored.theory, wanted)
    if isinstance(state, Unfitted):
        return f"the fit of then cannot be used any more: {state.problem}"
    return None


def _find_fit(theory: str, wanted: Wanted, shelf: Shelf) -> Fit | None:
    origin, interval, symbol, _ = wanted
    return next(
        (
            fit
            for fit in shelf.fits
            if (fit.theory, fit.origin, fit.interval) == (theory, origin, interval) and symbol in fit.states
        ),
        None,
    )


def _is_near(stored: Reading, found: Reading) -> bool:
    if (stored.problem, stored.values.keys()) != (found.problem, found.values.keys()):
        return False
    pairs = [(stored.vote, found.vote), *((value, found.values[name]) for name, value in stored.values.items())]
    return all(is_equal(before, after, exact=False) for before, after in pairs)


def _tell(stored: Reading, found: Reading) -> str:
    """The first number that differs, else the words or the problem."""
    before, after = {**stored.values, "vote": stored.vote}, {**found.values, "vote": found.vote}
    for name in (*before, *(name for name in after if name not in before)):
        if not is_equal(before.get(name), after.get(name), exact=True):
            return show_both(f"{stored.theory}.{name}", repr(before.get(name)), repr(after.get(name)))
    if stored.problem != found.problem:
        return show_both(f"{stored.theory}.problem", str(stored.problem), str(found.problem))
    return show_both(f"{stored.theory}.words", stored.words, found.words)


def _spell(reading: Reading | str) -> str:
    return reading if isinstance(reading, str) else write_canonical(reading)
