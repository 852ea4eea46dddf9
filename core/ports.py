"""What the desk needs from outside, as protocols: a market, its facts and the analysts. Adapters answer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from core.analysis import Findings
from core.context import Facts
from core.deciding.confidence import Records
from core.ensemble import Outlook
from core.errors import CrpbotError
from core.forecasts.lineup import Lineup
from core.market import Candles, Windows
from core.risk.account import Quote
from core.risk.size import Step
from core.signal import Degradation


class Told(NamedTuple):
    """The candles of one symbol, and why no decision may rest on them; empty when nothing speaks against it."""

    candles: Candles
    synthetic: bool
    degradations: tuple[Degradation, ...] = ()


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
        """True when some of its candles were made by a generator and mean nothing for real money."""
        ...

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        """The newest `count` candles of each symbol closed at `now_ms`. Failure raises; it is never an empty list."""
        ...

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Told | CrpbotError]:
        """The same symbol by symbol, in their order, with doubts: one that fails does not take the others with it.

        What would fail for every symbol, such as an unknown interval, is raised.
        """
        ...

    async def problem(self) -> str | None:
        """Why no candle of this market can be used now, such as a wrong clock; None when nothing is known."""
        ...


class Quotes(Protocol):
    """Whoever knows what symbols cost right now."""

    async def quotes(self, symbols: Sequence[str], *, now_ms: int) -> list[Quote | CrpbotError]:
        """The best offers for each symbol, in their order: one that fails does not take the others with it."""
        ...


class Exchange(Market, Quotes, Protocol):
    """A market that tells candles, what they cost right now, and which sizes it takes."""

    def step(self, symbol: str) -> Step:
        """The increment of a size and the least one; the finest there is where nothing is known."""
        ...


class Contexts(Protocol):
    """A source of facts about the whole market."""

    async def latest(self, *, as_of_ms: int) -> Facts | None:
        """The newest facts that were known at that instant, None where none were. Neither waits nor fails."""
        ...


class TradeRecords(Protocol):
    """Whoever knows how the signals of a symbol ended."""

    async def records(self, symbols: Sequence[str], *, synthetic: bool) -> Mapping[str, Records]:
        """The closed trades of each symbol's signals by variant and tier."""
        ...


class Analysts(Protocol):
    """Whoever computes the theories: in process, or on Ray Serve."""

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        """For each batch and row, what the theories found; what does not answer in time is named as missing."""
        ...


class Forecasters(Protocol):
    """Whoever asks the models: in process, or on Ray Serve."""

    def lineup(self) -> Lineup:
        """The models that speak now. A question reads it once and keeps to it."""
        ...

    async def forecast(self, windows: Windows, lineup: Lineup, *, timeout_seconds: float) -> list[Outlook]:
        """What the models of a lineup say of each row of minutes. It never raises: who is silent says why."""
        ...
