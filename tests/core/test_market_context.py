"""The market's facts as they were fetched, and the lean against the formula written out row by row."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from core.analyzers import discover, evaluate, market_context
from core.analyzers.market_context import FIELDS, MAX_AGE_SECONDS, analyze
from core.market import Context, join_windows
from tests.accuracy.simulators import windows_of

NAN = np.nan
FACTS = ("cap_change_percent", "dominance_percent", "breadth_fraction", "fear_greed")


def context(cap=1.2, dominance=56.4, breadth=0.6, fear_greed=55.0, age=720.0):
    columns = np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in (cap, dominance, breadth)))
    columns += np.broadcast_arrays(columns[0], *(np.asarray(each, dtype=np.float64) for each in (fear_greed, age)))[1:]
    return Context(*(np.atleast_1d(column).copy() for column in np.broadcast_arrays(*columns)))


def windows_with(market, length=10):
    returns = np.random.default_rng(1).standard_normal((len(market.age_seconds), length))
    return replace(windows_of(returns), market=market)


def reading_of(**facts):
    (reading,) = evaluate(discover()["market_context"], windows_with(context(**facts)))
    return reading


def random_context(rows, seed=5):
    rng = np.random.default_rng([seed, rows])
    columns = [
        3.0 * rng.standard_normal(rows),
        rng.uniform(30.0, 70.0, rows),
        rng.integers(0, 11, rows) / 10,
        rng.integers(0, 101, rows).astype(float),
        rng.uniform(-2_000.0, 40_000.0, rows),
    ]
    return Context(*(np.where(rng.random(rows) < 0.2, NAN, column) for column in columns))


def lean_of(cap, breadth, fear_greed):
    """The docstring's formula for one row, None for an unknown fact."""
    views = [] if cap is None else [cap / 2.0]
    views += [] if breadth is None else [5.0 * breadth - 2.5]
    if not views:
        return 0.0
    if len(views) == 2 and views[0] * views[1] < 0 and min(map(abs, views)) >= 0.9:
        return 0.0
    move = sum(views) / len(views)
    size = min(max(abs(move) - 2.0, 0.0), 1.0)
    crowd = 0.0
    if fear_greed is not None:
        crowd = (fear_greed - 80.0) / 20.0 if move > 0 else (20.0 - fear_greed) / 20.0
    return math.copysign(size * (1.0 - min(max(crowd, 0.0), 1.0) / 3.0), move)


def test_the_facts_are_those_of_the_batch():
    market = random_context(200)
    columns = analyze(windows_with(market))
    known = np.sum([~np.isnan(getattr(market, fact)) for fact in FACTS], axis=0)
    for fact in FACTS:
        np.testing.assert_array_equal(columns[fact], getattr(market, fact), err_msg=fact)
    np.testing.assert_array_equal(columns["age_seconds"], np.where(known, market.age_seconds, NAN))
    np.testing.assert_array_equal(columns["facts_known"], np.where(known, known, NAN))


def test_the_lean_is_the_formula_written_out():
    market = random_context(2_000)
    columns = analyze(windows_with(market))
    clear = 0
    for row in range(2_000):
        facts = [getattr(market, fact)[row] for fact in ("cap_change_percent", "breadth_fraction", "fear_greed")]
        expected = lean_of(*(None if np.isnan(fact) else float(fact) for fact in facts))
        if np.isnan(columns["facts_known"][row]):
            assert np.isnan(columns["lean"][row])
        else:
            assert columns["lean"][row] == pytest.approx(expected, abs=1e-12)
            clear += expected != 0.0
    assert clear > 100, "the formula is put to the test"


@pytest.mark.parametrize(
    ("age", "fresh"),
    [(0.0, 1.0), (MAX_AGE_SECONDS, 1.0), (np.nextafter(MAX_AGE_SECONDS, np.inf), 0.0), (-1.0, 0.0), (NAN, 0.0)],
)
def test_facts_vote_only_while_they_are_fresh(age, fresh):
    reading = reading_of(cap=8.0, breadth=0.9, age=age)
    assert reading.values["fresh"] == fresh
    assert reading.values["lean"] == 1.0, "the facts themselves do not change"
    assert reading.vote == fresh


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_the_crowd_brakes_who_follows_it_and_nobody_else(direction):
    calm, extreme, opposed = (
        reading_of(cap=direction * 5.0, breadth=0.5 + direction * 0.5, fear_greed=50.0 + direction * feeling).vote
        for feeling in (20.0, 50.0, -50.0)
    )
    assert calm == pytest.approx(direction * 0.5)
    assert extreme == pytest.approx(direction * 0.5 * 2 / 3)
    assert opposed == calm


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_few_coins_do_not_make_a_market(direction):
    assert reading_of(cap=direction * 30.0, breadth=0.5 - direction * 0.2).vote == 0.0
    assert reading_of(cap=direction * 30.0, breadth=0.5).vote == direction


def test_a_crowd_alone_never_votes():
    for fear_greed in (0.0, 5.0, 95.0, 100.0):
        assert reading_of(fear_greed=fear_greed).vote == 0.0
        assert reading_of(cap=NAN, breadth=NAN, fear_greed=fear_greed).vote == 0.0


@pytest.mark.parametrize("missing", ["cap", "breadth", "dominance", "fear_greed"])
def test_a_missing_fact_is_left_out_and_named(missing):
    facts = {"cap": 6.0, "breadth": 1.0, missing: NAN}
    name = {"cap": "market cap", "breadth": "breadth", "dominance": "BTC dominance", "fear_greed": "fear & greed"}
    reading = reading_of(**facts)
    assert f"without {name[missing]}" in reading.words
    assert reading.values["facts_known"] == 3.0
    assert reading.vote > 0.3


@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf])
@pytest.mark.parametrize("fact", ["cap", "dominance", "breadth", "fear_greed", "age"])
def test_what_is_no_number_is_unknown(fact, value):
    assert reading_of(**{fact: value}).words == reading_of(**{fact: NAN}).words


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("cap", -100.1),
        ("cap", 1e4),
        ("dominance", 101.0),
        ("breadth", -0.1),
        ("breadth", 56.0),
        ("fear_greed", 101.0),
        ("age", 1.7e9),
    ],
)
def test_a_fact_beyond_its_bounds_is_unknown(fact, value):
    assert reading_of(**{fact: value}).words == reading_of(**{fact: NAN}).words


def test_no_fact_at_all_is_a_problem_not_a_number():
    nothing = {"cap": NAN, "dominance": NAN, "breadth": NAN, "fear_greed": NAN}
    assert reading_of(**nothing).problem == market_context.UNDEFINED
    columns = analyze(windows_with(context(**nothing)))
    assert all(np.isnan(column).all() for column in columns.values())


def test_without_any_context_every_row_says_so():
    windows = windows_of(np.random.default_rng(1).standard_normal((3, 50)))
    for reading in evaluate(discover()["market_context"], windows):
        assert reading.problem == market_context.UNDEFINED
        assert reading.vote == 0.0


@pytest.mark.parametrize("length", [2, 200, 500])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16, 64, 257])
def test_a_row_does_not_see_its_batch(rows, length):
    windows = windows_with(random_context(rows), length)
    together = analyze(windows)
    alone = [analyze(windows.row(row)) for row in range(rows)]
    assert list(together) == list(FIELDS)
    for name, column in together.items():
        assert column.dtype == np.float64
        assert column.shape == (rows,)
        np.testing.assert_array_equal(column, np.concatenate([single[name] for single in alone]), err_msg=name)


def test_joined_windows_are_read_as_each_alone():
    first, second = windows_with(random_context(3)), windows_with(random_context(5))
    joined = analyze(join_windows([first, second]))
    for name, column in joined.items():
        expected = np.concatenate([analyze(first)[name], analyze(second)[name]])
        np.testing.assert_array_equal(column, expected, err_msg=name)


def test_every_number_lies_within_its_bounds_and_the_context_is_not_written():
    edges = [-np.inf, -1e300, -100.0, -1.0, 0.0, 0.5, 1.0, 50.0, 100.0, 1e4, 1e300, np.inf, NAN]
    grids = [grid.ravel() for grid in np.meshgrid(edges, edges, edges, edges)]
    market = Context(grids[0], np.full(len(grids[0]), 50.0), *grids[1:])
    for column in market:
        column.setflags(write=False)
    windows = windows_with(market)
    for name, column in analyze(windows).items():
        found = column[~np.isnan(column)]
        assert np.isfinite(found).all(), name
        assert FIELDS[name].low is None or (found >= FIELDS[name].low).all(), name
        assert FIELDS[name].high is None or (found <= FIELDS[name].high).all(), name
    for reading in evaluate(discover()["market_context"], windows)[::7]:
        assert -1.0 <= reading.vote <= 1.0
        assert 0 < len(reading.words) < 200, reading.words
        assert "nan" not in reading.words.split()


FRESH = "BTC dominance 56.4 %, fear & greed 55, 12 min old."
SENTENCES = [
    (
        {"cap": 6.25, "breadth": 0.9},
        "The whole market rises, go with it: market cap +6.2 % in 24 h, breadth 90 % of coins up, " + FRESH,
        0.5625,
    ),
    (
        {"cap": -6.25, "breadth": 0.1},
        "The whole market falls, go with it: market cap -6.2 % in 24 h, breadth 10 % of coins up, " + FRESH,
        -0.5625,
    ),
    (
        {"cap": 8.0, "breadth": 1.0, "fear_greed": 95.0},
        "The whole market rises, go with it carefully, the crowd is in extreme greed: market cap +8.0 % in 24 h, "
        "breadth 100 % of coins up, BTC dominance 56.4 %, fear & greed 95, 12 min old.",
        0.75,
    ),
    (
        {"cap": -8.0, "breadth": 0.0, "fear_greed": 5.0},
        "The whole market falls, go with it carefully, the crowd is in extreme fear: market cap -8.0 % in 24 h, "
        "breadth 0 % of coins up, BTC dominance 56.4 %, fear & greed 5, 12 min old.",
        -0.75,
    ),
    (
        {"cap": 8.0, "breadth": 0.9, "fear_greed": 12.0},
        "The whole market rises, go with it: market cap +8.0 % in 24 h, breadth 90 % of coins up, "
        "BTC dominance 56.4 %, fear & greed 12, 12 min old.",
        1.0,
    ),
    (
        {},
        "A usual day, no lean: market cap +1.2 % in 24 h, breadth 60 % of coins up, " + FRESH,
        0.0,
    ),
    (
        {"fear_greed": 88.0, "age": 45.0},
        "A usual day, no lean, though in extreme greed: market cap +1.2 % in 24 h, breadth 60 % of coins up, "
        "BTC dominance 56.4 %, fear & greed 88, 45 s old.",
        0.0,
    ),
    (
        {"cap": 9.0, "breadth": 0.2},
        "Mixed, no lean, market cap and breadth disagree: market cap +9.0 % in 24 h, breadth 20 % of coins up, "
        + FRESH,
        0.0,
    ),
    (
        {"cap": 8.0, "age": 30_000.0},
        "Stale, older than 6 h, no vote: market cap +8.0 % in 24 h, breadth 60 % of coins up, "
        "BTC dominance 56.4 %, fear & greed 55, 8.3 h old.",
        0.0,
    ),
    (
        {"cap": 8.0, "age": -90.0},
        "Fetched only after the window's end, no vote: market cap +8.0 % in 24 h, breadth 60 % of coins up, "
        "BTC dominance 56.4 %, fear & greed 55, 90 s after it.",
        0.0,
    ),
    (
        {"cap": 8.0, "age": NAN},
        "Facts of unknown age, no vote: market cap +8.0 % in 24 h, breadth 60 % of coins up, "
        "BTC dominance 56.4 %, fear & greed 55.",
        0.0,
    ),
    (
        {"cap": NAN, "breadth": NAN, "fear_greed": NAN},
        "Neither market cap nor breadth known, no vote: BTC dominance 56.4 %, "
        "without market cap and breadth and fear & greed, 12 min old.",
        0.0,
    ),
]


@pytest.mark.parametrize(("facts", "sentence", "vote"), SENTENCES, ids=[str(facts) for facts, _, _ in SENTENCES])
def test_each_state_has_its_sentence_and_vote(facts, sentence, vote):
    reading = reading_of(**facts)
    assert reading.words == sentence
    assert reading.vote == pytest.approx(vote)
    assert len(sentence) < 200
