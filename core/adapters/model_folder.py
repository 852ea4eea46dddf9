"""Models in a folder: weights, manifest and report beside each other, and for each coin a link to the one that decides.

    FOLDER/lstm_BTC-USD_1m_0f3a9c1d.pt             weights
    FOLDER/lstm_BTC-USD_1m_0f3a9c1d.json           manifest, written last: a model without one does not exist
    FOLDER/lstm_BTC-USD_1m_0f3a9c1d.gate.json      what the promotion gate found, and as a page: .gate.html
    FOLDER/lstm_BTC-USD_promoted.pt                link to the weights of the model that decides

Every file takes its name in one step when it is safely on disk, so whoever is killed at any moment leaves the old or
the new. One at a time writes; readers never wait.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import Final

from core.adapters.history_file import replacing, sync
from core.errors import Code, CrpbotError
from core.models.manifest import Kind, Manifest
from core.models.manifest_text import MOST_CHARACTERS, read_manifest, write_manifest
from core.models.store import (
    Entry,
    Report,
    Slot,
    check_champion,
    check_replacement,
    check_report,
    file_name,
    pointer_name,
    slot_of,
    unknown_version,
)
from core.models.suitability import MOST_BYTES, check_blob

LOCK: Final = ".lock"
POINTER: Final = "_promoted.pt"
GATE: Final = ".gate"
MOST_PAGE_BYTES: Final = 50_000_000  # of a report with its pictures


class ModelFolder:
    """A folder as `core.models.store.ModelStore`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # manifests as they were read last, by name, with what told that file from a later one
        self._known: dict[str, tuple[tuple[int, int], Entry]] = {}

    def save(self, manifest: Manifest, blob: bytes) -> str:
        """Keeps a model and says its version."""
        check_blob(manifest, blob)
        with self._alone():
            path = self._root / file_name(manifest)
            earlier = next((each for each in self.entries() if _is_version(each, manifest.version)), None)
            if earlier is not None:
                check_replacement(earlier.read(), manifest)
                path = self._root / earlier.file
            elif path.with_suffix(".json").exists():
                raise CrpbotError(
                    Code.ALREADY_EXISTS, f"{path.name} is another model's name already", reason="NAME_TAKEN"
                )
            self._write(path, blob)
            self._write(path.with_suffix(".json"), write_manifest(manifest).encode())
        return manifest.version

    def entries(self) -> tuple[Entry, ...]:
        """Every model, oldest first; damaged ones, whose age nobody knows, at the end."""
        names = [name for name in self._names() if name.endswith(".json") and not name.endswith(f"{GATE}.json")]
        found = [self._entry(Path(name).with_suffix(".pt").name) for name in names]
        whole = [each for each in found if each.manifest is not None]
        damaged = [each for each in found if each.manifest is None]
        return (*sorted(whole, key=lambda each: each.read().created_at), *damaged)

    def load(self, version: str) -> tuple[Manifest, bytes]:
        """The manifest and the weights that it vouches for."""
        entry = self._find(version)
        manifest = entry.read()
        blob = _read(self._root / entry.file, most=MOST_BYTES)
        check_blob(manifest, blob)
        return manifest, blob

    def promote(self, version: str, report: Report) -> None:
        """Points at this version in one step, with the report beside it before that."""
        with self._alone():
            manifest, _ = self.load(version)
            current = self.promoted().get(slot_of(manifest))
            check_champion(check_report(report, manifest), manifest, current.manifest if current else None)
            path = self._root / self._find(version).file
            self._write(_beside(path, "json"), report.facts.encode())
            self._write(_beside(path, "html"), report.page.encode())
            self._point(self._root / pointer_name(slot_of(manifest)), path.name)

    def restore(self, version: str) -> None:
        """Points back at a version whose report lies beside it."""
        with self._alone():
            manifest, _ = self.load(version)
            check_report(self.report(version), manifest)
            self._point(self._root / pointer_name(slot_of(manifest)), self._find(version).file)

    def demote(self, slot: Slot) -> str:
        """Takes the pointer away and says which version it named."""
        with self._alone():
            entry = self.promoted().get(slot)
            if entry is None:
                raise CrpbotError(
                    Code.NOT_FOUND, f"no {slot.kind} is promoted for {slot.subject}", reason="NOT_PROMOTED"
                )
            (self._root / pointer_name(slot)).unlink()
            sync(self._root)
        return entry.file if entry.manifest is None else entry.manifest.version

    def promoted(self) -> dict[Slot, Entry]:
        """The models that decide: a look at each link, and at a manifest only when it is new."""
        found = {}
        for name in self._names():
            kind, _, subject = name.removesuffix(POINTER).partition("_")
            if name.endswith(POINTER) and kind in set(Kind):
                found[Slot(Kind(kind), subject)] = self._follow(self._root / name, Slot(Kind(kind), subject))
        return found

    def report(self, version: str) -> Report:
        """The report that the version was promoted with."""
        path = self._root / self._find(version).file
        pages = (_read(_beside(path, suffix), most=MOST_PAGE_BYTES).decode() for suffix in ("json", "html"))
        return Report(*pages)

    def _names(self) -> list[str]:
        """What lies in the folder, sorted. One that is not there yet is empty; one that cannot be read is a failure."""
        try:
            return sorted(path.name for path in self._root.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            detail = f"the models in {self._root} cannot be read ({error.strerror})"
            raise CrpbotError(Code.UNAVAILABLE, detail, reason="STORE_UNREADABLE") from error

    def _find(self, version: str) -> Entry:
        entries = self.entries()
        for entry in entries:
            if _is_version(entry, version):
                return entry
        raise unknown_version(version, entries)

    def _follow(self, link: Path, slot: Slot) -> Entry:
        try:
            target = link.readlink()
        except OSError as error:
            return Entry(link.name, None, _fault(link, f"is no link ({error.strerror}): promote a model again"))
        if target.name != str(target):
            return Entry(link.name, None, _fault(link, "points out of the folder: promote a model again"))
        entry = self._entry(target.name)
        if entry.manifest is not None and slot_of(entry.manifest) != slot:
            return Entry(link.name, None, _fault(link, f"points at {target}, which is a model for something else"))
        return entry

    def _entry(self, file: str) -> Entry:
        """The manifest of a file of weights, read again only when it is another file than last time."""
        path = (self._root / file).with_suffix(".json")
        try:
            status = path.stat()
            identity = (status.st_ino, status.st_mtime_ns)
            known = self._known.get(file)
            if known is not None and known[0] == identity:
                return known[1]
            entry = Entry(file, read_manifest(_read(path, most=4 * MOST_CHARACTERS).decode()))
            self._known[file] = (identity, entry)
            return entry
        except CrpbotError as error:
            return Entry(file, None, CrpbotError(error.code, f"{path.name}: {error.detail}", reason=error.reason))
        except (OSError, UnicodeDecodeError) as error:
            return Entry(file, None, _fault(path, f"cannot be read ({type(error).__name__})"))

    def _point(self, link: Path, file: str) -> None:
        with _explained(link), replacing(link) as place:
            place.unlink(missing_ok=True)
            place.symlink_to(file)

    def _write(self, path: Path, content: bytes) -> None:
        with _explained(path), replacing(path) as place:
            place.write_bytes(content)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time writes, and sweeps what a killed one left half written. The lock ends with the process."""
        with _explained(self._root):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self._root / LOCK).open("a")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for rest in self._root.glob(".*.new"):
                rest.unlink(missing_ok=True)
            yield


def _is_version(entry: Entry, version: str) -> bool:
    return entry.manifest is not None and entry.manifest.version == version


def _beside(path: Path, suffix: str) -> Path:
    """The gate's report beside the weights."""
    return path.with_suffix(f"{GATE}.{suffix}")


def _read(path: Path, *, most: int) -> bytes:
    """A plain file of a size that a model's can have: no pipe that never ends, no other file behind a link."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(number, "rb") as file:
            if not S_ISREG(os.fstat(number).st_mode):
                raise _fault(path, "is no plain file")
            content = file.read(most + 1)
    except OSError as error:
        why = "is missing" if error.errno == errno.ENOENT else f"cannot be read ({error.strerror})"
        raise _fault(path, why) from None
    if len(content) > most:
        raise _fault(path, f"has more than {most:,} bytes")
    return content


def _fault(path: Path, why: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, f"{path.name} {why}", reason="BAD_MODEL_FILE")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """A disk that is full or not ours, in words; what was there before is unchanged."""
    try:
        yield
    except OSError as error:
        raise CrpbotError(
            Code.UNAVAILABLE,
            f"{path} cannot be written ({error.strerror}); what was there is unchanged; remedy: free space or rights, "
            "then the same command again",
            reason="STORE_UNWRITABLE",
        ) from error
