"""Paper trades over both faces of one gateway: listed, opened, closed and taken back by hand, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.market import milliseconds
from core.risk.booking import Trade
from core.signal import Signal
from core.trade import Direction
from protos import crpbot_pb2
from tests.api.gateways import Refusal, Running, all_operations, refusal_of_grpc, refusal_of_rest, running_gateway
from tests.api.test_risk_faces import Json, rest, rpc
from tests.core.books import Books, HandClock
from tests.core.decisions import decision, store
from tests.core.keeper_world import publish

TRADES = "/v1/paper-trades"
Bear = Callable[..., Trade]

_numbers = count(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("paper")
    upgrade(f"sqlite:///{made}/crpbot.db")
    return made


@pytest.fixture(scope="module")
def full(folder: Path) -> Iterator[Running]:
    with running_gateway(build=partial(all_operations, folder=folder)) as gateway:
        yield gateway


@pytest.fixture
def bear(full: Running, folder: Path) -> Bear:
    """A signal near the quote, stored with its trade behind the gateway's back."""
    quote = Decimal(
        rest(full, "POST", "/v1/risk/check", {"symbol": "BTC-USD", "direction": "BUY", "stop_loss": "1"})["entry"]
    )

    async def store_it(signal: Signal, at: datetime) -> Trade:
        ledger = await Ledger.open(f"sqlite:///{folder}/crpbot.db")
        try:
            return await publish(Books(ledger, clock=HandClock(at, milliseconds(at))), signal, counted=False)
        finally:
            await ledger.close()

    def make(*, ago_seconds: float = 1, away: str = "1", **changes: Any) -> Trade:
        at = datetime.now(UTC) - timedelta(seconds=ago_seconds)
        entry = (quote * Decimal(away)).quantize(Decimal("0.01"))
        values = {"entry": entry, "stop_loss": entry * Decimal("0.97"), "take_profit": entry * Decimal("1.05")}
        plain = {"slot": None, "timestamp": at, "vetoes": (), "degraded": False, "degradations": ()}
        name = {"id": f"sig-{next(_numbers)}", "quantity": Decimal("0.001")}
        return asyncio.run(store_it(decision(**{**name, **plain, **values, **changes}), at))

    return make


def refused(full: Running, path: str, body: Json, method: str, message: Any) -> Refusal:
    """The refusal, which both faces must tell alike."""
    seen = refusal_of_rest(full.rest.post(path, json=body))
    with pytest.raises(grpc.RpcError) as caught:
        full.call(f"/crpbot.v1.PaperService/{method}", message)
    same = refusal_of_grpc(caught.value)
    assert (same.code, same.reason) == (seen.code, seen.reason)
    return seen


def refused_opening(full: Running, signal_id: str) -> Refusal:
    message = crpbot_pb2.OpenPaperTradeRequest(signal_id=signal_id)
    return refused(full, TRADES, {"signal_id": signal_id}, "OpenPaperTrade", message)


def refused_closing(full: Running, trade_id: str) -> Refusal:
    message = crpbot_pb2.ClosePaperTradeRequest(id=trade_id)
    return refused(full, f"{TRADES}/close", {"id": trade_id}, "ClosePaperTrade", message)


def test_a_trade_is_opened_and_closed_by_hand_and_its_money_is_booked(full: Running, bear: Bear) -> None:
    born = bear()
    before = Decimal(rest(full, "GET", "/v1/risk")["balance"])
    opened = rest(full, "POST", TRADES, {"signal_id": born.signal_id, "by": "trader"})
    assert (opened["id"], opened["state"]) == (born.id, "open")
    assert abs(Decimal(opened["opened_price"]) / born.entry - 1) <= Decimal("0.005")
    assert rest(full, "GET", f"{TRADES}/{born.id}") == opened
    seen = rpc(full, "PaperService/GetPaperTrade", {"id": born.id}, crpbot_pb2.Trade)
    assert (seen["state"], seen["opened_price"]) == ("TRADE_STATE_OPEN", opened["opened_price"])
    closed = rpc(full, "PaperService/ClosePaperTrade", {"id": born.id, "by": "trader"}, crpbot_pb2.Trade)
    assert closed["state"] == "TRADE_STATE_CLOSED"
    assert closed["outcome"] in {"OUTCOME_LOSS", "OUTCOME_WIN", "OUTCOME_BREAKEVEN"}
    assert Decimal(rest(full, "GET", "/v1/risk")["balance"]) == before + Decimal(closed["pnl"])
    again = refused_closing(full, born.id)
    assert (again.status, again.reason) == (409, "TRADE_IS_CLOSED")
    assert "since" in again.detail
    assert refused_opening(full, born.signal_id).reason == "TRADE_IS_CLOSED"


def test_a_trade_that_waits_is_taken_back_once(full: Running, bear: Bear) -> None:
    born = bear()
    assert refused_closing(full, born.id).reason == "TRADE_IS_PENDING"
    gone = rest(full, "POST", f"{TRADES}/cancel", {"id": born.id})
    assert (gone["state"], gone["outcome"], gone["pnl"]) == ("closed", "cancelled", "0")
    message = crpbot_pb2.CancelPaperTradeRequest(id=born.id)
    again = refused(full, f"{TRADES}/cancel", {"id": born.id}, "CancelPaperTrade", message)
    assert (again.status, again.reason) == (409, "TRADE_IS_CLOSED")


def test_an_opening_that_cannot_be_is_refused_in_clear_words(full: Running, bear: Bear, folder: Path) -> None:
    late = refused_opening(full, bear(ago_seconds=1_000).signal_id)
    assert (late.status, late.reason) == (409, "TRADE_EXPIRED")
    far = refused_opening(full, bear(away="1.02").signal_id)
    assert far.reason == "ENTRY_OUT_OF_REACH"
    unknown = refused_opening(full, "sig-nowhere")
    assert (unknown.status, unknown.reason) == (404, "UNKNOWN_SIGNAL")

    async def hold() -> None:
        ledger = await Ledger.open(f"sqlite:///{folder}/crpbot.db")
        try:
            await store(ledger, decision(id="sig-hold", slot=None, direction=Direction.HOLD), key="k")
        finally:
            await ledger.close()

    asyncio.run(hold())
    assert refused_opening(full, "sig-hold").reason == "SIGNAL_IS_HOLD"
    nothing = refused_closing(full, "paper-nowhere")
    assert (nothing.status, nothing.reason) == (404, "UNKNOWN_TRADE")
    assert refusal_of_rest(full.rest.get(f"{TRADES}/paper-nowhere")).reason == "UNKNOWN_TRADE"


def test_an_opening_is_judged_by_the_rules_of_the_account(full: Running, bear: Bear) -> None:
    born = bear(quantity=Decimal(100))  # 97 % of its worth at risk below a stop of 3 %
    veto = refused_opening(full, born.signal_id)
    assert veto.status == 409
    assert veto.reason in {"DAILY_LOSS_GUARD", "RISK_PER_TRADE"}
    assert veto.reason.lower() in veto.detail
    rest(full, "POST", f"{TRADES}/cancel", {"id": born.id})


def test_a_halt_refuses_openings_and_lets_closings_through(full: Running, bear: Bear) -> None:
    is_open, waits = bear(), bear()
    rest(full, "POST", TRADES, {"signal_id": is_open.signal_id})
    try:
        rest(full, "POST", "/v1/kill-switch", {"level": "halt", "by": "test", "reason": "drill"})
        halted = refused_opening(full, waits.signal_id)
        assert (halted.status, halted.reason) == (409, "KILL_SWITCH")
        assert rest(full, "POST", f"{TRADES}/close", {"id": is_open.id})["state"] == "closed"
        assert rest(full, "POST", f"{TRADES}/cancel", {"id": waits.id})["outcome"] == "cancelled"
    finally:
        rest(full, "POST", "/v1/kill-switch", {"level": "off", "by": "test", "reason": "over"})


def test_trades_are_listed_newest_first_by_page_and_filter(full: Running, bear: Bear) -> None:
    born = [bear().id for _ in range(3)]
    first = rest(full, "GET", f"{TRADES}?state=pending&limit=2&symbol=btc-usd&account=paper")
    assert [trade["id"] for trade in first["trades"]] == [born[2], born[1]]
    second = rest(full, "GET", f"{TRADES}?state=pending&limit=2&cursor={first['next_cursor']}")
    assert second["trades"][0]["id"] == born[0]
    over_grpc = rpc(full, "PaperService/ListPaperTrades", {"limit": "2"}, crpbot_pb2.ListPaperTradesResponse)
    assert [trade["id"] for trade in over_grpc["trades"]] == [born[2], born[1]]
    assert rest(full, "GET", f"{TRADES}?symbol=ETH-USD") == {"trades": [], "next_cursor": None}
    for query in ("limit=0", "limit=501", "cursor=-1", "state=sleeping", "symbol=NOPE-USD"):
        assert refusal_of_rest(full.rest.get(f"{TRADES}?{query}")).status in {404, 422}
    for each in born:
        rest(full, "POST", f"{TRADES}/cancel", {"id": each})


@pytest.mark.parametrize("step", ["open", "close", "cancel"])
def test_a_key_makes_a_repetition_harmless(full: Running, bear: Bear, step: str) -> None:
    born, key = bear(), {"idempotency-key": f"paper-{step}"}
    path, body = (TRADES, {"signal_id": born.signal_id}) if step == "open" else (f"{TRADES}/{step}", {"id": born.id})
    if step == "close":
        rest(full, "POST", TRADES, {"signal_id": born.signal_id})
    first = rest(full, "POST", path, body, **key)
    assert rest(full, "POST", path, body, **key) == first
    other = refusal_of_rest(full.rest.post(path, json={**body, "by": "x"}, headers=key))
    assert (other.status, other.reason) == (422, "KEY_REUSED")
    assert full.rest.post(path, json=body).status_code == 409  # without the key it is another call
    if step == "open":
        rest(full, "POST", f"{TRADES}/close", {"id": born.id})
