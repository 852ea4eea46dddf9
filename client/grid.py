"""The grid on which markets are scanned: a slot begins whenever a candle closes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

# An exchange publishes a candle a moment after its close; Coinbase's were there after 1 to 3 s.
DELAY_SECONDS: Final = 4.0
SHORTEST_SECONDS: Final = 10
LONGEST_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Grid:
    """Slots of equal length on the wall clock, counted from 1970. A slot is its first second.

    It is scanned `delay_seconds` after its beginning, and over when the next one begins.

    >>> grid = Grid(300)
    >>> write_slot(grid.slot(1_795_262_761.5)), grid.due(1_795_262_700) - 1_795_262_700
    ('2026-11-21T12:05:00Z', 4.0)
    """

    interval_seconds: int
    delay_seconds: float = DELAY_SECONDS

    def __post_init__(self) -> None:
        if not SHORTEST_SECONDS <= self.interval_seconds <= LONGEST_SECONDS:
            raise ValueError(
                f"{self.interval_seconds} s between scans; {SHORTEST_SECONDS} to {LONGEST_SECONDS} are allowed"
            )
        if not 0.0 <= self.delay_seconds < self.interval_seconds:
            raise ValueError(
                f"a scan {self.delay_seconds:g} s after the close does not fit between scans "
                f"every {self.interval_seconds} s"
            )

    def slot(self, wall: float) -> int:
        """The slot in which that instant lies."""
        return int(wall // self.interval_seconds) * self.interval_seconds

    def due(self, slot: int) -> float:
        """When the slot is to be scanned."""
        return slot + self.delay_seconds

    def end(self, slot: int) -> float:
        """When the slot is over: from then on nothing is asked for it."""
        return float(slot + self.interval_seconds)

    def passed(self, slot: int, wall: float) -> int:
        """How many slots after that one have come due."""
        return max(0, (self.slot(wall - self.delay_seconds) - slot) // self.interval_seconds)


def write_slot(slot: int) -> str:
    """As the API takes it."""
    return datetime.fromtimestamp(slot, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
