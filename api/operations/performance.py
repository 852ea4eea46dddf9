"""What closed trades prove: the operations of the PerformanceService."""

from __future__ import annotations

from api.operation import MAX_TIMEOUT_SECONDS, Call, Operation
from core.performance.desk import PerformanceDesk
from core.performance.question import (
    EvaluateTheoriesRequest,
    ListTheoryPerformanceRequest,
    MeasureRequest,
    PerformanceRequest,
)
from core.performance.report import Calibration, EquityCurve, PerformanceReport
from core.performance.review import Review
from core.performance.theories import ContributionReport, ListTheoryPerformanceResponse

SERVICE = "PerformanceService"
THEORIES = "/v1/performance/theories"


def performance_operations(desk: PerformanceDesk) -> tuple[Operation, ...]:
    """Statistics with their intervals, the worth of each theory, the review, and what the pictures are drawn from."""
    return (*_result_operations(desk), *_theory_operations(desk))


def _result_operations(desk: PerformanceDesk) -> tuple[Operation, ...]:
    async def performance(request: PerformanceRequest, _call: Call) -> PerformanceReport:
        return await desk.performance(request)

    async def review(request: MeasureRequest, _call: Call) -> Review:
        return await desk.review(request)

    async def equity(request: MeasureRequest, _call: Call) -> EquityCurve:
        return await desk.equity(request)

    async def calibration(request: MeasureRequest, _call: Call) -> Calibration:
        return await desk.calibration(request)

    return (
        Operation(
            *(SERVICE, "GetPerformance", "GET", "/v1/performance", PerformanceRequest, PerformanceReport, performance),
            summary="What the trades amount to, and what they prove",
            description="Every statistic with n and a 95 % interval; `group_by` tells groups apart.",
            patience_seconds=MAX_TIMEOUT_SECONDS,
        ),
        Operation(
            *(SERVICE, "GetReview", "GET", "/v1/performance/review", MeasureRequest, Review, review),
            summary="Improve, one more week, or keep, and whether that is decided",
            patience_seconds=MAX_TIMEOUT_SECONDS,
        ),
        Operation(
            *(SERVICE, "GetEquity", "GET", "/v1/performance/equity", MeasureRequest, EquityCurve, equity),
            summary="The balance after each trade",
            patience_seconds=MAX_TIMEOUT_SECONDS,
        ),
        Operation(
            *(
                SERVICE,
                "GetCalibration",
                "GET",
                "/v1/performance/calibration",
                MeasureRequest,
                Calibration,
                calibration,
            ),
            summary="Confidence against outcome",
            patience_seconds=MAX_TIMEOUT_SECONDS,
        ),
    )


def _theory_operations(desk: PerformanceDesk) -> tuple[Operation, ...]:
    async def contribution(request: MeasureRequest, _call: Call) -> ContributionReport:
        return await desk.contribution(request)

    async def stored(request: ListTheoryPerformanceRequest, _call: Call) -> ListTheoryPerformanceResponse:
        return await desk.evaluations(request)

    async def evaluate(request: EvaluateTheoriesRequest, call: Call) -> ListTheoryPerformanceResponse:
        return await desk.evaluate(request, call.attempt)

    return (
        Operation(
            *(SERVICE, "GetContribution", "GET", "/v1/performance/contribution"),
            *(MeasureRequest, ContributionReport, contribution),
            summary="What each theory is worth",
            description="The newest decisions, each made again without each theory.",
            patience_seconds=MAX_TIMEOUT_SECONDS,
        ),
        Operation(
            *(SERVICE, "ListTheoryPerformance", "GET", THEORIES),
            *(ListTheoryPerformanceRequest, ListTheoryPerformanceResponse, stored),
            summary="Evaluations of the theories as they were stored, newest first",
        ),
        Operation(
            *(SERVICE, "EvaluateTheories", "POST", THEORIES),
            *(EvaluateTheoriesRequest, ListTheoryPerformanceResponse, evaluate),
            summary="Evaluate the theories now, and store it",
            description="The server does it by itself once a day.",
            creates=True,
            patience_seconds=MAX_TIMEOUT_SECONDS,
        ),
    )
