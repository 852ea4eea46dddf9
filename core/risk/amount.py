"""Money that never flatters: a loss is rounded up and a room down, to the smallest unit that the ledger keeps."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Final

UNIT: Final = Decimal("0.00000001")  # US dollars: what the ledger counts in
ZERO: Final = Decimal(0)
HUNDRED: Final = Decimal(100)
# A quantity and a price of 18 digits each multiply without rounding, and so do three fractions after them.
EXACT: Final = Context(prec=60)

_CENT: Final = Decimal("0.01")


def up(amount: Decimal) -> Decimal:
    """The amount in whole units, never less than it is: for losses and floors."""
    return amount.quantize(UNIT, ROUND_CEILING, EXACT)


def down(amount: Decimal) -> Decimal:
    """The amount in whole units, never more than it is: for rooms and equity."""
    return amount.quantize(UNIT, ROUND_FLOOR, EXACT)


def usd(amount: Decimal, *, rounding: str = ROUND_FLOOR) -> str:
    """The amount as people read it: cents, or all its digits where cents would hide them."""
    cents = amount.quantize(_CENT, rounding, EXACT)
    return f"{cents if cents == amount else amount.normalize(EXACT):,f} USD"


def percent(share: Decimal) -> str:
    """A share of one as a percentage with two digits."""
    return f"{(share * HUNDRED).quantize(_CENT, ROUND_CEILING, EXACT):f} %"
