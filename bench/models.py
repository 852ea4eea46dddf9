"""What it costs to ask the models: our forward passes against bare torch, and ten coins through all of them.

`python -m bench.models` measures it in one run on one thread, ours and the bare networks in turn. The networks are of
full size and nobody trained them, which changes no time. "Bare" is the network called on a tensor that lies ready; ours
are the windows as they come from the desk, 400 minutes a coin, and what comes out are readings: with the 31 inputs, the
scales of each coin, the checks of market and instant, calibration and words. Seconds are those of the processor: on one
thread a caller waits as long when the machine is idle, and whoever computes beside it changes little.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from bench.figures import Figure, Goal, at_most, print_figures, ratio, write_figures
from core.forecasts.lineup import CANDLES
from core.market import SYMBOLS, Windows, stack_windows
from core.models import lstm, policy, transformer
from core.models.manifest import Kind, Manifest
from core.models.observation import OBSERVATIONS
from core.models.panel import read_odds
from core.models.scaler import Scaler
from core.models.shelf import ModelShelf, OpenModel, Precision, use_one_thread
from core.models.weights import pack
from tests.core.minutes import MINUTE_MS, START_MS, make_frame, to_candles
from tests.core.model_cases import WINDOWS, describe
from tests.core.models.test_model_panel import FakeStore, forecast

LATER: Final = START_MS + 10 * 1_440 * MINUTE_MS  # the manifests of the test cases say: learned until the fourth day
FORWARD: Final = at_most(1.1)

Call = Callable[[], object]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.models", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: whether it runs, not what it costs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    use_one_thread()
    rounds = 5 if options.quick else 200
    figures = [*compare_forwards(rounds), *ask_ten_coins(rounds), compare_precisions(1 if options.quick else 8)]
    print_figures(figures, title=f"models as they are served, one thread, torch {torch.__version__}")
    if options.json:
        write_figures(figures, options.json)
    return 0


def compare_forwards(rounds: int) -> Iterator[Figure]:
    """A forward pass as the panel makes it, from rows of inputs to log odds, against the bare network."""
    for kind in (Kind.LSTM, Kind.TRANSFORMER):
        model = open_model(kind, seed=1)
        for batch in (1, 10):
            rows = np.random.default_rng(batch).standard_normal((batch, model.manifest.window, 31)).astype(np.float32)
            calls = (partial(read_odds, model, rows), partial(bare, model, torch.from_numpy(rows)))
            ours, theirs = take_turns(calls, rounds)
            yield milliseconds(f"{kind}, forward of {batch}", ours)
            yield ratio(f"{kind}, forward of {batch}, to bare torch", ours, theirs, FORWARD)


def ask_ten_coins(rounds: int) -> Iterator[Figure]:
    """Ten coins through ten LSTMs, the Transformer and ten agents, by kind as the replicas are, and their sum."""
    batch = ten_windows()
    goals = {Precision.FLOAT32: at_most(30.0), Precision.BFLOAT16: at_most(18.0)}
    cases = {
        Kind.LSTM: [make(Kind.LSTM, seed, symbol) for seed, symbol in enumerate(SYMBOLS)],
        Kind.TRANSFORMER: [make(Kind.TRANSFORMER, 1, *SYMBOLS)],
        Kind.PPO: [make(Kind.PPO, seed, symbol) for seed, symbol in enumerate(SYMBOLS)],
    }
    for precision, goal in goals.items():
        shelf = ModelShelf(FakeStore(*(case for each in cases.values() for case in each)), precision=precision)
        versions = {kind: [manifest.version for manifest, _ in each] for kind, each in cases.items()}
        ours = {kind: partial(ask, shelf, batch, names) for kind, names in versions.items()}
        theirs = {kind: partial(bare_all, [shelf.find(name) for name in names]) for kind, names in versions.items()}
        spent = take_turns((*ours.values(), *theirs.values()), rounds)
        mine, plain = dict(zip(Kind, spent[:3], strict=True)), dict(zip(Kind, spent[3:], strict=True))
        yield from _tell(precision, goal, mine, plain)


def compare_precisions(seeds: int) -> Figure:
    """How far bfloat16 moves what the Transformer says of ten coins: the largest change of a probability by network."""
    batch, changes = ten_windows(), []
    for seed in range(seeds):
        case = make(Kind.TRANSFORMER, seed, *SYMBOLS)
        version = case[0].version
        shelves = [ModelShelf(FakeStore(case), precision=each) for each in Precision]
        (full,), (short,) = (forecast(shelf, [batch], [version], lambda: 60.0) for shelf in shelves)
        pairs = zip(full, short, strict=True)
        changes.append(max(abs(one.readings[0].values["probability"] - other.readings[0].values["probability"])
                           for one, other in pairs))  # fmt: skip
    return Figure("ten coins, Transformer: probability in bfloat16 against float32", "", tuple(changes), at_most(0.01))


def _tell(
    precision: Precision, goal: Goal, mine: dict[Kind, list[float]], plain: dict[Kind, list[float]]
) -> Iterator[Figure]:
    if precision is Precision.FLOAT32:
        for kind in Kind:
            yield milliseconds(f"ten coins, {kind}", mine[kind])
            yield Figure(f"ten coins, {kind}, bare", "ms", tuple(1_000 * each for each in plain[kind]))
    pairs = {place: [sum(pair) for pair in zip(each[Kind.LSTM], each[Kind.TRANSFORMER], strict=True)]
             for place, each in enumerate((mine, plain))}  # fmt: skip
    name = f"ten coins, LSTMs and Transformer in {precision}"
    yield Figure(name, "ms", tuple(1_000 * each for each in pairs[0]), goal)
    yield Figure(f"{name}, to bare torch", "x", tuple(a / b for a, b in zip(pairs[0], pairs[1], strict=True)))


def make(kind: Kind, seed: int, *symbols: str) -> tuple[Manifest, bytes]:
    """A network of full size with a manifest for these coins."""
    torch.manual_seed(seed)
    network = {
        Kind.LSTM: lstm.Lstm,
        Kind.TRANSFORMER: transformer.Transformer,
        Kind.PPO: lambda: policy.Policy(policy.Config(OBSERVATIONS)),
    }[kind]()
    packed = pack(network, window=WINDOWS[kind])
    shape = (len(symbols), 31) if len(symbols) > 1 else (31,)
    scaler = Scaler(np.full(shape, 100.0), np.full(shape, 20_000.0))
    return describe(packed, kind, symbols=symbols, scaler=scaler), packed.blob


def open_model(kind: Kind, seed: int) -> OpenModel:
    """The same, opened."""
    manifest, blob = make(kind, seed, "BTC-USD", *(("ETH-USD",) if kind is Kind.TRANSFORMER else ()))
    return ModelShelf(FakeStore((manifest, blob))).find(manifest.version)


def ten_windows() -> Windows:
    """The last minutes of ten coins, as the desk cuts them."""
    series = [
        to_candles(make_frame(CANDLES, place, start=LATER), symbol=symbol) for place, symbol in enumerate(SYMBOLS)
    ]
    return stack_windows(series, CANDLES, origins=("synthetic-7-edge",) * len(SYMBOLS))


def ask(shelf: ModelShelf, batch: Windows, versions: list[str]) -> None:
    """A question as a replica answers it; that all speak is checked, or silence would be measured."""
    ((rows),) = forecast(shelf, [batch], versions, lambda: 60.0)
    if not all(len(found.readings) == 1 and found.readings[0].problem is None for found in rows):
        raise RuntimeError(f"a model is silent: {rows}")


def bare(model: OpenModel, windows: torch.Tensor) -> None:
    """What nobody can do without: the network itself, on a tensor that is there."""
    with torch.inference_mode():
        model.network(windows)


def bare_all(models: list[OpenModel]) -> None:
    """Each network once for its coins, ten where it knows them all."""
    for model in models:
        shape = (OBSERVATIONS,) if model.manifest.kind is Kind.PPO else (model.manifest.window, 31)
        bare(model, torch.zeros((len(model.manifest.symbols), *shape), dtype=model.weight.dtype))


def milliseconds(name: str, seconds: list[float]) -> Figure:
    """A figure of times."""
    return Figure(name, "ms", tuple(1_000 * each for each in seconds))


def take_turns(calls: tuple[Call, ...], rounds: int) -> list[list[float]]:
    """Seconds of each call, in turn in every round, after two that are not counted."""
    spent: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 2):
        for place, call in enumerate(calls):
            begun = time.process_time()
            call()
            if turn >= 2:
                spent[place].append(time.process_time() - begun)
    return spent


if __name__ == "__main__":
    sys.exit(main())
