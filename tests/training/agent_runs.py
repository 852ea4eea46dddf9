"""Short runs of an agent, and a place for them that goes away in the middle."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from tests.training.planted import TERMS, plant_course
from training.agent_run import Ground
from training.checkpoint import State
from training.ppo import Config, learn
from training.runs import Here, Job, Progress

SHORT_RUN = Config(
    steps=40_960, accounts=64, round_candles=32, minibatch=512, learning_rate=2e-3, episode=120, check_every=4,
    seed=1, terms=TERMS,
)  # fmt: skip
TINY = replace(SHORT_RUN, steps=12 * 64, accounts=8, round_candles=8, minibatch=32, epochs=2, episode=20)


class BreakError(Exception):
    """Stands for a machine that goes away."""


class FragilePlace(Here):
    """This process as the only worker; something happens to it when so many steps are done."""

    def __init__(self, folder: Path, done: int, happen: Callable[[], None]) -> None:
        super().__init__(Job("run", "tests", folder), torch.device("cpu"))
        self._done, self._happen = done, happen

    def tell(self, progress: Progress) -> None:
        if progress.done == self._done:
            self._happen()


def break_off() -> None:
    raise BreakError


def here(folder: Path, *, stop: threading.Event | None = None) -> Here:
    return Here(Job("run", "tests", folder), torch.device("cpu"), stop=stop)


def taught(config: Config, ground: Ground, place: Here) -> State:
    learn(config, ground, place)
    state = place.restore()
    assert state is not None
    return state


def tiny_ground() -> Ground:
    return Ground(plant_course(seed=1, size=400, length=20), plant_course(seed=2, size=300, length=20))


def same_weights(one: State, other: State) -> bool:
    return all(torch.equal(one[part][name], other[part][name]) for part in ("network", "best") for name in one["best"])
