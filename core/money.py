"""Money without rounding by accident: US dollars as decimals outside, whole units of 1e-8 dollars inside.

>>> to_units(Decimal("12.5"))
1250000000
>>> from_units(1250000000)
Decimal('12.5')
>>> round_down(Decimal("-0.000000001")), round_up(Decimal("-0.000000001"))
(-1, 0)
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from core.errors import invalid

UNITS_PER_USD: Final = 10**8
MAX_UNITS: Final = 2**63 - 1  # what a BIGINT holds: some 92 billion dollars

_DIGITS_BEFORE_POINT: Final = 11  # of the largest amount
_DIGITS_AFTER_POINT: Final = 8
_EXACT: Final = Context(prec=60)


def to_units(amount: Decimal, *, field: str = "amount") -> int:
    """The amount in units, exactly: more than 8 decimals are refused, never rounded."""
    units, rest = _divide(amount, field)
    if rest:
        raise invalid(field, f"{_shown(amount)} has more than {_DIGITS_AFTER_POINT} decimals; round it first")
    return _checked(units, amount, field)


def round_down(amount: Decimal, *, field: str = "amount") -> int:
    """The largest number of units that is not more than the amount: for room, equity and profit."""
    return _checked(_divide(amount, field)[0], amount, field)


def round_up(amount: Decimal, *, field: str = "amount") -> int:
    """The smallest number of units that is not less than the amount: for losses and costs."""
    units, rest = _divide(amount, field)
    return _checked(units + bool(rest), amount, field)


def from_units(units: int) -> Decimal:
    """The amount in US dollars, without zeros that say nothing; `decimal_text` writes it without an exponent."""
    return Decimal(decimal_text(Decimal(units).scaleb(-_DIGITS_AFTER_POINT, _EXACT)))


def decimal_text(value: Decimal, *, field: str = "value") -> str:
    """The one spelling of a decimal: no exponent, no needless zero, and zero has no sign.

    >>> decimal_text(Decimal("1.50E+3")), decimal_text(Decimal("-0.0"))
    ('1500', '0')
    """
    if not value.is_finite():
        raise invalid(field, f"{value} is not a number")
    if abs(value.adjusted()) > _EXACT.prec:
        raise invalid(field, f"{_shown(value)} is larger or smaller than any price or amount")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _divide(amount: Decimal, field: str) -> tuple[int, bool]:
    """Whole units below the amount, and whether something is left over. Size is looked at before any arithmetic."""
    if not amount.is_finite():
        raise invalid(field, f"{amount} is not an amount of money")
    if amount.adjusted() >= _DIGITS_BEFORE_POINT and amount:
        raise _too_large(amount, field)
    if amount.adjusted() < -_DIGITS_AFTER_POINT:
        return (-1 if amount < 0 else 0), bool(amount)
    numerator, denominator = amount.as_integer_ratio()
    units, rest = divmod(numerator * UNITS_PER_USD, denominator)
    return units, bool(rest)


def _checked(units: int, amount: Decimal, field: str) -> int:
    if abs(units) > MAX_UNITS:
        raise _too_large(amount, field)
    return units


def _too_large(amount: Decimal, field: str) -> Exception:
    limit = Decimal(MAX_UNITS).scaleb(-_DIGITS_AFTER_POINT, _EXACT)
    return invalid(field, f"{_shown(amount)} is beyond {limit} US dollars, the largest amount that can be kept")


def _shown(amount: Decimal) -> str:
    return str(amount)[:40]


def canonical(value: Decimal) -> Decimal:
    """The one spelling of an amount: what is answered now and what is read back later are the same text.

    >>> canonical(Decimal("1.500"))
    Decimal('1.5')
    """
    return Decimal(decimal_text(value))
