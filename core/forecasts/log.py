"""What each model said beside every decision, and what then came: kept so that models are scored on live windows.

The models that decide and those on trial stand here alike, with their silences. What came is the label that they
learned (core/models/outcome.py), read from closed minutes: where one of these is missing, nobody knows what came.

Pure: who stores it is a port, and what time it is comes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from core.market import Candles, instant, milliseconds
from core.models.outcome import what_came
from core.paper.tape import ABSENT, INTERVAL, MINUTE_MS, SETTLED_MS
from core.signals.ports import Study

HOLE_STAYS: Final = timedelta(hours=1)  # by then a market has told a late candle, or never will
PATIENCE: Final = timedelta(days=1)  # with a market that does not answer


class Came(IntEnum):
    """What came after a forecast, as it is kept."""

    UNKNOWN = -1  # a minute is missing for good
    NOT_UP = 0
    UP = 1


class Source(NamedTuple):
    """Who said it, of what: one model on one symbol of one market."""

    identity: str
    symbol: str
    kind: str
    version: str
    horizon_minutes: int


@dataclass(frozen=True, slots=True)
class Noted:
    """What a model said at an instant. A silent one has no probability, and a candidate had no effect."""

    source: Source
    as_of: datetime
    candidate: bool
    probability: float | None
    calibrated: float | None


class Awaited(NamedTuple):
    """What came after this instant is not known yet, on these symbols of one market."""

    as_of: datetime
    horizon_minutes: int
    symbols: tuple[str, ...]


class Settled(NamedTuple):
    """What came on one symbol; `move` is the log return, None where nobody knows."""

    symbol: str
    came: Came
    move: float | None


class ForecastLog(Protocol):
    """Whoever keeps what the models said. It neither waits nor fails: the decision stands in any case."""

    def note(self, studies: Sequence[Study], at: datetime) -> None:
        """Keep what the models said of these markets when they were asked at this instant."""
        ...


class ForecastStore(Protocol):
    """Where it is kept."""

    async def store(self, notes: Sequence[Noted]) -> None:
        """Keep these; what a model has said of a symbol and instant already stays, but a silence gives way to it."""
        ...

    async def awaited(self, identity: str, now: datetime, *, limit: int) -> Sequence[Awaited]:
        """The oldest instants whose horizon is over and of which nobody knows yet what came."""
        ...

    async def settle(self, identity: str, awaited: Awaited, found: Sequence[Settled]) -> None:
        """Keep what came; what is known already stays."""
        ...

    async def forget(self, before: datetime) -> int:
        """Delete what was said before that instant."""
        ...


def notes_of(studies: Sequence[Study], at: datetime) -> list[Noted]:
    """What the models said of each market. A kind of which no model is promoted says nothing, and is not noted.

    Where no minutes were read, a silence stands at the minute in which the models were asked: there their answer would
    stand, so that silences and answers count alike, and an answer to the same question takes the silence's place.
    """
    asked = instant(milliseconds(at) // MINUTE_MS * MINUTE_MS)
    return [
        Noted(
            Source(study.identity, study.analysis.symbol, each.kind, each.version, outlook.horizon_minutes),
            outlook.as_of or asked,
            candidate,
            each.probability,
            each.calibrated,
        )
        for study in studies
        if (outlook := study.outlook) is not None
        for candidate, forecasts in ((False, outlook.forecasts), (True, outlook.candidates))
        for each in forecasts
        if each.version
    ]


def ends(awaited: Awaited) -> datetime:
    """When the last minute closes that tells what came."""
    return awaited.as_of + timedelta(minutes=awaited.horizon_minutes)


def minutes_of(awaited: Awaited) -> int:
    """How many minutes tell what came: the one that closed at the forecast's instant, and those of the horizon."""
    return awaited.horizon_minutes + 1


def settle_one(awaited: Awaited, candles: Candles) -> Settled | None:
    """What came on a symbol by its minutes; None where these are not the ones that tell it."""
    wanted = minutes_of(awaited)
    first_ms = milliseconds(awaited.as_of) - MINUTE_MS
    if candles.interval != INTERVAL or len(candles) != wanted or int(candles.open_times[0]) != first_ms:
        return None
    future = what_came(candles.close, awaited.horizon_minutes)
    came = Came.UP if future.up[0] > 0.0 else Came.NOT_UP
    return Settled(candles.symbol, came, float(future.move[0]))


def give_up(awaited: Awaited, symbol: str, reason: str, now: datetime) -> Settled | None:
    """Whether nobody will ever know what came on a symbol of which the market refuses the minutes."""
    patience = HOLE_STAYS if reason in ABSENT else PATIENCE
    return Settled(symbol, Came.UNKNOWN, None) if now - ends(awaited) > patience else None


def ask_at_ms(awaited: Awaited) -> int:
    """The instant at which the market is asked: late enough to tell the last minute, too early for the next."""
    return milliseconds(ends(awaited)) + SETTLED_MS
