"""A trade or an emission is born: stored inside a transaction that holds the locks of a birth, with its audit entry."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.entries import append_entries
from core.adapters.ledger.risk_schema import emissions, trades
from core.errors import Code, CrpbotError
from core.money import decimal_text, from_units
from core.risk.account import Account, AccountFacts, KillLevel, Moment, TradeState
from core.risk.booking import NewEmission, NewTrade, Outcome, Trade
from core.risk.calendar import firm_day
from core.trade import Book, Direction

# made once: SQLAlchemy takes longer to put such a statement together than the database to execute it
_INSERT_TRADE = insert(trades)
_INSERT_EMISSION = insert(emissions)


async def insert_trade(
    connection: AsyncConnection, account: Account, new: NewTrade, *, moment: Moment, seq: int
) -> Trade:
    """Store it with number `seq` of the audit log. A second trade for a signal is refused (one trade per signal)."""
    return (await insert_trades(connection, account, [(new, seq)], moment=moment))[0]


async def insert_trades(
    connection: AsyncConnection, account: Account, news: Sequence[tuple[NewTrade, int]], *, moment: Moment
) -> list[Trade]:
    """Store several at once, each with its number of the audit log."""
    born = [_born(account, new, moment, seq) for new, seq in news]
    try:
        if born:
            await connection.execute(_INSERT_TRADE, [_values(trade) for trade in born])
    except IntegrityError as error:
        named = " or ".join(f"{new.id!r} or a trade for signal {new.signal_id!r}" for new, _ in news)
        detail = f"trade: {named} exists; a signal is traded once"
        raise CrpbotError(Code.ALREADY_EXISTS, detail, reason="TRADE_EXISTS") from error
    for new, _ in news:
        if new.entries:
            await append_entries(connection, account, new.entries, at=moment.at)
    return born


async def insert_emission(connection: AsyncConnection, account: Account, new: NewEmission, *, moment: Moment) -> None:
    """Store that a signal is published now: it counts in the rate windows."""
    values = {
        "signal_id": new.signal_id,
        "account_id": account.id,
        "at": moment.at,
        "steady_ms": moment.steady_ms,
        "high_confidence": new.high_confidence,
    }
    try:
        await connection.execute(_INSERT_EMISSION, values)
    except IntegrityError as error:
        detail = f"emission: signal {new.signal_id!r} has been emitted"
        raise CrpbotError(Code.ALREADY_EXISTS, detail, reason="SIGNAL_EMITTED") from error


def require_unstopped(facts: AccountFacts, *, trade: bool, emission: bool) -> None:
    """The last word of the kill switch: no judge and no caller can forget it. The shadow book is not published."""
    switch = facts.kill_switch
    stopped = (emission and switch.level is not KillLevel.OFF) or (trade and switch.level is KillLevel.HALT)
    if stopped and facts.account.book is Book.PRIMARY:
        raise killed(switch.level, switch.by, switch.reason)


def killed(level: KillLevel, by: str, reason: str) -> CrpbotError:
    """What the switch forbids."""
    detail = f"kill_switch: {level.value}, set by {by} ({reason}); lift it first (`crpbot kill off`)"
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="KILL_SWITCH")


def to_trade(row: Row[Any]) -> Trade:  # Any: the columns of the table
    """A trade from a row of its table."""
    return Trade(
        id=row.id,
        account=row.account_id,
        signal_id=row.signal_id,
        symbol=row.symbol,
        direction=Direction(row.direction),
        state=TradeState(row.state),
        quantity=Decimal(row.quantity),
        entry=Decimal(row.entry),
        stop_loss=_decimal(row.stop_loss),
        take_profit=_decimal(row.take_profit),
        high_confidence=row.high_confidence,
        created_at=row.created_at,
        created_seq=row.created_seq,
        expires_at=row.expires_at,
        opened_at=row.opened_at,
        opened_seq=row.opened_seq,
        opened_day=row.opened_day,
        opened_price=_decimal(row.opened_price),
        closed_at=row.closed_at,
        closed_seq=row.closed_seq,
        closed_price=_decimal(row.closed_price),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        pnl=None if row.pnl_units is None else from_units(row.pnl_units),
    )


def _born(account: Account, new: NewTrade, moment: Moment, seq: int) -> Trade:
    is_open = new.opened_price is not None
    return Trade(
        id=new.id,
        account=account.id,
        signal_id=new.signal_id,
        symbol=new.symbol,
        direction=new.direction,
        state=TradeState.OPEN if is_open else TradeState.PENDING,
        quantity=new.quantity,
        entry=new.entry,
        stop_loss=new.stop_loss,
        take_profit=new.take_profit,
        high_confidence=new.high_confidence,
        created_at=moment.at,
        created_seq=seq,
        expires_at=new.expires_at,
        opened_at=moment.at if is_open else None,
        opened_seq=seq if is_open else None,
        opened_day=firm_day(account.time_zone, moment.at).date.isoformat() if is_open else None,
        opened_price=new.opened_price,
        closed_at=None,
        closed_seq=None,
        closed_price=None,
        outcome=None,
        pnl=None,
    )


def _values(trade: Trade) -> dict[str, object]:
    return {
        "id": trade.id,
        "account_id": trade.account,
        "signal_id": trade.signal_id,
        "symbol": trade.symbol,
        "direction": trade.direction.value,
        "state": trade.state.value,
        "quantity": decimal_text(trade.quantity),
        "entry": decimal_text(trade.entry),
        "stop_loss": text_or_none(trade.stop_loss),
        "take_profit": text_or_none(trade.take_profit),
        "high_confidence": trade.high_confidence,
        "created_at": trade.created_at,
        "created_seq": trade.created_seq,
        "expires_at": trade.expires_at,
        "opened_at": trade.opened_at,
        "opened_seq": trade.opened_seq,
        "opened_day": trade.opened_day,
        "opened_price": text_or_none(trade.opened_price),
    }


def text_or_none(value: Decimal | None) -> str | None:
    """The canonical text of a price that may be absent."""
    return None if value is None else decimal_text(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
