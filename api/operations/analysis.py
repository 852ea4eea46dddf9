"""Reading a market: the operations of the AnalysisService."""

from __future__ import annotations

from api.metrics import Metrics
from api.operation import LARGE_BYTES, Call, Operation
from core.analysis import AnalyzeRequest, AnalyzeResponse, ListTheoriesRequest, ListTheoriesResponse
from core.desk import Desk


def analysis_operations(desk: Desk, metrics: Metrics) -> tuple[Operation, ...]:
    """What the theories say about a market."""

    async def analyze(request: AnalyzeRequest, call: Call) -> AnalyzeResponse:
        response = await desk.analyze(request, timeout_seconds=call.timeout_seconds)
        for analysis in response.analyses:
            for gap in analysis.missing:
                metrics.count_missing(gap.theory, gap.reason)
        return response

    async def list_theories(_request: ListTheoriesRequest, _call: Call) -> ListTheoriesResponse:
        return desk.list_theories()

    service = "AnalysisService"
    return (
        Operation(
            *(service, "Analyze", "POST", "/v1/analyze", AnalyzeRequest, AnalyzeResponse, analyze),
            summary="Analyse one or many windows",
            description="The latest closed candles of `symbol` or `symbols`, or the caller's own `candles` or `ccxt`.",
            max_bytes=LARGE_BYTES,
        ),
        Operation(
            *(service, "ListTheories", "GET", "/v1/theories", ListTheoriesRequest, ListTheoriesResponse, list_theories),
            summary="List the theories",
        ),
    )
