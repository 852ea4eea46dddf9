"""The forest on its newest candle, inputs included, beside one row through scikit-learn's own `predict_proba`."""

from __future__ import annotations

import numpy as np

from bench.contest import Contest
from core.analyzers import random_forest
from core.kernels.pattern import compute_features
from core.market import Candles, Windows

HISTORY = 4_000


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    history = make_history(single.interval)
    fitted = random_forest.fit(history)
    horizon = random_forest.horizon_candles(history.interval)
    _, inputs, labels = random_forest.label_examples(history, horizon)
    library = random_forest.grow(inputs, labels, horizon, history.symbol)
    row = np.ascontiguousarray(compute_features(single, newest=1)[0])
    return [
        Contest(
            name="one row",
            batch=lambda: random_forest.analyze(batch, [fitted] * len(batch)),
            windows=len(batch),
            single=lambda: random_forest.analyze(single, [fitted]),
            library_name="predict_proba",
            library=lambda: library.predict_proba(row),
            goal=100.0,
            alone=True,
        )
    ]


def make_history(interval: str) -> Candles:
    """A walk with fat tails, wicks and volume."""
    rng = np.random.default_rng(2)
    closes = 100.0 * np.exp(np.cumsum(0.003 * rng.standard_t(4, HISTORY)))
    opens = np.concatenate([[100.0], closes[:-1]])
    wick = 0.001 * rng.random((2, HISTORY))
    highs, lows = np.maximum(opens, closes) * (1.0 + wick[0]), np.minimum(opens, closes) * (1.0 - wick[1])
    times = 300_000 * np.arange(HISTORY, dtype=np.int64)
    return Candles("BTC-USD", interval, times, opens, highs, lows, closes, rng.lognormal(size=HISTORY))
