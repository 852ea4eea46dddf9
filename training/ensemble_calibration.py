"""Makes the ensemble's "70 % sure" come true: for each set of models a line through the log odds of their mean.

A line is fitted on minutes that lie in the calibration slice of every model of its set, on the same candles: none of
them learned from these minutes, none was stopped by them, none is judged on them. What each model says is taken raw, as
it is served, and weighted as the ensemble weighs it. Where the slices share too little, or the line is no better
than none where it was not fitted, there is no line, and the ensemble of that set stays uncalibrated.

How good a line is, is measured where it was not fitted: on each half of the slice by the line of the other half. Scores
are of windows whose futures do not overlap, bounds come from blocks of them (`core.performance.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from core.deciding.decision import tell_apart
from core.ensemble import DECIMALS
from core.errors import Code, CrpbotError
from core.market import Floats, Instants, instant, milliseconds
from core.models.calibration import FEWEST, Platt, fit_platt, log_odds
from core.models.ensemble_lines import Calibrator, Measured, Quality
from core.models.manifest import Manifest
from core.models.weighting import KINDS, Weights
from core.performance.bootstrap import draw_means, percentile_interval
from core.performance.calibration import ONE_SIDE, brier_score, calibration_error
from training.dataset import Dataset
from training.evaluate import read_odds
from training.scores import Scores, thin

FEWEST_APART: Final = 2 * FEWEST
"""Windows whose futures do not overlap: as many as Platt's line needs, in each half; two days of minutes."""

Flags = NDArray[np.bool_]


class Said(NamedTuple):
    """What one model says on its calibration slice of one coin, raw, and what came. Shape: (N,) each."""

    kind: str
    version: str
    origin: str
    horizon: int
    open_times: Instants
    probability: Floats
    up: Flags


class Gap(NamedTuple):
    """A set of models without a line, and why."""

    kinds: tuple[str, ...]
    why: str


class _Slice(NamedTuple):
    """The minutes that a set of models shares: the log odds of their mean, and what came. Shape: (N,) each."""

    open_times: Instants
    odds: Floats
    up: Flags


def hear(network: torch.nn.Module, manifest: Manifest, dataset: Dataset) -> Said:
    """What a model says on the calibration slice of its manifest; `dataset` is of one of its coins."""
    span, rows = manifest.spans.calibrate, dataset.calibrate.rows
    times = dataset.open_times[rows]
    inside = np.zeros(len(rows), dtype=np.bool_)
    if span is not None:
        inside = (times >= milliseconds(span.first)) & (times <= milliseconds(span.last))
    kept = rows[inside]
    probability = expit(read_odds(network, manifest.kind, dataset, kept)) if len(kept) else np.empty(0)
    up = dataset.up[kept] > 0.5
    rounded = np.round(probability, DECIMALS)
    return Said(manifest.kind, manifest.version, dataset.origin, dataset.horizon, times[inside], rounded, up)


def fit_lines(
    said: Sequence[Said], weights: Weights, *, at: datetime
) -> tuple[tuple[Calibrator, ...], tuple[Gap, ...]]:
    """The lines of one coin for every set of two and more of these models, and the sets that have none.

    A model of weight 0 has no part in any mean.
    """
    heard = {each.kind: each for each in said if weights.of(each.kind) > 0.0}
    ordered = [heard[kind] for kind in KINDS if kind in heard]
    lines: list[Calibrator] = []
    gaps: list[Gap] = []
    for size in range(2, len(ordered) + 1):
        for chosen in combinations(ordered, size):
            try:
                lines.append(_fit(chosen, weights, at))
            except _NoLine as none:
                gaps.append(Gap(tuple(each.kind for each in chosen), str(none)))
    return tuple(lines), tuple(gaps)


class _NoLine(Exception):  # noqa: N818 - no failure: a set without a line
    """Too few minutes for a line, or a line that is no better than none."""


def _fit(chosen: Sequence[Said], weights: Weights, at: datetime) -> Calibrator:
    shared = _share(chosen, weights)
    _check_enough(chosen, shared)
    line = fit_platt(shared.odds, shared.up)
    before, after = _measure(shared, chosen[0].horizon)
    _check_better(before, after)
    return Calibrator(
        kinds=tuple(each.kind for each in chosen),
        versions=tuple(each.version for each in chosen),
        weights=weights,
        slope=line.slope,
        intercept=line.intercept,
        origin=chosen[0].origin,
        first=instant(int(shared.open_times[0])),
        last=instant(int(shared.open_times[-1])),
        windows=len(shared.open_times),
        before=before,
        after=after,
        at=at,
    )


def _share(chosen: Sequence[Said], weights: Weights) -> _Slice:
    """The minutes of all slices, and the mean of what was said on each."""
    first = chosen[0]
    for each in chosen[1:]:
        if (each.origin, each.horizon) != (first.origin, first.horizon):
            why = f"{each.version} speaks of {each.horizon} minutes of {each.origin}, {first.version} of"
            raise _NoLine(f"{why} {first.horizon} of {first.origin}")
    times: Instants = reduce(np.intersect1d, (each.open_times for each in chosen))
    places = [np.searchsorted(each.open_times, times) for each in chosen]
    for each, place in zip(chosen, places, strict=True):
        if (each.up[place] != first.up[places[0]]).any():
            detail = f"{each.version} and {first.version} were heard on other candles of the same minutes"
            raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="OTHER_CANDLES")
    total = sum(weights.of(each.kind) for each in chosen)
    spoken = (weights.of(each.kind) * each.probability[place] for each, place in zip(chosen, places, strict=True))
    mean = np.round(np.sum(list(spoken), axis=0) / total, DECIMALS)
    return _Slice(times, log_odds(mean), first.up[places[0]])


def _check_enough(chosen: Sequence[Said], shared: _Slice) -> None:
    apart = len(thin(_scores(shared, shared.odds), horizon=chosen[0].horizon).open_times) if len(shared.odds) else 0
    if apart < FEWEST_APART:
        spans = "; ".join(f"{each.version}: {_tell(each.open_times)}" for each in chosen)
        raise _NoLine(
            f"their calibration slices share {apart} windows apart, {FEWEST_APART} are needed ({spans}); "
            "train them on the same span of time, with the same --days or on the same files"
        )
    halves = _halves(shared, chosen[0].horizon)
    if any(half.up.all() or not half.up.any() for half in halves):
        raise _NoLine("the price only rose, or only fell, in a half of the slice that they share")


def _check_better(before: Quality, after: Quality) -> None:
    """A line that says less than none where it was not fitted makes nothing true, and may not be called calibrated."""
    without, by_line = before.brier.value, after.brier.value
    assert without is not None  # both are of the windows that were enough
    assert by_line is not None
    if by_line >= without:
        told = " against ".join(tell_apart(by_line, without))
        raise _NoLine(
            f"a line is no better than none where it was not fitted: Brier score {told}, of {after.brier.n:,} windows; "
            "longer calibration slices, such as by more --days, make it surer"
        )


def _measure(shared: _Slice, horizon: int) -> tuple[Quality, Quality]:
    """Before any line, and after the line of the other half."""
    halves = _halves(shared, horizon)
    lines = [fit_platt(half.odds, half.up) for half in reversed(halves)]
    raw = Platt(1.0, 0.0)
    before = _quality([_scores(half, raw.apply(half.odds)) for half in halves], horizon)
    after = [_scores(half, line.apply(half.odds)) for half, line in zip(halves, lines, strict=True)]
    return before, _quality(after, horizon)


def _halves(shared: _Slice, horizon: int) -> tuple[_Slice, _Slice]:
    """Two halves in time; no future of the first reaches into the second."""
    middle = len(shared.open_times) // 2
    border = shared.open_times[middle] - horizon * 60_000
    early = slice(0, int(np.searchsorted(shared.open_times, border, side="right")))
    late = slice(middle, None)
    times, odds, up = shared
    return _Slice(times[early], odds[early], up[early]), _Slice(times[late], odds[late], up[late])


def _quality(parts: Sequence[Scores], horizon: int) -> Quality:
    apart = [thin(each, horizon=horizon) for each in parts]
    said = np.concatenate([each.probability for each in apart])
    up = np.concatenate([each.up for each in apart])
    drawn = draw_means(((said - up) ** 2)[:, None])
    low, high = percentile_interval(drawn.values[:, 0], drawn.blocks, tail=ONE_SIDE) or (None, None)
    return Quality(Measured(brier_score(said, up), low, high, len(said)), Measured(*calibration_error(said, up)))


def _scores(part: _Slice, probability: Floats) -> Scores:
    """As `training.scores` takes them; what a move earned is asked by nobody here."""
    return Scores("", part.open_times, probability, part.up, np.zeros(len(part.up)))


def _tell(times: Instants) -> str:
    if not len(times):
        return "none"
    return f"{instant(int(times[0])):%Y-%m-%d %H:%M} to {instant(int(times[-1])):%Y-%m-%d %H:%M}"
