"""What can be asked about accounts and the kill switch, as both faces take and give it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from core.risk.account import Account, AccountKind, KillLevel, LatchKind
from core.trade import STRICT, Direction


@dataclass(frozen=True, slots=True)
class CreateAccountRequest:
    """A new account: its id is chosen by the caller, its rules and its capital stay as they are given here."""

    __pydantic_config__: ClassVar = STRICT
    id: str
    kind: AccountKind
    initial_capital: Decimal
    name: str | None = None
    pack: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ListAccountsRequest:
    """The list of accounts takes no argument."""

    __pydantic_config__: ClassVar = STRICT


@dataclass(frozen=True, slots=True)
class ListAccountsResponse:
    """Every account, by id, and the one that is meant where none is named."""

    __pydantic_config__: ClassVar = STRICT
    accounts: tuple[Account, ...]
    default: str


@dataclass(frozen=True, slots=True)
class ReportedPosition:
    """A position that is open at the firm. Without a stop it takes the account's whole room."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str
    direction: Direction
    quantity: Decimal
    entry: Decimal
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ReportAccountRequest:
    """How an account at the firm stands right now, as its holder reads it off the terminal.

    `midnight_balance` is the balance at the firm's last midnight, once a day; left out, the one told before holds.
    """

    __pydantic_config__: ClassVar = STRICT
    account: str
    balance: Decimal
    equity: Decimal
    midnight_balance: Decimal | None = None
    trading_days: int | None = None
    positions: tuple[ReportedPosition, ...] = ()
    by: str | None = None


@dataclass(frozen=True, slots=True)
class LiftLatchRequest:
    """A person takes responsibility: lifts what stays tripped by itself, with a reason that is kept for ever."""

    __pydantic_config__: ClassVar = STRICT
    account: str
    kind: LatchKind
    reason: str
    by: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class LiftLatchResponse:
    """How many were lifted; 0 means that none had tripped."""

    __pydantic_config__: ClassVar = STRICT
    account: str
    kind: LatchKind
    lifted: int


@dataclass(frozen=True, slots=True)
class GetKillSwitchRequest:
    """The switch takes no argument."""

    __pydantic_config__: ClassVar = STRICT


@dataclass(frozen=True, slots=True)
class SetKillSwitchRequest:
    """Stop (pause or halt), or go on (off): who says so and why."""

    __pydantic_config__: ClassVar = STRICT
    level: KillLevel
    by: str
    reason: str
