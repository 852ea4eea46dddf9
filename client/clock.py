"""Two clocks: the wall's says which candle it is, the steady one how long to wait."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a scheduler knows of time."""

    def wall(self) -> float:
        """Seconds since 1970 as the machine believes; somebody may set it."""
        ...

    def steady(self) -> float:
        """Seconds that nobody can set, those of a machine asleep included."""
        ...

    def sleep(self, seconds: float) -> None:
        """Returns after about so long."""
        ...


class MachineClock:
    """The clocks of this machine."""

    def wall(self) -> float:
        return time.time()

    def steady(self) -> float:
        # the monotonic clock stands still while a machine is suspended
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
