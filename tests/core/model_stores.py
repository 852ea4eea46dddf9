"""A place in which an old model decides and a better one is kept."""

from __future__ import annotations

from pathlib import Path

from core.adapters.models.folder import ModelFolder
from core.files import Files
from core.models.manifest import Kind
from core.models.store import ModelStore, Slot
from tests.core.model_cases import AT, DAY, make_model, passing

BTC = Slot(Kind.LSTM, "BTC-USD")
OLD, OLD_BLOB = make_model(seed=1)
NEW, NEW_BLOB = make_model(seed=2, created_at=AT + 9 * DAY)
BETTER = passing(NEW, champion=OLD.version)


def make_store(place: Path | Files) -> ModelFolder:
    store = ModelFolder(place)
    store.save(OLD, OLD_BLOB)
    store.save(NEW, NEW_BLOB)
    store.promote(OLD.version, passing(OLD))
    return store


def promoted(store: ModelStore, slot: Slot = BTC) -> str:
    """The version that decides."""
    return store.promoted()[slot].read().version


def add_third(store: ModelFolder, *, champion: str) -> str:
    """Another model that beat the one that decides, promoted."""
    third, blob = make_model(seed=3, created_at=AT + 12 * DAY)
    store.save(third, blob)
    store.promote(third.version, passing(third, champion=champion))
    return third.version
