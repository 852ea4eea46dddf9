"""`crpbot train` and what follows: from candles to a verdict, and no way around it."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cli.main import app
from cli.training.candles import Place, read_coin
from cli.training.champion import ask_champion
from cli.training.terms import house_terms
from core.adapters.files.folder import FolderFiles
from core.adapters.models.folder import ModelFolder
from core.errors import CrpbotError
from core.features import FEATURES, WARM_UP, compute
from core.kernels.features import FloatMatrix
from core.market import Candles, instant, milliseconds
from core.models import suitability
from core.models.manifest import Manifest, Span, Spans
from tests.core.model_cases import AT, make_model, passing
from tests.core.recordings import START_MS, make_rows, save
from training import dataset as dataset_module
from training.history import build_datasets
from training.trial_register import TrialRegister, Try, name_try

# Eight days, one pass, a network of four: whether the parts fit together, not how well it learns.
SMALL = ["--days", "8", "--epochs", "1", "--hidden", "4"]
DAY = 1_440

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def folder(empty_folder: Path) -> Path:
    return empty_folder


def ask(*words: str, status: int = 0) -> Any:
    """What a command prints as JSON."""
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def refusal(*words: str) -> str:
    with pytest.raises(CrpbotError) as caught:
        CliRunner().invoke(app, list(words), catch_exceptions=False)
    return caught.value.detail


def command_takes(line: str) -> bool:
    """Whether the command line takes this line, read as a shell reads it."""
    program, *words = shlex.split(line)
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("crpbot", words)
    return program == "crpbot"


def tries(folder: Path) -> int:
    return len(TrialRegister(FolderFiles(folder / "data/models")).tries())


def test_a_training_ends_with_a_verdict_a_page_and_the_next_command(folder: Path) -> None:
    (row,) = ask("train", "lstm", "--coin", "BTC", *SMALL)
    assert (row["kind"], row["symbols"], row["origin"]) == ("lstm", ["BTC-USD"], "synthetic-7-edge")
    assert row["verdict"] == "insufficient"
    assert "scored" in row["sentence"]
    assert [line["name"] for line in row["lines"]] == [
        row["version"],
        "majority",
        "last return",
        "logistic regression",
    ]
    page = Path(row["report"]).read_text(encoding="utf-8")
    assert all(escape(each["sentence"]) in page for each in row["rulings"])
    assert page.count("<svg") >= 2, "the loss and the calibration are drawn"
    assert "<script" not in page
    assert "<img" not in page
    assert "The prices are invented" in page
    assert command_takes(row["next"])
    assert row["next"].endswith(" --epochs 1 --hidden 4"), "what was asked for is asked for again"
    assert tries(folder) == 1

    again = ask("evaluate", "--symbol", "BTC", status=1)
    told = ("version", "verdict", "sentence", "lines", "rulings", "next")
    assert {name: again[name] for name in told} == {name: row[name] for name in told}
    assert tries(folder) == 1, "to judge the same thing twice is one try"


def test_the_same_command_gives_the_same_model(folder: Path) -> None:
    (first,) = ask("train", "lstm", *SMALL)
    (second,) = ask("train", "lstm", *SMALL, "--models", "elsewhere")
    assert first["version"] == second["version"]
    assert first["lines"] == second["lines"]
    (other,) = ask("train", "lstm", *SMALL, "--seed", "8")
    assert other["version"] != first["version"]


def learned(folder: Path, run: str) -> list[Row]:
    """What the only run whose name begins so wrote of each epoch."""
    (metrics,) = (folder / "data/models/runs").glob(f"{run}*/metrics.jsonl")
    return [json.loads(line) for line in metrics.read_text().splitlines()]


def test_batch_and_learning_rate_are_settings_and_the_original_ones_their_defaults(folder: Path) -> None:
    ask("train", "lstm", *SMALL)
    (epoch,) = learned(folder, "lstm")
    assert (epoch["learning_rate"], epoch["windows"]) == (1e-3, 512), "16 steps of 32"
    ask("train", "lstm", *SMALL, "--preset", "fast", "--run", "faster")
    (epoch,) = learned(folder, "faster")
    assert (epoch["learning_rate"], epoch["windows"]) == (2e-3, 512), "4 steps of 128"
    named = ["--preset", "fast", "--batch", "70", "--learning-rate", "0.002"]
    ask("train", "transformer", "--coin", "BTC", "--days", "8", "--epochs", "1", "--hidden", "16", *named)
    (epoch,) = learned(folder, "transformer")
    assert epoch["windows"] % 70 == 0
    assert 0.0 < epoch["learning_rate"] <= 0.002
    for words in (("--batch", "0"), ("--learning-rate", "0")):
        refused = CliRunner().invoke(app, ["train", "lstm", *SMALL, *words])
        assert refused.exit_code == 2, words


def test_a_training_into_a_place_that_is_named_needs_no_settings(folder: Path) -> None:
    (folder / ".env").write_text("CRPBOT__RUNTIME__PROFILE=v0\n")
    (row,) = ask("train", "lstm", *SMALL, "--models", "data/models")
    assert row["next"].endswith(" --models data/models")
    assert command_takes(row["next"])
    judged = ask("evaluate", "--model", row["version"], "--models", "data/models", status=1)
    assert judged["verdict"] == row["verdict"]
    assert "CRPBOT__RUNTIME__PROFILE" in refusal("train", "lstm", *SMALL)
    assert len(list((folder / "data/models/runs").iterdir())) == 1, "and that before it learns"


def test_a_weaker_limit_reports_and_never_promotes(folder: Path) -> None:
    (row,) = ask("train", "lstm", *SMALL)
    report = Path(row["report"])
    before = report.read_bytes(), report.with_suffix(".json").read_bytes()
    weaker = ask("evaluate", "--min-accuracy", "0.5", "--max-calibration-error", "0.4", status=1)
    (minima,) = [each for each in weaker["rulings"] if each["rule"] == "minima"]
    assert minima["outcome"] == "fail"
    assert "0.5" in minima["sentence"]
    assert "0.4" in minima["sentence"]
    assert weaker["report"] != row["report"]
    assert (report.read_bytes(), report.with_suffix(".json").read_bytes()) == before
    assert command_takes(weaker["next"])


def test_what_did_not_pass_is_not_promoted(folder: Path) -> None:
    (row,) = ask("train", "lstm", *SMALL)
    said = refusal("promote", row["version"])
    assert f"{row['version']} is not promoted: the gate's verdict is insufficient" in said
    assert not list((folder / "data/models").glob("*_promoted.pt"))
    Path(row["report"]).unlink()
    assert f"crpbot evaluate --model {row['version']}" in refusal("promote", row["version"])
    assert "no lstm is promoted for BTC-USD" in refusal("demote", "--symbol", "BTC")
    assert "no lstm is promoted for BTC-USD" in refusal("evaluate", "--model", "promoted")


def test_tries_after_the_judgement_make_it_old(folder: Path) -> None:
    (row,) = ask("train", "lstm", *SMALL)
    ask("train", "lstm", *SMALL, "--seed", "8")  # of another market
    assert "the gate's verdict is insufficient" in refusal("promote", row["version"])
    ask("train", "lstm", *SMALL, "--unidirectional")
    said = refusal("promote", row["version"])
    assert "judged beside 1 tries, now 2 are registered" in said
    assert f"crpbot evaluate --model {row['version']}" in said


def test_there_is_no_way_to_force_a_model(folder: Path) -> None:
    group: Any = typer.main.get_command(app)
    commands = [*group.commands["train"].commands.values()]
    commands += [group.commands[name] for name in ("evaluate", "promote", "demote", "rollback", "walk-forward")]
    flags = {flag for command in commands for each in command.params for flag in each.opts}
    assert not {flag for flag in flags if "force" in flag or "skip" in flag or flag == "-f"}
    judging = [command for command in commands if command not in group.commands["train"].commands.values()]
    assert "--yes" not in {flag for command in judging for each in command.params for flag in each.opts}
    refused = CliRunner().invoke(app, ["promote", "lstm-00000000", "--force"])
    assert refused.exit_code == 2
    assert "No such option" in refused.output


@pytest.mark.parametrize("words", ["train lstm", "train transformer", "train ppo", "evaluate", "walk-forward"])
def test_without_torch_the_remedy_is_named(words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as Python says it of what is not installed
    said = refusal(*words.split())
    assert said.startswith("torch is not installed")
    assert "make torch" in said
    assert not list(folder.iterdir()), "nothing was begun"


def test_files_of_candles_are_learned_from_and_found_again(folder: Path) -> None:
    files = folder / "real candles"
    files.mkdir()
    save(files, make_rows("1m", 8 * DAY))
    (row,) = ask("train", "lstm", "--data", str(files), "--epochs", "1", "--hidden", "4")
    assert row["origin"] == "replay-real-candles"
    assert row["verdict"] == "insufficient"
    assert "invented" not in Path(row["report"]).read_text(encoding="utf-8")
    assert row["next"].startswith("crpbot data fetch --symbol BTC-USD --interval 1m --start ")
    assert command_takes(row["next"])

    assert ask("evaluate", "--data", str(files), status=1)["lines"] == row["lines"]
    assert "name the folder of its files with --data" in refusal("evaluate")
    save(files, make_rows("1m", 2 * DAY, start_ms=START_MS + 8 * DAY * 60_000), part="b")
    assert ask("evaluate", "--data", str(files), status=1)["lines"] == row["lines"], "what came later changes nothing"

    other = folder / "other" / "real candles"
    other.mkdir(parents=True)
    table = make_rows("1m", 8 * DAY)
    table["volume"] = table["volume"] * 1.5
    save(other, table)
    assert "these are not the candles that" in refusal("evaluate", "--data", str(other))


def test_a_hole_in_the_files_costs_only_its_windows(folder: Path) -> None:
    parts = [make_rows("1m", 5 * DAY), make_rows("1m", 5 * DAY, start_ms=START_MS + (5 * DAY + 30) * 60_000)]
    for name, part in zip("ab", parts, strict=True):
        save(folder, part, part=name)
    (row,) = ask("train", "lstm", "--data", str(folder), "--epochs", "1", "--hidden", "4")
    assert ask("evaluate", "--data", str(folder), status=1)["lines"] == row["lines"]


def test_files_that_cannot_be_learned_from_are_refused(folder: Path) -> None:
    words = ("train", "lstm", "--data", str(folder))
    assert "holds no 1m Parquet file of BTC-USD" in refusal(*words)
    assert "holds no 1m Parquet file of any coin" in refusal(*words, "--coin", "all")
    save(folder, make_rows("1m", 3 * DAY))
    assert "are missing" in refusal(*words), "how many candles"
    save(folder, make_rows("1m", 2 * DAY), part="b")
    assert "overlap" in refusal(*words)
    broken = make_rows("1m", 300)
    broken["close"] = broken["close"].copy()
    broken["close"][50:150] = -1.0
    save(folder, broken, symbol="ETH-USD")
    assert "must not be trained on" in refusal(*words, "--coin", "ETH")
    assert "unknown symbol" in refusal("train", "lstm", "--coin", "FOO")


def test_a_walk_forward_judges_one_span_after_the_other(folder: Path) -> None:
    walk = ask("walk-forward", "--symbol", "BTC", "--folds", "2", "--epochs", "1", "--hidden", "4", "--days", "16")
    spans = [fold["test"] for fold in walk["folds"]]
    assert len(spans) == 2
    assert walk["folds"][0]["train"][0] == walk["folds"][1]["train"][0], "each fold learns from the beginning on"
    assert spans[0][1] <= spans[1][0]
    counts = [fold["line"]["accuracy"][3] for fold in walk["folds"]]
    assert walk["total"]["accuracy"][3] == sum(counts)


def test_a_walk_forward_counts_as_a_try_with_each_of_its_settings(folder: Path) -> None:
    words = ("walk-forward", "--folds", "2", "--hidden", "4", "--days", "16")
    first = ask(*words, "--epochs", "1")
    assert ask(*words, "--epochs", "1") == first
    assert tries(folder) == 1, "to walk the same way twice is one try"
    ask(*words, "--epochs", "2")
    ask(*words, "--epochs", "1", "--stride", "20")
    ask(*words, "--epochs", "1", "--unidirectional")
    found = TrialRegister(FolderFiles(folder / "data/models")).tries(
        kind="lstm", symbol="BTC-USD", origin="synthetic-7-edge"
    )
    settings = ("epochs", "stride", "bidirectional")
    assert [tuple(each.settings.get(name) for name in settings) for each in found] == [
        ("1", "15", None),
        ("2", "15", None),
        ("1", "20", None),
        ("1", "15", "False"),
    ]
    asked = ("folds", "hidden", "seed", "model", "threshold")
    assert [found[0].settings[name] for name in asked] == ["2", "4", "7", "walk-forward", "0.65"]
    assert len(found[0].settings["candles"]) == 64


def test_an_agent_is_trained_and_judged_by_the_same_gate(folder: Path) -> None:
    (row,) = ask("train", "ppo", "--steps", "40000", "--days", "30")
    assert (row["kind"], row["verdict"]) == ("ppo", "insufficient")
    assert command_takes(row["next"])
    again = ask("evaluate", "--model-type", "ppo", status=1)
    assert again["lines"] == row["lines"]


def test_the_table_says_verdict_report_and_next(folder: Path) -> None:
    done = CliRunner().invoke(app, ["train", "lstm", *SMALL], catch_exceptions=False)
    assert done.exit_code == 0
    for words in ("lstm-", "majority", "not promoted: Too little was seen", "report: ", "next: crpbot train lstm"):
        assert words in done.stdout
    assert "windows/s" in done.stderr, "progress is told"


def keep(folder: Path, *, entries: Row | None = None, **facts: Any) -> Manifest:
    """A model that nobody trained, tried and judged beside all that was, with a report that says pass."""
    manifest, blob = make_model(data_hash="1" * 64, **entries or {})
    store = folder / "data/models"
    ModelFolder(store).save(manifest, blob)
    register = TrialRegister(FolderFiles(store))
    for symbol in manifest.symbols:
        register.register(make_try(manifest, symbol))
    write(folder, manifest, **facts)
    register.judged(manifest.version, (store / f"reports/{manifest.version}.json").read_text())
    return manifest


def make_try(manifest: Manifest, symbol: str) -> Try:
    settings = {"origin": manifest.origin, "model": manifest.version}
    name = name_try(manifest.kind, symbol, settings)
    return Try(name, manifest.kind, symbol, AT, settings, "2026-01-01", (0.01, -0.01))


def write(folder: Path, manifest: Manifest, **facts: Any) -> None:
    """A report by the house's terms, as the gate would write it now."""
    store = folder / "data/models"
    terms = house_terms()
    said = {
        "trials": len(TrialRegister(FolderFiles(store)).tries()),
        "register_head": TrialRegister(FolderFiles(store)).head,
        "threshold": terms.threshold,
        "round_trip_fraction": terms.round_trip,
        "stake_fraction": terms.stake,
    }
    report = passing(manifest, **said | facts)
    (store / "reports").mkdir(parents=True, exist_ok=True)
    for suffix, content in (("json", report.facts), ("html", report.page)):
        (store / f"reports/{manifest.version}.{suffix}").write_text(content)


def test_a_model_that_passed_is_promoted_and_demoted(folder: Path) -> None:
    manifest = keep(folder)
    decides = {"version": manifest.version, "kind": "lstm", "subject": "BTC-USD"}
    assert ask("promote", manifest.version) == decides
    assert (folder / "data/models/lstm_BTC-USD_promoted.pt").is_symlink()
    assert ask("demote", "--symbol", "BTC") == decides
    assert not (folder / "data/models/lstm_BTC-USD_promoted.pt").exists()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"register_head": "f" * 64}, "now 1 are registered"),
        ({"threshold": 0.9}, "judged by other terms (threshold, costs, stake: (0.9, "),
        ({"round_trip_fraction": 0.0}, "judged by other terms"),
        ({"stake_fraction": 0.01}, "judged by other terms"),
        ({"kind": "ppo"}, "it was judged as ppo over 15 minutes, and looks 15 ahead"),
        ({"horizon_minutes": 5}, "it was judged as lstm over 5 minutes, and looks 15 ahead"),
    ],
    ids=["another register", "threshold", "costs", "stake", "kind", "horizon"],
)
def test_a_report_of_another_question_promotes_nothing(facts: Row, words: str, folder: Path) -> None:
    manifest = keep(folder, **facts)
    assert words in refusal("promote", manifest.version)
    assert not list((folder / "data/models").glob("*_promoted.pt"))


def test_a_report_that_was_changed_by_hand_promotes_nothing(folder: Path) -> None:
    manifest = keep(folder)
    report = folder / f"data/models/reports/{manifest.version}.json"
    facts = json.loads(report.read_text())
    report.write_text(json.dumps({**facts, "sentence": "better still"}))
    said = refusal("promote", manifest.version)
    assert "has a report that is not the one that the gate wrote" in said
    assert f"`crpbot evaluate --model {manifest.version}`" in said
    report.unlink()
    write(folder, manifest, register_head=facts["register_head"])
    assert ask("promote", manifest.version)["version"] == manifest.version


def test_a_model_that_was_never_tried_is_not_promoted(folder: Path) -> None:
    manifest, blob = make_model(data_hash="1" * 64)
    ModelFolder(folder / "data/models").save(manifest, blob)
    write(folder, manifest)
    assert "stands in no line of the register of tries" in refusal("promote", manifest.version)


def test_tries_that_were_forgotten_stop_every_further_judgement(folder: Path) -> None:
    (row,) = ask("train", "lstm", *SMALL)
    register, report = folder / "data/models/trials.jsonl", Path(row["report"]).with_suffix(".json")
    whole = register.read_bytes()
    for rest in (None, b""):
        register.unlink() if rest is None else register.write_bytes(rest)
        for words in (("evaluate",), ("train", "lstm", *SMALL), ("walk-forward", *SMALL)):
            said = refusal(*words)
            assert str(report) in said
            assert "data/models/trials.jsonl no longer has" in said
        assert tries(folder) == 0
    register.write_bytes(whole)
    ask("evaluate", status=1)
    report.write_text("half a rep")
    assert f"{report} cannot be read (JSONDecodeError)" in refusal("evaluate")


def test_the_promoted_model_is_the_one_to_beat(folder: Path) -> None:
    manifest = keep(folder)
    ask("promote", manifest.version)
    (row,) = ask("train", "lstm", *SMALL)
    (champion,) = [each for each in row["rulings"] if each["rule"] == "champion"]
    assert champion["outcome"] == "insufficient"
    assert "than the promoted model" in champion["sentence"]
    (other,) = ask("train", "lstm", *SMALL, "--noise")
    (none,) = [each for each in other["rulings"] if each["rule"] == "champion"]
    assert none["outcome"] == "not_applicable", "a model of another market says nothing here"
    assert "these are not the candles" in refusal("evaluate", "--model", "promoted")


@pytest.mark.parametrize("learned_into", [0.0, 0.5, 1.0])
def test_the_promoted_model_says_nothing_of_candles_that_it_learned_from(folder: Path, learned_into: float) -> None:
    (dataset,) = build_datasets([read_coin("BTC-USD", Place(None, 8, 7), most_days=8)], 60)
    train, stop, calibrate = (Span(each.first, each.last) for each in dataset.parts[:3])
    times = dataset.open_times[dataset.test.rows]
    if learned_into:
        calibrate = Span(calibrate.first, instant(int(times[round(learned_into * (len(times) - 1))])))
    later = Span(calibrate.last + timedelta(days=1), calibrate.last + timedelta(days=2))
    theirs = keep(folder, entries={"spans": Spans(train, stop, calibrate, later)})
    ask("promote", theirs.version)
    candidate, _ = make_model(seed=2)

    champion = ask_champion(candidate, [dataset], FolderFiles(folder / "data/models"))
    assert champion is not None
    (scores,) = champion.scores
    looks_back, label = 59 + WARM_UP, 15
    untouched = times - 60_000 * looks_back > milliseconds(theirs.learned_until) + 60_000 * label
    assert scores.open_times.tolist() == times[untouched].tolist()
    assert len(scores.open_times) == {0.0: len(times), 0.5: np.count_nonzero(untouched), 1.0: 0}[learned_into]
    assert 0 < np.count_nonzero(untouched) < len(times) or learned_into != 0.5


def test_an_input_that_knows_the_future_stops_an_evaluation_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("train", "lstm", *SMALL)

    def describe(candles: Candles) -> FloatMatrix:
        table = compute(candles)
        column = table[:, FEATURES.index("volume_ma")]
        column[:-1] = column[1:].copy()
        return table

    monkeypatch.setattr(dataset_module, "compute", describe)
    assert "change when only later candles do: volume_ma." in refusal("evaluate")
    assert "change when only later candles do: volume_ma." in refusal("train", "lstm", *SMALL, "--seed", "8")
    assert tries(folder) == 1, "it is not even judged"


def test_a_report_says_where_leaks_were_not_looked_for(folder: Path) -> None:
    """Candles with a hole every 599 minutes give windows, but no stretch in which a leak shows."""
    for number in range(20):
        save(folder, make_rows("1m", 599, start_ms=START_MS + number * 660 * 60_000), part=f"{number:02}")
    (row,) = ask("train", "lstm", "--data", str(folder), "--epochs", "1", "--hidden", "4")
    assert "Whether an input of BTC-USD knows the future was not looked for" in Path(row["report"]).read_text("utf-8")
    (whole,) = ask("train", "lstm", *SMALL)
    assert "was not looked for" not in Path(whole["report"]).read_text("utf-8")


@pytest.mark.parametrize("damage", ["features", "weights"])
def test_a_model_that_decides_and_cannot_be_opened_stops_a_training_before_it_begins(
    folder: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = keep(folder, entries={"fingerprint": "0" * 64} if damage == "features" else {})
    with monkeypatch.context() as then:
        then.setattr(suitability, "fingerprint", lambda: manifest.fingerprint)  # the features of an earlier version
        ask("promote", manifest.version)
    if damage == "weights":
        (folder / "data/models/lstm_BTC-USD_promoted.pt").resolve().write_bytes(b"x")
    said = refusal("train", "lstm", *SMALL)
    assert "decides and cannot be opened" in said
    assert said.endswith("first `crpbot demote --symbol BTC-USD --model-type lstm`")
    assert not (folder / "data/models/runs").exists(), "nothing was begun"
    ask("demote")
    ask("train", "lstm", *SMALL)


def test_a_short_coin_does_not_end_the_training_of_the_others(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for symbol, count in (("BTC-USD", 6 * DAY), ("ETH-USD", 6 * DAY), ("SOL-USD", DAY)):
        save(folder, make_rows("1m", count), symbol=symbol)
    (row,) = ask("train", "transformer", "--data", ".", "--epochs", "1", "--hidden", "16", "--preset", "fast")
    assert row["symbols"] == ["BTC-USD", "ETH-USD"]
    (told,) = [each.message for each in caplog.records if "left out" in each.message]
    assert told.startswith("SOL-USD is left out, the other coins are learned from without it: ")


@pytest.mark.slow
def test_all_coins_are_trained_side_by_side_and_the_transformer_last(folder: Path) -> None:
    for symbol, count in (("BTC-USD", 6 * DAY), ("ETH-USD", 7 * DAY), ("SOL-USD", DAY)):
        save(folder, make_rows("1m", count), symbol=symbol)
    rows = ask("train", "lstm", "--coin", "all", "--data", ".", "--epochs", "1", status=1)
    assert [(row["kind"], row["symbols"]) for row in rows] == [
        ("lstm", ["BTC-USD"]),
        ("lstm", ["ETH-USD"]),
        ("lstm", ["SOL-USD"]),
        ("transformer", ["BTC-USD", "ETH-USD"]),
    ]
    assert "SOL-USD has 1440 candles of 1m" in rows.pop(2)["refused"], "and it costs the others nothing"
    assert {each["symbol"] for each in rows[2]["rulings"]} == {"BTC-USD", "ETH-USD"}
    again = ask("evaluate", "--model-type", "transformer", "--data", ".", status=1)
    assert again["version"] == rows[2]["version"]
    for told, before in zip(again["lines"], rows[2]["lines"], strict=True):  # attention is rounded by how it is cut
        assert (told["name"], told["brier"]) == (before["name"], pytest.approx(before["brier"], abs=1e-4))
