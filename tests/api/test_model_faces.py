"""Models over both faces: the same facts, the same refusals, and a live score computed beside the gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from api.body import parse_json
from api.metrics import Metrics
from api.operation import Operation
from api.operations import model_operations
from api.wire import from_message
from core.adapters.ledger.forecasts import StoredForecasts
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.analysis import Findings, Reading
from core.ensemble import Outlook
from core.fitted import NOTHING_FITTED
from core.forecasts import foresight
from core.forecasts.lineup import Lineup, Seat, read_outlook
from core.forecasts.log import Awaited, Came, Noted, Settled, Source
from core.forecasts.requests import ForecastResponse, ListModelsResponse, Model, ModelReport
from core.market import Windows, instant
from core.settings.sources import load_settings
from protos import crpbot_pb2
from serving.app import build_local_desk, build_records
from serving.product import build_product
from serving.sources import build_market
from tests.api.gateways import SECONDS, Running, refusal_of_grpc, refusal_of_rest, running_gateway
from tests.core.books import NOON
from tests.core.model_questions import FakeScores, ask_about
from tests.core.model_stores import NEW, OLD, make_store

SERVICE = "/crpbot.v1.ModelService"
NO_MODEL = "lstm-00000000"


async def questions(_metrics: Metrics, folder: Path) -> tuple[Operation, ...]:
    return model_operations(ask_about(folder, FakeScores()))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("models")
    make_store(folder).nominate(NEW.version)
    (folder / "ppo_BTC-USD_1m_00000000.json").write_text("no manifest")
    with running_gateway(build=partial(questions, folder=folder)) as gateway:
        yield gateway


def over_rpc(running: Running, method: str, body: dict[str, Any], answer: Any) -> Any:  # Any: messages of each method
    descriptor = crpbot_pb2.DESCRIPTOR.services_by_name["ModelService"].methods_by_name[method]
    request = ParseDict(body, descriptor.input_type._concrete_class())
    return answer.FromString(running.call(f"{SERVICE}/{method}", request))


@pytest.mark.parametrize(
    ("path", "method", "body", "shape"),
    [
        ("/v1/models", "ListModels", {}, ListModelsResponse),
        ("/v1/models?kind=lstm&symbol=btc-usd", "ListModels", {"kind": "KIND_LSTM", "symbol": "btc-usd"}, None),
        (f"/v1/models/{OLD.version}", "GetModel", {"version": OLD.version}, Model),
        (f"/v1/models/{NEW.version}", "GetModel", {"version": NEW.version}, Model),
        (f"/v1/models/{OLD.version}/report", "GetModelReport", {"version": OLD.version}, ModelReport),
    ],
)
def test_both_faces_tell_the_same_of_models(
    asked: Running, path: str, method: str, body: dict[str, str], shape: Any
) -> None:
    shape = shape or ListModelsResponse
    rest = asked.rest.get(path)
    assert rest.status_code == 200, rest.text
    found = from_message(over_rpc(asked, method, body, getattr(crpbot_pb2, shape.__name__)), shape)
    assert parse_json(rest.content, shape) == found


def test_both_faces_give_the_same_forecasts_in_part(asked: Running) -> None:
    body = {"symbol": "BTC-USD", "symbols": ["eth/usd"]}
    rest = parse_json(asked.rest.post("/v1/forecast", json=body).content, ForecastResponse)
    assert rest == from_message(over_rpc(asked, "Forecast", body, crpbot_pb2.ForecastResponse), ForecastResponse)
    assert [each.ensemble.coverage for each in rest.forecasts] == [0.75, 0.0]


def test_a_browser_is_given_the_report_as_a_page_that_can_do_nothing(asked: Running) -> None:
    path = f"/v1/models/{OLD.version}/report"
    page = asked.rest.get(path, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.headers["content-type"], page.text) == (
        "text/html; charset=utf-8",
        asked.rest.get(path).json()["page"],
    )
    assert "sandbox; default-src 'none'" in page.headers["content-security-policy"]
    missing = asked.rest.get(f"/v1/models/{NO_MODEL}/report", headers={"accept": "text/html"})
    assert refusal_of_rest(missing).reason == "UNKNOWN_MODEL"


def test_the_list_shows_every_state(asked: Running) -> None:
    listed = asked.rest.get("/v1/models").json()
    assert [each["state"] for each in listed["models"]] == ["promoted", "candidate", "damaged"]
    assert "no JSON" in listed["models"][2]["fault"]


@pytest.mark.parametrize(
    ("path", "method", "body", "status", "reason"),
    [
        (f"/v1/models/{NO_MODEL}", "GetModel", {"version": NO_MODEL}, 404, "UNKNOWN_MODEL"),
        (f"/v1/models/{NO_MODEL}/report", "GetModelReport", {"version": NO_MODEL}, 404, "UNKNOWN_MODEL"),
        (f"/v1/models/{NEW.version}/report", "GetModelReport", {"version": NEW.version}, 404, "NO_REPORT"),
        (
            "/v1/models/ppo_BTC-USD_1m_00000000.pt",
            "GetModel",
            {"version": "ppo_BTC-USD_1m_00000000.pt"},
            409,
            "DAMAGED_MODEL",
        ),
        ("/v1/models?symbol=NOPE-USD", "ListModels", {"symbol": "NOPE-USD"}, 404, "UNKNOWN_SYMBOL"),
    ],
)
def test_both_faces_refuse_alike(
    asked: Running, path: str, method: str, body: dict[str, str], status: int, reason: str
) -> None:
    rest = refusal_of_rest(asked.rest.get(path))
    assert (rest.status, rest.reason) == (status, reason)
    with pytest.raises(grpc.RpcError) as caught:
        over_rpc(asked, method, body, crpbot_pb2.Model)
    rpc = refusal_of_grpc(caught.value)
    assert (rpc.code, rpc.reason, rpc.detail, rpc.fields) == (rest.code, rest.reason, rest.detail, rest.fields)


def test_a_kind_that_does_not_exist_is_refused(asked: Running) -> None:
    assert refusal_of_rest(asked.rest.get("/v1/models?kind=oracle")).status == 422


class OneModel:
    """Models of which one speaks, whatever it reads."""

    def lineup(self) -> Lineup:
        return Lineup((Seat(OLD),))

    async def forecast(self, windows: Windows, lineup: Lineup, *, timeout_seconds: float) -> list[Outlook]:
        said = Reading(OLD.version, {"probability": 0.625, "calibrated": 0.6}, 0.2, "up")
        return [
            read_outlook(symbol, instant(int(as_of)), Findings((said,), ()), lineup)
            for symbol, as_of in zip(windows.symbols, windows.as_of, strict=True)
        ]


async def whole_server(metrics: Metrics, folder: Path) -> tuple[Operation, ...]:
    """Every operation as the server puts them together, over models that answer."""
    environment = {
        "CRPBOT__RUNTIME__STATE_FOLDER": str(folder),
        "ARTIFACT_URL": str(folder / "models"),
    }
    settings = load_settings(environment, folder).settings
    ledger = await Ledger.open(settings.database_url.get_secret_value())
    source = build_market(settings)
    desk = build_local_desk(settings, source=source, records=build_records(ledger), forecasters=OneModel())
    product = await build_product(
        settings, desk=desk, source=source, ledger=ledger, library=lambda: NOTHING_FITTED, metrics=metrics
    )
    return product.operations


def listed_as(running: Running, version: str) -> dict[str, Any]:
    """A model as the list tells it."""
    models = running.rest.get("/v1/models").json()["models"]
    found: dict[str, Any] = next(each for each in models if each["version"] == version)
    return found


def test_the_whole_server_keeps_and_scores_what_models_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "MOST_SECONDS", SECONDS)  # on a slow machine the models would be late
    monkeypatch.setattr(foresight, "MINUTES_SECONDS", SECONDS)
    url = f"sqlite:///{tmp_path}/crpbot.db"
    upgrade(url)
    make_store(tmp_path / "models")
    source = Source(OLD.origin, "BTC-USD", "lstm", OLD.version, 15)

    async def fill() -> None:
        ledger = await Ledger.open(url)
        store = StoredForecasts(ledger)
        elsewhere = source._replace(identity="coinbase")
        await store.store([Noted(each, NOON, False, 0.625, 0.6) for each in (source, elsewhere)])
        await store.settle(OLD.origin, Awaited(NOON, 15, ("BTC-USD",)), [Settled("BTC-USD", Came.UP, 0.001)])
        await ledger.close()

    asyncio.run(fill())
    with running_gateway(build=partial(whole_server, folder=tmp_path)) as running:
        assert running.rest.post("/v1/forecast", json={"symbol": "BTC-USD"}).json()["forecasts"][0]["ensemble"][
            "members"
        ][0]["probability"] == pytest.approx(0.625)
        assert listed_as(running, OLD.version)["live"]["asked"] == 1  # a question about models is no decision
        assert running.rest.post("/v1/signals", json={"symbol": "BTC-USD"}).status_code == 200
        ends = time.monotonic() + SECONDS
        while (live := listed_as(running, OLD.version)["live"])["asked"] == 1:
            assert time.monotonic() < ends
            time.sleep(0.05)
        assert (live["asked"], live["waiting"], live["windows"], live["right"]) == (2, 1, 1, 1)
        found = running.rest.get(f"/v1/models/{OLD.version}").json()
        assert (found["live"]["windows"], found["live"]["accuracy"]["value"]) == (1, 1.0)
        assert (found["serving"], listed_as(running, NEW.version)["live"]) == (True, None)
