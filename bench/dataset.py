"""What the planted edge of the synthetic market is worth, who finds it, and what a data set of two years costs.

`python -m bench.dataset` takes minutes on two cores, most of them for the LSTM; `--networks 0` and `--quick` train
none. `--memory` measures only the memory of a training on two years, beside torch.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from bench.figures import Figure, at_least, at_most, print_figures, write_figures

if TYPE_CHECKING:
    from core.market import Candles, Floats
    from training.dataset import Dataset
    from training.scores import Scores

NOW_MS: Final = 1_767_225_600_000  # 2026-01-01
MINUTE_MS: Final = 60_000
TWO_YEARS: Final = 1_030_512  # minutes
TAUGHT: Final = 240 * 1_440  # minutes, as many as `crpbot train lstm` takes of itself
WINDOW, HORIZON = 60, 15
ROUND_TRIP: Final = 0.0011  # of the stake: two fees, spread and slippage
STRONG: Final = 1.0  # pressure; a third of all minutes
SURE: Final = 0.85  # probability from which on a trade is made
MARKETS: Final = (("BTC-USD", 7), ("ETH-USD", 7), ("SOL-USD", 7), ("BTC-USD", 1), ("BTC-USD", 2), ("BTC-USD", 3))
STATUS: Final = Path("/proc/self/status")
TRAINED_BATCH, TRAINED_STEPS = 256, 60  # larger batches than a preset takes; of more steps memory stays the same


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    oracle_minutes: int
    markets: int
    networks: int
    rounds: int


FULL: Final = Plan(oracle_minutes=TWO_YEARS, markets=6, networks=1, rounds=3)
QUICK: Final = Plan(oracle_minutes=TAUGHT, markets=1, networks=0, rounds=1)


class Oracle(NamedTuple):
    """What is known to whoever knows the pressure: how often the sign is right, and what strong pressure earns."""

    accuracy: float
    net: float
    wins: float


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.dataset", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything: whether it runs, not what it says")
    parser.add_argument("--networks", type=int, default=FULL.networks, help="LSTMs that are trained, minutes each")
    parser.add_argument("--memory", action="store_true", help="only the memory of a training on two years")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    plan = QUICK if options.quick else replace(FULL, networks=options.networks)
    figures = [measure_training()]  # first: later on memory lies about that others have used
    if not options.memory:
        figures += [*measure_oracle(plan), *measure_pupils(plan), *measure_cost(plan)]
    print_figures(figures, title=f"planted edge and data set; {TAUGHT:,} minutes to learn from, {TWO_YEARS:,} stored")
    if options.json:
        write_figures(figures, options.json)
    return 0


def measure_oracle(plan: Plan) -> list[Figure]:
    """One value for each market."""
    found = []
    for symbol, seed in MARKETS[: plan.markets]:
        candles = ask(symbol, seed, plan.oracle_minutes)
        logs = np.log(candles.close)
        found.append(judge(pressure_at(symbol, seed, candles.open_times[:-HORIZON]), logs[HORIZON:] - logs[:-HORIZON]))
    return [
        Figure("oracle: sign of the next 15 minutes right", "%", _each(found, "accuracy", 100.0), at_most(80.0)),
        Figure("oracle, strong pressure: net of a trade after 11 bp", "bp", _each(found, "net", 1e4), at_least(0.0)),
        Figure("oracle, strong pressure: trades that earn after 11 bp", "%", _each(found, "wins", 100.0)),
    ]


def measure_pupils(plan: Plan) -> list[Figure]:
    """How much of the oracle's excess over one half a model finds on windows that it never saw, and what it earns."""
    line, network = [], []
    for place, (symbol, seed) in enumerate(MARKETS[: plan.markets]):
        dataset = build(symbol, seed)
        rows = dataset.test.rows
        oracle = judge(pressure_at(symbol, seed, dataset.open_times[rows]), dataset.move[rows]).accuracy
        line.append(mark(ask_line(dataset), oracle))
        if place < plan.networks:
            network.append(mark(ask_network(dataset), oracle))
    figures = []
    for name, found in (("logistic regression", line), ("LSTM, 15 epochs", network)):
        if found:
            shares, nets, counts = zip(*found, strict=True)
            figures += [
                Figure(f"{name}: share of the oracle's excess", "", shares, at_least(0.9)),
                Figure(f"{name}: net of a trade at {SURE:.0%} and more", "bp", nets, at_least(0.0)),
                Figure(f"{name}: trades in the test span", "", counts),
            ]
    return figures


def measure_cost(plan: Plan) -> list[Figure]:
    """Seconds and memory of two years, candles not counted."""
    from training.dataset import build_dataset

    candles = ask("BTC-USD", 7, TWO_YEARS)
    build_dataset(ask("BTC-USD", 7, 20_000), origin="bench", window=WINDOW)  # the kernels are compiled
    seconds, peaks = [], []
    for _ in range(plan.rounds):
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark
        before, begun = _status("VmRSS"), time.perf_counter()
        build_dataset(candles, origin="bench", window=WINDOW)
        seconds.append(time.perf_counter() - begun)
        peaks.append((_status("VmHWM") - before) / 1_024)
    return [
        Figure("two years of minutes to a data set", "s", tuple(seconds)),
        Figure("peak memory beside the candles", "MiB", tuple(peaks), at_most(1_536.0)),
    ]


def measure_training() -> Figure:
    """The highest memory from reading two years of candles to the end of an epoch, less what torch takes to be there.

    The epoch has as many steps as are said above, and ends by scoring windows it does not learn from. All candles are
    in the table of inputs, whatever the number of steps.
    """
    import torch

    from training import lstm
    from training.runs import Here, Job

    rows = int(0.7 * TWO_YEARS) - 1_000  # a little less than the training part has
    config = replace(lstm.FAST, epochs=1, batch=TRAINED_BATCH, stride=rows // (TRAINED_BATCH * TRAINED_STEPS))
    few = build("BTC-USD", 7, minutes=20_000)
    with TemporaryDirectory() as folder:  # kernels are compiled and torch has loaded its libraries
        small = replace(config, batch=16, stride=60)
        lstm.learn(small, few, Here(Job("warm", "bench", Path(folder)), torch.device("cpu")))
    del few
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark
    before = _status("VmRSS")
    dataset = build("BTC-USD", 7, minutes=TWO_YEARS)
    with TemporaryDirectory() as folder:
        lstm.learn(config, dataset, Here(Job("memory", "bench", Path(folder)), torch.device("cpu")))
    words = f"training on {TWO_YEARS:,} x {dataset.features.shape[1]}: peak memory beside torch"
    return Figure(words, "MiB", ((_status("VmHWM") - before) / 1_024,), at_most(1_536.0))


def ask(symbol: str, seed: int, count: int) -> Candles:
    """Minutes of the market with the edge."""
    from core.adapters.synthetic.market import SyntheticMarket

    (candles,) = asyncio.run(SyntheticMarket(seed, edge=True).latest([symbol], "1m", count, now_ms=NOW_MS))
    return candles


def build(symbol: str, seed: int, *, minutes: int = TAUGHT) -> Dataset:
    """What the pupils learn from."""
    from training.dataset import build_dataset

    return build_dataset(ask(symbol, seed, minutes), origin=f"synthetic-{seed}-edge", window=WINDOW)


def pressure_at(symbol: str, seed: int, open_times: np.ndarray) -> Floats:
    """What the oracle knows at the close of these candles."""
    from core.adapters.synthetic.edge import draw_pressure
    from core.adapters.synthetic.noise import Noise

    return draw_pressure(Noise(seed, symbol), open_times // MINUTE_MS)


def judge(pressure: Floats, moves: Floats) -> Oracle:
    """The oracle says up where the pressure is above 0."""
    net = (np.sign(pressure) * moves - ROUND_TRIP)[np.abs(pressure) > STRONG]
    return Oracle(float(((pressure > 0.0) == (moves > 0.0)).mean()), float(net.mean()), float((net > 0.0).mean()))


def ask_line(dataset: Dataset) -> Scores:
    """What the logistic regression says on the test part."""
    from training.baselines import LOGISTIC, score_baselines

    (scores,) = (each.scores for each in score_baselines(dataset, dataset.test.rows) if each.name == LOGISTIC)
    return scores


def ask_network(dataset: Dataset) -> Scores:
    """The same of the LSTM with the fast settings."""
    from training.lstm import FAST, train

    with TemporaryDirectory() as folder:
        return train(FAST, dataset, root=Path(folder), name="edge").scores[0]


def mark(scores: Scores, oracle: float) -> tuple[float, float, float]:
    """Share of the oracle's excess, mean net of the trades made where the model is sure, and how many those are."""
    from training.scores import trade

    right = float(((scores.probability > 0.5) == scores.up).mean())
    net = trade(scores, threshold=SURE, round_trip=ROUND_TRIP, horizon=HORIZON).net
    return (right - 0.5) / (oracle - 0.5), 1e4 * float(net.mean()), float(len(net))


def _each(found: list[Oracle], name: str, factor: float) -> tuple[float, ...]:
    return tuple(factor * getattr(each, name) for each in found)


def _status(name: str) -> int:
    """A line of /proc/self/status, in KiB."""
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
