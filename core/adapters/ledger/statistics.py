"""Answers about results, computed from one ledger. They take tenths of seconds to seconds: no event loop may do it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.adapters.ledger.forecast_scores import ForecastScores
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.results import find_account, read_judged, read_sample
from core.forecasts.score import LiveScore, Scope
from core.performance.question import MeasureRequest, PerformanceRequest
from core.performance.report import (
    Calibration,
    EquityCurve,
    PerformanceReport,
    report_calibration,
    report_equity,
    report_performance,
    report_review,
)
from core.performance.review import Review
from core.performance.theories import ContributionReport, TheoryPerformance, evaluate_theories, report_contribution


@dataclass(frozen=True, slots=True)
class LedgerStatistics:
    """The statistics of one ledger. Each request names its account."""

    ledger: Ledger

    async def performance(self, request: PerformanceRequest, now: datetime) -> PerformanceReport:
        """Every statistic."""
        async with self.ledger.reading() as connection:
            sample = await read_sample(connection, named(request.account), request, with_decisions=True)
        return report_performance(sample, request, now)

    async def contribution(self, request: MeasureRequest) -> ContributionReport:
        """What each theory is worth."""
        account = named(request.account)
        async with self.ledger.reading() as connection:
            judged, forgotten = await read_judged(connection, account, request)
        return report_contribution(account, judged, forgotten=forgotten)

    async def review(self, request: MeasureRequest, now: datetime) -> Review:
        """The rule's advice."""
        async with self.ledger.reading() as connection:
            sample = await read_sample(connection, named(request.account), request)
        return report_review(sample, request, now)

    async def equity(self, request: MeasureRequest) -> EquityCurve:
        """The balance after each trade."""
        async with self.ledger.reading() as connection:
            return report_equity(await read_sample(connection, named(request.account), request))

    async def calibration(self, request: MeasureRequest) -> Calibration:
        """Confidence against outcome."""
        async with self.ledger.reading() as connection:
            return report_calibration(await read_sample(connection, named(request.account), request))

    async def evaluate(self, account: str, at: datetime) -> tuple[TheoryPerformance, ...]:
        """Every theory on every symbol of an account, from what had closed by then."""
        async with self.ledger.reading() as connection:
            capital = (await find_account(connection, account)).initial_capital
            judged, _ = await read_judged(connection, account, MeasureRequest(until=at))
        return evaluate_theories(account, capital, judged, at)

    async def live_score(self, scope: Scope, champion: str | None) -> LiveScore:
        """What a model's live forecasts were worth."""
        return await ForecastScores(self.ledger).score(scope, champion)


def named(account: str | None) -> str:
    """The account of a request that the desk has completed."""
    assert account is not None
    return account
