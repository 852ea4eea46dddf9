"""One training in its pieces: what is learned from, the loop, and what is made of the best weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from core.models import lstm as lstm_model
from core.models import transformer as transformer_model
from core.models.manifest import Kind
from training import lstm, ppo, transformer
from training.checkpoint import State
from training.cluster.order import Recipe
from training.dataset import join
from training.history import History, build_datasets, trainable
from training.identity import name_job
from training.recipe import lstm_config, ppo_config, transformer_config
from training.runs import Job, Place
from training.trained import Run


class Lesson(NamedTuple):
    """A training that can begin: its run, the loop as every worker runs it, and what ends it."""

    job: Job
    learn: Callable[[Place], None]
    finish: Callable[[State], Run]


def prepare(kind: Kind, recipe: Recipe, histories: Sequence[History], *, root: Path) -> Lesson:
    """The training of a kind of model on the candles of its coins; `root` is the folder of runs of whoever trains.

    Of several coins those are left out that give no data set: they cost the others nothing.
    """
    match kind:
        case Kind.LSTM:
            (dataset,) = build_datasets(histories, lstm_model.WINDOW)
            config = lstm_config(recipe)
            job = name_job(kind, config, dataset, root=root)
            return Lesson(job, partial(lstm.learn, config, dataset), partial(lstm.finish, config, dataset, job))
        case Kind.TRANSFORMER:
            window = transformer_model.WINDOW
            dataset = join(build_datasets(trainable(histories, window), window))
            own = transformer_config(recipe)
            job = name_job(kind, own, dataset, root=root)
            return Lesson(job, partial(transformer.learn, own, dataset), partial(transformer.finish, own, dataset, job))
        case Kind.PPO:
            (dataset,) = build_datasets(histories, ppo.WINDOW)
            plan = ppo_config(recipe)
            job = name_job(kind, plan, dataset, root=root)
            ground = ppo.lay_ground(plan, dataset)
            return Lesson(job, partial(ppo.learn, plan, ground), partial(ppo.finish, plan, dataset, job))
