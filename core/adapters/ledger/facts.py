"""Everything that the ledger knows about an account, read by one statement: one snapshot, one round trip.

Each part of the answer is a row of its kind and a JSON array; nothing is kept besides what was booked, so there is
nothing to get out of step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    ScalarSelect,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy import union_all as all_of
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.risk_schema import (
    account_reports,
    accounts,
    emissions,
    kill_switch,
    latches,
    ledger_entries,
    trades,
)
from core.adapters.ledger.signals.schema import signals
from core.canonical import read_canonical, write_canonical
from core.errors import Code, CrpbotError, unknown
from core.money import from_units
from core.risk.account import (
    Account,
    AccountFacts,
    AccountKind,
    DayResult,
    Emission,
    KillLevel,
    KillSwitch,
    Latch,
    LatchKind,
    OpenTrade,
    Report,
    TradeState,
)
from core.trade import Book, Direction

Row = Sequence[Any]  # Any: what a JSON array may hold
Parts = Mapping[str, list[Row]]

ACCOUNT = (
    accounts.c.id,
    accounts.c.name,
    accounts.c.kind,
    accounts.c.book,
    accounts.c.pack,
    accounts.c.time_zone,
    accounts.c.initial_units,
    accounts.c.created_at,
)
_SWITCH = (kill_switch.c.level, kill_switch.c.set_by, kill_switch.c.reason, kill_switch.c.at)


async def read_facts(
    connection: AsyncConnection, account_id: str, *, since_steady_ms: int, forced: KillSwitch | None = None
) -> AccountFacts:
    """The facts as the open transaction sees them. `forced` stands in for the stored switch."""
    query = _facts_query(connection.dialect.name)
    rows = await connection.execute(query, {"account_id": account_id, "since": since_steady_ms})
    return _facts(await _read_parts(connection, account_id, rows), forced)


async def read_as_made(
    connection: AsyncConnection, account_id: str, *, forced: KillSwitch | None = None
) -> AccountFacts:
    """The account as it was made, whatever was booked on it since, and the switch."""
    rows = await connection.execute(_as_made_query(connection.dialect.name), {"account_id": account_id})
    return _facts(await _read_parts(connection, account_id, rows), forced)


def read_switch(rows: Iterable[Row]) -> KillSwitch:
    """The stored switch. Without its row nobody can know whether it is set, so nothing goes on."""
    for level, by, reason, at in rows:
        return KillSwitch(KillLevel(level), by, reason, _instant(at))
    raise CrpbotError(
        Code.FAILED_PRECONDITION,
        "kill_switch: its one row is gone, so nothing may be emitted; restore the backup (docs/storage.md)",
        reason="KILL_SWITCH_MISSING",
    )


def to_account(row: Row) -> Account:
    """An account from the columns of `ACCOUNT`."""
    account_id, name, kind, book, pack, time_zone, initial, created_at = row
    at = _instant(created_at)
    return Account(account_id, name, AccountKind(kind), Book(book), pack, time_zone, from_units(initial), at)


async def _read_parts(connection: AsyncConnection, account_id: str, rows: Iterable[Row]) -> dict[str, list[Row]]:
    parts: dict[str, list[Row]] = {}
    for part, content in rows:
        parts.setdefault(part, []).append(json.loads(content))
    if "account" not in parts:
        known = await connection.execute(select(accounts.c.id).order_by(accounts.c.id))
        raise unknown("account", "account", account_id, known.scalars())
    return parts


def _part(dialect: str, name: str, *columns: ColumnElement[Any]) -> Select[str, str]:  # Any: of every type
    array = func.json_array if dialect == "sqlite" else func.json_build_array
    return select(literal(name, literal_execute=True), cast(array(*columns), Text))


@cache
def _as_made_query(dialect: str) -> CompoundSelect[str, str]:
    return all_of(
        _part(dialect, "account", *ACCOUNT).where(accounts.c.id == bindparam("account_id", type_=Text)),
        _part(dialect, "switch", *_SWITCH),
    )


@cache
def _facts_query(dialect: str) -> CompoundSelect[str, str]:
    part, account_id = partial(_part, dialect), bindparam("account_id", type_=Text)

    entry, trade, emission, report = ledger_entries.c, trades.c, emissions.c, account_reports.c
    unfinished = [literal(state, literal_execute=True) for state in ("pending", "open")]
    ended = trade.opened_at.is_not(None), trade.closed_at.is_not(None)  # what never was in the market did not end there
    last_end = select(trade.closed_at).where(trade.account_id == account_id, *ended)
    newest = _newest_reports(account_id)
    return all_of(
        part("account", *ACCOUNT).where(accounts.c.id == account_id),
        part("switch", *_SWITCH),
        part("day", entry.day, func.sum(entry.amount_units)).where(entry.account_id == account_id).group_by(entry.day),
        part("opened", trade.opened_day, func.count(), func.max(trade.opened_at))
        .where(trade.account_id == account_id, trade.opened_day.is_not(None))
        .group_by(trade.opened_day),
        part("closed", last_end.order_by(trade.closed_at.desc()).limit(1).scalar_subquery()),
        part("trade", *_OPEN_TRADE).where(trade.account_id == account_id, trade.state.in_(unfinished)),
        part("latch", *_LATCH).where(_is_latched(account_id)),
        part("emission", emission.steady_ms, emission.high_confidence).where(
            emission.account_id == account_id, emission.steady_ms > bindparam("since")
        ),
        part("report", *_REPORT).where(report.account_id == account_id, report.seq.in_(newest)),
        part("taken", *_OPEN_TRADE)
        .join_from(signals, trades, trade.signal_id == signals.c.id)
        .where(trade.account_id == account_id, signals.c.account == account_id)
        .where(signals.c.executed_at >= _newest_report_at(account_id)),
    )


_OPEN_TRADE = (
    trades.c.id,
    trades.c.symbol,
    trades.c.direction,
    trades.c.state,
    trades.c.quantity,
    trades.c.entry,
    trades.c.opened_price,
    trades.c.stop_loss,
    trades.c.take_profit,
    trades.c.created_at,
    trades.c.created_seq,
)
_LATCH = (
    latches.c.seq,
    latches.c.kind,
    latches.c.rule,
    latches.c.at,
    latches.c.day,
    latches.c.value_units,
    latches.c.limit_units,
)
_REPORT = (
    account_reports.c.at,
    account_reports.c.balance_units,
    account_reports.c.equity_units,
    account_reports.c.midnight_balance_units,
    account_reports.c.midnight_day,
    account_reports.c.trading_days,
    account_reports.c.positions,
)


def _is_latched(account_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Tripped and not lifted; a stop of the day only while no later day has one, for it ends with its day."""
    lifting, later = latches.alias(), latches.alias()
    lifted = select(lifting.c.seq).where(lifting.c.account_id == account_id, lifting.c.lifts == latches.c.seq)
    last_day = select(func.max(later.c.day)).where(later.c.account_id == account_id, later.c.kind == "daily_stop")
    return and_(
        latches.c.account_id == account_id,
        latches.c.lifts.is_(None),
        ~lifted.exists(),
        or_(latches.c.kind != "daily_stop", latches.c.day == last_day.scalar_subquery()),
    )


def _newest_report_at(account_id: ColumnElement[str]) -> ScalarSelect[datetime]:
    """When the account was reported last. NULL, and so later than nothing, for one that never was: of a paper account
    every trade is followed here.
    """
    report = account_reports.c
    newest = select(report.at).where(report.account_id == account_id).order_by(report.seq.desc()).limit(1)
    return newest.scalar_subquery()


def _newest_reports(account_id: ColumnElement[str]) -> Select[int]:
    """The number of each day's newest report: one step of the index a day, though a day has hundreds of reports."""
    report, earlier = account_reports.c, account_reports.alias().c
    days = select(func.max(report.midnight_day).label("day")).where(report.account_id == account_id).cte(recursive=True)
    before = select(func.max(earlier.midnight_day)).where(
        earlier.account_id == account_id, earlier.midnight_day < days.c.day
    )
    days = days.union_all(select(before.scalar_subquery()).where(days.c.day.is_not(None)))
    last = account_reports.alias().c
    newest = select(func.max(last.seq)).where(last.account_id == account_id, last.midnight_day == days.c.day)
    return select(newest.scalar_subquery()).where(days.c.day.is_not(None))


def _facts(parts: Parts, forced: KillSwitch | None) -> AccountFacts:
    account = to_account(parts["account"][0])
    switch = read_switch(parts.get("switch", ()))
    opened = parts.get("opened", [])
    activity = [
        _instant(at) for at in (*(row[2] for row in opened), *(row[0] for row in parts.get("closed", []))) if at
    ]
    reports = tuple(_report(row) for row in sorted(parts.get("report", []), key=lambda row: row[4]))
    reported = reports[-1].positions if reports else ()  # what is open at the firm claims room like what is open here
    # the paper trade may still wait, or have expired: the trader holds the real one
    taken = {row[0]: replace(_open_trade(row), state=TradeState.OPEN) for row in parts.get("taken", [])}
    waiting = sorted((row for row in parts.get("trade", []) if row[0] not in taken), key=lambda row: row[-1])
    return AccountFacts(
        account=account,
        days=_days(parts.get("day", []), opened),
        open_trades=(
            *(_open_trade(row) for row in waiting),
            *reported,
        ),
        latches=tuple(_latch(row) for row in sorted(parts.get("latch", []), key=lambda row: row[0])),
        emissions=tuple(sorted(Emission(ms, bool(high)) for ms, high in parts.get("emission", []))),
        kill_switch=forced or switch,
        last_activity_at=max(activity, default=None),
        reports=reports,
        taken=tuple(taken.values()),
    )


def _days(amounts: list[Row], opened: list[Row]) -> tuple[DayResult, ...]:
    units: dict[str, int] = {row[0]: row[1] for row in amounts}
    counts: dict[str, int] = {row[0]: row[1] for row in opened}
    return tuple(
        DayResult(date.fromisoformat(day), from_units(units.get(day, 0)), counts.get(day, 0))
        for day in sorted({*units, *counts})
    )


def _open_trade(row: Row) -> OpenTrade:
    trade_id, symbol, direction, state, quantity, entry, filled, stop_loss, take_profit, created_at, _ = row
    return OpenTrade(
        id=trade_id,
        symbol=symbol,
        direction=Direction(direction),
        state=TradeState(state),
        quantity=Decimal(quantity),
        entry=Decimal(filled or entry),  # once it is in the market, what it really paid
        stop_loss=None if stop_loss is None else Decimal(stop_loss),
        take_profit=None if take_profit is None else Decimal(take_profit),
        created_at=_instant(created_at),
    )


def _latch(row: Row) -> Latch:
    _, kind, rule, at, day, value, limit = row
    return Latch(LatchKind(kind), rule, _instant(at), day, from_units(value), from_units(limit))


def _report(row: Row) -> Report:
    at, balance, equity, midnight, day, trading_days, positions = row
    money = from_units(balance), from_units(equity), from_units(midnight)
    return Report(_instant(at), *money, day, trading_days, read_positions(positions))


def write_positions(positions: tuple[OpenTrade, ...]) -> str:
    """What was reported as open, as the ledger keeps it."""
    return write_canonical(_Positions(positions))


def read_positions(text: str) -> tuple[OpenTrade, ...]:
    """What was written."""
    return read_canonical(text, _Positions).open_trades


class _Positions(NamedTuple):
    """Positions as one text."""

    open_trades: tuple[OpenTrade, ...]


def _instant(stored: str | datetime) -> datetime:
    """UTC; SQLite's text names no zone."""
    at = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def since(facts: AccountFacts, since_steady_ms: int) -> AccountFacts:
    """The same facts with the emissions that are later than the given instant."""
    return replace(facts, emissions=tuple(each for each in facts.emissions if each.steady_ms > since_steady_ms))
