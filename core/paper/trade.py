"""A paper trade: a signal followed to its end. How it is born, and how it is rebuilt from the books after a restart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from typing import Final

from core.errors import Code, CrpbotError, invalid
from core.market import milliseconds
from core.risk.account import TradeState
from core.risk.booking import Entry, EntryKind, NewEntry, NewTrade, Outcome, Trade, check_positive, check_word
from core.signal import Signal
from core.trade import Direction, Tier

LIFE: Final = timedelta(minutes=15)  # of a signal that waits for its entry
LONGEST_PLAIN_ID: Final = 200  # characters; a longer trade id is hashed, so that the key of an entry has room


class Fill(Enum):
    """Where in a candle a trade was opened. What follows in that candle is known only after a fill at its open."""

    OPEN = "at the open of"
    WITHIN = "within"
    BY_HAND = "by hand at"


_FILL: Final = re.compile(rf"opened ({'|'.join(fill.value for fill in Fill)}) (\S+)")


@dataclass(frozen=True, slots=True)
class PaperTrade:
    """A trade as the paper trader follows it. `seen_ms` is where the next candle may begin at the earliest.

    `opened_at` is the market's instant, not that of the booking: the beginning of the candle of the fill. `pnl` is what
    it has moved so far, its opening commission included.
    """

    id: str
    signal_id: str | None
    symbol: str
    direction: Direction
    quantity: Decimal
    entry: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    created_at: datetime
    expires_at: datetime
    state: TradeState = TradeState.PENDING
    opened_at: datetime | None = None
    opened_price: Decimal | None = None
    fill: Fill | None = None
    closed_at: datetime | None = None
    closed_price: Decimal | None = None
    outcome: Outcome | None = None
    pnl: Decimal | None = None
    seen_ms: int = 0

    def __post_init__(self) -> None:
        check_word("id", self.id)
        if self.direction is Direction.HOLD:
            raise invalid("direction", "HOLD is no trade; give BUY or SELL")
        for name in ("quantity", "entry", "stop_loss", "take_profit", "opened_price", "closed_price"):
            check_positive(name, getattr(self, name))
        for name in ("created_at", "expires_at"):
            if getattr(self, name).tzinfo is None:
                raise invalid(name, "needs a time zone, such as +00:00")

    @property
    def side(self) -> int:
        """1 for BUY, -1 for SELL."""
        return 1 if self.direction is Direction.BUY else -1

    @property
    def pnl_percent(self) -> Decimal | None:
        """The result, all costs paid, in percent of the notional at the entry. None until it is closed."""
        if self.pnl is None or self.opened_price is None:
            return None
        return (100 * self.pnl / (self.opened_price * self.quantity)).quantize(Decimal("0.000001"))


def birth(signal: Signal) -> NewTrade:
    """The one trade of a BUY or SELL. Its id follows from the signal, so that a second one is the same one."""
    if signal.direction is Direction.HOLD:
        raise _refused("signal", f"{signal.id!r} says HOLD: there is nothing to open", "SIGNAL_IS_HOLD")
    if signal.entry is None or signal.quantity is None or not signal.quantity > 0:
        detail = f"{signal.id!r} has entry {signal.entry} and quantity {signal.quantity}; both are needed, above 0"
        raise _refused("signal", detail, "SIGNAL_WITHOUT_SIZE")
    return NewTrade(
        id=trade_id_of(signal.account, signal.id),
        symbol=signal.symbol,
        direction=signal.direction,
        quantity=signal.quantity,
        entry=signal.entry,
        stop_loss=signal.stop_loss,
        take_profit=signal.take_profit,
        signal_id=signal.id,
        high_confidence=signal.tier is Tier.HIGH,
        expires_at=signal.timestamp + LIFE,
    )


def trade_id_of(account: str, signal_id: str) -> str:
    """The id of the trade that an account makes of a signal.

    >>> trade_id_of("paper", "s-1")
    'paper-1b89dbc8403da9e4a4e296fc'
    """
    return "paper-" + blake2b(f"{account}/{signal_id}".encode(), digest_size=12).hexdigest()


def follow(new: NewTrade, created_at: datetime) -> PaperTrade:
    """A new trade that waits for its entry from this instant on."""
    _check_sides(new)
    return PaperTrade(
        id=new.id,
        signal_id=new.signal_id,
        symbol=new.symbol,
        direction=new.direction,
        quantity=new.quantity,
        entry=new.entry,
        stop_loss=new.stop_loss,
        take_profit=new.take_profit,
        created_at=created_at,
        expires_at=created_at + LIFE if new.expires_at is None else new.expires_at,
        seen_ms=milliseconds(created_at),
    )


def rebuild(trade: Trade, entries: Sequence[Entry | NewEntry]) -> PaperTrade:
    """The trade as it stands in the books, with the entries that are its own: what a restart begins with."""
    opened_at, fill = None, None
    if trade.opened_price is not None:
        fill, opened_at = _find_fill(trade, entries)
    return PaperTrade(
        id=trade.id,
        signal_id=trade.signal_id,
        symbol=trade.symbol,
        direction=trade.direction,
        quantity=trade.quantity,
        entry=trade.entry,
        stop_loss=trade.stop_loss,
        take_profit=trade.take_profit,
        created_at=trade.created_at,
        expires_at=trade.created_at + LIFE if trade.expires_at is None else trade.expires_at,
        state=trade.state,
        opened_at=opened_at,
        opened_price=trade.opened_price,
        fill=fill,
        closed_at=trade.closed_at,
        closed_price=trade.closed_price,
        outcome=trade.outcome,
        pnl=_moved(trade, entries),
        seen_ms=milliseconds(trade.created_at if opened_at is None else opened_at),
    )


def entry_key(trade_id: str, event: str) -> str:
    """The name of one event in the ledger: booked twice, it is one entry."""
    plain = len(trade_id) <= LONGEST_PLAIN_ID
    return f"{event}/{trade_id if plain else blake2b(trade_id.encode(), digest_size=16).hexdigest()}"


def opening_detail(fill: Fill, at: datetime) -> str:
    """Where in the market a trade was opened, as the entry of its commission says it and `rebuild` reads it."""
    return f"opened {fill.value} {at.astimezone(UTC).isoformat()}"


def _find_fill(trade: Trade, entries: Sequence[Entry | NewEntry]) -> tuple[Fill, datetime]:
    """From the opening's own entry; a trade that was opened without one was opened by hand, when it was booked."""
    for entry in entries:
        found = _FILL.search(entry.detail)
        if entry.trade_id == trade.id and entry.kind is EntryKind.COMMISSION and found:
            return Fill(found[1]), datetime.fromisoformat(found[2])
    if trade.opened_at is None:
        raise invalid("trade.opened_at", f"{trade.id!r} has an opening price but no instant", reason="DAMAGED_TRADE")
    return Fill.BY_HAND, trade.opened_at


def _moved(trade: Trade, entries: Sequence[Entry | NewEntry]) -> Decimal | None:
    if trade.pnl is not None or trade.opened_price is None:
        return trade.pnl
    return sum((entry.amount for entry in entries if entry.trade_id == trade.id), Decimal(0))


def _check_sides(new: NewTrade) -> None:
    """Levels on the wrong side of the entry would close a trade at once."""
    side = 1 if new.direction is Direction.BUY else -1
    for name, level, sign in (("stop_loss", new.stop_loss, -side), ("take_profit", new.take_profit, side)):
        if level is not None and (level - new.entry) * sign <= 0:
            where = "above" if sign > 0 else "below"
            raise invalid(name, f"is {level}; a {new.direction.value} at {new.entry} needs it {where}")


def _refused(what: str, detail: str, reason: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, f"{what}: {detail}", reason=reason)
