"""Whether the comparison of an agent with simple traders is fair and says when it cannot be made."""

import numpy as np
import pytest
import torch

from core.errors import CrpbotError
from core.models.policy import Config, Policy
from tests.training.planted import TERMS, make_course, plant_course
from training.rivals import RIVALS, act_as, act_greedily, check_episodes, compare, draw_apart, play, tell_leads


def prefer(action: int) -> Policy:
    """An agent that always does the same."""
    agent = Policy(Config(34))
    with torch.no_grad():
        agent.actor[-1].bias[action] = 50.0
    return agent


def test_episodes_that_are_compared_share_no_candle() -> None:
    course = plant_course(seed=1, size=1_000, length=30)

    starts = draw_apart(course, 1_000)

    assert np.diff(starts).min() >= 30
    assert len(starts) == 33
    assert draw_apart(course, 5).tolist() == [0, 240, 480, 720, 960]


def test_doing_nothing_earns_nothing_everywhere() -> None:
    course = plant_course(seed=1, size=1_000, length=30)

    played = play(course, TERMS, act_as("nothing"), draw_apart(course, 10))

    assert not played.earned.any()
    assert not played.is_stopped.any()


def test_always_long_earns_the_move_less_two_sides() -> None:
    course = make_course(np.linspace(100.0, 110.0, 11), length=10)

    played = play(course, TERMS, act_as("always long"), np.array([0]))

    assert played.earned == pytest.approx([100.0 - 0.5 - 0.55])


def test_an_episode_that_the_daily_limit_ends_counts_no_further() -> None:
    course = make_course(np.array([100.0, 94.0, 200.0, 300.0]), length=3)

    played = play(course, TERMS, act_as("always long"), np.array([0]))

    assert played.earned == pytest.approx([-60.0 - 0.5 - 0.47])
    assert played.is_stopped.all()


def test_an_agent_that_always_does_the_same_leads_over_others_but_not_over_its_like() -> None:
    course = plant_course(seed=2, size=3_000, length=50)

    leads = {lead.rival: lead for lead in compare(prefer(2), [course], TERMS)}

    assert tuple(leads) == RIVALS
    assert leads["always long"][1:4] == (0.0, 0.0, 0.0)
    assert leads["random"].low > 0.0
    assert leads["nothing"].low < leads["nothing"].mean < leads["nothing"].high
    assert leads["nothing"].episodes == 59


def test_the_greedy_agent_takes_its_likeliest_action() -> None:
    seen = np.zeros((3, 34), dtype=np.float32)

    assert [act_greedily(prefer(action))(seen).tolist() for action in range(3)] == [[0] * 3, [1] * 3, [2] * 3]


def test_too_few_episodes_are_refused_with_what_is_missing() -> None:
    course = plant_course(seed=2, size=452, length=50)

    with pytest.raises(CrpbotError, match=r"hold 9 episodes of 50 .* 10 are needed .* give 50 more"):
        compare(prefer(1), [course], TERMS)
    with pytest.raises(CrpbotError, match="hold 9 episodes"):
        check_episodes(course)


def test_leads_have_names_in_a_manifest() -> None:
    told = tell_leads(compare(prefer(1), [plant_course(seed=2, size=3_000, length=50)], TERMS))

    assert told["lead_over_nothing"] == told["lead_over_nothing_low"] == 0.0
    assert len(told) == 3 * len(RIVALS)
