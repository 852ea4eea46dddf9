"""The books of paper trading: a trade moves on with its money and its signal's result, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.accounts import StoredAccounts
from core.adapters.ledger.births import to_trade
from core.adapters.ledger.entries import entries_of_trades
from core.adapters.ledger.idempotency import conclude, hold
from core.adapters.ledger.ledger import MAX_SEQ, Ledger
from core.adapters.ledger.locks import lock_account, locked_facts
from core.adapters.ledger.moves import find_trade, move_trade
from core.adapters.ledger.risk_schema import trades
from core.adapters.ledger.signals.results import SignalResult, store_result
from core.errors import invalid
from core.idempotency import Attempt
from core.paper.desk import Ending, Opening, TradeFilter
from core.paper.settle import Step
from core.paper.trade import PaperTrade, rebuild
from core.risk.account import Account, Clock, KillSwitch, TradeState
from core.risk.booking import Entry, Trade


@dataclass(frozen=True, slots=True)
class StoredBooks:
    """The paper books of one ledger. `forced` is the switch of a server with KILL_SWITCH=true."""

    ledger: Ledger
    forced: KillSwitch | None = None

    async def accounts(self) -> Sequence[Account]:
        """Every account."""
        return await StoredAccounts(self.ledger).list()

    async def unfinished(self, account_id: str) -> list[tuple[Trade, Sequence[Entry]]]:
        """The trades that wait or are open, each with its own entries, in one snapshot."""
        query = select(trades).where(trades.c.account_id == account_id, trades.c.state.in_(("pending", "open")))
        async with self.ledger.reading() as connection:
            found = [to_trade(row) for row in await connection.execute(query.order_by(trades.c.created_seq))]
            entries = await entries_of_trades(connection, [trade.id for trade in found])
        return [(trade, entries.get(trade.id, [])) for trade in found]

    async def page(self, wanted: TradeFilter, *, cursor: int | None, limit: int) -> Sequence[Trade]:
        """The newest trades born before number `cursor`, newest first."""
        if cursor is not None and not 0 <= cursor <= MAX_SEQ:
            raise invalid("cursor", f"must be 0 to {MAX_SEQ}")
        query = select(trades)
        if wanted.account is not None:
            query = query.where(trades.c.account_id == wanted.account)
        if wanted.symbol is not None:
            query = query.where(trades.c.symbol == wanted.symbol)
        if wanted.state is not None:
            query = query.where(trades.c.state == wanted.state.value)
        if cursor is not None:
            query = query.where(trades.c.created_seq < cursor)
        async with self.ledger.reading() as connection:
            rows = await connection.execute(query.order_by(trades.c.created_seq.desc()).limit(limit))
            return [to_trade(row) for row in rows]

    async def get(self, trade_id: str) -> Trade:
        """One trade."""
        async with self.ledger.reading() as connection:
            return await find_trade(connection, trade_id)

    async def apply(self, account_id: str, before: PaperTrade, step: Step, *, by: str, clock: Clock) -> None:
        """Store what became of a trade. Where another keeper was first, its state no longer fits and nothing is."""
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
            await self._store(connection, account_id, step, by=by, clock=clock)

    async def open(
        self, trade_id: str, judge: Opening, *, by: str, clock: Clock, window_ms: int, attempt: Attempt | None = None
    ) -> Trade:
        """Judge an opening and store it in one transaction that no kill call can interleave."""
        account_id = (await self.get(trade_id)).account
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            facts, now = await locked_facts(
                connection, account_id, clock=clock, window_ms=window_ms, forced=self.forced
            )
            step = judge(facts, await _load(connection, trade_id, account_id), now)
            await self._store(connection, account_id, step, by=by, clock=lambda: now)
            trade = await find_trade(connection, trade_id, account_id)
            await conclude(connection, attempt, trade)
            return trade

    async def end(
        self, trade_id: str, judge: Ending, *, by: str, clock: Clock, attempt: Attempt | None = None
    ) -> Trade:
        """Judge an end and store it in one transaction."""
        account_id = (await self.get(trade_id)).account
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            await lock_account(connection, account_id)
            now = clock()
            step = judge(await _load(connection, trade_id, account_id), now)
            await self._store(connection, account_id, step, by=by, clock=lambda: now)
            trade = await find_trade(connection, trade_id, account_id)
            await conclude(connection, attempt, trade)
            return trade

    async def _store(self, connection: AsyncConnection, account_id: str, step: Step, *, by: str, clock: Clock) -> None:
        for move in step.moves:
            await move_trade(connection, account_id, move, by=by, clock=clock, forced=self.forced)
        after = step.trade
        if after.state is not TradeState.CLOSED or after.signal_id is None or after.outcome is None:
            return
        result = SignalResult(
            signal_id=after.signal_id,
            outcome=after.outcome.value,
            pnl_percent=float(after.pnl_percent or 0),
            pnl_usd=after.pnl,
            exit_price=after.closed_price,
            closed_at=after.closed_at or clock().at,
        )
        await store_result(connection, result, created_at=clock().at)


async def _load(connection: AsyncConnection, trade_id: str, account_id: str) -> PaperTrade:
    stored = await find_trade(connection, trade_id, account_id)
    entries = await entries_of_trades(connection, [trade_id])
    return rebuild(stored, entries.get(trade_id, []))
