"""The firm's day: it begins at midnight where the firm lives, and has 23 or 25 hours when the clocks change there."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import invalid

_DAY = timedelta(days=1)


class FirmDay(NamedTuple):
    """One day of the firm: its date there, and when it starts and ends in UTC (the end belongs to the next day)."""

    date: date
    starts_at: datetime
    ends_at: datetime


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name, or an error that says that there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid("time_zone", f"{name!r} is no zone of the IANA list, such as Europe/Prague") from error


def firm_day(zone: str, at: datetime) -> FirmDay:
    """The firm's day that an instant falls into. Midnight itself belongs to the day that begins."""
    if at.tzinfo is None:
        raise invalid("at", "an instant needs its offset; give an aware time in UTC")
    return day_of(zone, at.astimezone(zone_of(zone)).date())


@lru_cache(maxsize=4096)
def day_of(zone: str, day: date) -> FirmDay:
    """The firm's day of that date: both ends are read off the local calendar, never 24 hours apart by rule."""
    return FirmDay(day, local_instant(zone, day, time.min), local_instant(zone, day + _DAY, time.min))


def local_instant(zone: str, day: date, clock: time) -> datetime:
    """The UTC instant of a local date and time; of an hour that comes twice the first one."""
    return datetime.combine(day, clock, zone_of(zone)).astimezone(UTC)
