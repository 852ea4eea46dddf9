"""One JSON object and nothing else: no NaN, no key twice, no text around it, no bomb."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

MAX_CHARACTERS: Final = 16_384  # a reply of a few sentences has under 1,000
MAX_DEPTH: Final = 8
MAX_DIGITS: Final = 40  # no price and no share has more

Json = dict[str, Any]  # Any: decoded JSON


def parse_object(text: str, *, most_characters: int = MAX_CHARACTERS) -> Json:
    """The object that this text is. Numbers with a point or an exponent come as Decimal. Raises ValueError."""
    if len(text) > most_characters:
        raise ValueError(f"{len(text)} characters, at most {most_characters} are read")
    try:
        found = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_decimal,
            parse_int=_integer,
        )
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    _check_depth(found)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same key twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters")
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError("a number that is none") from None


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters")
    return int(text)


def _check_depth(found: Json) -> None:
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for each in level
            if isinstance(each, (dict, list))
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    if any(isinstance(each, (dict, list)) for each in level):
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
