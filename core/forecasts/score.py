"""How good a model's live forecasts were: scores over what really came, each with n and an interval.

Of the windows whose outcome is known, with p what the model said is worth (after its own line) and up what came:
accuracy (p >= 0.5 and up, or below and not up), Brier score, log loss, calibration error. What ten coins do in the same
minutes is one piece of luck, so windows are drawn anew instant by instant, all coins of an instant together, in blocks
(core/performance/bootstrap.py). Of accuracy the wider of that interval and the exact one is told.

A candidate and the champion are compared on the windows that both spoke of, by the difference of their Brier scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.market import Floats, Instants
from core.performance.better import Answer, is_above
from core.performance.bootstrap import draw_means, estimate_of, percentile_interval
from core.performance.calibration import SMALLEST, Flags, calibration_error
from core.performance.measure import estimate_rate
from core.performance.sample import Estimate, Method
from core.trade import STRICT

FEWEST_INSTANTS: Final = 100
"""Below, blocks are too few for an interval that holds: a day of decisions every 15 minutes."""

MOST_WINDOWS: Final = 50_000  # the newest; of ten coins every 15 minutes that is more than a month


MOST_CALIBRATED: Final = 5_000
"""The newest windows, of which the calibration error is told: its bounds take thirty columns to draw, not four."""


class Scope(NamedTuple):
    """Whose live windows: a model's on one market, over one horizon. What it said elsewhere proves nothing of it."""

    version: str
    identity: str  # of the market, such as synthetic-7-edge
    horizon_minutes: int


class Windows(NamedTuple):
    """A model's live windows whose outcome is known, oldest first. All (N,)."""

    minute: Instants  # since 1970, of the forecast's instant
    symbol: NDArray[np.int64]  # a number for each
    probability: Floats
    up: Flags


class Counts(NamedTuple):
    """How often a model was asked, was silent, waits for its outcome, and never learns it."""

    asked: int
    silent: int
    waiting: int
    unknown: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class LiveCount:
    """How often a model was asked, and in how many of the windows whose outcome is known it was right.

    What that proves is told by its score.
    """

    __pydantic_config__: ClassVar = STRICT
    asked: int
    silent: int
    waiting: int
    unknown: int
    windows: int
    right: int
    last: datetime


class _Column(IntEnum):
    """What is summed for each instant."""

    COUNT = 0
    RIGHT = 1
    SQUARED = 2
    LOGGED = 3


@dataclass(frozen=True, slots=True)
class LiveComparison:
    """A model against the one that decides, on the windows that both spoke of.

    `brier_advantage` is the champion's Brier score less the model's: above 0 the model is better.
    """

    __pydantic_config__: ClassVar = STRICT
    champion: str
    windows: int
    instants: int
    brier_advantage: Estimate
    better: Answer


@dataclass(frozen=True, slots=True)
class LiveScore:
    """What a model's live forecasts were worth.

    `asked` counts windows: those scored, the silent ones, those whose outcome is `waiting`, and those whose outcome is
    `unknown` for good, because the market has a hole there. `up_share` is how often it really went up. The bounds of
    `calibration_error` hold with 95 % each.
    """

    __pydantic_config__: ClassVar = STRICT
    version: str
    first: datetime | None
    last: datetime | None
    asked: int
    waiting: int
    unknown: int
    windows: int
    instants: int
    silent_share: Estimate
    up_share: Estimate
    accuracy: Estimate
    brier: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    comparison: LiveComparison | None


def score(version: str, counts: Counts, windows: Windows, against: tuple[str, Windows] | None = None) -> LiveScore:
    """The live score of one model, and against the champion where one is given."""
    n = len(windows.up)
    sums = _by_instant(windows)
    drawn = _Drawn.of(sums)
    hits = int(sums[:, _Column.RIGHT].sum())
    error = calibration_error(windows.probability[-MOST_CALIBRATED:], windows.up[-MOST_CALIBRATED:])
    return LiveScore(
        version=version,
        first=counts.first,
        last=counts.last,
        asked=counts.asked,
        waiting=counts.waiting,
        unknown=counts.unknown,
        windows=n,
        instants=len(sums),
        silent_share=estimate_rate(counts.silent, counts.asked),
        up_share=estimate_rate(int(windows.up.sum()), n),
        accuracy=_widest(estimate_rate(hits, n), drawn.estimate(_Column.RIGHT, n), len(sums)),
        brier=drawn.estimate(_Column.SQUARED, n),
        log_loss=drawn.estimate(_Column.LOGGED, n),
        calibration_error=Estimate(error.value, error.low, error.high, error.n, Method.BOOTSTRAP),
        comparison=None if against is None else compare(windows, *against),
    )


def compare(windows: Windows, champion: str, others: Windows) -> LiveComparison:
    """A model against the champion on the windows of both."""
    own, theirs = _shared(windows, others)
    ours, champions = _losses(own)[_Column.SQUARED], _losses(theirs)[_Column.SQUARED]
    sums = _sum_by(own.minute, np.stack([np.ones(len(ours)), champions - ours], axis=1))
    value = float(sums[:, 1].sum() / sums[:, 0].sum()) if len(sums) else None
    interval = None
    if len(sums) >= FEWEST_INSTANTS:
        means, blocks = draw_means(sums)
        interval = percentile_interval(means[:, 1] / means[:, 0], blocks)
    advantage = estimate_of(value, interval, len(ours))
    return LiveComparison(champion, len(ours), len(sums), advantage, is_above(advantage, 0.0).answer)


class _Drawn(NamedTuple):
    """Sums over all instants, and the same of each resample where there are enough instants."""

    totals: Floats
    means: Floats | None
    blocks: float

    @classmethod
    def of(cls, sums: Floats) -> _Drawn:
        if len(sums) < FEWEST_INSTANTS:
            return cls(sums.sum(axis=0), None, 0.0)
        means, blocks = draw_means(sums)
        return cls(sums.sum(axis=0), means, blocks)

    def estimate(self, column: _Column, n: int) -> Estimate:
        """A mean over windows, with its interval."""
        if not n:
            return Estimate(None, None, None, 0, Method.BOOTSTRAP)
        value = float(self.totals[column] / self.totals[_Column.COUNT])
        if self.means is None:
            return Estimate(value, None, None, n, Method.BOOTSTRAP)
        interval = percentile_interval(self.means[:, column] / self.means[:, _Column.COUNT], self.blocks)
        return estimate_of(value, interval, n)


def _losses(windows: Windows) -> Floats:
    """Shape: (columns, N)."""
    said, up = windows.probability, windows.up.astype(np.float64)
    right = (said >= 0.5) == windows.up
    of_outcome = np.where(windows.up, said, 1.0 - said)
    logged = -np.log(np.maximum(of_outcome, SMALLEST))
    return np.stack([np.ones(len(said)), right.astype(np.float64), (said - up) ** 2, logged])


def _by_instant(windows: Windows) -> Floats:
    """The sums of each instant, oldest first. Shape: (instants, columns)."""
    return _sum_by(windows.minute, _losses(windows).T)


def _sum_by(minutes: Instants, columns: Floats) -> Floats:
    """Shape: (N,), (N, K) -> (instants, K)."""
    instants, places = np.unique(minutes, return_inverse=True)
    weighted = (np.bincount(places, column, minlength=len(instants)) for column in columns.T)
    return np.stack(list(weighted), axis=1)


def _shared(one: Windows, other: Windows) -> tuple[Windows, Windows]:
    """The windows of both, in the same order."""
    # a minute and a symbol as one number: symbols are few
    left, right = (each.minute * (1 << 20) + each.symbol for each in (one, other))
    _, places, others = np.intersect1d(left, right, return_indices=True)
    return _take(one, places), _take(other, others)


def _take(windows: Windows, places: NDArray[np.int64]) -> Windows:
    return Windows(windows.minute[places], windows.symbol[places], windows.probability[places], windows.up[places])


def _widest(exact: Estimate, drawn: Estimate, instants: int) -> Estimate:
    """The exact interval takes windows as independent, which coins of the same minutes are not.

    Where drawn blocks reach farther, these are told; without them, and with several coins, no interval is.
    """
    if drawn.low is None or drawn.high is None or exact.low is None or exact.high is None:
        return exact if exact.n == instants else drawn
    low, high = min(exact.low, drawn.low), max(exact.high, drawn.high)
    method = exact.method if (low, high) == (exact.low, exact.high) else drawn.method
    return Estimate(exact.value, low, high, exact.n, method)
