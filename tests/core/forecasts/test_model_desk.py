"""What is told of models: every version with its state, all about one, and clear words where something is damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.adapters.models.folder import ModelFolder
from core.adapters.models.reports import REPORTS
from core.ensemble import Forecast, combine
from core.errors import Code, CrpbotError
from core.forecasts.desk import ModelDesk
from core.forecasts.requests import (
    ForecastRequest,
    GetModelReportRequest,
    GetModelRequest,
    ListModelsRequest,
    ModelState,
)
from core.forecasts.score import Scope
from core.models.judgement import HOUSE, Verdict
from core.models.manifest import Kind
from core.models.promotion import Action
from core.models.store import file_name
from tests.core.books import NOON
from tests.core.forecast_cases import RIVAL, spoke
from tests.core.model_cases import AT, DAY, make_model, passing
from tests.core.model_questions import FakeScores, ask_about
from tests.core.model_stores import NEW, OLD, make_store


@pytest.fixture
def store(tmp_path: Path) -> ModelFolder:
    made = make_store(tmp_path)
    made.nominate(NEW.version)
    return made


@pytest.fixture
def scores() -> FakeScores:
    return FakeScores()


@pytest.fixture
def desk(store: ModelFolder, scores: FakeScores, tmp_path: Path) -> ModelDesk:  # after the store is filled
    return ask_about(tmp_path, scores)


async def test_every_version_is_listed_with_its_state_its_verdict_and_how_it_did(desk: ModelDesk) -> None:
    found = await desk.list_models(ListModelsRequest())
    assert [(each.version, each.state, each.verdict) for each in found.models] == [
        (OLD.version, ModelState.PROMOTED, Verdict.PASS),
        (NEW.version, ModelState.CANDIDATE, None),
    ]
    old, new = found.models
    assert (old.file, old.kind, old.symbols) == (file_name(OLD), Kind.LSTM, ("BTC-USD",))
    assert (old.created_at, old.learned_until) == (OLD.created_at, OLD.learned_until)
    assert (old.metrics["accuracy"], old.serving, new.serving) == (0.71, True, True)
    assert old.live is not None
    assert (old.live.windows, old.live.right, new.live) == (7, 5, None)
    assert [(seat.version, seat.candidate) for seat in found.lineup.seats] == [
        (OLD.version, False),
        (NEW.version, True),
    ]
    assert found.lineup.faults == ("lstm-00000000 cannot be used",)


async def test_a_list_is_narrowed_by_kind_and_symbol(desk: ModelDesk, store: ModelFolder) -> None:
    multi, blob = make_model(Kind.TRANSFORMER, created_at=AT + 20 * DAY)
    store.save(multi, blob)

    async def versions(**wanted: object) -> list[str | None]:
        found = await desk.list_models(ListModelsRequest(**wanted))  # type: ignore[arg-type]
        return [each.version for each in found.models]

    assert await versions(kind=Kind.TRANSFORMER) == [multi.version]
    assert await versions(kind=Kind.PPO) == []
    assert await versions(symbol="eth/usd") == [multi.version]
    assert await versions(symbol="BTC-USD") == [OLD.version, NEW.version, multi.version]
    with pytest.raises(CrpbotError, match="unknown symbol"):
        await versions(symbol="NOPE-USD")


async def test_a_damaged_model_is_listed_with_its_fault_and_hides_no_other(desk: ModelDesk, tmp_path: Path) -> None:
    (tmp_path / file_name(NEW)).with_suffix(".json").write_text("{}")
    found = await desk.list_models(ListModelsRequest(kind=Kind.LSTM, symbol="BTC-USD"))
    assert [each.state for each in found.models] == [ModelState.PROMOTED, ModelState.DAMAGED]
    damaged = found.models[1]
    assert (damaged.file, damaged.version, damaged.symbols) == (file_name(NEW), None, ())
    assert damaged.fault is not None
    assert "is missing" in damaged.fault
    assert [each.state for each in (await desk.list_models(ListModelsRequest(kind=Kind.PPO))).models] == []


async def test_all_about_a_model_stands_in_one_answer(desk: ModelDesk, scores: FakeScores) -> None:
    found = await desk.get_model(GetModelRequest(OLD.version))
    assert (found.state, found.serving, found.fault) == (ModelState.PROMOTED, True, None)
    assert (found.window, found.horizon, found.interval) == (OLD.window, OLD.horizon, "1m")
    assert (found.features, found.fingerprint) == (OLD.features, OLD.fingerprint)
    assert [span.name for span in found.spans] == ["train", "stop", "calibrate", "test"]
    assert [(each.symbol, len(each.mean), each.scale[0]) for each in found.scalers] == [
        ("BTC-USD", 31, float(OLD.scaler.scale[0]))
    ]
    assert found.architecture == {name: float(value) for name, value in OLD.architecture.items()}
    assert (found.sha256, found.parameters, found.platt_slope) == (OLD.sha256, OLD.parameters, 1.1)
    assert found.gate is not None
    assert (found.gate.verdict, len(found.gate.rulings)) == (Verdict.PASS, len(HOUSE))
    assert [(each.action, each.version) for each in found.history] == [(Action.PROMOTE, OLD.version)]
    assert found.live is not None
    assert (found.live.windows, found.live.accuracy.value) == (2, 1.0)
    assert scores.asked == [(Scope(OLD.version, OLD.origin, 15), OLD.version)]


async def test_a_candidate_is_compared_with_the_one_that_decides(desk: ModelDesk, scores: FakeScores) -> None:
    found = await desk.get_model(GetModelRequest(NEW.version))
    assert (found.state, found.gate) == (ModelState.CANDIDATE, None)
    assert scores.asked == [(Scope(NEW.version, NEW.origin, 15), OLD.version)]


async def test_a_model_of_several_coins_has_a_scaler_of_each(desk: ModelDesk, store: ModelFolder) -> None:
    multi, blob = make_model(Kind.TRANSFORMER, platt=None)
    store.save(multi, blob)
    found = await desk.get_model(GetModelRequest(multi.version))
    assert [each.symbol for each in found.scalers] == list(multi.symbols)
    assert found.scalers[1].mean == tuple(multi.scaler.mean[1].tolist())
    assert (found.platt_slope, found.platt_intercept, found.serving) == (None, None, False)


async def test_weights_that_are_another_models_are_a_fault_of_the_model(desk: ModelDesk, tmp_path: Path) -> None:
    (tmp_path / file_name(NEW)).write_bytes(b"other weights")
    found = await desk.get_model(GetModelRequest(NEW.version))
    assert found.fault is not None
    assert "sha256" in found.fault


async def test_a_model_that_reads_other_features_says_so(desk: ModelDesk, store: ModelFolder) -> None:
    manifest, blob = make_model(seed=5)
    other = replace(manifest, fingerprint="0" * 64)
    store.save(other, blob)
    found = await desk.get_model(GetModelRequest(other.version))
    assert found.fault is not None
    assert "fingerprint 000000000000" in found.fault


async def test_a_version_that_nobody_saved_is_unknown_and_the_known_ones_are_named(desk: ModelDesk) -> None:
    for ask in (desk.get_model(GetModelRequest("lstm-0")), desk.get_report(GetModelReportRequest("../x"))):
        with pytest.raises(CrpbotError, match=OLD.version) as caught:
            await ask
        assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, "UNKNOWN_MODEL")


async def test_a_damaged_model_is_asked_for_by_its_file_and_says_what_is_wrong(desk: ModelDesk, tmp_path: Path) -> None:
    (tmp_path / file_name(NEW)).with_suffix(".json").write_text("no manifest")
    for ask in (
        desk.get_model(GetModelRequest(file_name(NEW))),
        desk.get_report(GetModelReportRequest(file_name(NEW))),
    ):
        with pytest.raises(CrpbotError, match=f"{file_name(NEW)} is damaged: .* no JSON") as caught:
            await ask
        assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "DAMAGED_MODEL")


async def test_a_ledger_that_is_away_costs_the_live_numbers_only(desk: ModelDesk, scores: FakeScores) -> None:
    scores.broken = True
    listed = await desk.list_models(ListModelsRequest())
    assert (len(listed.models), listed.live_problem) == (2, "the ledger is away")
    found = await desk.get_model(GetModelRequest(OLD.version))
    assert (found.live, found.live_problem, found.parameters) == (None, "the ledger is away", OLD.parameters)


async def test_the_report_is_that_of_the_promotion_else_that_of_the_last_judgement(
    desk: ModelDesk, tmp_path: Path
) -> None:
    assert "<title>passed" in (await desk.get_report(GetModelReportRequest(OLD.version))).page
    with pytest.raises(CrpbotError, match="crpbot evaluate makes one") as caught:
        await desk.get_report(GetModelReportRequest(NEW.version))
    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, "NO_REPORT")
    (tmp_path / REPORTS).mkdir()
    (tmp_path / REPORTS / f"{NEW.version}.json").write_text(passing(NEW).facts)
    (tmp_path / REPORTS / f"{NEW.version}.html").write_text("<p>judged")
    assert (await desk.get_report(GetModelReportRequest(NEW.version))).page == "<p>judged"
    listed = await desk.list_models(ListModelsRequest())
    assert [each.verdict for each in listed.models] == [Verdict.PASS, Verdict.PASS]


async def test_a_report_that_was_edited_counts_as_none(desk: ModelDesk, tmp_path: Path) -> None:
    path = (tmp_path / file_name(OLD)).with_suffix(".gate.json")
    path.write_text(path.read_text().replace('"pass"', '"fail"', 1))
    assert (await desk.list_models(ListModelsRequest())).models[0].verdict is None
    assert (await desk.get_model(GetModelRequest(OLD.version))).gate is None


@pytest.mark.parametrize("rubbish", [b"\xff\xfe\x00", b"", b"[]", b'{"at": 1}', b"{" * 5_000])
async def test_rubbish_in_the_files_beside_a_model_takes_no_answer_away(
    desk: ModelDesk, tmp_path: Path, rubbish: bytes
) -> None:
    for name in (path.name for path in tmp_path.iterdir()):
        if ".gate." in name or name.endswith(".jsonl"):
            (tmp_path / name).write_bytes(rubbish)
    listed = await desk.list_models(ListModelsRequest())
    assert [(each.version, each.state, each.verdict) for each in listed.models] == [
        (OLD.version, ModelState.PROMOTED, None),
        (NEW.version, ModelState.CANDIDATE, None),
    ]
    found = await desk.get_model(GetModelRequest(OLD.version))
    assert (found.gate, found.parameters, found.history[-1].after) == (None, OLD.parameters, OLD.version)


async def test_a_folder_that_is_not_there_yet_is_an_empty_list(scores: FakeScores, tmp_path: Path) -> None:
    desk = ask_about(tmp_path / "none", scores)
    assert (await desk.list_models(ListModelsRequest())).models == ()
    with pytest.raises(CrpbotError, match="train one"):
        await desk.get_model(GetModelRequest("lstm-0"))


async def test_a_forecast_is_told_in_part_with_its_coverage_and_reasons(desk: ModelDesk) -> None:
    found = await desk.forecast(ForecastRequest("btc-usd", ("ETH-USD",)), timeout_seconds=1.0)
    btc, eth = found.forecasts
    outlook = spoke().outlook
    assert outlook is not None
    assert (btc.symbol, btc.as_of, btc.ensemble) == ("BTC-USD", NOON, combine(outlook))
    assert btc.ensemble.coverage == 0.75
    assert [each.version for each in btc.candidates] == [RIVAL]
    assert (eth.symbol, eth.as_of, eth.ensemble.probability, eth.ensemble.coverage) == ("ETH-USD", None, None, 0.0)
    assert all(isinstance(each, Forecast) and each.problem for each in eth.forecasts)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ForecastRequest(), "nothing to foresee"),
        (ForecastRequest("BTC-USD", ("btc/usd",)), "asked for twice"),
        (ForecastRequest("NOPE-USD"), "unknown symbol 'NOPE-USD'"),
    ],
)
async def test_a_forecast_of_nothing_known_is_refused(desk: ModelDesk, request_: ForecastRequest, words: str) -> None:
    with pytest.raises(CrpbotError, match=words):
        await desk.forecast(request_, timeout_seconds=1.0)
