"""Records of what was measured, theory by theory: new figures replace the old ones, the others stay as they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.analyzers import discover

Record = dict[str, Any]  # Any: decoded JSON


def read_record(path: Path) -> Record:
    """A record as it was last written; empty when nothing was measured yet."""
    record: Record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return record


def merge_record(path: Path, theories: Mapping[str, Record], **others: Record | None) -> Record:
    """Writes the theories' new entries over their old ones, and `others` unless None; theories that are gone go."""
    old = read_record(path)
    entries = {**old.get("theories", {}), **theories}
    kept = {name: entries[name] for name in sorted(entries) if name in discover()}
    record = {"theories": kept, **{name: old.get(name) if new is None else new for name, new in others.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return record
