"""Whether an agent earns more than doing nothing, than always being in the market, and than tossing a coin.

All trade the same episodes with the same costs, so what is compared is the difference on each of them. Episodes that
share no candle are nearly independent; the interval of their mean is drawn in blocks where they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import invalid
from core.models.observation import ACTIONS, Observations
from core.models.policy import Policy
from core.performance.bootstrap import FEWEST, draw_means, percentile_interval
from training.execution import Course, Execution, Floats, Rows, Terms

Choose = Callable[[Observations], Rows]
"""What everybody does who sees these rows, one row for each account: places in ACTIONS."""

RIVALS: Final = ("nothing", "always long", "always short", "random")


class Play(NamedTuple):
    """What each episode earned after all costs, in thousandths of the capital, and whether the daily limit ended it."""

    earned: Floats
    is_stopped: NDArray[np.bool_]


class Lead(NamedTuple):
    """How much more than a rival an episode earns in the mean, with its 95 % interval, in thousandths of capital."""

    rival: str
    mean: float
    low: float
    high: float
    episodes: int


def play(course: Course, terms: Terms, choose: Choose, starts: Rows) -> Play:
    """One episode from each of the rows `starts`. Shape: (S,) -> (S,)."""
    accounts = Execution(course, terms, len(starts), rng=np.random.default_rng(0))
    seen = accounts.reset(starts)
    earned, is_running = np.zeros(len(starts)), np.ones(len(starts), dtype=bool)
    is_stopped = np.zeros(len(starts), dtype=bool)
    while is_running.any():
        step = accounts.step(choose(seen))
        earned[is_running] += step.reward[is_running]
        is_stopped |= is_running & step.is_terminated
        is_running[step.ended] = False  # what ended began anew elsewhere, which no longer counts
        seen = step.observation
    return Play(earned, is_stopped)


def draw_apart(course: Course, most: int) -> Rows:
    """At most so many starts, spread evenly over the course, whose episodes share no candle."""
    apart = [int(course.starts[0])]
    while True:
        place = int(np.searchsorted(course.starts, apart[-1] + course.length))
        if place == len(course.starts):
            break
        apart.append(int(course.starts[place]))
    chosen = np.linspace(0, len(apart) - 1, min(most, len(apart))).round().astype(np.int64)
    return np.array(apart, dtype=np.int64)[chosen]


def act_greedily(agent: Policy) -> Choose:
    """The likeliest action of an agent that no longer learns."""
    device = next(agent.parameters()).device

    def choose(seen: Observations) -> Rows:
        with torch.inference_mode():
            logits: torch.Tensor = agent.actor(torch.from_numpy(seen).to(device))
            return logits.argmax(dim=1).cpu().numpy()

    return choose


def act_as(rival: str, *, seed: int = 0) -> Choose:
    """One of RIVALS."""
    always = {"nothing": "flat", "always long": "long", "always short": "short"}
    if rival in always:
        action = ACTIONS.index(always[rival])
        return lambda seen: np.full(len(seen), action, dtype=np.int64)
    rng = np.random.default_rng(seed)
    return lambda seen: rng.integers(len(ACTIONS), size=len(seen))


def compare(agent: Policy, courses: Sequence[Course], terms: Terms, *, episodes: int = 200) -> tuple[Lead, ...]:
    """The agent's lead over each rival on several courses, at most `episodes` on each."""
    starts = [draw_apart(course, episodes) for course in courses]
    _check_count(sum(len(each) for each in starts), courses[0].length)
    own = _play_all(courses, terms, act_greedily(agent), starts)
    ahead = np.stack([own - _play_all(courses, terms, act_as(rival), starts) for rival in RIVALS], axis=1)
    drawn = draw_means(ahead)
    leads = []
    for place, rival in enumerate(RIVALS):
        interval = percentile_interval(drawn.values[:, place], drawn.blocks)
        assert interval is not None  # every mean of numbers is a number
        leads.append(Lead(rival, float(ahead[:, place].mean()), *interval, episodes=len(own)))
    return tuple(leads)


def check_episodes(course: Course) -> None:
    """Refuse a course on which no comparison can be made, before anything is learned for it."""
    _check_count(len(draw_apart(course, FEWEST)), course.length)


def tell_leads(leads: Sequence[Lead]) -> dict[str, float]:
    """The leads as numbers with names, for a manifest."""
    return {
        f"lead_over_{lead.rival.replace(' ', '_')}{ending}": value
        for lead in leads
        for ending, value in (("", lead.mean), ("_low", lead.low), ("_high", lead.high))
    }


def _play_all(courses: Sequence[Course], terms: Terms, choose: Choose, starts: Sequence[Rows]) -> Floats:
    played = [play(course, terms, choose, rows) for course, rows in zip(courses, starts, strict=True)]
    return np.concatenate([each.earned for each in played])


def _check_count(count: int, length: int) -> None:
    if count < FEWEST:
        detail = f"hold {count} episodes of {length} that share no candle; {FEWEST} are needed to compare agents"
        raise invalid("candles", f"{detail}: give {(FEWEST - count) * length:,} more, or take shorter episodes")
