"""Teaches an agent when to be long, short or out of the market, by letting it trade with costs and a daily loss limit.

Proximal policy optimisation, readable from top to bottom: `learn` lets many accounts trade for a while, asks afterwards
which actions did better than expected, and moves the network towards those by a limited amount; then the next round.

Sources: Schulman et al. 2017, Proximal Policy Optimization; Schulman et al. 2016, High-Dimensional Continuous Control
Using Generalized Advantage Estimation; Huang et al. 2022, The 37 Implementation Details of Proximal Policy
Optimization.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import invalid
from core.models import policy
from core.models.calibration import fit_platt, log_odds
from core.models.manifest import Kind
from core.models.observation import ACTIONS, OBSERVATIONS
from core.models.policy import Policy, forecast
from training.agent_run import AgentRun, Ground
from training.checkpoint import State
from training.dataset import Dataset
from training.execution import Course, Execution, Terms, firm_terms, lay_part
from training.identity import name_job
from training.rivals import check_episodes, compare, tell_leads
from training.runs import ALONE, Job, Place, Tell, Where, launch
from training.trained import Run, judge_briefly, split_scores, vouch

ADAM_EPSILON: Final = 1e-5  # of the 37 details: the usual 1e-8 makes first steps of a nearly even policy jump
TINY: Final = 1e-8
WINDOW: Final = 1  # an agent sees one moment


@dataclass(frozen=True, slots=True)
class Config:
    """How long and how to learn. A round is `accounts` x `round_candles` steps; an episode is four hours of minutes."""

    steps: int = 8_000_000
    accounts: int = 256
    round_candles: int = 128
    episode: int = 240
    minibatch: int = 2_048
    epochs: int = 4
    learning_rate: float = 1e-3
    is_rate_falling: bool = True  # to 0 at the last step, in a straight line
    discount: float = 0.97  # a step ahead counts so much; 15 minutes ahead 0.63
    trace: float = 0.95
    clip: float = 0.2
    entropy_weight: float = 0.003
    value_weight: float = 0.5
    largest_gradient: float = 0.5
    hidden: int = 64
    check_every: int = 8  # rounds: seconds; then the agent is judged on held-out candles and the state is kept
    seed: int = 7
    terms: Terms = field(default_factory=firm_terms)

    def __post_init__(self) -> None:
        for name in ("steps", "accounts", "round_candles", "episode", "minibatch", "epochs", "hidden", "check_every"):
            if getattr(self, name) < 1:
                raise invalid(name, f"is {getattr(self, name)}; at least 1 is needed")
        if not 2 <= self.minibatch <= self.round_steps:
            raise invalid(
                "minibatch", f"is {self.minibatch}; 2 to {self.round_steps}, the steps of a round, are allowed"
            )
        for name in ("discount", "trace"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise invalid(name, f"is {getattr(self, name)}; from 0 to below 1 is allowed")
        if not 0.0 < self.learning_rate < 1.0:
            raise invalid("learning_rate", f"is {self.learning_rate}; above 0 and below 1 is allowed")

    @property
    def round_steps(self) -> int:
        """Steps of all accounts in one round."""
        return self.accounts * self.round_candles

    def rate(self, number: int) -> float:
        """The learning rate of a round, counted from 1."""
        return self.learning_rate * (1.0 - (number - 1) / self.rounds if self.is_rate_falling else 1.0)

    @property
    def rounds(self) -> int:
        """Rounds until at least `steps` are done."""
        return -(-self.steps // self.round_steps)


class Rollout(NamedTuple):
    """What the accounts lived through in one round, T candles of B accounts.

    Shape: observations (T + 1, B, 34), actions, log_chances, advantages and returns (T, B).
    """

    observations: Tensor
    actions: Tensor
    log_chances: Tensor
    advantages: Tensor
    returns: Tensor
    told: dict[str, float]


def train(
    config: Config,
    dataset: Dataset,
    *,
    root: Path,
    name: str | None = None,
    where: Where = ALONE,
    tell: Tell | None = None,
) -> Run:
    """The agent of the data set's coins: trained, its forecast calibrated and scored on what it never saw."""
    job = name_job(Kind.PPO, config, dataset, root=root, name=name)
    ground = lay_ground(config, dataset)
    state = launch(partial(learn, config), ground, job, where=where, tell=tell)
    return finish(config, dataset, job, state)


def lay_ground(config: Config, dataset: Dataset) -> Ground:
    """What the agent trades on; refused where the untouched part is too short to judge it."""
    check_episodes(_untouched(config, dataset))
    learned, held_out = (
        lay_part(dataset, part, config.terms, config.episode) for part in (dataset.train, dataset.stop)
    )
    return Ground(learned, held_out)


def finish(config: Config, dataset: Dataset, job: Job, state: State) -> Run:
    """What is made of the best agent that a run has kept."""
    agent = new_policy(config)
    agent.load_state_dict(state["best"])
    slice_, test = dataset.calibrate.rows, dataset.test.rows
    platt = fit_platt(log_odds(forecast(agent, dataset.features[slice_])), dataset.up[slice_] > 0.5)
    probability = platt.apply(log_odds(forecast(agent, dataset.features[test])))
    metrics = judge_briefly(probability, dataset) | tell_leads(
        compare(agent, [_untouched(config, dataset)], config.terms)
    )
    metrics |= {"rounds": float(config.rounds), "held_out": float(state["best_earned"])}
    manifest, blob = vouch(Kind.PPO, agent, dataset, config=config, job=job, platt=platt, metrics=metrics)
    return Run(manifest, blob, split_scores(dataset, dataset.test, probability), tuple(state["history"]))


def _untouched(config: Config, dataset: Dataset) -> Course:
    return lay_part(dataset, dataset.test, config.terms, config.episode)


def learn(config: Config, ground: Ground, place: Place) -> None:
    """The loop, as every worker runs it."""
    agent = new_policy(config).to(place.device)
    trader = agent if place.device.type == "cpu" else new_policy(config)  # 256 accounts are too few to fill a GPU
    optimiser = torch.optim.Adam(agent.parameters(), lr=config.learning_rate, eps=ADAM_EPSILON, fused=True)
    run = AgentRun(agent, optimiser, config, ground=ground, place=place)
    for number in run.rounds():
        optimiser.param_groups[0]["lr"] = config.rate(number)
        if trader is not agent:
            trader.load_state_dict(agent.state_dict())
        rollout = collect(config, trader, run.accounts, run.seen)
        run.seen = rollout.observations[-1].numpy()
        losses = improve(config, run.shared, optimiser, rollout, run.accounts.rng)
        run.close(rollout.told | losses)


def new_policy(config: Config) -> Policy:
    """The untaught agent of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Policy(policy.Config(OBSERVATIONS, len(ACTIONS), config.hidden))


def collect(config: Config, agent: Policy, accounts: Execution, observations: NDArray[np.float32]) -> Rollout:
    """Let the accounts trade one round, and judge every action by what followed."""
    shape = (config.round_candles, len(observations))
    seen = np.empty((shape[0] + 1, shape[1], OBSERVATIONS), dtype=np.float32)
    seen[0] = observations
    chosen, rewards = np.empty(shape, dtype=np.int64), np.empty(shape)
    logits = np.empty((*shape, len(ACTIONS)), dtype=np.float32)
    goes_on, last_seen, last_at = np.ones(shape), [], []
    # the largest of logits plus Gumbel noise is a draw from the softmax
    noise = accounts.rng.gumbel(size=logits.shape).astype(np.float32)
    with torch.inference_mode():
        for t in range(shape[0]):
            logits[t] = agent.actor(torch.from_numpy(seen[t])).numpy()
            chosen[t] = (logits[t] + noise[t]).argmax(axis=1)
            step = accounts.step(chosen[t], out=seen[t + 1])
            rewards[t] = step.reward
            if len(step.ended):
                goes_on[t, step.ended] = 0.0
                cut = step.is_truncated[step.ended]
                last_seen.append(step.final[cut])
                last_at.append(t * shape[1] + step.ended[cut])
        values = agent.critic(torch.from_numpy(seen).flatten(0, 1)).view(shape[0] + 1, shape[1]).double().numpy()
        raw = rewards.mean()
        if last_at:
            # a stretch that was cut off would have gone on: what the critic expects there stands for the rest
            rest = agent.critic(torch.from_numpy(np.concatenate(last_seen))).squeeze(1).double().numpy()
            rewards.ravel()[np.concatenate(last_at)] += config.discount * rest
        chances = torch.log_softmax(torch.from_numpy(logits), dim=2)
    better = advantages(config, rewards, values, goes_on)
    actions = torch.from_numpy(chosen)
    return Rollout(
        torch.from_numpy(seen),
        actions,
        chances.gather(2, actions.unsqueeze(2)).squeeze(2).clone(),
        torch.from_numpy(better.astype(np.float32)),
        torch.from_numpy((better + values[:-1]).astype(np.float32)),
        {"reward": float(raw), "long": float((chosen == 2).mean()), "short": float((chosen == 0).mean())},
    )


def improve(
    config: Config, agent: nn.Module, optimiser: torch.optim.Optimizer, rollout: Rollout, rng: np.random.Generator
) -> dict[str, float]:
    """Several passes over the round in shuffled minibatches; the means over all of them."""
    parameters = list(agent.parameters())
    device = parameters[0].device
    observations = rollout.observations[:-1].flatten(0, 1).to(device)
    columns = (rollout.actions, rollout.log_chances, rollout.advantages, rollout.returns)
    flat = [each.flatten().to(device) for each in columns]
    workers = config.round_steps // len(observations)
    sums, count = torch.zeros(len(LOSSES), device=device), 0
    for _ in range(config.epochs):
        order = torch.from_numpy(rng.permutation(len(observations))).to(device)
        for places in torch.split(order, config.minibatch // workers):
            if len(places) < 2:  # its advantages have no spread
                continue
            batch = [each[places] for each in flat]
            loss, told = _loss(config, agent, observations[places], batch)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            nn.utils.clip_grad_norm_(parameters, config.largest_gradient)
            optimiser.step()
            sums += told
            count += 1
    return dict(zip(LOSSES, (sums / count).tolist(), strict=True))


LOSSES: Final = ("policy_loss", "value_loss", "entropy", "divergence", "clipped")


def _loss(config: Config, agent: nn.Module, observations: Tensor, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The clipped surrogate, the value's squared error and the bonus for staying curious."""
    actions, old_chances, advantages, returns = batch
    logits, values = agent(observations)
    chances = torch.log_softmax(logits, dim=1)
    change = chances.gather(1, actions.unsqueeze(1)).squeeze(1) - old_chances
    ratio = change.exp()
    advantages = (advantages - advantages.mean()) / (advantages.std() + TINY)
    limited = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
    policy_loss = -torch.minimum(advantages * ratio, advantages * limited).mean()
    value_loss = nn.functional.mse_loss(values, returns)
    entropy = -(chances.exp() * chances).sum(1).mean()
    loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropy
    with torch.no_grad():
        clipped = ((ratio - 1.0).abs() > config.clip).float().mean()
        told = torch.stack([policy_loss, value_loss, entropy, (ratio - 1.0 - change).mean(), clipped])
    return loss, told


def advantages(
    config: Config, rewards: NDArray[np.float64], values: NDArray[np.float64], goes_on: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How much better each action turned out than the critic expected; nothing counts across an episode's end.

    Shape: (T, B), (T + 1, B), (T, B) -> (T, B).
    """
    found = np.empty_like(rewards)
    later = np.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        surprise = rewards[t] + config.discount * goes_on[t] * values[t + 1] - values[t]
        later = surprise + config.discount * config.trace * goes_on[t] * later
        found[t] = later
    return found
