"""Trades made of scores: one at a time, at the close that was seen, after costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CrpbotError
from tests.training.gate_cases import BEGIN, plant_scores
from training.scores import DAY, MINUTE, Scores, daily_returns, thin, trade


def scores(probability: list[float], move: list[float], *, minutes: list[int] | None = None) -> Scores:
    """Scores minute by minute."""
    places = np.arange(len(move)) if minutes is None else np.array(minutes)
    times = BEGIN + MINUTE * places.astype(np.int64)
    return Scores("BTC-USD", times, np.array(probability), np.array(move) > 0.0, np.array(move))


def test_a_trade_goes_the_way_the_model_leans_and_pays_its_costs() -> None:
    found = trade(scores([0.8, 0.2], [0.01, -0.02], minutes=[0, 60]), threshold=0.7, round_trip=0.001, horizon=15)
    assert found.side.tolist() == [1.0, -1.0]
    assert found.net == pytest.approx([np.expm1(0.01) - 0.001, -np.expm1(-0.02) - 0.001])
    assert found.entered.tolist() == [BEGIN + MINUTE, BEGIN + 61 * MINUTE]
    assert found.left.tolist() == [BEGIN + 16 * MINUTE, BEGIN + 76 * MINUTE]
    assert found.right.all()


def test_the_threshold_itself_opens_a_trade_and_less_does_not() -> None:
    found = trade(
        scores([0.65, 0.35, 0.6499], [0.01] * 3, minutes=[0, 20, 40]), threshold=0.65, round_trip=0, horizon=15
    )
    assert found.rows.tolist() == [0, 1]


def test_a_price_that_stands_still_is_no_hit() -> None:
    assert not trade(
        scores([0.9, 0.1], [0.0, 0.0], minutes=[0, 20]), threshold=0.5, round_trip=0, horizon=15
    ).right.any()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=200), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_no_trade_begins_before_the_last_has_ended(steps: list[int], horizon: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    minutes = np.cumsum(steps).tolist()
    asked = scores(rng.random(len(steps)).tolist(), rng.standard_normal(len(steps)).tolist(), minutes=minutes)
    found = trade(asked, threshold=0.6, round_trip=0.0, horizon=horizon)
    assert (found.entered[1:] >= found.left[:-1]).all()
    sure = np.flatnonzero(np.maximum(asked.probability, 1 - asked.probability) >= 0.6)
    busy = [
        ((found.entered <= asked.open_times[row] + MINUTE) & (asked.open_times[row] + MINUTE < found.left))
        for row in sure
    ]
    assert all(each.any() for each in busy)  # whoever was passed over came while a trade ran


def test_thinned_scores_share_no_future() -> None:
    asked = scores([0.5] * 100, [0.01] * 100, minutes=[*range(50), *range(200, 250)])
    found = thin(asked, horizon=15)
    assert ((found.open_times - BEGIN) // MINUTE).tolist() == [0, 15, 30, 45, 200, 215, 230, 245]


def test_a_day_has_what_closed_on_it_and_days_without_are_there() -> None:
    begin = -(-BEGIN // DAY) * DAY
    times = np.array([begin, begin + DAY - MINUTE, begin + 3 * DAY], dtype=np.int64)
    asked = Scores("BTC-USD", times, np.array([0.9, 0.9, 0.1]), np.ones(3, dtype=bool), np.log([1.01, 1.02, 1.03]))
    trades = trade(asked, threshold=0.5, round_trip=0.001, horizon=15)
    assert daily_returns(trades, asked, stake=0.5) == pytest.approx([0.0045, 0.0095, 0.0, -0.0155])


def test_nobody_loses_more_than_all() -> None:
    asked = scores([0.1], [2.0])
    trades = trade(asked, threshold=0.5, round_trip=0.0, horizon=15)
    assert daily_returns(trades, asked, stake=1.0).min() == -1.0


def test_no_sure_score_makes_no_trade() -> None:
    asked = plant_scores(1, days=2)
    trades = trade(asked, threshold=0.99, round_trip=0.001, horizon=15)
    assert len(trades.net) == 0
    assert not daily_returns(trades, asked, stake=1.0).any()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"probability": np.array([0.5, 1.01])}, "probability"),
        ({"probability": np.array([0.5, np.nan])}, "probability"),
        ({"move": np.array([0.0, np.nan])}, "move"),
        ({"open_times": np.array([BEGIN, BEGIN])}, "row 1"),
        ({"up": np.array([True])}, "up"),
    ],
)
def test_scores_that_cannot_be_are_refused(changed: dict[str, np.ndarray], told: str) -> None:
    with pytest.raises(CrpbotError, match=told):
        trade(scores([0.5, 0.6], [0.01, 0.02])._replace(**changed), threshold=0.5, round_trip=0.0, horizon=15)


@pytest.mark.parametrize(
    ("threshold", "round_trip", "horizon"), [(0.4, 0, 15), (1.1, 0, 15), (0.5, -1, 15), (0.5, 0, 0)]
)
def test_terms_that_cannot_be_are_refused(threshold: float, round_trip: float, horizon: int) -> None:
    with pytest.raises(CrpbotError):
        trade(scores([0.5], [0.01]), threshold=threshold, round_trip=round_trip, horizon=horizon)
