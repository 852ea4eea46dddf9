"""A desk for questions about models, over a folder: with models that answer the same always, and given live scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.adapters.models.folder import ModelFolder
from core.adapters.models.reports import ModelReports
from core.ensemble import Outlook
from core.errors import Code, CrpbotError
from core.files import Files
from core.forecasts.desk import ModelDesk, scope_of
from core.forecasts.lineup import Lineup, Seat, silent_outlook
from core.forecasts.score import Counts, LiveCount, LiveScore, Scope, score
from tests.core.books import NOON
from tests.core.forecast_cases import spoke, windows
from tests.core.model_stores import NEW, OLD

BROKEN = CrpbotError(Code.UNAVAILABLE, "the ledger is away", reason="LEDGER_UNREACHABLE")


class FakeModels:
    """A desk that asks models: one speaks, and a candidate."""

    def __init__(self) -> None:
        self.faults: tuple[str, ...] = ("lstm-00000000 cannot be used",)

    def lineup(self) -> Lineup:
        return Lineup((Seat(OLD), Seat(NEW, candidate=True)), faults=self.faults)

    async def forecast(self, symbols: Sequence[str], *, timeout_seconds: float) -> list[tuple[str, Outlook]]:
        outlook = spoke().outlook
        assert outlook is not None
        return [
            (symbol, outlook if symbol == "BTC-USD" else silent_outlook(symbol, self.lineup(), "no minutes"))
            for symbol in symbols
        ]


class FakeScores:
    """Counts and scores that were asked for; `broken` ones fail."""

    def __init__(self) -> None:
        self.broken = False
        self.asked: list[tuple[Scope, str | None]] = []

    async def count(self) -> dict[Scope, LiveCount]:
        if self.broken:
            raise BROKEN
        elsewhere = LiveCount(90, 0, 0, 0, windows=90, right=90, last=NOON)
        return {
            Scope(OLD.version, "coinbase", 15): elsewhere,
            scope_of(OLD): LiveCount(9, 1, 1, 0, windows=7, right=5, last=NOON),
            Scope(OLD.version, OLD.origin, 60): elsewhere,
        }

    async def score(self, scope: Scope, champion: str | None) -> LiveScore:
        if self.broken:
            raise BROKEN
        self.asked.append((scope, champion))
        return score(scope.version, Counts(2, 0, 0, 0, NOON, NOON), windows([0.9, 0.2], [True, False]))


def ask_about(place: Path | Files, scores: FakeScores) -> ModelDesk:
    """The desk over a folder of models."""
    return ModelDesk(
        store=ModelFolder(place),
        reports=ModelReports(place),
        count=scores.count,
        score=scores.score,
        forecasting=FakeModels(),
    )
