"""What is written into an account's books: trades from birth to end, the money they moved, and what was emitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import ClassVar, Final, Generic, TypeVar

from core.errors import invalid
from core.risk.account import AccountFacts, Latch, Moment, TradeState
from core.trade import STRICT, Direction

MAX_WORD: Final = 256  # characters of an id, a name or a reason, as everywhere in the API

Answer = TypeVar("Answer")


class EntryKind(Enum):
    """Why money moved. Results, commissions and swaps belong to a trade, an adjustment (a payout) to none."""

    RESULT = "result"
    COMMISSION = "commission"
    SWAP = "swap"
    ADJUSTMENT = "adjustment"


class Outcome(Enum):
    """How a trade ended. Expired and cancelled ones never were in the market and moved no money."""

    WIN = "win"
    LOSS = "loss"
    BREAKEVEN = "breakeven"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


NEVER_IN_MARKET: Final = frozenset({Outcome.EXPIRED, Outcome.CANCELLED})


@dataclass(frozen=True, slots=True)
class NewEntry:
    """Money that moved (US dollars, at most 8 decimals). `key` names the event: booked again it is the same entry."""

    key: str
    amount: Decimal
    kind: EntryKind
    trade_id: str | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        check_word("key", self.key)
        if (self.kind is EntryKind.ADJUSTMENT) != (self.trade_id is None):
            raise invalid("trade_id", f"an entry of kind {self.kind.value} " + _whose(self.kind))


@dataclass(frozen=True, slots=True)
class NewTrade:
    """A trade to be born: pending until its entry price is met, or open at `opened_price` at once."""

    id: str
    symbol: str
    direction: Direction
    quantity: Decimal
    entry: Decimal
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    signal_id: str | None = None
    high_confidence: bool = False
    expires_at: datetime | None = None
    opened_price: Decimal | None = None
    entries: tuple[NewEntry, ...] = ()  # what opening it at once cost

    def __post_init__(self) -> None:
        check_word("id", self.id)
        if self.signal_id is not None:
            check_word("signal_id", self.signal_id)
        if self.direction is Direction.HOLD:
            raise invalid("direction", "HOLD is no trade; give BUY or SELL")
        for name in ("quantity", "entry", "stop_loss", "take_profit", "opened_price"):
            check_positive(name, getattr(self, name))
        check_owner(self.id, self.entries)
        if self.entries and self.opened_price is None:
            raise invalid("entries", "a trade that waits for its entry has moved no money yet")


@dataclass(frozen=True, slots=True)
class NewEmission:
    """A BUY or SELL of the primary book that is about to be published."""

    signal_id: str
    high_confidence: bool

    def __post_init__(self) -> None:
        check_word("signal_id", self.signal_id)


@dataclass(frozen=True, slots=True)
class Entry:
    """Money that moved, as it stands in the ledger. `day` is of the firm's calendar; `seq` counts without holes."""

    __pydantic_config__: ClassVar = STRICT
    account: str
    seq: int
    key: str
    at: datetime
    day: str
    amount: Decimal
    kind: EntryKind
    trade_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade as it stands in the books. The three numbers are its places in the audit log."""

    __pydantic_config__: ClassVar = STRICT
    id: str
    account: str
    signal_id: str | None
    symbol: str
    direction: Direction
    state: TradeState
    quantity: Decimal
    entry: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    high_confidence: bool
    created_at: datetime
    created_seq: int
    expires_at: datetime | None
    opened_at: datetime | None
    opened_seq: int | None
    opened_day: str | None
    opened_price: Decimal | None
    closed_at: datetime | None
    closed_seq: int | None
    closed_price: Decimal | None
    outcome: Outcome | None
    pnl: Decimal | None


@dataclass(frozen=True, slots=True)
class Opening:
    """A pending trade met its entry: the price it filled at, and what that cost.

    A halt refuses it, unless it is already filled where nobody can take it back.
    """

    trade_id: str
    price: Decimal
    entries: tuple[NewEntry, ...] = ()
    already_filled: bool = False

    def __post_init__(self) -> None:
        check_positive("price", self.price)
        check_owner(self.trade_id, self.entries)


@dataclass(frozen=True, slots=True)
class Closing:
    """A trade ended: an open one at a price with its entries, a pending one without either."""

    trade_id: str
    outcome: Outcome
    price: Decimal | None = None
    entries: tuple[NewEntry, ...] = ()

    def __post_init__(self) -> None:
        check_positive("price", self.price)
        check_owner(self.trade_id, self.entries)
        if (self.outcome in NEVER_IN_MARKET) != (self.price is None):
            raise invalid("price", f"a trade that ends as {self.outcome.value} " + _priced(self.outcome))
        if self.price is None and self.entries:
            raise invalid("entries", f"a trade that ends as {self.outcome.value} moved no money")


Move = Opening | Closing


@dataclass(frozen=True, slots=True)
class Decision(Generic[Answer]):
    """What a judge says under the lock: the answer for the caller, and what is to be stored with it.

    Without a trade and without an emission it is a refusal; latches that tripped are stored either way.
    """

    answer: Answer
    trade: NewTrade | None = None
    emission: NewEmission | None = None
    latches: tuple[Latch, ...] = ()
    detail: Mapping[str, object] = field(default_factory=dict)  # for the audit entry


@dataclass(frozen=True, slots=True)
class Admitted(Generic[Answer]):
    """What came of it: the judge's answer, when it was judged, and what was stored."""

    answer: Answer
    moment: Moment
    trade: Trade | None
    audit_seq: int | None  # None: refused


Judge = Callable[[AccountFacts, Moment], Decision[Answer]]
"""A pure function, called once, under the locks."""


def check_word(name: str, word: str) -> None:
    """Refuse an id, name or reason that is empty, long or not printable."""
    if not word.isprintable() or not 1 <= len(word) <= MAX_WORD:
        raise invalid(name, f"{word[:32]!r} must be 1 to {MAX_WORD} printable characters", reason="INVALID_WORD")


def check_positive(name: str, value: Decimal | None) -> None:
    """Refuse a price or quantity that is not a number above zero; None is absent."""
    if value is not None and not (value.is_finite() and value > 0):
        raise invalid(name, f"is {value}; a number above 0 is needed")


def check_owner(trade_id: str, entries: tuple[NewEntry, ...]) -> None:
    """The entries of a move are the trade's own."""
    for position, entry in enumerate(entries):
        if entry.trade_id != trade_id:
            raise invalid(f"entries.{position}.trade_id", f"is {entry.trade_id!r}, the trade is {trade_id!r}")


def _whose(kind: EntryKind) -> str:
    return "belongs to no trade" if kind is EntryKind.ADJUSTMENT else "needs the trade it belongs to"


def _priced(outcome: Outcome) -> str:
    return "never was in the market and has no price" if outcome in NEVER_IN_MARKET else "needs the price it ended at"
