"""What the tests of the books share: a clock that is set by hand, the default accounts, trades and entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from core.adapters.ledger.accounts import StoredAccounts, default_accounts
from core.adapters.ledger.kill import StoredSwitch
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.trades import StoredTrades
from core.risk.account import AccountFacts, Emission, KillSwitch, Moment
from core.risk.booking import Closing, Decision, EntryKind, NewEmission, NewEntry, NewTrade, Outcome, Trade
from core.trade import Direction

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1_000)
HOUR_MS = 3_600_000

_numbers = count(1)


@dataclass
class HandClock:
    """It is `at` until somebody turns it."""

    at: datetime = NOON
    steady_ms: int = NOON_MS

    def __call__(self) -> Moment:
        return Moment(self.at, self.steady_ms)

    def pass_time(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.steady_ms += round(seconds * 1_000)


@dataclass
class Books:
    """Everything that one gateway sees of a ledger."""

    ledger: Ledger
    forced: KillSwitch | None = None
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.accounts = StoredAccounts(self.ledger, self.forced)
        self.trades = StoredTrades(self.ledger, self.forced)
        self.switch = StoredSwitch(self.ledger, self.forced)

    async def facts(self, account: str = "paper", *, since: int = 0) -> AccountFacts:
        return await self.accounts.facts(account, since_steady_ms=since)

    async def admit(self, new: NewTrade, account: str = "paper", *, emission: NewEmission | None = None) -> Trade:
        """Store a trade that nobody judges."""
        decision = Decision("yes", trade=new, emission=emission)
        admitted = await self.trades.admit(
            account, lambda _facts, _moment: decision, by="test", clock=self.clock, window_ms=HOUR_MS
        )
        assert admitted.trade is not None
        return admitted.trade

    async def emit(self, signal_id: str, *, high_confidence: bool = False) -> None:
        """Publish a signal that nobody judges."""
        decision = Decision("yes", emission=NewEmission(signal_id, high_confidence))
        await self.trades.admit(
            "paper", lambda _facts, _moment: decision, by="test", clock=self.clock, window_ms=HOUR_MS
        )

    async def window(self) -> tuple[Emission, ...]:
        """What a judge would see of the last hour."""
        seen: list[tuple[Emission, ...]] = []

        def judge(facts: AccountFacts, _moment: Moment) -> Decision[str]:
            seen.append(facts.emissions)
            return Decision("no")

        await self.trades.admit("paper", judge, by="test", clock=self.clock, window_ms=HOUR_MS)
        return seen[0]

    async def close(self, trade: Trade, *amounts: str, outcome: Outcome = Outcome.WIN, price: str = "110") -> Trade:
        """Close an open trade with these results."""
        entries = tuple(result(f"{trade.id}-{position}", each, trade.id) for position, each in enumerate(amounts))
        move = Closing(trade.id, outcome, Decimal(price), entries)
        return await self.trades.move(trade.account, move, by="test", clock=self.clock)


async def seeded(ledger: Ledger, forced: KillSwitch | None = None) -> Books:
    """The books of a server that has just started."""
    books = Books(ledger, forced)
    await books.accounts.seed(default_accounts(NOON))
    return books


def new_trade(*, is_open: bool = True, signal_id: str | None = None, trade_id: str | None = None) -> NewTrade:
    """Half a bitcoin at 100, 10 below it the stop."""
    return NewTrade(
        id=trade_id or f"trade-{next(_numbers)}",
        symbol="BTC-USD",
        direction=Direction.BUY,
        quantity=Decimal("0.50"),
        entry=Decimal(100),
        stop_loss=Decimal(90),
        take_profit=Decimal(120),
        signal_id=signal_id,
        opened_price=Decimal("100.1") if is_open else None,
    )


def result(key: str, amount: str, trade_id: str) -> NewEntry:
    """Money that a trade moved."""
    return NewEntry(key, Decimal(amount), EntryKind.RESULT, trade_id)


def adjustment(key: str, amount: str) -> NewEntry:
    """Money that moved without a trade."""
    return NewEntry(key, Decimal(amount), EntryKind.ADJUSTMENT)
