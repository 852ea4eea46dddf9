"""What the house allows beyond the firm's rules: how often, how much, and how badly a stop is expected to fill."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final

from core.errors import invalid
from core.trade import STRICT

WINDOW_MS: Final = 3_600_000  # signals are counted over the last hour
HIGHEST_RISK_PERCENT: Final = Decimal(2)  # of the initial capital in one trade: no setting passes it

_WHOLE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Limits:
    """The house's own limits. Percentages are of the initial capital, fractions of a price."""

    __pydantic_config__: ClassVar = STRICT
    max_signals_per_hour: int = 3
    max_high_confidence_per_hour: int | None = None
    risk_percent: Decimal = Decimal(1)
    max_risk_percent: Decimal = HIGHEST_RISK_PERCENT
    max_open_risk_percent: Decimal | None = None  # of all trades together; None: the loss guards alone
    slippage_fraction: Decimal = Decimal("0.0005")  # how much worse than its stop a trade is expected to fill
    entry_tolerance_fraction: Decimal = Decimal("0.005")  # how much worse than planned an entry may fill
    stale_after_seconds: int = 60

    def __post_init__(self) -> None:
        for field in ("max_signals_per_hour", "max_high_confidence_per_hour", "stale_after_seconds"):
            _need_whole(field, getattr(self, field))
        for field in ("slippage_fraction", "entry_tolerance_fraction"):
            _need_fraction(field, getattr(self, field))
        for field in ("risk_percent", "max_risk_percent", "max_open_risk_percent"):
            _need_percent(field, getattr(self, field))
        if self.max_risk_percent > HIGHEST_RISK_PERCENT:
            raise invalid("max_risk_percent", f"is {self.max_risk_percent}; at most {HIGHEST_RISK_PERCENT} is allowed")
        if self.risk_percent > self.max_risk_percent:
            raise invalid(
                "risk_percent", f"is {self.risk_percent}; at most max_risk_percent, {self.max_risk_percent}, is allowed"
            )


def _need_whole(field: str, value: int | None) -> None:
    if value is not None and value < 0:
        raise invalid(field, f"is {value}; 0 or more is needed")


def _need_fraction(field: str, value: Decimal) -> None:
    if not value.is_finite() or not 0 <= value < _WHOLE:
        raise invalid(field, f"is {value}; a fraction from 0 to below 1 is needed, such as 0.0005")


def _need_percent(field: str, value: Decimal | None) -> None:
    if value is not None and not (value.is_finite() and 0 < value <= 100):
        raise invalid(field, f"is {value}; a percentage above 0 and at most 100 is needed")


DEFAULT_LIMITS: Final = Limits()
