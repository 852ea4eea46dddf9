"""Everything that a caller can ask for. Both faces, the OpenAPI document and the contract test are made from this."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from api.memory import signal_ids, whole
from api.metrics import Metrics
from api.operation import LARGE_BYTES, MAX_TIMEOUT_SECONDS, Call, Operation
from core.analysis import AnalyzeRequest, AnalyzeResponse, ListTheoriesRequest, ListTheoriesResponse
from core.desk import Desk
from core.explain import Explanation
from core.llm import SpendStatus
from core.paper_desk import PaperDesk
from core.paper_requests import (
    CancelPaperTradeRequest,
    ClosePaperTradeRequest,
    GetPaperTradeRequest,
    ListPaperTradesRequest,
    ListPaperTradesResponse,
    OpenPaperTradeRequest,
)
from core.risk.account import Account, KillSwitch
from core.risk.booking import Trade
from core.risk.desk import RiskDesk
from core.risk.report import (
    CheckTradeRequest,
    GetRiskRequest,
    ListRulePacksRequest,
    ListRulePacksResponse,
    RiskReport,
    TradeCheck,
)
from core.risk.requests import (
    CreateAccountRequest,
    GetKillSwitchRequest,
    LiftLatchRequest,
    LiftLatchResponse,
    ListAccountsRequest,
    ListAccountsResponse,
    ReportAccountRequest,
    SetKillSwitchRequest,
)
from core.signal import Signal
from core.signal_desk import SignalDesk
from core.signal_reader import SignalReader
from core.signal_requests import (
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


def risk_operations(desk: RiskDesk) -> tuple[Operation, ...]:
    """How an account stands, what it may still do, and the switch that stops everything."""

    async def get_risk(request: GetRiskRequest, _call: Call) -> RiskReport:
        return await desk.report(request)

    async def check_trade(request: CheckTradeRequest, _call: Call) -> TradeCheck:
        return await desk.check(request)

    async def list_packs(_request: ListRulePacksRequest, _call: Call) -> ListRulePacksResponse:
        return desk.packs()

    async def get_switch(_request: GetKillSwitchRequest, _call: Call) -> KillSwitch:
        return await desk.kill_switch()

    async def set_switch(request: SetKillSwitchRequest, call: Call) -> KillSwitch:
        return await desk.kill(request, call.attempt)

    async def lift(request: LiftLatchRequest, call: Call) -> LiftLatchResponse:
        return await desk.lift(request, call.attempt)

    service = "RiskService"
    return (
        Operation(
            *(service, "GetRisk", "GET", "/v1/risk", GetRiskRequest, RiskReport, get_risk),
            summary="How an account stands against its limits",
        ),
        Operation(
            *(service, "CheckTrade", "POST", "/v1/risk/check", CheckTradeRequest, TradeCheck, check_trade),
            summary="Would this trade be allowed, at which size, and which rule binds",
            description="Changes nothing. A refusal is an answer with vetoes, not an error.",
        ),
        Operation(
            *(
                service,
                "ListRulePacks",
                "GET",
                "/v1/rule-packs",
                ListRulePacksRequest,
                ListRulePacksResponse,
                list_packs,
            ),
            summary="List the firms' rules with their sources",
        ),
        Operation(
            *(service, "GetKillSwitch", "GET", "/v1/kill-switch", GetKillSwitchRequest, KillSwitch, get_switch),
            summary="How the kill switch stands",
        ),
        Operation(
            *(service, "SetKillSwitch", "POST", "/v1/kill-switch", SetKillSwitchRequest, KillSwitch, set_switch),
            summary="Set the kill switch",
            description="When this has returned, nothing that the level forbids becomes visible on any gateway.",
            creates=True,
        ),
        Operation(
            *(service, "LiftLatch", "POST", "/v1/risk/lift", LiftLatchRequest, LiftLatchResponse, lift),
            summary="Lift a limit that has tripped and stays so",
            creates=True,
        ),
    )


def account_operations(desk: RiskDesk) -> tuple[Operation, ...]:
    """The accounts, and what their holders tell about them."""

    async def create(request: CreateAccountRequest, call: Call) -> Account:
        return await desk.create(request, call.attempt)

    async def list_accounts(_request: ListAccountsRequest, _call: Call) -> ListAccountsResponse:
        return await desk.accounts()

    async def report(request: ReportAccountRequest, call: Call) -> RiskReport:
        return await desk.tell(request, call.attempt)

    async def stand(request: ReportAccountRequest) -> RiskReport:
        return await desk.report(GetRiskRequest(request.account))

    service = "AccountService"
    return (
        Operation(
            *(service, "CreateAccount", "POST", "/v1/accounts", CreateAccountRequest, Account, create),
            summary="Make an account",
            creates=True,
        ),
        Operation(
            *(service, "ListAccounts", "GET", "/v1/accounts", ListAccountsRequest, ListAccountsResponse, list_accounts),
            summary="List the accounts",
        ),
        Operation(
            *(service, "ReportAccount", "POST", "/v1/account-reports", ReportAccountRequest, RiskReport, report),
            summary="Tell how an account at a firm stands now",
            creates=True,
            memory=whole(RiskReport, again=stand),
        ),
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
