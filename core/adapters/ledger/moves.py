"""A trade moves on: from waiting into the market, and out of it, with the money it moved, in one transaction."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.audit import append_entry
from core.adapters.ledger.births import killed, text_or_none, to_trade
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.entries import append_entries, sum_of_trade
from core.adapters.ledger.locks import lock_account, share_switch
from core.adapters.ledger.risk_schema import kill_switch, trades
from core.errors import Code, CrpbotError
from core.money import from_units
from core.risk.account import Account, Clock, KillLevel, KillSwitch, TradeState
from core.risk.booking import NEVER_IN_MARKET, Closing, Move, Opening, Trade
from core.risk.calendar import firm_day
from core.trade import Book


async def move_trade(
    connection: AsyncConnection, account_id: str, move: Move, *, by: str, clock: Clock, forced: KillSwitch | None = None
) -> Trade:
    """Inside the caller's transaction; the clock is read under the locks."""
    if isinstance(move, Opening) and not move.already_filled:
        await share_switch(connection)
        account = await lock_account(connection, account_id)
        await _require_no_halt(connection, account, forced)
    else:
        account = await lock_account(connection, account_id)
    before = await find_trade(connection, move.trade_id, account_id)
    needed = _needed(move)
    if before.state is not needed:
        raise _wrong_state(before, needed)
    at = clock().at
    await append_entries(connection, account, move.entries, at=at)
    units = await sum_of_trade(connection, move.trade_id)
    if isinstance(move, Opening):
        action, detail = "trade.open", {"price": text_or_none(move.price)}
        day = firm_day(account.time_zone, at).date.isoformat()
        values: dict[str, object] = {
            "state": "open",
            "opened_at": at,
            "opened_day": day,
            "opened_price": text_or_none(move.price),
        }
    else:
        price = text_or_none(move.price)
        action, detail = "trade.close", {"outcome": move.outcome.value, "price": price, "pnl": str(from_units(units))}
        values = {
            "state": "closed",
            "closed_at": at,
            "closed_price": price,
            "outcome": move.outcome.value,
            "pnl_units": units,
        }
    entry = await append_entry(connection, AuditEvent(at, by, action, f"trade/{move.trade_id}", detail))
    values["opened_seq" if isinstance(move, Opening) else "closed_seq"] = entry.seq
    # conditional, so that no way of calling this can close a trade twice
    statement = update(trades).where(trades.c.id == move.trade_id, trades.c.state == needed.value).values(values)
    row = (await connection.execute(statement.returning(trades))).one_or_none()
    if row is None:
        raise _wrong_state(await find_trade(connection, move.trade_id, account_id), needed)
    return to_trade(row)


async def find_trade(connection: AsyncConnection, trade_id: str, account_id: str | None = None) -> Trade:
    """The trade, of that account when one is named."""
    query = select(trades).where(trades.c.id == trade_id)
    if account_id is not None:
        query = query.where(trades.c.account_id == account_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        whose = "" if account_id is None else f" of account {account_id!r}"
        raise CrpbotError(Code.NOT_FOUND, f"trade: there is no {trade_id[:64]!r}{whose}", reason="UNKNOWN_TRADE")
    return to_trade(row)


def _needed(move: Move) -> TradeState:
    """The state from which it can be made."""
    if isinstance(move, Closing) and move.outcome not in NEVER_IN_MARKET:
        return TradeState.OPEN
    return TradeState.PENDING


async def _require_no_halt(connection: AsyncConnection, account: Account, forced: KillSwitch | None) -> None:
    if account.book is not Book.PRIMARY:
        return
    row = (await connection.execute(select(kill_switch.c.level, kill_switch.c.set_by, kill_switch.c.reason))).one()
    level, by, reason = (forced.level, forced.by, forced.reason) if forced else (KillLevel(row[0]), row[1], row[2])
    if level is KillLevel.HALT:
        raise killed(level, by, reason)


def _wrong_state(trade: Trade, needed: TradeState) -> CrpbotError:
    ended = ""
    if trade.closed_at is not None and trade.outcome is not None:
        ended = f" since {trade.closed_at.isoformat()} ({trade.outcome.value})"
    detail = f"trade: {trade.id!r} is {trade.state.value}{ended}; this can only be done to one that is {needed.value}"
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason=f"TRADE_IS_{trade.state.name}")
