"""`make train`'s command in reduced size: what can be foreseen passes the gate, and noise does not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cli.training.candles import Place, read_coin
from cli.training.train import build_datasets
from core.adapters.synthetic.edge import draw_pressure
from core.adapters.synthetic.noise import Noise
from tests.cli.test_training import ask, refusal

pytestmark = pytest.mark.slow

# As few days as hold the 2,000 windows apart that the gate asks for, and a network a fifth as wide.
DAYS = 150
REDUCED = ["--days", str(DAYS), "--hidden", "16", "--preset", "fast"]
CHANCE = 0.5

# 38 days of Coinbase
REAL = f"{os.environ.get('CRPBOT_REAL_DATA')}/candles/BTC-USD_1m_20251123_20251231.parquet"


def oracle_accuracy() -> float:
    """Of who knows the hidden push of the last closed minute, on the same untouched windows."""
    (dataset,) = build_datasets([read_coin("BTC-USD", Place(None, DAYS, 7), most_days=DAYS)], 60)
    rows = dataset.test.rows
    pressure = draw_pressure(Noise(7, "BTC-USD"), dataset.open_times[rows] // 60_000)
    return float(np.mean((pressure > 0.0) == (dataset.up[rows] > 0.5)))


def test_a_model_of_the_planted_edge_passes_decides_and_is_taken_out_again(empty_folder: Path) -> None:
    (row,) = ask("train", "lstm", "--coin", "BTC", "--epochs", "6", *REDUCED)
    failed = [each for each in row["rulings"] if each["outcome"] not in {"pass", "not_applicable"}]
    assert (row["verdict"], failed) == ("pass", [])
    assert row["next"] == f"crpbot promote {row['version']}"

    oracle = oracle_accuracy()
    assert oracle <= 0.8
    assert row["lines"][0]["accuracy"][0] - CHANCE >= 0.9 * (oracle - CHANCE)

    assert ask("promote", row["version"])["version"] == row["version"]
    again = ask("evaluate", "--model", "promoted")
    assert (again["verdict"], again["lines"]) == ("pass", row["lines"])
    assert ask("demote")["version"] == row["version"]
    assert "no lstm is promoted" in refusal("demote")
    assert (empty_folder / row["report"]).read_text(encoding="utf-8").count("<svg") == 4


@pytest.mark.skipif("CRPBOT_REAL_DATA" not in os.environ, reason="CRPBOT_REAL_DATA names no folder of recordings")
def test_a_model_of_real_candles_is_not_promoted(empty_folder: Path) -> None:
    (row,) = ask("train", "lstm", "--coin", "BTC", "--epochs", "3", "--hidden", "8", "--data", REAL)
    assert row["verdict"] in {"fail", "insufficient"}
    assert [line["accuracy"][1] < 0.54 for line in row["lines"]] == [True] * 4, "nobody foresees 15 minutes much better"
    assert f"{row['version']} is not promoted" in refusal("promote", row["version"])
    walk = ask("walk-forward", "--folds", "2", "--epochs", "1", "--hidden", "8", "--data", REAL)
    assert walk["total"]["accuracy"][1] < 0.54
    assert not list((empty_folder / "data/models").glob("*_promoted.pt"))


def test_a_model_of_noise_is_not_promoted(empty_folder: Path) -> None:
    (row,) = ask("train", "lstm", "--coin", "BTC", "--epochs", "3", "--noise", *REDUCED)
    assert row["origin"] == "synthetic-7"
    assert row["verdict"] in {"fail", "insufficient"}
    accuracy, low, _, _ = row["lines"][0]["accuracy"]
    assert low < CHANCE + 0.02 < 0.6, accuracy
    assert f"{row['version']} is not promoted" in refusal("promote", row["version"])
    assert not list((empty_folder / "data/models").glob("*_promoted.pt"))
