"""Does a model hold at all times? Trained anew again and again, each time judged on the span that came next.

The first fold learns from the older half of the history, every later one also from all spans that were judged before
it. Within a fold learning, stopping, calibrating and judging share not one candle (`training.split`), and the judged
spans follow one another: but for the first hours of each, which look back over its border, every minute of the younger
half is judged once, by a model that is older.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from core.errors import invalid
from core.market import INTERVAL_SECONDS, Candles
from training.dataset import Dataset, build_dataset
from training.evaluate import Line, measure
from training.gate_terms import Terms
from training.scores import Scores, take
from training.split import SHARES, Part

FIRST: Final = 0.5  # of the history is learned from before anything is judged
TOTAL: Final = "all folds"

Learn = Callable[[Dataset, int], Sequence[Scores]]
"""Trains a model on the data set of a fold (numbered from 1) and says its scores on the test part."""


class Fold(NamedTuple):
    """One line of the fold table: what was learned from, what was judged, and how it went."""

    train: Part
    test: Part
    line: Line


class Walk(NamedTuple):
    """All folds, and one line over all that they said."""

    folds: tuple[Fold, ...]
    total: Line
    scores: Scores


def walk_forward(
    stretches: Sequence[Candles], learn: Learn, *, origin: str, window: int, folds: int, terms: Terms
) -> Walk:
    """Trains and judges fold after fold on one coin's candles."""
    step = 1_000 * INTERVAL_SECONDS[stretches[0].interval]
    begin, end = int(stretches[0].open_times[0]), stretches[-1].as_of
    found: list[Fold] = []
    said: list[Scores] = []
    for number, borders in enumerate(draw_folds(begin, end, folds=folds, step=step), start=1):
        before = [_until(each, borders[-1]) for each in stretches if each.open_times[0] < borders[-1]]
        dataset = build_dataset(before, origin=origin, window=window, horizon=terms.horizon, borders=borders)
        scores = tuple(learn(dataset, number))
        said += scores
        found.append(Fold(dataset.train, dataset.test, measure(f"fold {number}", scores, terms)))
    whole = join_scores(said)
    return Walk(tuple(found), measure(TOTAL, [whole], terms), whole)


def draw_folds(begin: int, end: int, *, folds: int, step: int) -> tuple[tuple[int, ...], ...]:
    """The borders (ms) of each fold's parts, on the grid of the candles; its test ends where the next one's begins.

    >>> draw_folds(0, 1_000, folds=2, step=1)
    ((0, 412, 456, 500, 750), (0, 618, 684, 750, 1000))
    """
    if folds < 2:
        raise invalid("folds", f"{folds}; at least 2 are needed to see whether a model holds")
    candles = (end - begin) // step
    edges = np.rint(np.linspace(FIRST, 1.0, folds + 1) * candles).astype(int).tolist()
    shares = np.cumsum([SHARES[name] for name in ("train", "stop", "calibrate")]) / (1.0 - SHARES["test"])
    return tuple(
        (begin, *(begin + round(share * first) * step for share in shares), begin + last * step)
        for first, last in pairwise(edges)
    )


def join_scores(parts: Sequence[Scores]) -> Scores:
    """Scores of one symbol, one span after the other, as one."""
    columns = (np.concatenate([getattr(each, name) for each in parts]) for name in Scores._fields[1:])
    whole = Scores(parts[0].symbol, *columns)
    return take(whole, np.argsort(whole.open_times, kind="stable"))


def _until(candles: Candles, end: int) -> Candles:
    """The candles that begin before an instant: a fold does not even hold what comes after it."""
    last = int(np.searchsorted(candles.open_times, end))
    columns = (getattr(candles, name)[:last] for name in ("open_times", "open", "high", "low", "close", "volume"))
    return Candles(candles.symbol, candles.interval, *columns)
