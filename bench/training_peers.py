"""What training is measured against: torch's own step and torch's own loader of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from core.models.lstm import Lstm
from core.models.transformer import Transformer
from training import lstm, transformer
from training.dataset import gather

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.learner import Loss


def bare_steps(name: str, batch: int, dataset: Dataset, steps: int) -> Callable[[], object]:
    """Forward, backward, step: the arithmetic of one batch, again and again."""
    torch.manual_seed(0)
    network, optimiser, loss, most = parts(name)
    labels = torch.from_numpy(dataset.up[dataset.train.rows[:batch]])
    windows = gather(torch.from_numpy(dataset.features), torch.from_numpy(dataset.train.rows[:batch]), dataset.window)
    network.train()

    def call() -> None:
        for _ in range(steps):
            optimiser.zero_grad(set_to_none=True)
            loss(network(windows), labels).backward()
            if most is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), most)
            optimiser.step()

    return call


def load(dataset: Dataset, batch: int, count: int) -> Callable[[], object]:
    """As many batches of torch's own loader in this process; with processes of its own it is slower still."""
    table, labels = torch.from_numpy(dataset.features), torch.from_numpy(dataset.up)

    class Slices(TorchDataset[tuple[torch.Tensor, torch.Tensor]]):
        def __len__(self) -> int:
            return len(dataset.train.rows)

        def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
            row = int(dataset.train.rows[place])
            return table[row - dataset.window + 1 : row + 1], labels[row]

    loader = DataLoader(Slices(), batch_size=batch, shuffle=True)

    def endless() -> Iterator[object]:
        while True:
            yield from loader

    batches = endless()

    def call() -> None:
        for _ in islice(batches, count):
            pass

    return call


def parts(name: str) -> tuple[torch.nn.Module, torch.optim.Optimizer, Loss, float | None]:
    """Network, optimiser, loss, and where its gradient is cut."""
    if name == "LSTM":
        network: torch.nn.Module = Lstm()
        most = lstm.Config().largest_gradient
        return network, torch.optim.Adam(network.parameters()), binary_cross_entropy_with_logits, most
    network = Transformer()
    most = transformer.Config().largest_gradient
    return network, torch.optim.AdamW(network.parameters()), transformer.distance, most
