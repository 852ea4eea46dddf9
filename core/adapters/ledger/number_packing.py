"""The numbers of a decision in few bytes, each to its last digit.

Most are as long as a float can be, and no two are alike, so nothing makes them much shorter than the eight bytes that
they are in memory. What can be left out is what was said before: a number that stands in the same place of the day's
first text (a theory that learned says the same all day), one that stands in this text already, and how large a number
is, which is about as large as its like in the first text.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

AS_BEFORE, FLOAT, DIGITS, REPEATED = 0, 1, 2, 3  # one byte a number; from REPEATED on: how many new ones ago
FARTHEST: Final = 255 - REPEATED
SHORT: Final = 9  # a number of so few characters takes less as digits than as a float
FRACTION_BITS: Final = 52  # of a float; the 12 before them are its sign and its size
SIZES: Final = 1 << 12
FRACTION: Final = (1 << FRACTION_BITS) - 1
ODD: Final = 7  # bytes of a fraction, of whose first byte half is empty: two halves share a byte


class Streams(NamedTuple):
    """Where each number comes from, the short ones as digits, sizes and fractions of the floats."""

    sources: bytes
    digits: bytes
    sizes: bytes
    fractions: bytes


def split_numbers(numbers: Sequence[bytes], before: Sequence[bytes]) -> Streams:
    """Numbers as streams; `before` has for each what the text that is known to who reads it says there, or nothing."""
    sources, digits, floats = bytearray(), list[bytes](), list[tuple[int, int]]()
    places, count = dict[bytes, int](), 0  # of the new ones, and how many those are
    for place, number in enumerate(numbers):
        like = before[place]
        if like == number:
            sources.append(AS_BEFORE)
            continue
        if number in places and count - 1 - places[number] < FARTHEST:
            sources.append(REPEATED + count - 1 - places[number])
            continue
        places[number], count = count, count + 1
        bits = _as_float(number)
        if bits is None:
            sources.append(DIGITS)
            digits.append(number)
        else:
            sources.append(FLOAT)
            floats.append(((bits >> FRACTION_BITS) - _size(like) & SIZES - 1, bits & FRACTION))
    sizes = bytes(size & 0xFF for size, _ in floats) + bytes(size >> 8 for size, _ in floats)
    return Streams(bytes(sources), b",".join(digits), sizes, _pack_fractions([fraction for _, fraction in floats]))


def join_numbers(streams: Streams, before: Sequence[bytes]) -> list[bytes]:
    """The numbers that were split. What does not fit together is a ValueError."""
    count = len(streams.sizes) // 2
    sizes = iter([low | high << 8 for low, high in zip(streams.sizes[:count], streams.sizes[count:], strict=True)])
    fractions = iter(_unpack_fractions(streams.fractions, count))
    digits = iter(streams.digits.split(b","))
    numbers, new = list[bytes](), list[bytes]()
    try:
        for place, source in enumerate(streams.sources):
            if source == AS_BEFORE:
                if not before[place]:
                    raise IndexError(place)
                numbers.append(before[place])
                continue
            if source >= REPEATED:
                numbers.append(new[REPEATED - 1 - source])
                continue
            if source == DIGITS:
                numbers.append(next(digits))
            else:
                bits = (next(sizes) + _size(before[place])) % SIZES << FRACTION_BITS | next(fractions)
                numbers.append(repr(struct.unpack(">d", struct.pack(">Q", bits))[0]).encode())
            new.append(numbers[-1])
    except (IndexError, StopIteration) as error:
        raise ValueError("a number refers to what is not there") from error
    return numbers


def _as_float(number: bytes) -> int | None:
    """Its bits, where they are fewer and give back the same digits."""
    if len(number) <= SHORT:
        return None
    value = float(number)
    return _bits(value) if repr(value).encode() == number else None


def _bits(value: float) -> int:
    bits: int = struct.unpack(">Q", struct.pack(">d", value))[0]
    return bits


def _size(number: bytes) -> int:
    return _bits(float(number or b"1")) >> FRACTION_BITS


def _pack_fractions(fractions: Sequence[int]) -> bytes:
    """Two in thirteen bytes; a last one alone in seven."""
    packed = bytearray()
    for first, second in zip(fractions[::2], fractions[1::2], strict=False):
        packed += (first << FRACTION_BITS | second).to_bytes(2 * ODD - 1, "big")
    if len(fractions) % 2:
        packed += fractions[-1].to_bytes(ODD, "big")
    return bytes(packed)


def _unpack_fractions(packed: bytes, count: int) -> list[int]:
    pair = 2 * ODD - 1
    if len(packed) != count // 2 * pair + count % 2 * ODD:
        raise ValueError("the fractions of numbers are not as many as their sizes")
    fractions = list[int]()
    for start in range(0, count // 2 * pair, pair):
        both = int.from_bytes(packed[start : start + pair], "big")
        fractions += (both >> FRACTION_BITS, both & FRACTION)
    if count % 2:
        fractions.append(int.from_bytes(packed[-ODD:], "big"))
    return fractions
