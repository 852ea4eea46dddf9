"""A manifest as JSON and back, strictly: a missing, an unknown or a wrong entry is refused by name.

Floats are written as Python writes them, which reads back to the same bits. The last entry is the digest of all others:
a scaler of another model, or a number that was touched by hand, would else change every answer and show nowhere.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from hashlib import sha256
from types import NoneType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import numpy as np

from core.models.manifest import Manifest, damaged
from core.strictjson import parse_object

# Any throughout: values are walked by the annotations of their classes, which mypy cannot follow at run time

# Ten coins have 620 numbers in their scalers, of up to 22 characters each.
MOST_CHARACTERS: Final = 262_144
DIGEST: Final = "digest"
LEAVES: Final = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def write_manifest(manifest: Manifest) -> str:
    """The text of a manifest, for a file that people read too."""
    entries = {**_plain(manifest), DIGEST: digest(manifest)}
    return json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(text: str) -> Manifest:
    """The manifest that this text is."""
    try:
        found = parse_object(text, most_characters=MOST_CHARACTERS)
    except ValueError as error:
        raise damaged("text", f"is no JSON that can be read: {error}") from None
    vouched = found.pop(DIGEST, None)
    manifest: Manifest = _build(found, Manifest, ())
    if vouched != digest(manifest):
        raise damaged(
            DIGEST, f"is {str(vouched)[:12]}, the entries have {digest(manifest)[:12]}: something was changed"
        )
    return manifest


def digest(manifest: Manifest) -> str:
    """sha256 over all entries."""
    return sha256(json.dumps(_plain(manifest), sort_keys=True, allow_nan=False).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if _is_record(type(value)):
        return {name: _plain(getattr(value, name)) for name in _hints(type(value))}  # type: ignore[arg-type]  # classes are hashable
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.isoformat() if isinstance(value, datetime) else value


def _build(value: Any, hint: Any, path: tuple[str, ...]) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _build_union(value, get_args(hint), path)
    if origin is tuple:
        return tuple(_build_each(value, get_args(hint)[0], path))
    if origin is np.ndarray:
        return _build_array(value, path)
    if origin is not None and issubclass(origin, Mapping):
        return {name: _build(each, get_args(hint)[1], (*path, name)) for name, each in _object(value, path).items()}
    if _is_record(hint):
        return _build_record(_object(value, path), hint, path)
    return _build_leaf(value, hint, path)


def _build_union(value: Any, hints: tuple[Any, ...], path: tuple[str, ...]) -> Any:
    if value is None and NoneType in hints:
        return None
    choices = [each for each in hints if each is not NoneType]
    # of several plain kinds a value is of its own: true is no 1, and 1 is no 1.0
    exact = {bool: bool, int: int, Decimal: float}.get(type(value))
    return _build(value, exact if exact in choices else choices[0], path)


def _build_record(found: dict[str, Any], shape: Any, path: tuple[str, ...]) -> Any:
    hints = _hints(shape)
    for name in hints:
        if name not in found:
            raise damaged(".".join((*path, name)), "is missing")
    for name in found:
        if name not in hints:
            raise damaged(".".join((*path, name[:80])), "is unknown to this version")
    return shape(**{name: _build(found[name], hint, (*path, name)) for name, hint in hints.items()})


def _build_each(value: Any, hint: Any, path: tuple[str, ...]) -> list[Any]:
    if not isinstance(value, list):
        raise damaged(".".join(path), "is no list")
    return [_build(each, hint, (*path, str(place))) for place, each in enumerate(value)]


def _build_array(value: Any, path: tuple[str, ...]) -> Any:
    """A row of numbers, or rows of the same length."""
    if not isinstance(value, list) or not any(isinstance(each, list) for each in value):
        return np.array(_build_each(value, float, path))
    rows = [_build_each(each, float, (*path, str(place))) for place, each in enumerate(value)]
    if len({len(row) for row in rows}) > 1:
        raise damaged(".".join(path), "has rows of different lengths")
    return np.array(rows)


def _object(value: Any, path: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise damaged(".".join(path), "is no object")
    return value


def _build_leaf(value: Any, hint: Any, path: tuple[str, ...]) -> Any:
    field = ".".join(path)
    if hint is float and isinstance(value, Decimal):
        return float(value)
    if hint is float and type(value) is int:
        return float(value)
    if hint in LEAVES:
        if type(value) is not hint:
            raise damaged(field, f"{str(value)[:80]!r} is not {LEAVES[hint]}")
        return value
    try:
        return datetime.fromisoformat(value) if hint is datetime else hint(value)
    except (ValueError, TypeError):
        allowed = f"one of {', '.join(each.value for each in hint)}" if issubclass(hint, Enum) else "an instant"
        raise damaged(field, f"{str(value)[:80]!r} is not {allowed}") from None


def _is_record(shape: Any) -> bool:
    return is_dataclass(shape) or hasattr(shape, "_fields")


@cache
def _hints(shape: Any) -> dict[str, Any]:
    hints = get_type_hints(shape)
    names = [each.name for each in fields(shape)] if is_dataclass(shape) else shape._fields
    return {name: hints[name] for name in names}
