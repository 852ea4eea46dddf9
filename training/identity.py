"""What makes two trainings the same: their settings, their data and the code that computes them."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import core.models
import training
from core.errors import invalid
from core.models.manifest import NAME, Kind
from training.dataset import Dataset
from training.runs import Job

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# What a change in can change a model's weights; the rest of the program only reads them.
SOURCES: Final = ("features.py", "kernels/*.py", "models/*.py", "market.py")


@cache
def code_hash() -> str:
    """sha256 over the code from candles to weights."""
    core_folder, own = Path(core.models.__path__[0]).parent, Path(training.__path__[0])
    files = [*(file for pattern in SOURCES for file in core_folder.glob(pattern)), *own.glob("*.py")]
    digest = sha256()
    for file in sorted(files, key=lambda each: (each.parent.name, each.name)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def name_job(kind: Kind, config: DataclassInstance, dataset: Dataset, *, root: Path, name: str | None = None) -> Job:
    """The run of these settings on these data. Without a name it gets one that the same call gives again."""
    if name is not None and not NAME.fullmatch(name):
        raise invalid("run", f"{name[:80]!r} is no name: letters, digits, point, dash and underscore, at most 64")
    spans = [dataset.data_hash, dataset.window, dataset.horizon, list(dataset.borders)]
    facts = json.dumps([kind, asdict(config), spans, code_hash()], sort_keys=True)
    identity = sha256(facts.encode()).hexdigest()
    return Job(name or f"{kind}-{dataset.symbol}-{identity[:8]}", identity, root)
