"""What the desk needs from outside, as protocols: a market, its facts and the analysts. Adapters answer them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.analysis import Findings
from core.context import Facts
from core.market import Candles, Windows


class Market(Protocol):
    """A source of closed candles."""

    @property
    def name(self) -> str:
        """The provider's name, as it stands in every answer."""
        ...

    @property
    def identity(self) -> str:
        """Which market of that provider it is: what was fitted on another one is not used. Fit for a file's name."""
        ...

    @property
    def synthetic(self) -> bool:
        """True when the candles were made by a generator and mean nothing for real money."""
        ...

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        """The newest `count` candles of each symbol closed at `now_ms`. Failure raises; it is never an empty list."""
        ...


class Contexts(Protocol):
    """A source of facts about the whole market."""

    async def latest(self, *, as_of_ms: int) -> Facts | None:
        """The newest facts that were known at that instant, None where none were. Neither waits nor fails."""
        ...


class Analysts(Protocol):
    """Whoever computes the theories: in process, or on Ray Serve."""

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        """For each batch and row, what the theories found; what does not answer in time is named as missing."""
        ...
