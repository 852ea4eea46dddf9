"""Teaches one coin's LSTM whether the price will be higher in 15 minutes.

From top to bottom: the settings, the loop over the windows, and what is made of the best weights. The network is
`core.models.lstm`, the windows are `training.feed`, one step is `training.learner`.

Loss: binary cross entropy. Optimiser: Adam, its rate constant. It ends when the held-out loss has not fallen for five
epochs, and keeps the weights of the epoch in which it was lowest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from core.models.lstm import BIDIRECTIONAL, Lstm
from core.models.lstm import Config as Architecture
from core.models.manifest import Kind
from training.checkpoint import State
from training.dataset import Dataset
from training.feed import Feed
from training.identity import name_job
from training.learner import Learner
from training.precision import AUTO
from training.runs import ALONE, Job, Place, Tell, Where, launch
from training.trained import Run, conclude


@dataclass(frozen=True, slots=True)
class Config:
    """How to learn. The defaults are the original ones, but for the noise and for the stride (1: every window)."""

    epochs: int = 15
    batch: int = 32
    learning_rate: float = 1e-3
    patience: int = 5
    largest_gradient: float | None = None
    stride: int = 15  # the horizon: labels of one epoch do not overlap, and an epoch takes a fifteenth of the time
    level_noise: float = 3.0  # standard deviations of a price: months later it is 3 to 5 away from what was learned
    seed: int = 7
    precision: str = AUTO
    save_every: int = 2_000  # steps: half a minute on two cores
    architecture: Architecture = field(default=BIDIRECTIONAL)


ORIGINAL: Final = Config()
FAST: Final = Config(batch=128, learning_rate=2e-3)


def train(
    config: Config,
    dataset: Dataset,
    *,
    root: Path,
    name: str | None = None,
    where: Where = ALONE,
    tell: Tell | None = None,
) -> Run:
    """The model of one coin: trained, calibrated, and scored on what it never saw."""
    job = name_job(Kind.LSTM, config, dataset, root=root, name=name)
    state = launch(partial(learn, config), dataset, job, where=where, tell=tell)
    return finish(config, dataset, job, state)


def finish(config: Config, dataset: Dataset, job: Job, state: State) -> Run:
    """What is made of the best weights that a run has kept."""
    network = Lstm(config.architecture)
    network.load_state_dict(state["best"])
    return conclude(Kind.LSTM, network, dataset, config=config, job=job, state=state)


def learn(config: Config, dataset: Dataset, place: Place) -> None:
    """The loop, as every worker runs it."""
    torch.manual_seed(config.seed)
    network = Lstm(config.architecture).to(place.device)
    learner = Learner(
        network,
        torch.optim.Adam(network.parameters(), lr=config.learning_rate),
        config,
        rate=lambda _: config.learning_rate,
        loss=binary_cross_entropy_with_logits,
        feed=Feed(dataset, dataset.up, config, place),
        place=place,
    )
    for _ in learner.epochs():
        for batch in learner.batches():
            learner.step(batch)
        learner.close(dataset.stop.rows[:: config.stride])
