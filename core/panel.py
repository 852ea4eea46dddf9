"""A group of theories computed together in one process: each isolated from the faults and slowness of the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from core.analysis import Findings, Missing, Reading
from core.analyzers import Analyzer, evaluate, find
from core.errors import Code, CrpbotError
from core.fitted import NOTHING_FITTED, Library, State, Wanted
from core.market import Windows

logger = logging.getLogger(__name__)

Outcome = Reading | Missing

ANSWER_MARGIN: Final = 0.1  # share of the time that is kept for bringing a partial answer home
MAX_MARGIN_SECONDS: Final = 0.25


class Samples:
    """A library that has a small sample of a fit for every market, to warm up on."""

    def __init__(self) -> None:
        self._made: dict[str, State] = {}

    def find(self, theory: str, _: Wanted) -> State:
        """The theory's own sample."""
        if theory not in self._made:
            learning = find(theory).learning
            assert learning is not None, f"{theory} is not a fitted theory"
            self._made[theory] = learning.sample()
        return self._made[theory]


def compute(
    batches: Sequence[Windows],
    theories: Sequence[str],
    seconds_left: Callable[[], float],
    library: Library = NOTHING_FITTED,
) -> list[list[Findings]]:
    """For each batch and row, what the theories found. A theory that raises or comes too late is named, not hidden."""
    rows: list[list[list[Outcome]]] = [[[] for _ in range(len(batch))] for batch in batches]
    for name in theories:
        for outcomes, batch in zip(rows, batches, strict=True):
            found = _outcomes(find(name), batch, seconds_left, library)
            for row, outcome in zip(outcomes, found, strict=True):
                row.append(outcome)
    return [[_sort(outcomes) for outcomes in batch] for batch in rows]


def warm_up(batches: Sequence[Windows], theories: Sequence[str]) -> None:
    """Computes once what the first request would otherwise pay for: kernels and tables. A fault here is fatal."""
    samples = Samples()
    for name in (spelling for theory in theories for spelling in find(theory).spellings):
        for batch in batches:
            evaluate(find(name), batch, samples)


class LocalAnalysts:
    """The analysts without Ray, for tests, notebooks and `crpbot analyze --local`: the same bytes as through Serve."""

    def __init__(self, monotonic: Callable[[], float], library: Callable[[], Library] = lambda: NOTHING_FITTED) -> None:
        self._monotonic = monotonic
        self._library = library

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        deadline = self._monotonic() + less_margin(timeout_seconds)
        library = self._library()
        found = await asyncio.to_thread(compute, batches, theories, lambda: deadline - self._monotonic(), library)
        refuse_silence(found, timeout_seconds)
        return found


def less_margin(seconds: float) -> float:
    """The time for work when the answer must be there within `seconds`: who takes it all answers to nobody."""
    return seconds - min(ANSWER_MARGIN * seconds, MAX_MARGIN_SECONDS)


def absent(theories: Sequence[str], reason: str, detail: str) -> Findings:
    """The findings of a group that did not answer at all."""
    return Findings((), tuple(Missing(name, reason, detail) for name in theories))


def merge(parts: Sequence[Findings]) -> Findings:
    """The findings of several groups on one window, in the order of the theories' names."""
    readings = sorted((reading for part in parts for reading in part.readings), key=lambda reading: reading.theory)
    missing = sorted((gap for part in parts for gap in part.missing), key=lambda gap: gap.theory)
    return Findings(tuple(readings), tuple(missing))


def refuse_silence(answers: Sequence[Sequence[Findings]], timeout_seconds: float) -> None:
    """An answer without a single reading is none: the caller gets the reason as an error."""
    rows = [findings for answer in answers for findings in answer]
    if any(findings.readings for findings in rows):
        return
    first = rows[0].missing[0]
    if all(gap.reason == "failed" for findings in rows for gap in findings.missing):
        return  # the theories did run; that each of them failed is what the answer says
    if first.reason == "overloaded":
        raise CrpbotError(Code.UNAVAILABLE, first.detail, reason="OVERLOADED", retry_after_seconds=1.0)
    if first.reason == "deadline":
        raise CrpbotError(
            Code.DEADLINE_EXCEEDED,
            f"no theory answered within the deadline of {timeout_seconds:.3f} s: {first.detail}",
            reason="DEADLINE_EXCEEDED",
        )
    raise CrpbotError(
        Code.UNAVAILABLE,
        f"no theory can be computed at present: {first.detail}; /health/ready shows when it can",
        reason="ANALYSTS_UNAVAILABLE",
        retry_after_seconds=2.0,
    )


def _outcomes(
    analyzer: Analyzer, batch: Windows, seconds_left: Callable[[], float], library: Library
) -> Sequence[Outcome]:
    if seconds_left() <= 0:
        return [Missing(analyzer.name, "deadline", "the deadline had passed before its turn came")] * len(batch)
    try:
        return evaluate(analyzer, batch, library)
    except Exception as error:  # one theory's fault must not sink the others: it is logged and named in the answer
        if len(batch) > 1:  # nor may one row's fault sink its neighbours
            return [_outcomes(analyzer, batch.row(index), seconds_left, library)[0] for index in range(len(batch))]
        logger.exception("theory %s failed on %s as of %s", analyzer.name, batch.symbols[0], batch.as_of[0])
        return [Missing(analyzer.name, "failed", f"the theory raised {type(error).__name__}; the log has the trace")]


def _sort(outcomes: Sequence[Outcome]) -> Findings:
    readings = tuple(outcome for outcome in outcomes if isinstance(outcome, Reading))
    return Findings(readings, tuple(outcome for outcome in outcomes if isinstance(outcome, Missing)))
