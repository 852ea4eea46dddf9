"""Models in a folder or a bucket: weights, manifest and report beside each other, and pointers to those that decide.

    FOLDER/lstm_BTC-USD_1m_0f3a9c1d.pt             weights
    FOLDER/lstm_BTC-USD_1m_0f3a9c1d.json           manifest, written last: a model without one does not exist
    FOLDER/lstm_BTC-USD_1m_0f3a9c1d.gate.json      what the promotion gate found, and as a page: .gate.html
    FOLDER/lstm_BTC-USD_promoted.pt                points at the weights of the model that decides: in a folder a
    FOLDER/lstm_BTC-USD_candidate.pt               link, in a bucket an object with their name; and the one on trial
    FOLDER/promotions.jsonl                        who decided when (promotions.py)

Every file takes its name in one step when it is safely kept, so whoever is killed at any moment leaves the old or
the new. One at a time writes; readers never wait. Who decides is told by the pointer alone: where the record lacks
a change, because its writer was killed after the pointer, the pointer tells it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from core.adapters.files.places import files_of
from core.adapters.models.index import ModelIndex, Stamps, manifest_name, weights_name
from core.adapters.models.promotions import PromotionRecord
from core.adapters.models.reports import GATE, beside, read_report
from core.errors import Code, CrpbotError
from core.files import Files
from core.models.manifest import Manifest
from core.models.manifest_text import write_manifest
from core.models.promotion import Action, Promotion, previous_of
from core.models.store import (
    Entry,
    Report,
    Slot,
    Stock,
    candidate_name,
    check_champion,
    check_replacement,
    check_report,
    file_name,
    pointer_name,
    slot_of,
    unknown_version,
)
from core.models.suitability import MOST_BYTES, check_blob, check_usable

POINTER: Final = "_promoted.pt"
CANDIDATE: Final = "_candidate.pt"
NO_MODELS: Final = (f"{GATE}.json", "_lines.json")  # ends of names beside the manifests


class ModelFolder:
    """A folder, or a part of a bucket, as `core.models.store.ModelStore`."""

    def __init__(self, place: Path | Files) -> None:
        self._files = files_of(place)
        self._index = ModelIndex(self._files)
        # weights that were found to be those of their manifest, by name, with the stamps of both
        self._sound: dict[str, tuple[str, str]] = {}

    def save(self, manifest: Manifest, blob: bytes) -> str:
        """Keeps a model and says its version."""
        check_blob(manifest, blob)
        with self._files.alone():
            file = file_name(manifest)
            earlier = next((each for each in self.entries() if _is_version(each, manifest.version)), None)
            if earlier is not None:
                check_replacement(earlier.read(), manifest)
                file = earlier.file
            elif manifest_name(file) in self._index.stamps():
                remedy = "run the same command again, or move that model's files away where they are damaged"
                detail = f"{file} is another model's name already; remedy: {remedy}"
                raise CrpbotError(Code.ALREADY_EXISTS, detail, reason="NAME_TAKEN")
            self._files.write(file, blob)
            self._files.write(manifest_name(file), write_manifest(manifest).encode())
        return manifest.version

    def entries(self) -> tuple[Entry, ...]:
        """Every model, oldest first; damaged ones, whose age nobody knows, at the end."""
        return self._entries(self._index.stamps())

    def look(self) -> Stock:
        """All of it by one look at the place, and at a manifest only when it is new."""
        stamps = self._index.stamps()
        return Stock(self._entries(stamps), self._index.links(POINTER, stamps), self._candidates(stamps), stamps)

    def verify(self, entry: Entry, stock: Stock) -> None:
        """Reads and hashes the weights only when they or their manifest are new."""
        stamps = stock.stamps.get(entry.file, ""), stock.stamps.get(manifest_name(entry.file), "")
        if "" in stamps or self._sound.get(entry.file) != stamps:
            check_blob(entry.read(), self._files.read(entry.file, most=MOST_BYTES))
            self._sound[entry.file] = stamps

    def load(self, version: str) -> tuple[Manifest, bytes]:
        """The manifest and the weights that it vouches for."""
        entry = self._find(version)
        manifest = entry.read()
        blob = self._files.read(entry.file, most=MOST_BYTES)
        check_blob(manifest, blob)
        return manifest, blob

    def promote(self, version: str, report: Report) -> None:
        """Points at this version in one step, with the report beside it before that."""
        with self._files.alone():
            manifest, _ = self.load(version)
            check_usable(manifest)
            check_champion(check_report(report, manifest), manifest, self.promoted().get(slot_of(manifest)))
            copy = beside(self._find(version).file)
            self._files.write(f"{copy}.json", report.facts.encode())
            self._files.write(f"{copy}.html", report.page.encode())
            self._decide(Action.PROMOTE, slot_of(manifest), version)

    def restore(self, version: str) -> None:
        """Points back at a version whose report lies beside it."""
        with self._files.alone():
            manifest, _ = self.load(version)
            check_usable(manifest)
            check_report(self.report(version), manifest)
            self._decide(Action.RESTORE, slot_of(manifest), version)

    def demote(self, slot: Slot) -> str:
        """Takes the pointer away and says which version it named."""
        with self._files.alone():
            entry = self.promoted().get(slot)
            if entry is None:
                raise _nobody(slot, "promoted")
            version = entry.file if entry.manifest is None else entry.manifest.version
            self._decide(Action.DEMOTE, slot, version)
        return version

    def promoted(self) -> dict[Slot, Entry]:
        """The models that decide: one look at the place, and at a manifest only when it is new."""
        return self._index.links(POINTER, self._index.stamps())

    def nominate(self, version: str) -> None:
        """Points at this version as the one on trial."""
        with self._files.alone():
            manifest, _ = self.load(version)
            check_usable(manifest)
            slot = slot_of(manifest)
            current = self.promoted().get(slot)
            if current is not None and _is_version(current, version):
                detail = f"{version} decides already: on trial is a model that does not"
                raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="DECIDES_ALREADY")
            self._files.point(candidate_name(slot), self._find(version).file)

    def withdraw(self, slot: Slot) -> str:
        """Takes the pointer to the model on trial away and says which version it named."""
        with self._files.alone():
            entry = self._index.links(CANDIDATE, self._index.stamps()).get(slot)
            if entry is None:
                raise _nobody(slot, "a candidate")
            self._files.remove(candidate_name(slot))
        return entry.file if entry.manifest is None else entry.manifest.version

    def candidates(self) -> dict[Slot, Entry]:
        """The models on trial. One that decides by now is none, also where its promotion was killed half-way."""
        return self._candidates(self._index.stamps())

    def history(self, slot: Slot) -> tuple[Promotion, ...]:
        """Every change of who decides, as recorded, and the last one by the link where the record lacks it."""
        found, _ = PromotionRecord(self._files).read()  # before the link: a record is never ahead of it
        recorded = tuple(each for each in found if (each.kind, each.subject) == slot)
        return (*recorded, *self._unrecorded(slot, recorded[-1].after if recorded else None))

    def previous(self, slot: Slot) -> str | None:
        """The version that decided before the one that decides now."""
        promotions = self.history(slot)
        return previous_of(promotions, promotions[-1].after if promotions else None)

    def report(self, version: str) -> Report:
        """The report that the version was promoted with."""
        return read_report(self._files, beside(self._find(version).file))

    def _entries(self, stamps: Stamps) -> tuple[Entry, ...]:
        names = [name for name in stamps if name.endswith(".json") and not name.endswith(NO_MODELS)]
        found = [self._index.entry(weights_name(name), stamps) for name in names]
        whole = [each for each in found if each.manifest is not None]
        damaged = [each for each in found if each.manifest is None]
        return (*sorted(whole, key=lambda each: each.read().created_at), *damaged)

    def _candidates(self, stamps: Stamps) -> dict[Slot, Entry]:
        decides = {slot: entry.file for slot, entry in self._index.links(POINTER, stamps).items()}
        found = self._index.links(CANDIDATE, stamps)
        return {slot: entry for slot, entry in found.items() if decides.get(slot) != entry.file}

    def _find(self, version: str) -> Entry:
        entries = self.entries()
        for entry in entries:
            if _is_version(entry, version):
                return entry
        raise unknown_version(version, entries)

    def _decide(self, action: Action, slot: Slot, version: str) -> None:
        """Changes who decides, in one step, and then writes it down. A candidate that decides is one no longer."""
        record, promotions = PromotionRecord(self._files), self.history(slot)
        known, _ = record.read()
        for promotion in promotions:
            if promotion not in known:
                record.add(promotion)
        before = promotions[-1].after if promotions else None
        if action is Action.DEMOTE:
            self._files.remove(pointer_name(slot))
        else:
            self._files.point(pointer_name(slot), self._find(version).file)
            trial = self._index.links(CANDIDATE, self._index.stamps()).get(slot)
            if trial is not None and _is_version(trial, version):
                self._files.remove(candidate_name(slot))
        record.add(Promotion(datetime.now(UTC), action, slot.kind, slot.subject, version, before))

    def _unrecorded(self, slot: Slot, recorded: str | None) -> tuple[Promotion, ...]:
        """What the link says and the record does not: its writer was killed in between, or it is a link of old."""
        entry = self.promoted().get(slot)
        if entry is None and recorded is not None:
            at = self._changed("")  # at the latest
            return (Promotion(at, Action.DEMOTE, *slot, version=recorded, before=recorded),)
        if entry is None or entry.manifest is None or entry.manifest.version == recorded:
            return ()
        at = self._changed(pointer_name(slot))
        return (Promotion(at, Action.PROMOTE, *slot, version=entry.manifest.version, before=recorded),)

    def _changed(self, name: str) -> datetime:
        """When this was changed last; of what is gone by now, now."""
        return self._files.changed(name) or datetime.now(UTC)


def _is_version(entry: Entry, version: str) -> bool:
    return entry.manifest is not None and entry.manifest.version == version


def _nobody(slot: Slot, what: str) -> CrpbotError:
    return CrpbotError(Code.NOT_FOUND, f"no {slot.kind} is {what} for {slot.subject}", reason="NOT_PROMOTED")
