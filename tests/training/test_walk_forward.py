"""A walk through time: every fold is judged on what came after all that it learned from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CrpbotError
from core.features import WARM_UP
from core.market import COLUMNS, Candles, milliseconds
from tests.training.test_baselines import walk
from training.baselines import score_baselines
from training.dataset import Dataset
from training.gate_terms import Terms
from training.scores import Scores
from training.split import SHARES
from training.walk_forward import FIRST, TOTAL, draw_folds, walk_forward

MINUTE = 60_000
WINDOW, HORIZON = 2, 3
TERMS = Terms(0.51, 0.0, horizon=HORIZON)


def say_logistic(dataset: Dataset, _: int) -> Sequence[Scores]:
    return [score_baselines(dataset, dataset.test.rows)[2].scores]


@given(folds=st.integers(2, 50), candles=st.integers(2_000, 2_000_000), begin=st.integers(0, 30_000_000))
def test_the_judged_spans_follow_one_another_to_the_end(folds: int, candles: int, begin: int) -> None:
    start, end = begin * MINUTE, (begin + candles) * MINUTE
    drawn = draw_folds(start, end, folds=folds, step=MINUTE)
    assert len(drawn) == folds
    assert drawn[-1][-1] == end
    assert abs((drawn[0][3] - start) / (end - start) - FIRST) < 1 / 1_000
    for before, after in pairwise(drawn):
        assert before[-1] == after[-2]
    for borders in drawn:
        assert borders[0] == start
        assert (np.diff(borders) > 0).all()
        assert (np.array(borders) % MINUTE == 0).all()


def test_within_a_fold_the_parts_before_the_judged_one_have_the_usual_shares() -> None:
    borders = draw_folds(0, 1_000_000, folds=4, step=1)[2]
    lengths = np.diff(borders)[:3] / borders[3]
    usual = [SHARES[name] / (1 - SHARES["test"]) for name in ("train", "stop", "calibrate")]
    assert lengths == pytest.approx(usual, abs=1e-5)


def test_a_fold_does_not_hold_what_comes_after_it() -> None:
    candles = walk(16_000, seed=1, echo=0.5)
    seen: list[Dataset] = []

    def learn(dataset: Dataset, number: int) -> Sequence[Scores]:
        assert number == len(seen) + 1
        seen.append(dataset)
        return say_logistic(dataset, number)

    found = walk_forward([candles], learn, origin="test", window=WINDOW, folds=3, terms=TERMS)
    for dataset, fold in zip(seen, found.folds, strict=True):
        assert int(dataset.open_times[-1]) + MINUTE <= dataset.borders[-1]
        assert fold.train.last < fold.test.first
        apart = (milliseconds(fold.test.first) - milliseconds(dataset.calibrate.last)) // MINUTE
        assert apart >= HORIZON + WARM_UP + WINDOW - 1, "a future is over before the next part looks back"
    assert found.total.name == TOTAL
    assert found.total.accuracy.n == sum(fold.line.accuracy.n for fold in found.folds)
    assert (np.diff(found.scores.open_times) > 0).all(), "no minute is judged twice"


def test_a_later_fold_changes_nothing_in_an_earlier_one() -> None:
    candles = walk(16_000, seed=2, echo=0.5)
    turned = _turn(candles, after=draw_folds(0, 16_000, folds=2, step=1)[0][-1])
    one, other = (
        walk_forward([each], say_logistic, origin="test", window=WINDOW, folds=2, terms=TERMS)
        for each in (candles, turned)
    )
    assert one.folds[0].line == other.folds[0].line
    assert one.folds[1].line != other.folds[1].line


def test_what_is_there_to_find_is_found_in_every_fold() -> None:
    found = walk_forward([walk(24_000, seed=3, echo=0.7)], say_logistic, origin="t", window=2, folds=3, terms=TERMS)
    for fold in found.folds:
        assert fold.line.accuracy.low is not None
        assert fold.line.accuracy.low > 0.5


def test_one_fold_is_no_walk() -> None:
    with pytest.raises(CrpbotError, match="at least 2"):
        draw_folds(0, 1_000, folds=1, step=1)


def test_folds_too_short_for_a_window_are_refused_with_the_part_named() -> None:
    with pytest.raises(CrpbotError, match="holds no"):
        walk_forward([walk(6_000, seed=4)], say_logistic, origin="t", window=2, folds=20, terms=TERMS)


def test_stretches_that_give_no_input_are_refused_with_the_longest_named() -> None:
    whole = walk(6_000, seed=4)
    short = [_between(whole, begin, begin + WARM_UP) for begin in range(0, 6_000 - WARM_UP, WARM_UP + 1)]
    with pytest.raises(CrpbotError, match=r"has 300 candles; one window, 300 before it .* need 305"):
        walk_forward(short, say_logistic, origin="t", window=WINDOW, folds=2, terms=TERMS)


def _between(candles: Candles, begin: int, end: int) -> Candles:
    columns = (getattr(candles, name)[begin:end] for name in ("open_times", *COLUMNS))
    return Candles(candles.symbol, candles.interval, *columns)


def _turn(candles: Candles, *, after: int) -> Candles:
    """The same candles with all that follows mirrored: rises become falls."""
    level = candles.close[after - 1]
    columns = [getattr(candles, name).copy() for name in ("open", "high", "low", "close")]
    opened, high, low, close = (level * level / each[after:] for each in columns)
    for column, later in zip(columns, (opened, low, high, close), strict=True):
        column[after:] = later
    return Candles(candles.symbol, candles.interval, candles.open_times, *columns, candles.volume)
