"""Teaches one Transformer how strong the trend of the next 15 minutes is, from the candles of all coins together.

From top to bottom: the settings, the loop over the windows, and what is made of the best weights. The network is
`core.models.transformer`, the windows are `training.feed`, one step is `training.learner`.

Loss: the squared distance to the label, which lies from 0 (strong down) to 1 (strong up). Optimiser: AdamW, its rate
rising over the first steps, when its estimates are poor, and falling in a half cosine from then on; gradients longer
than 1 are cut to that. It keeps the weights of the epoch in which the held-out loss was lowest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from core.models.manifest import Kind
from core.models.transformer import STANDARD, Transformer
from core.models.transformer import Config as Architecture
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

    epochs: int = 5
    batch: int = 16
    learning_rate: float = 3e-4  # at its highest
    weight_decay: float = 0.01
    warm_up: float = 0.05  # of all steps
    lowest_rate: float = 0.01  # of the highest, at the end
    patience: int = 5
    largest_gradient: float | None = 1.0
    stride: int = 15  # the horizon: labels of one epoch do not overlap, and an epoch takes a fifteenth of the time
    level_noise: float = 3.0  # standard deviations of a price: months later it is 3 to 5 away from what was learned
    seed: int = 7
    precision: str = AUTO
    save_every: int = 2_000  # steps: a few minutes on two cores
    architecture: Architecture = field(default=STANDARD)


ORIGINAL: Final = Config()
FAST: Final = Config(batch=128, learning_rate=1e-3)


def train(
    config: Config,
    dataset: Dataset,
    *,
    root: Path,
    name: str | None = None,
    where: Where = ALONE,
    tell: Tell | None = None,
) -> Run:
    """The model of all coins of the data set: trained, calibrated, and scored on what it never saw."""
    job = name_job(Kind.TRANSFORMER, config, dataset, root=root, name=name)
    state = launch(partial(learn, config), dataset, job, where=where, tell=tell)
    return finish(config, dataset, job, state)


def finish(config: Config, dataset: Dataset, job: Job, state: State) -> Run:
    """What is made of the best weights that a run has kept."""
    network = Transformer(config.architecture)
    network.load_state_dict(state["best"])
    return conclude(Kind.TRANSFORMER, network, dataset, config=config, job=job, state=state)


def learn(config: Config, dataset: Dataset, place: Place) -> None:
    """The loop, as every worker runs it."""
    torch.manual_seed(config.seed)
    network = Transformer(config.architecture).to(place.device)
    feed = Feed(dataset, dataset.trend, config, place)
    learner = Learner(
        network,
        torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay),
        config,
        rate=lambda step: rate(config, step, config.epochs * feed.steps),
        loss=distance,
        feed=feed,
        place=place,
    )
    for _ in learner.epochs():
        for batch in learner.batches():
            learner.step(batch)
        learner.close(dataset.stop.rows[:: config.stride])


def distance(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean squared distance of the trend strength that the logits say to the labels."""
    return mse_loss(torch.sigmoid(logits), labels)


def rate(config: Config, step: int, steps: int) -> float:
    """The learning rate of a step: in a line up to the highest, in a half cosine down to the lowest."""
    rising = max(1, round(config.warm_up * steps))
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    share = (step - rising) / max(1, steps - rising)
    fallen = 0.5 * (1 + math.cos(math.pi * share))
    return config.learning_rate * (config.lowest_rate + (1 - config.lowest_rate) * fallen)
