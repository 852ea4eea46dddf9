"""Puts together what can be asked about models, and who keeps and scores what they said."""

from __future__ import annotations

from datetime import timedelta

from core.adapters.files.places import open_files
from core.adapters.ledger.forecast_scores import ForecastScores
from core.adapters.ledger.forecasts import StoredForecasts
from core.adapters.ledger.ledger import Ledger
from core.adapters.models.folder import ModelFolder
from core.adapters.models.reports import ModelReports
from core.desk import Desk
from core.forecasts.desk import ModelDesk
from core.forecasts.keeping import ForecastKeeper
from core.ports import Market
from core.settings.declared import Settings
from serving.ensemble import model_url
from serving.workroom import Workroom


def build_forecast_desk(settings: Settings, ledger: Ledger, market: Market) -> ForecastKeeper:
    """Who keeps what the models say beside each decision."""
    retention = timedelta(days=settings.database.retention_days)
    return ForecastKeeper(store=StoredForecasts(ledger), market=market, retention=retention)


def build_model_desk(settings: Settings, desk: Desk, ledger: Ledger, workroom: Workroom) -> ModelDesk:
    """Who answers questions about models."""
    files = open_files(model_url(settings))
    return ModelDesk(
        store=ModelFolder(files),
        reports=ModelReports(files),
        count=ForecastScores(ledger).count,
        score=workroom.live_score,
        forecasting=desk,
    )
