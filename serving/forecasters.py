"""The models as the desk sees them: groups of kinds, called at the same time, for exactly the lineup of the question.

A model answers as an analyst does, so replicas of models are called through the same queue, deadline, retry and breaker
as those of theories (serving/handles.py). Nothing here raises: a model that is silent says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from core.analysis import Findings
from core.ensemble import Outlook
from core.errors import CrpbotError
from core.forecasts.lineup import Lineup, read_outlook
from core.forecasts.seating import Problems, Tried
from core.market import Windows, instant
from core.panel import absent, less_margin, merge

logger = logging.getLogger(__name__)

GRACE_SECONDS: Final = 0.1
"""What models on trial may take longer than those that decide. They have no effect, so what they cost is bounded by
this; without it one that is as fast as the others would be heard by chance, and its score be of too few questions."""

PREPARE_SECONDS: Final = 30.0  # the first model brings the library with it, which takes seconds where all else is busy


class Caller(Protocol):
    """Whoever asks models: replicas on Ray Serve, or this process."""

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float, *, on_trial: bool = False
    ) -> list[list[Findings]]:
        """What these versions say of each row; of symbols that they do not know, nothing.

        Those `on_trial` keep no others waiting, neither in this question nor in the next.
        """
        ...

    async def prepare(self, versions: Sequence[str]) -> Problems:
        """Loads and tries these versions wherever they will be asked, and says why one cannot be used."""
        ...


class ModelGroup(NamedTuple):
    """Kinds of models that one caller asks."""

    kinds: tuple[str, ...]
    caller: Caller


class GroupForecasters:
    """The models of all groups. What one group lacks does not hold up the others."""

    def __init__(self, groups: Sequence[ModelGroup], lineup: Callable[[], Lineup]) -> None:
        self._groups = tuple(groups)
        self._lineup = lineup

    def lineup(self) -> Lineup:
        """The models that speak now."""
        return self._lineup()

    async def forecast(self, windows: Windows, lineup: Lineup, *, timeout_seconds: float) -> list[Outlook]:
        """What the models of that lineup say of each row of minutes. A candidate that is late is silent."""
        seconds = less_margin(timeout_seconds)
        deciding, on_trial = (_share_out(self._groups, windows, lineup, candidate=each) for each in (False, True))
        first = asyncio.gather(*(_ask(each, windows, seconds) for each in deciding))
        beside = {asyncio.create_task(_ask(each, windows, seconds)): each for each in on_trial}
        try:
            parts = await first
            if beside:
                await asyncio.wait(beside, timeout=GRACE_SECONDS)
            parts += [task.result() if task.done() else _late(each) for task, each in beside.items()]
        finally:
            first.cancel()
            for task in beside:
                task.cancel()
        return [
            read_outlook(
                symbol,
                instant(int(windows.as_of[row])),
                merge([part[row] for part in parts if row in part]),
                lineup,
            )
            for row, symbol in enumerate(windows.symbols)
        ]


async def prepare_groups(groups: Sequence[ModelGroup], versions: Sequence[str]) -> Tried:
    """Has each group load the versions of its kinds, all at the same time; a group that cannot fails for itself."""
    found = await asyncio.gather(
        *(_prepare(group, [each for each in versions if _kind(each) in group.kinds]) for group in groups)
    )
    problems = {version: problem for part in found for version, problem in part.problems.items()}
    return Tried(problems, frozenset[str]().union(*(part.unknown for part in found)))


async def _prepare(group: ModelGroup, versions: Sequence[str]) -> Tried:
    """What the group found of these versions; where it does not answer, nobody knows whether they can be used."""
    try:
        async with asyncio.timeout(PREPARE_SECONDS):
            return Tried(await group.caller.prepare(versions))
    except TimeoutError:
        why = f"it was not loaded within {PREPARE_SECONDS:g} s"
    except CrpbotError as error:
        why = error.detail
    return Tried(dict.fromkeys(versions, why), frozenset(versions))


class _Question(NamedTuple):
    """What one group is asked: these versions, about the rows whose symbol one of them knows."""

    group: ModelGroup
    versions: tuple[str, ...]
    rows: tuple[int, ...]
    on_trial: bool


def _share_out(
    groups: Sequence[ModelGroup], windows: Windows, lineup: Lineup, *, candidate: bool
) -> Iterator[_Question]:
    """What each group is asked, of the models that decide or of the candidates; who has nothing to say is not asked."""
    for group in groups:
        seats = [seat for seat in lineup.seats if seat.manifest.kind.value in group.kinds]
        manifests = [seat.manifest for seat in seats if seat.candidate is candidate]
        known = {symbol for manifest in manifests for symbol in manifest.symbols}
        rows = tuple(row for row, symbol in enumerate(windows.symbols) if symbol in known)
        if rows:
            versions = tuple(dict.fromkeys(manifest.version for manifest in manifests))
            yield _Question(group, versions, rows, candidate)


async def _ask(question: _Question, windows: Windows, seconds: float) -> Mapping[int, Findings]:
    """What the models of a group say, by row."""
    group, versions, rows, on_trial = question
    asked = windows if len(rows) == len(windows) else windows.rows(list(rows))
    try:
        (found,) = await group.caller.analyze([asked], versions, seconds, on_trial=on_trial)
        return dict(zip(rows, found, strict=True))
    except Exception as error:  # one group's fault must not silence the others: it is logged and named in the answer
        logger.exception("the models %s cannot be asked", ", ".join(group.kinds))
        gone = absent(versions, "failed", f"asking raised {type(error).__name__}; the log has the trace")
        return dict.fromkeys(rows, gone)


def _late(question: _Question) -> Mapping[int, Findings]:
    detail = f"it was not done {GRACE_SECONDS:g} s after the models that decide"
    return dict.fromkeys(question.rows, absent(question.versions, "deadline", detail))


def _kind(version: str) -> str:
    """The kind that a version's name begins with, as `lstm-0f3a9c1d`."""
    return version.partition("-")[0]
