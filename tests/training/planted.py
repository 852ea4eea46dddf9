"""A market whose drift stands in its inputs: what an agent can learn here is known before it learns."""

import numpy as np

from core.features import FEATURES
from training.execution import Course, Terms, lay_course

TERMS = Terms(cost=0.0005, daily_loss=0.05, time_zone="Europe/Prague")
STEP = 60_000
BEGIN = 1_700_000_040_000
STAY = 29 / 30  # of the hidden state from one minute to the next
DRIFT = 0.0002  # a minute, up or down
NOISE = 0.0005


def plant_course(*, seed: int, size: int = 20_000, length: int = 120, drift: float = DRIFT) -> Course:
    """Minutes that drift up or down for half an hour on average; the first input tells which, the others nothing."""
    rng = np.random.default_rng(seed)
    state = np.where(np.cumsum(rng.random(size) > STAY) % 2 == 0, 1.0, -1.0)
    # the state of a candle drives the next move, as a decision at its close would need
    moves = np.append(0.0, drift * state[:-1]) + NOISE * rng.standard_normal(size)
    features = rng.standard_normal((size, len(FEATURES))).astype(np.float32)
    features[:, 0] = state + 0.3 * rng.standard_normal(size)
    return make_course(100.0 * np.exp(np.cumsum(moves)), length=length, features=features)


def make_course(closes: np.ndarray, *, length: int, features: np.ndarray | None = None, begin: int = BEGIN) -> Course:
    """These closes, minute by minute."""
    size = len(closes)
    inputs = np.zeros((size, len(FEATURES)), dtype=np.float32) if features is None else features
    times = begin + STEP * np.arange(size, dtype=np.int64)
    return lay_course(inputs, closes, times, rows=np.arange(size), interval="1m", length=length, zone=TERMS.time_zone)
