"""Prompts, replies and readings of decisions: kept for a while, packed, and each with the hash it must still have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby

from sqlalchemy import and_, delete, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.packing import WINDOW, pack, unpack
from core.adapters.ledger.signals_schema import signal_texts, signals, text_bases
from core.errors import Code, CrpbotError, invalid

DETAIL = "detail"  # the kind that belongs to the signal itself and is never deleted
DELETED_AT_ONCE = 1_000
MAX_KIND = 32
PART_BYTES = 960  # four of them fill a page of SQLite; of rows of 1,500 bytes only two fit, and a quarter is left empty

Bases = dict[tuple[str, str], bytes]


def day_of(at: datetime) -> str:
    """The UTC day whose first text serves as dictionary."""
    return at.astimezone(UTC).date().isoformat()


async def read_bases(connection: AsyncConnection, days: Iterable[str], kinds: Iterable[str]) -> Bases:
    """The dictionaries of some days and kinds, as far as there are any."""
    bases = text_bases.c
    query = select(bases.kind, bases.day, bases.packed).where(bases.day.in_([*days]), bases.kind.in_([*kinds]))
    return {(row.kind, row.day): unpack(row.packed) for row in await connection.execute(query)}


async def settle_bases(connection: AsyncConnection, day: str, texts: Mapping[str, bytes]) -> Bases:
    """The dictionary of each kind on that day; where there is none yet, the text itself becomes it.

    The caller holds the audit head, so no two decisions do this at once.
    """
    found = await read_bases(connection, [day], texts)
    fresh = {(kind, day): text[:WINDOW] for kind, text in texts.items() if (kind, day) not in found}
    if fresh:
        rows = [{"kind": kind, "day": day, "packed": pack(text)} for (kind, _), text in fresh.items()]
        await connection.execute(insert(text_bases), rows)
    return {**found, **fresh}


def encode_texts(texts: Mapping[str, str]) -> dict[str, bytes]:
    """Texts as bytes. Half a surrogate pair, which a reply may hold, is kept as it is."""
    for kind in texts:
        if not (kind.isascii() and kind.isidentifier() and len(kind) <= MAX_KIND) or kind == DETAIL:
            raise invalid("texts", f"{kind[:MAX_KIND]!r} is no name of a text")
    return {kind: text.encode("utf-8", "surrogatepass") for kind, text in texts.items()}


async def insert_texts(
    connection: AsyncConnection, seq: int, texts: Mapping[str, bytes], *, bases: Bases, day: str, detail: bytes
) -> None:
    """Store the texts of a signal, packed by the day's dictionary and the signal's own words."""
    rows = []
    for kind, text in texts.items():
        packed = pack(text, _dictionary(bases[kind, day], detail))
        for part, start in enumerate(range(0, len(packed), PART_BYTES)):
            sealed = _digest(packed, text) if part == 0 else None
            body = packed[start : start + PART_BYTES]
            rows.append({"signal_seq": seq, "kind": kind, "part": part, "sha256": sealed, "packed": body})
    if rows:
        await connection.execute(insert(signal_texts), rows)


async def read_texts(connection: AsyncConnection, seq: int, *, day: str, detail: str) -> dict[str, str]:
    """All texts of a signal that are still kept, each checked against its hash."""
    stored = signal_texts.c
    query = select(stored.kind, stored.sha256, stored.packed).where(stored.signal_seq == seq)
    rows = (await connection.execute(query.order_by(stored.kind, stored.part))).all()
    bases = await read_bases(connection, [day], {row.kind for row in rows})
    texts = {}
    for kind, parts in groupby(rows, key=lambda row: row.kind):
        first, *others = parts
        packed = b"".join((first.packed, *(part.packed for part in others)))
        try:
            text = unpack(packed, _dictionary(bases.get((kind, day), b""), detail.encode()))
        except CrpbotError as error:
            raise _altered(seq, kind, error.detail) from error
        digest = _digest(packed, text)
        if digest != first.sha256:
            stored_digest = "none" if first.sha256 is None else first.sha256.hex()
            raise _altered(seq, kind, f"its SHA-256 is {digest.hex()}, stored was {stored_digest}")
        texts[kind] = text.decode("utf-8", "surrogatepass")
    return texts


async def delete_texts_batch(connection: AsyncConnection, before: datetime) -> int:
    """Delete some parts of texts of signals older than that; the answer is their number. The signals stay."""
    last = select(func.max(signals.c.audit_seq)).where(signals.c.timestamp < before).scalar_subquery()
    stored = signal_texts.c
    doomed = (
        select(stored.signal_seq, stored.kind, stored.part)
        .where(stored.signal_seq <= last)
        .order_by(stored.signal_seq, stored.kind, stored.part)
        .limit(DELETED_AT_ONCE)
    )
    statement = delete(signal_texts).where(tuple_(stored.signal_seq, stored.kind, stored.part).in_(doomed))
    deleted = (await connection.execute(statement)).rowcount
    if deleted < DELETED_AT_ONCE:
        await connection.execute(
            delete(text_bases).where(and_(text_bases.c.day < day_of(before), text_bases.c.kind != DETAIL))
        )
    return deleted


def _digest(packed: bytes, text: bytes) -> bytes:
    """Over both: the packed bytes end in unused bits that the text does not show, the text shows a changed base."""
    return sha256(packed + text).digest()


def _dictionary(base: bytes, detail: bytes) -> bytes:
    return base + b"\n" + detail


def _altered(seq: int, kind: str, finding: str) -> CrpbotError:
    detail = f"the {kind} of signal {seq} is not what was stored: {finding}; compare with a backup (docs/storage.md)"
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="TEXT_ALTERED")
