"""One trading account behind the interface that reinforcement-learning libraries expect: the same rules, one at a time.

Our own training does not go through here: it trades hundreds of accounts at once (`training.execution`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np

from core.models.observation import ACTIONS, LIMIT, OBSERVATIONS, Observations
from training.execution import Course, Execution, Terms


class ExecutionEnv(gymnasium.Env[Observations, np.int64]):
    """One account behind the interface that reinforcement-learning libraries expect."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]  # Any: the library's

    def __init__(self, course: Course, terms: Terms) -> None:
        self.observation_space = gymnasium.spaces.Box(-LIMIT, LIMIT, (OBSERVATIONS,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self._execution = Execution(course, terms, 1, rng=np.random.default_rng(0))

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # Any: the library's
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode at a drawn candle."""
        super().reset(seed=seed)
        self._execution.rng = self.np_random
        return self._execution.reset()[0], {}

    def step(self, action: np.int64) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """One candle."""
        seen = self._execution.step(np.array([action]))
        observation = seen.final[0] if len(seen.ended) else seen.observation[0]
        return observation, float(seen.reward[0]), bool(seen.is_terminated[0]), bool(seen.is_truncated[0]), {}
