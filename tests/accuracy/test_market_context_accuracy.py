"""The market's facts are joined, not estimated: equal to a plain recomputation, silent on usual days, clear on large.

The contexts are simulated here; what a day's size is (2 % of the capitalisation, 0.2 of the breadth) is the goal's own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.analyzers import discover, evaluate
from core.market import Context
from tests.accuracy.simulators import Floats, windows_of

THEORY = "market_context"
# A context costs nothing beside a window: so many more than the windows of the other theories.
MORE = 10


def windows_in(market: Context):
    return replace(windows_of(np.ones((len(market.age_seconds), 2))), market=market)


def votes_in(market: Context) -> Floats:
    return np.array([reading.vote for reading in evaluate(discover()[THEORY], windows_in(market))])


def usual_days(rng: np.random.Generator, rows: int, kind: str) -> Context:
    """Fresh contexts without anything to say. One move behind both views is the hardest case: nothing averages out."""
    move = rng.standard_normal(rows)
    other = rng.standard_normal(rows)
    if kind == "fat tails":
        move = other = rng.standard_t(4, rows) / np.sqrt(2.0)
    elif kind == "one move behind both":
        other = move
    breadth = np.clip(0.5 + 0.2 * other, 0.0, 1.0)
    facts = [2.0 * move, rng.uniform(35.0, 65.0, rows), breadth, rng.uniform(20.0, 80.0, rows)]
    if kind == "market cap alone":
        facts[2] = np.full(rows, np.nan)
    if kind == "breadth alone":
        facts[0] = np.full(rows, np.nan)
    return Context(*facts, rng.uniform(0.0, 21_600.0, rows))


@pytest.mark.parametrize(
    "kind", ["independent", "one move behind both", "fat tails", "market cap alone", "breadth alone"]
)
def test_usual_days_get_no_vote(kind, rng, count, score):
    quiet = np.mean(np.abs(votes_in(usual_days(rng, MORE * count, kind))) <= 0.1)
    score(f"|vote| <= 0.1 on usual days, {kind}", goal=">= 95 %", ours=f"{100 * quiet:.1f} %")
    assert quiet >= 0.95


@pytest.mark.parametrize("crowd", ["any", "the same extreme"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_large_days_get_a_clear_vote_with_them(direction, crowd, rng, count, score):
    # Three usual days of capitalisation and more, nine coins of ten and more.
    fear_greed = rng.uniform(0.0, 100.0, count) if crowd == "any" else 50.0 + direction * rng.uniform(40.0, 50.0, count)
    market = Context(
        direction * rng.uniform(6.0, 12.0, count),
        rng.uniform(35.0, 65.0, count),
        0.5 + direction * rng.uniform(0.4, 0.5, count),
        fear_greed,
        rng.uniform(0.0, 21_600.0, count),
    )
    found = direction * votes_in(market)
    clear = np.mean(found > 0.3)
    score(
        f"vote beyond 0.3 on large days {direction:+.0f}, crowd: {crowd}",
        goal="all",
        ours=f"{100 * clear:.1f} %, median {np.median(found):.2f}",
    )
    assert clear == 1.0


def test_the_facts_equal_a_plain_recomputation(rng, count, score):
    market = usual_days(rng, count, "independent")
    unknown = rng.random((5, count)) < 0.2
    market = Context(*(np.where(hidden, np.nan, column) for hidden, column in zip(unknown, market, strict=True)))
    columns = discover()[THEORY].analyze(windows_in(market))
    worst = 0.0
    for row, facts in enumerate(zip(*market, strict=True)):
        cap, dominance, breadth, fear_greed, age = (None if np.isnan(fact) else float(fact) for fact in facts)
        views = ([cap / 2.0] if cap is not None else []) + ([5.0 * breadth - 2.5] if breadth is not None else [])
        known = [fact for fact in (cap, dominance, breadth, fear_greed) if fact is not None]
        expected = {
            "market_move": sum(views) / len(views) if views else None,
            "cap_change_percent": cap,
            "dominance_percent": dominance,
            "breadth_fraction": breadth,
            "fear_greed": fear_greed,
            "facts_known": len(known) or None,
            "age_seconds": age if known else None,
            "fresh": float(age is not None) if known else None,
        }
        for name, value in expected.items():
            found = columns[name][row]
            assert np.isnan(found) == (value is None), name
            worst = max(worst, 0.0 if value is None else abs(found - value))
    score("difference to a plain recomputation of the facts", goal="<= 1e-12", ours=f"{worst:.0e}")
    assert worst <= 1e-12


def test_facts_that_are_stale_or_from_later_never_vote(rng, count, score):
    large = np.full(count, 10.0), np.full(count, 55.0), np.full(count, 1.0), np.full(count, 60.0)
    old = votes_in(Context(*large, 21_601.0 + rng.exponential(50_000.0, count)))
    later = votes_in(Context(*large, -1.0 - rng.exponential(5_000.0, count)))
    score("votes of stale facts and of facts from later", goal="0", ours=f"{np.abs([old, later]).max():.0f}")
    assert not old.any()
    assert not later.any()
