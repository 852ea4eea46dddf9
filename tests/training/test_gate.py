"""The gate lets skill through, stops luck, and says which number stopped it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.special import betainc

from core.adapters.files.folder import FolderFiles
from core.errors import CrpbotError
from core.models.judgement import HOUSE, Outcome, RuleName, Verdict, read_judgement, write_judgement
from core.performance.better import trades_for_rate
from core.performance.bootstrap import rate_interval
from core.risk.pack import find_pack
from tests.training.gate_cases import AT, TERMS, judge_scores, plant_scores, ruling_on
from training.account import open_account
from training.gate import Candidate, judge, record
from training.gate_losses import keeps_limits
from training.gate_terms import ONE_SIDE
from training.scores import MINUTE, take, trade
from training.trial_register import TrialRegister

SKILLED = plant_scores(1)


def test_skill_passes_every_rule(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, SKILLED)
    assert found.verdict is Verdict.PASS, found.sentence
    assert [each.rule for each in found.rulings] == list(RuleName)
    absent = {each.rule for each in found.rulings if each.outcome is Outcome.NOT_APPLICABLE}
    assert absent == {RuleName.OVERFITTING, RuleName.CHAMPION}
    assert found.trials == 1
    assert found.model == "lstm-0f3a9c1d"


def test_a_coin_fails(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, plant_scores(2, edge=0.0))
    assert found.verdict is Verdict.FAIL
    failed = {each.rule for each in found.rulings if each.outcome is Outcome.FAIL}
    assert failed >= {RuleName.WIN_RATE, RuleName.NET_RETURN, RuleName.CALIBRATION, RuleName.BRIER_SKILL}
    assert failed >= {RuleName.SHARPE, RuleName.DEFLATED_SHARPE}


@pytest.mark.parametrize("rule", list(RuleName))
def test_every_ruling_has_a_sentence_with_an_end(tmp_path: Path, rule: RuleName) -> None:
    for name, scores in (("skilled", SKILLED), ("short", take(SKILLED, np.arange(5)))):
        sentence = ruling_on(judge_scores(tmp_path / name, scores), rule).sentence
        assert sentence.endswith(".")
        assert "nan" not in sentence
        assert "unknown" not in sentence


@pytest.mark.parametrize(
    ("days", "short"),
    [(1.0, {RuleName.TRADES, RuleName.SCORED, RuleName.SHARPE}), (18.0, {RuleName.SCORED, RuleName.SHARPE})],
)
def test_too_little_is_never_a_pass(tmp_path: Path, days: float, short: set[RuleName]) -> None:
    found = judge_scores(tmp_path, plant_scores(3, days=days))
    assert found.verdict is Verdict.INSUFFICIENT
    assert short <= {each.rule for each in found.rulings if each.outcome is Outcome.INSUFFICIENT}


def test_a_model_that_never_trades_is_not_judged_by_its_silence(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, SKILLED, terms=TERMS._replace(threshold=0.99))
    assert found.verdict is Verdict.INSUFFICIENT
    assert "never sure enough" in found.sentence


def test_being_too_sure_fails_by_calibration_alone(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, plant_scores(4, too_sure=0.1))
    assert [each.rule for each in found.rulings if each.outcome is Outcome.FAIL] == [RuleName.CALIBRATION]


def test_costs_above_the_edge_fail_although_the_direction_is_right(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, plant_scores(5, move=0.0015))
    assert ruling_on(found, RuleName.NET_RETURN).outcome is Outcome.FAIL
    rate = ruling_on(found, RuleName.WIN_RATE)
    assert rate.limit > HOUSE[RuleName.WIN_RATE].limit  # the break-even lies above what was asked
    assert rate.outcome is Outcome.FAIL
    assert rate.value == pytest.approx(0.75, abs=0.03)


def test_a_stake_that_the_account_cannot_bear_fails(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, SKILLED, terms=TERMS._replace(stake=3.0))
    failed = {each.rule for each in found.rulings if each.outcome is Outcome.FAIL}
    assert failed == {RuleName.DRAWDOWN, RuleName.DRAWDOWN_RANGE, RuleName.LOSS_LIMITS}


def test_a_stricter_minimum_is_used(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, SKILLED, terms=TERMS._replace(min_accuracy=0.8, max_calibration_error=0.01))
    failed = {each.rule: each.limit for each in found.rulings if each.outcome is Outcome.FAIL}
    assert failed == {RuleName.WIN_RATE: 0.8, RuleName.CALIBRATION: 0.01}


@pytest.mark.parametrize("asked", [{"min_accuracy": 0.5}, {"max_calibration_error": 0.2}])
@pytest.mark.parametrize("seed", [1, 6])
def test_a_weaker_minimum_reports_and_never_promotes(tmp_path: Path, asked: dict[str, float], seed: int) -> None:
    found = judge_scores(tmp_path, plant_scores(seed), terms=TERMS._replace(**asked))
    assert found.verdict is Verdict.FAIL
    assert [each.rule for each in found.rulings if each.outcome is Outcome.FAIL] == [RuleName.MINIMA]
    assert "only reports" in ruling_on(found, RuleName.MINIMA).sentence
    assert read_judgement(write_judgement(found)) == found


def test_what_is_not_registered_is_not_judged(tmp_path: Path) -> None:
    register = TrialRegister(FolderFiles(tmp_path))
    candidate = Candidate("lstm-1", "lstm", (SKILLED,), {})
    with pytest.raises(CrpbotError, match="not in the trial register"):
        judge(candidate, TERMS, register=register, at=AT)
    for found in record(candidate, TERMS._replace(threshold=0.7), at=AT):
        register.register(found)
    with pytest.raises(CrpbotError, match="not in the trial register"):
        judge(candidate, TERMS, register=register, at=AT)


def test_judging_again_counts_no_try_and_says_the_same(tmp_path: Path) -> None:
    first = judge_scores(tmp_path, SKILLED)
    assert judge_scores(tmp_path, SKILLED) == first


def test_more_tries_make_luck_larger(tmp_path: Path) -> None:
    idle = tuple(plant_scores(100 + number, edge=0.0) for number in range(8))
    found = judge_scores(tmp_path, SKILLED, others=idle)
    assert found.trials == 9
    alone = ruling_on(judge_scores(tmp_path / "alone", SKILLED), RuleName.DEFLATED_SHARPE)
    assert ruling_on(found, RuleName.DEFLATED_SHARPE).value < alone.value
    compared = ruling_on(found, RuleName.OVERFITTING)
    assert (compared.outcome, compared.n) == (Outcome.PASS, 9)


@pytest.mark.parametrize("before", [(), (-3.0, 3.0), (-0.5,)], ids=["alone", "beside wild ones", "beside a loss"])
def test_tries_that_never_traded_do_not_make_luck_smaller(tmp_path: Path, before: tuple[float, ...]) -> None:
    register = TrialRegister(FolderFiles(tmp_path))
    candidate = Candidate("lstm-1", "lstm", (SKILLED,), {})
    (own,) = record(candidate, TERMS, at=AT)
    days = np.random.default_rng(3).normal(size=len(own.daily_returns))
    for number, drift in enumerate(before):
        register.register(replace(own, name=f"wild-{number}", daily_returns=tuple(0.01 * (days + drift))))
    register.register(own)
    told = []
    for number in range(12):
        told.append(ruling_on(judge(candidate, TERMS, register=register, at=AT), RuleName.DEFLATED_SHARPE))
        register.register(replace(own, name=f"idle-{number}", daily_returns=(0.0,) * len(days)))
    sure = [each.value for each in told]
    assert [each.n for each in told] == list(range(len(before) + 1, len(before) + 13))
    assert sure == sorted(sure, reverse=True)
    assert sure[-1] < sure[0]


def test_the_best_of_many_coins_is_not_chosen_rightly(tmp_path: Path) -> None:
    free = TERMS._replace(round_trip=0.0, threshold=0.6)
    coins = [plant_scores(200 + number, edge=0.0) for number in range(20)]
    results = [record(Candidate("lstm-1", "lstm", (coin,), {}), free, at=AT)[0].trial.daily_sharpe for coin in coins]
    best = int(np.argmax(results))
    others = tuple(coin for number, coin in enumerate(coins) if number != best)
    found = judge_scores(tmp_path, coins[best], terms=free, others=others)
    assert found.verdict is Verdict.FAIL
    assert ruling_on(found, RuleName.SHARPE).outcome is Outcome.PASS  # a Sharpe ratio above 1 alone would promote it
    assert ruling_on(found, RuleName.DEFLATED_SHARPE).outcome is Outcome.FAIL


def test_equally_good_tries_do_not_stop_each_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    others = tuple(take(SKILLED, np.sort(rng.permutation(len(SKILLED.up))[:2_500])) for _ in range(5))
    found = judge_scores(tmp_path, SKILLED, others=others)
    assert ruling_on(found, RuleName.OVERFITTING).n == 6
    assert found.verdict is Verdict.PASS, found.sentence


def test_tries_on_other_days_are_counted_but_not_compared(tmp_path: Path) -> None:
    moved = plant_scores(7)
    later = moved._replace(open_times=moved.open_times + 100 * 1_440 * MINUTE)
    ruling = ruling_on(judge_scores(tmp_path, SKILLED, others=(later,)), RuleName.OVERFITTING)
    assert (ruling.outcome, ruling.n) == (Outcome.NOT_APPLICABLE, 1)
    assert "1 on other days" in ruling.sentence


def test_losses_in_another_market_make_no_luck_in_this(tmp_path: Path) -> None:
    register = TrialRegister(FolderFiles(tmp_path))
    noise = Candidate("lstm-noise", "lstm", (plant_scores(12, edge=-0.5),), {"origin": "synthetic-7"})
    edge = Candidate("lstm-edge", "lstm", (SKILLED,), {"origin": "synthetic-7-edge"})
    for found in (*record(noise, TERMS, at=AT), *record(edge, TERMS, at=AT)):
        register.register(found)
    judgement = judge(edge, TERMS, register=register, at=AT)
    assert (judgement.trials, judgement.verdict) == (1, Verdict.PASS)


def test_a_worse_champion_is_beaten(tmp_path: Path) -> None:
    weaker = SKILLED._replace(probability=plant_scores(8).probability)
    found = judge_scores(tmp_path, SKILLED, champion=(weaker,))
    assert ruling_on(found, RuleName.CHAMPION).outcome is Outcome.PASS
    assert found.verdict is Verdict.PASS
    assert found.champion == "lstm-00000000"


def test_a_champion_that_says_the_same_stays(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, SKILLED, champion=(SKILLED,))
    assert [each.rule for each in found.rulings if each.outcome is Outcome.FAIL] == [RuleName.CHAMPION]


def test_a_champion_on_other_candles_leaves_it_open(tmp_path: Path) -> None:
    champion = take(SKILLED, np.arange(1_000))
    assert judge_scores(tmp_path, SKILLED, champion=(champion,)).verdict is Verdict.INSUFFICIENT
    elsewhere = SKILLED._replace(open_times=SKILLED.open_times + MINUTE)
    assert judge_scores(tmp_path, SKILLED, champion=(elsewhere,)).verdict is Verdict.INSUFFICIENT
    silent = judge_scores(tmp_path, SKILLED, champion=(take(SKILLED, np.arange(0)),))
    assert silent.verdict is Verdict.INSUFFICIENT
    said = ruling_on(silent, RuleName.CHAMPION).sentence
    assert "both spoke of 0 of the same candles that share no future" in said
    assert "2,000 are needed" in said


def test_every_symbol_must_pass(tmp_path: Path) -> None:
    good = plant_scores(1, symbol="ETH-USD")
    found = judge_scores(tmp_path, SKILLED, good)
    assert (found.verdict, found.symbol, len(found.rulings)) == (Verdict.PASS, "BTC-USD,ETH-USD", 2 * len(RuleName))
    bad = plant_scores(1, symbol="SOL-USD", edge=0.0)
    assert judge_scores(tmp_path / "other", SKILLED, bad).verdict is Verdict.FAIL


ACCOUNT = (RuleName.DRAWDOWN, RuleName.DRAWDOWN_RANGE, RuleName.LOSS_LIMITS)
COINS = ("BTC-USD", "ETH-USD", "SOL-USD")


def test_coins_that_fall_together_break_the_limits_that_coins_apart_keep(tmp_path: Path) -> None:
    """With the same stake of the account, and coins that each by itself are as good."""
    terms = TERMS._replace(stake=1.5)
    alone = judge_scores(tmp_path / "alone", SKILLED, terms=terms)
    alike = judge_scores(tmp_path / "alike", *(SKILLED._replace(symbol=coin) for coin in COINS), terms=terms)
    free = [plant_scores(1 + place, symbol=coin) for place, coin in enumerate(COINS)]
    apart = judge_scores(tmp_path / "apart", *free, terms=terms)
    assert (alone.verdict, alike.verdict, apart.verdict) == (Verdict.FAIL, Verdict.FAIL, Verdict.PASS)
    for rule in ACCOUNT:
        single, together, mixed = (
            {each.value for each in found.rulings if each.rule is rule} for found in (alone, alike, apart)
        )
        assert len(together) == len(mixed) == 1, "one account, however many coins"
        assert together.pop() == pytest.approx(single.pop(), rel=0.1)
    (limits,) = {each.sentence for each in apart.rulings if each.rule is RuleName.LOSS_LIMITS}
    assert "of one account with all 3 coins, 50.0 % of it in each trade," in limits


def test_a_coin_that_ruins_the_account_fails_it_for_every_coin(tmp_path: Path) -> None:
    losing = plant_scores(1, symbol="SOL-USD", edge=-1.0, move=0.02)
    found = judge_scores(tmp_path, SKILLED, losing, terms=TERMS._replace(stake=1.0))
    failed = {each.rule for each in found.rulings if each.symbol == SKILLED.symbol and each.outcome is Outcome.FAIL}
    assert failed == set(ACCOUNT)


def test_what_ends_at_the_same_instant_is_one_step_of_the_account() -> None:
    other = SKILLED._replace(symbol="ETH-USD")
    trades = [trade(each, threshold=0.65, round_trip=0.001, horizon=15) for each in (SKILLED, other)]
    one = open_account([SKILLED], trades[:1], 0.25)
    both = open_account([SKILLED, other], trades, 0.25)
    np.testing.assert_array_equal(one.returns, 0.25 * trades[0].net)
    np.testing.assert_array_equal(both.left, one.left)
    np.testing.assert_allclose(both.returns, one.returns, rtol=1e-12)
    assert (one.share, both.share, both.trades) == (0.25, 0.125, 2 * one.trades)


def test_predictions_each_minute_are_not_counted_fifteen_times(tmp_path: Path) -> None:
    found = judge_scores(tmp_path, plant_scores(11, days=10, minutes=1))
    assert ruling_on(found, RuleName.SCORED).n == 960
    assert found.verdict is Verdict.INSUFFICIENT


@pytest.mark.parametrize(
    "terms", [{"min_accuracy": float("nan")}, {"stake": 0.0}, {"pack": "nobody"}, {"max_calibration_error": -1.0}]
)
def test_terms_that_cannot_be_are_refused(terms: dict[str, float]) -> None:
    with pytest.raises(CrpbotError):
        record(Candidate("lstm-1", "lstm", (SKILLED,), {}), TERMS._replace(**terms), at=AT + timedelta(days=1))


def test_a_model_without_scores_is_refused() -> None:
    with pytest.raises(CrpbotError, match="none"):
        record(Candidate("lstm-1", "lstm", (take(SKILLED, np.arange(0)),), {}), TERMS, at=AT)


@pytest.mark.parametrize(("wins", "n"), [(40, 50), (77, 100), (148, 200), (358, 500), (705, 1_000)])
def test_so_many_wins_show_68_percent_and_one_less_does_not(wins: int, n: int) -> None:
    # Clopper-Pearson, one-sided 95 %; to three digits, as the counts were rounded
    assert round(rate_interval(wins, n, tail=ONE_SIDE)[0], 2) >= 0.68
    assert rate_interval(wins - 1, n, tail=ONE_SIDE)[0] < 0.68


@pytest.mark.parametrize(
    ("rate", "benchmark", "needed"),
    [(0.75, 0.68, 270), (0.72, 0.68, 820), (0.70, 0.68, 3_340), (0.53, 0.50, 1_820), (0.52, 0.50, 3_920)],
)
def test_the_trades_that_power_needs_are_known(rate: float, benchmark: float, needed: int) -> None:
    assert trades_for_rate(rate, benchmark, tail=ONE_SIDE) == pytest.approx(needed, rel=0.06)


def test_twenty_trades_say_nothing_and_two_hundred_do() -> None:
    # the chance of a coin to show 68 % or more: at least 14 heads of 20, or 136 of 200
    assert betainc(14, 7, 0.5) == pytest.approx(0.058, abs=0.001)
    assert betainc(136, 65, 0.5) < 1e-6


def test_limits_are_those_of_the_pack_and_count_from_midnight() -> None:
    static, trailing = find_pack("ftmo-2step-challenge"), find_pack("ftmo-1step")
    results = np.array([[0.04, 0.04, -0.02], [0.0, 0.0, 0.0], [-0.04, -0.04, -0.03], [0.06, -0.02, -0.02]])
    lowest = np.minimum(results, 0.0)
    lowest[1, 1] = -0.05  # won back by the evening, but touched
    assert keeps_limits(results, lowest, static).tolist() == [True, False, False, True]
    falling = np.array([[0.05, -0.025, -0.025, -0.025, -0.0249], [0.05, -0.025, -0.025, -0.025, -0.025]])
    assert keeps_limits(falling, np.minimum(falling, 0.0), trailing).tolist() == [True, False]
    assert keeps_limits(falling, np.minimum(falling, 0.0), static).all()
