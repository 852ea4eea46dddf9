"""Prompts, replies and readings of decisions: kept for a while, packed, and each with the hash it must still have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from itertools import groupby

from sqlalchemy import and_, bindparam, delete, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.packing import WINDOW, pack, unpack
from core.adapters.ledger.signals.schema import signal_texts, signals, text_bases
from core.errors import Code, CrpbotError, invalid

DETAIL = "detail"  # the kind that belongs to the signal itself and is never deleted
DELETED_AT_ONCE = 1_000
MAX_KIND = 32
PART_BYTES = 1_300  # three of them fill a page of SQLite; of rows of 1,500 bytes only two fit, and a quarter is empty

KNOWN_BASES = 32  # dictionaries that need not be unpacked again: of a few days and kinds

# made once: SQLAlchemy takes longer to put such a statement together than the database to execute it
_BASES = select(text_bases.c.kind, text_bases.c.day, text_bases.c.packed).where(
    text_bases.c.day.in_(bindparam("days", expanding=True)), text_bases.c.kind.in_(bindparam("kinds", expanding=True))
)
_INSERT = insert(signal_texts)

Bases = dict[tuple[str, str], bytes]


def day_of(at: datetime) -> str:
    """The UTC day whose first text serves as dictionary."""
    return at.astimezone(UTC).date().isoformat()


async def read_bases(connection: AsyncConnection, days: Iterable[str], kinds: Iterable[str]) -> Bases:
    """The dictionaries of some days and kinds, as far as there are any."""
    rows = await connection.execute(_BASES, {"days": [*days], "kinds": [*kinds]})
    return {(kind, day): _unpack_base(packed) for kind, day, packed in rows}


def name_base(kind: str, symbol: str) -> str:
    """A symbol has its own dictionaries: what theories have learned of it is in its texts all day, digit for digit."""
    return f"{kind} {symbol}"


async def settle_bases(connection: AsyncConnection, day: str, texts: Mapping[str, bytes]) -> Bases:
    """The dictionary of each name on that day; where there is none yet, the text itself becomes it.

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


def text_rows(
    seq: int, texts: Mapping[str, bytes], *, bases: Mapping[str, bytes], detail: bytes
) -> list[dict[str, object]]:
    """The texts of a signal in rows, each packed by the dictionary of its kind and the signal's own words."""
    rows: list[dict[str, object]] = []
    for kind, text in texts.items():
        packed = pack(text, bases[kind], detail)
        for part, start in enumerate(range(0, len(packed), PART_BYTES)):
            sealed = _digest(packed, text) if part == 0 else None
            body = packed[start : start + PART_BYTES]
            rows.append({"signal_seq": seq, "kind": kind, "part": part, "sha256": sealed, "packed": body})
    return rows


async def insert_texts(connection: AsyncConnection, rows: Sequence[dict[str, object]]) -> None:
    """Store texts, of one signal or of several."""
    if rows:
        await connection.execute(_INSERT, rows)


async def read_texts(
    connection: AsyncConnection, seq: int, *, day: str, detail: str, kinds: Collection[str] | None = None
) -> dict[str, str]:
    """The texts of a signal (all of them, or of some kinds) that are still kept, each checked against its hash."""
    stored = signal_texts.c
    query = select(stored.kind, stored.sha256, stored.packed, signals.c.symbol).where(stored.signal_seq == seq)
    query = query.join(signals, signals.c.audit_seq == stored.signal_seq)
    if kinds is not None:
        query = query.where(stored.kind.in_(kinds))
    rows = (await connection.execute(query.order_by(stored.kind, stored.part))).all()
    names = {row.kind: (name_base(row.kind, row.symbol), row.kind) for row in rows}
    bases = await read_bases(connection, [day], {name for both in names.values() for name in both})
    texts = {}
    for kind, parts in groupby(rows, key=lambda row: row.kind):
        first, *others = parts
        packed = b"".join((first.packed, *(part.packed for part in others)))
        # the symbol's dictionary, and for a ledger that was begun when a kind had but one, that one
        known = [bases[name, day] for name in names[kind] if (name, day) in bases] or [b""]
        texts[kind] = _unpack_checked(seq, kind, packed, known, detail.encode(), first.sha256)
    return texts


def _unpack_checked(
    seq: int, kind: str, packed: bytes, known: Sequence[bytes], detail: bytes, sha256_stored: bytes | None
) -> str:
    """The text by the dictionary that gives the stored hash. None does: it was altered."""
    findings = []
    for base in known:
        try:
            text = unpack(packed, base, detail)
        except CrpbotError as error:
            findings.append(error.detail)
            continue
        digest = _digest(packed, text)
        if digest == sha256_stored:
            return text.decode("utf-8", "surrogatepass")
        stored_digest = "none" if sha256_stored is None else sha256_stored.hex()
        findings.append(f"its SHA-256 is {digest.hex()}, stored was {stored_digest}")
    raise _altered(seq, kind, findings[0])


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


@lru_cache(maxsize=KNOWN_BASES)
def _unpack_base(packed: bytes) -> bytes:
    return unpack(packed)


def _altered(seq: int, kind: str, finding: str) -> CrpbotError:
    detail = f"the {kind} of signal {seq} is not what was stored: {finding}; compare with a backup (docs/storage.md)"
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="TEXT_ALTERED")
