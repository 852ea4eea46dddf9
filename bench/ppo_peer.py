"""stable-baselines3's PPO on our market, with our settings or its own: the yardstick of `bench.ppo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from core.models.observation import ACTIONS, LIMIT, OBSERVATIONS, Observations
from training.execution import Course, Execution, Terms
from training.execution_env import ExecutionEnv

if TYPE_CHECKING:
    from training.ppo import Config
    from training.rivals import Choose, Rows


class ManyAccounts(VecEnv):
    """Our many accounts as that library wants them: a dictionary for each, made anew only for those that ended."""

    def __init__(self, accounts: Execution, count: int) -> None:
        super().__init__(
            count,
            gymnasium.spaces.Box(-LIMIT, LIMIT, (OBSERVATIONS,), np.float32),
            gymnasium.spaces.Discrete(len(ACTIONS)),
        )
        self._accounts = accounts
        self._actions: Rows = np.zeros(count, dtype=np.int64)
        self._plain: list[dict[str, Any]] = [{} for _ in range(count)]  # Any: the library's

    def reset(self) -> Observations:
        return self._accounts.reset()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Observations, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        step = self._accounts.step(self._actions)
        told = self._plain
        if len(step.ended):
            told = list(told)
            for place, final in zip(step.ended.tolist(), step.final, strict=True):
                is_cut = bool(step.is_truncated[place])
                told[place] = {"terminal_observation": final, "TimeLimit.truncated": is_cut}
        return step.observation, step.reward.astype(np.float32), step.is_terminated | step.is_truncated, told

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def make_peer(config: Config, course: Course) -> PPO:
    """Their agent with every setting of ours: net, minibatch, passes, rate, discount, clip, bonus."""
    accounts = Execution(course, config.terms, config.accounts, rng=np.random.default_rng(config.seed))
    return PPO(
        "MlpPolicy",
        ManyAccounts(accounts, config.accounts),
        # it asks after the round has been traded, when a round less is left than ours reckons with
        learning_rate=lambda left: config.rate(max(1, round((1.0 - left) * config.rounds))),
        n_steps=config.round_candles,
        batch_size=config.minibatch,
        n_epochs=config.epochs,
        gamma=config.discount,
        gae_lambda=config.trace,
        clip_range=config.clip,
        ent_coef=config.entropy_weight,
        vf_coef=config.value_weight,
        max_grad_norm=config.largest_gradient,
        policy_kwargs={"net_arch": [config.hidden, config.hidden]},
        seed=config.seed,
        device="cpu",
    )


def make_default_peer(course: Course, terms: Terms) -> PPO:
    """Their agent as it comes, on one account."""
    return PPO("MlpPolicy", ExecutionEnv(course, terms), seed=1, device="cpu")


def act_like(peer: PPO) -> Choose:
    """Its likeliest actions."""

    def choose(seen: Observations) -> Rows:
        actions: Rows = peer.predict(seen, deterministic=True)[0]
        return actions

    return choose


def versions() -> Sequence[str]:
    """What it was measured against."""
    from importlib.metadata import version

    return tuple(f"{name} {version(name)}" for name in ("stable-baselines3", "gymnasium", "torch"))
