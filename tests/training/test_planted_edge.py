"""What can be foreseen is found, and nothing is found where there is nothing: not in noise, not in shuffled labels."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from core.adapters.synthetic.edge import draw_pressure
from core.adapters.synthetic.market import SyntheticMarket
from core.adapters.synthetic.noise import Noise
from core.market import Candles
from training.baselines import LOGISTIC, score_baselines
from training.dataset import Dataset, build_dataset
from training.leak import find_leaks

MINUTE_MS = 60_000
NOW_MS = 1_767_225_600_000  # 2026-01-01
MINUTES = 100_000
# Moves of 15 minutes overlap, and so do the answers: 15,000 windows weigh as much as 1,000 that do not.
CHANCE = 4.0 * 0.5 / np.sqrt(1_000)


def ask(*, edge: bool) -> Candles:
    market = SyntheticMarket(7, edge=edge)
    return asyncio.run(market.latest(["BTC-USD"], "1m", MINUTES, now_ms=NOW_MS))[0]


def build(*, edge: bool) -> Dataset:
    return build_dataset(ask(edge=edge), origin=SyntheticMarket(7, edge=edge).identity, window=60)


def accuracy(dataset: Dataset) -> float:
    """Of the logistic regression over the 31 inputs, on the windows that nobody learned from."""
    (scores,) = (each.scores for each in score_baselines(dataset, dataset.test.rows) if each.name == LOGISTIC)
    return float(((scores.probability > 0.5) == scores.up).mean())


def shuffle(dataset: Dataset) -> Dataset:
    """The labels to learn from, each beside another candle."""
    up = dataset.up.copy()
    up[dataset.train.rows] = np.random.default_rng(1).permutation(up[dataset.train.rows])
    return replace(dataset, up=up)


@pytest.fixture(scope="module")
def planted() -> Dataset:
    return build(edge=True)


def test_a_straight_line_through_the_inputs_finds_nine_tenths_of_what_the_oracle_knows(planted: Dataset) -> None:
    rows = planted.test.rows
    pressure = draw_pressure(Noise(7, "BTC-USD"), planted.open_times[rows] // MINUTE_MS)
    oracle = float(((pressure > 0.0) == (planted.up[rows] > 0.5)).mean())
    assert 0.7 < oracle < 0.8
    assert accuracy(planted) - 0.5 > 0.9 * (oracle - 0.5)


def test_with_shuffled_labels_nothing_is_found(planted: Dataset) -> None:
    assert accuracy(shuffle(planted)) == pytest.approx(0.5, abs=CHANCE)


def test_without_the_edge_nothing_is_found() -> None:
    assert accuracy(build(edge=False)) == pytest.approx(0.5, abs=CHANCE)


def test_the_edge_leaks_through_no_input() -> None:
    assert find_leaks(ask(edge=True)) == ()


def test_an_input_that_is_shown_a_later_close_is_found_out_by_being_too_good() -> None:
    """Without an edge nobody can foresee; whoever does was shown the future, and `find_leaks` says by which column."""
    noise = build(edge=False)
    features = noise.features.copy()
    features[:-10, 5] = np.sign(noise.closes[10:] - noise.closes[:-10])
    assert accuracy(replace(noise, features=features)) > 0.5 + 2.0 * CHANCE
