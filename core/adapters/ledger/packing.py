"""Texts made small: what a decision is explained with fills the disk, so only what is new in it is written.

Texts of one kind resemble each other: the first of each day serves as the dictionary of the others. Numbers do not
resemble each other, so they are taken out and packed apart. Measured on the readings of fifteen theories: 8.3 kB as
JSON, 3.3 kB by zlib alone, 1.9 kB with the dictionary, 1.5 kB with the numbers apart.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

from core.adapters.ledger.number_packing import Streams, join_numbers, split_numbers
from core.errors import Code, CrpbotError

WINDOW = 32_768  # bytes of a dictionary that zlib looks at
HOLE = b"\x11"  # stands where a number was; a text that holds it is packed without holes
PLAIN, SPLIT, NUMBERED = b"p", b"s", b"n"  # SPLIT is read, and not written any more
RAW = -15  # without zlib's own header and checksum: each text has a SHA-256

QUOTE = b'"'
STRING = re.compile(
    rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")'
)  # possessive: a long open string is tried once, not piece by piece
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
STRING_OR_NUMBER = re.compile(STRING.pattern + b"|" + NUMBER.pattern)
MANY = 64  # so many numbers are always shorter apart
KNOWN = 64  # texts whose numbers were taken out lately: a day's dictionaries serve every decision of the day


def pack(text: bytes, *dictionary: bytes) -> bytes:
    """The text in fewer bytes. Whatever it holds, `unpack` with the same dictionary gives it back.

    A dictionary of several texts is their lines, one after the other.
    """
    # around the memory: it is for the dictionaries, which serve all day
    skeleton, numbers = (text, ()) if HOLE in text else _take_numbers.__wrapped__(text)
    if not numbers:
        return PLAIN + _deflate(text, b"\n".join(dictionary))
    sources, digits, sizes, fractions = split_numbers(numbers, _find_likes(skeleton, dictionary))
    streams = _deflate(sources), _deflate(digits, only_digits=True), _deflate(sizes), fractions
    numbered = NUMBERED + _deflate(skeleton, _take_words(dictionary)) + b"".join(streams)
    if len(numbers) >= MANY:
        return numbered
    return min(PLAIN + _deflate(text, b"\n".join(dictionary)), numbered, key=len)


def unpack(packed: bytes, *dictionary: bytes) -> bytes:
    """The text that was packed. Damage raises or gives another text, which its SHA-256 then shows."""
    form, body = packed[:1], packed[1:]
    try:
        if form == PLAIN:
            return _inflate(body, b"\n".join(dictionary))[0]
        if form == SPLIT:
            skeleton, rest = _inflate(body, _take_words(dictionary))
            digits = _inflate(rest)[0]
            return _put_numbers(skeleton, digits.split(b",") if HOLE in skeleton else [])
        if form == NUMBERED:
            skeleton, rest = _inflate(body, _take_words(dictionary))
            sources, rest = _inflate(rest)
            digits, rest = _inflate(rest)
            sizes, fractions = _inflate(rest)
            streams = Streams(sources, digits, sizes, fractions)
            return _put_numbers(skeleton, join_numbers(streams, _find_likes(skeleton, dictionary)))
    except (zlib.error, ValueError) as error:
        raise _unreadable(str(error)) from error
    raise _unreadable(f"unknown form {form!r}")


@lru_cache(maxsize=KNOWN)
def _take_numbers(text: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Numbers outside of quotes, and the text with holes in their places."""
    parts = STRING.split(text)  # every second one is a quoted string
    between = QUOTE.join(parts[::2])
    if between.count(QUOTE) != len(parts) // 2:  # a quote that nothing closes
        return _take_numbers_one_by_one(text)
    parts[::2] = NUMBER.sub(HOLE, between).split(QUOTE)
    return b"".join(parts), tuple(NUMBER.findall(between))


def _take_numbers_one_by_one(text: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    numbers: list[bytes] = []

    def take(match: re.Match[bytes]) -> bytes:
        found = match[0]
        if found.startswith(QUOTE):
            return found
        numbers.append(found)
        return HOLE

    return STRING_OR_NUMBER.sub(take, text), tuple(numbers)


def _take_words(dictionary: tuple[bytes, ...]) -> bytes:
    """The dictionary with holes for its numbers. Where no quote stays open each text is looked at for itself."""
    if all(_is_closed(text) for text in dictionary[:-1]):
        return b"\n".join(_take_numbers(text)[0] for text in dictionary)
    return _take_numbers(b"\n".join(dictionary))[0]


@lru_cache(maxsize=KNOWN)
def _is_closed(text: bytes) -> bool:
    """Whether a text that follows it on the next line is read as if it stood alone."""
    return QUOTE not in STRING.sub(b"", text)


def _find_likes(skeleton: bytes, dictionary: tuple[bytes, ...]) -> list[bytes]:
    """For each hole the number that the dictionary's first text, which is of the same kind, has under that name."""
    known = _name_numbers(dictionary[0]) if dictionary else {}
    return [known.get(name, b"") for name in _name_holes(skeleton)]


@lru_cache(maxsize=KNOWN)
def _name_numbers(text: bytes) -> dict[tuple[bytes, bytes], bytes]:
    skeleton, numbers = _take_numbers(text)
    return dict(zip(_name_holes(skeleton), numbers, strict=False))


def _name_holes(skeleton: bytes) -> list[tuple[bytes, bytes]]:
    """What stands before each hole since the last quote but one, and the same of the hole before: a field's name."""
    names = [b'"'.join(part.rsplit(QUOTE, 2)[-2:]) for part in skeleton.split(HOLE)[:-1]]
    return [*zip([b"", *names], names, strict=False)]


def _put_numbers(skeleton: bytes, numbers: list[bytes]) -> bytes:
    parts = skeleton.split(HOLE)
    return b"".join(part + filling for part, filling in zip(parts, [*numbers, b""], strict=True))


def _deflate(text: bytes, dictionary: bytes = b"", *, only_digits: bool = False) -> bytes:
    strategy = zlib.Z_HUFFMAN_ONLY if only_digits else zlib.Z_DEFAULT_STRATEGY
    options = (zlib.Z_BEST_COMPRESSION, zlib.DEFLATED, RAW, zlib.DEF_MEM_LEVEL, strategy)
    packer = zlib.compressobj(*options, dictionary[-WINDOW:]) if dictionary else zlib.compressobj(*options)
    return packer.compress(text) + packer.flush()


def _inflate(packed: bytes, dictionary: bytes = b"") -> tuple[bytes, bytes]:
    """The text and what follows it."""
    unpacker = zlib.decompressobj(RAW, dictionary[-WINDOW:]) if dictionary else zlib.decompressobj(RAW)
    text = unpacker.decompress(packed) + unpacker.flush()
    if not unpacker.eof:
        raise ValueError("it ends too early")
    return text, unpacker.unused_data


def _unreadable(cause: str) -> CrpbotError:
    return CrpbotError(
        Code.FAILED_PRECONDITION, f"a packed text of the ledger is damaged: {cause}", reason="TEXT_UNREADABLE"
    )
