"""After a verdict one command is named, and typed as it stands it asks the same question again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.train_commands import MODELS_FOLDER
from cli.training_advice import advise
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
    told = advise(judged(manifest, Verdict(verdict)), manifest, MODELS_FOLDER, is_weaker=False)
    assert told == words
    assert command_takes(told)
    elsewhere = advise(judged(manifest, Verdict(verdict)), manifest, Path("x"), is_weaker=False)
    assert elsewhere == (words if words.startswith("crpbot data") else f"{words} --models x")
