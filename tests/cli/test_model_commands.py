"""`crpbot models`, `candidate`, `rollback`, `calibrate`: what there is, who is tried, the way back, and the lines."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.training.candles import Place, read_coin
from cli.training.train import build_datasets
from core.adapters.models.folder import ModelFolder
from core.adapters.models.reports import ModelReports
from core.models.manifest import Kind, Manifest, Span, Spans
from core.models.manifest_text import write_manifest
from core.models.store import Report
from tests.cli.test_training import ask, command_takes, keep, refusal
from tests.core.model_cases import AT, DAY, WINDOWS, failing, make_model, passing

MODELS = "data/models"
DAYS = 40  # 7.5 % of them are three days: more than the two that a line needs


@pytest.fixture
def folder(empty_folder: Path) -> Path:
    return empty_folder


def told(*words: str, width: int = 100) -> str:
    """What a command prints for people."""
    done = CliRunner().invoke(app, list(words), catch_exceptions=False, env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.output
    return done.stdout


def decide(model: tuple[Manifest, bytes], report: Report | None = None) -> str:
    """Saves a model and promotes it."""
    store = ModelFolder(Path(MODELS))
    store.save(*model)
    store.promote(model[0].version, report or passing(model[0]))
    return model[0].version


def trained(kind: Kind, *, days: int = DAYS, **entries: Any) -> tuple[Manifest, bytes]:
    """A model that nobody trained, made with days of the synthetic market as a training would be."""
    (dataset,) = build_datasets([read_coin("BTC-USD", Place(None, days, 7), most_days=days)], WINDOWS[kind])
    spans = Spans(*(Span(part.first, part.last) for part in dataset.parts))
    facts = {"scaler": dataset.scaler, "spans": spans, "data_hash": dataset.data_hash}
    return make_model(kind, **{**facts, **entries})


def test_an_empty_folder_says_how_to_begin(folder: Path) -> None:
    assert ask("models", "list") == {"folder": MODELS, "models": [], "ensembles": [], "faults": []}
    assert "no model in data/models; train one with `crpbot train lstm --coin BTC`" in told("models", "list")
    assert told("models") == told("models", "list")
    assert not list(folder.iterdir()), "to look makes nothing"


def test_the_list_tells_who_decides_who_is_tried_and_the_way_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = keep(folder, entries={"metrics": {"test_accuracy": 0.712}})
    ask("promote", first.version)
    second, blob = make_model(seed=2, created_at=AT + 9 * DAY)
    decide((second, blob), passing(second, champion=first.version))
    third, blob = make_model(seed=3, created_at=AT + 12 * DAY)
    ModelFolder(Path(MODELS)).save(third, blob)
    ask("candidate", third.version)
    (Path(MODELS) / "lstm_ETH-USD_1m_00000000.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "torch", None)  # as Python says it of what is not installed
    found = ask("models", "list")
    rows = {each["version"]: each for each in found["models"]}
    assert [rows[each.version]["state"] for each in (first, second, third)] == ["previous", "promoted", "candidate"]
    assert [rows[each.version]["verdict"] for each in (first, second, third)] == ["pass", "pass", "not judged"]
    assert rows[first.version]["accuracy"] == 0.712
    assert rows[first.version]["learned_until"] == first.learned_until.isoformat()
    (fault,) = found["faults"]
    assert fault.startswith("lstm_ETH-USD_1m_00000000.json: ")
    (ensemble,) = found["ensembles"]
    assert ensemble == {"symbol": "BTC-USD", "models": {"lstm": second.version}, "lines": [["lstm"]], "next": None}
    page = told("models", "list")
    order = [page.index(each.version) for each in (second, third, first)]
    assert order == sorted(order), "who decides stands first"
    assert "71.2%" in page
    assert "fault: lstm_ETH-USD_1m_00000000.json" in page


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_fits_the_terminal(width: int, folder: Path) -> None:
    for kind in Kind:
        decide(make_model(kind))
    long, blob = make_model(Kind.LSTM, seed=4, symbols=("DOGE-USD",), metrics={"test_accuracy": 1.0})
    ModelFolder(Path(MODELS)).save(long, blob)
    ask("candidate", long.version)
    page = told("models", "list", width=width)
    assert max(map(len, page.splitlines())) <= width
    table = page.partition("Ensemble")[0]
    for words in (*(make_model(kind)[0].version for kind in Kind), "DOGE-USD", "candidate", "100.0%", "2026-01-03"):
        assert words in table, "nothing is broken in two"
    assert "no, 0 of 4 sets" in page


def test_one_model_is_shown_with_its_rulings_and_its_history(folder: Path) -> None:
    manifest = keep(folder)
    ask("promote", manifest.version)
    ask("demote")
    found = ask("models", "show", manifest.version)
    assert found["manifest"]["parameters"] == manifest.parameters
    assert found["manifest"]["spans"]["test"][0] == manifest.spans.test.first.isoformat()
    assert found["report"] == f"{MODELS}/reports/{manifest.version}.html"
    assert {each["outcome"] for each in found["rulings"]} == {"pass"}
    assert [(each["action"], each["before"]) for each in found["history"]] == [
        ("promote", None),
        ("demote", manifest.version),
    ]
    page = told("models", "show", manifest.version)
    for words in ("31 inputs", "span calibrate", "win_rate", "pass: every rule holds", "report: ", "demote"):
        assert words in page
    assert "unknown model 'lstm-00000000'" in refusal("models", "show", "lstm-00000000")


def test_a_rollback_leads_to_the_version_that_decided_before(folder: Path) -> None:
    first, second = make_model(seed=1), make_model(seed=2, created_at=AT + 9 * DAY)
    said = refusal("rollback", "--coin", "BTC", "--model-type", "lstm")
    assert said.startswith("no lstm of BTC-USD decided before: nobody decides, and nothing to go back to is on record")
    decide(first)
    assert f"decided before: {first[0].version} decides" in refusal("rollback", "--coin", "BTC")
    decide(second, passing(second[0], champion=first[0].version))
    assert ask("rollback", "--coin", "BTC", "--model-type", "lstm") == {
        "version": first[0].version,
        "before": second[0].version,
        "kind": "lstm",
        "subject": "BTC-USD",
    }
    assert "nothing to go back to is on record" in refusal("rollback")
    ask("demote")
    words = told("rollback", width=200)
    assert f"{first[0].version} is the lstm of BTC-USD again, in place of nobody" in words
    assert "a running server takes it up within seconds" in words


def test_a_rollback_to_a_damaged_model_changes_nothing(folder: Path) -> None:
    first, second = make_model(seed=1), make_model(seed=2, created_at=AT + 9 * DAY)
    decide(first)
    decide(second, passing(second[0], champion=first[0].version))
    (Path(MODELS) / f"lstm_BTC-USD_1m_{first[0].sha256[:8]}.pt").write_bytes(b"x")
    assert "have sha256" in refusal("rollback")
    assert ask("models", "show", second[0].version)["state"] == "promoted"


def test_a_rollback_to_a_model_of_other_features_changes_nothing(folder: Path) -> None:
    first, second = make_model(seed=1), make_model(seed=2, created_at=AT + 9 * DAY)
    decide(first)
    decide(second, passing(second[0], champion=first[0].version))
    other = replace(first[0], fingerprint="0" * 64)  # as a version of this program wrote it that computed others
    (Path(MODELS) / f"lstm_BTC-USD_1m_{other.sha256[:8]}.json").write_text(write_manifest(other))
    said = refusal("rollback")
    assert said.startswith(f"the model {other.version} learned from other formulas")
    assert "remedy: crpbot train lstm --coin BTC" in said
    assert ask("models", "show", second[0].version)["state"] == "promoted"


def test_a_promoted_model_that_fails_when_it_is_judged_again_says_both(folder: Path) -> None:
    manifest = keep(folder)
    ask("promote", manifest.version)
    assert ask("models", "show", manifest.version)["promoted_with"] is None
    ModelReports(Path(MODELS)).keep(manifest.version, failing(manifest, at=AT + 500 * DAY))
    (listed,) = ask("models", "list")["models"]
    assert (listed["state"], listed["verdict"]) == ("promoted", "fail")
    found = ask("models", "show", manifest.version)
    assert (found["verdict"], found["sentence"]) == ("fail", "the Sharpe ratio is 0.1")
    assert found["judged_at"] == (AT + 500 * DAY).isoformat()
    assert (found["promoted_with"]["verdict"], found["promoted_with"]["sentence"]) == ("pass", "every rule holds")
    page = told("models", "show", manifest.version, width=200)
    assert "gate: fail: the Sharpe ratio is 0.1" in page
    assert "it was promoted with the judgement of" in page
    assert "pass: every rule holds" in page


def test_a_report_that_is_no_text_is_a_refusal_and_no_trace(folder: Path) -> None:
    manifest = keep(folder)
    ask("promote", manifest.version)
    ask("demote")
    (Path(MODELS) / f"lstm_BTC-USD_1m_{manifest.sha256[:8]}.gate.json").write_bytes(b"\xff")
    assert "gate.json is no text; remedy: crpbot evaluate" in refusal("rollback")
    (Path(MODELS) / f"reports/{manifest.version}.html").write_bytes(b"\xff")
    assert f"{manifest.version}.html is no text; remedy: crpbot evaluate" in refusal("promote", manifest.version)
    assert ask("models", "show", manifest.version)["state"] == "previous"


def test_a_trial_is_begun_and_ended_by_name_or_by_coin(folder: Path) -> None:
    models = [make_model(seed=seed, created_at=AT + seed * DAY) for seed in (7, 8)]
    for model in models:
        ModelFolder(Path(MODELS)).save(*model)
    first, second = (manifest.version for manifest, _ in models)
    assert ask("candidate", first)["before"] is None
    assert f"{first} no longer is" in told("candidate", second, width=200).replace("\n", " ")
    assert f"{first} is no candidate; candidates are {second}" in refusal("candidate", first, "--remove")
    assert ask("candidate", second, "--remove")["version"] == second
    ask("candidate", first)
    assert ask("candidate", "--remove", "--coin", "BTC")["version"] == first
    assert "no lstm is a candidate for BTC-USD" in refusal("candidate", "--remove")
    done = CliRunner().invoke(app, ["candidate"])
    assert done.exit_code == 2
    assert "name a version" in done.output


def test_a_place_that_is_named_needs_no_settings(folder: Path) -> None:
    first, second = make_model(seed=1), make_model(seed=2, created_at=AT + 9 * DAY)
    decide(first)
    decide(second, passing(second[0], champion=first[0].version))
    (folder / ".env").write_text("CRPBOT__RUNTIME__PROFILE=v0\n")
    here = ("--models", MODELS)
    assert ask("candidate", first[0].version, *here)["version"] == first[0].version
    assert ask("rollback", *here)["version"] == first[0].version
    assert ask("demote", *here)["version"] == first[0].version
    assert "no lstm is promoted for BTC-USD" in refusal("evaluate", "--model", "promoted", *here)
    for words in (["candidate", first[0].version], ["rollback"], ["demote"], ["evaluate"], ["train", "lstm"]):
        assert "CRPBOT__RUNTIME__PROFILE" in refusal(*words), "where the settings name the place, they are read first"


def test_promoted_models_that_speak_together_are_calibrated_by_the_command_that_is_named(folder: Path) -> None:
    agent = decide(trained(Kind.PPO))
    assert "lines are for two and more; one alone has its own" in refusal("calibrate", "--coin", "BTC")
    manifest, _ = trained(Kind.LSTM)
    facts = {"scaler": manifest.scaler, "spans": manifest.spans}
    lstm = keep(folder, entries=facts).version
    answer = ask("promote", lstm)
    assert answer["next"] == "crpbot calibrate --coin BTC"
    assert command_takes(answer["next"])
    assert "these are not the candles" in refusal("calibrate"), "the hash of its manifest is another"
    ask("demote")
    lstm = decide(trained(Kind.LSTM, seed=6, created_at=AT + 9 * DAY))  # untrained, and yet it tells something

    (row,) = ask("calibrate", "--coin", "BTC")
    (line,) = row["lines"]
    assert (row["symbol"], row["gaps"], line["kinds"]) == ("BTC-USD", [], ["lstm", "ppo"])
    assert line["versions"] == [lstm, agent]
    assert line["after"]["brier"]["n"] >= 200
    assert line["first"] >= manifest.spans.calibrate[0].isoformat()
    assert line["last"] <= manifest.spans.calibrate[1].isoformat()
    (ensemble,) = ask("models", "list")["ensembles"]
    assert (ensemble["lines"], ensemble["next"]) == ([["lstm"], ["ppo"], ["lstm", "ppo"]], None)
    assert "yes, 1 of 1 sets" in told("models", "list")
    assert ask("models", "show", agent)["lines"][1]["kinds"] == ["lstm", "ppo"]
    page = told("calibrate", "--coin", "all")
    assert max(map(len, page.splitlines())) <= 100
    assert "lstm + ppo" in page
    assert "where it was not fitted" in page
    assert "kept beside the models; a running server takes it up within seconds" in page


def test_a_line_that_is_missing_is_named_with_its_command(folder: Path) -> None:
    decide(make_model(Kind.LSTM))
    decide(make_model(Kind.PPO))
    (ensemble,) = ask("models", "list")["ensembles"]
    assert (ensemble["lines"], ensemble["next"]) == ([["lstm"], ["ppo"]], "crpbot calibrate --coin BTC")
    assert "next: crpbot calibrate --coin BTC" in told("models", "list")
    assert "no two models with a weight are promoted" in refusal("calibrate", "--coin", "all", "--models", "elsewhere")


def test_a_model_of_weight_zero_waits_for_no_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decide(make_model(Kind.LSTM))
    decide(make_model(Kind.PPO))
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", "0.5,0.5,0")
    (ensemble,) = ask("models", "list")["ensembles"]
    assert (list(ensemble["models"]), ensemble["next"]) == (["lstm"], None)
    listed = told("models", "list")
    assert "next:" not in listed
    assert "yes" in listed
    assert "with a weight is promoted for BTC-USD" in refusal("calibrate", "--coin", "BTC")
    assert "no two models with a weight are promoted" in refusal("calibrate", "--coin", "all")


def test_models_of_other_spans_get_no_line_and_are_told_why(folder: Path) -> None:
    decide(trained(Kind.LSTM))
    decide(trained(Kind.PPO, days=20))
    (row,) = ask("calibrate")
    assert row["lines"] == []
    assert "windows apart, 200 are needed" in row["gaps"][0]["why"]
    assert not (Path(MODELS) / "ensemble_BTC-USD_lines.json").exists()
    assert "BTC-USD: no line for lstm + ppo: their calibration slices share" in told("calibrate")
