"""A data set without candles: every window's own inputs tell whether the price will rise, nine times in ten."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from core.features import FEATURES
from core.models.scaler import Scaler
from training.dataset import Dataset
from training.split import SHARES, Part

BEGIN = 1_700_000_040_000
MINUTE = 60_000
WINDOW = 10
HORIZON = 15


def make_dataset(*, size: int = 4_000, seed: int = 3, window: int = WINDOW) -> Dataset:
    """Inputs of noise; the first one, as a mean over the last minutes, leans to the sign of the move."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((size, len(FEATURES))).astype(np.float32)
    is_up = rng.random(size) < 0.5
    features[:, 0] = np.where(is_up, 1.0, -1.0) + 0.5 * rng.standard_normal(size)
    is_up = is_up ^ (rng.random(size) < 0.1)
    move = np.where(is_up, 1e-3, -1e-3) * (0.5 + rng.random(size))
    times = BEGIN + MINUTE * np.arange(size, dtype=np.int64)
    edges = np.rint(np.cumsum([0.0, *SHARES.values()]) * size).astype(int)
    return Dataset(
        symbol="BTC-USD",
        interval="1m",
        origin="made-up",
        horizon=HORIZON,
        window=window,
        features=features,
        open_times=times,
        closes=100.0 * np.exp(np.cumsum(move)),
        up=is_up.astype(np.float32),
        trend=np.where(is_up, 0.8, 0.2).astype(np.float32),
        move=move,
        scaler=Scaler(np.zeros(len(FEATURES)), np.ones(len(FEATURES))),
        **{
            name: _part(name, times, np.arange(begin + window, end))
            for name, begin, end in zip(SHARES, edges[:-1], edges[1:], strict=True)
        },
        data_hash=f"{seed:064x}",
        symbols=("BTC-USD",),
        starts=(0, size),
        borders=tuple(int(BEGIN + MINUTE * edge) for edge in edges),
    )


def shuffle_labels(dataset: Dataset, *, seed: int = 1) -> Dataset:
    """The same with outcomes that belong to other minutes: there is nothing to learn."""
    order = np.random.default_rng(seed).permutation(len(dataset.up))
    return replace(dataset, up=dataset.up[order], trend=dataset.trend[order], move=dataset.move[order])


def _part(name: str, times: np.ndarray, rows: np.ndarray) -> Part:
    first, last = (datetime.fromtimestamp(times[row] / 1_000, UTC) for row in (rows[0], rows[-1]))
    return Part(name, rows, first, last)
