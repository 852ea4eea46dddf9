"""After a verdict one command is named, and typed as it stands it asks the same question again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.models.place import MODELS_FOLDER
from cli.training.advice import advise, keep_asked
from cli.training.order import Order
from core.adapters.files.folder import FolderFiles
from core.models.judgement import Judgement, RuleName, Verdict, read_judgement
from core.models.manifest import Kind, Manifest
from tests.cli.test_training import command_takes
from tests.core.model_cases import make_model, passing


def judged(manifest: Manifest, verdict: Verdict) -> Judgement:
    """A judgement with this verdict; where too little was seen, half of what is needed."""
    found = read_judgement(passing(manifest).facts)
    n = 1_000 if verdict is Verdict.INSUFFICIENT else 3_000
    rulings = tuple(replace(each, n=n) if each.rule is RuleName.SCORED else each for each in found.rulings)
    return replace(found, verdict=verdict, rulings=rulings)


@pytest.mark.parametrize(
    ("kind", "verdict", "entries", "words"),
    [
        (Kind.LSTM, "fail", {}, "crpbot walk-forward --symbol BTC-USD"),
        (Kind.LSTM, "fail", {"seed": 8}, "crpbot walk-forward --symbol BTC-USD --seed 8"),
        (
            Kind.LSTM,
            "fail",
            {"seed": 8, "origin": "synthetic-8"},
            "crpbot walk-forward --symbol BTC-USD --seed 8 --noise",
        ),
        (Kind.LSTM, "fail", {"origin": "coinbase"}, "crpbot walk-forward --symbol BTC-USD --data FOLDER"),
        (
            Kind.LSTM,
            "insufficient",
            {"seed": 8, "origin": "synthetic-8"},
            "crpbot train lstm --coin BTC --days 9 --seed 8 --noise",
        ),
        (Kind.TRANSFORMER, "fail", {}, "crpbot train transformer --coin all --days 9"),
        (Kind.PPO, "fail", {"origin": "synthetic-7"}, "crpbot train ppo --coin BTC --days 9 --noise"),
        (
            Kind.PPO,
            "fail",
            {"origin": "coinbase"},
            "crpbot data fetch --symbol BTC-USD --interval 1m --start 2025-12-26",
        ),
    ],
)
def test_the_command_names_what_was_asked_for(kind: Kind, verdict: str, entries: dict[str, Any], words: str) -> None:
    manifest = replace(make_model(kind)[0], **{"seed": 7, **entries})
    told = advise(judged(manifest, Verdict(verdict)), manifest, FolderFiles(MODELS_FOLDER), is_weaker=False)
    assert told == words
    assert command_takes(told)
    elsewhere = advise(judged(manifest, Verdict(verdict)), manifest, FolderFiles(Path("x")), is_weaker=False)
    assert elsewhere == (words if words.startswith("crpbot data") else f"{words} --models x")


@pytest.mark.parametrize(
    ("kind", "verdict", "asked", "words"),
    [
        (
            Kind.LSTM,
            "insufficient",
            {
                **{"epochs": 3, "stride": 20, "hidden": 16, "unidirectional": True, "batch": 70},
                **{"learning_rate": 0.002, "days": 4},
            },
            " --epochs 3 --stride 20 --hidden 16 --unidirectional --batch 70 --learning-rate 0.002",
        ),
        (
            Kind.LSTM,
            "fail",
            {"epochs": 3, "hidden": 16, "preset": "fast", "batch": 70, "learning_rate": 0.002, "days": 90},
            " --epochs 3 --hidden 16 --preset fast --batch 70 --learning-rate 0.002 --days 90",
        ),
        (Kind.LSTM, "fail", {"unidirectional": True}, " --unidirectional"),
        (Kind.LSTM, "fail", {}, ""),
        (Kind.TRANSFORMER, "fail", {"epochs": 5, "hidden": 16}, " --hidden 16"),
        (Kind.TRANSFORMER, "fail", {"epochs": 15}, " --epochs 15"),
        (Kind.PPO, "fail", {"steps": 40_000, "hidden": 16, "days": 4}, " --steps 40000"),
    ],
)
def test_the_command_repeats_what_was_asked_for_of_the_training(
    kind: Kind, verdict: str, asked: dict[str, Any], words: str, tmp_path: Path
) -> None:
    manifest = replace(make_model(kind)[0], seed=7)
    before = advise(judged(manifest, Verdict(verdict)), manifest, FolderFiles(tmp_path), is_weaker=False)
    usual = {"epochs": 5} if kind is Kind.TRANSFORMER else {}
    keep_asked(Order("BTC", **(usual | asked)).named(kind), manifest, FolderFiles(tmp_path))
    told = advise(judged(manifest, Verdict(verdict)), manifest, FolderFiles(tmp_path), is_weaker=False)
    assert told == before.replace(" --models", f"{words} --models")
    assert command_takes(told)


@pytest.mark.parametrize("content", ["", "[]", "7", "{", None])
def test_a_run_whose_settings_are_lost_is_advised_without_them(content: str | None, tmp_path: Path) -> None:
    manifest = replace(make_model()[0], seed=7)
    if content is not None:
        keep_asked({}, manifest, FolderFiles(tmp_path))
        (tmp_path / "runs" / manifest.run / "asked.json").write_text(content)
    told = advise(judged(manifest, Verdict.FAIL), manifest, FolderFiles(tmp_path), is_weaker=False)
    assert told == f"crpbot walk-forward --symbol BTC-USD --models {tmp_path}"


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT])
def test_settings_that_are_wrong_by_now_cost_no_training_its_verdict(verdict: Verdict, empty_folder: Path) -> None:
    manifest = replace(make_model()[0], seed=7)
    for models in (FolderFiles(MODELS_FOLDER), FolderFiles(empty_folder / "mine")):
        told = advise(judged(manifest, verdict), manifest, models, is_weaker=False)
        (empty_folder / ".env").write_text("CRPBOT__RUNTIME__PROFILE=v0\n")
        wrong = advise(judged(manifest, verdict), manifest, models, is_weaker=False)
        assert wrong == (told if "--models" in told else f"{told} --models {MODELS_FOLDER}"), "true whatever is set"
        assert command_takes(wrong)
        (empty_folder / ".env").unlink()
