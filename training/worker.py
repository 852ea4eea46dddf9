"""One of several workers of a training: its share of every batch, and its voice to whoever started the run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from training.checkpoint import CHECKPOINT, Row, State, read_checkpoint, write_checkpoint
from training.runs import SECONDS_BETWEEN_WORDS, Progress

SECONDS_BETWEEN_QUESTIONS: Final = 1.0  # whether a machine is about to be taken away; Amazon says so two minutes before


class Voice(Protocol):
    """How the first worker speaks to whoever started the run."""

    def tell(self, progress: Progress) -> None: ...
    def show(self, history: Sequence[Row]) -> None: ...


class Worker:
    """One worker of a group, as the work sees it. `state` is the one that was restored or kept last."""

    def __init__(self, identity: str, voice: Voice) -> None:
        from ray import train  # noqa: PLC0415
        from ray.train.torch import get_device  # noqa: PLC0415

        context: Any = train.get_context()  # Any: Ray's own are untyped
        self.rank: int = context.get_world_rank()
        self.workers: int = context.get_world_size()
        self.device: torch.device = get_device()
        self.state: State | None = None
        self._identity = identity
        self._voice = voice
        self._told = 0.0
        self._questions = Rhythm()

    def share(self, network: nn.Module) -> nn.Module:
        if self.workers == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)

    def total(self, values: Tensor) -> Tensor:
        if self.workers == 1:
            return values
        values = values.clone()
        torch.distributed.all_reduce(values)
        return values

    def restore(self) -> State | None:
        from ray import train  # noqa: PLC0415

        checkpoint: Any = train.get_checkpoint()
        if checkpoint is None:
            return None
        with checkpoint.as_directory() as folder:
            self.state = read_checkpoint(Path(folder) / CHECKPOINT, identity=self._identity)
        return self.state

    def keep(self, state: State, history: Sequence[Row]) -> None:
        from ray import train  # noqa: PLC0415

        self.state = state
        facts = dict(history[-1]) if history else {}
        if self.rank:
            train.report(facts, checkpoint=None)
            return
        with tempfile.TemporaryDirectory() as folder:
            write_checkpoint(Path(folder) / CHECKPOINT, state, identity=self._identity)
            train.report(facts, checkpoint=train.Checkpoint.from_directory(folder))
        self._voice.show(history)

    def is_stopping(self) -> bool:
        """Whether a machine of the group is about to be taken away; then all workers hear it at the same step."""
        if not self._questions.is_due():
            return False
        from ray import train  # noqa: PLC0415

        is_stopping = train.get_preemption_info() is not None  # waits for all workers, and tells all the same
        seconds = torch.tensor(self._questions.seconds, dtype=torch.float64, device=self.device)
        self._questions.begin(float(self.total(seconds)) / self.workers)
        return is_stopping

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if self.rank == 0 and (now - self._told >= SECONDS_BETWEEN_WORDS or progress.done == progress.total):
            self._told = now
            self._voice.tell(progress)


class Rhythm:
    """Every how many steps something is asked, so that it is about once a second.

    Counted in steps, because all workers must ask at the same one, and by a mean of all their clocks.
    """

    def __init__(self) -> None:
        self._stride = 1
        self._steps = 0
        self._begun = time.monotonic()

    def is_due(self) -> bool:
        self._steps += 1
        return self._steps >= self._stride

    @property
    def seconds(self) -> float:
        """Since the last question."""
        return time.monotonic() - self._begun

    def begin(self, seconds: float) -> None:
        """Counts anew; the steps since the last question took so long."""
        faster = SECONDS_BETWEEN_QUESTIONS / max(seconds, 1e-9)
        self._stride = max(1, int(self._stride * min(faster, 2.0)))  # doubled at most: a first step may be a fast one
        self._steps = 0
        self._begun = time.monotonic()
