"""One of several workers of a training: its share of every batch, and its voice to whoever started the run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.checkpoint import CHECKPOINT, Row, State, read_checkpoint, write_checkpoint
from training.runs import SECONDS_BETWEEN_WORDS, Progress


class Worker:
    """One worker of a group, as the work sees it."""

    def __init__(self, identity: str, board: Any) -> None:  # Any: handles of Ray's are untyped
        from ray import train  # noqa: PLC0415
        from ray.train.torch import get_device  # noqa: PLC0415

        context: Any = train.get_context()
        self.rank: int = context.get_world_rank()
        self.workers: int = context.get_world_size()
        self.device: torch.device = get_device()
        self._identity = identity
        self._board = board
        self._told = 0.0

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
            return read_checkpoint(Path(folder) / CHECKPOINT, identity=self._identity)

    def keep(self, state: State, history: Sequence[Row]) -> None:
        from ray import train  # noqa: PLC0415

        facts = dict(history[-1]) if history else {}
        if self.rank:
            train.report(facts, checkpoint=None)
            return
        with tempfile.TemporaryDirectory() as folder:
            write_checkpoint(Path(folder) / CHECKPOINT, state, identity=self._identity)
            train.report(facts, checkpoint=train.Checkpoint.from_directory(folder))
        self._board.post_history.remote([dict(row) for row in history])

    def is_stopping(self) -> bool:
        """Never: to stop at the same step all workers would have to ask each other at every one."""
        return False

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if self.rank == 0 and now - self._told >= SECONDS_BETWEEN_WORDS:
            self._told = now
            self._board.post_progress.remote(progress)


class Board:
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
