"""Risk, accounts, the kill switch and signals over both faces of one gateway, with a ledger behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from core.adapters.ledger.migrations import upgrade
from protos import crpbot_pb2
from tests.api.gateways import (
    CLIENT_SECONDS,
    Running,
    all_operations,
    refusal_of_grpc,
    refusal_of_rest,
    running_gateway,
)

Json = dict[str, Any]  # Any: decoded JSON
BTC = {"symbol": "BTC-USD", "direction": "BUY", "stop_loss": "1"}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("state")
    upgrade(f"sqlite:///{folder}/crpbot.db")
    with running_gateway(build=partial(all_operations, folder=Path(folder))) as gateway:
        yield gateway


def rest(full: Running, verb: str, path: str, body: Json | None = None, **headers: str) -> Json:
    response = full.rest.request(verb, path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


def rpc(full: Running, method: str, body: Json, answer: type[Message]) -> Json:
    """The same over gRPC, with enums spelled as REST spells them."""
    service, name = method.split("/")
    descriptor = crpbot_pb2.DESCRIPTOR.services_by_name[service].methods_by_name[name]
    request = ParseDict(spell(body), descriptor.input_type._concrete_class())
    found = answer.FromString(full.call(f"/crpbot.v1.{method}", request))
    plain: Json = MessageToDict(found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return plain


def spell(body: Json) -> Json:
    prefixes = {"direction": "DIRECTION", "level": "KILL_LEVEL", "kind": "ACCOUNT_KIND", "mode": "MODE"}
    return {
        name: f"{prefixes[name]}_{str(value).upper()}" if name in prefixes else value for name, value in body.items()
    }


def test_both_faces_show_the_same_account(full: Running) -> None:
    seen = rest(full, "GET", "/v1/risk")
    over_grpc = rpc(full, "RiskService/GetRisk", {}, crpbot_pb2.RiskReport)
    assert seen["state"] == "ok"
    assert over_grpc["state"] == "STANDING_OK"
    for field in ("account", "pack", "balance", "equity", "free_usd", "day", "binding"):
        assert over_grpc[field] == seen[field]
    floors = [(rule["rule"], rule["floor"], rule["guard_floor"]) for rule in seen["headroom"]]
    assert [(rule["rule"], rule["floor"], rule["guard_floor"]) for rule in over_grpc["headroom"]] == floors
    assert {name: float(floor) for name, floor, _ in floors} == {"daily_loss": 95_000.0, "total_loss": 90_000.0}


def test_a_trade_is_checked_and_sized_the_same_on_both_faces(full: Running) -> None:
    price = float(
        rest(full, "POST", "/v1/analyze", {"symbol": "BTC-USD", "theories": ["hurst_exponent"]})["analyses"][0]["price"]
    )
    body = {"symbol": "btc/usd", "direction": "BUY", "entry": f"{price:.2f}", "stop_loss": f"{0.99 * price:.2f}"}
    seen = rest(full, "POST", "/v1/risk/check", body)
    over_grpc = rpc(full, "RiskService/CheckTrade", body, crpbot_pb2.TradeCheck)
    assert seen["allowed"] is over_grpc["allowed"] is True
    assert seen["quantity"] == over_grpc["quantity"]
    assert seen["sizing"]["binding"] == over_grpc["sizing"]["binding"]
    assert float(seen["sizing"]["risk_usd"]) <= 1_000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"stop_loss": "0"}, "stop_loss"),
        ({"stop_loss": "-5"}, "stop_loss"),
        ({"entry": "100", "stop_loss": "100"}, "stop_loss"),
        ({"entry": "100", "stop_loss": "101"}, "stop_loss"),
        ({"direction": "HOLD"}, "direction"),
        ({"account": "nobody"}, "account"),
        ({"risk_percent": "3"}, "risk_percent"),
    ],
)
def test_a_trade_that_makes_no_sense_is_refused_alike(full: Running, change: Json, field: str) -> None:
    body = {**BTC, **change}
    refusal = refusal_of_rest(full.rest.post("/v1/risk/check", json=body))
    assert field in refusal.fields
    with pytest.raises(grpc.RpcError) as caught:
        rpc(full, "RiskService/CheckTrade", body, crpbot_pb2.TradeCheck)
    over_grpc = refusal_of_grpc(caught.value)
    assert (over_grpc.code, over_grpc.reason, over_grpc.fields) == (refusal.code, refusal.reason, refusal.fields)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "ten", ""])
def test_a_price_that_is_no_number_is_refused_on_both_faces(full: Running, value: str) -> None:
    body = {**BTC, "stop_loss": value}
    assert refusal_of_rest(full.rest.post("/v1/risk/check", json=body)).code == "invalid_argument"
    with pytest.raises(grpc.RpcError) as caught:
        rpc(full, "RiskService/CheckTrade", body, crpbot_pb2.TradeCheck)
    assert refusal_of_grpc(caught.value).fields == ("stop_loss",)


def test_an_enum_that_is_not_given_or_unknown_is_refused_over_grpc(full: Running) -> None:
    for number in (0, 99):
        request = crpbot_pb2.CheckTradeRequest(symbol="BTC-USD", stop_loss="1")
        request.direction = number  # type: ignore[assignment]
        with pytest.raises(grpc.RpcError) as caught:
            full.call("/crpbot.v1.RiskService/CheckTrade", request)
        assert refusal_of_grpc(caught.value).fields == ("direction",)


def test_the_packs_are_listed_with_their_sources(full: Running) -> None:
    listed = rest(full, "GET", "/v1/rule-packs")
    packs = {pack["id"]: pack for pack in listed["packs"]}
    assert listed["default"] == "ftmo-2step-challenge"
    assert {"ftmo-1step", "ftmo-2step-verification", "ftmo-2step-funded", "custom"} <= set(packs)
    assert all(pack["sources"] for pack in packs.values())


def test_the_switch_stops_signals_on_both_faces_and_lets_them_go_on(full: Running) -> None:
    try:
        answer = rest(full, "POST", "/v1/kill-switch", {"level": "pause", "by": "test", "reason": "drill"})
        assert answer["level"] == "pause"
        assert rpc(full, "RiskService/GetKillSwitch", {}, crpbot_pb2.KillSwitch)["level"] == "KILL_LEVEL_PAUSE"
        (signal,) = rest(full, "POST", "/v1/signals", {"symbol": "BTC-USD"})["signals"]
        assert (signal["direction"], signal["vetoes"][0]["rule"]) == ("HOLD", "kill_switch")
        assert rest(full, "POST", "/v1/risk/check", BTC)["allowed"] is True  # a pause lets trades go on
    finally:
        body = {"level": "off", "by": "test", "reason": "drill over"}
        assert rpc(full, "RiskService/SetKillSwitch", body, crpbot_pb2.KillSwitch)["level"] == "KILL_LEVEL_OFF"
    (signal,) = rest(full, "POST", "/v1/signals", {"symbol": "BTC-USD"})["signals"]
    assert [veto["rule"] for veto in signal["vetoes"] if veto["rule"] == "kill_switch"] == []


def test_a_reported_account_is_made_told_about_and_judged(full: Running) -> None:
    made = {"id": "mine", "kind": "reported", "initial_capital": "50000", "pack": "ftmo-1step"}
    assert rest(full, "POST", "/v1/accounts", made)["time_zone"] == "Europe/Prague"
    again = refusal_of_rest(full.rest.post("/v1/accounts", json=made))
    assert (again.status, again.reason) == (409, "ACCOUNT_EXISTS")
    silent = rest(full, "GET", "/v1/risk?account=mine")
    assert silent["fresh"] is False
    told = {"account": "mine", "balance": "49000", "equity": "48800", "midnight_balance": "50000", "trading_days": 2}
    seen = rest(full, "POST", "/v1/account-reports", told)
    assert (seen["balance"], seen["equity"], seen["fresh"]) == ("49000", "48800", True)
    daily = next(rule for rule in seen["headroom"] if rule["rule"] == "daily_loss")
    assert float(daily["floor"]) == 48_500.0  # 3 % of 50,000 below the balance at midnight
    assert {account["id"] for account in rest(full, "GET", "/v1/accounts")["accounts"]} >= {"paper", "shadow", "mine"}


def test_a_reported_position_claims_its_room(full: Running) -> None:
    made = {"id": "holder", "kind": "reported", "initial_capital": "100000"}
    rest(full, "POST", "/v1/accounts", made)
    quote = float(rest(full, "POST", "/v1/risk/check", BTC)["entry"])
    position = {"symbol": "BTC-USD", "direction": "BUY", "quantity": "0.5", "entry": f"{quote:.2f}"}
    told = {"account": "holder", "balance": "100000", "equity": "100000", "midnight_balance": "100000"}
    stopped = {**position, "stop_loss": f"{0.99 * quote:.2f}"}
    seen = rest(full, "POST", "/v1/account-reports", {**told, "positions": [stopped]})
    assert 0 < float(seen["free_usd"]) < 4_500
    assert float(seen["open_risk_usd"]) > 0
    whole = rest(full, "POST", "/v1/account-reports", {**told, "positions": [position]})
    assert float(whole["free_usd"]) <= 0  # without a stop it takes the whole room
    refused = full.rest.post("/v1/account-reports", json={**told, "positions": [{**stopped, "stop_loss": "-1"}]})
    assert refusal_of_rest(refused).status == 422


def test_a_key_makes_a_repetition_harmless_over_both_faces(full: Running) -> None:
    body = {"id": "keyed", "kind": "paper", "initial_capital": "1000"}
    first = rest(full, "POST", "/v1/accounts", body, **{"idempotency-key": "k1"})
    assert rest(full, "POST", "/v1/accounts", body, **{"idempotency-key": "k1"}) == first
    service = crpbot_pb2.CreateAccountRequest(id="keyed", kind=crpbot_pb2.ACCOUNT_KIND_PAPER, initial_capital="1000")
    same = full.call("/crpbot.v1.AccountService/CreateAccount", service, metadata=(("idempotency-key", "k1"),))
    assert crpbot_pb2.Account.FromString(same).id == "keyed"
    other = full.rest.post("/v1/accounts", json={**body, "id": "x"}, headers={"idempotency-key": "k1"})
    assert (other.status_code, refusal_of_rest(other).reason) == (422, "KEY_REUSED")


@pytest.mark.parametrize("capital", ["0", "-1", "NaN"])
def test_an_account_needs_capital(full: Running, capital: str) -> None:
    body = {"id": "poor", "kind": "paper", "initial_capital": capital}
    assert refusal_of_rest(full.rest.post("/v1/accounts", json=body)).status == 422


# --- signals ----------------------------------------------------------------------------------------------------------


def test_a_signal_is_made_listed_explained_and_streamed(full: Running) -> None:
    made = rest(full, "POST", "/v1/signals", {"symbols": ["ETH-USD", "SOL-USD"]})["signals"]
    assert [signal["symbol"] for signal in made] == ["ETH-USD", "SOL-USD"]
    assert all(len(signal["votes"]) == 15 and signal["synthesis"] == "rules" for signal in made)
    one = made[0]
    assert rest(full, "GET", f"/v1/signals/{one['id']}") == one
    same = rpc(full, "SignalService/GetSignal", {"id": one["id"]}, crpbot_pb2.Signal)
    assert (same["confidence"], same["reasoning"]) == (one["confidence"], one["reasoning"])
    page = rest(full, "GET", "/v1/signals?symbol=eth-usd&limit=1")
    assert page["signals"][0]["id"] == one["id"]
    why = rest(full, "GET", f"/v1/signals/{one['id']}/explanation")
    assert why["direction"] == one["direction"]
    assert why["sentences"]
    with full.rest.stream("GET", "/v1/signals/stream?after=0") as events:
        lines = (line for line in events.iter_lines() if line)
        number, data = next(lines), next(lines)
    assert number.startswith("id: ")
    first = json.loads(data.removeprefix("data: "))
    assert first["sequence"] == int(number.removeprefix("id: "))
    resumed = full.rest.stream("GET", "/v1/signals/stream", headers={"last-event-id": str(first["sequence"])})
    with resumed as events:
        following = next(line for line in events.iter_lines() if line.startswith("id: "))
    assert int(following.removeprefix("id: ")) > first["sequence"]


def test_grpc_streams_the_same_signals(full: Running) -> None:
    rest(full, "POST", "/v1/signals", {"symbol": "LTC-USD"})
    call = full.channel.unary_stream("/crpbot.v1.SignalService/StreamSignals")
    events = call(crpbot_pb2.StreamSignalsRequest(after=0).SerializeToString(), timeout=CLIENT_SECONDS)
    event = crpbot_pb2.SignalEvent.FromString(next(events))
    events.cancel()
    assert event.sequence > 0
    assert event.signal.id.startswith("sig_")


def test_a_slot_is_decided_once_whoever_asks(full: Running) -> None:
    now = rest(full, "POST", "/v1/signals", {"symbol": "ADA-USD"})["signals"][0]
    slot = now["as_of"]
    body = {"symbols": ["ADA-USD", "XRP-USD"], "slot": slot}
    first = rest(full, "POST", "/v1/signals", body)["signals"]
    swapped = {"symbols": ["XRP-USD", "ADA-USD"], "slot": slot}
    assert rest(full, "POST", "/v1/signals", swapped, **{"idempotency-key": "other"})["signals"] == first[::-1]
    assert {signal["slot"] for signal in first} == {slot}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"symbol": "BTC-USD", "symbols": ["BTC-USD"]}, 422),
        ({"symbol": "NOPE-USD"}, 404),
        ({"symbol": "BTC-USD", "slot": "2026-03-02T12:00:01Z"}, 422),
        ({"symbol": "BTC-USD", "slot": "2026-03-02T12:00:00Z"}, 409),
        ({"symbol": "BTC-USD", "slot": "2026-03-02T12:00:00"}, 422),
        ({"symbol": "BTC-USD", "slot": "2126-03-02T12:00:00Z"}, 422),
        ({"symbol": "BTC-USD", "account": "nobody"}, 404),
        ({"symbol": "BTC-USD", "mode": "reckless"}, 422),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(full: Running, body: Json, status: int) -> None:
    assert refusal_of_rest(full.rest.post("/v1/signals", json=body)).status == status


def test_an_unknown_signal_is_not_found(full: Running) -> None:
    assert refusal_of_rest(full.rest.get("/v1/signals/nothing")).status == 404
    assert refusal_of_rest(full.rest.get("/v1/signals/nothing/explanation")).status == 404


def test_the_spend_is_shown(full: Running) -> None:
    spend = rest(full, "GET", "/v1/spend")
    assert (spend["day_spent_usd"], spend["day_cap_usd"], spend["month_cap_usd"]) == ("0", "5", "150")
