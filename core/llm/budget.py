"""The rules of the language model's budget: which day and month an instant belongs to, what fits, when to warn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from core.llm.asking import BudgetRefusal, RefusedBy

ALARM_FRACTION: Final = Decimal("0.8")  # of a cap
MOST_UNITS: Final = 10**15  # ten million dollars: more is a mistake, and sums of it still fit a column


class Caps(NamedTuple):
    """The most that may be spent in a month and in a day, in units of 1e-8 USD."""

    month: int
    day: int


class Periods(NamedTuple):
    """The UTC month and day of an instant, by name: 2026-11 and 2026-11-21."""

    month: str
    day: str


def name_periods(at: datetime) -> Periods:
    """The month and the day of an instant.

    >>> name_periods(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    Periods(month='2026-11', day='2026-11-30')
    """
    day = at.astimezone(UTC).date().isoformat()
    return Periods(day[:7], day)


def periods_of_day(day: str) -> Periods:
    """The month and the day of a reservation."""
    return Periods(day[:7], day)


def next_day(at: datetime) -> datetime:
    """When the UTC day after an instant begins."""
    return datetime.combine(at.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def next_month(at: datetime) -> datetime:
    """When the UTC month after an instant begins."""
    first = at.astimezone(UTC).date().replace(day=1)
    return datetime.combine((first + timedelta(days=32)).replace(day=1), time(), UTC)


def is_alarming(spent_units: int, cap_units: int) -> bool:
    """Whether so much of a cap is spent that somebody should know."""
    return spent_units > 0 and spent_units >= ALARM_FRACTION * cap_units


def refuse(asked_units: int, spent: Mapping[str, int], caps: Caps, at: datetime) -> BudgetRefusal:
    """Which cap does not allow it; where both do not, the one that lasts longer."""
    periods = name_periods(at)
    if spent[periods.month] + asked_units > caps.month:
        return BudgetRefusal(RefusedBy.MONTH, asked_units, spent[periods.month], caps.month, next_month(at))
    return BudgetRefusal(RefusedBy.DAY, asked_units, spent[periods.day], caps.day, next_day(at))
