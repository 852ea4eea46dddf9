"""A theory's worth is what changes without it, and only proven worth is called so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from core.errors import CrpbotError
from core.performance.contribution import Choice, Judged, Role, contribute
from core.signal import Signal, Synthesis
from core.trade import Direction
from tests.core.decisions import NOON, decision

BASE = replace(decision(0), synthesis=Synthesis.RULES, timings_ms={"good": 2.0, "idle": 8.0})


def judge(number: int, pnl: float, **changes: object) -> Judged:
    at = NOON + timedelta(minutes=5 * number)
    signal = replace(BASE, id=f"s-{number:05d}", timestamp=at, **changes)
    return Judged(signal, at + timedelta(hours=1), pnl)


def same(signal: Signal, confidence: float = 0.6) -> Choice:
    return Choice(signal.direction, confidence)


def test_without_a_theory_that_made_the_trade_its_result_is_gone() -> None:
    rng = np.random.default_rng(0)
    judged = [judge(number, float(rng.normal(40.0, 50.0))) for number in range(300)]

    def decide(theory: str, signal: Signal) -> Choice:
        odd = int(signal.id[-1]) % 2
        return Choice(Direction.HOLD, 0.5) if theory == "good" and odd else same(signal, 0.5)

    good, idle = contribute(judged, ["idle", "good"], decide)
    assert (good.theory, good.role, good.trades_made, good.changed) == ("good", Role.DRIVES, 150, 150)
    made = [each.pnl_usd for each in judged if int(each.signal.id[-1]) % 2]
    assert good.pnl_usd.value == pytest.approx(sum(made))
    assert good.winners_made == sum(result > 0 for result in made)
    assert good.share.value == pytest.approx(sum(made) / sum(each.pnl_usd for each in judged))
    assert good.share.low < good.share.value < good.share.high
    assert (idle.role, idle.changed, idle.pnl_usd.value, idle.mean_milliseconds) == (Role.ONLY_TIME, 0, 0.0, 8.0)
    assert idle.mean_confidence_change == pytest.approx(BASE.confidence - 0.5)


def test_a_theory_that_makes_losers_costs_money() -> None:
    rng = np.random.default_rng(1)
    judged = [judge(number, float(rng.normal(-40.0, 50.0))) for number in range(200)]
    (found,) = contribute(judged, ["bad"], lambda _, __: Choice(Direction.HOLD, 0.5))
    assert (found.role, found.share.value) == (Role.COSTS, pytest.approx(1.0))
    assert found.mean_milliseconds is None


def test_few_decisions_prove_nothing() -> None:
    judged = [judge(number, 10.0 * (-1) ** number) for number in range(40)]
    (made,) = contribute(judged, ["any"], lambda _, __: Choice(Direction.HOLD, 0.5))
    assert made.role is Role.UNDECIDED
    assert made.share.value is None  # of a result that may be nothing there is no share
    (silent,) = contribute(judged, ["any"], lambda _, signal: same(signal))
    assert silent.role is Role.UNDECIDED
    (nothing,) = contribute([], ["any"], lambda _, signal: same(signal))
    assert (nothing.decisions, nothing.pnl_usd.value, nothing.role) == (0, None, Role.UNDECIDED)
    (two,) = contribute(judged[:2], ["any"], lambda _, __: Choice(Direction.HOLD, 0.5))
    assert (two.pnl_usd.value, two.pnl_usd.low) == (0.0, None)


def test_turned_and_prevented_trades_count_with_the_other_result_where_it_is_known() -> None:
    turned = judge(0, 30.0)
    prevented = judge(1, 0.0, direction=Direction.HOLD, synthesis=Synthesis.LLM)
    decide = {turned.signal.id: Choice(Direction.SELL, 0.6), prevented.signal.id: Choice(Direction.BUY, 0.6)}
    (found,) = contribute([turned, prevented], ["any"], lambda _, signal: decide[signal.id])
    assert (found.trades_turned, found.trades_prevented, found.trades_made, found.inexact) == (1, 1, 0, 1)
    assert found.pnl_usd.value == 30.0
    known = {(turned.signal.id, Direction.SELL): -25.0, (prevented.signal.id, Direction.BUY): -70.0}
    (found,) = contribute(
        [turned, prevented],
        ["any"],
        lambda _, signal: decide[signal.id],
        outcome_of=lambda signal, direction: known[signal.id, direction],
    )
    assert found.pnl_usd.value == 30.0 + 25.0 + 70.0


def test_a_result_that_is_no_number_is_refused() -> None:
    with pytest.raises(CrpbotError, match="pnl_usd: of 's-00000' is nan"):
        judge(0, float("nan"))
