"""What a trader can ask about models: which there are, all about one of them, its report, and what they say now.

Reading the folder may block on a disk, so it is done in a thread; the folder is looked at anew for every question, so
that a promotion shows at once, and only what is new is read. Whether a model is used at this moment is told by the
lineup, which follows the folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from core.asked_symbols import require_symbols
from core.ensemble import Outlook, combine
from core.errors import Code, CrpbotError
from core.files import is_away
from core.forecasts.facts import Found, describe, names_kind, summarise
from core.forecasts.lineup import Lineup
from core.forecasts.requests import (
    ForecastRequest,
    ForecastResponse,
    GetModelReportRequest,
    GetModelRequest,
    LineupReport,
    LineupSeat,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    ModelReport,
    ModelState,
    ModelSummary,
    SymbolForecast,
)
from core.forecasts.score import LiveCount, LiveScore, Scope
from core.market import interval_seconds, parse_symbol
from core.models.manifest import Manifest
from core.models.store import Entry, GateReports, Judged, ModelStore, Stock, slot_of, unknown_version
from core.models.suitability import check_usable

MOST_SYMBOLS: Final = 64


Count = Callable[[], Awaitable[Mapping[Scope, LiveCount]]]
"""How often each model spoke on live windows and was right."""

Score = Callable[[Scope, str | None], Awaitable[LiveScore]]
"""The live score of a model, and against the champion where one is given."""


class Forecasting(Protocol):
    """Whoever asks the models."""

    async def forecast(self, symbols: Sequence[str], *, timeout_seconds: float) -> list[tuple[str, Outlook]]:
        """What the models say of each symbol now, in the order of the symbols."""
        ...

    def lineup(self) -> Lineup:
        """The models that speak now; an empty one where no model is asked."""
        ...


class ModelDesk:
    """Answers questions about models."""

    def __init__(
        self, *, store: ModelStore, reports: GateReports, count: Count, score: Score, forecasting: Forecasting
    ) -> None:
        self._store = store
        self._reports = reports
        self._count = count
        self._score = score
        self._forecasting = forecasting

    async def list_models(self, request: ListModelsRequest) -> ListModelsResponse:
        """Every model of the folder that is asked for, and which of them this server asks now."""
        symbol = None if request.symbol is None else parse_symbol(request.symbol, field="symbol")
        lineup = self._forecasting.lineup()
        counts: Mapping[Scope, LiveCount] = {}
        problem = None
        try:
            counts = await self._count()
        except CrpbotError as error:
            problem = error.detail
        models = await asyncio.to_thread(self._summaries, counts, frozenset(lineup.versions))
        wanted = tuple(
            each
            for each in models
            if (request.kind is None or names_kind(each, request.kind))
            and (symbol is None or symbol in (each.symbols or (symbol,)))
        )
        return ListModelsResponse(wanted, report_lineup(lineup), problem)

    async def get_model(self, request: GetModelRequest) -> Model:
        """All that is known of one model."""
        found = await asyncio.to_thread(self._find, request.version)
        live, problem = None, None
        try:
            live = await self._score(scope_of(found.manifest), found.champion)
        except CrpbotError as error:
            problem = error.detail
        serving = request.version in self._forecasting.lineup().versions
        return describe(found, serving=serving, live=live, live_problem=problem)

    async def get_report(self, request: GetModelReportRequest) -> ModelReport:
        """The promotion gate's report as a page."""
        return await asyncio.to_thread(self._report, request.version)

    async def forecast(self, request: ForecastRequest, *, timeout_seconds: float) -> ForecastResponse:
        """What the models say now, in part where not all of them speak."""
        symbols = require_symbols(request.symbol, request.symbols, most=MOST_SYMBOLS, purpose="foresee")
        found = await self._forecasting.forecast(symbols, timeout_seconds=timeout_seconds)
        return ForecastResponse(
            tuple(
                SymbolForecast(symbol, outlook.as_of, combine(outlook), outlook.forecasts, outlook.candidates)
                for symbol, outlook in found
            )
        )

    def _summaries(self, counts: Mapping[Scope, LiveCount], serving: frozenset[str]) -> list[ModelSummary]:
        stock = self._store.look()
        states, judged = _states(stock), self._reports.judged(stock)
        found = []
        for entry in stock.entries:
            manifest = entry.manifest
            version = None if manifest is None else manifest.version
            gate = None if version is None else judged.get(version)
            found.append(
                summarise(
                    entry,
                    state=ModelState.DAMAGED if version is None else states.get(version, ModelState.KEPT),
                    serving=version in serving,
                    judgement=None if gate is None else gate.newest,
                    live=None if manifest is None else counts.get(scope_of(manifest)),
                )
            )
        return found

    def _find(self, version: str) -> Found:
        """One model with its report and history, and what keeps it from being used."""
        stock = self._store.look()
        entry, manifest = _choose(stock, version)
        slot, champion = slot_of(manifest), stock.promoted.get(slot_of(manifest))
        fault = None
        try:
            check_usable(manifest)
            self._store.verify(entry, stock)
        except CrpbotError as error:
            fault = error.detail
        return Found(
            entry.file,
            manifest,
            _states(stock).get(manifest.version, ModelState.KEPT),
            self._judged(entry, stock),
            self._store.history(slot),
            None if champion is None or champion.manifest is None else champion.manifest.version,
            fault,
        )

    def _report(self, version: str) -> ModelReport:
        stock = self._store.look()
        entry, _ = _choose(stock, version)
        judged = self._judged(entry, stock)
        if judged is None:
            raise _no_report(version, "there is none, or it does not follow from its own numbers")
        try:
            return ModelReport(version, self._reports.page(judged))
        except CrpbotError as error:
            if is_away(error):
                raise
            raise _no_report(version, error.detail) from error

    def _judged(self, entry: Entry, stock: Stock) -> Judged | None:
        """What the gate says of one model."""
        return self._reports.judged(stock._replace(entries=(entry,))).get(entry.read().version)


def scope_of(manifest: Manifest) -> Scope:
    """The live windows that tell what a model is worth: of the market that it learned from, over its horizon."""
    minutes = manifest.horizon * interval_seconds(manifest.interval) // 60
    return Scope(manifest.version, manifest.origin, minutes)


def report_lineup(lineup: Lineup) -> LineupReport:
    """Which models are asked now."""
    seats = (
        LineupSeat(manifest.kind, manifest.version, manifest.symbols, candidate) for manifest, candidate in lineup.seats
    )
    return LineupReport(tuple(seats), lineup.faults)


def is_named(entry: Entry, version: str) -> bool:
    """Whether an entry is meant: by its version, or, where that cannot be read, by its file."""
    return entry.file == version if entry.manifest is None else entry.manifest.version == version


def _states(stock: Stock) -> dict[str, ModelState]:
    """The models that decide or are on trial, by version."""
    found = {}
    for state, entries in ((ModelState.CANDIDATE, stock.candidates), (ModelState.PROMOTED, stock.promoted)):
        found.update({each.manifest.version: state for each in entries.values() if each.manifest is not None})
    return found


def _choose(stock: Stock, version: str) -> tuple[Entry, Manifest]:
    """The model that is meant; a damaged one is refused with its fault."""
    entry = next((each for each in stock.entries if is_named(each, version)), None)
    if entry is None:
        raise unknown_version(version, stock.entries)
    if entry.manifest is None:
        detail = f"version: the model {entry.file} is damaged: {entry.fault.detail if entry.fault else 'unreadable'}"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="DAMAGED_MODEL")
    return entry, entry.manifest


def _no_report(version: str, why: str) -> CrpbotError:
    detail = f"version: no gate report of {version} can be read ({why}); crpbot evaluate makes one"
    return CrpbotError(Code.NOT_FOUND, detail, reason="NO_REPORT")
