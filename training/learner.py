"""A network that learns: where it stands, what a step does to it, and when it has learned enough.

All that is random in a step (its windows, what dropout leaves out) is drawn from the seed, the epoch, the step and the
worker alone. So a state needs no random generator in it, and whoever goes on at a step does what an undisturbed run
does there: on a processor the weights are the same to the last bit. (On a GPU cuDNN keeps a generator of its own for
the dropout of recurrent layers.)
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import Code, CrpbotError
from training.checkpoint import Row, State
from training.feed import Batch, Feed, Order, check_counts, score
from training.memory import keep_freed_memory
from training.precision import choose, look_at
from training.runs import Interrupted, Place, Progress

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits and labels, the mean over a batch."""

logger = logging.getLogger(__name__)

PATIENT: Final = 1e-5  # a loss that fell by less has not become better: float32 sums differ by a tenth of it


class Recipe(Order, Protocol):
    """What a job's settings say about the course of learning."""

    @property
    def epochs(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def largest_gradient(self) -> float | None: ...
    @property
    def precision(self) -> str: ...
    @property
    def save_every(self) -> int: ...


class Learner:
    """One worker's copy of the network and its optimiser. All workers' copies are the same after every step."""

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        rate: Callable[[int], float],
        loss: Loss,
        feed: Feed,
        place: Place,
    ) -> None:
        check_counts(epochs=recipe.epochs, patience=recipe.patience, save_every=recipe.save_every)
        self._network = network
        self._optimiser = optimiser
        self._recipe = recipe
        self._rate = rate
        self._loss = loss
        self._feed = feed
        self._place = place
        self._precision = choose(recipe.precision, look_at(place.device))
        self._precision.prepare()
        keep_freed_memory()
        self._scaler = self._precision.scaler()
        self._numbers = [self._precision.numbers.value]  # in which this epoch was computed, as they followed each other
        self._epoch = self._step = self._stale = 0
        self._sum = torch.zeros((), dtype=torch.float64, device=place.device)
        self._best: dict[str, Tensor] = {}
        self._best_loss = math.inf
        self._history: list[Row] = []
        self._restore()
        self._shared = place.share(network)
        self._clock = _Clock(place, total=recipe.epochs * feed.steps, batch=recipe.batch)

    def epochs(self) -> Iterator[int]:
        """The epochs that are left, until the last or until the held-out loss has not fallen for `patience` of them."""
        while not self._is_over:
            yield self._epoch

    def batches(self) -> Iterator[Batch]:
        """The windows of each step that this epoch has left. Between two steps the state is kept when it is time to."""
        self._network.train()
        self._begun = time.monotonic()
        for step in range(self._step, self._feed.steps):
            self._optimiser.param_groups[0]["lr"] = self._rate(self._epoch * self._feed.steps + step)
            torch.manual_seed(self._seed(step))
            yield self._feed.batch(self._epoch, step)
            self._step = step + 1
            self._clock.count(self._epoch, self._step, self._feed.steps)
            is_stopping = self._place.is_stopping()
            if is_stopping or (self._step % self._recipe.save_every == 0 and self._step < self._feed.steps):
                self._keep()
            if is_stopping:
                at = f"epoch {self._epoch + 1}, step {self._step:,} of {self._feed.steps:,}"
                raise Interrupted(f"saved at {at}: the same command goes on from there")

    def step(self, batch: Batch) -> None:
        """One step downhill on these windows."""
        with self._precision.autocast():
            logits = self._shared(self._feed.windows(batch))
        loss = self._loss(logits.float(), self._feed.labels[batch.rows])
        torch.autograd.backward(self._scaler.scale(loss))
        if self._recipe.largest_gradient is not None:
            self._scaler.unscale_(self._optimiser)
            nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.largest_gradient)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        self._sum += loss.detach()

    def close(self, held_out: NDArray[np.int64]) -> None:
        """Ends an epoch: judges the network on windows it does not learn from, and keeps the state."""
        begun = time.monotonic()
        mine = held_out[self._place.rank :: self._place.workers]
        logits = score(self._network, self._feed.table, mine, self._feed.window)
        labels = self._feed.labels[torch.from_numpy(mine).to(self._feed.labels.device)]
        right = ((logits > 0) == (labels > 0.5)).sum()
        sums = torch.stack((self._loss(logits, labels).double() * len(mine), right.double(), self._sum))
        loss, hits, learned = self._place.total(sums).tolist()
        row: Row = {
            "epoch": self._epoch + 1,
            "train_loss": learned / (self._feed.steps * self._place.workers),
            "stop_loss": loss / len(held_out),
            "stop_accuracy": hits / len(held_out),
            "learning_rate": self._optimiser.param_groups[0]["lr"],
            "windows": self._feed.steps * self._recipe.batch,
            "seconds": begun - self._begun,
            "stop_seconds": time.monotonic() - begun,
            "precision": ", then ".join(self._numbers),
        }
        self._check(row)
        self._judge(row["stop_loss"])
        self._history.append(row)
        self._epoch, self._step = self._epoch + 1, 0
        self._numbers = self._numbers[-1:]
        self._sum.zero_()
        self._keep()

    @property
    def _is_over(self) -> bool:
        return self._epoch >= self._recipe.epochs or self._stale >= self._recipe.patience

    def _judge(self, loss: float) -> None:
        self._stale += 1
        if loss < self._best_loss - PATIENT:
            self._best_loss, self._stale = loss, 0
            self._best = {name: each.detach().cpu().clone() for name, each in self._network.state_dict().items()}

    def _check(self, row: Row) -> None:
        for name in ("train_loss", "stop_loss"):
            if not math.isfinite(row[name]):
                detail = (
                    f"{name} of epoch {row['epoch']} is {row[name]}: the network has left the range of its numbers; "
                    f"take a lower learning rate than {row['learning_rate']:g}, or precision f32"
                )
                raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="LOSS_NOT_FINITE")

    def _seed(self, step: int) -> int:
        place = (self._recipe.seed, self._epoch, step, self._place.rank)
        return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> 1)

    def _keep(self) -> None:
        loss = self._place.total(self._sum)
        state = {
            "epoch": self._epoch,
            "step": self._step,
            "loss": float(loss),
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "precision": self._numbers,
            "best": self._best,
            "best_loss": self._best_loss,
            "stale": self._stale,
            "history": self._history,
        }
        self._place.keep(state, self._history)

    def _restore(self) -> None:
        state: State | None = self._place.restore()
        if state is None:
            return
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        if state["scaler"]:  # only float16 has one; on other hardware than before it begins anew
            self._scaler.load_state_dict(state["scaler"])
        self._epoch, self._step, self._stale = state["epoch"], state["step"], state["stale"]
        self._best, self._best_loss = state["best"], state["best_loss"]
        self._history = list(state["history"])
        if self._place.rank == 0:  # the sum of all workers; the others begin theirs anew
            self._sum += state["loss"]
        self._compare(state["precision"])

    def _compare(self, before: list[str]) -> None:
        """Tells where the run goes on in other numbers: its weights are then not those of an undisturbed one."""
        now = self._precision.numbers.value
        if before[-1] == now:
            self._numbers = before
        elif not self._is_over:
            self._numbers = [*before, now] if self._step else [now]
            if self._place.rank == 0:
                where = f"epoch {self._epoch + 1}, step {self._step:,}"
                kind = self._place.device.type
                words = "from %s on the run is computed in %s, the best of this %s device; until there it was in %s"
                logger.warning(words, where, now, kind, before[-1])


class _Clock:
    """How fast steps are done, counted since this process began them."""

    def __init__(self, place: Place, *, total: int, batch: int) -> None:
        self._place = place
        self._total = total
        self._batch = batch
        self._count = 0
        self._begun = time.monotonic()

    def count(self, epoch: int, step: int, steps: int) -> None:
        self._count += 1
        done = epoch * steps + step
        pace = self._count / max(time.monotonic() - self._begun, 1e-9)
        words = f"epoch {epoch + 1}"
        self._place.tell(Progress(done, self._total, words, pace * self._batch, (self._total - done) / pace))
