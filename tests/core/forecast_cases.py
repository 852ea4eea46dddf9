"""Studies in which models spoke, a store in memory, and windows whose outcome is drawn: for tests of the live score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from core.ensemble import Forecast, Outlook
from core.errors import CrpbotError
from core.forecasts.log import Awaited, Noted, Settled, ends
from core.forecasts.score import Windows
from core.market import milliseconds
from core.models.weighting import KINDS, USUAL
from core.signals.ports import Study
from tests.core.books import NOON
from tests.core.signal_cases import a_study

VERSIONS = dict(zip(KINDS, ("lstm-11111111", "transformer-22222222", "ppo-33333333"), strict=True))
RIVAL = "lstm-99999999"


def spoke(
    symbol: str = "BTC-USD", at: datetime = NOON, *, probability: float | None = 0.625, identity: str = "planted"
) -> Study:
    """A study beside which all models but the policy spoke, and a candidate; no policy is promoted."""
    said = {kind: _forecast(kind, VERSIONS[kind], probability) for kind in ("lstm", "transformer")}
    nobody = Forecast("ppo", "", None, None, "no ppo is promoted")
    outlook = Outlook(
        at,
        15,
        (said["lstm"], said["transformer"], nobody),
        USUAL,
        candidates=(_forecast("lstm", RIVAL, 0.25),),
    )
    return replace(a_study(symbol, at_ms=milliseconds(at)), outlook=outlook, identity=identity)


def windows(probability: Sequence[float], up: Sequence[bool], *, coins: int = 1, first: int = 0) -> Windows:
    """Windows of so many coins an instant, 15 minutes apart."""
    places = np.arange(len(up))
    return Windows(
        15 * (first + places // coins),
        (places % coins).astype(np.int64),
        np.array(probability),
        np.array(up, dtype=bool),
    )


@dataclass
class KeptForecasts:
    """A store in memory. `broken` ones fail."""

    notes: dict[tuple[str, str, datetime], Noted] = field(default_factory=dict)
    came: dict[tuple[str, datetime], Settled] = field(default_factory=dict)
    calls: int = 0
    broken: CrpbotError | Exception | None = None

    async def store(self, notes: Sequence[Noted]) -> None:
        self.calls += 1
        if self.broken is not None:
            raise self.broken
        for note in notes:
            key = note.source.version, note.source.symbol, note.as_of
            if (known := self.notes.get(key)) is None or known.probability is None:
                self.notes[key] = note

    async def awaited(self, identity: str, now: datetime, *, limit: int) -> Sequence[Awaited]:
        waiting: dict[datetime, list[str]] = {}
        for note in self.notes.values():
            name = note.source.symbol
            if note.source.identity == identity and (name, note.as_of) not in self.came:
                names = waiting.setdefault(note.as_of, [])
                names += [name] if name not in names else []
        found = [Awaited(at, 15, tuple(names)) for at, names in sorted(waiting.items())]
        return [each for each in found if ends(each) <= now][:limit]

    async def settle(self, identity: str, awaited: Awaited, found: Sequence[Settled]) -> None:
        self.came.update({(each.symbol, awaited.as_of): each for each in found})

    async def forget(self, before: datetime) -> int:
        old = [key for key in self.notes if key[2] < before]
        for key in old:
            del self.notes[key]
        return len(old)


def _forecast(kind: str, version: str, probability: float | None) -> Forecast:
    if probability is None:
        return Forecast(kind, version, None, None, "it did not answer")
    return Forecast(kind, version, probability, probability - 0.125)
