"""What comes out of a training: weights, the manifest that vouches for them, and what they say on untouched candles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.market import Floats
from core.models.calibration import Platt, fit_platt
from core.models.manifest import LABELS, Kind, Manifest, Span, Spans
from core.models.observation import ACCOUNT
from core.models.weights import pack
from training.checkpoint import Row, State
from training.dataset import Dataset
from training.feed import resident, score
from training.identity import code_hash
from training.runs import Job
from training.scores import Scores
from training.split import Part


class Run(NamedTuple):
    """A trained model: what the store keeps of it, its scores on the test part by symbol, and a row for each epoch."""

    manifest: Manifest
    blob: bytes
    scores: tuple[Scores, ...]
    history: tuple[Row, ...]


class Seeded(Protocol):
    """Settings that fix every random number."""

    @property
    def seed(self) -> int: ...


def conclude(kind: Kind, network: nn.Module, dataset: Dataset, *, config: Seeded, job: Job, state: State) -> Run:
    """Calibrates the network on its slice, scores it on the test part, and writes down what it is."""
    slice_, test = dataset.calibrate.rows, dataset.test.rows
    platt = fit_platt(served_odds(network, dataset, slice_), dataset.up[slice_] > 0.5)
    probability = platt.apply(served_odds(network, dataset, test))
    metrics = {**_progress(state["history"]), **judge_briefly(probability, dataset)}
    manifest, blob = vouch(kind, network, dataset, config=config, job=job, platt=platt, metrics=metrics)
    return Run(manifest, blob, split_scores(dataset, dataset.test, probability), tuple(state["history"]))


def served_odds(network: nn.Module, dataset: Dataset, rows: NDArray[np.int64]) -> Floats:
    """The logits of a network where and how it is served, wherever it has learned: on the processor, in float32.

    One way for a training's own judgement and for a later one: a GPU gives other last bits, and other scores of the
    same model would be another try in the register. Shape: (R,) -> (R,)
    """
    torch.set_float32_matmul_precision("highest")  # a training on a GPU may have left it lower, for both
    table = resident(dataset.features, torch.device("cpu"))
    return score(network.cpu(), table, rows, dataset.window).double().numpy()


def vouch(
    kind: Kind,
    network: nn.Module,
    dataset: Dataset,
    *,
    config: Seeded,
    job: Job,
    platt: Platt,
    metrics: dict[str, float],
) -> tuple[Manifest, bytes]:
    """The manifest of a network and its weights as bytes."""
    packed = pack(network, window=dataset.window)
    manifest = Manifest(
        kind=kind,
        symbols=dataset.symbols,
        interval=dataset.interval,
        origin=dataset.origin,
        architecture=packed.architecture,
        window=dataset.window,
        horizon=dataset.horizon,
        state=ACCOUNT if kind is Kind.PPO else (),
        label=LABELS[kind],
        scaler=dataset.scaler,
        spans=Spans(*(Span(part.first, part.last) for part in dataset.parts)),
        metrics=metrics,
        platt=platt,
        seed=config.seed,
        data_hash=dataset.data_hash,
        code_hash=code_hash(),
        run=job.name,
        created_at=datetime.now(UTC),
        parameters=packed.parameters,
        sha256=packed.sha256,
        probe=packed.probe,
    )
    return manifest, packed.blob


def split_scores(dataset: Dataset, part: Part, probability: Floats) -> tuple[Scores, ...]:
    """The probabilities of a part as scores, one of each symbol."""
    scores = []
    for place, symbol in enumerate(dataset.symbols):
        is_its = (part.rows >= dataset.starts[place]) & (part.rows < dataset.starts[place + 1])
        rows = part.rows[is_its]
        up = dataset.up[rows] > 0.5
        scores.append(Scores(symbol, dataset.open_times[rows], probability[is_its], up, dataset.move[rows]))
    return tuple(scores)


def judge_briefly(probability: Floats, dataset: Dataset) -> dict[str, float]:
    """What a list of models shows of the test part; `training.evaluate` has the whole table, with bounds."""
    up = dataset.up[dataset.test.rows] > 0.5
    inside = np.clip(np.where(up, probability, 1.0 - probability), 1e-9, 1.0)
    return {
        "test_windows": float(len(up)),
        "test_accuracy": float(np.mean((probability >= 0.5) == up)),
        "test_brier": float(np.mean((probability - up) ** 2)),
        "test_log_loss": float(-np.mean(np.log(inside))),
        "test_ups": float(np.mean(up)),
    }


def _progress(history: Sequence[Row]) -> dict[str, float]:
    return {"epochs": float(len(history)), "stop_loss": min(row["stop_loss"] for row in history)}
