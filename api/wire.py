"""Dataclass to message and back, by field name. The contract has no hand-written converter besides this one."""

from __future__ import annotations

import asyncio
import re
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet

from core.errors import SHOWN_CHARACTERS, invalid

# how a number is written; how large and how exact it may be is said once for both faces, in api/limits.py
DECIMAL: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
PIECE: Final = 20  # decisions written in one go: a fifth of a page of 100, which held the loop 16 ms
WORD_START: Final = re.compile(r"(?<!^)(?=[A-Z])")

# Any: a converter takes and gives whatever the field's annotation says; mypy cannot follow annotations at run time.
Convert = Callable[[Any], Any]
Shape = TypeVar("Shape")


def to_message(value: Any, message_type: type[Message]) -> Message:
    """A dataclass as the message of the same fields. None is absent."""
    arguments = {}
    for name, convert in _outward(type(value), message_type):  # type: ignore[arg-type]  # classes are hashable
        item = getattr(value, name)
        if item is not None:
            arguments[name] = convert(item)
    return message_type(**arguments)


async def write_message(value: Any, message_type: type[Message]) -> bytes:
    """A dataclass as the bytes of its message. Of a long list one piece after another is written, and others run
    between them: the bytes of the parts of a message, one after another, are the bytes of the whole."""
    pieces = []
    for field in fields(value):
        items = getattr(value, field.name)
        if isinstance(items, tuple) and len(items) > PIECE:
            value = replace(value, **{field.name: ()})
            convert = dict(_outward(type(value), message_type))[field.name]  # type: ignore[arg-type]  # as above
            for start in range(0, len(items), PIECE):
                part = {field.name: convert(items[start : start + PIECE])}
                pieces.append(message_type(**part).SerializeToString())
                await asyncio.sleep(0)
    return b"".join([to_message(value, message_type).SerializeToString(), *pieces])


def from_message(message: Message, shape: type[Shape], *, path: str = "") -> Shape:
    """A message as the dataclass of the same fields. A field the contract does not know is refused."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        number = unknown[0].field_number  # one is enough: a list of a million would not fit into the error's trailer
        raise invalid(
            path.removesuffix(".") or shape.__name__, f"unknown field number {number}", reason="UNKNOWN_FIELD"
        )
    return shape(**{name: convert(message, path) for name, convert in _inward(shape)})  # type: ignore[arg-type]


def without_none(hint: Any) -> Any:
    """`X | None` without the None."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(argument for argument in get_args(hint) if argument is not type(None))
    return hint


@cache
def _outward(shape: type, message_type: type[Message]) -> tuple[tuple[str, Convert], ...]:
    hints = get_type_hints(shape)
    descriptor = message_type.DESCRIPTOR
    return tuple(
        (field.name, _outward_leaf(without_none(hints[field.name]), descriptor.fields_by_name[field.name]))
        for field in fields(shape)
    )


def _outward_leaf(hint: Any, field: Any) -> Convert:  # Any: descriptors are typed twice over, by two libraries
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        convert = _to_list_value if get_origin(item) is tuple else _outward_leaf(item, field)
        return lambda values: [convert(value) for value in values]
    if hint is Decimal:
        return lambda value: format(value, "f")
    if hint is datetime:
        return _to_timestamp
    if is_dataclass(hint):
        return lambda value: to_message(value, field.message_type._concrete_class)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {each: field.enum_type.values_by_name[_spelling(each)].number for each in hint}.__getitem__
    return lambda value: value


def _spelling(value: Enum) -> str:
    """A value as the contract writes it: TradeState.OPEN is TRADE_STATE_OPEN."""
    return f"{WORD_START.sub('_', type(value).__name__).upper()}_{value.name}"


@cache
def _inward(shape: type) -> tuple[tuple[str, Callable[[Message, str], Any]], ...]:
    hints = get_type_hints(shape)
    return tuple((field.name, _inward_leaf(field.name, hints[field.name])) for field in fields(shape))


def _inward_leaf(name: str, hint: Any) -> Callable[[Message, str], Any]:
    plain = without_none(hint)
    convert = _scalar(plain)
    if plain is not hint:
        return lambda message, path: (
            convert(getattr(message, name), f"{path}{name}") if message.HasField(name) else None
        )
    if get_origin(plain) is tuple:
        return _inward_items(name, get_args(plain)[0])
    if get_origin(plain) is dict:
        return lambda message, path: dict(getattr(message, name))
    if plain is datetime or is_dataclass(plain):
        return lambda message, path: convert(_present(message, name, path), f"{path}{name}")
    return lambda message, path: convert(getattr(message, name), f"{path}{name}")


def _inward_items(name: str, item: Any) -> Callable[[Message, str], Any]:
    if get_origin(item) is tuple:
        return lambda message, path: tuple(
            _from_list_value(row, f"{path}{name}.{index}") for index, row in enumerate(getattr(message, name))
        )
    if item in (int, float, str, bool):
        return lambda message, path: tuple(getattr(message, name)[:])  # a slice is copied in C
    convert = _scalar(item)
    return lambda message, path: tuple(
        convert(value, f"{path}{name}.{index}") for index, value in enumerate(getattr(message, name))
    )


def _scalar(hint: Any) -> Callable[[Any, str], Any]:
    if hint is Decimal:
        return _from_text
    if hint is datetime:
        return _from_timestamp
    if isinstance(hint, type) and issubclass(hint, Enum):
        kind = hint
        return lambda number, path: _from_number(number, kind, path)
    if is_dataclass(hint) and isinstance(hint, type):
        return lambda message, path: from_message(message, hint, path=f"{path}.")
    return lambda value, path: value


def _present(message: Message, name: str, path: str) -> Any:
    if not message.HasField(name):
        raise invalid(f"{path}{name}", "is not given")
    return getattr(message, name)


def _from_timestamp(stamp: Timestamp, path: str) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        detail = f"{stamp.seconds} seconds and {stamp.nanos} nanoseconds are no instant of the years 1 to 9999"
        raise invalid(path, detail) from None


def _from_text(text: str, path: str) -> Decimal:
    if not DECIMAL.fullmatch(text):
        raise invalid(path, f"{text[:SHOWN_CHARACTERS]!r} is no decimal number" if text else "is not given")
    return Decimal(text)


def _from_number(number: int, kind: type[Enum], path: str) -> Enum:
    members = tuple(kind)  # the contract numbers them in this order from 1; 0 is what was not given
    if number == 0:
        raise invalid(path, "is not given")
    if not 0 < number <= len(members):
        raise invalid(path, f"{number} is none of {', '.join(each.name for each in members)}")
    return members[number - 1]


def _to_timestamp(value: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def _to_list_value(row: tuple[float, ...]) -> ListValue:
    values = ListValue()
    values.extend(row)
    return values


def _from_list_value(row: ListValue, path: str) -> tuple[float, ...]:
    for index, value in enumerate(row.values):
        if value.WhichOneof("kind") != "number_value":
            raise invalid(f"{path}.{index}", "is not a number")
    return tuple(value.number_value for value in row.values)
