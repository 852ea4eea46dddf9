"""How much to trade: each constraint binds where it should, by name, and the size passes the check that follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CrpbotError
from core.risk.account import AccountFacts
from core.risk.assess import assess
from core.risk.check import Proposal, Purpose, check
from core.risk.limits import Limits
from core.risk.pack import RiskPack, find_pack
from core.risk.rule import Rule
from core.risk.size import Plan, Sizing, Step, size
from core.trade import Direction
from tests.core.risk_facts import PLAIN, TODAY, TWO_STEP, facts, moment, quotes, trade, usd

FINE = Step(usd("0.00000001"), usd("0.00001"))
CHALLENGE = find_pack("ftmo-2step-challenge")


def sized(
    known: AccountFacts | None = None,
    *,
    stop: float | str = 49_000,
    symbol: str = "BTC-USD",
    pack: RiskPack = TWO_STEP,
    limits: Limits = PLAIN,
    step: Step = FINE,
    percent: float | str | None = None,
) -> Sizing:
    """A long trade from 50,000."""
    state = assess(known or facts(), pack, quotes(), moment(), limits=limits)
    plan = Plan(symbol, Direction.BUY, usd(50_000), usd(stop), None if percent is None else usd(percent))
    return size(plan, pack, state, limits=limits, step=step)


def test_one_percent_of_the_initial_capital_is_risked() -> None:
    found = sized()
    assert (found.quantity, found.lots, found.firm_symbol) == (1, 1, "BTCUSD")
    assert (found.risk_usd, found.worst_usd, found.risk_percent, found.notional_usd) == (1000, 1000, 1, 50_000)
    assert (found.binding, found.paper_only) == (Rule.RISK_PER_TRADE, False)
    assert sized(percent=2).quantity == 2
    assert sized(facts({TODAY - timedelta(days=1): 9000})).quantity == 1  # of the initial capital, not of today's


def test_costs_make_the_size_smaller() -> None:
    """lots = risk / (distance + slippage + commission of both sides), floored to the contract's 0.01."""
    found = sized(pack=CHALLENGE, limits=Limits())
    one = usd(50_000) - usd("48975.5") + usd("0.000325") * (50_000 + usd("48975.5"))
    assert found.quantity == usd("0.94") == (1000 / one).quantize(usd("0.01"), "ROUND_FLOOR")
    assert found.risk_usd == found.quantity * one
    assert found.worst_usd > found.risk_usd  # the entry may fill 0.5 % higher


@pytest.mark.parametrize(
    ("known", "rule", "quantity"),
    [
        (facts({TODAY: -4000}), Rule.DAILY_LOSS_GUARD, "0.49"),  # 500 left, and the guard itself is not reached
        (facts({TODAY - timedelta(days=1): -8300}), Rule.TOTAL_LOSS_GUARD, "0.69"),
        (facts({TODAY: 4000}, [trade(stop=46_200)]), Rule.DAILY_LOSS_GUARD, "0.69"),  # the day's profit gives no room
        (facts({}, [trade(stop=None)]), Rule.DAILY_LOSS_GUARD, "0"),
        (facts({TODAY: -4500}), Rule.DAILY_LOSS_GUARD, "0"),
    ],
)
def test_a_guard_binds_when_little_is_left(known: AccountFacts, rule: Rule, quantity: str) -> None:
    found = sized(known)
    assert (found.binding, found.quantity) == (rule, usd(quantity))


def test_leverage_and_lots_bind_when_the_stop_is_near() -> None:
    assert (sized(stop=49_900).binding, sized(stop=49_900).quantity) == (Rule.MAX_LOTS, 5)
    held = sized(facts({}, [trade(stop=49_900)] * 4), stop=49_900)
    assert (held.binding, held.quantity) == (Rule.LEVERAGE, usd("2.6"))  # 130,000 of 330,000 USD are left


def test_a_limit_on_all_trades_binds() -> None:
    limits = replace(PLAIN, max_open_risk_percent=usd("1.5"))
    found = sized(facts({}, [trade(stop=49_000)]), limits=limits)
    assert (found.binding, found.quantity) == (Rule.OPEN_RISK, usd("0.5"))


def test_below_the_least_nothing_is_traded_and_it_says_so() -> None:
    found = sized(step=Step(usd("0.01"), usd("1.5")))
    assert (found.quantity, found.binding, found.risk_usd) == (0, Rule.MINIMUM, 0)
    assert "least is 1.5" in found.detail


def test_a_symbol_without_a_contract_is_sized_by_the_exchange_and_for_paper_only() -> None:
    found = sized(symbol="POL-USD", step=Step(usd("0.1"), usd("0.1")), stop="48888")
    assert (found.quantity, found.lots, found.firm_symbol, found.paper_only) == (usd("0.8"), None, None, True)


def test_a_lot_that_the_platform_defines_leaves_the_exchanges_step() -> None:
    found = sized(symbol="SOL-USD", step=Step(usd("0.001"), usd("0.001")), stop="48888")
    assert (found.quantity, found.lots, found.firm_symbol) == (usd("0.899"), None, "SOLUSD")


def test_the_step_of_the_exchange_and_of_the_contract_hold_both() -> None:
    found = sized(step=Step(usd("0.004"), usd("0.001")), stop="48888")
    assert found.quantity == usd("0.88")  # a multiple of 0.004 and of 0.01


@given(
    stop=st.decimals(40_000, "49999", places=2),
    lost=st.decimals(-4600, 3000, places=2),
    held=st.integers(0, 3),
    percent=st.decimals("0.01", 2, places=2),
    size_step=st.sampled_from(["0.00000001", "0.001", "0.1", "3"]),
    symbol=st.sampled_from(["BTC-USD", "SOL-USD", "POL-USD"]),
)
def test_a_size_passes_the_check_and_the_next_one_would_not_fit(
    stop: Decimal, lost: Decimal, held: int, percent: Decimal, size_step: str, symbol: str
) -> None:
    known = facts({TODAY: str(lost)}, [trade(-50 * each, stop=49_000 - each) for each in range(held)])
    limits = Limits()
    increment = usd(size_step)
    found = sized(
        known,
        stop=str(stop),
        symbol=symbol,
        pack=CHALLENGE,
        limits=limits,
        step=Step(increment, increment),
        percent=str(percent),
    )
    assert found.quantity % increment == 0
    assert found.risk_percent <= percent

    def vetoes(quantity: Decimal) -> set[str]:
        asked = Proposal(Purpose.TRADE, symbol, Direction.BUY, usd(50_000), stop, None, quantity)
        told = check(known, CHALLENGE, quotes(), moment(), proposal=asked, limits=limits)
        return {veto.rule for veto in told}

    if found.quantity:
        assert vetoes(found.quantity) <= {Rule.DAILY_STOP}
    if found.binding in {Rule.DAILY_LOSS_GUARD, Rule.TOTAL_LOSS_GUARD, Rule.LEVERAGE, Rule.MAX_LOTS}:
        lot = increment if found.lots is None else max(increment, usd("0.01") * 100)  # more than one step of both
        assert found.binding in vetoes(found.quantity + lot * 3)


@pytest.mark.parametrize("percent", ["0", "-1", "2.01", "NaN"])
def test_a_risk_beyond_the_houses_is_refused(percent: str) -> None:
    with pytest.raises(CrpbotError, match="risk_percent"):
        sized(percent=percent)


@pytest.mark.parametrize("stop", [50_000, 50_001, 0, "NaN"])
def test_a_stop_that_makes_no_sense_is_refused(stop: float | str) -> None:
    with pytest.raises(CrpbotError, match="stop_loss"):
        sized(stop=stop)


@pytest.mark.parametrize("field", ["size", "minimum"])
def test_a_step_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(CrpbotError, match=f"step.{field}"):
        replace(FINE, **{field: Decimal(0)})
