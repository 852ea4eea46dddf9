"""Numbers of a decision are packed and come back digit for digit, whatever stands around them."""

from __future__ import annotations

import json
import random
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.ledger.number_packing import FARTHEST, Streams, join_numbers, split_numbers
from core.adapters.ledger.packing import HOLE, RAW, pack, unpack
from core.errors import CrpbotError

SPELLED = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers().map(str),
    st.sampled_from(("0.10000000000000000000", "1e400", "-0.0", "12345678901234567890.5", "5e-324", "1E+02")),
).map(str.encode)
PIECES = st.sampled_from((b'"', b"\\", b"-", b".5", b"12", b"0.1234567890123", b"e", b"\n", b",", b"word", HOLE))
TEXTS = st.lists(PIECES, max_size=40).map(b"".join)


@given(st.lists(st.tuples(SPELLED, st.one_of(SPELLED, st.just(b""))), max_size=60))
def test_numbers_come_back_digit_for_digit(pairs: list[tuple[bytes, bytes]]) -> None:
    numbers, before = [number for number, _ in pairs], [like for _, like in pairs]
    assert join_numbers(split_numbers(numbers, before), before) == numbers


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_comes_back_with_any_dictionary(text: bytes, first: bytes, second: bytes) -> None:
    for dictionary in ((), (first,), (first, second)):
        assert unpack(pack(text, *dictionary), *dictionary) == text


def test_what_is_repeated_from_very_far_is_said_again() -> None:
    numbers = [str(place).encode() for place in range(FARTHEST + 5)] * 3
    before = [b""] * len(numbers)
    assert join_numbers(split_numbers(numbers, before), before) == numbers


def test_what_was_said_before_costs_next_to_nothing() -> None:
    draw = random.Random(1)
    first, other = (json.dumps({f"{n:03}": draw.random() for n in range(300)}).encode() for _ in range(2))
    assert len(pack(first, first)) < 60
    assert len(pack(other, first)) < 300 * 7.5 < 0.9 * len(zlib.compress(other, 9)), (
        "52 bits of each, and little for its size"
    )


def test_a_theory_that_says_less_today_shifts_no_number_of_the_others() -> None:
    draw = random.Random(3)
    said = {f"theory_{n}": draw.random() for n in range(100)}
    first = json.dumps(said).encode()
    less = json.dumps({name: value for name, value in said.items() if name != "theory_7"}).encode()
    assert len(pack(less, first)) < 60


def test_a_text_packed_in_the_earlier_form_is_still_read() -> None:
    def deflate(text: bytes, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, RAW, zlib.DEF_MEM_LEVEL, strategy)
        return packer.compress(text) + packer.flush()

    earlier = b"s" + deflate(b'{"a":\x11,"b":"2"}') + deflate(b"-1.5e-7", zlib.Z_HUFFMAN_ONLY)
    assert unpack(earlier) == b'{"a":-1.5e-7,"b":"2"}'


@pytest.mark.parametrize(
    "streams",
    [
        Streams(b"\x00", b"", b"", b""),
        Streams(b"\x03", b"", b"", b""),
        Streams(b"\x01", b"", b"", b""),
        Streams(b"\x02\x02", b"1", b"", b""),
        Streams(b"\x01", b"", b"\x00\x00", b"\x00"),
        Streams(b"\x01", b"", b"\x00", b""),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(streams: Streams) -> None:
    with pytest.raises(ValueError, match=r"number|zip|fraction"):
        join_numbers(streams, [b""] * len(streams.sources))


def test_a_damaged_packed_text_is_told_and_never_another_kind_of_error() -> None:
    draw = random.Random(2)
    first, text = (json.dumps([draw.random() for _ in range(80)]).encode() for _ in range(2))
    packed = pack(text, first)
    reasons, altered = set[str](), 0
    for place in range(len(packed)):
        damaged = packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :]
        with suppress(CrpbotError):
            altered += unpack(damaged, first) != text
            continue
        with pytest.raises(CrpbotError) as error:
            unpack(damaged, first)
        reasons.add(error.value.reason)
    assert reasons == {"TEXT_UNREADABLE"}
    assert altered > len(packed) // 2, "what can be read is another text, which its SHA-256 shows"
