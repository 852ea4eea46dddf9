"""The windows that a model learns from, cut by index from one table of features that lies whole where it computes.

Nothing is copied ahead: a batch is a list of rows, and its windows are gathered from the table when the step needs
them. On a GPU table and labels lie in its own memory, and an epoch sends it one list of rows.

Neighbouring windows are nearly the same and share their labels' minutes. So an epoch takes every `stride`-th window,
and the next epoch those one candle later: with a stride of 15, the horizon, labels of one epoch do not overlap and
15 epochs have seen every window once.

A price goes where it never was while the model learned, and its level says nothing about where it goes next. So the
columns that are prices (`LEVELS`) are moved together, window by window, by a random amount: what is left to learn from
is how they lie to each other. Nothing is moved when a model is judged or served.
"""

from __future__ import annotations

import warnings
from typing import Final, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import Code, CrpbotError, invalid
from core.features import FEATURES
from training.dataset import Dataset, gather
from training.runs import Place

LEVELS: Final = tuple(name.startswith("sma_") or name in {"bb_high", "bb_low"} for name in FEATURES)
SCORED: Final = 1_024  # windows at a time when nothing is learned: larger gain nothing and take memory


class Order(Protocol):
    """What decides which windows come when."""

    @property
    def batch(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def level_noise(self) -> float: ...


class Batch(NamedTuple):
    """One worker's windows of a step, by their last candles, and how far the prices of each are moved. (B,) each."""

    rows: Tensor
    shifts: Tensor


class Feed:
    """The training part of a data set in batches, those of one worker of several."""

    def __init__(
        self,
        dataset: Dataset,
        labels: NDArray[np.float32],
        order: Order,
        place: Place,
    ) -> None:
        check_counts(batch=order.batch, stride=order.stride)
        if order.batch % place.workers:
            detail = f"{order.batch} windows cannot be shared by {place.workers} workers; take a multiple of that"
            raise invalid("batch", detail, reason="BATCH_NOT_SHARED")
        self.window = dataset.window
        self.table = resident(dataset.features, place.device)
        self.labels = resident(labels, place.device)
        self.steps = len(dataset.train.rows) // (order.stride * order.batch)
        self._rows = dataset.train.rows
        self._order = order
        self._share = (place.rank, place.workers)
        self._levels = torch.tensor(LEVELS, dtype=torch.float32, device=place.device)
        self._epoch: tuple[int, Batch] | None = None
        if self.steps == 0:
            needed = order.stride * order.batch
            detail = (
                f"{len(self._rows):,} windows to learn from; one batch of {order.batch} at a stride of {order.stride} "
                f"needs {needed:,}: take more candles, or a smaller batch or stride"
            )
            raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="TOO_FEW_WINDOWS")

    def batch(self, epoch: int, step: int) -> Batch:
        """This worker's share of one step."""
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._shuffle(epoch)
        rows, shifts = self._epoch[1]
        return Batch(rows[step], shifts[step])

    def windows(self, batch: Batch) -> Tensor:
        """What the model reads while it learns. Shape: (B, window, features)"""
        windows = gather(self.table, batch.rows, self.window)
        return windows.add_(batch.shifts[:, None, None] * self._levels) if self._order.level_noise else windows

    def _shuffle(self, epoch: int) -> Batch:
        """All of an epoch, shape (steps, this worker's share of a batch). The last, incomplete batch is left."""
        rows = self._rows[epoch % self._order.stride :: self._order.stride]
        generator = np.random.default_rng((self._order.seed, epoch))
        chosen = generator.permutation(rows)[: self.steps * self._order.batch].reshape(self.steps, -1)
        shifts = self._order.level_noise * generator.standard_normal(chosen.shape, dtype=np.float32)
        rank, workers = self._share
        mine = (torch.from_numpy(np.ascontiguousarray(each[:, rank::workers])) for each in (chosen, shifts))
        return Batch(*(each.pin_memory().to(self.table.device) if self.table.is_cuda else each for each in mine))


def check_counts(**counts: int) -> None:
    """Refuse settings that count something and are below 1."""
    for name, count in counts.items():
        if count < 1:
            raise invalid(name, f"{count} is below 1", reason="OUT_OF_RANGE")


def resident(values: NDArray[np.float32], device: torch.device) -> Tensor:
    """An array where the model computes; on the processor itself not even copied."""
    with warnings.catch_warnings():
        # a memory map or an object of Ray's store is read-only; torch warns of writing, and nobody here writes
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensor = torch.from_numpy(np.asarray(values))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


@torch.inference_mode()
def score(network: torch.nn.Module, table: Tensor, rows: NDArray[np.int64], window: int) -> Tensor:
    """The logits of a model that no longer learns, in the float32 that it is served in. Shape: (R,) -> (R,)"""
    network.eval()
    every = torch.from_numpy(np.ascontiguousarray(rows)).to(table.device)
    parts = (every[begin : begin + SCORED] for begin in range(0, len(every), SCORED))
    return torch.cat([network(gather(table, part, window)).float() for part in parts])
