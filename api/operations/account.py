"""Accounts and their reports: the operations of the AccountService."""

from __future__ import annotations

from api.memory import whole
from api.operation import Call, Operation
from core.risk.account import Account
from core.risk.desk import RiskDesk
from core.risk.report import GetRiskRequest, RiskReport
from core.risk.requests import CreateAccountRequest, ListAccountsRequest, ListAccountsResponse, ReportAccountRequest


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
