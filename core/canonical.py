"""A decision's ingredients as text and back, to the last bit: what is replayed later must be what was decided upon.

One spelling for one value: keys sorted, decimals and instants as text, floats as Python writes them, which reads back
to the same bits, enums by value, absent as null.
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
from types import NoneType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Shape = TypeVar("Shape")

PLAIN = frozenset({str, int, float, bool, NoneType})  # what most values are, and nothing is to be done about

# Any throughout: values are walked by the annotations of their classes, which mypy cannot follow at run time


def write_canonical(value: Any) -> str:
    """The one text of a dataclass."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def read_canonical(text: str, shape: type[Shape]) -> Shape:
    """The dataclass that was written."""
    value: Shape = _build(json.loads(text), shape)
    return value


def _plain(value: Any) -> Any:
    if type(value) in PLAIN:
        return value
    if is_record(type(value)):
        return {name: _plain(getattr(value, name)) for name in _names(type(value))}  # type: ignore[arg-type]  # classes are hashable
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return _leaf(value)


def _leaf(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _build(value: Any, hint: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _build(value, next(each for each in get_args(hint) if each is not NoneType))
    if origin is tuple:
        return tuple(_build(each, get_args(hint)[0]) for each in value)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _build(each, get_args(hint)[1]) for key, each in value.items()}
    if is_record(hint):
        hints = _hints(hint)
        return hint(**{name: _build(value[name], hints[name]) for name in _names(hint) if name in value})
    return _build_leaf(value, hint)


def _build_leaf(value: Any, hint: Any) -> Any:
    if hint is datetime:
        return datetime.fromisoformat(value)
    return hint(value) if issubclass(hint, Enum | Decimal) else value


def is_record(shape: Any) -> bool:
    """A dataclass or a named tuple: something with fields."""
    return is_dataclass(shape) or hasattr(shape, "_fields")


@cache
def _names(shape: Any) -> tuple[str, ...]:
    if hasattr(shape, "_fields"):
        return tuple(shape._fields)
    return tuple(field.name for field in fields(shape))


@cache
def _hints(shape: Any) -> dict[str, Any]:
    return get_type_hints(shape)
