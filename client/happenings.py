"""What happens while markets are scanned slot by slot, as whoever watches is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]  # Any: decoded JSON as the server sent it

LATE_SECONDS: Final = 10.0  # a scan that begins so long after it was due is called late


@dataclass(frozen=True, slots=True)
class Tick:
    """A slot that is begun: when by both clocks, how long after it was due, how many before it were missed."""

    slot: int
    wall: float
    steady: float
    late_seconds: float
    missed: int = 0
    is_first: bool = False

    @property
    def is_late(self) -> bool:
        """Whether this makes up for missed time. A start is not late: it does not wait for the next slot."""
        return not self.is_first and (self.missed > 0 or self.late_seconds > LATE_SECONDS)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do until the next slot; told once a second."""

    seconds_left: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Retrying:
    """The server could not answer yet; the same call is made again."""

    slot: int
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Scanned:
    """What the server decided."""

    tick: Tick
    signals: tuple[Json, ...]
    refused: tuple[Json, ...]
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The slot passed without an answer."""

    tick: Tick
    detail: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Overlapped:
    """So many slots came due while a scan still ran; they are left out."""

    count: int


Happening = Waiting | Retrying | Scanned | Failed | Overlapped


@dataclass(slots=True)
class Tally:
    """What happened since the start."""

    scans: int = 0
    failed: int = 0
    missed: int = 0
    overlapped: int = 0
    retries: int = 0
