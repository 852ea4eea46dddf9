"""The trades in the database: admitted under the locks, opened, closed and booked, each wholly or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.audit import append_entry
from core.adapters.ledger.births import insert_emission, insert_trade, require_unstopped, to_trade
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.entries import append_entries, read_entries_after, require_unfinished
from core.adapters.ledger.idempotency import hold
from core.adapters.ledger.latches import trip_latch
from core.adapters.ledger.ledger import MAX_PAGE, MAX_SEQ, Ledger
from core.adapters.ledger.locks import lock_account, locked_facts
from core.adapters.ledger.moves import find_trade, move_trade
from core.adapters.ledger.risk_schema import trades
from core.errors import invalid
from core.idempotency import Attempt
from core.money import decimal_text
from core.risk.account import AccountFacts, Clock, KillSwitch, Moment
from core.risk.booking import Admitted, Decision, Entry, Judge, Move, NewEntry, Trade

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class StoredTrades:
    """The trades of one ledger. `forced` is the switch of a server started with KILL_SWITCH=true."""

    ledger: Ledger
    forced: KillSwitch | None = None

    async def admit(
        self,
        account_id: str,
        judge: Judge[Answer],
        *,
        by: str,
        clock: Clock,
        window_ms: int,
        attempt: Attempt | None = None,
    ) -> Admitted[Answer]:
        """Judge and store in one transaction that no other birth on this account and no kill call can interleave."""
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            facts, moment = await locked_facts(
                connection, account_id, clock=clock, window_ms=window_ms, forced=self.forced
            )
            return await store_decision(connection, facts, judge(facts, moment), moment=moment, by=by)

    async def move(
        self, account_id: str, move: Move, *, by: str, clock: Clock, attempt: Attempt | None = None
    ) -> Trade:
        """Open a pending trade or close one, with its entries. A trade that is not in that state is refused."""
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            return await move_trade(connection, account_id, move, by=by, clock=clock, forced=self.forced)

    async def book(self, account_id: str, entries: Sequence[NewEntry], *, by: str, clock: Clock) -> tuple[Entry, ...]:
        """Append entries; those whose key is in the ledger are answered as they stand there."""
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
            account = await lock_account(connection, account_id)
            await require_unfinished(connection, account_id, entries)
            at = clock().at
            booked = await append_entries(connection, account, entries, at=at)
            if booked.new:
                numbers = {"from": booked.new[0], "to": booked.new[-1]}
                await append_entry(connection, AuditEvent(at, by, "ledger.book", f"account/{account_id}", numbers))
            return booked.entries

    async def get(self, trade_id: str) -> Trade:
        """One trade."""
        async with self.ledger.reading() as connection:
            return await find_trade(connection, trade_id)

    async def list(self, account_id: str, *, after: int = 0, limit: int = MAX_PAGE) -> tuple[Trade, ...]:
        """The account's trades in the order of their birth, those with a `created_seq` above `after`."""
        _check_page(after, limit)
        query = select(trades).where(trades.c.account_id == account_id, trades.c.created_seq > after)
        async with self.ledger.reading() as connection:
            rows = await connection.execute(query.order_by(trades.c.created_seq).limit(limit))
            return tuple(to_trade(row) for row in rows)

    async def unfinished(self, account_id: str) -> tuple[Trade, ...]:
        """The account's trades that wait or are open, in the order of their birth."""
        query = select(trades).where(trades.c.account_id == account_id, trades.c.state.in_(("pending", "open")))
        async with self.ledger.reading() as connection:
            rows = await connection.execute(query.order_by(trades.c.created_seq))
            return tuple(to_trade(row) for row in rows)

    async def entries(self, account_id: str, *, after: int = 0, limit: int = MAX_PAGE) -> tuple[Entry, ...]:
        """The account's ledger entries in order, those with a `seq` above `after`."""
        _check_page(after, limit)
        async with self.ledger.reading() as connection:
            return await read_entries_after(connection, account_id, after=after, limit=limit)


async def store_decision(
    connection: AsyncConnection, facts: AccountFacts, decision: Decision[Answer], *, moment: Moment, by: str
) -> Admitted[Answer]:
    """Store what was decided, inside a transaction that got its facts from `locked_facts`."""
    account, new, emission = facts.account, decision.trade, decision.emission
    require_unstopped(facts, trade=new is not None, emission=emission is not None)
    for latch in decision.latches:
        await trip_latch(connection, account.id, latch, by=by)
    if new is None and emission is None:
        return Admitted(decision.answer, moment, None, None)
    entry = await append_entry(connection, _birth(account.id, decision, moment, by))
    if emission is not None:
        await insert_emission(connection, account, emission, moment=moment)
    trade = None if new is None else await insert_trade(connection, account, new, moment=moment, seq=entry.seq)
    return Admitted(decision.answer, moment, trade, entry.seq)


def _birth(account_id: str, decision: Decision[Answer], moment: Moment, by: str) -> AuditEvent:
    detail: dict[str, object] = {**decision.detail, "account": account_id}
    if decision.emission is not None:
        detail["signal"] = decision.emission.signal_id
    new = decision.trade
    if new is None:
        return AuditEvent(moment.at, by, "signal.emit", f"signal/{detail['signal']}", detail)
    detail |= {"symbol": new.symbol, "direction": new.direction.value, "quantity": decimal_text(new.quantity)}
    return AuditEvent(moment.at, by, "trade.create", f"trade/{new.id}", detail)


def _check_page(after: int, limit: int) -> None:
    if not 0 <= after <= MAX_SEQ:
        raise invalid("after", f"must be 0 to {MAX_SEQ}")
    if not 1 <= limit <= MAX_PAGE:
        raise invalid("limit", f"must be 1 to {MAX_PAGE}")
