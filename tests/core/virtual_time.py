"""Clocks that only sleeping moves, and the patience of tests: a machine may take as long as it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENT = 60.0  # seconds; longer than any machine stands still


class VirtualTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class HeldTime(VirtualTime):
    """The same, and whoever sleeps does so until the time is released."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = 0
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def sleep(self, seconds: float) -> None:
        self.asleep += 1
        await self._released.wait()
        await super().sleep(seconds)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENT):
        while not holds():
            await asyncio.sleep(0.001)
