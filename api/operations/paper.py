"""Paper trades and what a hand does to them: the operations of the PaperService."""

from __future__ import annotations

from api.operation import Call, Operation
from core.paper.desk import PaperDesk
from core.paper.requests import (
    CancelPaperTradeRequest,
    ClosePaperTradeRequest,
    GetPaperTradeRequest,
    ListPaperTradesRequest,
    ListPaperTradesResponse,
    OpenPaperTradeRequest,
)
from core.risk.booking import Trade


def paper_operations(desk: PaperDesk) -> tuple[Operation, ...]:
    """Paper trades: listed, and opened, closed and taken back by hand."""

    async def list_trades(request: ListPaperTradesRequest, _call: Call) -> ListPaperTradesResponse:
        return await desk.page(request)

    async def get(request: GetPaperTradeRequest, _call: Call) -> Trade:
        return await desk.get(request)

    async def open_trade(request: OpenPaperTradeRequest, call: Call) -> Trade:
        return await desk.open(request, call.attempt)

    async def close(request: ClosePaperTradeRequest, call: Call) -> Trade:
        return await desk.close(request, call.attempt)

    async def cancel(request: CancelPaperTradeRequest, call: Call) -> Trade:
        return await desk.cancel(request, call.attempt)

    service = "PaperService"
    return (
        Operation(
            *(service, "ListPaperTrades", "GET", "/v1/paper-trades"),
            *(ListPaperTradesRequest, ListPaperTradesResponse, list_trades),
            summary="List paper trades, newest first",
        ),
        Operation(
            *(service, "GetPaperTrade", "GET", "/v1/paper-trades/{id}", GetPaperTradeRequest, Trade, get),
            summary="One paper trade",
        ),
        Operation(
            *(service, "OpenPaperTrade", "POST", "/v1/paper-trades", OpenPaperTradeRequest, Trade, open_trade),
            summary="Open the trade of a signal now, at the quote",
            description="Within the band around its entry. A rule that says no is an error with the rule as reason.",
            creates=True,
        ),
        Operation(
            *(service, "ClosePaperTrade", "POST", "/v1/paper-trades/close", ClosePaperTradeRequest, Trade, close),
            summary="Close an open trade now, at the quote",
            description="Always allowed: no halt and no limit forbids it.",
            creates=True,
        ),
        Operation(
            *(service, "CancelPaperTrade", "POST", "/v1/paper-trades/cancel", CancelPaperTradeRequest, Trade, cancel),
            summary="Take back a trade that waits",
            creates=True,
        ),
    )
