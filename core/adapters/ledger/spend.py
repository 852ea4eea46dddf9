"""The budget of the language model in the database: its caps hold whatever the number of gateways, and over restarts.

A reservation counts as spent from its first moment and belongs to its UTC day for ever. It fits both caps or it is not
made: one conditional statement over the totals of the day and of the month decides. A settlement replaces the amount
once; what dies in between (a killed process, a call given up on) stays charged in full. Locks are taken in the order of
the periods' names, the month first, so that nobody waits for somebody who waits for him.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sqlalchemy import case, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.spend_report import LONGEST_FLIGHT, Period, Spender, read_lines, read_status, totals_of
from core.adapters.ledger.spend_schema import llm_reservations, llm_settlements, llm_totals
from core.errors import invalid
from core.llm.asking import BudgetRefusal, Reservation, SpendLabel, SpendLine, SpendStatus
from core.llm.budget import MOST_UNITS, Caps, Periods, is_alarming, name_periods, periods_of_day, refuse
from core.money import from_units, round_up
from core.risk.account import Moment

logger = logging.getLogger(__name__)

EXPIRED_AT_ONCE: Final = 500

_reserved, _settled, _totals = llm_reservations.c, llm_settlements.c, llm_totals.c


@dataclass(frozen=True, slots=True)
class Spend:
    """A `Budget` in the ledger. Its methods are transactions of their own; the functions below run inside one."""

    ledger: Ledger
    caps: Caps

    @classmethod
    def of(cls, ledger: Ledger, *, daily_usd: Decimal, monthly_usd: Decimal) -> Spend:
        """With caps in dollars."""
        return cls(ledger, Caps(month=round_up(monthly_usd), day=round_up(daily_usd)))

    async def reserve(self, units: int, moment: Moment, label: SpendLabel) -> Reservation | BudgetRefusal:
        """Room for one attempt. What is returned is stored."""
        async with self.ledger.writing() as connection:
            answer = await take_room(connection, units, moment, label, self.caps)
            alarms = await mark_alarms(connection, moment, self.caps) if isinstance(answer, Reservation) else ()
        for period, spent, cap in alarms:
            words = f"{from_units(spent)} of {from_units(cap)} USD are spent in {period}"
            logger.warning("language model: %s (%.0f %%)", words, 100 * spent / cap)
        return answer

    async def settle(self, reservation: Reservation, charged_units: int, moment: Moment) -> int:
        """What the attempt did cost; of several settlements the first counts. The answer is what counts."""
        async with self.ledger.writing() as connection:
            return await close(connection, reservation, charged_units, moment, outcome="settled")

    async def abandon(self, reservation: Reservation, moment: Moment) -> int:
        """Given up: the reservation stays charged."""
        async with self.ledger.writing() as connection:
            return await close(connection, reservation, reservation.units, moment, outcome="abandoned")

    async def expire(self, moment: Moment) -> int:
        """Close the reservations of dead processes, which stay charged; the answer is their number."""
        query = (
            select(_reserved.id, _reserved.units, _reserved.day)
            .outerjoin(llm_settlements, _settled.reservation_id == _reserved.id)
            .where(_settled.reservation_id.is_(None), _reserved.at < moment.at - LONGEST_FLIGHT)
            .order_by(_reserved.id)
            .limit(EXPIRED_AT_ONCE)
        )
        async with self.ledger.reading() as connection:
            dead = [Reservation(*row) for row in await connection.execute(query)]
        for reservation in dead:
            async with self.ledger.writing() as connection:
                await close(connection, reservation, reservation.units, moment, outcome="expired")
        return len(dead)

    async def status(self, moment: Moment) -> SpendStatus:
        """What is spent against the caps."""
        async with self.ledger.reading() as connection:
            return await read_status(connection, moment, self.caps)

    async def lines(self, by: Spender, moment: Moment, *, period: Period = "day") -> list[SpendLine]:
        """What each symbol, variant or signal has cost in the day or the month of an instant, the dearest first."""
        async with self.ledger.reading() as connection:
            return await read_lines(connection, by, moment, period=period)


async def take_room(
    connection: AsyncConnection, units: int, moment: Moment, label: SpendLabel, caps: Caps
) -> Reservation | BudgetRefusal:
    """Reserve inside the caller's transaction; when both caps allow it the totals grow, else nothing changes."""
    if not 0 <= units <= MOST_UNITS:
        raise invalid("units", f"{units} is no amount from 0 to {MOST_UNITS}")
    periods = name_periods(moment.at)
    spent = await lock_totals(connection, periods)
    fits = _totals.units + units <= case((_totals.period == periods.day, caps.day), else_=caps.month)
    fitting = select(func.count()).select_from(llm_totals).where(_totals.period.in_(periods), fits).scalar_subquery()
    statement = (
        update(llm_totals)
        .where(_totals.period.in_(periods), fitting == len(periods))
        .values(units=_totals.units + units, calls=_totals.calls + 1)
    )
    if (await connection.execute(statement)).rowcount != len(periods):
        return refuse(units, spent, caps, moment.at)
    row = insert(llm_reservations).values(
        at=moment.at,
        day=periods.day,
        symbol=label.symbol,
        variant=label.variant,
        signal_id=label.signal or None,
        units=units,
    )
    number = (await connection.execute(row.returning(_reserved.id))).scalar_one()
    return Reservation(number, units, periods.day)


async def close(
    connection: AsyncConnection, reservation: Reservation, units: int, moment: Moment, *, outcome: str
) -> int:
    """Settle inside the caller's transaction, unless somebody has; the answer is what counts as spent."""
    if not 0 <= units <= MOST_UNITS:
        raise invalid("units", f"{units} is no amount from 0 to {MOST_UNITS}")
    periods = periods_of_day(reservation.day)
    await lock_totals(connection, periods)
    query = select(_settled.units).where(_settled.reservation_id == reservation.id)
    earlier = (await connection.execute(query)).scalar_one_or_none()
    if earlier is not None:
        return int(earlier)
    row = {"reservation_id": reservation.id, "at": moment.at, "units": units, "outcome": outcome}
    await connection.execute(insert(llm_settlements).values(row))
    changed = {"units": _totals.units + (units - reservation.units)}
    await connection.execute(update(llm_totals).where(_totals.period.in_(periods)).values(changed))
    return units


async def lock_totals(connection: AsyncConnection, periods: Periods) -> dict[str, int]:
    """What is spent in these periods; nobody else can change it before the caller's transaction ends."""
    query = totals_of(periods).with_for_update()
    rows = (await connection.execute(query)).all()
    if len(rows) < len(periods):
        kind = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        for period in periods:
            values = {"period": period, "units": 0, "calls": 0}
            await connection.execute(kind(llm_totals).values(values).on_conflict_do_nothing())
        rows = (await connection.execute(query)).all()
    return {row.period: row.units for row in rows}


async def mark_alarms(connection: AsyncConnection, moment: Moment, caps: Caps) -> Sequence[tuple[str, int, int]]:
    """The periods that have just passed 80 % of their cap for the first time: name, spent, cap."""
    periods = name_periods(moment.at)
    limits = {periods.day: caps.day, periods.month: caps.month}
    rows = (await connection.execute(totals_of(periods))).all()
    passed = [row for row in rows if row.alarmed_at is None and is_alarming(row.units, limits[row.period])]
    if passed:
        names = [row.period for row in passed]
        await connection.execute(update(llm_totals).where(_totals.period.in_(names)).values(alarmed_at=moment.at))
    return [(row.period, row.units, limits[row.period]) for row in passed]
