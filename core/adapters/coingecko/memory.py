"""What was fetched about the whole market, when, and what it cost: kept in a file, so that a restart forgets nothing.

The file is replaced in one step, so a kill at any moment leaves the old one or the new one. It belongs to one process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

logger = logging.getLogger(__name__)

FORMAT: Final = 1
DAY_MS: Final = 86_400_000
MOST_FETCHES: Final = 300  # of one source: two days at one each ten minutes, so that a candle of a day finds its facts
BUDGET_DAYS: Final = 32  # days of UTC that 31 times 24 hours can touch: no month, however it is counted, is longer
Json = dict[str, Any]  # Any: decoded JSON


class Fetch(NamedTuple):
    """One answer of a source: when it was there, and the facts in it (NaN where unknown)."""

    at_ms: int
    values: tuple[float, ...]


class ContextMemory:
    """The last fetches of each source, when each may be asked again, and the credits of the last 32 days."""

    def __init__(self, path: Path, widths: Mapping[str, int]) -> None:
        """`widths` says how many facts an answer of each source has."""
        self._path = path
        self._widths = widths
        self._fetches: defaultdict[str, list[Fetch]] = defaultdict(list)
        self._credits: dict[int, int] = {}  # by day since 1970
        self._due_ms: dict[str, int] = {}
        self._writable = True
        self._load()

    def keep(self, source: str, fetch: Fetch) -> None:
        """Adds a fetch; the oldest is forgotten when there are too many."""
        fetches = self._fetches[source]
        insort(fetches, fetch, key=_instant)
        del fetches[:-MOST_FETCHES]

    def known(self, source: str, as_of_ms: int) -> Fetch | None:
        """What was known of a source at an instant."""
        fetches = self._fetches[source]
        place = bisect_right(fetches, as_of_ms, key=_instant)
        return fetches[place - 1] if place else None

    def spend(self, count: int, now_ms: int) -> None:
        """Counts so many credits as used today."""
        today = now_ms // DAY_MS
        self._credits[today] = self._credits.get(today, 0) + count
        self._credits = {day: used for day, used in self._credits.items() if abs(today - day) < BUDGET_DAYS}

    def spent(self, now_ms: int) -> int:
        """The credits of today and the 31 days before it; a day that a wrong clock set in the future counts too."""
        return sum(used for day, used in self._credits.items() if now_ms // DAY_MS - day < BUDGET_DAYS)

    def set_due(self, source: str, at_ms: int) -> None:
        """A source is not asked before this instant, restart or not."""
        self._due_ms[source] = at_ms

    def due(self, source: str) -> int:
        """The instant from which a source may be asked."""
        return self._due_ms.get(source, 0)

    async def save(self) -> None:
        """Writes the file, away from the event loop. Where that fails, what is known serves until the process ends."""
        content = json.dumps(self._pack(), separators=(",", ":"), allow_nan=False).encode()
        try:
            await asyncio.to_thread(_replace, self._path, content)
        except OSError as error:
            if self._writable:
                logger.warning(
                    "%s cannot be written (%s): a restart will forget the market's facts and the credits used",
                    self._path,
                    error.strerror,
                )
            self._writable = False
        else:
            self._writable = True

    def _pack(self) -> Json:
        return {
            "format": FORMAT,
            "credits": {str(day): used for day, used in self._credits.items()},
            "due_ms": self._due_ms,
            "fetches": {source: [_as_row(fetch) for fetch in fetches] for source, fetches in self._fetches.items()},
        }

    def _load(self) -> None:
        try:
            content: Json = json.loads(self._path.read_bytes(), parse_constant=_refuse_constant)
            if content["format"] != FORMAT:
                raise ValueError("another version's")
            self._credits = {int(day): int(used) for day, used in content["credits"].items()}
            self._due_ms = {str(source): int(at_ms) for source, at_ms in content["due_ms"].items()}
            for source, width in self._widths.items():
                for row in content["fetches"].get(source, ()):
                    self.keep(source, _read_fetch(row, width))
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            logger.warning(
                "%s cannot be read (%s): the market's facts and the credits used are forgotten",
                self._path,
                type(error).__name__,
            )
            self._fetches.clear()
            self._credits, self._due_ms = {}, {}


def _instant(fetch: Fetch) -> int:
    return fetch.at_ms


def _as_row(fetch: Fetch) -> list[float | None]:
    return [fetch.at_ms, *(None if math.isnan(value) else value for value in fetch.values)]


def _read_fetch(row: Any, width: int) -> Fetch:  # Any: decoded JSON, checked here
    at_ms, *values = row
    if len(values) != width:
        raise ValueError("a fetch has other facts")
    return Fetch(int(at_ms), tuple(math.nan if value is None else float(value) for value in values))


def _refuse_constant(_: str) -> float:
    raise ValueError("NaN and infinity are no JSON")


def _replace(path: Path, content: bytes) -> None:
    """Writes a file beside it, forces it to the disk and gives it the name."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
