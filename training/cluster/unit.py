"""One unit of a job on a cluster: its driver, which waits, and its loop, which learns and keeps the model it made.

The driver carries no data. The loop runs where the GPU is, reads its candles from the bucket by their hash, and its
first worker judges and keeps the model there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from core.bucket_address import SCHEME
from core.errors import Code, CrpbotError, invalid
from core.files import Files
from training.cluster.artefacts import keep_run
from training.cluster.board import UnitVoice
from training.cluster.mail import run_key
from training.cluster.order import JobOrder, Recipe, Unit
from training.snapshot import read_snapshot

AGAIN: Final = "run the same command again, it makes just what is missing"
# What a training says of its candles or of its recipe it says on every machine, but these of the same codes are said of
# what lies in the bucket or of one machine.
FINAL: Final = frozenset({Code.FAILED_PRECONDITION, Code.INVALID_ARGUMENT})
ACCIDENTS: Final = frozenset({"SNAPSHOT_DAMAGED", "CHECKPOINT_DAMAGED", "NOTHING_KEPT", "NO_GPU"})

OpenFiles = Callable[[str], Files]
# prices.toml assumes 8 minutes from the order of a machine to its first worker, and a spot machine that is not to be
# had, or goes while it boots, is ordered again. Three times 8, and a minute: sooner, the group is begun anew for ever.
ENVIRONMENT: Final = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1500"}


@dataclass(frozen=True, slots=True)
class Task:
    """What a unit needs to know, on whichever machine it is."""

    unit: Unit
    recipe: Recipe
    order: JobOrder
    gpu: bool
    url: str
    open_files: OpenFiles
    board: Any  # Any: handles of Ray's are untyped


class Fault(NamedTuple):
    """Why a unit was not trained."""

    words: str
    is_final: bool  # no other try makes it


def fault_of(error: CrpbotError) -> Fault:
    """What cannot be trained, or what only was not: by accident, which the same command mends."""
    is_final = error.code in FINAL and error.reason not in ACCIDENTS
    return Fault(error.detail if is_final else f"{error.detail}; {AGAIN}", is_final)


def drive(task: Task) -> Fault | None:
    """Has the unit trained, on as many machines after one another as it takes; why it was not, or nothing."""
    from training.workers import ENVIRONMENT as TRAINING  # noqa: PLC0415  # it needs torch

    os.environ.update({**TRAINING, **ENVIRONMENT})
    from training.group import fit  # noqa: PLC0415

    storage = storage_of(task.url, task.order)
    loop = _Loop(task)
    try:
        fit(loop, name=task.unit.name, storage=storage, workers=task.order.workers, gpu=task.gpu)
    except CrpbotError as error:
        return fault_of(error)
    return None


def storage_of(url: str, order: JobOrder) -> str:
    """Where Ray keeps the checkpoints of a job. Of a bucket its region is named, which Ray else asks the internet."""
    place = f"{url.rstrip('/')}/{run_key(order)}"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return f"{place}?region={region}" if url.startswith(SCHEME) and region else place


class _Loop:
    """What each worker of a unit runs."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __call__(self) -> Any:  # Any: `training.group.Ending`
        from training.group import ending  # noqa: PLC0415

        return ending(lambda: _learn(self._task))


def _learn(task: Task) -> None:
    from ray import train  # noqa: PLC0415

    from training.lesson import prepare  # noqa: PLC0415
    from training.worker import Worker  # noqa: PLC0415

    context: Any = train.get_context()  # Any: Ray's own are untyped
    is_first = context.get_world_rank() == 0
    voice = UnitVoice(task.board, task.unit.name)
    if is_first:
        voice.say("reads its candles")
    files = task.open_files(task.url)
    histories = read_snapshot(files, task.order.data, task.unit.symbols)
    lesson = prepare(task.unit.kind, task.recipe, histories, root=Path("runs"))
    place = Worker(lesson.job.identity, voice)
    lesson.learn(place)
    if not is_first:
        return
    if place.state is None:
        raise invalid("work", "ended without keeping a state", reason="NOTHING_KEPT")
    voice.say("is judged")
    keep_run(files, task.order.id, task.unit.name, lesson.finish(place.state))
