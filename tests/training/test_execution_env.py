"""One account behind the library's interface is one of the many that we train on."""

from itertools import pairwise

import numpy as np
from gymnasium.utils.env_checker import check_env

from core.models.observation import LIMIT
from tests.training.planted import TERMS, plant_course
from training.execution import Execution
from training.execution_env import ExecutionEnv


def test_the_single_account_passes_the_librarys_own_check() -> None:
    check_env(ExecutionEnv(plant_course(seed=1, size=400, length=30), TERMS), skip_render_check=True)


def test_the_single_account_is_one_of_the_many() -> None:
    course = plant_course(seed=1, size=400, length=30)
    single, many = ExecutionEnv(course, TERMS), Execution(course, TERMS, 1, rng=np.random.default_rng(0))
    first, _ = single.reset(seed=11)
    many.reset(np.array([single._execution.row[0]]))
    taken = np.random.default_rng(2).integers(0, 3, 30)

    assert (np.abs(first) <= LIMIT).all()
    for action in taken:
        seen, reward, is_terminated, is_truncated, _ = single.step(action)
        step = many.step(np.array([action]))
        assert reward == step.reward[0]
        assert np.array_equal(seen, step.final[0] if len(step.ended) else step.observation[0])
    assert (is_terminated, is_truncated) == (False, True)


def test_the_same_seed_begins_the_same_episode() -> None:
    env = ExecutionEnv(plant_course(seed=1, size=4_000, length=30), TERMS)
    seen = [env.reset(seed=seed)[0] for seed in (3, 3, 4)]

    assert [np.array_equal(one, other) for one, other in pairwise(seen)] == [True, False]
