"""What learning to trade costs and earns, against stable-baselines3 on the same market with the same settings.

`python -m bench.ppo` measures all of it in one run, on one thread, in rounds that take turns. The market has a planted
edge; agents are judged on seeds of it that none of them has seen. Fewer and larger updates are faster and learn
differently: so equal speed is compared at equal settings, and what is earned at equal steps.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.features import ONE_THREAD
from bench.figures import Figure, at_least, print_figures, ratio, write_figures

if TYPE_CHECKING:
    from core.kernels.features import FloatMatrix
    from core.market import Candles
    from core.models.policy import Policy
    from core.models.scaler import Scaler
    from training.execution import Course
    from training.ppo import Config
    from training.rivals import Choose

SYMBOL: Final = "BTC-USD"
NOW_MS: Final = 1_760_000_040_000
LEARNED_SEED: Final = 7
UNSEEN_SEEDS: Final = (101, 102, 103)
DEFAULT_STEPS: Final = 4_096  # two rounds of the library's defaults on one account
SLACK_PERCENT: Final = 5.0  # of what is earned: seeds of one library differ by as much


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    days: int
    speed_steps: int
    rounds: int
    steps: int
    seeds: int


FULL: Final = Plan(days=60, speed_steps=4 * 32_768, rounds=3, steps=20 * 32_768, seeds=9)
QUICK: Final = Plan(days=14, speed_steps=32_768, rounds=1, steps=32_768, seeds=2)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.ppo", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: whether it runs, not what it costs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, "-m", "bench.ppo", *sys.argv[1:]], {**os.environ, **ONE_THREAD})
    from bench.ppo_peer import versions

    figures = measure(QUICK if options.quick else FULL)
    print_figures(figures, title=f"learning to trade, one thread; {', '.join(versions())}")
    if options.json:
        write_figures(figures, options.json)
    return 0


def measure(plan: Plan) -> list[Figure]:
    """Every figure."""
    learned, unseen = lay_courses(plan.days)
    return [_time_market(learned, plan), *_time_learning(learned, plan), *_compare_earnings(learned, unseen, plan)]


def lay_courses(days: int) -> tuple[Course, list[Course]]:
    """The market to learn on, and the same kind of market with other seeds, on the scale of the first."""
    from core.features import compute
    from core.models.scaler import fit_scaler
    from training.ppo import Config

    config = Config()
    tables = {}
    for seed in (LEARNED_SEED, *UNSEEN_SEEDS):
        candles = asyncio.run(_fetch(seed, days))
        tables[seed] = candles, compute(candles)
    scaler = fit_scaler(tables[LEARNED_SEED][1])
    courses = [_lay(*table, scaler, config) for table in tables.values()]
    return courses[0], courses[1:]


def learn_ours(config: Config, course: Course) -> Policy:
    """Our agent after its last step, its state written to disk as in any training."""
    import torch

    from training.agent_run import Ground
    from training.ppo import learn, new_policy
    from training.runs import Here, Job

    with tempfile.TemporaryDirectory() as folder:
        place = Here(Job("bench", "bench", Path(folder)), torch.device("cpu"))
        learn(config, Ground(course), place)
        state = place.restore()
    assert state is not None
    agent = new_policy(config)
    agent.load_state_dict(state["network"])
    return agent


def _time_market(course: Course, plan: Plan) -> Figure:
    """Steps a second of all accounts together when nobody thinks."""
    from training.execution import Execution
    from training.ppo import Config

    config = Config()
    rates = []
    for seed in range(plan.rounds):
        rng = np.random.default_rng(seed)
        accounts = Execution(course, config.terms, config.accounts, rng=rng)
        accounts.reset()
        actions = rng.integers(3, size=(1_000, config.accounts))
        begun = time.perf_counter()
        for each in actions:
            accounts.step(each)
        rates.append(actions.size / (time.perf_counter() - begun))
    return Figure(f"the market alone, {config.accounts} accounts", "steps/s", tuple(rates))


def _time_learning(course: Course, plan: Plan) -> list[Figure]:
    """Steps a second from the first to the last, ours and theirs in turns."""
    from bench.ppo_peer import make_default_peer, make_peer
    from training.ppo import Config

    rates: dict[str, list[float]] = {"ours": [], "same": [], "default": []}
    for number in range(plan.rounds):
        config = replace(Config(), steps=plan.speed_steps, seed=number + 1)
        peer, default = make_peer(config, course), make_default_peer(course, config.terms)
        calls: dict[str, tuple[int, Callable[[], object]]] = {
            "ours": (plan.speed_steps, lambda config=config: learn_ours(config, course)),
            "same": (plan.speed_steps, lambda peer=peer: peer.learn(plan.speed_steps)),
            "default": (DEFAULT_STEPS, lambda default=default: default.learn(DEFAULT_STEPS)),
        }
        for name, (steps, call) in calls.items():
            begun = time.perf_counter()
            call()
            rates[name].append(steps / (time.perf_counter() - begun))
    ours, same, default_rates = rates["ours"], rates["same"], rates["default"]
    return [
        Figure("learning: ours", "steps/s", tuple(ours)),
        Figure("learning: stable-baselines3, same accounts and settings", "steps/s", tuple(same)),
        Figure("learning: stable-baselines3, its defaults, one account", "steps/s", tuple(default_rates)),
        ratio("ours / stable-baselines3, same settings", ours, same, at_least(1.0)),
        ratio("ours / stable-baselines3, its defaults", ours, default_rates, at_least(40.0)),
    ]


def _compare_earnings(learned: Course, unseen: list[Course], plan: Plan) -> list[Figure]:
    """What agents earn on seeds that they never saw, after the same number of steps."""
    from bench.ppo_peer import act_like, make_peer
    from training.ppo import Config
    from training.rivals import act_greedily, compare

    ours, theirs, leads = [], [], []
    for seed in range(1, plan.seeds + 1):
        config = replace(Config(), steps=plan.steps, seed=seed)
        agent, peer = learn_ours(config, learned), make_peer(config, learned)
        peer.learn(plan.steps)
        ours.append(_earned(unseen, config, act_greedily(agent)))
        theirs.append(_earned(unseen, config, act_like(peer)))
        leads.append(compare(agent, unseen, config.terms))
    steps = f"after {plan.steps:,} steps"
    return [
        Figure(f"earned an episode of {learned.length} minutes {steps}: ours", "per mille", tuple(ours)),
        Figure(f"the same {steps}: stable-baselines3", "per mille", tuple(theirs)),
        Figure("ours less theirs, seed by seed", "per mille", tuple(np.subtract(ours, theirs).tolist())),
        Figure(
            "the mean of that, lower end of 95 %", "% of theirs", _lower_end(ours, theirs), at_least(-SLACK_PERCENT)
        ),
        *(
            Figure(f"lead over {lead.rival}, lower end of 95 %", "per mille", lows, at_least(0.0))
            for place, lead in enumerate(leads[0])
            for lows in [tuple(each[place].low for each in leads)]
        ),
    ]


def _lower_end(ours: list[float], theirs: list[float]) -> tuple[float, ...]:
    """Of the mean difference over two seeds or more, by Student's law."""
    from scipy.special import stdtrit

    lead = np.subtract(ours, theirs)
    half = stdtrit(len(lead) - 1, 0.975) * lead.std(ddof=1) / np.sqrt(len(lead))
    return (float(100.0 * (lead.mean() - half) / abs(np.mean(theirs))),)


def _earned(courses: list[Course], config: Config, choose: Choose) -> float:
    from training.rivals import draw_apart, play

    played = [play(course, config.terms, choose, draw_apart(course, 400)).earned for course in courses]
    return float(np.concatenate(played).mean())


def _lay(candles: Candles, table: FloatMatrix, scaler: Scaler, config: Config) -> Course:
    """All candles after the warm-up as one course."""
    from core.features import WARM_UP
    from training.execution import lay_course

    return lay_course(
        scaler.apply(table),
        candles.close[WARM_UP:],
        candles.open_times[WARM_UP:],
        rows=np.arange(len(table)),
        interval=candles.interval,
        length=config.episode,
        zone=config.terms.time_zone,
    )


async def _fetch(seed: int, days: int) -> Candles:
    from core.adapters.synthetic.market import SyntheticMarket

    market = SyntheticMarket(seed, edge=True)
    return (await market.latest([SYMBOL], "1m", days * 1_440, now_ms=NOW_MS))[0]


if __name__ == "__main__":
    sys.exit(main())
