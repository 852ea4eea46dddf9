"""The posterior of the win rate against published numbers, closed forms, statsmodels and counting one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from core.analyzers import bayesian_win_rate, discover, evaluate
from core.analyzers.bayesian_win_rate import FIELDS, JEFFREYS, UNIFORM, analyze, assess, forget, read, update
from core.market import Record, join_windows
from tests.accuracy.simulators import windows_of

NAN = np.nan


def record(wins, losses, break_even=0.5):
    columns = np.broadcast_arrays(*(np.asarray(column, dtype=np.float64) for column in (wins, losses, break_even)))
    return Record(*(np.atleast_1d(column).copy() for column in columns))


def windows_with(trades, length=10):
    rows = len(trades.wins)
    returns = np.random.default_rng(rows).standard_normal((rows, length))
    return replace(windows_of(returns), record=trades)


def reading_of(wins, losses, break_even=0.5):
    (reading,) = evaluate(discover()["bayesian_win_rate"], windows_with(record(wins, losses, break_even)))
    return reading


def random_record(rows, seed=3):
    rng = np.random.default_rng([seed, rows])
    break_even = np.where(rng.random(rows) < 0.2, NAN, rng.uniform(0.3, 0.7, rows))
    return record(rng.integers(0, 300, rows), rng.integers(0, 300, rows), break_even)


def test_the_births_of_gelman_are_reproduced():
    # Bayesian Data Analysis, chapter 2: 437 girls of 980 births with placenta previa, posterior Beta(438, 544),
    # mean 0.446, 95 % interval 0.415 to 0.477, against the usual share of 0.485.
    found = assess(record(437, 543, 0.485))
    assert (found["alpha"][0], found["beta"][0]) == (438.0, 544.0)
    assert found["win_rate"][0] == pytest.approx(0.446, abs=5e-4)
    assert found["win_rate_low"][0] == pytest.approx(0.415, abs=5e-4)
    assert found["win_rate_high"][0] == pytest.approx(0.477, abs=5e-4)
    assert found["win_rate_high"][0] < 0.485


@pytest.mark.parametrize("count", [1, 5, 20, 400])
def test_wins_alone_have_the_closed_form(count):
    # Beta(n + 1, 1) has the distribution function x^(n + 1).
    found = assess(record(count, 0, 0.6))
    assert found["win_rate_low"][0] == pytest.approx(0.025 ** (1 / (count + 1)), rel=1e-12)
    assert found["win_rate_high"][0] == pytest.approx(0.975 ** (1 / (count + 1)), rel=1e-12)
    assert found["probability_above_break_even"][0] == pytest.approx(1.0 - 0.6 ** (count + 1), rel=1e-12)


def test_every_number_is_that_of_scipys_distribution():
    trades = random_record(50)
    found = assess(trades)
    for row, (wins, losses, break_even) in enumerate(zip(*trades, strict=True)):
        law = scipy.stats.beta(1.0 + wins, 1.0 + losses)
        limit = 0.5 if np.isnan(break_even) else break_even
        assert found["win_rate"][row] == pytest.approx(law.mean(), rel=1e-12)
        ends = found["win_rate_low"][row], found["win_rate_high"][row]
        assert ends == pytest.approx(law.interval(0.95), rel=1e-12)
        assert found["probability_above_break_even"][row] == pytest.approx(law.sf(limit), abs=1e-12)


@pytest.mark.parametrize(("wins", "losses"), [(3, 7), (60, 40), (1, 199)])
def test_jeffreys_interval_is_that_of_statsmodels(wins, losses):
    found = assess(record(wins, losses), JEFFREYS)
    expected = proportion_confint(wins, wins + losses, alpha=0.05, method="jeffreys")
    assert (found["win_rate_low"][0], found["win_rate_high"][0]) == pytest.approx(expected, rel=1e-9)


def test_one_trade_after_the_other_gives_what_all_at_once_gives_in_any_order():
    outcomes = [True] * 12 + [False] * 9
    for seed in range(3):
        posterior = tuple(UNIFORM)
        for won in np.random.default_rng(seed).permutation(outcomes):
            posterior = update(*posterior, won=won)
        found = assess(record(12, 9))
        assert posterior == (found["alpha"][0], found["beta"][0])


def test_forgetting_shrinks_the_trades_towards_the_prior_and_nothing_is_forgotten_at_one():
    assert forget(41.0, 21.0, 1.0) == (41.0, 21.0)
    assert forget(41.0, 21.0, 0.0) == tuple(UNIFORM)
    assert forget(40.5, 20.5, 0.5, JEFFREYS) == (20.5, 10.5)
    posterior = tuple(UNIFORM)
    for _ in range(5_000):
        posterior = update(*forget(*posterior, 0.99), won=True)
    assert posterior == pytest.approx((101.0, 1.0)), "a hundred trades remain at 0.99"


def test_the_trades_still_needed_are_those_found_by_counting():
    rng = np.random.default_rng(8)
    for _ in range(100):
        size = rng.integers(1, 200)
        wins = rng.binomial(size, rng.uniform(0.3, 0.99))
        break_even = rng.uniform(0.05, 0.98)
        found = assess(record(wins, size - wins, break_even))["trades_to_know"][0]
        rate = (1.0 + wins) / (2.0 + size)
        further = np.arange(30_000)
        law = scipy.stats.beta(1.0 + wins + further * rate, 1.0 + size - wins + further * (1.0 - rate))
        enough = law.cdf(break_even) < 0.025
        if rate <= break_even or not enough.any():
            assert not found <= further[-1]
        else:
            assert found == np.argmax(enough)
            assert enough[int(found) :].all(), "known once, known for good"


def test_a_known_answer_needs_no_further_trade_and_an_unreachable_one_has_no_number():
    found = assess(record([90, 30, 500_000, 0, 0], [10, 70, 499_900, 0, 0], [0.5, 0.5, 0.5, 0.5, 0.01]))[
        "trades_to_know"
    ]
    np.testing.assert_array_equal(found, [0.0, NAN, NAN, NAN, NAN])


def test_a_record_without_trades_is_the_prior():
    found = {name: column[0] for name, column in assess(record(0, 0, 0.44)).items()}
    assert found["win_rate"] == 0.5
    assert (found["win_rate_low"], found["win_rate_high"]) == pytest.approx((0.025, 0.975), abs=1e-12)
    assert found["probability_above_break_even"] == pytest.approx(0.56, abs=1e-12)
    assert found["sample_size"] == 0.0
    assert np.isnan(found["trades_to_know"])


def test_an_unknown_break_even_is_one_half_and_marked():
    found = assess(record([12, 12], [8, 8], [NAN, 0.5]))
    np.testing.assert_array_equal(found["break_even"], [0.5, 0.5])
    np.testing.assert_array_equal(found["break_even_known"], [0.0, 1.0])
    assert found["probability_above_break_even"][0] == found["probability_above_break_even"][1]


@pytest.mark.parametrize(("break_even", "chance"), [(-0.2, 1.0), (0.0, 1.0), (1.0, 0.0), (1.4, 0.0), (np.inf, 0.0)])
def test_a_break_even_beyond_all_win_rates_is_cut(break_even, chance):
    # Costs above the reward: no win rate pays.
    found = assess(record(12, 8, break_even))
    assert found["break_even"][0] == 1.0 - chance
    assert found["probability_above_break_even"][0] == chance


@pytest.mark.parametrize(("wins", "losses"), [(NAN, 3), (3, NAN), (-1, 3), (3, -1), (np.inf, 3), (-np.inf, np.inf)])
def test_counts_that_are_none_are_a_problem_not_a_number(wins, losses):
    columns = assess(record(wins, losses))
    assert all(np.isnan(column).all() for column in columns.values())
    assert reading_of(wins, losses).problem == bayesian_win_rate.UNDEFINED


def test_without_any_record_every_row_says_so():
    windows = windows_of(np.random.default_rng(1).standard_normal((3, 50)))
    for reading in evaluate(discover()["bayesian_win_rate"], windows):
        assert reading.problem == bayesian_win_rate.UNDEFINED
        assert reading.vote == 0.0


@pytest.mark.parametrize("length", [2, 200, 500])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16, 64, 257])
def test_a_row_does_not_see_its_batch(rows, length):
    windows = windows_with(random_record(rows), length)
    together = analyze(windows)
    alone = [analyze(windows.row(row)) for row in range(rows)]
    assert list(together) == list(FIELDS)
    for name, column in together.items():
        assert column.dtype == np.float64
        assert column.shape == (rows,)
        np.testing.assert_array_equal(column, np.concatenate([single[name] for single in alone]), err_msg=name)


def test_joined_windows_are_read_as_each_alone():
    first, second = windows_with(random_record(3)), windows_with(random_record(5))
    joined = analyze(join_windows([first, second]))
    for name, column in joined.items():
        expected = np.concatenate([analyze(first)[name], analyze(second)[name]])
        np.testing.assert_array_equal(column, expected, err_msg=name)


def test_every_number_lies_within_its_bounds_and_the_record_is_not_written():
    counts = np.array([0.0, 0.5, 1.0, 2.0, 30.0, 1e3, 1e6, 1e9, 1e15])
    wins, losses, break_even = (axis.ravel() for axis in np.meshgrid(counts, counts, [0.0, 0.01, 0.5, 0.99, 1.0]))
    trades = record(wins, losses, break_even)
    for column in trades:
        column.setflags(write=False)
    for prior in (UNIFORM, JEFFREYS):
        found = assess(trades, prior)
        for name, field in FIELDS.items():
            values = found[name][~np.isnan(found[name])]
            assert np.isfinite(values).all(), name
            assert (values >= field.low).all(), name
            assert field.high is None or (values <= field.high).all(), name
        assert not any(np.isnan(found[name]).any() for name in FIELDS if name != "trades_to_know")
        assert (found["win_rate_low"] <= found["win_rate_high"]).all()


SENTENCES = {
    (0, 0, 0.44): "No closed trade yet, only the prior: any win rate is as likely as any other, break-even 44.0 %.",
    (0, 0, NAN): "No closed trade yet, only the prior: any win rate is as likely as any other, "
    "break-even 50.0 % (assumed).",
    (1, 0, 0.44): "Not decidable yet: win rate 66.7 % (95 % interval 15.8-98.7 %) of 1 closed trade, "
    "break-even 44.0 %; above with chance 0.81, 15 more trades to know.",
    (30, 20, 0.5): "Not decidable yet: win rate 59.6 % (95 % interval 46.1-72.4 %) of 50 closed trades, "
    "break-even 50.0 %; above with chance 0.92, 51 more trades to know.",
    (5001, 5000, 0.5): "Not decidable yet: win rate 50.0 % (95 % interval 49.0-51.0 %) of 10,001 closed trades, "
    "break-even 50.0 %; above with chance 0.50, over 131,072 more trades to know.",
    (
        22,
        28,
        0.5,
    ): "Not decidable yet and rather below: win rate 44.2 % (95 % interval 31.1-57.8 %) of 50 closed trades, "
    "break-even 50.0 %; above with chance 0.20.",
    (130, 70, 0.55): "Above break-even: win rate 64.9 % (95 % interval 58.2-71.3 %) of 200 closed trades, "
    "break-even 55.0 %; a chance of 0.0022 that it is not.",
    (9000, 1000, NAN): "Above break-even: win rate 90.0 % (95 % interval 89.4-90.6 %) of 10,000 closed trades, "
    "break-even 50.0 % (assumed); a chance below 1e-06 that it is not.",
    (70, 130, 0.45): "Below break-even: win rate 35.1 % (95 % interval 28.7-41.8 %) of 200 closed trades, "
    "break-even 45.0 %; a chance of 0.0022 that it is not.",
}


@pytest.mark.parametrize(("trades", "sentence"), SENTENCES.items(), ids=map(str, SENTENCES))
def test_each_state_has_its_sentence_and_none_a_vote(trades, sentence):
    reading = reading_of(*trades)
    assert reading.words == sentence
    assert reading.vote == 0.0
    assert len(sentence) < 200


def test_the_longest_sentence_is_short_enough():
    for trades in [(10**9, 10**9, NAN), (10**9, 10**9 + 1, NAN), (2 * 10**9, 10**9, NAN), (10**9, 2 * 10**9, NAN)]:
        words = reading_of(*trades).words
        assert 0 < len(words) < 200, words


def test_reading_needs_only_what_a_row_always_has():
    values = {name: 0.4 for name in FIELDS if name != "trades_to_know"}
    assert read(values).vote == 0.0
