"""How soon a child that died may be started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
LIFE_THAT_COUNTS_SECONDS: Final = 60.0  # a life this long forgets the failures before it


class Restarts:
    """The lives of one child: the pause grows with every short one, so that no machine is kept busy by restarts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._short_lives = 0
        self._begun = 0.0
        self._due = 0.0

    def begin(self) -> None:
        """A life begins now. Called before the start, so that one that fails counts too."""
        self._begun = self._clock()
        self._due = self._begun + self._pause()

    def ended(self) -> None:
        """The life ended now."""
        now = self._clock()
        if now - self._begun > LIFE_THAT_COUNTS_SECONDS:
            self._short_lives = 0
        self._due = now + self._pause()
        self._short_lives += 1

    def is_due(self) -> bool:
        """Whether the pause is over."""
        return self._clock() >= self._due

    def _pause(self) -> float:
        return PAUSES[min(self._short_lives, len(PAUSES) - 1)]
