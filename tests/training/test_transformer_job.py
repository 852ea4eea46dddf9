"""The Transformer's training: its schedule, and what is its own beside the LSTM's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.models.manifest import Kind
from core.models.transformer import Config as Architecture
from core.models.weights import decode
from tests.training.made_up import make_dataset
from training import transformer
from training.transformer import Config, distance, rate

SMALL = Architecture(width=16, layers=2, heads=2, feedforward=32, head=16, dropout=0.0)
QUICK = Config(epochs=4, learning_rate=3e-3, stride=1, level_noise=0.0, precision="f32", architecture=SMALL)


def test_the_rate_rises_in_a_line_and_falls_in_a_half_cosine() -> None:
    config, steps = Config(learning_rate=1.0, warm_up=0.1, lowest_rate=0.01), 1_000
    rates = [rate(config, step, steps) for step in range(steps)]
    np.testing.assert_allclose(rates[:100], (np.arange(100) + 1) / 100)
    assert max(rates) == rates[100] == 1.0
    assert rates[550] == pytest.approx(0.505), "half way down"
    assert np.all(np.diff(rates[100:]) < 0)
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_of_a_few_steps_has_a_rate_too(steps: int) -> None:
    config = Config(learning_rate=1.0)
    assert all(0.0 < rate(config, step, steps) <= 1.0 for step in range(steps))


def test_the_distance_is_of_strengths_and_not_of_logits() -> None:
    assert distance(torch.tensor([0.0, 100.0]), torch.tensor([0.5, 1.0])).item() == 0.0
    assert distance(torch.tensor([-100.0]), torch.tensor([1.0])).item() == pytest.approx(1.0)


def test_it_learns_the_strength_of_the_trend(tmp_path: Path) -> None:
    run = transformer.train(QUICK, make_dataset(size=2_000), root=tmp_path)
    assert run.manifest.metrics["test_accuracy"] > 0.8, "the first input tells nine outcomes in ten"
    assert run.manifest.kind is Kind.TRANSFORMER
    decode(run.manifest, run.blob)


def test_several_coins_are_scored_one_by_one(tmp_path: Path) -> None:
    one = make_dataset(size=2_000)
    coins = replace(one, symbol="multi", symbols=("BTC-USD", "ETH-USD"), starts=(0, 1_850, 2_000), scaler=_twice(one))
    run = transformer.train(replace(QUICK, epochs=1), coins, root=tmp_path)
    assert run.manifest.symbols == ("BTC-USD", "ETH-USD")
    assert [each.symbol for each in run.scores] == ["BTC-USD", "ETH-USD"]
    assert [len(each.up) for each in run.scores] == [140, 150]
    np.testing.assert_array_equal(run.scores[1].open_times, one.open_times[1_850:])


def _twice(dataset: object) -> object:
    scaler = dataset.scaler  # type: ignore[attr-defined]
    return type(scaler)(np.stack([scaler.mean] * 2), np.stack([scaler.scale] * 2))
