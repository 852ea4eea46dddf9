"""The audit chain as pure rules: what an entry is, how it is sealed, and what a broken one looks like.

Each entry is sealed with the hash of the one before it, so nobody can change, remove or insert one without breaking
every hash that follows. No database here: the rules are the same on every store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.errors import invalid

GENESIS = "0" * 64  # stands in for the hash before the first entry
MAX_WORD = 256  # the length limit of short texts everywhere in the API


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What is to be recorded: who did what to what, and the facts around it. Checked when made."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object]

    def __post_init__(self) -> None:
        instant_text(self.at, field="at")
        for field in ("actor", "action", "subject"):
            _check_word(field, getattr(self, field))
        canonical_json(self.detail, field="detail")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the chain as it is stored; `detail` is canonical JSON text, `hash` seals all the rest."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """How far the chain is sound: `entries` good ones, the last with `hash`, then the first broken one if any."""

    entries: int
    hash: str
    first_broken: int | None = None
    problem: str | None = None


def instant_text(at: datetime, *, field: str) -> str:
    """UTC as `YYYY-MM-DD HH:MM:SS.ffffff`: of fixed width, so that the order of texts is the order of times."""
    if at.utcoffset() is None:
        raise invalid(field, f"{at.isoformat()} has no time zone; give an aware datetime", reason="NAIVE_DATETIME")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def canonical_json(value: Mapping[str, object], *, field: str) -> str:
    """The one spelling of a JSON object: keys sorted, no spaces, ASCII only, no NaN or infinity."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise invalid(field, f"cannot be written as JSON: {error}", reason="NOT_JSON") from error


def link(event: AuditEvent, *, seq: int, previous_hash: str) -> AuditEntry:
    """The event as entry number `seq`, sealed onto the entry whose hash is `previous_hash`."""
    detail = canonical_json(event.detail, field="detail")
    words = (event.actor, event.action, event.subject, detail)
    sealed = seal(previous_hash, seq, instant_text(event.at, field="at"), *words)
    return AuditEntry(seq, event.at.astimezone(UTC), *words, previous_hash, sealed)


def seal(previous_hash: str, seq: int, at: str, *words: str) -> str:
    """SHA-256 over the previous hash and the entry as a canonical JSON list, so that no two entries read alike."""
    entry = json.dumps([seq, at, *words], separators=(",", ":"))
    return hashlib.sha256((previous_hash + entry).encode("ascii")).hexdigest()


def extend_chain(report: ChainReport, row: Sequence[object]) -> ChainReport:
    """The report after one more row as stored: seq, the sealed texts, previous_hash, hash."""
    number, *texts, previous_hash, stored_hash = row
    seq = report.entries + 1
    if number != seq:
        problem = f"entry {seq} is missing, entry {number} follows"
    elif previous_hash != report.hash:
        problem = "its previous_hash is not the hash of the entry before it"
    elif stored_hash != seal(report.hash, seq, *map(str, texts)):
        problem = "its content does not match its hash"
    else:
        return ChainReport(seq, str(stored_hash))
    return replace(report, first_broken=seq, problem=problem)


def close_chain(report: ChainReport, head: tuple[int, str] | None) -> ChainReport:
    """A chain whose rows are sound must also end where the head says."""
    if head == (report.entries, report.hash):
        return report
    if head is None:
        return replace(report, first_broken=report.entries, problem="the row of audit_head is gone")
    seq = report.entries
    if head[0] > seq:
        return replace(report, first_broken=seq + 1, problem=f"entry {seq + 1} is missing, audit_head counts {head[0]}")
    return replace(report, first_broken=seq, problem=f"audit_head names entry {head[0]} with another hash")


def _check_word(field: str, word: str) -> None:
    # printable text only: control characters would forge log lines, NUL and lone surrogates cannot be stored
    if not word.isprintable() or not 1 <= len(word) <= MAX_WORD:
        raise invalid(field, f"{word[:32]!r} must be 1 to {MAX_WORD} printable characters", reason="INVALID_WORD")
