"""What can be asked about paper trades, as both faces take and give it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.risk.account import TradeState
from core.risk.booking import Trade
from core.trade import STRICT


@dataclass(frozen=True, slots=True)
class ListPaperTradesRequest:
    """Which trades, newest first. `cursor` is the one that the page before ended with."""

    __pydantic_config__: ClassVar = STRICT
    account: str | None = None
    symbol: str | None = None
    state: TradeState | None = None
    cursor: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ListPaperTradesResponse:
    """A page of trades. Without `next_cursor` it was the last."""

    __pydantic_config__: ClassVar = STRICT
    trades: tuple[Trade, ...]
    next_cursor: int | None = None


@dataclass(frozen=True, slots=True)
class GetPaperTradeRequest:
    """Which trade."""

    __pydantic_config__: ClassVar = STRICT
    id: str


@dataclass(frozen=True, slots=True)
class OpenPaperTradeRequest:
    """Open the trade of a signal now, at the quote, instead of waiting for a candle to meet its entry."""

    __pydantic_config__: ClassVar = STRICT
    signal_id: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ClosePaperTradeRequest:
    """Close an open trade now, at the quote."""

    __pydantic_config__: ClassVar = STRICT
    id: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class CancelPaperTradeRequest:
    """Take back a trade that still waits for its entry."""

    __pydantic_config__: ClassVar = STRICT
    id: str
    by: str | None = None
