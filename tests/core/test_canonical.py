"""What is written comes back to the last bit, and one value has one spelling."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import read_canonical, write_canonical


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: float
    y: Decimal


@dataclass(frozen=True, slots=True)
class Leaf:
    words: str
    number: float
    whole: int
    truth: bool


@dataclass(frozen=True, slots=True)
class Tree:
    colour: Colour
    at: datetime
    price: Decimal
    point: Point
    leaves: tuple[Leaf, ...]
    weights: Mapping[str, float]
    maybe: Decimal | None = None
    other: Leaf | None = None


LEAF = Leaf("µ ≈ 0\n“x”", -0.0, -3, True)
TREE = Tree(
    Colour.BLUE,
    datetime(2026, 3, 2, 12, 0, 0, 7, tzinfo=UTC),
    Decimal("1E-8"),
    Point(0.1 + 0.2, Decimal("104738.920")),
    (LEAF, LEAF),
    {"b": 2.0, "a": 1.0},
)

numbers = st.floats(allow_nan=False, allow_infinity=False)
prices = st.decimals(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters())  # half a surrogate pair too: a reply may hold one
leaves = st.builds(Leaf, texts, numbers, st.integers(), st.booleans())
trees = st.builds(
    Tree,
    st.sampled_from(Colour),
    st.datetimes(timezones=st.just(UTC)),
    prices,
    st.builds(Point, numbers, prices),
    st.lists(leaves, max_size=3).map(tuple),
    st.dictionaries(texts, numbers, max_size=3),
    st.none() | prices,
    st.none() | leaves,
)


def bits(tree: Tree) -> list[str]:
    """What `==` would not tell apart: the signs of zeros, the digits of a price."""
    found = [tree.point.x.hex(), str(tree.point.y), str(tree.price), str(tree.maybe)]
    return found + [leaf.number.hex() for leaf in tree.leaves] + [each.hex() for each in tree.weights.values()]


@given(trees)
def test_whatever_is_written_reads_back_to_the_last_bit_and_is_written_the_same_again(tree: Tree) -> None:
    text = write_canonical(tree)
    again = read_canonical(text, Tree)
    assert again == tree
    assert sorted(bits(again)) == sorted(bits(tree))
    assert write_canonical(again) == text


@given(trees, numbers)
def test_two_values_have_two_texts(tree: Tree, number: float) -> None:
    other = replace(tree, point=tree.point._replace(x=number))
    same = number.hex() == tree.point.x.hex()
    assert (write_canonical(other) == write_canonical(tree)) is same


def test_the_text_is_the_one_that_stored_decisions_have() -> None:
    assert write_canonical(TREE) == (
        '{"at":"2026-03-02T12:00:00.000007+00:00","colour":"blue",'
        '"leaves":[{"number":-0.0,"truth":true,"whole":-3,"words":"µ ≈ 0\\n“x”"},'
        '{"number":-0.0,"truth":true,"whole":-3,"words":"µ ≈ 0\\n“x”"}],'
        '"maybe":null,"other":null,"point":{"x":0.30000000000000004,"y":"104738.920"},'
        '"price":"1E-8","weights":{"a":1.0,"b":2.0}}'
    )


def test_the_order_of_a_mapping_does_not_count() -> None:
    assert write_canonical(replace(TREE, weights={"a": 1.0, "b": 2.0})) == write_canonical(TREE)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_never_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_canonical(replace(TREE, weights={"a": number}))


def test_a_field_that_a_later_version_added_takes_its_default_and_one_without_is_an_error() -> None:
    content = json.loads(write_canonical(TREE))
    assert read_canonical(json.dumps({name: content[name] for name in content if name != "maybe"}), Tree) == TREE
    with pytest.raises(TypeError, match="price"):
        read_canonical(json.dumps({name: content[name] for name in content if name != "price"}), Tree)


def test_an_instant_keeps_its_zone() -> None:
    prague = timezone(timedelta(hours=1))
    at = datetime(2026, 3, 2, 13, tzinfo=prague)
    again = read_canonical(write_canonical(replace(TREE, at=at)), Tree)
    assert (again.at, again.at.utcoffset()) == (at, timedelta(hours=1))
