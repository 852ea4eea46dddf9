"""A market, a trader and the firm's server in a few lines: what the property tests hold the risk engine against.

The firm's server here keeps a plain list of bookings and knows its rules in its own words; it shares no arithmetic
with the engine. Losses that no plan can foresee (swaps, prices that jump over a stop) are kept apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.risk.account import AccountFacts, DayResult, Latch, Moment, OpenTrade, Quote, TradeState
from core.risk.assess import assess
from core.risk.check import Proposal, check
from core.risk.limits import Limits
from core.risk.pack import RiskPack
from core.risk.state import RiskState
from core.signal import Veto
from core.trade import Direction
from tests.core.risk_facts import CAPITAL, OFF, account, milliseconds

PRAGUE = ZoneInfo("Europe/Prague")
CENTI_MICRO = Decimal("0.00000001")
HALF_SPREAD = Decimal("0.0001")
SYMBOLS = ("BTC-USD", "ETH-USD", "POL-USD")
LIMITS = Limits()
TRAILING = "eod_trailing"

Judge = Callable[["World", AccountFacts, Mapping[str, Quote], Moment, Proposal], tuple[Veto, ...]]


class Booking(NamedTuple):
    """Money that moved, and whether a position was opened with it."""

    at: datetime
    amount: Decimal
    opened: bool = False


def honest(
    world: World, known: AccountFacts, told: Mapping[str, Quote], now: Moment, asked: Proposal
) -> tuple[Veto, ...]:
    """The check as it is."""
    return check(known, world.pack, told, now, proposal=asked, limits=LIMITS)


class World:
    """One account, three coins and a clock."""

    def __init__(self, pack: RiskPack, at: datetime, judge: Judge = honest) -> None:
        self.pack = pack
        self.at = at
        self.started = at
        self.judge = judge
        self.bookings: list[Booking] = []
        self.trades: list[OpenTrade] = []
        self.latches: list[Latch] = []
        self.middle = dict.fromkeys(SYMBOLS, Decimal(100))
        self.unforeseen: list[Booking] = []  # losses outside every plan, as amounts above 0
        self.born = 0
        self.equity_at_midnight: dict[date, Decimal] = {}

    # what the engine sees

    def facts(self, zone: tzinfo = PRAGUE) -> AccountFacts:
        """The facts, rebuilt from the plain list as after a restart."""
        days: dict[date, tuple[Decimal, int]] = {}
        for booking in self.bookings:
            day = booking.at.astimezone(zone).date()
            amount, opened = days.get(day, (Decimal(0), 0))
            days[day] = (amount + booking.amount, opened + booking.opened)
        results = tuple(DayResult(day, *sums) for day, sums in sorted(days.items()))
        of = replace(account(self.pack.id), created_at=self.started)
        return AccountFacts(of, results, tuple(self.trades), tuple(self.latches), (), OFF, self.at)

    def quotes(self) -> dict[str, Quote]:
        """Every coin a spread around its middle."""
        return {
            symbol: Quote(symbol, middle * (1 - HALF_SPREAD), middle * (1 + HALF_SPREAD), milliseconds(self.at))
            for symbol, middle in self.middle.items()
        }

    def now(self) -> Moment:
        """Both clocks agree here."""
        return Moment(self.at, milliseconds(self.at))

    def state(self) -> RiskState:
        """The engine's view, its new latches stored."""
        found = assess(self.facts(), self.pack, self.quotes(), self.now(), limits=LIMITS)
        self.latches.extend(found.new_latches)
        return found

    # what happens

    def propose(self, asked: Proposal) -> bool:
        """Ask the check; what it allows waits for its entry."""
        self.state()
        if self.judge(self, self.facts(), self.quotes(), self.now(), asked):
            return False
        assert asked.entry is not None
        assert asked.quantity is not None
        self.born += 1
        self.trades.append(
            OpenTrade(
                str(self.born),
                asked.symbol,
                asked.direction,
                TradeState.PENDING,
                asked.quantity,
                asked.entry,
                asked.stop_loss,
                None,
                self.at,
            )
        )
        return True

    def fill(self, trade: OpenTrade, share: Decimal) -> None:
        """The market comes to the entry; `share` in [-1, 1] of the tolerance is how badly it fills."""
        price = trade.entry * (1 + _sign(trade) * LIMITS.entry_tolerance_fraction * share)
        self.trades.remove(trade)
        self.trades.append(replace(trade, state=TradeState.OPEN, entry=price))
        self._book(-self._commission(price, trade.quantity), opened=True)
        self.move(trade.symbol, price)

    def move(self, symbol: str, middle: Decimal, *, slip: Decimal = Decimal(1), jump: bool = False) -> None:
        """The price goes there. Stops on the way fill with a share of their slippage; in a jump, where it lands."""
        self.middle[symbol] = middle
        quote = self.quotes()[symbol]
        for trade in [each for each in self.trades if each.symbol == symbol and each.state is TradeState.OPEN]:
            close, stop = _close(trade, quote), trade.stop_loss
            if stop is None or _sign(trade) * (close - stop) > 0:
                continue
            planned = stop * (1 - _sign(trade) * LIMITS.slippage_fraction)
            landed = min(planned, close) if trade.direction is Direction.BUY else max(planned, close)
            self.leave(trade, landed if jump else stop * (1 - _sign(trade) * LIMITS.slippage_fraction * slip))
            self._excuse(abs(planned - landed) * trade.quantity * Decimal("1.01") if jump else Decimal(0))

    def leave(self, trade: OpenTrade, price: Decimal) -> None:
        """Close an open trade at a price, or forget a pending one."""
        self.trades.remove(trade)
        if trade.state is TradeState.OPEN:
            result = (_sign(trade) * (price - trade.entry) * trade.quantity).quantize(CENTI_MICRO, ROUND_FLOOR)
            self._book(result)
            self._book(-self._commission(price, trade.quantity))

    def swap(self, amount: Decimal) -> None:
        """Money taken for holding a position, at any time."""
        self._book(-amount)
        self._excuse(amount)

    def go_to(self, at: datetime) -> None:
        """Time passes; at each midnight on the way somebody notes the equity, as a wrong guard would."""
        while (midnight := self.midnight_after()) <= at:
            self.at = midnight
            self.equity_at_midnight[self._day(midnight)] = self.equity()
        self.at = max(self.at, at)

    def midnight_after(self, days: int = 1) -> datetime:
        """The firm's midnight so many days ahead."""
        local = self._day(self.at) + timedelta(days=days)
        return datetime.combine(local, time.min, PRAGUE).astimezone(UTC)

    # what the firm's server sees

    def balance(self, before: datetime | None = None) -> Decimal:
        """What is booked, all of it or before an instant."""
        return CAPITAL + sum((each.amount for each in self.bookings if before is None or each.at < before), Decimal(0))

    def equity(self) -> Decimal:
        """The balance and what floats, the exit paid."""
        told = self.quotes()
        floats = Decimal(0)
        for trade in self.trades:
            if trade.state is TradeState.OPEN:
                close = _close(trade, told[trade.symbol])
                floats += (
                    _sign(trade) * (close - trade.entry) - self.pack.commission_per_side * close
                ) * trade.quantity
        return self.balance() + floats

    def floors(self, at: datetime | None = None) -> tuple[Decimal, Decimal]:
        """The firm's two floors at an instant, read off the list of bookings."""
        moment = at or self.at
        today = datetime.combine(self._day(moment), time.min, PRAGUE).astimezone(UTC)
        daily = self.balance(today) - self.pack.daily_loss * CAPITAL
        highest = CAPITAL
        if self.pack.total_loss_mode.value == TRAILING:
            for day in {self._day(each.at) for each in self.bookings}:
                after = datetime.combine(day + timedelta(days=1), time.min, PRAGUE).astimezone(UTC)
                highest = max(highest, self.balance(after)) if after <= moment else highest
        return daily, highest - self.pack.total_loss * CAPITAL

    def excused(self) -> tuple[Decimal, Decimal]:
        """What was lost outside every plan, today and in all."""
        today = self._day(self.at)
        daily = sum((each.amount for each in self.unforeseen if self._day(each.at) == today), Decimal(0))
        return daily, sum((each.amount for each in self.unforeseen), Decimal(0))

    def equity_if_stops_fill(self) -> Decimal:
        """Every losing stop fills with its slippage, every pending entry before it as badly as it may."""
        worst = self.balance()
        for trade in self.trades:
            assert trade.stop_loss is not None
            sign, left = _sign(trade), trade.stop_loss * (1 - _sign(trade) * LIMITS.slippage_fraction)
            entered = trade.entry
            if trade.state is TradeState.PENDING:
                entered *= 1 + sign * LIMITS.entry_tolerance_fraction
                worst -= self.pack.commission_per_side * entered * trade.quantity
            worst += min(Decimal(0), (sign * (left - entered) - self.pack.commission_per_side * left) * trade.quantity)
        return worst

    def _commission(self, price: Decimal, quantity: Decimal) -> Decimal:
        return (self.pack.commission_per_side * price * quantity).quantize(CENTI_MICRO, ROUND_CEILING)

    def _book(self, amount: Decimal, *, opened: bool = False) -> None:
        self.bookings.append(Booking(self.at, amount, opened))

    def _excuse(self, amount: Decimal) -> None:
        self.unforeseen.append(Booking(self.at, amount))

    def _day(self, at: datetime) -> date:
        return at.astimezone(PRAGUE).date()


def _sign(trade: OpenTrade) -> int:
    return 1 if trade.direction is Direction.BUY else -1


def _close(trade: OpenTrade, quote: Quote) -> Decimal:
    return quote.bid if trade.direction is Direction.BUY else quote.ask
