"""What the holder of an account at the firm tells, completed by what was told before and refused where it cannot be."""

from __future__ import annotations

from core.errors import invalid
from core.market import parse_symbol
from core.risk.account import Account, AccountFacts, Moment, OpenTrade, Report, TradeState
from core.risk.calendar import firm_day
from core.risk.proposal import need_number
from core.risk.requests import ReportAccountRequest, ReportedPosition
from core.trade import Direction

MOST_DAYS = 36_525  # a century: more is a typing error


def read_report(request: ReportAccountRequest, account: Account, facts: AccountFacts, now: Moment) -> Report:
    """What was told, completed by what was told before: the midnight balance holds for its day, the days add up."""
    day = firm_day(account.time_zone, now.at).date.isoformat()
    before = facts.reports[-1] if facts.reports else None
    midnight = request.midnight_balance
    if midnight is None:
        if before is None or before.midnight_day != day:
            raise invalid(
                "midnight_balance",
                f"is not known for {day} ({account.time_zone}): tell the balance at that day's midnight once",
            )
        midnight = before.midnight_balance
    if request.trading_days is not None and not 0 <= request.trading_days <= MOST_DAYS:
        raise invalid("trading_days", f"is {request.trading_days}; 0 to {MOST_DAYS} is allowed")
    days = request.trading_days if request.trading_days is not None else (before.trading_days if before else 0)
    return Report(
        at=now.at,
        balance=request.balance,
        equity=request.equity,
        midnight_balance=midnight,
        midnight_day=day,
        trading_days=days,
        positions=tuple(_position(each, number, now) for number, each in enumerate(request.positions)),
    )


def _position(told: ReportedPosition, number: int, now: Moment) -> OpenTrade:
    """A position at the firm. Its stop may lie beyond its entry: it has been moved to keep a profit."""
    field = f"positions.{number}"
    if told.direction is Direction.HOLD:
        raise invalid(f"{field}.direction", "HOLD is no position; BUY or SELL is needed")
    for name in ("quantity", "entry", "stop_loss", "take_profit"):
        need_number(f"{field}.{name}", getattr(told, name))
    return OpenTrade(
        id=f"reported-{number + 1}",
        symbol=parse_symbol(told.symbol, field=f"{field}.symbol"),
        direction=told.direction,
        state=TradeState.OPEN,
        quantity=told.quantity,
        entry=told.entry,
        stop_loss=told.stop_loss,
        take_profit=told.take_profit,
        created_at=now.at,
    )
