"""Choosing the best of many tries: on noise it means nothing, and the measure says so."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from core.errors import CrpbotError
from core.performance.overfitting import measure_overfitting


def noise(seed: int, *, days: int = 240, trials: int = 20) -> np.ndarray:
    """Daily returns without any skill."""
    return 0.01 * np.random.default_rng(seed).standard_normal((days, trials))


def test_on_noise_half_of_the_choices_fail() -> None:
    found = [measure_overfitting(noise(seed)) for seed in range(30)]
    assert np.mean([each.by_the_book for each in found if each]) == pytest.approx(0.5, abs=0.08)
    assert np.mean([each.probability for each in found if each]) > 0.4


def test_a_truly_better_try_is_no_overfitting() -> None:
    table = noise(1)
    table[:, 7] += 0.005
    found = measure_overfitting(table)
    assert found is not None
    assert (found.probability, found.by_the_book) == pytest.approx((0.0, 0.0), abs=0.005)
    assert (found.trials, found.days, found.blocks, found.splits) == (20, 240, 16, 12_870)


def test_twenty_equally_good_tries_fool_nobody() -> None:
    found = [measure_overfitting(noise(seed) + 0.005) for seed in range(20)]
    assert np.mean([each.by_the_book for each in found if each]) == pytest.approx(0.5, abs=0.1)
    assert max(each.probability for each in found if each) < 0.01


def test_bad_tries_beside_noise_do_not_make_it_pass_by_profit() -> None:
    found = measure_overfitting(noise(3) - 0.01)
    assert found is not None
    assert found.probability == found.by_the_book > 0.2


@pytest.mark.parametrize("trials", [2, 3, 5])
def test_every_split_counts_as_a_plain_loop_counts_it(trials: int) -> None:
    table = noise(trials, days=21, trials=trials)
    parts = np.array_split(np.arange(21), 10)
    overfit = harmful = 0.0
    splits = list(combinations(range(10), 5))
    for chosen in splits:
        rows = np.concatenate([parts[place] for place in chosen])
        others = np.setdiff1d(np.arange(21), rows)
        inside = [column[rows].mean() / column[rows].std() for column in table.T]
        outside = [column[others].mean() / column[others].std() for column in table.T]
        best = int(np.argmax(inside))
        beaten = sum(ratio < outside[best] for ratio in outside)
        place = (beaten + 1) / (trials + 1)
        failed = 1.0 if place < 0.5 else 0.5 if place == 0.5 else 0.0
        overfit += failed
        harmful += failed * (outside[best] <= 0.0)
    found = measure_overfitting(table)
    assert found is not None
    assert (found.by_the_book, found.probability) == pytest.approx((overfit / len(splits), harmful / len(splits)))


def test_one_try_or_few_days_cannot_be_measured() -> None:
    assert measure_overfitting(noise(1, trials=1)) is None
    assert measure_overfitting(noise(1, days=19)) is None
    assert measure_overfitting(noise(1, days=20)) is not None


def test_tries_that_never_trade_are_counted() -> None:
    found = measure_overfitting(np.column_stack([noise(2, trials=1), np.zeros(240)]))
    assert found is not None
    assert found.trials == 2


def test_returns_that_are_none_are_refused() -> None:
    table = noise(1)
    table[3, 3] = np.nan
    with pytest.raises(CrpbotError, match="finite"):
        measure_overfitting(table)
