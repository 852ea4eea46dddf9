"""The risk of an account as every face shows it, and the question whether one trade would be allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from core.risk.account import AccountKind, KillSwitch
from core.risk.size import Sizing
from core.risk.state import Claim, Headroom, Notice, Objectives, Standing
from core.signal import Veto
from core.trade import STRICT, Direction


@dataclass(frozen=True, slots=True)
class GetRiskRequest:
    """Which account; none means the default one."""

    __pydantic_config__: ClassVar = STRICT
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """How many signals of the last hour count against a limit, and when the next one is free again."""

    __pydantic_config__: ClassVar = STRICT
    rule: str
    used: int
    limit: int
    free_at: datetime | None  # None: one is free now


@dataclass(frozen=True, slots=True)
class RiskReport:
    """How an account stands: its state, what is left under each limit, what claims it, what to watch."""

    __pydantic_config__: ClassVar = STRICT
    account: str
    name: str
    kind: AccountKind
    pack: str
    at: datetime
    state: Standing
    lifts_at: datetime | None
    initial_capital: Decimal
    balance: Decimal
    equity: Decimal | None
    floating: Decimal | None
    fresh: bool
    stale: tuple[Notice, ...]
    day: str
    day_starts_at: datetime
    day_ends_at: datetime
    headroom: tuple[Headroom, ...]
    free_usd: Decimal
    binding: str
    open_risk_usd: Decimal
    open_trades: tuple[Claim, ...]
    windows: tuple[Window, ...]
    kill_switch: KillSwitch
    objectives: Objectives
    warnings: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class CheckTradeRequest:
    """A trade somebody thinks of. Without `entry` it enters at the quote of now; without `quantity` it is sized."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str
    direction: Direction
    stop_loss: Decimal
    account: str | None = None
    entry: Decimal | None = None
    take_profit: Decimal | None = None
    risk_percent: Decimal | None = None
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TradeCheck:
    """Whether that trade would be allowed now, at what size, and which rule decided."""

    __pydantic_config__: ClassVar = STRICT
    account: str
    at: datetime
    allowed: bool
    vetoes: tuple[Veto, ...]
    entry: Decimal
    quantity: Decimal  # the one asked for, or the one of the sizing
    sizing: Sizing
    state: Standing
    free_usd: Decimal
    binding: str
    notes: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class RuleSource:
    """Where a rule was read, when (YYYY-MM-DD), and how sure that is."""

    __pydantic_config__: ClassVar = STRICT
    rule: str
    label: str
    read_on: str
    where: str


@dataclass(frozen=True, slots=True)
class ContractTerms:
    """How the firm trades a symbol; without `units_per_lot` its platform says how much a lot is."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str
    firm_symbol: str
    units_per_lot: Decimal | None
    min_lots: Decimal
    lot_step: Decimal
    max_lots: Decimal


@dataclass(frozen=True, slots=True)
class RulePack:
    """A pack of rules as the API lists it. Fractions are of the initial capital; absent: there is no such rule."""

    __pydantic_config__: ClassVar = STRICT
    id: str
    name: str
    firm: str
    product: str
    time_zone: str
    daily_loss: Decimal
    daily_guard: Decimal
    total_loss: Decimal
    total_guard: Decimal
    total_loss_mode: str
    warn_share: Decimal
    profit_target: Decimal | None
    minimum_trading_days: int
    best_day_share: Decimal | None
    commission_per_side: Decimal
    leverage: Decimal
    contracts: tuple[ContractTerms, ...]
    max_open_orders: int | None
    news_minutes: int | None
    weekend_holding: bool
    weekend_closing: str | None
    gap_trading: str
    gap_minutes: int
    inactivity_days: int | None
    first_trade_days: int | None
    limbo_from_fraction: Decimal | None
    limbo_days: int | None
    sources: tuple[RuleSource, ...]


@dataclass(frozen=True, slots=True)
class ListRulePacksRequest:
    """The list of packs takes no argument."""

    __pydantic_config__: ClassVar = STRICT


@dataclass(frozen=True, slots=True)
class ListRulePacksResponse:
    """Every pack this server knows, and the default one's id."""

    __pydantic_config__: ClassVar = STRICT
    packs: tuple[RulePack, ...]
    default: str
