"""A training from its first step to its last, however often it is interrupted between them.

A run has a name and a folder of that name: its checkpoint, and `metrics.jsonl` with one line for each epoch. Whoever
starts the same training under the same name goes on where it stood, alone or with Ray as it began; a finished one is
not computed again.

The work itself knows only its `Place`: which worker of how many it is, on which device, where its state is kept. One
worker on this machine is this process (`Here`). Several, or a cluster, are Ray Train's (`training.workers`), and the
work is the same function.
"""

from __future__ import annotations

import fcntl
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from core.errors import Code, CrpbotError, invalid
from training.checkpoint import CHECKPOINT, METRICS, Row, State, read_checkpoint, write_checkpoint, write_metrics

# What a program ends with that was asked to stop, has saved its state and wants to be run again (sysexits.h).
RESUME: Final = 75
SECONDS_BETWEEN_WORDS: Final = 1.0
LOCK: Final = ".lock"
GROUPS: Final = "checkpoint_*"  # Ray Train's own files, of which the first is written with the first state

Data = TypeVar("Data")


class Interrupted(SystemExit):
    """The run was asked to end and has saved its state: the same command goes on from there."""

    def __init__(self, words: str) -> None:
        super().__init__(RESUME)
        self.words = words

    def __str__(self) -> str:
        return self.words


class Progress(NamedTuple):
    """How far a training is: steps of all epochs, words on them, windows a second, and the time left at that rate."""

    done: int
    total: int
    words: str
    rate: float
    seconds_left: float


Tell = Callable[[Progress], None]


class Place(Protocol):
    """Where work runs."""

    @property
    def rank(self) -> int: ...
    @property
    def workers(self) -> int: ...
    @property
    def device(self) -> torch.device: ...

    def share(self, network: nn.Module) -> nn.Module:
        """The network as it is called while it learns: its gradients become the mean of all workers'."""
        ...

    def total(self, values: Tensor) -> Tensor:
        """The sum over all workers, the same on each."""
        ...

    def restore(self) -> State | None:
        """The state that was kept last; None in a new run."""
        ...

    def keep(self, state: State, history: Sequence[Row]) -> None:
        """Keeps a state in place of the one before. All workers call it at the same step; the first one's is kept."""
        ...

    def is_stopping(self) -> bool:
        """Whether the run was asked to end: then keep the state and raise `Interrupted`."""
        ...

    def tell(self, progress: Progress) -> None:
        """Says how far the work is, as often as anybody calls."""
        ...


class Where(NamedTuple):
    """On what a run computes. `address` is a Ray cluster's; `gpu` None takes one where there is one."""

    workers: int = 1
    address: str | None = None
    gpu: bool | None = None


ALONE: Final = Where()


class Job(NamedTuple):
    """A run to be started or resumed: its name, what may not change under that name, and the folder of all runs."""

    name: str
    identity: str
    root: Path

    @property
    def folder(self) -> Path:
        return self.root / self.name


def launch(
    work: Callable[[Data, Place], None], data: Data, job: Job, *, where: Where = ALONE, tell: Tell | None = None
) -> State:
    """Runs the work until it returns, and gives the state that it kept last.

    `work` and `data` go to other machines when `where` says so, and are pickled then.
    """
    if where.workers < 1:
        raise invalid("workers", f"{where.workers} is not at least 1", reason="OUT_OF_RANGE")
    is_alone = where.workers == 1 and where.address is None
    with _alone(job):
        _check_begun(job, is_alone=is_alone)
        if is_alone:
            with _stoppable() as stop:
                work(data, Here(job, device(where.gpu), stop=stop, tell=tell))
            state = read_checkpoint(job.folder / CHECKPOINT, identity=job.identity)
        else:
            from training.workers import train_with_ray  # noqa: PLC0415  # one worker needs no Ray: seconds to load

            state = train_with_ray(work, data, job, where=where, tell=tell)
    if state is None:
        raise invalid("work", "ended without keeping a state", reason="NOTHING_KEPT")
    return state


def device(gpu: bool | None) -> torch.device:
    """The first GPU, or the processor; a GPU that was asked for and is not there is refused."""
    if gpu and not torch.cuda.is_available():
        detail = "asked for, but torch sees none here: leave it out, or install the CUDA build (make torch CUDA=yes)"
        raise invalid("gpu", detail, reason="NO_GPU")
    return torch.device("cuda" if gpu or (gpu is None and torch.cuda.is_available()) else "cpu")


class Here:
    """This process as the only worker."""

    rank: Final = 0
    workers: Final = 1

    def __init__(
        self, job: Job, device: torch.device, *, stop: threading.Event | None = None, tell: Tell | None = None
    ) -> None:
        self.device = device
        self._job = job
        self._stop = stop or threading.Event()
        self._tell = tell
        self._told = 0.0

    def share(self, network: nn.Module) -> nn.Module:
        return network

    def total(self, values: Tensor) -> Tensor:
        return values

    def restore(self) -> State | None:
        return read_checkpoint(self._job.folder / CHECKPOINT, identity=self._job.identity)

    def keep(self, state: State, history: Sequence[Row]) -> None:
        write_checkpoint(self._job.folder / CHECKPOINT, state, identity=self._job.identity)
        write_metrics(self._job.folder / METRICS, history)

    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._tell is not None and (now - self._told >= SECONDS_BETWEEN_WORDS or progress.done == progress.total):
            self._told = now
            self._tell(progress)


def _check_begun(job: Job, *, is_alone: bool) -> None:
    """Refuse to begin anew what was begun the other way: one worker's state is another one than a group's."""
    mine, groups = (job.folder / CHECKPOINT).exists(), any(job.folder.glob(GROUPS))
    if (mine, groups) not in {(True, False), (False, True)} or is_alone is mine:
        return
    who = "one worker" if mine else "a group of workers"
    how = "without --workers and --address" if mine else "with the --workers or the --address of then"
    detail = (
        f"run {job.name} was begun by {who}, and would begin again from nothing: go on {how}, or move {job.folder} "
        "away, or give this one another --run"
    )
    raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="RUN_BEGUN_OTHERWISE")


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """One process at a time works on a run: two would overwrite each other's state. The lock ends with the process."""
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        lock = (job.folder / LOCK).open("a")
    except OSError as error:
        detail = f"run {job.name} cannot be written to {job.folder}: {error.strerror}; make room there, or take another"
        raise CrpbotError(Code.RESOURCE_EXHAUSTED, detail, reason="RUN_NOT_WRITTEN") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            detail = f"run {job.name} is still going on in another process: wait for it, or give this one another --run"
            raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="RUN_GOES_ON") from None
        yield


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """While it lasts SIGTERM asks the work to end at its next step; only a program's main thread can listen to it."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    before: Any = signal.signal(signal.SIGTERM, ask)  # Any: a handler, or one of the signal module's own
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
