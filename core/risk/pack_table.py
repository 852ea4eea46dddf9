"""One table of a pack's file, read field by field, so that what is missing, left over or absurd can be named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from decimal import Decimal
from typing import Final, TypeVar

from core.errors import SHOWN_CHARACTERS, CrpbotError, invalid

NO_RULE: Final = "none"  # what a file says where the firm has no such rule: to leave it out may be a mistake
INVALID_PACK: Final = "INVALID_PACK"

Value = TypeVar("Value")


def refused(place: str, value: object, rule: str) -> CrpbotError:
    """A pack that cannot be used: where, what stands there, and what the rule is."""
    return invalid(place, f"is {str(value)[:SHOWN_CHARACTERS]}; {rule}", reason=INVALID_PACK)


class Table:
    """A table whose fields are all known and all there."""

    def __init__(self, place: str, found: object, known: set[str]) -> None:
        if not isinstance(found, dict):
            raise refused(place, found, "a table is needed")
        for name in found:
            if name not in known:
                raise refused(f"{place}.{name}", found[name], f"is no field; known are {', '.join(sorted(known))}")
        for name in sorted(known):
            if name not in found:
                raise refused(f"{place}.{name}", "missing", f'is needed; write "{NO_RULE}" where there is no such rule')
        self.place = place
        self.found = found

    def text(self, name: str) -> str:
        value = self.found[name]
        if not isinstance(value, str) or not value.strip():
            raise self.refused(name, "a text is needed")
        return value

    def number(self, name: str) -> Decimal:
        value = self.found[name]
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
            raise self.refused(name, "a finite number is needed")
        return Decimal(value)

    def fraction(self, name: str) -> Decimal:
        value = self.number(name)
        if not 0 < value < 1:
            raise self.refused(name, "a fraction above 0 and below 1 is needed")
        return value

    def positive(self, name: str) -> Decimal:
        value = self.number(name)
        if value <= 0:
            raise self.refused(name, "a number above 0 is needed")
        return value

    def whole(self, name: str, *, least: int = 1) -> int:
        value = self.found[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.refused(name, f"a whole number of at least {least} is needed")
        return value

    def flag(self, name: str) -> bool:
        value = self.found[name]
        if not isinstance(value, bool):
            raise self.refused(name, "true or false is needed")
        return value

    def clock(self, name: str) -> time:
        value = self.found[name]
        if not isinstance(value, time):
            raise self.refused(name, "a local time such as 23:00:00 is needed")
        return value

    def optional(self, name: str, read: Callable[[str], Value]) -> Value | None:
        return None if self.found[name] == NO_RULE else read(name)

    def refused(self, name: str, rule: str) -> CrpbotError:
        return refused(f"{self.place}.{name}", self.found[name], rule)
