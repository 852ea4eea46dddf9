"""From candles to an agent in the store: what is written down of it is what it does."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.adapters.synthetic.market import SyntheticMarket
from core.errors import CrpbotError
from core.market import Candles
from core.models.calibration import log_odds
from core.models.manifest import Kind
from core.models.manifest_text import read_manifest, write_manifest
from core.models.observation import ACCOUNT
from core.models.policy import Policy, forecast
from core.models.weights import decode
from training.dataset import Dataset, build_dataset
from training.ppo import Config, train
from training.trained import Run

NOW_MS = 1_760_000_040_000
CONFIG = Config(steps=4_096, accounts=32, round_candles=32, minibatch=256, epochs=2, episode=60, check_every=2)


def fetch(count: int) -> Candles:
    market = SyntheticMarket(7, edge=True)
    return asyncio.run(market.latest(["BTC-USD"], "1m", count, now_ms=NOW_MS))[0]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(fetch(10_000), origin="synthetic-7-edge", window=1)


@pytest.fixture(scope="module")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(CONFIG, dataset, root=tmp_path_factory.mktemp("runs"))


def test_the_manifest_says_what_was_learned_from_which_market(run: Run, dataset: Dataset) -> None:
    manifest = read_manifest(write_manifest(run.manifest))

    assert (manifest.kind, manifest.symbols, manifest.origin) == (Kind.PPO, ("BTC-USD",), "synthetic-7-edge")
    assert manifest.state == ACCOUNT
    assert (manifest.window, manifest.horizon, manifest.seed) == (1, 15, CONFIG.seed)
    assert manifest.spans.test.first == dataset.test.first
    assert manifest.metrics["rounds"] == CONFIG.rounds
    lead, low, high = (manifest.metrics[f"lead_over_nothing{end}"] for end in ("", "_low", "_high"))
    assert low <= lead <= high


def test_the_weights_that_are_kept_give_the_scores(run: Run, dataset: Dataset) -> None:
    agent = decode(run.manifest, run.blob)
    assert isinstance(agent, Policy)
    assert run.manifest.platt is not None

    (scores,) = run.scores

    told = run.manifest.platt.apply(log_odds(forecast(agent, dataset.features[dataset.test.rows])))
    assert np.array_equal(scores.probability, told)
    assert np.array_equal(scores.open_times, dataset.open_times[dataset.test.rows])


def test_its_forecast_ranks_a_rise_above_a_fall(run: Run) -> None:
    (scores,) = run.scores

    assert scores.probability[scores.up].mean() > scores.probability[~scores.up].mean() + 0.02


def test_the_same_training_gives_the_same_weights(run: Run, dataset: Dataset, tmp_path: Path) -> None:
    again = train(CONFIG, dataset, root=tmp_path)

    assert again.manifest.version == run.manifest.version
    assert again.blob == run.blob


def test_candles_that_are_too_few_to_compare_agents_are_refused_before_anything_is_learned(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(CrpbotError, match="episodes of 240 that share no candle; 10 are needed"):
        train(replace(CONFIG, episode=240), dataset, root=tmp_path)

    assert not list(tmp_path.iterdir())
