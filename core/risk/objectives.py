"""How far an account is on its way to pass, and what could end it without any loss: idle days, limbo, weekends."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from core.risk.account import AccountFacts, AccountKind, Moment
from core.risk.amount import HUNDRED, ZERO, down, percent, usd
from core.risk.calendar import FirmDay
from core.risk.funds import Funds
from core.risk.hours import break_at
from core.risk.pack import GapTrading, RiskPack, TotalLossMode
from core.risk.rule import Rule
from core.risk.state import Notice, Objectives

_DAY = timedelta(days=1)


def objectives(facts: AccountFacts, funds: Funds, pack: RiskPack) -> Objectives:
    """Target, trading days and best day. The target counts with every position closed, by the balance."""
    capital = facts.account.initial_capital
    gained = funds.balance - capital
    target = None if pack.profit_target is None else pack.profit_target * capital
    best = _best_day_share(funds)
    reached = target is not None and gained >= target and not _in_market(funds)
    best_met = pack.best_day_share is None or (best is not None and best <= pack.best_day_share)
    return Objectives(
        target_balance=None if target is None else capital + target,
        gained_usd=gained,
        progress_percent=None if target is None else down(min(max(gained / target, ZERO) * HUNDRED, HUNDRED)),
        target_reached=reached,
        trading_days=funds.trading_days,
        minimum_trading_days=pack.minimum_trading_days,
        best_day_percent=None if best is None else down(best * HUNDRED),
        best_day_limit_percent=None if pack.best_day_share is None else pack.best_day_share * HUNDRED,
        best_day_met=best_met,
        passed=reached and best_met and funds.trading_days >= pack.minimum_trading_days,
    )


def warnings(facts: AccountFacts, funds: Funds, pack: RiskPack, now: Moment, *, day: FirmDay) -> tuple[Notice, ...]:
    """What a trader should know although it stops nothing yet."""
    found = (
        _idle(facts, funds, pack, now.at),
        _limbo(facts, funds, pack, day),
        _weekend(funds, pack, now.at),
        _gap(pack, now.at),
        _unknown_high(facts, pack),
    )
    return tuple(notice for notice in found if notice is not None)


def _best_day_share(funds: Funds) -> Decimal | None:
    """The best day's share of all profitable days together; None before there is one."""
    profits = [result.amount for result in funds.results if result.amount > 0]
    return max(profits) / sum(profits, ZERO) if profits else None


def _in_market(funds: Funds) -> bool:
    return any(each.state.value == "open" for each in funds.claims)


def _idle(facts: AccountFacts, funds: Funds, pack: RiskPack, at: datetime) -> Notice | None:
    """An account without a first trade, or without any activity, is closed after so many days."""
    is_new = funds.trading_days == 0
    days = pack.first_trade_days if is_new else pack.inactivity_days
    since = facts.account.created_at if is_new else facts.last_activity_at
    if days is None or since is None or at - since < _DAY * float(pack.warn_share * days):
        return None
    ends = since + _DAY * days
    what = "no trade was opened yet" if is_new else "the account is idle"
    rule = Rule.FIRST_TRADE if is_new else Rule.INACTIVITY
    return Notice(
        rule,
        f"{what} for {(at - since) // _DAY} days; after {days} days, at {ends:%Y-%m-%d %H:%M} UTC, it may be closed",
    )


def _limbo(facts: AccountFacts, funds: Funds, pack: RiskPack, day: FirmDay) -> Notice | None:
    """A loss beyond the limbo line: since which of the firm's days, and how many of them are allowed."""
    if pack.limbo is None:
        return None
    line = facts.account.initial_capital * (1 - pack.limbo.from_fraction)
    value = funds.balance if funds.equity is None else min(funds.balance, funds.equity)
    if value > line:
        return None
    days = (day.date - _below_since(funds, line, day.date)).days
    detail = f"{usd(value)} is at or below {usd(line)} ({percent(pack.limbo.from_fraction)} lost), for {days} days"
    return Notice(Rule.LIMBO, f"{detail}; after more than {pack.limbo.days} the firm may end the account")


def _below_since(funds: Funds, line: Decimal, today: date) -> date:
    """The day in whose course the balance fell to the line and stayed there."""
    since = today
    for ended, balance in reversed(funds.midnights):
        if balance > line:
            break
        since = ended
    return since


def _weekend(funds: Funds, pack: RiskPack, at: datetime) -> Notice | None:
    if pack.weekend_holding or pack.closing is None or not funds.claims:
        return None
    coming = break_at(pack, at)
    if coming is None or at < coming.closes_at - timedelta(minutes=pack.gap_minutes):
        return None
    return Notice(Rule.WEEKEND, f"every position must be closed before {coming.closes_at:%Y-%m-%d %H:%M} UTC")


def _gap(pack: RiskPack, at: datetime) -> Notice | None:
    if pack.gap_trading is not GapTrading.WARN:
        return None
    coming = break_at(pack, at)
    if coming is None or not coming.closes_at - timedelta(minutes=pack.gap_minutes) <= at < coming.closes_at:
        return None
    return Notice(
        Rule.GAP_TRADING,
        f"the firm forbids opening within {pack.gap_minutes} minutes before a market closes for hours; "
        f"where the symbol closes at {coming.closes_at:%Y-%m-%d %H:%M} UTC, wait",
    )


def _unknown_high(facts: AccountFacts, pack: RiskPack) -> Notice | None:
    """A floor that trails the highest midnight is only as right as the reports reach back."""
    if pack.total_loss_mode is not TotalLossMode.TRAILING or facts.account.kind is not AccountKind.REPORTED:
        return None
    first = facts.reports[0].midnight_day if facts.reports else "now on"
    return Notice(
        Rule.TOTAL_LOSS,
        f"the total limit trails the highest midnight balance, known here from {first}: report a higher one before it",
    )
