"""The words of a trade: which way, how sure, at which prices, and in whose book."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import ClassVar, Final

# How every dataclass of the API is read and written: nothing is guessed, and an answer always has all its fields.
STRICT: Final = {
    "strict": True,
    "extra": "forbid",
    "allow_inf_nan": False,
    "json_schema_serialization_defaults_required": True,
}


class Direction(Enum):
    """What a signal says. HOLD carries no prices."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class Tier(Enum):
    """How sure a signal is: high from 0.75, medium from 0.65, low from 0.55; below there is none."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Book(Enum):
    """Where a decision counts: the primary book is published and limited, the shadow book only compares."""

    PRIMARY = "primary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Levels:
    """Where to enter and where to leave, as prices in US dollars."""

    __pydantic_config__: ClassVar = STRICT
    entry: Decimal
    stop_loss: Decimal
    take_profit: Decimal
