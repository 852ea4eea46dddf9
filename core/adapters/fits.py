"""Fits on disk: for each market, interval and theory a file of plain arrays and a manifest that vouches for it.

    FOLDER/synthetic-7_5m/random_forest.json             what it was fitted on, and the hash of:
    FOLDER/synthetic-7_5m/random_forest-0f3a9c1d.npz     the arrays of every symbol, SYMBOL/FIELD

The manifest is replaced last and in one step, so a reader sees the old fit or the new one. Nothing is unpickled.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

from core.analyzers import code_hash, learners
from core.deciding import weights
from core.fitted import Fit, Shelf, Span, State

LOCK: Final = ".lock"
STAMP: Final = "stamp"  # changes with every save: whoever serves looks at this one file to see whether to read again
NEW: Final = ".new"  # how files end that are not whole yet
HASH_DIGITS: Final = 8
# What reading a file that something else wrote, or half wrote, can raise.
DAMAGES: Final = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, BadZipFile, RecursionError)
logger = logging.getLogger(__name__)

Json = dict[str, Any]  # Any: decoded JSON


class FitFolder:
    """A folder of fits, read again when something new was saved there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None
        self._shelf = Shelf()

    def library(self) -> Shelf:
        """What is fitted now. Costs one look at one file while nothing is new."""
        stamp = _identity(self._folder / STAMP)
        if stamp != self._seen:
            try:
                self._shelf = load_fits(self._folder)
            except OSError as error:  # such as a folder that cannot be opened: what was known is better than nothing
                logger.warning("the fits in %s cannot be read: %s", self._folder, error)
            self._seen = stamp
        return self._shelf


def save_fit(folder: Path, fit: Fit) -> None:
    """Adds a fit. Symbols that were fitted before by the same code, and are not in this one, stay."""
    place = folder / f"{fit.origin}_{fit.interval}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder):
        earlier = next((each for each in load_fits(folder).fits if _key(each) == _key(fit)), None)
        if earlier is not None:
            fit = replace(fit, spans={**earlier.spans, **fit.spans}, states={**earlier.states, **fit.states})
        arrays = _pack(fit.states)
        digest = sha256(arrays).hexdigest()
        name = f"{fit.theory}-{digest[:HASH_DIGITS]}.npz"
        _write(place / name, arrays)
        _write(place / f"{fit.theory}.json", json.dumps(_manifest(fit, name, digest), indent=2).encode())
        _write(folder / STAMP, f"{fit.theory} {digest}\n".encode())
        for old in (*place.glob(f"{fit.theory}-*.npz"), *place.glob(f".*{NEW}")):
            if old.name != name:
                old.unlink(missing_ok=True)


def load_fits(folder: Path) -> Shelf:
    """Every fit that can be used, and of the others what is wrong with them."""
    fits: list[Fit] = []
    faults: dict[tuple[str, str, str], str] = {}
    for theory in (*(each.name for each in learners()), weights.NAME):
        for path in sorted(folder.glob(f"*/{theory}.json")):
            try:
                fits.append(_load_patiently(theory, path))
            except (_UnusableError, *DAMAGES) as error:
                words = str(error) if isinstance(error, _UnusableError) else f"is damaged ({type(error).__name__})"
                origin, _, interval = path.parent.name.rpartition("_")
                faults[theory, origin, interval] = f"the fit in {path.parent.name} {words}"
    return Shelf(tuple(fits), faults)


class _UnusableError(ValueError):
    """A fit that is whole and must not be used; the words go after "the fit"."""


def _key(fit: Fit) -> tuple[str, str, str, str]:
    return fit.theory, fit.origin, fit.interval, fit.code


def _manifest(fit: Fit, file: str, digest: str) -> Json:
    return {
        "theory": fit.theory,
        "origin": fit.origin,
        "interval": fit.interval,
        "code": fit.code,
        "features": list(_features(fit.theory)),
        "fitted_at": fit.fitted_at.isoformat(),
        "file": file,
        "sha256": digest,
        "symbols": {
            symbol: {
                "first": span.first.isoformat(),
                "last": span.last.isoformat(),
                "candles": span.candles,
                "metrics": dict(span.metrics),
            }
            for symbol, span in fit.spans.items()
        },
    }


def _load_patiently(theory: str, path: Path) -> Fit:
    """Another process may replace manifest and arrays between our two looks: then the manifest is read once more."""
    try:
        return _load(theory, path)
    except FileNotFoundError:
        return _load(theory, path)


def _load(theory: str, path: Path) -> Fit:
    manifest: Json = json.loads(path.read_bytes())
    _check_features(manifest["features"], _features(theory))
    if manifest["code"] != _code(theory):
        raise _UnusableError("was made by another version of this theory")
    arrays = (path.parent / Path(str(manifest["file"])).name).read_bytes()
    if sha256(arrays).hexdigest() != manifest["sha256"]:
        raise _UnusableError("is not the file that its manifest vouches for")
    spans = {
        symbol: Span(
            datetime.fromisoformat(entry["first"]),
            datetime.fromisoformat(entry["last"]),
            int(entry["candles"]),
            {name: float(value) for name, value in entry["metrics"].items()},
        )
        for symbol, entry in manifest["symbols"].items()
    }
    return Fit(
        theory=theory,
        origin=_text(manifest, "origin"),
        interval=_text(manifest, "interval"),
        code=_text(manifest, "code"),
        fitted_at=datetime.fromisoformat(manifest["fitted_at"]),
        spans=spans,
        states=_unpack(theory, arrays, spans),
    )


def _check_features(fitted: list[str], read: tuple[str, ...]) -> None:
    gone, new = sorted(set(fitted) - set(read)), sorted(set(read) - set(fitted))
    if gone or new:
        raise _UnusableError(
            f"reads {len(fitted)} features, this version has {len(read)}: "
            f"gone {', '.join(gone) or 'none'}, new {', '.join(new) or 'none'}"
        )


def _features(theory: str) -> tuple[str, ...]:
    return next((each.learning.features for each in learners((theory,)) if each.learning), ())


def _pack(states: Mapping[str, State]) -> bytes:
    buffer = io.BytesIO()
    arrays = {f"{symbol}/{name}": array for symbol, state in states.items() for name, array in state._asdict().items()}
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpack(theory: str, content: bytes, symbols: Mapping[str, Span]) -> dict[str, State]:
    sample = _sample(theory)
    kind: Any = type(sample)  # Any: a named tuple class of the theory's own
    arrays: NpzFile = np.load(io.BytesIO(content), allow_pickle=False)
    states: dict[str, State] = {}
    for symbol in symbols:
        states[symbol] = kind(**{name: arrays[f"{symbol}/{name}"] for name in kind._fields})
        for name, found, expected in zip(kind._fields, states[symbol], sample, strict=True):
            if (found.dtype, found.ndim) != (expected.dtype, expected.ndim):
                raise _UnusableError(f"holds {name} as {found.dtype} in {found.ndim} dimensions")
    return states


def _code(theory: str) -> str:
    return weights.code_hash() if theory == weights.NAME else code_hash(theory)


def _sample(theory: str) -> State:
    """A small state of the kind that this theory, or the rule that weighs them all, has."""
    if theory == weights.NAME:
        return weights.sample()
    (analyzer,) = learners((theory,))
    assert analyzer.learning is not None
    return analyzer.learning.sample()


def _text(manifest: Json, name: str) -> str:
    value = manifest[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time saves: what is read, joined and written must be one step. The lock ends with the process."""
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: bytes) -> None:
    """Replaces the file in one step."""
    temporary = path.with_name(f".{path.name}{NEW}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
