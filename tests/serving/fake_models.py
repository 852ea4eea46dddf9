"""A store of models in memory, and replicas that load, answer, hang or die as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.analysis import Findings, Reading
from core.ensemble import Line
from core.errors import Code, CrpbotError
from core.forecasts.seating import Problems, Tried
from core.market import Windows
from core.models.manifest import Kind, Manifest
from core.models.store import Entry, Slot, file_name, slot_of
from core.models.weighting import Weights
from serving.lineup import LineupWatcher
from tests.core.model_cases import make_model

OLD, _ = make_model(seed=1)
NEW, _ = make_model(seed=2)
THIRD, _ = make_model(seed=3)
COINS, _ = make_model(Kind.TRANSFORMER)
BTC = slot_of(OLD)
EVERY = slot_of(COINS)


class FakeStore:
    """What `ModelFolder` and `LinesFolder` tell; `broken` cannot be read."""

    def __init__(self, *manifests: Manifest) -> None:
        self.here = {slot_of(each): entry(each) for each in manifests}
        self.trials: dict[Slot, Entry] = {}
        self.broken: Exception | None = None
        self.slope = 1.0
        self.faults: tuple[str, ...] = ()

    def promote(self, manifest: Manifest) -> None:
        self.here[slot_of(manifest)] = entry(manifest)

    def promoted(self) -> dict[Slot, Entry]:
        if self.broken is not None:
            raise self.broken
        return dict(self.here)

    def candidates(self) -> dict[Slot, Entry]:
        return dict(self.trials)

    def lines(
        self, promoted: Mapping[Slot, Entry], weights: Weights
    ) -> tuple[dict[str, tuple[Line, ...]], tuple[str, ...]]:
        """A line whose offset tells for whom it was asked, so that one of other versions would be seen."""
        versions = [each.read().version for each in promoted.values()]
        kinds = tuple(slot.kind.value for slot in promoted)
        return {"BTC-USD": (Line(kinds, self.slope, offset(versions)),)}, self.faults


@dataclass
class FakeReplicas:
    """Replicas that have the versions which they were told to prepare."""

    problems: dict[str, str] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    failure: Exception | None = None
    unknown: frozenset[str] = frozenset()
    hangs: bool = False
    seconds: float = 0.0

    async def prepare(self, versions: Sequence[str]) -> Problems:
        self.asked.append(tuple(versions))
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        found = {version: self.problems.get(version, "") for version in versions}
        self.loaded.update(version for version, problem in found.items() if not problem)
        return found

    async def try_out(self, versions: Sequence[str]) -> Tried:
        """The same for who watches; of those `unknown` it gives no answer."""
        return Tried(await self.prepare(versions), self.unknown)

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float, *, on_trial: bool = False
    ) -> list[list[Findings]]:
        """Each version names itself, and only what was loaded before may be asked."""
        unprepared = set(theories) - self.loaded
        assert not unprepared, f"asked for {unprepared}, loaded are {self.loaded}"
        await asyncio.sleep(self.seconds)
        answer = Findings(tuple(said(version) for version in theories), ())
        return [[answer] * len(batch) for batch in batches]


def entry(manifest: Manifest) -> Entry:
    return Entry(file_name(manifest), manifest)


def damaged(manifest: Manifest) -> Entry:
    """What a store tells of a promoted model whose manifest cannot be read."""
    name = file_name(manifest)
    return Entry(name, None, CrpbotError(Code.FAILED_PRECONDITION, f"{name} is torn", reason="BAD_MODEL_FILE"))


def chance(version: str) -> float:
    """What a version says, different for each."""
    return int(version.rpartition("-")[2][:6], 16) / 2**24


def offset(versions: Sequence[str]) -> float:
    return sum(chance(version) for version in versions)


def said(version: str) -> Reading:
    return Reading(version, {"probability": chance(version), "calibrated": chance(version)}, 0.0, "")


def speaks(watcher: LineupWatcher, *versions: str) -> bool:
    return set(watcher.lineup().versions) == set(versions)
