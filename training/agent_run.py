"""An agent that learns to trade: where its run stands, how good it was on candles it does not learn from, what is kept.

All that is random in a round is drawn from the seed, the round and the worker alone, so a state holds no generator, and
whoever goes on from it does what an undisturbed run does: on one processor the weights are the same to the last bit.
With several workers only the first one's accounts are kept, and after an interruption all begin new episodes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from core.errors import Code, CrpbotError, invalid
from core.models.policy import Policy
from training.checkpoint import Row, State
from training.execution import Course, Execution, Terms
from training.rivals import act_greedily, draw_apart, play
from training.runs import Interrupted, Place, Progress

CHECKED: Final = 256  # episodes on held-out candles: enough to tell agents apart, a tenth of a second


class Plan(Protocol):
    """What a job's settings say about the course of a run."""

    @property
    def accounts(self) -> int: ...
    @property
    def rounds(self) -> int: ...
    @property
    def round_steps(self) -> int: ...
    @property
    def check_every(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def terms(self) -> Terms: ...


class Ground(NamedTuple):
    """What an agent trades on. Without `held_out` the last agent counts as the best."""

    learned: Course
    held_out: Course | None = None


class AgentRun:
    """One worker's agent, its optimiser and its accounts. All workers' agents are the same after every round."""

    def __init__(
        self, agent: Policy, optimiser: torch.optim.Optimizer, plan: Plan, *, ground: Ground, place: Place
    ) -> None:
        if plan.accounts % place.workers:
            detail = f"{plan.accounts} cannot be shared by {place.workers} workers; take a multiple of {place.workers}"
            raise invalid("accounts", detail, reason="ACCOUNTS_NOT_SHARED")
        self.agent, self.optimiser = agent, optimiser
        self._plan, self._ground, self._place = plan, ground, place
        self.accounts = Execution(ground.learned, plan.terms, plan.accounts // place.workers, rng=self._randomness(0))
        self.seen = self.accounts.reset()
        self._round = 0
        self._best: dict[str, Tensor] = {}
        self._best_earned = -math.inf
        self._history: list[Row] = []
        self._restore()
        self.shared = place.share(agent)
        self._begun, self._first = time.monotonic(), self._round

    def rounds(self) -> Iterator[int]:
        """The rounds that are left, each with random numbers of its own."""
        while self._round < self._plan.rounds:
            self.accounts.rng = self._randomness(self._round + 1)
            self._started = time.monotonic()
            yield self._round + 1

    def close(self, row: Row) -> None:
        """Ends a round: judges the agent and keeps the state when it is time to."""
        self._round += 1
        names = list(row)
        means = self._place.total(torch.tensor([row[name] for name in names], device=self._place.device))
        told = dict(zip(names, (means / self._place.workers).tolist(), strict=True))
        done = {"round": self._round, "steps": self._round * self._plan.round_steps}
        entry = {**done, **told, "seconds": time.monotonic() - self._started}
        self._check(entry)
        is_last, is_stopping = self._round == self._plan.rounds, self._place.is_stopping()
        is_due = is_last or self._round % self._plan.check_every == 0
        if is_due:
            entry |= self._judge()
        self._history.append(entry)
        if is_due or is_stopping:
            self._place.keep(self._state(), self._history)
        self._tell(entry)
        if is_stopping and not is_last:
            at = f"round {self._round:,} of {self._plan.rounds:,}"
            raise Interrupted(f"saved at {at}: the same command goes on from there")

    def _judge(self) -> dict[str, float]:
        """What held-out episodes earn in the mean; the best agent so far is remembered."""
        earned, told = math.inf, {}
        course = self._ground.held_out
        if course is not None:
            starts = draw_apart(course, CHECKED)
            played = play(course, self._plan.terms, act_greedily(self.agent), starts)
            earned = float(played.earned.mean())
            told = {"held_out": earned, "held_out_stopped": float(played.is_stopped.mean())}
        if earned > self._best_earned or course is None:
            self._best_earned = earned
            self._best = {name: each.detach().cpu().clone() for name, each in self.agent.state_dict().items()}
        return told

    def _check(self, row: Row) -> None:
        for name, value in row.items():
            if not math.isfinite(value):
                detail = f"{name} of round {self._round} is {value}: the agent has left the range of its numbers"
                remedy = "take a lower learning rate"
                raise CrpbotError(Code.FAILED_PRECONDITION, f"{detail}; {remedy}", reason="LOSS_NOT_FINITE")

    def _tell(self, row: Row) -> None:
        pace = (self._round - self._first) / max(time.monotonic() - self._begun, 1e-9)
        words = f"{row['reward']:+.3f} per mille a candle"
        steps, left = self._plan.round_steps, self._plan.rounds - self._round
        self._place.tell(Progress(self._round * steps, self._plan.rounds * steps, words, pace * steps, left / pace))

    def _state(self) -> State:
        return {
            "round": self._round,
            "network": self.agent.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "accounts": {name: torch.from_numpy(each) for name, each in self.accounts.state().items()},
            "best": self._best,
            "best_earned": self._best_earned,
            "history": self._history,
        }

    def _restore(self) -> None:
        state: State | None = self._place.restore()
        if state is None:
            return
        self.agent.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self._place.workers == 1:
            self.seen = self.accounts.restore({name: each.numpy() for name, each in state["accounts"].items()})
        self._round, self._best, self._best_earned = state["round"], state["best"], state["best_earned"]
        self._history = list(state["history"])

    def _randomness(self, number: int) -> np.random.Generator:
        return np.random.default_rng((self._plan.seed, number, self._place.rank))
