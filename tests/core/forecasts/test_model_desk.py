"""What is told of models: every version with its state, all about one, and clear words where something is damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.adapters.files.folder import FolderFiles
from core.adapters.models.folder import ModelFolder
from core.adapters.models.reports import ModelReports
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
from core.models.judgement import HOUSE, Verdict, read_judgement
from core.models.manifest import Kind
from core.models.promotion import Action
from core.models.store import Report, file_name
from tests.core.books import NOON
from tests.core.forecast_cases import RIVAL, spoke
from tests.core.model_cases import AT, DAY, UNSERVABLE, failing, make_model, passing
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


class CountingFiles(FolderFiles):
    """A folder that counts how often it is looked at and which files are read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.looks: list[str] = []
        self.reads: list[str] = []

    def stamps(self, under: str = "", *, deep: bool = True) -> dict[str, str]:
        self.looks.append(under)
        return super().stamps(under, deep=deep)

    def read(self, name: str, *, most: int) -> bytes:
        self.reads.append(name)
        return super().read(name, most=most)

    def forget(self) -> None:
        self.looks, self.reads = [], []


def keep_report(folder: Path, report: Report, version: str | None = None) -> None:
    """Puts a model's last judgement where `crpbot evaluate` does."""
    ModelReports(folder).keep(version or read_judgement(report.facts).model, report)


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


@pytest.mark.parametrize("entries", UNSERVABLE)
async def test_a_model_that_no_question_here_suits_says_so(
    desk: ModelDesk, store: ModelFolder, entries: dict[str, Any]
) -> None:
    other, blob = make_model(seed=5, **entries)
    store.save(other, blob)
    found = await desk.get_model(GetModelRequest(other.version))
    assert found.fault is not None
    assert f"the model {other.version} cannot be asked here" in found.fault
    assert "remedy: crpbot train lstm" in found.fault


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


async def test_a_model_that_was_judged_and_never_promoted_has_that_report(desk: ModelDesk, tmp_path: Path) -> None:
    assert "<title>passed" in (await desk.get_report(GetModelReportRequest(OLD.version))).page
    with pytest.raises(CrpbotError, match="crpbot evaluate makes one") as caught:
        await desk.get_report(GetModelReportRequest(NEW.version))
    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, "NO_REPORT")
    keep_report(tmp_path, passing(NEW)._replace(page="<p>judged"))
    assert (await desk.get_report(GetModelReportRequest(NEW.version))).page == "<p>judged"
    listed = await desk.list_models(ListModelsRequest())
    assert [each.verdict for each in listed.models] == [Verdict.PASS, Verdict.PASS]


async def test_the_verdict_is_that_of_the_newest_judgement(desk: ModelDesk, tmp_path: Path) -> None:
    keep_report(tmp_path, failing(OLD, at=AT + 30 * DAY)._replace(page="<p>judged again"))
    assert (await desk.list_models(ListModelsRequest())).models[0].verdict is Verdict.FAIL
    found = await desk.get_model(GetModelRequest(OLD.version))
    assert found.gate is not None
    assert found.promoted_with is not None
    assert (found.gate.verdict, found.gate.at) == (Verdict.FAIL, AT + 30 * DAY)
    assert (found.promoted_with.verdict, found.promoted_with.at) == (Verdict.PASS, AT + 6 * DAY)
    assert (await desk.get_report(GetModelReportRequest(OLD.version))).page == "<p>judged again"


async def test_a_judgement_from_before_the_promotion_does_not_hide_that_of_the_promotion(
    desk: ModelDesk, tmp_path: Path
) -> None:
    keep_report(tmp_path, failing(OLD, at=AT)._replace(page="<p>judged before"))
    assert (await desk.list_models(ListModelsRequest())).models[0].verdict is Verdict.PASS
    found = await desk.get_model(GetModelRequest(OLD.version))
    assert found.gate is not None
    assert (found.gate.at, found.promoted_with) == (AT + 6 * DAY, None)
    assert "<title>passed" in (await desk.get_report(GetModelReportRequest(OLD.version))).page


async def test_the_report_of_the_promotion_is_told_once(desk: ModelDesk, tmp_path: Path) -> None:
    keep_report(tmp_path, passing(OLD))
    found = await desk.get_model(GetModelRequest(OLD.version))
    assert found.gate is not None
    assert found.promoted_with is None


async def test_another_models_report_is_none_of_this_one(desk: ModelDesk, tmp_path: Path) -> None:
    keep_report(tmp_path, passing(OLD), version=NEW.version)
    assert [each.verdict for each in (await desk.list_models(ListModelsRequest())).models] == [Verdict.PASS, None]
    with pytest.raises(CrpbotError, match="no gate report") as caught:
        await desk.get_report(GetModelReportRequest(NEW.version))
    assert caught.value.reason == "NO_REPORT"


async def test_a_report_whose_page_is_gone_says_so(desk: ModelDesk, tmp_path: Path) -> None:
    (tmp_path / file_name(OLD)).with_suffix(".gate.html").unlink()
    with pytest.raises(CrpbotError, match=r"\.gate\.html is missing\); crpbot evaluate makes one") as caught:
        await desk.get_report(GetModelReportRequest(OLD.version))
    assert caught.value.reason == "NO_REPORT"


async def test_a_list_costs_one_look_at_the_models_and_one_at_their_reports_and_reads_no_page(
    store: ModelFolder, scores: FakeScores, tmp_path: Path
) -> None:
    for seed in range(4, 9):
        store.save(*make_model(seed=seed, created_at=AT + (20 + seed) * DAY))
    keep_report(tmp_path, passing(NEW))
    files = CountingFiles(tmp_path)
    desk = ask_about(files, scores)
    assert len((await desk.list_models(ListModelsRequest())).models) == 7
    assert files.looks == ["", "reports/"]
    assert len(files.reads) == len(set(files.reads))
    assert not [name for name in files.reads if name.endswith((".html", ".pt"))]
    files.forget()
    assert len((await desk.list_models(ListModelsRequest())).models) == 7
    assert (files.looks, files.reads) == (["", "reports/"], [])
    keep_report(tmp_path, failing(NEW, at=AT + 30 * DAY))
    assert (await desk.list_models(ListModelsRequest())).models[1].verdict is Verdict.FAIL
    assert files.reads == [f"reports/{NEW.version}.json"]


async def test_weights_that_are_known_are_not_read_again_for_a_question(
    store: ModelFolder, scores: FakeScores, tmp_path: Path
) -> None:
    files = CountingFiles(tmp_path)
    desk = ask_about(files, scores)
    for count in (1, 0):
        files.forget()
        assert (await desk.get_model(GetModelRequest(OLD.version))).fault is None
        assert files.reads.count(file_name(OLD)) == count
        assert not [name for name in files.reads if name.endswith(".html")]
    FolderFiles(tmp_path).write(file_name(OLD), b"other weights")
    for _ in range(2):
        fault = (await desk.get_model(GetModelRequest(OLD.version))).fault
        assert fault is not None
        assert "sha256" in fault


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
