"""What models answered to one question, put together row by row; who is not among them came too late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from core.analysis import Findings, Missing, Reading
from core.market import Windows

Outcome = Reading | Missing | None
"""What a model says of a row; None where it does not know the symbol."""
Told = list[Outcome]
"""What a model says of every row of a question, batch after batch."""

LATE: Final = "the deadline had passed before it answered"


def gather(batches: Sequence[Windows], versions: Sequence[str], told: Mapping[str, Told]) -> list[list[Findings]]:
    """The answers of all models, row by row, in the order of the versions."""
    findings = []
    first = 0
    for batch in batches:
        found = []
        for place in range(first, first + len(batch)):
            row = [told[each][place] if each in told else Missing(each, "deadline", LATE) for each in versions]
            readings = tuple(outcome for outcome in row if isinstance(outcome, Reading))
            found.append(Findings(readings, tuple(outcome for outcome in row if isinstance(outcome, Missing))))
        findings.append(found)
        first += len(batch)
    return findings
