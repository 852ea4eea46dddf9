"""How an account stands against every rule at one instant: floors, what is used, what is left, what has tripped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import ClassVar

from core.risk.account import Latch, TradeState
from core.risk.calendar import FirmDay
from core.trade import STRICT


class Standing(Enum):
    """From free to finished. An early stop of the day lifts at the firm's midnight; the rest only by a person."""

    OK = "ok"
    WARN = "warn"
    EARLY_STOP = "early_stop"
    BREACHED = "breached"


@dataclass(frozen=True, slots=True)
class Headroom:
    """One loss rule in money: where it is measured from, the firm's floor, the house guard's floor, what is left.

    `used_usd` and what is left follow the equity and are None while no price is known. `free_usd` is what one more
    trade may lose in the worst case after every trade that is open or waited for has hit its stop; a profit booked
    since the anchor does not widen it.
    """

    __pydantic_config__: ClassVar = STRICT
    rule: str  # daily_loss or total_loss
    anchor: Decimal
    limit_usd: Decimal
    guard_usd: Decimal
    floor: Decimal
    guard_floor: Decimal
    used_usd: Decimal | None
    used_percent: Decimal | None  # of the firm's limit
    left_usd: Decimal | None  # until the firm's floor
    guard_left_usd: Decimal | None  # until the house guard's floor
    free_usd: Decimal
    state: Standing


@dataclass(frozen=True, slots=True)
class Claim:
    """What one trade may still cost the account from now on; None is the whole room, for it has no stop."""

    __pydantic_config__: ClassVar = STRICT
    trade: str
    symbol: str
    state: TradeState
    floating_usd: Decimal | None  # None: not in the market, or no price is known
    worst_usd: Decimal | None
    notional_usd: Decimal


@dataclass(frozen=True, slots=True)
class Objectives:
    """How far the account is on its way to pass: target, trading days, best day. None: the pack has no such rule."""

    __pydantic_config__: ClassVar = STRICT
    target_balance: Decimal | None
    gained_usd: Decimal
    progress_percent: Decimal | None
    target_reached: bool  # with every position closed
    trading_days: int
    minimum_trading_days: int
    best_day_percent: Decimal | None
    best_day_limit_percent: Decimal | None
    best_day_met: bool
    passed: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that stops nothing now but that a trader should know: a rule and a sentence."""

    __pydantic_config__: ClassVar = STRICT
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class RiskState:
    """An account at one instant, judged by its pack. `new_latches` have just tripped and must be stored now."""

    account: str
    pack: str
    at: datetime
    day: FirmDay
    state: Standing
    lifts_at: datetime | None  # when an early stop of the day ends
    initial_capital: Decimal
    balance: Decimal
    equity: Decimal | None
    floating: Decimal | None
    stale: tuple[Notice, ...]  # why the figures cannot be trusted now; empty: they are fresh
    daily: Headroom
    total: Headroom
    claims: tuple[Claim, ...]
    open_risk_usd: Decimal  # the sum of all claims; a trade without a stop is not in it but takes the whole room
    binding: str  # the rule that leaves the least to one more trade
    objectives: Objectives
    warnings: tuple[Notice, ...]
    new_latches: tuple[Latch, ...]

    @property
    def fresh(self) -> bool:
        """Whether every figure is young enough to act on."""
        return not self.stale

    @property
    def free_usd(self) -> Decimal:
        """What one more trade may lose at most without passing a guard: strictly less than this."""
        return min(self.daily.free_usd, self.total.free_usd)
