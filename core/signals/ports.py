"""What the signal desk needs from outside: studied markets, the store of decisions, and whoever knows past trades."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.analysis import Analysis, RefusedSymbol
from core.deciding.confidence import Records
from core.ensemble import Outlook
from core.idempotency import Attempt
from core.market import Candles
from core.risk.account import AccountFacts, Clock, Moment
from core.risk.booking import NewEmission, NewTrade
from core.signal import Strategy
from core.signals.store import EVERYTHING, NewSignal, SignalFilter, SignalPage, SnapshotReference, StoredSignal


@dataclass(frozen=True, slots=True)
class Study:
    """A market as it was read for a decision: its candles, where they are from, and what the theories say.

    `records` are the symbol's closed trades that the theories were told, by variant and tier; None: nothing was told.
    `outlook` is what the models say and `minutes` the candles that they read; None where no models are asked.
    """

    candles: Candles
    identity: str
    analysis: Analysis
    records: Records | None = None
    outlook: Outlook | None = None
    minutes: Candles | None = None


@dataclass(frozen=True, slots=True)
class Birth:
    """What is stored together: the decision, and what follows when it is published."""

    signal: NewSignal
    emission: NewEmission | None = None
    trade: NewTrade | None = None


Judge = Callable[[AccountFacts, Moment], Birth]
"""A pure function, called once, under the locks."""


@dataclass(frozen=True, slots=True)
class WholeSignal:
    """A decision with all it rested on, each part checked against its hash. What has been forgotten is absent.

    `identities` names the market of each of the candles, such as synthetic-7.
    """

    stored: StoredSignal
    texts: dict[str, str]
    candles: tuple[Candles, ...]
    identities: tuple[str, ...] = ()


class Studies(Protocol):
    """Whoever reads markets through the theories."""

    async def study(
        self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
    ) -> list[Study | RefusedSymbol]:
        """Each symbol as it stands now, in their order; one that cannot be read does not take the others with it."""
        ...

    def staffed(self, symbols: Sequence[str]) -> frozenset[str]:
        """Those of the symbols on which models speak too, so that strategies can be compared."""
        ...


class Decisions(Protocol):
    """Where decisions are born."""

    async def decide(
        self, account_id: str, judge: Judge, *, clock: Clock, window_ms: int, attempt: Attempt | None = None
    ) -> StoredSignal:
        """Judge under the locks and store; a decision that is there already is the answer."""
        ...

    async def compare(
        self, account_id: str, judges: Sequence[Judge], *, clock: Clock, attempt: Attempt | None = None
    ) -> None:
        """Store what only compares: all in one transaction, each judged on the account as it was made."""
        ...

    async def decided(self, account_id: str, symbols: Sequence[str], slot: datetime) -> Mapping[str, StoredSignal]:
        """What has been decided for that slot already, by symbol."""
        ...

    async def several(self, ids: Sequence[str]) -> Mapping[str, StoredSignal]:
        """What has been decided under these ids already."""
        ...

    async def store_snapshots(
        self, candles: Sequence[Candles], *, identity: str, at: datetime
    ) -> tuple[SnapshotReference, ...]:
        """Store what several decisions are about to see."""
        ...

    async def records_of(
        self, strategies: Sequence[Strategy], symbols: Sequence[str], *, synthetic: bool
    ) -> Mapping[Strategy, Mapping[str, Records]]:
        """The closed trades of each symbol's signals by strategy, variant and tier, in one snapshot."""
        ...


class Archive(Protocol):
    """The stored decisions."""

    async def get(self, signal_id: str) -> StoredSignal:
        """The decision of that id."""
        ...

    async def several(self, ids: Sequence[str]) -> Mapping[str, StoredSignal]:
        """Those decisions of these ids that are there, by id."""
        ...

    async def whole(self, signal_id: str) -> WholeSignal:
        """A decision with its texts and candles."""
        ...

    async def list(
        self,
        *,
        wanted: SignalFilter = EVERYTHING,
        cursor: int | None = None,
        limit: int,
        newest_first: bool = True,
    ) -> SignalPage:
        """A page of decisions."""
        ...

    async def mark_executed(
        self, signal_id: str, *, by: str, clock: Clock, attempt: Attempt | None = None
    ) -> StoredSignal:
        """Note that the trader took it."""
        ...

    async def newest(self) -> int:
        """The number of the newest decision; 0 when there is none."""
        ...

    def follow(self, after_seq: int, *, wanted: SignalFilter = EVERYTHING) -> AsyncGenerator[StoredSignal, None]:
        """Every decision after that number, then each new one as it is stored."""
        ...
