"""How the market's facts come to the windows: each window gets what was known at its end."""

from __future__ import annotations

import math

import numpy as np

from core.analyzers import discover, evaluate
from core.context import Facts, join_facts
from core.market import Context, stack_windows
from tests.fakes import walk_candles

FACTS = Facts(1.2, 56.4, 0.6, 55.0, fetched_at_ms=1_000_000)


def test_each_row_gets_its_facts_and_their_age() -> None:
    later = Facts(-3.0, 50.0, math.nan, 20.0, fetched_at_ms=1_500_000)
    context = join_facts([FACTS, later, None], np.array([1_600_000, 1_500_000, 1_600_000]))
    expected = Context(
        np.array([1.2, -3.0, math.nan]),
        np.array([56.4, 50.0, math.nan]),
        np.array([0.6, math.nan, math.nan]),
        np.array([55.0, 20.0, math.nan]),
        np.array([600.0, 0.0, math.nan]),
    )
    for column, wanted in zip(context, expected, strict=True):
        np.testing.assert_array_equal(column, wanted)
        assert column.dtype == np.float64


def test_facts_from_after_the_windows_end_are_not_for_it() -> None:
    context = join_facts([FACTS, FACTS], np.array([999_999, 1_000_000]))
    for column in context:
        assert np.isnan(column).tolist() == [True, False]


def test_the_theory_reads_them() -> None:
    windows = stack_windows([walk_candles()], 250)
    as_of = int(windows.as_of[0])
    facts = Facts(-7.0, 56.4, 0.0, 55.0, fetched_at_ms=as_of - 240_000)
    market = join_facts([facts], windows.as_of)
    joined = type(windows)(windows.symbols, windows.interval, windows.open_times, windows.block, (), None, market)
    (reading,) = evaluate(discover()["market_context"], joined)
    assert reading.vote == -1.0
    assert reading.words.endswith("BTC dominance 56.4 %, fear & greed 55, 4 min old.")
