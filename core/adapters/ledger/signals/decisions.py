"""A decision is born: judged and stored with all that follows from it, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.adapters.ledger.births import insert_emission, insert_trade, insert_trades, require_unstopped
from core.adapters.ledger.idempotency import hold
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.locks import locked_as_made, locked_facts
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.signals.records import read_records
from core.adapters.ledger.signals.store import find_slot, store_signal, store_signals
from core.deciding.confidence import Records
from core.idempotency import Attempt
from core.market import Candles
from core.risk.account import Clock, KillSwitch
from core.signal import Strategy
from core.signals.ports import Judge
from core.signals.store import SnapshotReference, StoredSignal


@dataclass(frozen=True, slots=True)
class StoredDecisions:
    """The decisions of one ledger as they are born. `forced` is the switch of a server with KILL_SWITCH=true."""

    ledger: Ledger
    signals: Signals
    forced: KillSwitch | None = None

    async def decide(
        self, account_id: str, judge: Judge, *, clock: Clock, window_ms: int, attempt: Attempt | None = None
    ) -> StoredSignal:
        """Judge under the locks and store; a decision that is there already is the answer, and nothing is stored."""
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            facts, moment = await locked_facts(
                connection, account_id, clock=clock, window_ms=window_ms, forced=self.forced
            )
            birth = judge(facts, moment)
            require_unstopped(facts, trade=birth.trade is not None, emission=birth.emission is not None)
            stored = await store_signal(connection, birth.signal, created_at=moment.at)
            if not stored.is_new:
                return stored
            if birth.emission is not None:
                await insert_emission(connection, facts.account, birth.emission, moment=moment)
            if birth.trade is not None:
                await insert_trade(connection, facts.account, birth.trade, moment=moment, seq=stored.seq)
            return stored

    async def compare(
        self, account_id: str, judges: Sequence[Judge], *, clock: Clock, attempt: Attempt | None = None
    ) -> None:
        """Store what only compares in one transaction, each judged on the account as it was made."""
        async with self.ledger.turn(account_id), self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            facts, moment = await locked_as_made(connection, account_id, clock=clock, forced=self.forced)
            births = [judge(facts, moment) for judge in judges]
            for birth in births:
                require_unstopped(facts, trade=birth.trade is not None, emission=birth.emission is not None)
            stored = await store_signals(connection, [birth.signal for birth in births], created_at=moment.at)
            born = [(birth, each.seq) for birth, each in zip(births, stored, strict=True) if each.is_new]
            for birth, _ in born:
                if birth.emission is not None:
                    await insert_emission(connection, facts.account, birth.emission, moment=moment)
            traded = [(birth.trade, seq) for birth, seq in born if birth.trade is not None]
            await insert_trades(connection, facts.account, traded, moment=moment)

    async def decided(self, account_id: str, symbols: Sequence[str], slot: datetime) -> dict[str, StoredSignal]:
        """What has been decided for that slot already, by symbol."""
        async with self.ledger.reading() as connection:
            return await find_slot(connection, account_id, symbols, slot)

    async def several(self, ids: Sequence[str]) -> dict[str, StoredSignal]:
        """What has been decided under these ids already."""
        return await self.signals.several(ids)

    async def records(self, symbols: Sequence[str], *, synthetic: bool) -> Mapping[str, Records]:
        """The closed trades of each symbol's signals of the theories by variant and tier."""
        return (await self.records_of([Strategy.V7], symbols, synthetic=synthetic))[Strategy.V7]

    async def records_of(
        self, strategies: Sequence[Strategy], symbols: Sequence[str], *, synthetic: bool
    ) -> Mapping[Strategy, Mapping[str, Records]]:
        """The same of each of these strategies, in one snapshot."""
        async with self.ledger.reading() as connection:
            return {
                strategy: await read_records(connection, symbols, synthetic=synthetic, strategy=strategy)
                for strategy in strategies
            }

    async def store_snapshots(
        self, candles: Sequence[Candles], *, identity: str, at: datetime
    ) -> tuple[SnapshotReference, ...]:
        """Store what several decisions are about to see; the answers are in the order of the candles."""
        return await self.signals.store_snapshots(candles, identity=identity, at=at)
