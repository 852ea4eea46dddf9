"""When the firm's market closes for the weekend and opens again, where its pack says so."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from core.risk.calendar import local_instant, zone_of
from core.risk.terms import Closing, RiskPack

_WEEK = 7


class Break(NamedTuple):
    """A time without a market: from `closes_at` until just before `opens_at`, in UTC."""

    closes_at: datetime
    opens_at: datetime


def break_at(pack: RiskPack, at: datetime) -> Break | None:
    """The break that an instant lies in, else the next one; None where the pack knows no hours."""
    if pack.closing is None:
        return None
    today = at.astimezone(zone_of(pack.time_zone)).date()
    back = (today.weekday() - pack.closing.closes_weekday) % _WEEK
    latest = today - timedelta(days=back)
    weeks = (_break_of(pack.time_zone, pack.closing, latest + timedelta(days=_WEEK * each)) for each in (-1, 0, 1))
    return next(found for found in weeks if at < found.opens_at)


@lru_cache(maxsize=256)
def _break_of(zone: str, closing: Closing, day: date) -> Break:
    """The break that begins on that day."""
    length = (closing.opens_weekday - closing.closes_weekday) % _WEEK
    if length == 0 and closing.opens_at <= closing.closes_at:
        length = _WEEK
    opens_on = day + timedelta(days=length)
    return Break(local_instant(zone, day, closing.closes_at), local_instant(zone, opens_on, closing.opens_at))
