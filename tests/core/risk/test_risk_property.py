"""No accepted entry can break a firm's limit if its stop fills, whatever happens in between; latches never loosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal

import pytest

from core.risk.account import AccountFacts, DayResult, Moment, Quote, TradeState
from core.risk.check import Proposal, check
from core.signal import Veto
from tests.core.risk_trading import run
from tests.core.risk_world import LIMITS, Judge, World, honest


def test_no_accepted_entry_breaks_a_limit_when_its_stop_fills() -> None:
    done = run(honest, steps=1_000)
    assert done.accepted > 30


@pytest.mark.slow
def test_no_accepted_entry_breaks_a_limit_in_ten_thousand_steps() -> None:
    done = run(honest, steps=13_000, repeat=False)  # stories that end early are shorter
    assert done.steps >= 10_000
    assert done.accepted > 300


def blind_to_pending(
    world: World, known: AccountFacts, told: Mapping[str, Quote], now: Moment, asked: Proposal
) -> tuple[Veto, ...]:
    """A check that forgets what waits for its entry."""
    seen = tuple(trade for trade in known.open_trades if trade.state is TradeState.OPEN)
    return honest(world, replace(known, open_trades=seen), told, now, asked)


def anchored_on_equity(
    world: World, known: AccountFacts, told: Mapping[str, Quote], now: Moment, asked: Proposal
) -> tuple[Veto, ...]:
    """A check that measures the day from the equity at midnight: what floated then is booked to yesterday."""
    state = world.state()
    today = state.day.date
    floated = world.equity_at_midnight.get(today, state.daily.anchor) - state.daily.anchor
    days = {result.day: result.amount for result in known.days}
    for day, amount in ((today - timedelta(days=1), floated), (today, -floated)):
        days[day] = days.get(day, Decimal(0)) + amount
    shifted = tuple(DayResult(day, days[day], 0) for day in sorted(days))
    return honest(world, replace(known, days=shifted), told, now, asked)


def reset_at_utc_midnight(
    world: World, known: AccountFacts, told: Mapping[str, Quote], now: Moment, asked: Proposal
) -> tuple[Veto, ...]:
    """A check whose day begins at midnight in UTC."""
    pack = replace(world.pack, time_zone="UTC")
    cut = replace(world.facts(UTC), account=replace(known.account, time_zone="UTC"))
    return check(cut, pack, told, now, proposal=asked, limits=LIMITS)


def fed_by_profits(
    world: World, known: AccountFacts, told: Mapping[str, Quote], now: Moment, asked: Proposal
) -> tuple[Veto, ...]:
    """A check that lets a profit of the day widen its room, though it is gone at midnight."""
    state = world.state()
    room = state.balance - state.daily.guard_floor - state.open_risk_usd
    wider = replace(state, daily=replace(state.daily, free_usd=max(Decimal(0), room)))
    return check(known, world.pack, told, now, proposal=asked, limits=LIMITS, state=wider)


def blind_to_open_risk(
    world: World, known: AccountFacts, told: Mapping[str, Quote], now: Moment, asked: Proposal
) -> tuple[Veto, ...]:
    """A check that counts what is lost and forgets what open trades may still lose."""
    return honest(world, replace(known, open_trades=()), told, now, asked)


@pytest.mark.parametrize(
    "broken", [blind_to_pending, anchored_on_equity, reset_at_utc_midnight, fed_by_profits, blind_to_open_risk]
)
def test_the_property_catches_a_broken_check(broken: Judge) -> None:
    with pytest.raises(AssertionError, match=r"break|broken"):
        run(broken, steps=20_000)
