"""A folder of models that nobody trained, of the size of real ones, set to work by hand: what serving costs with them.

No gate has seen them, so they may only stand in a folder that is thrown away after the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import torch
from torch import nn

from core.adapters.models.folder import ModelFolder
from core.features import FEATURES
from core.market import SYMBOLS
from core.models import lstm, policy, transformer
from core.models.calibration import Platt
from core.models.manifest import LABELS, Kind, Manifest, Span, Spans
from core.models.observation import ACCOUNT, OBSERVATIONS
from core.models.scaler import Scaler
from core.models.store import file_name, pointer_name, slot_of
from core.models.weights import pack

ORIGIN: Final = "synthetic-7-edge"  # what a server gives that was told nothing
MADE: Final = datetime(2026, 1, 1, tzinfo=UTC)
READY_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.2
WINDOWS: Final = {Kind.LSTM: lstm.WINDOW, Kind.TRANSFORMER: transformer.WINDOW, Kind.PPO: 1}


def plant(folder: Path, *, seed: int = 1, symbols: Sequence[str] = SYMBOLS) -> None:
    """An LSTM and an agent for each symbol and a Transformer for all of them; those that were there stay as files."""
    for place, symbol in enumerate(symbols):
        set_to_work(folder, make(Kind.LSTM, (symbol,), seed=100 * seed + place))
        set_to_work(folder, make(Kind.PPO, (symbol,), seed=100 * seed + place))
    set_to_work(folder, make(Kind.TRANSFORMER, tuple(symbols), seed=seed))


def make(kind: Kind, symbols: tuple[str, ...], *, seed: int) -> tuple[Manifest, bytes]:
    """A model of its kind with weights as they are drawn."""
    torch.manual_seed(seed)
    networks: dict[Kind, Callable[[], nn.Module]] = {
        Kind.LSTM: lstm.Lstm,
        Kind.TRANSFORMER: transformer.Transformer,
        Kind.PPO: lambda: policy.Policy(policy.Config(OBSERVATIONS)),
    }
    network = networks[kind]()
    packed = pack(network, window=WINDOWS[kind])
    shape = (len(symbols), len(FEATURES)) if len(symbols) > 1 else (len(FEATURES),)
    day = timedelta(days=1)
    manifest = Manifest(
        kind=kind,
        symbols=symbols,
        interval="1m",
        origin=ORIGIN,
        architecture=packed.architecture,
        window=WINDOWS[kind],
        horizon=15,
        state=ACCOUNT if kind is Kind.PPO else (),
        label=LABELS[kind],
        scaler=Scaler(np.zeros(shape), np.ones(shape)),
        spans=Spans(*(Span(MADE + (place - 9) * day, MADE + (place - 8.1) * day) for place in range(4))),
        metrics={},
        platt=Platt(1.0, 0.0),
        seed=seed,
        data_hash="0" * 64,
        code_hash="0" * 64,
        run="planted",
        created_at=MADE + timedelta(seconds=seed),
        parameters=packed.parameters,
        sha256=packed.sha256,
        probe=packed.probe,
    )
    return manifest, packed.blob


def set_to_work(folder: Path, model: tuple[Manifest, bytes]) -> str:
    """Saves a model and points at it in one step; says its version."""
    manifest, blob = model
    version = ModelFolder(folder).save(manifest, blob)
    link = folder / pointer_name(slot_of(manifest))
    beside = link.with_name(f".{link.name}.by-hand")
    beside.unlink(missing_ok=True)
    beside.symlink_to(file_name(manifest))
    beside.replace(link)
    return version


def wait_until_all_speak(url: str) -> None:
    """Returns when every planted model has answered a server for every symbol."""
    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(base_url=url, trust_env=False, timeout=30.0) as client:
        while True:
            answer = client.post("/v1/forecast", json={"symbols": list(SYMBOLS)}).json()
            told = [each for one in answer.get("forecasts", ()) for each in one["forecasts"]]
            quiet = [each["problem"] for each in told if each["probability"] is None]
            if told and not quiet:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"not all models spoke within {READY_SECONDS:.0f} s: {quiet[0] if quiet else answer}"
                )
            time.sleep(POLL_SECONDS)
