"""What every request must keep to, whichever face it came by: readable texts, numbers and instants that can be stored.

One place for both faces, between parsing and the desk. Columns of candles are passed by: the market reads them anyway,
and says which row is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, get_args, get_origin, get_type_hints

from api.wire import without_none
from core.errors import SHOWN_CHARACTERS, invalid

MAX_TEXT: Final = 256  # an id, a symbol, a name, a reason: whatever people write
MAX_DIGITS: Final = 30  # before the point and after it: no price and no quantity has more
MAX_WHOLE: Final = 2**31 - 1  # what a counter of the ledger can hold
MAX_NUMBER: Final = 2**63 - 1  # what a number of the audit chain can be
NUMBERS: Final = frozenset({"after", "cursor"})  # whole numbers of the audit chain
FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)  # before it there are no milliseconds
LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)  # a year before the calendar ends: whoever adds to an instant may

# Any: a check takes whatever the field's annotation says; mypy cannot follow annotations at run time.
Check = Callable[[Any, str], None]


def check_request(request: Any) -> None:
    """Refuses the first field that nothing behind the faces could hold."""
    _check_fields(request, "")


def _check_fields(value: Any, path: str) -> None:
    for name, check in _checks(type(value)):  # type: ignore[arg-type]  # classes are hashable
        item = getattr(value, name)
        if item is not None:
            check(item, f"{path}{name}")


@cache
def _checks(shape: type) -> tuple[tuple[str, Check], ...]:
    hints = get_type_hints(shape)
    found = ((field.name, _choose(field.name, without_none(hints[field.name]))) for field in fields(shape))
    return tuple((name, check) for name, check in found if check is not None)


def _choose(name: str, hint: Any) -> Check | None:
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if item in (int, float) or get_origin(item) is tuple:
            return None  # columns and rows of candles
        check = _choose(name, item)
        return None if check is None else lambda values, path: _check_items(values, path, check)
    if is_dataclass(hint):
        return lambda value, path: _check_fields(value, f"{path}.")
    if hint is int:
        # a number of the chain has no other bounds; those of other fields are named by whoever knows them
        low, high = (0, MAX_NUMBER) if name in NUMBERS else (-MAX_WHOLE, MAX_WHOLE)
        return lambda value, path: _check_whole(value, path, low, high)
    simple: dict[Any, Check] = {str: _check_text, Decimal: _check_decimal, datetime: _check_instant}
    return simple.get(hint)


def _check_items(values: tuple[Any, ...], path: str, check: Check) -> None:
    for index, value in enumerate(values):
        check(value, f"{path}.{index}")


def _check_text(text: str, path: str) -> None:
    if len(text) > MAX_TEXT:
        raise invalid(path, f"has {len(text):,} characters; at most {MAX_TEXT} are allowed")
    if not text.isprintable():
        raise invalid(path, f"{text[:SHOWN_CHARACTERS]!a} holds a character that cannot be printed; leave it out")


def _check_whole(value: int, path: str, low: int, high: int) -> None:
    if not low <= value <= high:
        shown = value if -high <= value <= high else f"{'-' if value < 0 else ''}{abs(value).bit_length()} bits long"
        raise invalid(path, f"is {shown}; {low} to {high} is allowed")


def _check_decimal(value: Decimal, path: str) -> None:
    if not value.is_finite():
        raise invalid(path, "is not a finite number")
    exponent = value.as_tuple().exponent
    if value.adjusted() >= MAX_DIGITS or (isinstance(exponent, int) and exponent < -MAX_DIGITS):
        raise invalid(path, f"has more than {MAX_DIGITS} digits before the point or after it; round it first")


def _check_instant(value: datetime, path: str) -> None:
    try:
        fits = FIRST <= value.astimezone(UTC) < LAST
    except OverflowError:  # with its zone it lies beyond the calendar
        fits = False
    if not fits:
        raise invalid(path, f"is {value.isoformat()}; an instant from {FIRST.year} to {LAST.year - 1} is allowed")
