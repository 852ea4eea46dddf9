"""Where the units of a job say how far they are, for the program that started them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from training.cluster.mail import UnitProgress

if TYPE_CHECKING:
    from training.checkpoint import Row
    from training.runs import Progress


class Board:
    """The last word of each unit. One for a job, on the machine of its program; it needs no torch."""

    def __init__(self) -> None:
        self._units: dict[str, UnitProgress] = {}

    def post(self, unit: str, progress: UnitProgress) -> None:
        self._units[unit] = progress

    def read(self) -> dict[str, UnitProgress]:
        return self._units


class UnitVoice:
    """How one unit speaks, as `training.worker.Voice`."""

    def __init__(self, board: Any, unit: str) -> None:  # Any: handles of Ray's are untyped
        self._board = board
        self._unit = unit
        self._last = UnitProgress()

    def say(self, words: str) -> None:
        """What it does where it counts nothing."""
        self._post(replace(self._last, words=words, rate=0.0, seconds_left=None))

    def tell(self, progress: Progress) -> None:
        self._post(UnitProgress(**progress._asdict()))

    def show(self, history: Sequence[Row]) -> None:
        """Nothing: it is kept beside the model."""

    def _post(self, progress: UnitProgress) -> None:
        self._last = progress
        self._board.post.remote(self._unit, progress)
