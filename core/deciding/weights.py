"""What each theory's vote was worth in the past: weights learned on walk-forward history, and whether they are proven.

Logistic regression without intercept of "the close is higher after the horizon" on each theory's term g / c v of the
rule (core/deciding/synthesis.py). Its penalty is a normal prior around 0 with standard deviation ln 4, the equal
weight: what the past does not show is not believed. Labels overlap, so each sample counts step / horizon.

Walk-forward: time is cut into equal folds; the weights for a fold come from the samples whose label was known before
it began. Their log loss there is compared with equal weights and with a coin on the same samples. The error of that
gain comes from the means of whole days, because overlapping windows and ten coins in one fall are no ten proofs. The
weights are `proven` where they gain more than two such errors over equal weights and over the coin; else the rule keeps
equal weights, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

import core.deciding.synthesis
from core import analyzers
from core.analysis import Reading
from core.analyzers import discover, evaluate
from core.deciding.synthesis import EQUAL, EQUAL_WEIGHT, Rule, weigh
from core.errors import invalid
from core.fitted import Fit, Library, Shelf, Span, Unfitted, Wanted
from core.fitting import HISTORY_CANDLES, Task, bind, choose_learners, learn
from core.market import COLUMNS, Candles, Floats, Instants, cut_windows, instant

NAME: Final = "synthesis"
HORIZON: Final = 48  # candles: a trade times out after 4 hours of 5-minute candles
STEP: Final = 12  # candles between windows: closer ones see the same moves
FOLDS: Final = 5
LEAST_SAMPLES: Final = 200
PROOF_ERRORS: Final = 2.0
DAY_MS: Final = 86_400_000
# Newton's method on a convex loss settles in under ten steps.
NEWTON_STEPS: Final = 50
SETTLED: Final = 1e-10


class Samples(NamedTuple):
    """Past windows of one symbol: (N, n) terms by theory, (N,) whether the price rose, (N,) when each window ended."""

    theories: tuple[str, ...]
    terms: Floats
    rose: Floats
    ends_ms: Instants
    known_ms: Instants  # when its label was known


class Past(NamedTuple):
    """The candles of one symbol that weights are learned from, and the samples cut from them."""

    candles: Candles
    samples: Samples


class Weights(NamedTuple):
    """What was learned, as plain arrays: a weight a theory and how it did out of sample (mean log loss)."""

    theories: np.ndarray[tuple[int], np.dtype[np.str_]]
    weights: Floats
    samples: Floats
    loss: Floats
    loss_equal: Floats
    gain: Floats
    gain_error: Floats
    gain_over_coin: Floats
    gain_over_coin_error: Floats
    proven: Floats


def look_back(history: Candles, *, origin: str, length: int, at: datetime) -> Past:
    """What theories that learned from the first 7,000 candles say of the later ones, and what came after.

    So no theory had seen the windows that weights are learned from.
    """
    needed = HISTORY_CANDLES + length + HORIZON + 1
    if len(history) < needed:
        raise invalid("candles", f"{history.symbol} has {len(history)}, at least {needed} are needed for weights")
    past, later = _cut(history, 0, HISTORY_CANDLES), _cut(history, HISTORY_CANDLES, len(history))
    fits = tuple(bind(name, origin, [(past, learn(Task(name, past)))], at=at) for name in choose_learners(()))
    return Past(later, gather(later, Shelf(fits), origin=origin, length=length))


def gather(candles: Candles, library: Library, *, origin: str, length: int) -> Samples:
    """Every theory on windows of a history, and what the price did after each. Fits must end before the history."""
    windows = cut_windows(candles, length, step=STEP, origin=origin)
    last = np.arange(len(windows)) * STEP + length - 1
    kept = np.flatnonzero(last + HORIZON < len(candles))
    if len(kept) == 0:
        raise invalid("candles", f"has {len(candles)} candles, {length + HORIZON + 1} are needed to learn weights")
    windows, last = windows.rows(slice(0, len(kept))), last[kept]
    found = [evaluate(analyzer, windows, library) for analyzer in discover().values()]
    terms = np.array([_terms(readings) for readings in zip(*found, strict=True)])
    rose = (candles.close[last + HORIZON] > candles.close[last]).astype(np.float64)
    step_ms = int(candles.open_times[1] - candles.open_times[0])
    return Samples(tuple(discover()), terms, rose, windows.as_of, windows.as_of + HORIZON * step_ms)


def fit_weights(parts: Sequence[Samples]) -> Weights:
    """Weights on all samples, judged by walk-forward. Deterministic; the order of the parts does not matter."""
    theories = parts[0].theories
    pooled = [np.concatenate([part[column] for part in parts]) for column in range(1, 5)]
    order = np.lexsort((pooled[1], *pooled[0].T, pooled[2]))
    terms, rose, ends, known = (column[order] for column in pooled)
    if len(rose) < LEAST_SAMPLES:
        raise invalid("samples", f"{len(rose)} windows of the past, at least {LEAST_SAMPLES} are needed")
    losses, equal, judged = _walk_forward(terms, rose, ends, known)
    coin = np.full(len(losses), math.log(2.0))
    gain, error = _mean_by_day(equal - losses, judged)
    over_coin, coin_error = _mean_by_day(coin - losses, judged)
    proven = gain > PROOF_ERRORS * error and over_coin > PROOF_ERRORS * coin_error
    numbers = (len(rose), losses.mean(), equal.mean(), gain, error, over_coin, coin_error, proven)
    return Weights(np.array(theories, dtype="U32"), regress(terms, rose), *(np.array(float(each)) for each in numbers))


def regress(terms: Floats, rose: Floats) -> Floats:
    """Penalised logistic regression by Newton's method, each sample counting STEP / HORIZON.

    Shape: (N, n), (N,) -> (n,). Edge cases: no samples, or terms that are all 0, give 0.
    """
    share, penalty = STEP / HORIZON, 1.0 / EQUAL_WEIGHT**2
    weights = np.zeros(terms.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = 1.0 / (1.0 + np.exp(-(terms @ weights)))
        slope = share * (terms.T @ (rose - chance)) - penalty * weights
        curve = share * (terms.T * (chance * (1.0 - chance))) @ terms + penalty * np.eye(len(weights))
        change = np.linalg.solve(curve, slope)
        weights = weights + change
        if np.abs(change).max() < SETTLED:
            break
    return np.asarray(weights)


def bind_weights(origin: str, histories: Sequence[Candles], weights: Weights, *, at: datetime) -> Fit:
    """Weights as a fit with its manifest: refused on another market, interval, symbol or code."""
    metrics = {name: float(value) for name, value in weights._asdict().items() if np.ndim(value) == 0}
    spans = {
        each.symbol: Span(instant(int(each.open_times[0])), instant(each.as_of), len(each), metrics)
        for each in histories
    }
    states = dict.fromkeys(spans, weights)
    return Fit(NAME, origin, histories[0].interval, code_hash(), at, spans, states)


def choose_rule(library: Library, wanted: Wanted) -> Rule:
    """The rule for a market: the learned weights where they are there and proven, else equal ones and why."""
    weights = library.find(NAME, wanted)
    if isinstance(weights, Unfitted):
        why, _, _ = weights.problem.partition("; remedy")
        return replace(EQUAL, label=f"equal weights (learned ones: {why})")
    if not weights.proven:
        gain = f"{float(weights.gain):+.4f} +- {float(weights.gain_error):.4f}"
        return replace(EQUAL, label=f"equal weights (learned ones gained {gain} in log loss, which proves nothing)")
    learned = dict(zip(weights.theories.tolist(), weights.weights.tolist(), strict=True))
    return Rule(learned, 0.0, f"weights learned on {float(weights.samples):.0f} windows")


def sample() -> Weights:
    """Weights of the shape that any fit has, for checking files."""
    theories = np.array(tuple(discover()), dtype="U32")
    return Weights(theories, np.full(len(theories), EQUAL_WEIGHT), *(np.array(0.0) for _ in Weights._fields[2:]))


@cache
def code_hash() -> str:
    """Fingerprint of the rule and of every theory that it weighs."""
    files = [Path(str(module)).read_bytes() for module in (core.deciding.synthesis.__file__, __file__)]
    theories = [analyzers.code_hash(name).encode() for name in discover()]
    return sha256(b"\0".join([*files, *theories])).hexdigest()[:16]


def _cut(candles: Candles, start: int, stop: int) -> Candles:
    columns = (getattr(candles, name)[start:stop] for name in ("open_times", *COLUMNS))
    return Candles(candles.symbol, candles.interval, *columns)


def _terms(readings: Sequence[Reading]) -> list[float]:
    """Each theory's term of the rule: its pull at weight 1."""
    return [vote.pull for vote in weigh(readings, Rule({}, 1.0, "")).votes]


def _walk_forward(terms: Floats, rose: Floats, ends: Instants, known: Instants) -> tuple[Floats, Floats, Instants]:
    """Log losses of learned and of equal weights, out of sample, and the end of each window judged."""
    edges = np.linspace(int(ends[0]), int(ends[-1]) + 1, FOLDS + 1)
    losses, equal, judged = [], [], []
    for start, stop in pairwise(edges[1:]):
        past, present = known <= start, (ends >= start) & (ends < stop)
        weights = regress(terms[past], rose[past])
        losses.append(_log_loss(terms[present] @ weights, rose[present]))
        equal.append(_log_loss(terms[present].sum(axis=1) * EQUAL_WEIGHT, rose[present]))
        judged.append(ends[present])
    return np.concatenate(losses), np.concatenate(equal), np.concatenate(judged)


def _log_loss(log_odds: Floats, rose: Floats) -> Floats:
    return np.asarray(np.logaddexp(0.0, np.where(rose > 0.5, -log_odds, log_odds)))


def _mean_by_day(gains: Floats, ends: Instants) -> tuple[float, float]:
    """The mean, and its standard error from the sums of days, which are taken to be independent."""
    _, day = np.unique(ends // DAY_MS, return_inverse=True)
    mean = float(gains.mean())
    sums = np.bincount(day, weights=gains - mean)
    return mean, float(np.sqrt(np.square(sums).sum()) / len(gains))
