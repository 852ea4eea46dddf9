"""Trains all units of a job on a Ray cluster, and keeps what they made: the same on AWS and on any other cluster.

Units of a stage run side by side, each as a run of its own; one that cannot be trained costs the others nothing.
Whoever runs the same job again goes on from its checkpoints, and does not train again what is there.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from core.bucket_address import SCHEME
from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.artefacts import is_kept, seal, unseal
from training.cluster.board import Board
from training.cluster.mail import UnitProgress, job_key, write_progress
from training.cluster.order import JobOrder, Unit
from training.cluster.patience import OUT_OF_REACH
from training.cluster.unit import AGAIN, Fault, OpenFiles, Task, drive

TellJob = Callable[[dict[str, UnitProgress]], None]

SECONDS_BETWEEN_LOOKS: Final = 1.0
SECONDS_BETWEEN_WRITINGS: Final = 5.0  # of progress: each one into a bucket costs money
DRIVER: Final = "driver"  # a resource of the head alone: what waits there is not taken away with a worker machine
MOST_DRIVERS_LOST: Final = 3
# What a unit takes of the head: its driver, Ray Train's controller and four small helpers; measured of one, 2.60.
UNIT_BYTES: Final = 1_000_000_000
MEMORY: Final = Path("/proc/meminfo")
NOT_ALL_TRAINED: Final = "NOT_ALL_TRAINED"


def train_job(
    order: JobOrder, url: str, open_files: OpenFiles, *, address: str | None, tell: TellJob | None = None
) -> None:
    """Trains what is not trained yet, stage after stage, and seals the job where nothing is left to be made.

    `url` names the place of its candles, checkpoints and models, which all machines reach. `address` is the cluster's,
    `auto` inside one, None for one of our own on this machine. FAILED_PRECONDITION where no unit can be trained, or the
    cluster can never have so many workers; ABORTED where some failed by accident: the same job again makes those.
    """
    from training.runs import Where  # noqa: PLC0415  # they need torch
    from training.workers import connected  # noqa: PLC0415

    if not url.startswith(SCHEME):
        url = str(Path(url).absolute())  # workers have folders of their own
    files = open_files(url)
    log = Log(order, files, tell)
    cores = len(os.sched_getaffinity(0))
    with connected(Where(cores if address is None else order.workers, address)):
        check_workers(order, gpus=_most("GPU"), cpus=_most("CPU"), is_ours=DRIVER in _resources())
        board = _on_this_machine(Board)
        missing = [unit for unit in order.units if not is_kept(files, order.id, unit.name)]
        if missing:
            unseal(files, order.id)  # it may be of a try before, and one of its models damaged since
        log.skip([unit for unit in order.units if unit not in missing])
        for units, recipe in zip(order.stages, order.recipes, strict=True):
            gpus, cpus = _most("GPU"), _most("CPU")
            gpu = gpus >= order.workers
            places = max(1, min((gpus if gpu else cpus) // order.workers, _room()))
            _train_stage(
                [Task(unit, recipe, order, gpu, url, open_files, board) for unit in units if unit in missing],
                places,
                log,
            )
    log.write()
    finish(order, files, log)


def check_workers(order: JobOrder, *, gpus: int, cpus: int, is_ours: bool) -> None:
    """Refuses a job that would wait for ever, and one that a cluster of ours would train beside the GPUs it pays for.

    Elsewhere the processors serve where there are not enough GPUs.
    """
    most, what = (gpus, "GPUs") if is_ours and gpus else max((gpus, "GPUs"), (cpus, "processors"))
    if order.workers > most:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"job {order.id} is to share each training among {order.workers} workers, the cluster has {most} {what} at "
            "the most; remedy: no more --workers than that, or a larger cluster",
            reason="TOO_MANY_WORKERS",
        )


def finish(order: JobOrder, files: Files, log: Log) -> None:
    """Seals the job where each unit is made or refused for good; what failed by accident can then still be made."""
    accidents = {name: each for name, each in log.faults.items() if not each.refused}
    count = len(order.units)
    first = next(iter((accidents or log.faults).items()), None)
    if first is None or (len(log.faults) < count and not accidents):
        seal(files, order.id)
        return
    name, unit = first
    some = f"{len(accidents)} of {count} models of job {order.id} are not made"
    none = f"none of the {count} models of job {order.id} could be trained"
    raise CrpbotError(
        Code.ABORTED if accidents else Code.FAILED_PRECONDITION,
        f"{none if len(log.faults) == count else some}; {name}: {unit.fault}",
        reason=NOT_ALL_TRAINED if accidents else "NOTHING_TRAINED",
    )


class Log:
    """How far the job is, for the bucket and for whoever listens."""

    def __init__(self, order: JobOrder, files: Files, tell: TellJob | None) -> None:
        self._files, self._tell = files, tell
        self._key = job_key(order.id, "progress.json")
        self._units = {unit.name: UnitProgress() for unit in order.units}
        self._ended: set[str] = set()
        self._written: dict[str, UnitProgress] = {}
        self._wrote = -SECONDS_BETWEEN_WRITINGS

    @property
    def faults(self) -> dict[str, UnitProgress]:
        """The units that were not trained."""
        return {name: each for name, each in self._units.items() if each.fault}

    def skip(self, units: list[Unit]) -> None:
        """They were trained before."""
        for unit in units:
            self.end(unit.name, None)

    def hear(self, said: dict[str, UnitProgress]) -> None:
        """What units say that are at work."""
        self._units |= {name: each for name, each in said.items() if name not in self._ended}
        if self._units == self._written:
            return
        if time.monotonic() - self._wrote >= SECONDS_BETWEEN_WRITINGS:
            self.write()

    def end(self, name: str, fault: Fault | None) -> None:
        """A unit is over."""
        self._ended.add(name)
        last = replace(self._units[name], rate=0.0, seconds_left=None)
        if fault is None:
            self._units[name] = replace(last, words="done")
            return
        words = "cannot be trained" if fault.is_final else "was not trained"
        self._units[name] = replace(last, words=words, fault=fault.words, refused=fault.is_final)

    def write(self) -> None:
        """A bucket that is out of reach for a moment hears the next word; so does one that was given no credentials."""
        self._wrote, self._written = time.monotonic(), dict(self._units)
        if self._tell is not None:
            self._tell(dict(self._units))
        try:
            self._files.write(self._key, write_progress(self._units))
        except CrpbotError as error:
            if error.code not in OUT_OF_REACH:
                raise
            self._written = {}


def _train_stage(tasks: list[Task], places: int, log: Log) -> None:
    """So many units at a time as there can be machines for: one that waits takes memory of the head's."""
    import ray  # noqa: PLC0415  # after its environment

    where = {"resources": {DRIVER: 1}} if DRIVER in _resources() else {}
    remote: Any = ray.remote  # Any: Ray's types know only options that are written out
    driver = remote(num_cpus=0, max_retries=MOST_DRIVERS_LOST, **where)(drive)
    waiting = list(tasks)
    running: dict[Any, Task] = {}  # Any: references of Ray's
    while waiting or running:
        while waiting and len(running) < places:
            task = waiting.pop(0)
            running[driver.remote(task)] = task
        over, _ = ray.wait(list(running), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS)
        log.hear(ray.get(tasks[0].board.read.remote()))
        for each in over:
            log.end(running.pop(each).unit.name, _outcome(each))


def _outcome(task: Any) -> Fault | None:
    """Why a unit was not trained, or nothing."""
    import ray  # noqa: PLC0415
    from ray.exceptions import RayError  # noqa: PLC0415

    try:
        fault: Fault | None = ray.get(task)
    except RayError as error:
        last = str(error).strip().splitlines()[-1][:300]
        return Fault(f"its driver failed ({type(error).__name__}): {last}; {AGAIN}", is_final=False)
    return fault


def _on_this_machine(kind: type) -> Any:
    """An actor beside the program that asks for it: it lives as long, whatever happens to worker machines."""
    import ray  # noqa: PLC0415
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote: Any = ray.remote
    return remote(num_cpus=0, scheduling_strategy=here)(kind).remote()


def _most(resource: str) -> int:
    """How many the cluster has, or will have when it has started all machines that it may."""
    from ray._private.state import state  # noqa: PLC0415  # Ray has no public word for what its autoscaler may start

    most = state.get_max_resources_from_cluster_config() or {}
    return int(max(_resources().get(resource, 0.0), most.get(resource, 0)))


def _room() -> int:
    """How many units this machine has memory for."""
    lines = MEMORY.read_text().splitlines() if MEMORY.exists() else []
    found = {name: int(rest.split()[0]) * 1_024 for name, _, rest in (line.partition(":") for line in lines)}
    return found.get("MemAvailable", sys.maxsize) // UNIT_BYTES


def _resources() -> dict[str, float]:
    import ray  # noqa: PLC0415

    resources: Any = ray.cluster_resources  # Any: untyped
    return dict(resources())
