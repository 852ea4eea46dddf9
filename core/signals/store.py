"""What is stored beside a decision, and how stored decisions are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from core.signal import Signal, Strategy, Variant
from core.trade import Book, Direction, Tier


class SnapshotReference(NamedTuple):
    """Which stored candles a decision saw: their number in the store, and the SHA-256 that they must have."""

    id: int
    sha256: str


@dataclass(frozen=True, slots=True)
class NewSignal:
    """A decision about to be stored, with what it rests on.

    `key` is the one its client sent; a decision of the scheduler has a slot instead. `texts` are prompt, reply and
    readings by name; `facts` go into the audit entry beside the seal.
    """

    signal: Signal
    actor: str
    key: str | None = None
    snapshots: tuple[SnapshotReference, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """A decision as it stands in the ledger. `seq` is the number of its audit entry, the cursor of every stream."""

    seq: int
    signal: Signal
    created_at: datetime
    key: str | None
    snapshots: tuple[SnapshotReference, ...]
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """Which decisions are wanted; None does not ask. `since` is included, `until` is not.

    `model` is the version of one that had a part in it.
    """

    symbol: str | None = None
    direction: Direction | None = None
    variant: Variant | None = None
    tier: Tier | None = None
    book: Book | None = None
    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    strategy: Strategy | None = None
    model: str | None = None


EVERYTHING = SignalFilter()


@dataclass(frozen=True, slots=True)
class SignalPage:
    """A part of a list. `next_cursor` asks for the part that follows; None: this was the last."""

    signals: tuple[StoredSignal, ...]
    next_cursor: int | None
