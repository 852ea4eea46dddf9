"""A decision as one row and back, without losing a digit, and the seal over it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any, Final

from core.adapters.ledger.chain import canonical_json, instant_text
from core.ensemble import Ensemble, Member
from core.models.weighting import KINDS
from core.money import decimal_text, round_up
from core.signal import (
    Degradation,
    LlmUse,
    Mode,
    RuntimeMode,
    Signal,
    Strategy,
    Synthesis,
    Variant,
    Version,
    Veto,
    Vote,
)
from core.signals.store import NewSignal, SnapshotReference, StoredSignal
from core.trade import Book, Direction, Tier

Row = Mapping[str, Any]  # Any: a row of a table with columns of many types

# field of the decision -> its column, where they differ
RENAMED: Final = {
    "stop_loss": "stop",
    "take_profit": "target",
    "variant": "signal_variant",
    "window": "window_length",
}
SAME: Final = (
    *("id", "account", "symbol", "slot", "timestamp", "as_of", "interval", "confidence", "calibrated_confidence"),
    *("threshold", "synthesis_reason", "reasoning", "stop_first", "size_limit", "degraded", "ftmo_compliant"),
    *("change_24h_percent", "source", "synthetic", "executed", "coverage"),
)
ENUMS: Final[Mapping[str, type[Enum]]] = {
    "book": Book,
    "strategy": Strategy,
    "variant": Variant,
    "mode": Mode,
    "runtime_mode": RuntimeMode,
    "direction": Direction,
    "tier": Tier,
    "synthesis": Synthesis,
}
SEALED_WHERE_SET: Final = frozenset({"ensemble", "models"})  # columns that the first rows did not have
DECIMALS: Final = ("entry", "stop_loss", "take_profit", "quantity", "lots", "risk_usd", "price")


def to_row(new: NewSignal, created_at: datetime) -> tuple[dict[str, Any], str]:
    """The columns of a decision, and the text of its detail, which is packed by the caller."""
    signal = new.signal
    row: dict[str, Any] = {name: getattr(signal, name) for name in SAME}
    row["window_length"] = signal.window
    for name in ENUMS:
        member = getattr(signal, name)
        row[RENAMED.get(name, name)] = None if member is None else member.value
    for name in DECIMALS:
        value = getattr(signal, name)
        row[RENAMED.get(name, name)] = None if value is None else decimal_text(value, field=name)
    row["cost_units"] = 0 if signal.llm is None else round_up(signal.llm.cost_usd)
    row["vetoes"] = _json([asdict(veto) for veto in signal.vetoes])
    row["degradations"] = _json([asdict(each) for each in signal.degradations])
    row["snapshots"] = _json([list(each) for each in new.snapshots])
    row["idempotency_key"] = new.key
    row["created_at"] = created_at
    row["ensemble"] = None if signal.ensemble is None else _write_ensemble(signal.ensemble)
    row["models"] = " ".join(each.version for each in signal.versions if each.part in KINDS) or None
    return row, _detail(signal)


def from_row(row: Row, detail: str) -> StoredSignal:
    """The decision that a row holds."""
    columns = {name: RENAMED.get(name, name) for name in (*SAME, *ENUMS, *DECIMALS, "window")}
    values: dict[str, Any] = {name: row[column] for name, column in columns.items()}
    for name, kind in ENUMS.items():
        values[name] = None if values[name] is None else kind(values[name])
    for name in DECIMALS:
        values[name] = None if values[name] is None else Decimal(values[name])
    found = json.loads(detail)
    signal = Signal(
        **values,
        llm=None if found["llm"] is None else _llm_use(found["llm"]),
        vetoes=tuple(_veto(each) for each in json.loads(row["vetoes"])),
        degradations=tuple(Degradation(**each) for each in json.loads(row["degradations"])),
        votes=tuple(Vote(*each) for each in found["votes"]),
        versions=tuple(Version(*each) for each in found["versions"]),
        timings_ms=found["timings_ms"],
        ensemble=None if row["ensemble"] is None else _read_ensemble(row["ensemble"]),
    )
    references = tuple(SnapshotReference(*each) for each in json.loads(row["snapshots"]))
    return StoredSignal(row["audit_seq"], signal, row["created_at"], row["idempotency_key"], references)


def seal_row(row: Row, detail: str) -> str:
    """SHA-256 over all that never changes in a row; it stands in the audit chain, which nobody edits unseen."""
    sealed = {
        name: instant_text(value, field=name) if isinstance(value, datetime) else value
        for name, value in row.items()
        if name not in {"executed", "executed_at", "audit_seq", "signal_type", "variant_key", "detail"}
        and not (name in SEALED_WHERE_SET and value is None)
    }
    return sha256(canonical_json({**sealed, "detail": detail}, field="signal").encode("ascii")).hexdigest()


def _detail(signal: Signal) -> str:
    """Votes, versions, timings and the model's use: the same words in every decision, packed by the caller."""
    votes = [[vote.theory, vote.vote, vote.pull, vote.words, vote.problem] for vote in signal.votes]
    versions = [[each.part, each.version] for each in signal.versions]
    llm = None if signal.llm is None else asdict(signal.llm)
    return _json({"votes": votes, "versions": versions, "timings_ms": signal.timings_ms, "llm": llm})


def _write_ensemble(ensemble: Ensemble) -> str:
    """Its values and those of its members in the order of their fields: a row keeps some 200 bytes of it."""
    members = [[getattr(each, field.name) for field in fields(Member)] for each in ensemble.members]
    return _json([*(getattr(ensemble, field.name) for field in fields(Ensemble)[:-1]), members])


def _read_ensemble(text: str) -> Ensemble:
    probability, raw, calibrated, coverage, horizon, members = json.loads(text)
    return Ensemble(probability, raw, calibrated, coverage, horizon, tuple(Member(*each) for each in members))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=_spell)


def _spell(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no spelling in a stored decision")


def _llm_use(found: dict[str, Any]) -> LlmUse:
    return LlmUse(**{**found, "cost_usd": Decimal(found["cost_usd"])})


def _veto(found: dict[str, Any]) -> Veto:
    lifts_at = found["lifts_at"]
    return Veto(**{**found, "lifts_at": None if lifts_at is None else datetime.fromisoformat(lifts_at)})
