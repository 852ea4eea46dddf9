"""When two values of one decision count as equal, and how a difference is told."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

from core.canonical import write_canonical

RELATIVE: Final = 1e-9  # how far numbers of another arithmetic may lie apart
NEAR_ZERO: Final = 1e-12
SHOWN: Final = 60  # characters of a value in a difference


def is_equal(stored: float | None, again: float | None, *, exact: bool) -> bool:
    """Equal to the last bit, or, from another arithmetic, to nine digits."""
    if stored is None or again is None:
        return stored is again
    if exact:
        return float(stored).hex() == float(again).hex()
    return math.isclose(stored, again, rel_tol=RELATIVE, abs_tol=NEAR_ZERO)


def show_both(what: str, stored: str, again: str) -> str:
    """A difference in words, from the character on where it begins."""
    pairs = zip(stored, again, strict=False)
    start = next((place for place, pair in enumerate(pairs) if pair[0] != pair[1]), min(len(stored), len(again)))
    if max(len(stored), len(again)) <= SHOWN:
        return f"{what}: {stored!r} is stored, {again!r} comes out"
    shown = [repr(text[max(start - SHOWN // 4, 0) : start + SHOWN // 2]) for text in (stored, again)]
    return f"{what}: differs from character {start} on: {shown[0]} is stored, {shown[1]} comes out"


def spell(value: Any) -> str:  # Any: a field of the row
    """One spelling for one value; a price has many, of which a database keeps one."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return write_canonical((value,))[1:-1]
