"""Accounts for the tests of the risk engine: facts, quotes and prices put together by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from core.risk.account import (
    Account,
    AccountFacts,
    AccountKind,
    DayResult,
    KillLevel,
    KillSwitch,
    Moment,
    OpenTrade,
    Quote,
    TradeState,
)
from core.risk.assess import assess
from core.risk.limits import Limits
from core.risk.pack import RiskPack, find_pack
from core.risk.state import RiskState
from core.trade import Book, Direction

NOON = datetime(2026, 11, 18, 11, tzinfo=UTC)  # a Wednesday, 12:00 in Prague
TODAY = date(2026, 11, 18)
YESTERDAY = date(2026, 11, 17)
CAPITAL = Decimal(100_000)
OFF = KillSwitch(KillLevel.OFF, "nobody", "never set", NOON)
PLAIN = Limits(slippage_fraction=Decimal(0), entry_tolerance_fraction=Decimal(0))  # a stop fills where it stands


def usd(amount: float | str) -> Decimal:
    """An amount as the tests write it."""
    return Decimal(str(amount))


def moment(at: datetime = NOON, steady_ms: int | None = None) -> Moment:
    """Now, with both clocks."""
    return Moment(at, milliseconds(at) if steady_ms is None else steady_ms)


def milliseconds(at: datetime) -> int:
    """An instant as quotes carry it."""
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def free_of_costs(name: str = "ftmo-2step-challenge") -> RiskPack:
    """A pack without commission, so that a story's figures are the market's alone."""
    return replace(find_pack(name), commission_per_side=Decimal(0))


TWO_STEP = free_of_costs("ftmo-2step-challenge")
ONE_STEP = free_of_costs("ftmo-1step")


def account(pack: str = "ftmo-2step-challenge", kind: AccountKind = AccountKind.PAPER) -> Account:
    """An account of 100,000 USD, a day old."""
    return Account(
        "story", "Story", kind, Book.PRIMARY, pack, "Europe/Prague", CAPITAL, NOON.replace(day=17) - timedelta(hours=1)
    )


def facts(
    days: Mapping[date, float | str] | None = None,
    trades: Sequence[OpenTrade] = (),
    *,
    of: Account | None = None,
    opened: int = 1,
) -> AccountFacts:
    """An account with what was booked on each day and what is open."""
    results = tuple(DayResult(day, usd(amount), opened) for day, amount in sorted((days or {}).items()))
    return AccountFacts(of or account(), results, tuple(trades), (), (), OFF, NOON)


def trade(
    floating: float | str = 0,
    *,
    stop: float | str | None = 40_000,
    symbol: str = "BTC-USD",
    direction: Direction = Direction.BUY,
    state: TradeState = TradeState.OPEN,
    name: str = "1",
) -> OpenTrade:
    """One unit that floats at an amount while the price is 50,000 USD and nothing costs anything."""
    sign = 1 if direction is Direction.BUY else -1
    entry = Decimal(50_000) - sign * usd(floating)
    return OpenTrade(name, symbol, direction, state, Decimal(1), entry, None if stop is None else usd(stop), None, NOON)


def quotes(price: float | str = 50_000, *, at: datetime = NOON, symbol: str = "BTC-USD") -> dict[str, Quote]:
    """A symbol that is bought and sold at one price."""
    return {symbol: Quote(symbol, usd(price), usd(price), milliseconds(at))}


def judged(known: AccountFacts, pack: RiskPack = TWO_STEP) -> RiskState:
    """The account at noon, with Bitcoin at 50,000."""
    return assess(known, pack, quotes(), moment(), limits=PLAIN)
