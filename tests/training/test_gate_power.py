"""How often the gate is right, counted in simulations: skill of known size passes, the best of many coins never."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.models.judgement import Outcome, RuleName, Verdict
from core.performance.better import trades_for_rate
from tests.training.gate_cases import AT, TERMS, judge_scores, plant_scores, ruling_on
from training.gate import Candidate, record
from training.gate_skill import rule_win_rate
from training.gate_terms import ONE_SIDE, Case
from training.scores import daily_returns, take, trade

pytestmark = pytest.mark.slow

SEARCHES, TRIES = 20, 20
STRATEGIES = 40


def test_the_best_of_twenty_coins_is_never_promoted(tmp_path: Path) -> None:
    terms = TERMS._replace(round_trip=0.0)  # as if trading were free: with costs they lose anyway
    for search in range(SEARCHES):
        coins = [plant_scores(1_000 + search * TRIES + number, edge=0.0) for number in range(TRIES)]
        tries = [record(Candidate("lstm-1", "lstm", (coin,), {}), terms, at=AT)[0].trial for coin in coins]
        best = int(np.argmax([each.daily_sharpe for each in tries]))
        others = tuple(coin for number, coin in enumerate(coins) if number != best)
        found = judge_scores(tmp_path / str(search), coins[best], terms=terms, others=others)
        assert found.verdict is not Verdict.PASS


def test_models_that_are_right_three_times_in_four_pass_with_2_000_trades(tmp_path: Path) -> None:
    found = [judge_scores(tmp_path / str(seed), plant_scores(seed, days=30)) for seed in range(STRATEGIES)]
    trades = [ruling_on(each, RuleName.TRADES).n for each in found]
    assert 2_000 < np.mean(trades) < 2_500
    passed = sum(each.verdict is Verdict.PASS for each in found)
    assert passed >= 0.85 * STRATEGIES, [each.sentence for each in found if each.verdict is not Verdict.PASS]


def test_the_predicted_number_of_trades_shows_the_win_rate_in_four_of_five() -> None:
    needed = trades_for_rate(0.75, 0.68, tail=ONE_SIDE)
    assert needed == 283
    shown = []
    for seed in range(STRATEGIES):
        scores = plant_scores(500 + seed, days=28)
        trades = trade(scores, threshold=TERMS.threshold, round_trip=TERMS.round_trip, horizon=15)
        for begin in range(0, len(trades.rows) - needed + 1, needed):
            part = take(scores, trades.rows[begin : begin + needed])
            own = trade(part, threshold=TERMS.threshold, round_trip=TERMS.round_trip, horizon=15)
            case = Case(part, part, own, daily_returns(own, part, stake=TERMS.stake), TERMS)
            shown.append(rule_win_rate(case).outcome is Outcome.PASS)
    assert len(shown) >= 200
    assert np.mean(shown) == pytest.approx(0.8, abs=0.09)
