"""The same training on several processors, GPUs or machines, by Ray Train.

Each worker has the whole table of features and a share of every batch; their gradients are averaged at each step, so
that all copies of the network stay the same. A worker that dies takes its group with it, and Ray starts a new one from
the state that was kept last. Without an address the cluster is one of our own on this machine, reachable from it alone,
and it ends with the run.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

from core.errors import Code, CrpbotError
from training.checkpoint import CHECKPOINT, METRICS, Row, State, read_checkpoint, write_metrics
from training.group import Ending, ending, fit
from training.runs import SECONDS_BETWEEN_WORDS, Interrupted, Job, Place, Progress, Tell, Where
from training.worker import Voice, Worker

# Before `import ray`: tokens on every connection, and on a single machine nothing that listens beyond loopback.
ENVIRONMENT: Final = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1",  # of the two minutes that Amazon leaves the default takes five seconds
}
LOCAL: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_prestart_worker_first_driver": "0"}
Data = TypeVar("Data")


def train_with_ray(
    work: Callable[[Data, Place], None], data: Data, job: Job, *, where: Where, tell: Tell | None
) -> State | None:
    """Runs the work on every worker until all have returned, and gives the state that was kept last."""
    with connected(where):
        import ray  # noqa: PLC0415  # after its environment

        board = ray.remote(num_cpus=0)(_Board).remote()
        loop = _loop(work, ray.put(data), job.identity, _Voice(board))
        with _listening(board, job, tell):
            checkpoint = fit(
                loop, name=job.name, storage=str(job.root.absolute()), workers=where.workers, gpu=_has_gpus(where)
            )
        if checkpoint is None:
            return None
        with checkpoint.as_directory() as folder:
            state = read_checkpoint(Path(folder) / CHECKPOINT, identity=job.identity)
    if state is not None:
        write_metrics(job.folder / METRICS, state.get("history", ()))
    return state


def _loop(work: Callable[[Any, Place], None], data: Any, identity: str, voice: Voice) -> Callable[[], Ending]:
    """What each worker runs. `data` is a reference: a machine fetches them once for all its workers."""

    def loop() -> Ending:
        import ray  # noqa: PLC0415

        return ending(lambda: work(ray.get(data), Worker(identity, voice)))

    return loop


def _has_gpus(where: Where) -> bool:
    import ray  # noqa: PLC0415

    resources: Any = ray.cluster_resources  # Any: untyped
    found = float(resources().get("GPU", 0.0))
    if where.gpu and found < where.workers:
        detail = f"{where.workers} workers need as many GPUs, the cluster has {found:g}: take fewer, or the processors"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NO_GPU")
    return found >= where.workers if where.gpu is None else where.gpu


@contextmanager
def connected(where: Where) -> Iterator[None]:
    """A cluster while it lasts: the one of the address, or one of our own of which no process stays behind."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    temporary = None
    if where.address is None:
        os.environ.update(LOCAL, RAY_AUTH_TOKEN=_token())
        # directly under the system's folder: the paths of Ray's sockets below it are limited to 107 bytes
        temporary = tempfile.mkdtemp(prefix="crpbot-")
    import ray  # noqa: PLC0415  # after its environment

    own: dict[str, Any] = {"num_cpus": where.workers, "include_dashboard": False, "_temp_dir": temporary}
    try:
        asked = {"address": where.address} if where.address else own
        ray.init(**asked, log_to_driver=False, logging_level=logging.WARNING)
        with ending_on_request():
            yield
    finally:
        ray.shutdown()
        os.environ.clear()
        os.environ.update(before)
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def ending_on_request() -> Iterator[None]:
    """While it lasts SIGTERM raises `Interrupted`: what was kept last stays, and the run goes on from there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise Interrupted("asked to end: the same command goes on from the state that was kept last")

    before: Any = signal.signal(signal.SIGTERM, end)  # Any: a handler, or one of the signal module's own
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _listening(board: Any, job: Job, tell: Tell | None) -> Iterator[None]:
    """While it lasts what the first worker says is passed on, and the history stands in the run's folder."""
    is_over = threading.Event()

    def listen() -> None:
        import ray  # noqa: PLC0415

        known: list[Row] = []
        last: Progress | None = None
        while not is_over.wait(SECONDS_BETWEEN_WORDS):
            progress, history = ray.get(board.read.remote())
            if history != known:
                known = history
                write_metrics(job.folder / METRICS, known)
            if tell is not None and progress is not None and progress != last:
                last = progress
                tell(progress)

    thread = threading.Thread(target=listen, name="training-board", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@cache
def _token() -> str:
    """The token of every cluster of this process: Ray reads it once in a process, and it never touches the disk."""
    return secrets.token_hex(32)


class _Board:
    """Where the first worker writes how far it is, for whoever started the run on perhaps another machine."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._history: list[Row] = []

    def post_progress(self, progress: Progress) -> None:
        self._progress = progress

    def post_history(self, history: list[Row]) -> None:
        self._history = history

    def read(self) -> tuple[Progress | None, list[Row]]:
        return self._progress, self._history


class _Voice:
    """Writes on a board."""

    def __init__(self, board: Any) -> None:  # Any: handles of Ray's are untyped
        self._board = board

    def tell(self, progress: Progress) -> None:
        self._board.post_progress.remote(progress)

    def show(self, history: Sequence[Row]) -> None:
        self._board.post_history.remote([dict(row) for row in history])
