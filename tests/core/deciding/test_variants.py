"""Variants are drawn by lot, half and half, and anyone can draw the same lot again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from core.deciding.variants import assign, assign_pair
from core.market import SYMBOLS
from core.signal import Variant
from core.trade import Book
from tests.core.cases import AS_OF

MATH = Variant.V7_FULL_MATH


def test_the_lots_are_half_and_half_for_every_symbol_and_every_time_of_day() -> None:
    slots = [datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=5 * step) for step in range(2_880)]
    for symbol in SYMBOLS:
        drawn = [assign(symbol, slot) is MATH for slot in slots]
        assert abs(sum(drawn) - 1_440) < 4 * 26.8  # four standard deviations of a fair coin
        changes = sum(one is not other for one, other in pairwise(drawn))
        assert abs(changes - 1_440) < 4 * 26.8  # neighbouring slots are drawn independently


def test_a_lot_is_the_same_whenever_and_wherever_it_is_drawn() -> None:
    berlin = AS_OF.astimezone(tz=None)
    assert assign("BTC-USD", AS_OF) is assign("BTC-USD", berlin)
    assert {assign(symbol, AS_OF) for symbol in SYMBOLS} == set(Variant)


def test_a_pair_holds_both_variants_and_only_the_drawn_one_is_published() -> None:
    for symbol in SYMBOLS:
        primary, shadow = assign_pair(symbol, AS_OF)
        assert {primary.variant, shadow.variant} == set(Variant)
        assert primary == (assign(symbol, AS_OF), Book.PRIMARY)
        assert shadow.book is Book.SHADOW
