"""A call sent twice happens once: what a key stands for, and what the server says when it sees one again.

A client that got no answer sends the same call again under the same key. The first attempt owns the key for one lease;
when it dies the next attempt takes the key over, and the dead one, should it wake, is refused by its owner token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from core.errors import Code, CrpbotError, invalid

MAX_KEY: Final = 255
LEASE_LOST: Final = "LEASE_LOST"
LONGEST_REQUEST_MS: Final = 30_000
LEASE_MS: Final = 32_000  # outlives the longest request, so that no living attempt loses its key
CLOCK_SKEW_MS: Final = 3_000  # gateways' steady clocks may differ by this; a lease from further ahead is another boot's
SHORTEST_RETENTION: Final = timedelta(hours=24)  # a client may come back with its key for a day
# A row stored under a key is up to a lease younger than the key itself.
OLDEST_ANSWER: Final = SHORTEST_RETENTION - timedelta(milliseconds=LEASE_MS)


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its client means it: what is to be done, under which key, and the SHA-256 of its body.

    Where several clients share a server, `operation` carries the client too, so that their keys do not meet.
    """

    operation: str
    key: str
    body_sha256: str

    def __post_init__(self) -> None:
        check_key(self.key)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a call; `owner` proves that it still owns the key.

    `seal` writes the answer as it is kept under the key, for whoever stores the effect to store both at once. It takes
    None where the answer is not known yet. Without a seal the answer is stored by whoever began the attempt.
    """

    call: Call
    owner: str
    seal: Callable[[object], bytes] | None = field(default=None, compare=False, repr=False)

    def answering(self, make: Callable[[Any], object]) -> Attempt:  # Any: what the store answers with
        """The same attempt for a store that knows a part of the answer, of which `make` makes all of it."""
        seal = self.seal
        return self if seal is None else replace(self, seal=lambda part: seal(make(part)))


@dataclass(frozen=True, slots=True)
class Started:
    """The key is yours: do the work, and write the completion in the transaction that stores it."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Replay:
    """The call has been answered before, with these bytes."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another attempt works on this call; by then it has ended or its lease has."""

    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class Reused:
    """The key stands for another body."""


Outcome = Started | Replay | InFlight | Reused


def check_key(key: str, *, field: str = "idempotency_key") -> None:
    """Refuse a key that a header cannot carry unchanged."""
    if not 1 <= len(key) <= MAX_KEY:
        raise invalid(field, f"has {len(key)} characters, 1 to {MAX_KEY} are allowed", reason="INVALID_KEY")
    for position, character in enumerate(key):
        if not " " <= character <= "~":
            detail = f"character {position} is {character!r}; only printable ASCII is allowed"
            raise invalid(field, detail, reason="INVALID_KEY")


def settled(outcome: Outcome, call: Call) -> Started | Replay:
    """Go on, or replay; a call in flight and a key used for another body are errors."""
    if isinstance(outcome, InFlight):
        raise in_progress(call, outcome.retry_after_seconds)
    if isinstance(outcome, Reused):
        raise key_reused(call)
    return outcome


def in_progress(call: Call, retry_after_seconds: float) -> CrpbotError:
    """The same call is being answered right now."""
    detail = (
        f"idempotency_key: {call.key[:64]!r} is in use by another attempt at {call.operation}; "
        f"send the same call again in {retry_after_seconds:.0f} s at the latest"
    )
    return CrpbotError(Code.ABORTED, detail, reason="IN_PROGRESS", retry_after_seconds=retry_after_seconds)


def key_reused(call: Call) -> CrpbotError:
    """The key was first sent with another body."""
    detail = f"{call.key[:64]!r} was used for another body of {call.operation}; choose a new key for a new call"
    return invalid("idempotency_key", detail, reason="KEY_REUSED")


def refuse_expired(key: str, stored_at: datetime, now: datetime) -> None:
    """What was done under a key so long ago that the key is forgotten is no answer to a call of now."""
    if now - stored_at >= OLDEST_ANSWER:
        hours = SHORTEST_RETENTION // timedelta(hours=1)
        used = f"{key[:64]!r} was used at {stored_at.isoformat()} and a key is good for {hours} hours"
        detail = f"{used}; choose a new key for a new call"
        raise invalid("idempotency_key", detail, reason="KEY_EXPIRED")


def lease_lost(attempt: Attempt) -> CrpbotError:
    """This attempt took longer than its lease and another one has taken over; what it did is not stored."""
    detail = (
        f"idempotency_key: {attempt.call.key[:64]!r} has gone to a later attempt at {attempt.call.operation}, since "
        f"this one outlived its lease of {LEASE_MS // 1_000} s; nothing was stored, send the same call again"
    )
    return CrpbotError(Code.ABORTED, detail, reason=LEASE_LOST, retry_after_seconds=1.0)
