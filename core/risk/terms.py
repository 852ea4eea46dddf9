"""The terms of a prop firm's product, as its pack states them: limits, targets, contracts, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from enum import Enum


class TotalLossMode(Enum):
    """Where the total loss is measured from: the initial capital, or the highest balance at an earlier midnight."""

    STATIC = "static"
    TRAILING = "eod_trailing"


class GapTrading(Enum):
    """What the pack says to opening shortly before the market closes for hours."""

    ALLOW = "allow"
    WARN = "warn"
    REFUSE = "refuse"


class Label(Enum):
    """How sure a rule's source is: the firm's own words, somebody else's, or our inference."""

    OFFICIAL = "official"
    SECONDARY = "secondary"
    GUESS = "guess"
    HOUSE = "house"  # not the firm's rule but ours


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule was read, when, and how sure it is."""

    rule: str
    label: Label
    read_on: date
    where: str


@dataclass(frozen=True, slots=True)
class Contract:
    """How the firm trades one of our symbols. Without `units_per_lot` the size of a lot is read off its platform."""

    symbol: str
    firm_symbol: str
    units_per_lot: Decimal | None
    min_lots: Decimal
    lot_step: Decimal
    max_lots: Decimal


@dataclass(frozen=True, slots=True)
class Closing:
    """When the market closes for the weekend, in the firm's time: Monday is 0."""

    closes_weekday: int
    closes_at: time
    opens_weekday: int
    opens_at: time


@dataclass(frozen=True, slots=True)
class Limbo:
    """A loss so deep that the firm may end the account when it stays there: from which fraction, for how many days."""

    from_fraction: Decimal
    days: int


@dataclass(frozen=True, slots=True)
class RiskPack:
    """The rules of one product. Fractions are of the initial capital; None means that there is no such rule."""

    id: str
    name: str
    firm: str
    product: str
    time_zone: str
    daily_loss: Decimal
    daily_guard: Decimal
    total_loss: Decimal
    total_guard: Decimal
    total_loss_mode: TotalLossMode
    warn_share: Decimal  # of a guard's allowance, and of the days until an idle account is closed
    profit_target: Decimal | None
    minimum_trading_days: int
    best_day_share: Decimal | None
    commission_per_side: Decimal  # of the notional
    leverage: Decimal
    contracts: Mapping[str, Contract]  # by our symbol; one that is absent is traded on paper only
    max_open_orders: int | None
    news_minutes: int | None  # before and after a listed release
    weekend_holding: bool
    closing: Closing | None
    gap_trading: GapTrading
    gap_minutes: int  # before the closing
    inactivity_days: int | None
    first_trade_days: int | None
    limbo: Limbo | None
    sources: tuple[Source, ...]
