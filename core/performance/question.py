"""What can be asked about results: of which account, which trades, which days, and in which groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import ClassVar

from core.signal import Strategy, Variant
from core.trade import STRICT, Direction, Tier


class Grouping(Enum):
    """By what results are told apart; a period is a calendar month (UTC)."""

    SYMBOL = "symbol"
    VARIANT = "variant"
    TIER = "tier"
    STRATEGY = "strategy"
    DIRECTION = "direction"
    PERIOD = "period"


@dataclass(frozen=True, slots=True)
class MeasureRequest:
    """Which trades; None does not ask. They closed from `since` on and before `until`."""

    __pydantic_config__: ClassVar = STRICT
    account: str | None = None
    symbol: str | None = None
    variant: Variant | None = None
    tier: Tier | None = None
    strategy: Strategy | None = None
    direction: Direction | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PerformanceRequest:
    """Which trades, and by what they are told apart."""

    __pydantic_config__: ClassVar = STRICT
    account: str | None = None
    symbol: str | None = None
    variant: Variant | None = None
    tier: Tier | None = None
    strategy: Strategy | None = None
    direction: Direction | None = None
    since: datetime | None = None
    until: datetime | None = None
    group_by: Grouping | None = None


@dataclass(frozen=True, slots=True)
class EvaluateTheoriesRequest:
    """Evaluate the theories on an account's trades now, and store what is found."""

    __pydantic_config__: ClassVar = STRICT
    account: str | None = None


@dataclass(frozen=True, slots=True)
class ListTheoryPerformanceRequest:
    """Which stored evaluations, newest first. `symbol` ALL is every symbol together."""

    __pydantic_config__: ClassVar = STRICT
    account: str | None = None
    theory: str | None = None
    symbol: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
