"""What the models say together: the chance of a rise, by weighted mean, and which of them had no part in it.

Each model speaks of the same 15 minutes as a probability of up. p = sum w p / sum w over the models that speak, with
the weights of the setting; the share of the weights that spoke is the coverage. What is called calibrated went through
Platt's line for just this subset of models, fitted on candles that none of them learned from: without such a line the
mean is only a number between 0 and 1, and no confidence above the low tier rests on it.

Pure, and without torch: the same outlook gives the same ensemble, live and replayed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Final

import numpy as np

from core.models.calibration import Platt, log_odds
from core.models.weighting import Weights
from core.trade import STRICT

DECIMALS: Final = 6
"""A processor's order of additions moves a network's answer by 1e-7; what is stored and decided on is coarser."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one model says of one market: the chance that its price will be higher after the model's horizon.

    `probability` is as the model says it, `calibrated` after its own line, where it has one; both are absent where
    there is a `problem`. A kind of which no model is promoted has no `version`; one that is promoted and cannot be used
    has its version, or the name of its file where that alone is known.
    """

    __pydantic_config__: ClassVar = STRICT
    kind: str
    version: str
    probability: float | None
    calibrated: float | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Platt's line for the mean of just these kinds of models."""

    kinds: tuple[str, ...]
    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that the models say of one symbol at one instant, and how it is put together.

    `forecasts` has one of each kind, in the order of KINDS. `candidates` are models on trial: told, and without effect.
    `line` is that of the models that speak, where there is one; `spare_lines` are those for one of them less, so that
    it can be told what would have been without it. `as_of` is the close of the last minute they read.
    """

    as_of: datetime | None
    horizon_minutes: int
    forecasts: tuple[Forecast, ...]
    weights: Weights
    line: Line | None = None
    candidates: tuple[Forecast, ...] = ()
    spare_lines: tuple[Line, ...] = ()

    @property
    def is_staffed(self) -> bool:
        """Whether any model is promoted for this symbol, also where none of them can be used."""
        return any(each.version for each in self.forecasts)

    @property
    def speaking(self) -> frozenset[str]:
        """The kinds of models that have a part in the mean."""
        return frozenset(
            each.kind for each in self.forecasts if each.probability is not None and self.weights.of(each.kind) > 0.0
        )


@dataclass(frozen=True, slots=True)
class Member:
    """One model's part in the ensemble. `weight` is its share of those that speak, 0 where it does not."""

    __pydantic_config__: ClassVar = STRICT
    kind: str
    version: str
    probability: float | None
    weight: float
    problem: str | None


@dataclass(frozen=True, slots=True)
class Ensemble:
    """What the models say together. `raw` is their mean, `probability` what it is worth where that is `calibrated`."""

    __pydantic_config__: ClassVar = STRICT
    probability: float | None
    raw: float | None
    calibrated: bool
    coverage: float
    horizon_minutes: int
    members: tuple[Member, ...]


def combine(outlook: Outlook) -> Ensemble:
    """The weighted mean of the models that speak, calibrated where there is a line for just these."""
    weights, speaking = outlook.weights, outlook.speaking
    present = math.fsum(weights.of(kind) for kind in speaking)
    members = tuple(
        Member(
            each.kind,
            each.version,
            each.probability,
            quantise(weights.of(each.kind) / present) if each.kind in speaking else 0.0,
            each.problem,
        )
        for each in outlook.forecasts
    )
    if not speaking:
        return Ensemble(None, None, False, 0.0, outlook.horizon_minutes, members)
    said = (each for each in outlook.forecasts if each.kind in speaking)
    weighted = (weights.of(each.kind) * each.probability for each in said if each.probability is not None)
    raw = quantise(math.fsum(weighted) / present)
    line = outlook.line
    calibrated = line is not None and frozenset(line.kinds) == speaking
    probability = calibrate(line, raw) if line is not None and calibrated else raw
    coverage = quantise(present / math.fsum(weights))
    return Ensemble(probability, raw, calibrated, coverage, outlook.horizon_minutes, members)


def leave_out(outlook: Outlook, kind: str) -> Outlook:
    """The outlook as it would be without one kind of model, with the line for the others."""
    forecasts = tuple(
        replace(each, probability=None, calibrated=None, problem="it is left out") if each.kind == kind else each
        for each in outlook.forecasts
    )
    rest = replace(outlook, forecasts=forecasts)
    return rest if kind not in outlook.speaking else replace(rest, line=find_line(rest.speaking, outlook.spare_lines))


def find_line(speaking: frozenset[str], lines: Iterable[Line]) -> Line | None:
    """The line that was fitted for just these kinds of models, where there is one."""
    return next((line for line in lines if frozenset(line.kinds) == speaking), None)


def calibrate(line: Line, probability: float) -> float:
    """What a mean is worth by its line."""
    odds = log_odds(np.array([probability]))
    return quantise(float(Platt(line.slope, line.intercept).apply(odds)[0]))


def quantise(value: float) -> float:
    """A number as it is kept: no finer than every processor agrees on, and without a minus before a zero."""
    return round(value, DECIMALS) + 0.0
