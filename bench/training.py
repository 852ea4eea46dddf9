"""What learning costs beside the bare network: the step, the feed of windows, the shorter numbers.

`python -m bench.training` measures all of it in one run, in rounds that take turns, so that a slow minute of the
machine falls on both sides of each ratio. Both presets are timed by the windows that they learn in a second; whether
the faster one's models are as good is measured by `bench.presets`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from bench.figures import Figure, at_least, print_figures, ratio, write_figures

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.feed import Feed
    from training.learner import Learner
    from training.runs import Here

NOW_MS: Final = 1_760_000_040_000
STEPS: Final = (("LSTM", 32), ("LSTM", 128), ("Transformer", 16), ("Transformer", 128))  # of both presets
BATCHES: Final = (32, 256)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    rounds: int
    steps: int
    fed: int
    minutes: int


FULL: Final = Plan(rounds=7, steps=40, fed=400, minutes=100_000)
QUICK: Final = Plan(rounds=1, steps=4, fed=20, minutes=8_000)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.training", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: whether it runs, not what it costs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    import torch

    plan = QUICK if options.quick else FULL
    dataset = _build(plan.minutes)
    figures = [
        *measure_steps(plan, dataset),
        *measure_feed(plan, dataset),
        *measure_precision(plan, dataset),
    ]
    title = f"training on {torch.get_num_threads()} threads of the processor, torch {torch.__version__}"
    print_figures(figures, title=title)
    if options.json:
        write_figures(figures, options.json)
    return 0


def measure_steps(plan: Plan, dataset: Dataset) -> list[Figure]:
    """Our step, with everything around it, against the network and its optimiser alone on a batch that lies ready."""
    from bench import training_peers as peers

    figures = []
    for name, batch in STEPS:
        with TemporaryDirectory() as folder:
            learner = _learner(name, batch, dataset, Path(folder), precision="f32")
            steps = max(1, plan.steps * 16 // batch)  # as many windows at a time, whatever their batch
            ours, bare = _ours(learner, steps), peers.bare_steps(name, batch, dataset, steps)
            seconds = _in_turns({"ours": ours, "bare": bare}, plan.rounds)
        rates = tuple(steps * batch / each for each in seconds["ours"])
        figures += [
            Figure(f"{name}: windows learned, batch {batch}, f32", "/s", rates),
            ratio(f"{name}: ours / bare torch step, batch {batch}", seconds["bare"], seconds["ours"], at_least(0.95)),
        ]
    return figures


def measure_feed(plan: Plan, dataset: Dataset) -> list[Figure]:
    """Windows gathered by index against a DataLoader that slices them; neither moves the prices in them."""
    from bench import training_peers as peers

    figures = []
    for batch in BATCHES:
        with TemporaryDirectory() as folder:
            gathered = _gathered(dataset, batch, plan.fed, Path(folder))
            seconds = _in_turns({"ours": gathered, "loader": peers.load(dataset, batch, plan.fed)}, plan.rounds)
        rates = tuple(plan.fed * batch / each for each in seconds["ours"])
        figures += [
            Figure(f"feed: windows gathered by index, batch {batch}", "/s", rates),
            ratio(f"feed: ours / DataLoader, batch {batch}", seconds["loader"], seconds["ours"], at_least(4)),
        ]
    return figures


def measure_precision(plan: Plan, dataset: Dataset) -> list[Figure]:
    """The LSTM in bfloat16 against float32; nothing where the processor has no such instructions."""
    import torch

    from training.precision import look_at

    if not look_at(torch.device("cpu")).has_bfloat16:
        return []
    with TemporaryDirectory() as folder:
        calls = {
            numbers: _ours(_learner("LSTM", 256, dataset, Path(folder) / numbers, precision=numbers), plan.steps // 4)
            for numbers in ("f32", "bf16")
        }
        seconds = _in_turns(calls, plan.rounds)
    return [ratio("LSTM: bf16 / f32, batch 256", seconds["f32"], seconds["bf16"], at_least(1.25))]


def _ours(learner: Learner, steps: int) -> Callable[[], object]:
    """The next steps of an epoch that is longer than all rounds together."""
    batches = learner.batches()

    def call() -> None:
        for each in islice(batches, steps):
            learner.step(each)

    return call


def _gathered(dataset: Dataset, batch: int, count: int, folder: Path) -> Callable[[], object]:
    """The next batches of our feed."""
    feed = _feed(dataset, batch, folder)
    steps = iter(range(sys.maxsize))

    def call() -> None:
        for each in islice(steps, count):
            batch_ = feed.batch(*divmod(each, feed.steps))
            feed.windows(batch_)
            feed.labels[batch_.rows]

    return call


def _learner(name: str, batch: int, dataset: Dataset, folder: Path, *, precision: str) -> Learner:
    """A run of ours that keeps no state while it is measured."""
    import torch

    from bench import training_peers as peers
    from training import lstm, transformer
    from training.feed import Feed
    from training.learner import Learner

    config: lstm.Config | transformer.Config = lstm.Config() if name == "LSTM" else transformer.Config()
    config = replace(config, batch=batch, stride=1, precision=precision, save_every=len(dataset.train.rows))
    torch.manual_seed(0)
    network, optimiser, loss, _ = peers.parts(name)
    place = _place(folder)
    return Learner(
        network,
        optimiser,
        config,
        rate=lambda _: config.learning_rate,
        loss=loss,
        feed=Feed(dataset, dataset.up, config, place),
        place=place,
    )


def _feed(dataset: Dataset, batch: int, folder: Path) -> Feed:
    from training.feed import Feed
    from training.lstm import Config

    return Feed(dataset, dataset.up, Config(batch=batch, stride=1, level_noise=0.0), _place(folder))


def _place(folder: Path) -> Here:
    import torch

    from training.runs import Here, Job

    return Here(Job("bench", "", folder), torch.device("cpu"))


def _build(minutes: int) -> Dataset:
    """Minutes of the market with the edge, as a data set."""
    from core.adapters.synthetic.market import SyntheticMarket
    from training.dataset import build_dataset

    market = SyntheticMarket(7, edge=True)
    (candles,) = asyncio.run(market.latest(["BTC-USD"], "1m", minutes, now_ms=NOW_MS))
    return build_dataset(candles, origin=market.identity, window=60)


def _in_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each call, one after the other in every round; the first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return {name: tuple(each[1:]) for name, each in seconds.items()}


if __name__ == "__main__":
    sys.exit(main())
