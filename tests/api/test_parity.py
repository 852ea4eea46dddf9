"""Both faces give the same numbers for the same request; every code has a status on both."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from api.body import parse_json
from api.errors import TABLE, Problem, to_problem, to_rpc_status
from api.wire import from_message
from core.analysis import AnalyzeRequest, AnalyzeResponse
from core.errors import Code, CrpbotError
from protos import crpbot_pb2
from tests.api.bodies import OWN, ROWS, Json, message
from tests.api.gateways import Running, refusal_of_rest
from tests.fakes import as_ccxt, as_columns, walk_candles


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"symbol": "BTC-USD"}, id="symbol"),
        pytest.param({"symbols": ["eth/usd", "SOL-USD"], "window": 200, "interval": "1h"}, id="symbols"),
        pytest.param({"candles": [OWN], "theories": ["hurst_exponent"]}, id="candles"),
        pytest.param({"ccxt": [ROWS]}, id="ccxt"),
        pytest.param({"symbol": "POL-USD", "candles": [OWN], "ccxt": [ROWS], "window": 205}, id="all at once"),
    ],
)
def test_both_faces_give_the_same_analyses(running: Running, body: Json) -> None:
    rest = running.rest.post("/v1/analyze", json=body)
    assert rest.status_code == 200, rest.text
    over_grpc = from_message(running.analyze(message(body)), AnalyzeResponse)
    assert parse_json(rest.content, AnalyzeResponse) == over_grpc
    assert all(analysis.coverage > 0 for analysis in over_grpc.analyses)


def test_both_faces_list_the_same_theories(running: Running) -> None:
    answer = running.call("/crpbot.v1.AnalysisService/ListTheories", b"")
    listed = crpbot_pb2.ListTheoriesResponse.FromString(answer)
    assert ParseDict(running.rest.get("/v1/theories").json(), crpbot_pb2.ListTheoriesResponse()) == listed


def test_a_price_is_a_plain_decimal_on_both_faces(running: Running) -> None:
    tiny = {name: [1e-7 * value for value in OWN[name]] for name in ("open", "high", "low", "close")}
    body = {"candles": [{**OWN, **tiny}], "theories": ["hurst_exponent"]}
    price = running.rest.post("/v1/analyze", json=body).json()["analyses"][0]["price"]
    assert price.startswith("0.00001")
    assert price == running.analyze(message(body)).analyses[0].price


def test_a_deadline_ends_the_call_on_both_faces(running: Running) -> None:
    slow = {"symbol": "LTC-USD"}
    refusal = refusal_of_rest(running.rest.post("/v1/analyze", json=slow, headers={"x-request-timeout": "0.001"}))
    assert (refusal.status, refusal.reason) == (504, "DEADLINE_EXCEEDED")
    with pytest.raises(grpc.RpcError) as caught:
        running.call("/crpbot.v1.AnalysisService/Analyze", message(slow), seconds=0.001)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    running.assert_alive()


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_status_on_both_faces(code: Code) -> None:
    error = CrpbotError(code, "what, where, value, limit", reason="WHY", retry_after_seconds=1.5)
    problem = to_problem(error, "id")
    assert isinstance(problem, Problem)
    assert 400 <= problem.status < 600
    status, words, trailer = to_rpc_status(error, "id")
    assert (problem.status, status) == TABLE[code]
    assert status not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)
    assert words == error.detail
    assert trailer[0][0] == "grpc-status-details-bin"


def test_the_requests_of_this_file_are_the_same_on_both_faces() -> None:
    body = {"symbol": "BTC-USD", "candles": [OWN], "ccxt": [ROWS], "window": 200}
    assert from_message(message(body), AnalyzeRequest) == AnalyzeRequest(
        symbol="BTC-USD",
        candles=(as_columns(walk_candles("BTC-USD", count=210)),),
        ccxt=(as_ccxt(walk_candles("ETH-USD", "1h", 220)),),
        window=200,
    )
