"""Decisions: the operations of the SignalService."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from api.memory import signal_ids
from api.operation import MAX_TIMEOUT_SECONDS, Call, Operation
from core.explaining.explanation import Explanation
from core.llm.asking import SpendStatus
from core.signal import Signal
from core.signals.desk import SignalDesk
from core.signals.reader import SignalReader
from core.signals.requests import (
    ExplainSignalRequest,
    GenerateSignalsRequest,
    GenerateSignalsResponse,
    GetSignalRequest,
    GetSpendRequest,
    ListSignalsRequest,
    ListSignalsResponse,
    MarkExecutedRequest,
    SignalEvent,
    StreamSignalsRequest,
)


def signal_operations(desk: SignalDesk, reader: SignalReader) -> tuple[Operation, ...]:
    """Decisions: generated, listed, explained, streamed."""

    async def generate(request: GenerateSignalsRequest, call: Call) -> GenerateSignalsResponse:
        return await desk.generate(
            request, timeout_seconds=call.timeout_seconds, key=call.idempotency_key, attempt=call.attempt
        )

    async def get(request: GetSignalRequest, _call: Call) -> Signal:
        return await reader.get(request)

    async def list_signals(request: ListSignalsRequest, _call: Call) -> ListSignalsResponse:
        return await reader.page(request)

    async def explain(request: ExplainSignalRequest, _call: Call) -> Explanation:
        return await reader.explain(request)

    def stream(request: StreamSignalsRequest, _call: Call) -> AsyncGenerator[SignalEvent, None]:
        return reader.stream(request)

    async def mark(request: MarkExecutedRequest, call: Call) -> Signal:
        return await reader.mark(request, call.attempt)

    async def spend(_request: GetSpendRequest, _call: Call) -> SpendStatus:
        return await desk.spend()

    service = "SignalService"
    return (
        Operation(
            *(service, "GenerateSignals", "POST", "/v1/signals"),
            *(GenerateSignalsRequest, GenerateSignalsResponse, generate),
            summary="Decide on one symbol or several",
            description="A refusal is a HOLD with its vetoes. With a `slot` the decision of that slot is the answer.",
            creates=True,
            patience_seconds=MAX_TIMEOUT_SECONDS,
            memory=signal_ids(reader),
        ),
        Operation(
            *(service, "ListSignals", "GET", "/v1/signals", ListSignalsRequest, ListSignalsResponse, list_signals),
            summary="List decisions, newest first",
        ),
        Operation(
            *(service, "StreamSignals", "GET", "/v1/signals/stream", StreamSignalsRequest, SignalEvent, stream),
            summary="Follow decisions as they are stored",
            description="Server-sent events; `Last-Event-ID` (or `after`) resumes without a gap.",
            streams=True,
        ),
        Operation(
            *(service, "GetSignal", "GET", "/v1/signals/{id}", GetSignalRequest, Signal, get),
            summary="One decision",
        ),
        Operation(
            *(service, "ExplainSignal", "GET", "/v1/signals/{id}/explanation"),
            *(ExplainSignalRequest, Explanation, explain),
            summary="Why this decision, and the smallest change that would have changed it",
        ),
        Operation(
            *(service, "MarkExecuted", "POST", "/v1/signals/executed", MarkExecutedRequest, Signal, mark),
            summary="The trader took this signal",
            creates=True,
        ),
        Operation(
            *(service, "GetSpend", "GET", "/v1/spend", GetSpendRequest, SpendStatus, spend),
            summary="What the language model has cost",
        ),
    )
