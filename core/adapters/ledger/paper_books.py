"""The books of paper trading: a trade moves on with its money and its signal's result, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from core.adapters.ledger.accounts import StoredAccounts
from core.adapters.ledger.births import to_trade
from core.adapters.ledger.entries import entries_of_trades
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.moves import move_trade
from core.adapters.ledger.risk_schema import trades
from core.adapters.ledger.signal_results import SignalResult, store_result
from core.paper.settle import Step
from core.paper.trade import PaperTrade
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

    async def apply(self, account_id: str, before: PaperTrade, step: Step, *, by: str, clock: Clock) -> None:
        """Store what became of a trade. Where another keeper was first, its state no longer fits and nothing is."""
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
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
