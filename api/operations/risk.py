"""Limits, rules and the kill switch: the operations of the RiskService."""

from __future__ import annotations

from api.operation import Call, Operation
from core.risk.account import KillSwitch
from core.risk.desk import RiskDesk
from core.risk.report import (
    CheckTradeRequest,
    GetRiskRequest,
    ListRulePacksRequest,
    ListRulePacksResponse,
    RiskReport,
    TradeCheck,
)
from core.risk.requests import GetKillSwitchRequest, LiftLatchRequest, LiftLatchResponse, SetKillSwitchRequest


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
