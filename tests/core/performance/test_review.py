"""The review repeats the rule and says beside it what the trades allow to say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.errors import CrpbotError
from core.performance.measure import measure
from core.performance.review import Advice, Reached, review
from core.performance.sample import Decided, Estimate, Method, span_of
from tests.core.performance_cases import CAPITAL, by_days, history


def signals_of(trades, *, unfilled: int = 0) -> list[Decided]:
    """The signals behind trades, and some that never were filled."""
    of = [*trades, *trades[:unfilled]]
    return [
        Decided(trade.opened_at, trade.symbol, trade.strategy, None, trade.tier, trade.direction, trade.confidence)
        for trade in of
    ]


def reviewed(sharpe: float | None, low: float | None, high: float | None, *, trades: int = 60):
    made = history(1, trades)
    found = measure(made, span_of(made, CAPITAL), resamples=0)
    return review(replace(found, sharpe=Estimate(sharpe, low, high, trades, Method.BOOTSTRAP)), signals_of(made))


@pytest.mark.parametrize(
    ("sharpe", "low", "high", "advice", "decided"),
    [
        (0.5, 0.1, 0.9, Advice.IMPROVE, True),
        (0.5, -1.0, 2.0, Advice.IMPROVE, False),
        (1.0, 0.5, 1.6, Advice.ONE_MORE_WEEK, False),
        (1.5, 1.4, 1.6, Advice.ONE_MORE_WEEK, False),
        (1.25, 1.1, 1.4, Advice.ONE_MORE_WEEK, True),
        (1.51, 1.505, 1.52, Advice.KEEP, True),
        (3.0, -1.0, 7.0, Advice.KEEP, False),
    ],
)
def test_the_rule_and_whether_it_is_proven(sharpe, low, high, advice: Advice, decided: bool) -> None:
    found = reviewed(sharpe, low, high)
    assert (found.advice, found.decided) == (advice, decided)
    assert ("prove it" in found.words) is decided
    assert decided or f"{sharpe:.2f}" in found.words


def test_an_open_advice_says_how_many_trades_are_missing() -> None:
    found = reviewed(3.0, -1.0, 7.0)
    error = 4.0 / 1.959964
    assert found.trades_needed == pytest.approx(60 * ((2.80159 * error / 1.5) ** 2 - 1), rel=0.01)
    assert f"about {found.trades_needed:,} more trades" in found.words


def test_a_ratio_on_the_bound_can_never_be_decided() -> None:
    found = reviewed(1.0, 0.5, 1.6)
    assert found.trades_needed is None
    assert "nor in any number" in found.words


def test_below_twenty_trades_the_rule_is_silent() -> None:
    found = reviewed(2.0, 1.0, 3.0, trades=19)
    assert (found.advice, found.trades_needed, found.decided) == (Advice.TOO_FEW, 1, False)
    assert "from 20 trades on" in found.words
    silent = reviewed(None, None, None)
    assert (silent.advice, silent.trades_needed) == (Advice.TOO_FEW, None)
    assert "No Sharpe ratio" in silent.words
    assert "no interval yet" in reviewed(1.2, None, None).words


def test_targets_stand_against_what_was_reached() -> None:
    trades, span = by_days(np.where(np.arange(400) % 5 < 4, 0.002, -0.003))
    found = review(measure(trades, span), signals_of(trades, unfilled=100))
    reached = {target.name: (target.reached, round(target.finding.estimate.value, 3)) for target in found.targets}
    assert reached == {
        "win_rate": (Reached.MET, 0.8),
        "mean_confidence": (Reached.LOOKS_MET, 0.7),
        "false_positives": (Reached.MET, 0.16),
    }
    few = history(2, 25, win_rate=0.45)
    found = review(measure(few, span_of(few, CAPITAL)), signals_of(few))
    assert {target.reached for target in found.targets} <= {
        Reached.LOOKS_MISSED,
        Reached.LOOKS_MET,
        Reached.MISSED,
        Reached.MET,
    }
    nothing = review(measure([], span), [])
    assert {target.reached for target in nothing.targets} == {Reached.UNKNOWN}


def test_fewer_signals_than_trades_are_refused() -> None:
    trades = history(2, 25)
    with pytest.raises(CrpbotError, match="each trade comes from a signal"):
        review(measure(trades, span_of(trades, CAPITAL)), signals_of(trades[:3]))
