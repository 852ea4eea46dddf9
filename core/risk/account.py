"""An account as the ledger knows it at one instant: the facts that every rule is judged on, and nothing derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import ClassVar, NamedTuple

from core.trade import STRICT, Book, Direction


class Moment(NamedTuple):
    """Now, twice: `at` is the wall clock (labels and days), `steady_ms` never jumps (windows and waiting)."""

    at: datetime
    steady_ms: int


Clock = Callable[[], Moment]


class AccountKind(Enum):
    """Paper is traded here; of a reported account the trader tells equity and positions."""

    PAPER = "paper"
    REPORTED = "reported"


class KillLevel(Enum):
    """Pause lets no new signal out; halt lets nobody open a trade either. Closing is always allowed."""

    OFF = "off"
    PAUSE = "pause"
    HALT = "halt"


class TradeState(Enum):
    """Pending waits for its entry price, open is in the market, closed has ended in whatever way."""

    PENDING = "pending"
    OPEN = "open"
    CLOSED = "closed"


class LatchKind(Enum):
    """What has tripped and stays so: the day's guard until midnight, the rest until a person acts."""

    DAILY_STOP = "daily_stop"
    TOTAL_STOP = "total_stop"
    BREACH = "breach"


@dataclass(frozen=True, slots=True)
class Account:
    """An account. `pack` names the firm's rules, `time_zone` is theirs; both are fixed when it is made."""

    __pydantic_config__: ClassVar = STRICT
    id: str
    name: str
    kind: AccountKind
    book: Book
    pack: str
    time_zone: str
    initial_capital: Decimal
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OpenTrade:
    """A trade that claims room: its entry is waited for (pending) or it is in the market (open)."""

    __pydantic_config__: ClassVar = STRICT
    id: str
    symbol: str
    direction: Direction
    state: TradeState
    quantity: Decimal
    entry: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Latch:
    """A limit that has tripped: which rule, when, at which value against which limit (US dollars)."""

    __pydantic_config__: ClassVar = STRICT
    kind: LatchKind
    rule: str
    at: datetime
    day: str
    value: Decimal
    limit: Decimal


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """The switch that stops everything: its level, who set it, when and why."""

    __pydantic_config__: ClassVar = STRICT
    level: KillLevel
    by: str
    reason: str
    at: datetime
    forced: bool = False  # by KILL_SWITCH=true at start: no call can lift it


class Emission(NamedTuple):
    """A BUY or SELL of the primary book: when by the steady clock, and whether of the high tier."""

    steady_ms: int
    high_confidence: bool


class DayResult(NamedTuple):
    """One day of the firm's calendar: what was booked in it and how many positions were opened."""

    day: date
    amount: Decimal
    opened: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the trader told about a reported account, and when we heard it."""

    __pydantic_config__: ClassVar = STRICT
    at: datetime
    balance: Decimal
    equity: Decimal
    midnight_balance: Decimal
    midnight_day: str
    trading_days: int
    positions: tuple[OpenTrade, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """All that the ledger knows about one account, read in one snapshot. `days` are in order and end at the newest."""

    account: Account
    days: tuple[DayResult, ...]
    open_trades: tuple[OpenTrade, ...]
    latches: tuple[Latch, ...]
    emissions: tuple[Emission, ...]
    kill_switch: KillSwitch
    last_activity_at: datetime | None
    reports: tuple[Report, ...] = ()  # of a reported account: the newest of each day, oldest first
    taken: tuple[OpenTrade, ...] = ()  # of a reported account: marked as executed since its newest report

    @property
    def held(self) -> tuple[OpenTrade, ...]:
        """Every trade that claims room."""
        return (*self.open_trades, *self.taken)


class Quote(NamedTuple):
    """What a symbol costs right now: sell at the bid, buy at the ask; `at_ms` is when it was told."""

    symbol: str
    bid: Decimal
    ask: Decimal
    at_ms: int
