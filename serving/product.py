"""Puts the product together over one ledger: everything that can be asked, and what runs by itself beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from api.metrics import Metrics
from api.operation import Operation, remember
from api.operations import (
    account_operations,
    analysis_operations,
    model_operations,
    paper_operations,
    performance_operations,
    risk_operations,
    signal_operations,
)
from core.adapters.chat.chat import ChatClient
from core.adapters.ledger.accounts import StoredAccounts
from core.adapters.ledger.idempotency import Idempotency
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.paper_books import StoredBooks
from core.adapters.ledger.signals.decisions import StoredDecisions
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.theory_figures import StoredFigures
from core.desk import Desk
from core.fitted import Library
from core.forecasts.keeping import NotedStudies
from core.keeper import Keeper
from core.paper.desk import PaperDesk
from core.performance.desk import PerformanceDesk
from core.risk.pack import discover_packs
from core.settings.declared import Settings
from core.signals.desk import SignalDesk
from core.signals.reader import SignalReader
from serving.model_desk import build_forecast_desk, build_model_desk
from serving.risk import build_risk_desk, forced_switch, market_clock, seed_accounts
from serving.signals import (
    build_chores,
    build_model,
    build_spend,
    build_station,
    build_verdicts,
    make_key,
)
from serving.sources import Source
from serving.workroom import Workroom


@dataclass(frozen=True, slots=True)
class Product:
    """What the gateway serves, what runs beside it, and what is closed with it."""

    operations: tuple[Operation, ...]
    keeper: Keeper
    model: ChatClient | None
    close: Callable[[], Awaitable[None]]


async def build_product(
    settings: Settings,
    *,
    desk: Desk,
    source: Source,
    ledger: Ledger,
    library: Callable[[], Library],
    metrics: Metrics,
) -> Product:
    """Everything that this server can be asked and does by itself, over its ledger."""
    market, now = source
    await seed_accounts(ledger)
    clock = market_clock(settings, now, newest_ms=await StoredAccounts(ledger).newest_steady_ms())
    risk = build_risk_desk(settings, ledger, market, clock)
    spend = build_spend(settings, ledger)
    model = build_model(settings, spend)
    archive = Signals(ledger)
    forecasts = build_forecast_desk(settings, ledger, market)
    signals = SignalDesk(
        studies=NotedStudies(desk, forecasts, clock),
        verdicts=build_verdicts(settings, library, spend, model, count_uncompared=metrics.count_uncompared),
        risk=risk,
        decisions=StoredDecisions(ledger, archive, forced_switch(settings)),
        station=build_station(settings, market),
        clock=clock,
        make_key=make_key,
    )
    books = StoredBooks(ledger, forced_switch(settings))
    paper = PaperDesk(books=books, archive=archive, risk=risk, clock=clock)
    workroom = Workroom(settings.database_url.get_secret_value())
    performance = PerformanceDesk(
        statistics=workroom, figures=StoredFigures(ledger), clock=clock, name_account=risk.name_account
    )
    operations = (
        *analysis_operations(desk, metrics),
        *risk_operations(risk),
        *account_operations(risk),
        *signal_operations(signals, SignalReader(archive, clock)),
        *paper_operations(paper),
        *performance_operations(performance),
        *model_operations(build_model_desk(settings, desk, ledger, workroom)),
    )
    keys = Idempotency(ledger)
    keeper = Keeper(
        books=books,
        market=market,
        clock=clock,
        packs=discover_packs(),
        chores=(
            *build_chores(settings, ledger, spend, keys),
            lambda _moment: risk.watch(),
            performance.evaluate_daily,
            forecasts.settle,
            forecasts.forget,
        ),
    )

    async def close() -> None:
        await performance.close()
        await forecasts.close()
        workroom.close()
        if model is not None:
            await model.close()

    return Product(tuple(remember(each, keys, clock) for each in operations), keeper, model, close)
