"""What is to be trained, told so exactly that two machines mean the same: the order of a job, its units and its name.

An order names its candles and its code by their hashes, so its own hash names the job: the same order given twice is
one job, and a laptop that was closed finds it again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import NamedTuple

from core.models.manifest import Kind


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is to learn, where that is not the job's own way. None: as the job has it by itself."""

    epochs: int
    seed: int
    steps: int
    preset: str
    stride: int | None = None
    hidden: int | None = None
    unidirectional: bool = False
    batch: int | None = None
    learning_rate: float | None = None


class Unit(NamedTuple):
    """One training: a kind of model of one coin, or of all coins together. It is one Ray Train run."""

    kind: Kind
    symbols: tuple[str, ...]

    @property
    def name(self) -> str:
        """`lstm-BTC-USD`, `transformer-multi`: names its run and its artefacts within the job."""
        return f"{self.kind}-{self.symbols[0] if len(self.symbols) == 1 else 'multi'}"


@dataclass(frozen=True, slots=True)
class JobOrder:
    """Stages follow each other; the units of a stage are trained side by side, as many as there are machines."""

    stages: tuple[tuple[Unit, ...], ...]
    recipes: tuple[Recipe, ...]  # one for each stage
    data: str  # sha256 of the snapshot of candles
    code: str  # sha256 of the bundle of code
    workers: int = 1  # of each unit

    @property
    def id(self) -> str:
        """`train-lstm-0f3a9c1d2b4e5f60`; letters, digits and dashes, as Ray takes for a submission."""
        return f"train-{self.stages[0][0].kind}-{sha256(write_order(self).encode()).hexdigest()[:16]}"

    @property
    def units(self) -> tuple[Unit, ...]:
        """All of them, in their order."""
        return tuple(unit for stage in self.stages for unit in stage)


def write_order(order: JobOrder) -> str:
    """As it lies in the bucket; the same order is the same text."""
    return json.dumps(
        asdict(order) | {"stages": [[[*unit] for unit in stage] for stage in order.stages]}, sort_keys=True
    )


def read_order(text: str) -> JobOrder:
    """The order that was written; only our own programs write there."""
    found = json.loads(text)
    stages = tuple(tuple(Unit(Kind(kind), tuple(symbols)) for kind, symbols in stage) for stage in found.pop("stages"))
    recipes = tuple(Recipe(**each) for each in found.pop("recipes"))
    return JobOrder(stages, recipes, **found)
