"""May it happen now: each rule that says no, in order, with its value, its limit and when it lifts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core.errors import CrpbotError
from core.risk.account import AccountFacts, AccountKind, Emission, KillLevel, KillSwitch, Moment, Report, TradeState
from core.risk.check import Proposal, Purpose, Veto, check
from core.risk.limits import WINDOW_MS, Limits
from core.risk.pack import RiskPack, find_pack
from core.risk.rule import Rule
from core.trade import Direction
from tests.core.risk_facts import (
    CAPITAL,
    NOON,
    PLAIN,
    TODAY,
    TWO_STEP,
    account,
    facts,
    free_of_costs,
    moment,
    quotes,
    trade,
    usd,
)

FUNDED = free_of_costs("ftmo-2step-funded")
SIGNAL = Purpose.SIGNAL
TRADE = Purpose.TRADE


def asking(
    purpose: Purpose = TRADE, *, stop: float | None = 49_000, quantity: float | str | None = 1, symbol: str = "BTC-USD"
) -> Proposal:
    """A long trade from 50,000."""
    return Proposal(
        purpose,
        symbol,
        Direction.BUY,
        entry=usd(50_000),
        stop_loss=None if stop is None else usd(stop),
        quantity=None if quantity is None else usd(quantity),
    )


def judged(
    known: AccountFacts,
    asked: Proposal | None = None,
    *,
    pack: RiskPack = TWO_STEP,
    limits: Limits = PLAIN,
    now: Moment | None = None,
) -> tuple[Veto, ...]:
    """The vetoes at noon."""
    now = now or moment()
    return check(known, pack, quotes(at=now.at), now, proposal=asked or asking(), limits=limits)


def rules(vetoes: tuple[Veto, ...]) -> list[str]:
    return [veto.rule for veto in vetoes]


def test_a_quiet_account_may_trade() -> None:
    assert judged(facts()) == ()
    assert judged(facts(), asking(SIGNAL)) == ()
    assert judged(facts(), asking(quantity=None)) == ()


@pytest.mark.parametrize(
    ("level", "purpose", "vetoed"),
    [
        (KillLevel.OFF, SIGNAL, False),
        (KillLevel.PAUSE, SIGNAL, True),
        (KillLevel.PAUSE, TRADE, False),
        (KillLevel.HALT, SIGNAL, True),
        (KillLevel.HALT, TRADE, True),
    ],
)
def test_a_pause_stops_signals_and_a_halt_trades_too(level: KillLevel, purpose: Purpose, vetoed: bool) -> None:
    known = replace(facts(), kill_switch=KillSwitch(level, "Jana", "travelling", NOON))
    vetoes = judged(known, asking(purpose))
    assert rules(vetoes) == ([Rule.KILL_SWITCH] if vetoed else [])
    assert all("Jana" in veto.detail and "travelling" in veto.detail and veto.lifts_at is None for veto in vetoes)


def test_stale_figures_refuse() -> None:
    late = moment(NOON + timedelta(seconds=61))
    vetoes = check(facts({}, [trade()]), TWO_STEP, quotes(), late, proposal=asking(), limits=PLAIN)
    assert rules(vetoes)[0] == Rule.STALE
    assert "61 s old" in vetoes[0].detail
    assert vetoes[0].limit == "60 s"


def test_a_reported_account_without_todays_midnight_refuses() -> None:
    report = Report(NOON, CAPITAL, CAPITAL, CAPITAL, "2026-11-17", 1)
    known = replace(facts(of=account(kind=AccountKind.REPORTED)), reports=(report,))
    assert rules(judged(known, asking(SIGNAL))) == [Rule.STALE]


def test_an_early_stop_lifts_at_the_firms_midnight() -> None:
    vetoes = judged(facts({TODAY: -4500}), asking(quantity=None))
    assert rules(vetoes) == [Rule.DAILY_STOP, Rule.DAILY_LOSS_GUARD]
    assert {veto.lifts_at for veto in vetoes} == {datetime(2026, 11, 18, 23, tzinfo=UTC)}
    assert (vetoes[0].value, vetoes[0].limit) == ("95,500.00 USD", "95,500.00 USD")


def test_a_total_stop_and_a_breach_wait_for_a_person() -> None:
    bled = judged(facts({TODAY - timedelta(days=3): -9500}), asking(quantity=None))
    assert rules(bled) == [Rule.TOTAL_STOP, Rule.TOTAL_LOSS_GUARD]
    broken = judged(facts({TODAY - timedelta(days=3): -10_000}), asking(quantity=None))
    assert rules(broken) == [Rule.BREACH, Rule.TOTAL_LOSS_GUARD]
    assert {veto.lifts_at for veto in (*bled, *broken)} == {None}


@pytest.mark.parametrize(
    ("lost", "vetoed"), [("3499.99", False), ("3499.99999998", False), ("3499.99999999", False), ("3500", True)]
)
def test_the_worst_case_must_stay_above_the_guard(lost: str, vetoed: bool) -> None:
    """The trade loses 1,000 at its stop; the guard allows 4,500."""
    vetoes = judged(facts({TODAY: "-" + lost}))
    assert rules(vetoes) == ([Rule.DAILY_LOSS_GUARD] if vetoed else [])


def test_a_veto_of_the_guard_says_what_adds_up() -> None:
    known = facts({TODAY: -1500}, [trade(-500, stop=49_000), trade(stop=49_500, state=TradeState.PENDING, name="2")])
    (veto,) = judged(known)
    assert (veto.value, veto.limit) == ("1,000.00 USD", "less than 1,000.00 USD")
    assert veto.detail == (
        "lost 1,500.00 USD, open trades may lose 2,000.00 USD, this one 1,000.00 USD, of 4,500.00 USD"
    )


def test_slippage_tolerance_and_commissions_count_in_the_worst_case() -> None:
    """At 49,000 the stop fills 0.05 % lower, the entry 0.5 % higher, and both sides pay 0.0325 %."""
    pack = find_pack("ftmo-2step-challenge")
    worst = usd("50250") - usd("48975.5") + usd("0.000325") * (usd("50250") + usd("48975.5"))
    free = worst + usd("0.00000001")
    for room, vetoed in ((free, False), (worst, True)):
        vetoes = judged(facts({TODAY: room - 4500}), pack=pack, limits=Limits())
        assert rules(vetoes) == ([Rule.DAILY_LOSS_GUARD] if vetoed else [])


def test_the_total_guard_binds_after_losses() -> None:
    vetoes = judged(facts({TODAY - timedelta(days=1): -8200}))
    assert rules(vetoes) == [Rule.TOTAL_LOSS_GUARD]


def emitted(*minutes_ago: float, high: bool = True) -> AccountFacts:
    now = moment().steady_ms
    return replace(facts(), emissions=tuple(Emission(now - int(each * 60_000), high) for each in minutes_ago))


@pytest.mark.parametrize(
    ("minutes_ago", "vetoed", "lifts_in"),
    [
        ((50, 10), False, None),
        ((50, 30, 10), True, 10),
        ((59.99, 30, 10), True, 0.01),
        ((60, 30, 10), False, None),
        ((50, 30, 20, 10), True, 30),
    ],
)
def test_signals_are_counted_over_a_half_open_hour(
    minutes_ago: tuple[float, ...], vetoed: bool, lifts_in: float | None
) -> None:
    vetoes = judged(emitted(*minutes_ago), asking(SIGNAL))
    assert rules(vetoes) == ([Rule.SIGNALS_PER_HOUR] if vetoed else [])
    if lifts_in is not None:
        assert vetoes[0].lifts_at == NOON + timedelta(minutes=lifts_in)
        lifted = Moment(NOON, moment().steady_ms + int(lifts_in * 60_000))
        assert judged(emitted(*minutes_ago), asking(SIGNAL), now=lifted) == ()


def test_trades_of_a_persons_own_are_not_counted_as_signals() -> None:
    assert judged(emitted(1, 2, 3, 4)) == ()


def test_high_confidence_signals_have_a_limit_of_their_own() -> None:
    limits = replace(PLAIN, max_signals_per_hour=10, max_high_confidence_per_hour=2)
    high = replace(asking(SIGNAL), high_confidence=True)
    assert rules(judged(emitted(1, 2), high, limits=limits)) == [Rule.HIGH_CONFIDENCE_PER_HOUR]
    assert judged(emitted(1, 2), asking(SIGNAL), limits=limits) == ()
    assert judged(emitted(1, 2, high=False), high, limits=limits) == ()


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_jump_of_the_wall_clock_empties_no_window(jump: timedelta) -> None:
    now = Moment(NOON + jump, moment().steady_ms)
    assert rules(judged(emitted(1, 2, 3), asking(SIGNAL), now=now)) == [Rule.SIGNALS_PER_HOUR]


def test_an_emission_ahead_of_the_clock_counts() -> None:
    assert rules(judged(emitted(-WINDOW_MS / 60_000, 1, 2), asking(SIGNAL))) == [Rule.SIGNALS_PER_HOUR]


def test_a_limit_of_none_an_hour_never_lifts() -> None:
    (veto,) = judged(facts(), asking(SIGNAL), limits=replace(PLAIN, max_signals_per_hour=0))
    assert (veto.rule, veto.lifts_at) == (Rule.SIGNALS_PER_HOUR, None)


def test_trades_without_a_stop_are_named() -> None:
    vetoes = judged(facts({}, [trade(stop=None, name="naked")]))
    assert rules(vetoes) == [Rule.DAILY_LOSS_GUARD, Rule.TOTAL_LOSS_GUARD, Rule.OPEN_RISK]
    assert "naked" in vetoes[2].detail
    assert rules(judged(facts(), asking(stop=None))) == [Rule.OPEN_RISK]


def test_no_trade_risks_more_than_the_house_allows() -> None:
    assert judged(facts(), asking(quantity=2)) == ()
    (veto,) = judged(facts(), asking(quantity="2.01"))
    assert (veto.rule, veto.value, veto.limit) == (Rule.RISK_PER_TRADE, "2,010.00 USD", "2,000.00 USD")


def test_all_trades_together_may_have_a_limit() -> None:
    limits = replace(PLAIN, max_open_risk_percent=Decimal(2))
    assert judged(facts({}, [trade(stop=49_000)]), limits=limits) == ()
    assert rules(judged(facts({}, [trade(stop=48_999)]), limits=limits)) == [Rule.OPEN_RISK]


def test_a_symbol_without_a_contract_is_for_paper_only() -> None:
    assert judged(facts(), asking(symbol="POL-USD")) == ()
    report = Report(NOON, CAPITAL, CAPITAL, CAPITAL, TODAY.isoformat(), 1)
    known = replace(facts(of=account(kind=AccountKind.REPORTED)), reports=(report,))
    assert rules(judged(known, asking(symbol="POL-USD"))) == [Rule.NOT_TRADABLE]
    assert judged(known, asking(symbol="POL-USD", quantity=None)) == ()  # the account alone is asked, not the symbol


def test_leverage_counts_every_position() -> None:
    wide = asking(stop=49_900, quantity=4)  # 200,000 USD of the 330,000
    assert judged(facts({}, [trade(stop=49_900)] * 2), wide) == ()
    assert rules(judged(facts({}, [trade(stop=49_900)] * 3), wide)) == [Rule.LEVERAGE]


def test_an_order_has_a_most_of_lots_and_there_is_a_most_of_orders() -> None:
    assert rules(judged(facts(), asking(stop=49_900, quantity="5.01"))) == [Rule.MAX_LOTS]
    assert judged(facts(), asking(stop=49_900, quantity=6, symbol="SOL-USD")) == ()  # a lot's size is not known here
    few = replace(TWO_STEP, max_open_orders=1)
    assert rules(judged(facts({}, [trade(stop=49_900)]), pack=few)) == [Rule.OPEN_ORDERS]


@pytest.mark.parametrize(("minutes", "vetoed"), [(-2.1, False), (-2, True), (0, True), (2, True), (2.1, False)])
def test_the_funded_account_is_still_around_news(minutes: float, vetoed: bool) -> None:
    asked = replace(asking(), releases=(NOON - timedelta(minutes=minutes),))
    known = facts(of=account(FUNDED.id))
    vetoes = judged(known, asked, pack=FUNDED)
    assert rules(vetoes) == ([Rule.NEWS] if vetoed else [])
    assert all(veto.lifts_at == asked.releases[0] + timedelta(minutes=2) for veto in vetoes)
    assert judged(facts(), asked) == ()


@pytest.mark.parametrize(
    ("at", "rule"),
    [
        ("2026-11-20T19:59", None),
        ("2026-11-20T20:00", Rule.GAP_TRADING),
        ("2026-11-20T21:59", Rule.GAP_TRADING),
        ("2026-11-20T22:00", Rule.WEEKEND),
        ("2026-11-22T22:59", Rule.WEEKEND),
        ("2026-11-22T23:00", None),
    ],
)
def test_the_funded_account_opens_nothing_before_and_over_the_weekend(at: str, rule: Rule | None) -> None:
    now = moment(datetime.fromisoformat(at).replace(tzinfo=UTC))
    vetoes = judged(facts(of=account(FUNDED.id)), pack=FUNDED, now=now)
    assert rules(vetoes) == ([] if rule is None else [rule])
    assert all(veto.lifts_at == datetime(2026, 11, 22, 23, tzinfo=UTC) for veto in vetoes)
    assert judged(facts(), now=now) == ()


def test_vetoes_come_in_their_order() -> None:
    known = replace(
        facts({TODAY - timedelta(days=1): -9000, TODAY: -5000}, [trade(stop=None)]),
        kill_switch=KillSwitch(KillLevel.HALT, "Jana", "stop", NOON),
        emissions=tuple(Emission(moment().steady_ms, True) for _ in range(3)),
    )
    late = moment(NOON + timedelta(minutes=2))
    vetoes = check(known, TWO_STEP, quotes(), late, proposal=asking(SIGNAL, quantity=30), limits=PLAIN)
    assert rules(vetoes) == [
        Rule.KILL_SWITCH,
        Rule.STALE,
        Rule.BREACH,
        Rule.BREACH,
        Rule.DAILY_LOSS_GUARD,
        Rule.TOTAL_LOSS_GUARD,
        Rule.SIGNALS_PER_HOUR,
        Rule.OPEN_RISK,
        Rule.RISK_PER_TRADE,
        Rule.LEVERAGE,
        Rule.MAX_LOTS,
    ]


def test_an_entry_at_the_market_needs_a_fresh_quote() -> None:
    asked = replace(asking(), entry=None)
    assert judged(facts(), asked) == ()
    vetoes = check(facts(), TWO_STEP, {}, moment(), proposal=asked, limits=PLAIN)
    assert rules(vetoes) == [Rule.STALE]
    wrong = replace(asked, stop_loss=usd(50_001))
    with pytest.raises(CrpbotError, match="wrong side"):
        judged(facts(), wrong)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"stop_loss": usd(50_000)}, "stop_loss"),
        ({"stop_loss": usd(50_001)}, "stop_loss"),
        ({"direction": Direction.SELL}, "stop_loss"),
        ({"take_profit": usd(49_999)}, "take_profit"),
        ({"direction": Direction.SELL, "stop_loss": usd(51_000), "take_profit": usd(50_000)}, "take_profit"),
        ({"direction": Direction.HOLD}, "direction"),
        ({"quantity": usd(0)}, "quantity"),
        ({"quantity": usd(-1)}, "quantity"),
        ({"quantity": Decimal("1e99")}, "quantity"),
        ({"stop_loss": Decimal("1e-99")}, "stop_loss"),
        ({"entry": Decimal("NaN")}, "entry"),
        ({"stop_loss": Decimal("Infinity")}, "stop_loss"),
        ({"stop_loss": usd(-5)}, "stop_loss"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(change: dict[str, object], field: str) -> None:
    with pytest.raises(CrpbotError) as error:
        replace(asking(), **change)  # type: ignore[arg-type]
    assert error.value.violations[0].field == field


@pytest.mark.parametrize(
    "change",
    [
        {"max_signals_per_hour": -1},
        {"slippage_fraction": Decimal(1)},
        {"entry_tolerance_fraction": Decimal("NaN")},
        {"risk_percent": Decimal(0)},
        {"risk_percent": Decimal("2.1")},
        {"max_risk_percent": Decimal("2.1")},
        {"max_open_risk_percent": Decimal("-1")},
        {"stale_after_seconds": -1},
    ],
)
def test_limits_that_limit_nothing_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(CrpbotError, match=next(iter(change))):
        Limits(**change)  # type: ignore[arg-type]


def test_a_target_without_an_entry_lies_beyond_the_stop() -> None:
    asked = replace(asking(), entry=None, take_profit=usd(49_500))
    assert asked.take_profit == 49_500
    with pytest.raises(CrpbotError, match="take_profit"):
        replace(asked, take_profit=usd(48_000))


def test_a_pack_without_hours_never_closes() -> None:
    neutral = replace(find_pack("custom"), leverage=Decimal(5))
    known = facts(of=replace(account(neutral.id), time_zone="UTC"))
    saturday = moment(datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert judged(known, pack=neutral, now=saturday) == ()
