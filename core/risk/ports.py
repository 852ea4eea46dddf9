"""What the risk engine needs to remember: accounts, trades, limits that tripped, and the switch, as protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from core.idempotency import Attempt
from core.risk.account import Account, AccountFacts, Clock, KillLevel, KillSwitch, Latch, LatchKind, Report
from core.risk.booking import Admitted, Entry, Judge, Move, NewEntry, Trade

Answer = TypeVar("Answer")


class Accounts(Protocol):
    """The accounts and everything that is known about one."""

    async def list(self) -> tuple[Account, ...]:
        """Every account, by id."""
        ...

    async def create(self, account: Account, *, by: str, attempt: Attempt | None = None) -> None:
        """Store a new account. Its id must be free."""
        ...

    async def facts(self, account_id: str, *, since_steady_ms: int) -> AccountFacts:
        """What the ledger knows, in one snapshot that began after the call; emissions later than the given instant."""
        ...

    async def report(self, account_id: str, report: Report, *, by: str, attempt: Attempt | None = None) -> None:
        """Store what the trader told about a reported account."""
        ...

    async def trip(self, account_id: str, latch: Latch, *, by: str) -> bool:
        """Store a limit that has tripped; False when it had tripped already.

        The breach of an account that is published sets the switch to halt in the same transaction.
        """
        ...

    async def lift(
        self,
        account_id: str,
        kind: LatchKind,
        *,
        rule: str | None = None,
        by: str,
        reason: str,
        clock: Clock,
        attempt: Attempt | None = None,
    ) -> int:
        """Lift every latch of that kind, and of that rule where one is named; the answer is their number."""
        ...


class Trades(Protocol):
    """The trades of the accounts, and their money."""

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
        """Judge and store in one transaction that no other birth on this account and no kill call can interleave.

        The clock is read under the locks. The facts hold the emissions of the last `window_ms`.
        """
        ...

    async def move(
        self, account_id: str, move: Move, *, by: str, clock: Clock, attempt: Attempt | None = None
    ) -> Trade:
        """Open a pending trade or close one, with its entries. A trade that is not in that state is refused."""
        ...

    async def book(self, account_id: str, entries: Sequence[NewEntry], *, by: str, clock: Clock) -> tuple[Entry, ...]:
        """Append entries; those whose key is in the ledger are answered as they stand there."""
        ...

    async def get(self, trade_id: str) -> Trade:
        """One trade."""
        ...

    async def list(self, account_id: str, *, after: int = 0, limit: int = 500) -> tuple[Trade, ...]:
        """The account's trades in the order of their birth, those with a `created_seq` above `after`."""
        ...

    async def unfinished(self, account_id: str) -> tuple[Trade, ...]:
        """The account's trades that wait or are open, in the order of their birth."""
        ...

    async def entries(self, account_id: str, *, after: int = 0, limit: int = 500) -> tuple[Entry, ...]:
        """The account's ledger entries in order, those with a `seq` above `after`."""
        ...


class Switch(Protocol):
    """The kill switch."""

    async def read(self) -> KillSwitch:
        """How it stands now."""
        ...

    async def set(
        self, level: KillLevel, *, by: str, reason: str, clock: Clock, attempt: Attempt | None = None
    ) -> KillSwitch:
        """Set it. Once this has returned, nothing that the level forbids becomes visible on any gateway."""
        ...
