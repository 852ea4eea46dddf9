"""Whether a model that learns in large steps, with the fast preset, is as good as one of the original small ones.

`python -m bench.presets` trains both on the same candles of the synthetic market with the planted edge, for as many
passes, seed by seed, and compares them on windows that neither has learned from. The networks are reduced ones, so
that it takes minutes; `--whole` takes the house's own.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from bench.figures import Figure, at_least, at_most, print_figures, ratio, write_figures

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.trained import Run

NOW_MS: Final = 1_767_225_600_000  # 2026-01-01
SLACK: Final = 1.01  # of the loss: seeds of one preset differ by as much


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    minutes: int
    seeds: int
    lstm_epochs: int
    transformer_epochs: int


FULL: Final = Plan(minutes=100_000, seeds=3, lstm_epochs=15, transformer_epochs=5)
QUICK: Final = Plan(minutes=8_000, seeds=1, lstm_epochs=1, transformer_epochs=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """One kind of model, and how it is trained by either preset."""

    name: str
    window: int
    train: Callable[..., Run]
    presets: dict[str, Any]  # Any: the settings of either job
    reduced: Any  # the same of its network


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.presets", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, one pass: whether it runs, not what it says")
    parser.add_argument("--seeds", type=int, default=FULL.seeds, help="how many trainings of each")
    parser.add_argument("--whole", action="store_true", help="networks as wide as those of `crpbot train`")
    parser.add_argument("--only", choices=("lstm", "transformer"), help="one of both")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    import torch

    plan = QUICK if options.quick else replace(FULL, seeds=options.seeds)
    chosen = [each for each in pairs(plan) if options.only in {None, each.name.lower()}]
    figures = [figure for each in chosen for figure in compare(each, plan, whole=options.whole)]
    words = f"{plan.minutes:,} minutes, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print_figures(figures, title=f"presets, {'whole' if options.whole else 'reduced'} networks; {words}")
    if options.json:
        write_figures(figures, options.json)
    return 0


def pairs(plan: Plan) -> tuple[Pair, ...]:
    """The two kinds that have presets."""
    from core.models import lstm as recurrent
    from core.models import transformer as attentive
    from training import lstm, transformer

    return (
        Pair(
            "LSTM",
            recurrent.WINDOW,
            lstm.train,
            {"original": replace(lstm.ORIGINAL, epochs=plan.lstm_epochs),
             "fast": replace(lstm.FAST, epochs=plan.lstm_epochs)},
            recurrent.Config(hidden=16, head=16),
        ),
        Pair(
            "Transformer",
            attentive.WINDOW,
            transformer.train,
            {"original": replace(transformer.ORIGINAL, epochs=plan.transformer_epochs),
             "fast": replace(transformer.FAST, epochs=plan.transformer_epochs)},
            attentive.Config(width=32, layers=2, feedforward=128, head=64),
        ),
    )  # fmt: skip


def compare(pair: Pair, plan: Plan, *, whole: bool) -> list[Figure]:
    """Loss, accuracy and seconds of both, a value for each seed."""
    dataset = build(plan.minutes, pair.window)
    seconds: dict[str, list[float]] = {name: [] for name in pair.presets}
    losses: dict[str, list[float]] = {name: [] for name in pair.presets}
    right: dict[str, list[float]] = {name: [] for name in pair.presets}
    for seed in range(plan.seeds):
        for name, preset in pair.presets.items():
            config = replace(preset, seed=seed) if whole else replace(preset, seed=seed, architecture=pair.reduced)
            with TemporaryDirectory() as folder:
                begun = time.perf_counter()
                run = pair.train(config, dataset, root=Path(folder))
                seconds[name].append(time.perf_counter() - begun)
            losses[name].append(run.manifest.metrics["test_log_loss"])
            right[name].append(100.0 * run.manifest.metrics["test_accuracy"])
    told = [
        figure
        for name in pair.presets
        for figure in (
            Figure(f"{pair.name}, {name}: log loss", "", tuple(losses[name])),
            Figure(f"{pair.name}, {name}: direction right", "%", tuple(right[name])),
            Figure(f"{pair.name}, {name}: one training", "s", tuple(seconds[name])),
        )
    ]
    return [
        *told,
        ratio(f"{pair.name}: log loss, fast / original", losses["fast"], losses["original"], at_most(SLACK)),
        ratio(f"{pair.name}: speed, fast / original", seconds["original"], seconds["fast"], at_least(1.0)),
    ]


def build(minutes: int, window: int) -> Dataset:
    """Minutes of the market with the edge, as a data set."""
    from core.adapters.synthetic.market import SyntheticMarket
    from training.dataset import build_dataset

    market = SyntheticMarket(7, edge=True)
    (candles,) = asyncio.run(market.latest(["BTC-USD"], "1m", minutes, now_ms=NOW_MS))
    return build_dataset(candles, origin=market.identity, window=window)


if __name__ == "__main__":
    sys.exit(main())
