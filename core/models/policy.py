"""Which position to take next, flat, long or short, and what the account is then expected to earn.

Two nets of two layers, one for the choice and one for the value: what they learn does not disturb the other. They
begin as Andrychowicz et al. found best: orthogonal, with a choice that is nearly even.

Source: Schulman et al. 2017, Proximal Policy Optimization; Andrychowicz et al. 2020, What Matters in On-Policy
Reinforcement Learning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.models.bounds import check_sizes
from core.models.observation import ACTIONS, observe_flat


@dataclass(frozen=True, slots=True)
class Config:
    """The shape of the two nets."""

    observations: int
    actions: int = 3
    hidden: int = 64

    def __post_init__(self) -> None:
        check_sizes(self)

    @property
    def parameters(self) -> int:
        """How many numbers the nets have, known before they take memory."""
        trunk = (self.observations + 1) * self.hidden + (self.hidden + 1) * self.hidden
        return 2 * trunk + (self.hidden + 1) * (self.actions + 1)


class Policy(nn.Module):
    """What the agent sees to the logits of its actions and the value of the state.

    Shape: (B, observations) -> (B, actions), (B,)
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.actor = _net(config, config.actions, gain=0.01)
        self.critic = _net(config, 1, gain=1.0)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of the actions (B, actions) and the value (B,)."""
        logits: Tensor = self.actor(observations)
        value: Tensor = self.critic(observations).squeeze(1)
        return logits, value


def forecast(agent: Policy, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """P(long) / (P(long) + P(short)) of an account without a position: the sigmoid of the difference of their logits.

    Shape: (N, 31) scaled -> (N,), within 0 .. 1.
    """
    seen = torch.from_numpy(observe_flat(features)).to(next(agent.parameters()).device)
    with torch.inference_mode():
        logits = agent.actor(seen).double().cpu()
        return torch.sigmoid(logits[:, ACTIONS.index("long")] - logits[:, ACTIONS.index("short")]).numpy()


def _net(config: Config, outputs: int, *, gain: float) -> nn.Sequential:
    return nn.Sequential(
        _layer(config.observations, config.hidden, gain=math.sqrt(2)),
        nn.Tanh(),
        _layer(config.hidden, config.hidden, gain=math.sqrt(2)),
        nn.Tanh(),
        _layer(config.hidden, outputs, gain=gain),
    )


def _layer(inputs: int, outputs: int, *, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
