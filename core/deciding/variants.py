"""Which variant decides a signal: by lot, half and half, and always the same lot for the same symbol and slot."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from core.market import milliseconds
from core.signal import Variant
from core.trade import Book


class Assignment(NamedTuple):
    """A variant, and whether what it decides is published or only compared."""

    variant: Variant
    book: Book


def assign(symbol: str, slot: datetime) -> Variant:
    """The lot of this symbol and slot: one bit of a hash, so it can be drawn again at any time.

    >>> from datetime import UTC
    >>> assign("BTC-USD", datetime(2026, 3, 2, 12, tzinfo=UTC))
    <Variant.V7_DEEPSEEK_ONLY: 'v7_deepseek_only'>
    """
    digest = blake2b(f"variant/{symbol}/{milliseconds(slot)}".encode(), digest_size=1).digest()
    return Variant.V7_FULL_MATH if digest[0] % 2 else Variant.V7_DEEPSEEK_ONLY


def assign_pair(symbol: str, slot: datetime) -> tuple[Assignment, Assignment]:
    """Both variants on the same candle: the one that was drawn is published, the other one is its shadow."""
    drawn = assign(symbol, slot)
    (other,) = (variant for variant in Variant if variant is not drawn)
    return Assignment(drawn, Book.PRIMARY), Assignment(other, Book.SHADOW)
