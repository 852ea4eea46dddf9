"""What the agent learns, and each part of how it learns against a sum that a person can do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import CrpbotError
from core.models.observation import observe_flat
from core.models.policy import forecast
from tests.training.agent_runs import SHORT_RUN, TINY, here, same_weights, taught, tiny_ground
from tests.training.planted import TERMS, make_course, plant_course
from training.agent_run import CHECKED, Ground
from training.execution import Course, Execution
from training.ppo import advantages, collect, improve, new_policy
from training.rivals import act_greedily, compare, draw_apart, play


def flat_course() -> Course:
    return make_course(np.full(200, 100.0), length=5)


def test_it_beats_every_simple_trader_on_seeds_it_never_saw(tmp_path: Path) -> None:
    held_out = plant_course(seed=2, size=3_000)
    state = taught(SHORT_RUN, Ground(plant_course(seed=1), held_out), here(tmp_path))
    agent = new_policy(SHORT_RUN)
    agent.load_state_dict(state["best"])
    courses = [plant_course(seed=seed, size=3_000) for seed in (3, 4, 5)]

    leads = compare(agent, courses, TERMS)
    untaught = {lead.rival: lead for lead in compare(new_policy(SHORT_RUN), courses, TERMS)}

    assert all(lead.low > 0.0 for lead in leads)
    # half a unit is held in the right direction: 120 minutes of 0.2 per mille are 24, and changing sides costs 4
    assert leads[0].mean > 12.0
    assert untaught["nothing"].low < 0.0
    told = forecast(agent, courses[0].features)
    state_is_up = courses[0].features[:, 0] > 0.0
    assert np.mean((told > 0.5) == state_is_up) > 0.95


def test_where_nothing_can_be_foreseen_it_stops_paying_for_trades_and_earns_nothing(tmp_path: Path) -> None:
    noise = [plant_course(seed=seed, drift=0.0, size=size) for seed, size in ((1, 20_000), (2, 3_000), (3, 9_000))]
    state = taught(SHORT_RUN, Ground(noise[0], noise[1]), here(tmp_path))
    agent = new_policy(SHORT_RUN)
    agent.load_state_dict(state["best"])

    nothing = compare(agent, [noise[2]], TERMS)[0]

    assert nothing.low <= 0.0
    assert nothing.mean > -2.0  # who tosses a coin pays 53 for a hundred trades


def test_the_best_agent_on_held_out_candles_is_kept_not_the_last(tmp_path: Path) -> None:
    ground, restless = tiny_ground(), replace(TINY, seed=3, learning_rate=0.05, check_every=2)
    state = taught(restless, ground, here(tmp_path))
    agent = new_policy(restless)
    agent.load_state_dict(state["best"])
    assert ground.held_out is not None

    earned = play(ground.held_out, TERMS, act_greedily(agent), draw_apart(ground.held_out, CHECKED)).earned.mean()

    told = [row["held_out"] for row in state["history"] if "held_out" in row]
    assert told[-1] < max(told) - 0.1, "the last agent was not the best"
    assert earned == pytest.approx(max(told))
    assert state["best_earned"] == max(told)


def test_another_seed_learns_other_weights(tmp_path: Path) -> None:
    ground = tiny_ground()
    one = taught(TINY, ground, here(tmp_path / "one"))
    other = taught(replace(TINY, seed=2), ground, here(tmp_path / "other"))

    assert not same_weights(one, other)


def test_advantages_are_the_discounted_sum_of_later_surprises() -> None:
    rng = np.random.default_rng(3)
    rewards, values = rng.standard_normal((6, 2)), rng.standard_normal((7, 2))
    goes_on = np.ones((6, 2))
    goes_on[2, 0] = 0.0
    expected = np.zeros((6, 2))
    for t in range(6):
        for account in range(2):
            weight = 1.0
            for later in range(t, 6):
                follows = TINY.discount * goes_on[later, account] * values[later + 1, account]
                expected[t, account] += weight * (rewards[later, account] + follows - values[later, account])
                weight *= TINY.discount * TINY.trace * goes_on[later, account]

    assert advantages(TINY, rewards, values, goes_on) == pytest.approx(expected)


def test_an_episode_that_was_cut_off_counts_what_would_have_come_and_a_lost_one_does_not() -> None:
    agent = new_policy(TINY)
    with torch.no_grad():
        agent.actor[-1].bias[1] = 50.0  # stays flat, so that every reward is 0
        agent.critic[-1].weight.zero_()
        agent.critic[-1].bias.fill_(3.0)
    course = make_course(np.full(200, 100.0), length=8)
    ended = {}
    for loss in (0.05, 0.0):  # nobody may lose nothing: then every step ends an episode
        accounts = Execution(course, TERMS._replace(daily_loss=loss or -1.0), 8, rng=np.random.default_rng(1))
        ended[loss] = collect(TINY, agent, accounts, accounts.reset()).advantages[-1]

    assert ended[0.05].tolist() == pytest.approx([(TINY.discount - 1.0) * 3.0] * 8)
    assert ended[0.0].tolist() == pytest.approx([-3.0] * 8)


def test_actions_are_drawn_as_often_as_the_agent_wants() -> None:
    config = replace(TINY, accounts=500, round_candles=40)
    agent = new_policy(config)
    with torch.no_grad():
        agent.actor[-1].weight.zero_()
        agent.actor[-1].bias.copy_(torch.log(torch.tensor([0.2, 0.5, 0.3])))
    accounts = Execution(flat_course(), TERMS, 500, rng=np.random.default_rng(1))

    rollout = collect(config, agent, accounts, accounts.reset())

    shares = np.bincount(rollout.actions.flatten().numpy(), minlength=3) / 20_000
    assert shares == pytest.approx([0.2, 0.5, 0.3], abs=0.02)
    assert rollout.log_chances.exp()[rollout.actions == 0].numpy() == pytest.approx(0.2)


def test_improving_makes_better_actions_likelier() -> None:
    config = replace(TINY, accounts=64, round_candles=8, minibatch=512, epochs=1)
    agent = new_policy(config)
    accounts = Execution(flat_course(), TERMS, 64, rng=np.random.default_rng(1))
    rollout = collect(config, agent, accounts, accounts.reset())
    wanted = torch.where(rollout.actions == 2, 1.0, -1.0)
    optimiser = torch.optim.Adam(agent.parameters(), lr=1e-3)

    before = rollout.log_chances.exp()[rollout.actions == 2].mean()

    told = improve(config, agent, optimiser, rollout._replace(advantages=wanted), np.random.default_rng(1))
    with torch.no_grad():
        after = torch.softmax(agent.actor(rollout.observations[:-1].flatten(0, 1)), dim=1)[:, 2].mean()
    assert after > before + 0.003
    assert told["policy_loss"] == pytest.approx(0.0, abs=1e-5)  # before the first step the ratio is 1 everywhere
    assert told["clipped"] == 0.0


def test_a_forecast_is_the_share_of_long_among_long_and_short() -> None:
    agent = new_policy(TINY)
    features = np.random.default_rng(1).standard_normal((50, 31)).astype(np.float32)
    with torch.no_grad():
        chances = torch.softmax(agent.actor(torch.from_numpy(observe_flat(features))).double(), dim=1).numpy()

    assert forecast(agent, features) == pytest.approx(chances[:, 2] / (chances[:, 2] + chances[:, 0]), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"steps": 0}, "steps: is 0"),
        ({"minibatch": 65}, "2 to 64, the steps of a round"),
        ({"minibatch": 1}, "2 to 64"),
        ({"discount": 1.0}, "discount: is 1.0"),
        ({"trace": -0.1}, "trace: is -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate: is nan"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(change: dict[str, float], told: str) -> None:
    with pytest.raises(CrpbotError, match=told):
        replace(TINY, **change)
