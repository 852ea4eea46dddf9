"""What the networks cost against the library's own layers, and how far apart processors bring the same answer.

`python -m bench.networks` measures it all in one run. Before anything is timed, the library's Transformer gets our
weights and has to give our answers. The differences between processors are those of this machine's processor when the
libraries are told to use the code for older ones.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from bench.figures import Figure, at_most, print_figures, ratio, write_figures
from core.models import lstm, policy, transformer
from core.models.weights import PROBE_TOLERANCE, answer_probe

ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# The same program told to compute as on other processors.
PROCESSORS: Final[dict[str, dict[str, str]]] = {
    "as it is": {},
    "torch without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "torch for AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "two threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
    "libraries for SSE4.1": {
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "ATEN_CPU_CAPABILITY": "default",
    },
    "libraries for AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
}
SEEDS: Final = 8
SIZES: Final = (1.0, 2.0)  # weights as they start, and doubled, as training may leave them

Call = Callable[[], object]


class Library(nn.Module):
    """The Transformer of torch's own layers, which computes every candle's view to the end."""

    def __init__(self, ours: transformer.Transformer) -> None:
        super().__init__()
        config = ours.config
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, config.feedforward, config.dropout, batch_first=True
        )
        self.project, self.head, self.dropout = ours.project, ours.head, ours.dropout
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.places = transformer.positions(transformer.WINDOW, config.width)
        for mine, theirs in zip(ours.layers, self.encoder.layers, strict=True):
            theirs.load_state_dict(renamed(mine))

    def forward(self, windows: Tensor) -> Tensor:
        seen = self.dropout(self.project(windows) + self.places)
        return self.head(self.encoder(seen)[:, -1]).squeeze(1)


def renamed(layer: nn.Module) -> dict[str, Tensor]:
    """The weights of one of our layers under the names of the library."""
    names = {
        "merge": "self_attn.out_proj",
        "widen": "linear1",
        "narrow": "linear2",
        "norm_attention": "norm1",
        "norm_feedforward": "norm2",
    }
    state = layer.state_dict()
    found = {
        f"{theirs}.{part}": state[f"{ours}.{part}"] for ours, theirs in names.items() for part in ("weight", "bias")
    }
    for part in ("weight", "bias"):
        found[f"self_attn.in_proj_{part}"] = torch.cat([state[f"query.{part}"], state[f"key_value.{part}"]])
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.networks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: whether it runs, not what it costs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--answers", action="store_true", help="only print what the networks say to the probe")
    options = parser.parse_args()
    if options.answers:
        print(json.dumps(dict(answers())))
        return 0
    torch.set_num_threads(1)
    rounds = 3 if options.quick else 25
    figures = [*time_networks(rounds), *compare_processors()]
    print_figures(figures, title=f"networks, one thread, torch {torch.__version__}")
    if options.json:
        write_figures(figures, options.json)
    return 0


def time_networks(rounds: int) -> Iterator[Figure]:
    """Ours against the library's, in turn: served windows and a step of training."""
    ours = transformer.Transformer()
    library = Library(ours)
    for batch in (1, 10):
        windows = torch.randn(batch, transformer.WINDOW, ours.config.features)
        with torch.inference_mode():
            mine, theirs = ours.eval()(windows), library.eval()(windows)
            assert torch.allclose(mine, theirs, atol=1e-5), "the library computes something else"
            spent = take_turns((partial(ours, windows), partial(library, windows)), rounds)
        yield Figure(f"Transformer, windows of {batch} coins", "ms", tuple(1_000 * each for each in spent[0]))
        yield ratio(f"Transformer, windows of {batch} coins, to torch's layers", *spent, at_most(1.0))
    windows = torch.randn(16, transformer.WINDOW, ours.config.features)
    steps = take_turns((partial(learn, ours.train(), windows), partial(learn, library.train(), windows)), rounds)
    yield ratio("Transformer, a training step of 16, to torch's layers", *steps, at_most(1.0))
    recurrent = lstm.Lstm().eval()
    window = torch.randn(1, lstm.WINDOW, recurrent.config.features)
    with torch.inference_mode():
        (alone,) = take_turns((partial(recurrent, window),), rounds)
    yield Figure("LSTM, one window", "ms", tuple(1_000 * each for each in alone))


def learn(network: nn.Module, windows: Tensor) -> None:
    """Forth and back through a network."""
    network(windows).sum().backward()


def take_turns(calls: tuple[Call, ...], rounds: int) -> list[list[float]]:
    """Processor seconds of each call, in turn in every round, after one that is not counted."""
    spent: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 1):
        for place, call in enumerate(calls):
            begun = time.process_time()
            call()
            if turn:
                spent[place].append(time.process_time() - begun)
    return spent


def answers() -> Iterator[tuple[str, list[float]]]:
    """What networks that nobody trained say to the probe."""
    makers: dict[str, tuple[Callable[[], nn.Module], int]] = {
        "LSTM": (lstm.Lstm, lstm.WINDOW),
        "Transformer": (transformer.Transformer, transformer.WINDOW),
        "agent": (lambda: policy.Policy(policy.Config(34)), 1),
    }
    for name, (make, window) in makers.items():
        for size in SIZES:
            for seed in range(SEEDS):
                torch.manual_seed(seed)
                network = make()
                with torch.no_grad():
                    for each in network.parameters():
                        each.mul_(size)
                yield f"{name} x{size:g} {seed}", list(answer_probe(network, window=window))


def compare_processors() -> Iterator[Figure]:
    """The largest difference of two processors' answers, by network and size of its weights."""
    found: list[dict[str, list[float]]] = []
    for variables in PROCESSORS.values():
        command = [sys.executable, "-m", "bench.networks", "--answers"]
        done = subprocess.run(command, env={**os.environ, **ONE_THREAD, **variables}, capture_output=True, check=True)
        found.append(json.loads(done.stdout))
    for group in dict.fromkeys(name.rpartition(" ")[0] for name in found[0]):
        names = [name for name in found[0] if name.startswith(group + " ")]
        gaps = [gap(*(each[name] for each in found)) for name in names]
        largest = max(abs(value) for name in names for value in found[0][name])
        label = f"probe of {group}, answers up to {largest:.1f}, {len(PROCESSORS)} processors"
        yield Figure(label, "", tuple(gaps), at_most(PROBE_TOLERANCE / 5))


def gap(*several: list[float]) -> float:
    """The largest difference between any two of these answers."""
    return max(max(values) - min(values) for values in zip(*several, strict=True))


if __name__ == "__main__":
    sys.exit(main())
