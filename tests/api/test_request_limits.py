"""What no request may hold, refused alike on both faces with the field named, before anything is asked or stored."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from api.limits import MAX_TEXT, MAX_WHOLE, check_request
from api.metrics import Metrics
from api.operation import Operation
from core.adapters.ledger.migrations import upgrade
from core.analysis import AnalyzeRequest, CandleColumns, ListTheoriesRequest, ListTheoriesResponse
from core.errors import CrpbotError
from core.risk.account import AccountKind
from core.risk.requests import CreateAccountRequest, ReportAccountRequest
from core.signals.requests import GenerateSignalsRequest, GetSignalRequest, ListSignalsRequest, StreamSignalsRequest
from protos import crpbot_pb2 as pb
from tests.api.gateways import Running, all_operations, refusal_of_grpc, refusal_of_rest, running_gateway

EARLY = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
LATE = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-14)))
CHECK = {"symbol": "BTC-USD", "direction": "BUY", "stop_loss": "1"}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("state")
    upgrade(f"sqlite:///{folder}/crpbot.db")
    with running_gateway(build=partial(all_operations, folder=Path(folder))) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (GetSignalRequest("a\0b"), "id"),
        (GetSignalRequest("a\ud800"), "id"),
        (GetSignalRequest("x" * (MAX_TEXT + 1)), "id"),
        (GenerateSignalsRequest(symbols=("BTC-USD", "ETH\n")), "symbols.1"),
        (CreateAccountRequest("a", AccountKind.PAPER, Decimal("1e30")), "initial_capital"),
        (CreateAccountRequest("a", AccountKind.PAPER, Decimal("1e-31")), "initial_capital"),
        (CreateAccountRequest("a", AccountKind.PAPER, Decimal("1." + "7" * 900)), "initial_capital"),
        (ReportAccountRequest("a", Decimal(1), Decimal(1), trading_days=2**31), "trading_days"),
        (ReportAccountRequest("a", Decimal(1), Decimal(1), trading_days=2**70), "trading_days"),
        (ListSignalsRequest(cursor=2**63), "cursor"),
        (ListSignalsRequest(cursor=-1), "cursor"),
        (StreamSignalsRequest(after=-1), "after"),
        (StreamSignalsRequest(after=2**63), "after"),
        (ListSignalsRequest(since=EARLY), "since"),
        (ListSignalsRequest(until=LATE), "until"),
        (ListSignalsRequest(since=datetime(1969, 12, 31, tzinfo=UTC)), "since"),
        (AnalyzeRequest(candles=(CandleColumns("B\0", "5m", (), (), (), (), (), ()),)), "candles.0.symbol"),
    ],
)
def test_a_value_that_nothing_can_hold_is_refused_with_its_field(request_: object, field: str) -> None:
    with pytest.raises(CrpbotError) as caught:
        check_request(request_)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(
    "request_",
    [
        GetSignalRequest("é" * MAX_TEXT),
        ReportAccountRequest("a", Decimal("-9" + "9" * 29), Decimal("0." + "9" * 30), trading_days=MAX_WHOLE),
        StreamSignalsRequest(after=2**63 - 1),
        ListSignalsRequest(since=datetime(1970, 1, 1, tzinfo=UTC), until=datetime(9998, 12, 31, tzinfo=UTC)),
        ListSignalsRequest(),
    ],
)
def test_what_lies_just_within_the_limits_passes(request_: object) -> None:
    check_request(request_)


def test_the_columns_of_candles_are_left_to_whoever_reads_candles() -> None:
    class Untouchable(tuple[float, ...]):
        """A column that must not be walked."""

        __slots__ = ()

        def __iter__(self) -> Iterator[float]:
            raise AssertionError("the column was walked")

    column = Untouchable((1.0,))
    columns = CandleColumns("BTC-USD", "5m", Untouchable((1,)), *[column] * 5)  # type: ignore[arg-type]
    check_request(AnalyzeRequest(candles=(columns,)))


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("GET", "/v1/signals?since=0001-01-01T00:00:00%2B14:00", None),
        ("GET", "/v1/signals?until=9999-12-31T23:59:59-14:00", None),
        ("GET", "/v1/signals?cursor=99999999999999999999", None),
        ("GET", "/v1/signals?limit=99999999999999999999", None),
        ("GET", "/v1/signals/stream?after=-1", None),
        ("GET", "/v1/signals/stream?after=99999999999999999999", None),
        ("GET", "/v1/signals/a%00b", None),
        ("GET", "/v1/risk?account=a%00b", None),
        ("GET", "/v1/signals/" + "x" * 3_000, None),
        ("POST", "/v1/signals", {"symbol": "BTC-USD", "slot": "0001-01-01T00:00:00+14:00"}),
        ("POST", "/v1/signals", {"symbol": "BTC-USD", "slot": "9999-12-31T23:55:00-14:00"}),
        ("POST", "/v1/signals", {"symbol": "BTC-USD", "account": "a\0"}),
        ("POST", "/v1/signals/executed", {"id": "a\0b"}),
        ("POST", "/v1/account-reports", {"account": "a", "balance": 1, "equity": 1, "trading_days": 2**70}),
        ("POST", "/v1/accounts", {"id": "n", "kind": "paper", "initial_capital": "9", "name": "a\0"}),
        ("POST", "/v1/risk/check", {**CHECK, "entry": "1." + "7" * 900}),
    ],
)
def test_rest_says_which_field_is_beyond_its_limit(full: Running, verb: str, path: str, body: Any) -> None:
    refusal = refusal_of_rest(full.rest.request(verb, path, json=body))
    assert (refusal.status, refusal.code, len(refusal.fields)) == (422, "invalid_argument", 1)


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("SignalService/ListSignals", pb.ListSignalsRequest(since=Timestamp(seconds=10**12)), "since"),
        ("SignalService/ListSignals", pb.ListSignalsRequest(until=Timestamp(seconds=-(10**12))), "until"),
        ("SignalService/ListSignals", pb.ListSignalsRequest(until=Timestamp(seconds=253402300799)), "until"),
        ("SignalService/ListSignals", pb.ListSignalsRequest(since=Timestamp(seconds=1, nanos=-5)), "since"),
        ("SignalService/GenerateSignals", pb.GenerateSignalsRequest(slot=Timestamp(seconds=-(2**63))), "slot"),
        ("SignalService/GetSignal", pb.GetSignalRequest(id="a\0b"), "id"),
        ("SignalService/StreamSignals", pb.StreamSignalsRequest(after=-1), "after"),
        ("AccountService/ReportAccount", pb.ReportAccountRequest(account="a\0", balance="1", equity="1"), "account"),
        (
            "RiskService/CheckTrade",
            pb.CheckTradeRequest(symbol="BTC-USD", direction=pb.DIRECTION_BUY, stop_loss="1", entry="1." + "7" * 900),
            "entry",
        ),
    ],
)
def test_grpc_says_which_field_is_beyond_its_limit(full: Running, method: str, request_: Message, field: str) -> None:
    streams = method.endswith("StreamSignals")
    with pytest.raises(grpc.RpcError) as caught:
        _ = full.events(method, request_) if streams else full.call(f"/crpbot.v1.{method}", request_)
    refusal = refusal_of_grpc(caught.value)
    assert (refusal.code, refusal.fields) == ("invalid_argument", (field,))


def test_a_bug_of_ours_is_a_problem_with_the_request_id_and_its_trace_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def break_down(_request: object, _call: object) -> None:
        raise ZeroDivisionError("the secret of the house")

    async def broken(_metrics: Metrics) -> tuple[Operation, ...]:
        name = ("AnalysisService", "ListTheories", "GET", "/v1/theories")
        return (Operation(*name, ListTheoriesRequest, ListTheoriesResponse, break_down, summary="Breaks"),)

    with running_gateway(build=broken) as gateway, caplog.at_level(logging.ERROR):
        answer = gateway.rest.get("/v1/theories", headers={"x-request-id": "mine"})
        with pytest.raises(grpc.RpcError) as caught:
            gateway.call("/crpbot.v1.AnalysisService/ListTheories", b"")
    refusal = refusal_of_rest(answer)
    assert (refusal.status, refusal.reason, refusal.request_id) == (500, "INTERNAL", "mine")
    assert refusal_of_grpc(caught.value).reason == "INTERNAL"
    assert "secret" not in answer.text
    assert [record.getMessage() for record in caplog.records if record.name == "api.border"] == ["request mine failed"]
    assert caplog.text.count("ZeroDivisionError: the secret") >= 2
