"""What lies in a place of models: the manifests, each read once, and where the pointers lead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from core.errors import Code, CrpbotError
from core.files import Files, is_away
from core.models.manifest import Kind
from core.models.manifest_text import MOST_CHARACTERS, read_manifest
from core.models.store import Entry, Slot, demotion, slot_of

Stamps = Mapping[str, str]


class ModelIndex:
    """The manifests and pointers of one place. To ask again costs one look, and reads only what is new."""

    def __init__(self, files: Files) -> None:
        self._files = files
        # manifests and targets of pointers as they were read last, by name, with the stamp of that content
        self._known: dict[str, tuple[str, Entry]] = {}
        self._targets: dict[str, tuple[str, str]] = {}

    def stamps(self) -> dict[str, str]:
        """What lies there, sorted. One that is not there yet is empty; one that cannot be read is a failure."""
        return self._files.stamps(deep=False)

    def links(self, ending: str, stamps: Stamps) -> dict[Slot, Entry]:
        """Where each pointer with this ending leads, of those that were found there."""
        found = {}
        for name in stamps:
            kind, _, subject = name.removesuffix(ending).partition("_")
            if name.endswith(ending) and kind in set(Kind):
                slot = Slot(Kind(kind), subject)
                entry = self._follow(name, slot, stamps)
                if entry is not None:  # None: taken away since the names were read
                    found[slot] = entry
        return found

    def entry(self, file: str, stamps: Stamps) -> Entry:
        """The manifest of a file of weights, read again only when it is another content than last time."""
        name = manifest_name(file)
        stamp, known = stamps.get(name), self._known.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            found = Entry(file, read_manifest(self._files.read(name, most=4 * MOST_CHARACTERS).decode()))
        except CrpbotError as error:
            if is_away(error):
                raise
            code = Code.FAILED_PRECONDITION if error.code is Code.NOT_FOUND else error.code
            detail = f"{name}: {error.detail.removeprefix(f'{name} ')}"
            return Entry(file, None, CrpbotError(code, detail, reason=error.reason))
        except UnicodeDecodeError:
            return Entry(file, None, _fault(f"{name} is no text"))
        if stamp is not None:
            self._known[file] = (stamp, found)
        return found

    def _follow(self, name: str, slot: Slot, stamps: Stamps) -> Entry | None:
        try:
            target = self._target(name, stamps[name])
        except CrpbotError as error:
            if is_away(error):
                raise
            if error.code is Code.NOT_FOUND:
                return None
            return Entry(name, None, _fault(f"{error.detail}; remedy: {demotion(slot)}"))
        if PurePosixPath(target).name != target:
            return Entry(name, None, _fault(f"{name} points out of the folder; remedy: {demotion(slot)}"))
        entry = self.entry(target, stamps)
        if entry.manifest is not None and slot_of(entry.manifest) != slot:
            return Entry(name, None, _fault(f"{name} points at {target}, which is a model for something else"))
        return entry

    def _target(self, name: str, stamp: str) -> str:
        known = self._targets.get(name)
        if known is None or known[0] != stamp:
            known = self._targets[name] = (stamp, self._files.target(name))
        return known[1]


def manifest_name(file: str) -> str:
    """What the manifest of a file of weights is called."""
    return str(PurePosixPath(file).with_suffix(".json"))


def weights_name(manifest: str) -> str:
    """What the weights of a file of a manifest are called."""
    return str(PurePosixPath(manifest).with_suffix(".pt"))


def _fault(detail: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="BAD_MODEL_FILE")
