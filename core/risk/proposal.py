"""What somebody wants to do: a signal to publish or a trade to open, refused where its prices make no sense."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Final

from core.errors import CrpbotError, invalid
from core.trade import Direction

POWERS_OF_TEN: Final = 12  # of the largest and the smallest price or quantity

DIGITS: Final = 28  # of a price or quantity; two of them multiply without rounding


class Purpose(Enum):
    """What is asked for: to publish a signal, or to open a trade. A pause stops the first, a halt both."""

    SIGNAL = "signal"
    TRADE = "trade"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody wants to do. Without `quantity` only the account is asked: kill switch, state, room, windows."""

    purpose: Purpose
    symbol: str
    direction: Direction
    entry: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    quantity: Decimal | None = None
    high_confidence: bool = False
    releases: tuple[datetime, ...] = ()  # of listed news on this symbol, as far as somebody knows them

    def __post_init__(self) -> None:
        need_order(self.direction, self.entry, self.stop_loss, take_profit=self.take_profit, quantity=self.quantity)


def need_order(
    direction: Direction,
    entry: Decimal | None,
    stop_loss: Decimal | None,
    *,
    take_profit: Decimal | None = None,
    quantity: Decimal | None = None,
) -> None:
    """Refuse an order whose prices make no sense: the stop must lose, the target must win, all must be above zero."""
    if direction is Direction.HOLD:
        raise invalid("direction", "HOLD is no order; BUY or SELL is needed")
    for field, value in (
        ("entry", entry),
        ("stop_loss", stop_loss),
        ("take_profit", take_profit),
        ("quantity", quantity),
    ):
        need_number(field, value)
    if stop_loss is not None and entry is not None:
        need_stop(direction, entry, stop_loss)
    if take_profit is not None:
        _need_target(direction, entry if entry is not None else stop_loss, take_profit)


def need_number(field: str, value: Decimal | None) -> None:
    """Refuse a price or quantity that is not above zero or that no market has; None is absent."""
    if value is None:
        return
    if not (value.is_finite() and value > 0):
        raise invalid(field, f"is {str(value)[:40]}; a finite number above 0 is needed")
    if abs(value.adjusted()) > POWERS_OF_TEN:
        raise invalid(field, f"is {value:.1e}; no price or quantity is beyond 1e{POWERS_OF_TEN} or its inverse")
    if len(value.as_tuple().digits) > DIGITS:
        raise invalid(field, f"has {len(value.as_tuple().digits)} digits; {DIGITS} are the most")


def need_stop(direction: Direction, entry: Decimal, stop_loss: Decimal) -> None:
    """Refuse a stop that does not lie on the losing side of the entry."""
    if stop_loss == entry:
        raise _misplaced("stop_loss", stop_loss, "equal to the entry; a distance is needed")
    if (stop_loss < entry) is not (direction is Direction.BUY):
        side = "below" if direction is Direction.BUY else "above"
        raise _misplaced("stop_loss", stop_loss, f"on the wrong side; for {direction.value} {side} {entry} is needed")


def _need_target(direction: Direction, entry: Decimal | None, take_profit: Decimal) -> None:
    if entry is None or (take_profit > entry and direction is Direction.BUY):
        return
    if direction is Direction.BUY or take_profit >= entry:
        side = "above" if direction is Direction.BUY else "below"
        words = f"on the wrong side; for {direction.value} {side} {entry} is needed"
        raise _misplaced("take_profit", take_profit, words)


def _misplaced(field: str, value: Decimal, words: str) -> CrpbotError:
    return invalid(field, f"is {value}, {words}", reason="INVALID_LEVELS")
