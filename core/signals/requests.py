"""What can be asked about signals, as both faces take and give it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from core.signal import Mode, Signal, Strategy, Variant
from core.trade import STRICT, Book, Direction, Tier


@dataclass(frozen=True, slots=True)
class GenerateSignalsRequest:
    """Decide now on one symbol or several.

    `slot` is the grid time of a scheduler: for each account, symbol and slot there is one decision, whoever asks.
    """

    __pydantic_config__: ClassVar = STRICT
    symbol: str | None = None
    symbols: tuple[str, ...] = ()
    slot: datetime | None = None
    mode: Mode | None = None
    account: str | None = None
    interval: str | None = None


@dataclass(frozen=True, slots=True)
class GenerateSignalsResponse:
    """One decision for each symbol, in the order of the request. A refusal is a HOLD with its vetoes."""

    __pydantic_config__: ClassVar = STRICT
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class GetSignalRequest:
    """Which decision."""

    __pydantic_config__: ClassVar = STRICT
    id: str


@dataclass(frozen=True, slots=True)
class ExplainSignalRequest:
    """Which decision is to be explained."""

    __pydantic_config__: ClassVar = STRICT
    id: str


@dataclass(frozen=True, slots=True)
class ListSignalsRequest:
    """Which decisions, newest first, of the primary book unless another is named.

    `cursor` is the one that the page before ended with. `model` is the version of one that had a part in it.
    """

    __pydantic_config__: ClassVar = STRICT
    symbol: str | None = None
    direction: Direction | None = None
    variant: Variant | None = None
    tier: Tier | None = None
    book: Book | None = None
    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: int | None = None
    limit: int | None = None
    strategy: Strategy | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ListSignalsResponse:
    """A page of decisions. Without `next_cursor` it was the last."""

    __pydantic_config__: ClassVar = STRICT
    signals: tuple[Signal, ...]
    next_cursor: int | None = None


@dataclass(frozen=True, slots=True)
class StreamSignalsRequest:
    """Every decision after that number, then each new one as it is stored; without it, from now on.

    Of the primary book, unless another is named: what only compares must not be traded by mistake.
    """

    __pydantic_config__: ClassVar = STRICT
    after: int | None = None
    book: Book | None = None


@dataclass(frozen=True, slots=True)
class SignalEvent:
    """A decision and its number, with which a stream goes on after it."""

    __pydantic_config__: ClassVar = STRICT
    sequence: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class MarkExecutedRequest:
    """The trader took this signal."""

    __pydantic_config__: ClassVar = STRICT
    id: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class GetSpendRequest:
    """The spend takes no argument."""

    __pydantic_config__: ClassVar = STRICT
