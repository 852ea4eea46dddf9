"""What the language model has cost, as people ask for it: against its caps, by symbol, by variant, by signal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.spend_schema import llm_reservations, llm_settlements, llm_totals
from core.llm.asking import SpendLine, SpendStatus
from core.llm.budget import Caps, Periods, is_alarming, name_periods, next_day, next_month
from core.money import from_units
from core.risk.account import Moment

Spender = Literal["symbol", "variant", "signal"]
Period = Literal["day", "month"]

LONGEST_FLIGHT: Final = timedelta(minutes=2)  # the longest question ends after 30 s
MOST_LINES: Final = 500  # in one answer, as for every list of the API

_reserved, _settled, _totals = llm_reservations.c, llm_settlements.c, llm_totals.c
_COLUMNS: Final = {"symbol": _reserved.symbol, "variant": _reserved.variant, "signal": _reserved.signal_id}


def totals_of(periods: Periods) -> Select[tuple[str, int, int, datetime | None]]:
    """The totals of a month and a day, the month first."""
    columns = select(_totals.period, _totals.units, _totals.calls, _totals.alarmed_at)
    return columns.where(_totals.period.in_(periods)).order_by(_totals.period)


async def read_status(connection: AsyncConnection, moment: Moment, caps: Caps) -> SpendStatus:
    """What is spent against the caps."""
    periods = name_periods(moment.at)
    rows = {row.period: (row.units, row.calls) for row in await connection.execute(totals_of(periods))}
    (month_units, month_calls), (day_units, day_calls) = (rows.get(period, (0, 0)) for period in periods)
    return SpendStatus(
        day=periods.day,
        day_spent_usd=from_units(day_units),
        day_cap_usd=from_units(caps.day),
        day_calls=day_calls,
        day_alarm=is_alarming(day_units, caps.day),
        month=periods.month,
        month_spent_usd=from_units(month_units),
        month_cap_usd=from_units(caps.month),
        month_calls=month_calls,
        month_alarm=is_alarming(month_units, caps.month),
        in_flight=await _count_open(connection, moment),
        day_resets_at=next_day(moment.at),
        month_resets_at=next_month(moment.at),
    )


async def read_lines(
    connection: AsyncConnection, by: Spender, moment: Moment, *, period: Period = "day"
) -> list[SpendLine]:
    """What each symbol, variant or signal has cost in the day or the month of an instant, the dearest first."""
    periods = name_periods(moment.at)
    name = func.coalesce(_COLUMNS[by], "").label("name")
    units = func.sum(func.coalesce(_settled.units, _reserved.units)).label("units")
    first, last = (periods.day, periods.day) if period == "day" else (f"{periods.month}-01", f"{periods.month}-31")
    query = (
        select(name, units, func.count().label("calls"))
        .select_from(llm_reservations)
        .outerjoin(llm_settlements, _settled.reservation_id == _reserved.id)
        .where(_reserved.day.between(first, last))
        .group_by(name)
        .order_by(units.desc(), name)
        .limit(MOST_LINES)
    )
    return [SpendLine(row.name, from_units(int(row.units)), row.calls) for row in await connection.execute(query)]


async def _count_open(connection: AsyncConnection, moment: Moment) -> int:
    """Attempts that are under way; older ones have died with their process."""
    oldest = moment.at - LONGEST_FLIGHT
    query = (
        select(func.count())
        .select_from(llm_reservations)
        .outerjoin(llm_settlements, _settled.reservation_id == _reserved.id)
        .where(_reserved.day.in_({name_periods(oldest).day, name_periods(moment.at).day}))
        .where(_settled.reservation_id.is_(None), _reserved.at >= oldest)
    )
    return (await connection.execute(query)).scalar_one()
