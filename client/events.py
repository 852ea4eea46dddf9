"""Signals as they come: reads a stream of server-sent events, whatever the pieces in which the network brings it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

LONGEST_LINE: Final = 4 * 1024 * 1024  # a signal is about 10 KB; what has no end must not fill the memory


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its id, which a reader names to go on after it, its kind, and what it says."""

    id: str
    kind: str
    value: dict[str, Any]  # Any: decoded JSON as the server sent it


def read_events(pieces: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream. Comments, which keep the line alive, and an event cut by the end are left out.

    >>> [(event.id, event.value) for event in read_events([b'id: 7\\nda', b'ta: {"a": 1}\\n\\n: still here\\n\\n'])]
    [('7', {'a': 1})]
    """
    fields: dict[str, str] = {}
    for line in _lines(pieces):
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value
            continue
        if "data" in fields:
            value_of = json.loads(fields["data"])
            yield Event(fields.get("id", ""), fields.get("event", "message"), value_of)
        fields = {}


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines as the protocol has them: other characters at which Python would split may stand in a text."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"a line of the stream is longer than {LONGEST_LINE} bytes")
