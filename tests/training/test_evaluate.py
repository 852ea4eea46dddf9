"""The table of an evaluation: it says what is true of scores whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from core.errors import CrpbotError
from core.market import Floats
from core.models.manifest import Manifest
from core.models.scaler import Scaler
from tests.training.test_baselines import walk
from training.dataset import Dataset, build_dataset, join
from training.evaluate import (
    Line,
    bins_of,
    check_same_candles,
    compare,
    drawdown_of,
    measure,
    rescale,
    returns_of,
    trades_of,
)
from training.gate_terms import Terms
from training.scores import Scores

MINUTE = 60_000
BEGIN = 1_735_689_600_000
TERMS = Terms(0.65, 0.001)


def scores_of(probability: Floats, up: Any, *, size: float = 0.002, apart: int = 1) -> Scores:
    times = BEGIN + MINUTE * apart * np.arange(len(probability), dtype=np.int64)
    return Scores("BTC-USD", times, probability, up, np.where(up, size, -size))


def honest(count: int, *, seed: int, apart: int = 15) -> Scores:
    """Probabilities that come true as often as they say."""
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.05, 0.95, count)
    return scores_of(probability, rng.random(count) < probability, apart=apart)


def measured(scores: Scores) -> Line:
    return measure("it", [scores], TERMS)


def test_who_knows_the_future_is_right_always() -> None:
    up = np.random.default_rng(1).random(5_000) < 0.5
    line = measured(scores_of(np.where(up, 0.99, 0.01), up, apart=15))
    assert (line.accuracy.value, line.auc, line.won.value, line.drawdown) == (1.0, 1.0, 1.0, 0.0)
    assert line.net.value == pytest.approx((np.exp(0.002) - 1 + 1 - np.exp(-0.002)) / 2 - 0.001, abs=1e-6)
    assert line.sharpe is not None
    assert line.sharpe > 10


def test_honest_probabilities_have_the_accuracy_and_the_scores_of_theory() -> None:
    line = measured(honest(8_000, seed=2))
    # of p uniform on 0.05 .. 0.95: E max(p, 1 - p) = 0.725, E p (1 - p) = 1/4 - 0.9^2 / 12
    assert line.accuracy.value == pytest.approx(0.725, abs=0.015)
    assert line.accuracy.low < 0.725 < line.accuracy.high  # type: ignore[operator]
    assert line.brier == pytest.approx(0.25 - 0.81 / 12, abs=0.006)
    assert line.calibration_error.high is not None
    assert line.calibration_error.high < 0.04
    # at least 0.65 sure: 0.80 on average
    assert line.won.value == pytest.approx(0.80, abs=0.02)


def test_shuffled_outcomes_bring_everything_down_to_chance() -> None:
    known = honest(8_000, seed=3)
    up = np.random.default_rng(4).permutation(known.up)
    line = measured(scores_of(known.probability, up, apart=15))
    assert line.accuracy.low < 0.5 < line.accuracy.high  # type: ignore[operator]
    assert line.auc == pytest.approx(0.5, abs=0.02)
    assert line.net.value == pytest.approx(-0.001, abs=1e-4)
    assert line.calibration_error.low is not None
    assert line.calibration_error.low > 0.1


def test_windows_that_share_their_future_do_not_narrow_the_interval() -> None:
    """Each of 1,000 outcomes said 15 times over is still 1,000 outcomes."""
    once = honest(1_000, seed=5, apart=15)
    said, up = np.repeat(once.probability, 15), np.repeat(once.up, 15)
    many = measured(scores_of(said, up)).accuracy
    few = measured(once).accuracy
    widths = [each.high - each.low for each in (many, few)]  # type: ignore[operator]
    assert widths[0] > 0.7 * widths[1]
    assert (many.n, few.n) == (15_000, 1_000)


def test_without_a_trade_nothing_is_said_of_trades() -> None:
    up = np.random.default_rng(6).random(3_000) < 0.5
    line = measured(scores_of(np.full(3_000, 0.5), up))
    assert (line.won.value, line.net.value, line.sharpe, line.drawdown) == (None, None, None, 0.0)
    assert line.won.n == line.net.n == 0


def test_two_coins_share_the_capital() -> None:
    one = honest(4_000, seed=7)
    two = one._replace(symbol="ETH-USD")
    alone, both = ([one], [one, two])
    returns = [returns_of(each, trades_of(each, TERMS), TERMS) for each in (alone, both)]
    assert returns[0] == pytest.approx(returns[1])


def test_coins_of_other_days_are_added_day_by_day() -> None:
    early = honest(960, seed=8)
    late = early._replace(symbol="ETH-USD", open_times=early.open_times + 10 * 1_440 * MINUTE)
    single = returns_of([early], trades_of([early], TERMS), TERMS)
    both = returns_of([early, late], trades_of([early, late], TERMS), TERMS)
    assert both[: len(single)][:10] == pytest.approx(single[:10] / 2)
    assert both[10 + len(single) - 1] == pytest.approx(single[-1] / 2)


def drawn(line: Line) -> list[tuple[float | None, float | None]]:
    return [(each.low, each.high) for each in (line.accuracy, line.calibration_error, line.won, line.net)]


def coins(*each: Scores) -> list[Scores]:
    return [scores._replace(symbol=f"C{number}-USD") for number, scores in enumerate(each)]


@pytest.mark.parametrize("apart", [15, 1])
def test_ten_coins_that_are_one_have_the_interval_of_one(apart: int) -> None:
    one = honest(3_000, seed=10, apart=apart)
    many = measure("it", coins(*[one] * 10), TERMS)
    single = measured(one)
    assert drawn(many) == drawn(single)
    assert (many.accuracy.n, many.won.n) == (30_000, 10 * single.won.n)
    assert many.drawdown == pytest.approx(single.drawdown)
    bins = [bins_of(each, TERMS.horizon) for each in ([one], coins(*[one] * 10))]
    assert [each.n for each in bins[1]] == [each.n for each in bins[0]]


def test_coins_that_have_nothing_in_common_tell_more_than_one() -> None:
    each = [honest(3_000, seed=20 + seed) for seed in range(4)]
    found, single = measure("it", coins(*each), TERMS), measured(each[0])
    for name in ("accuracy", "won", "net"):
        many, one = getattr(found, name), getattr(single, name)
        assert many.high - many.low == pytest.approx((one.high - one.low) / 2.0, rel=0.25), name


def test_where_a_coin_is_missing_the_others_weigh_as_much_as_they_are() -> None:
    one = honest(3_000, seed=30)
    short = Scores(*(one.symbol, *(column[:1_000] for column in one[1:])))
    found = measure("it", coins(one, short), TERMS)
    rate = float(np.mean((one.probability >= 0.5) == one.up))
    half = float(np.mean((short.probability >= 0.5) == short.up))
    assert found.accuracy.value == pytest.approx((3.0 * rate + half) / 4.0)
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high  # type: ignore[operator]
    width = found.accuracy.high - found.accuracy.low  # type: ignore[operator]
    single = measured(one).accuracy
    assert width > 0.95 * (single.high - single.low)  # type: ignore[operator]


def test_errors_of_two_coins_do_not_make_up_for_each_other() -> None:
    rng = np.random.default_rng(11)
    said = rng.uniform(0.2, 0.8, 4_000)
    high, low = (scores_of(said, rng.random(4_000) < said + shift, apart=15) for shift in (0.15, -0.15))
    error = measure("it", coins(high, low), TERMS).calibration_error
    assert error.value == pytest.approx(0.15, abs=0.03)
    assert error.n == 4_000


def test_who_is_always_right_on_ten_alike_coins_was_right_as_often_as_on_one() -> None:
    up = np.random.default_rng(12).random(1_000) < 0.5
    one = scores_of(np.where(up, 0.9, 0.1), up, apart=15)
    assert measure("it", coins(*[one] * 10), TERMS).won.low == measured(one).won.low


def test_a_drawdown_is_measured_from_the_peak() -> None:
    assert drawdown_of(np.array([0.1, -0.5, 0.2])) == pytest.approx(0.5)
    assert drawdown_of(np.array([-0.1])) == pytest.approx(0.1)
    assert drawdown_of(np.zeros(3)) == 0.0


def test_bins_are_of_windows_that_share_no_future() -> None:
    bins = bins_of([honest(15_000, seed=9, apart=1)], TERMS.horizon)
    assert sum(each.n for each in bins) == 1_000


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(walk(8_000, seed=3), origin="test", window=2, horizon=15)


def test_the_model_stands_above_the_baselines_on_the_same_windows(dataset: Dataset) -> None:
    rows = dataset.test.rows
    said = Scores(
        "BTC-USD", dataset.open_times[rows], np.full(len(rows), 0.5), dataset.up[rows] > 0.5, dataset.move[rows]
    )
    lines = compare("mine", [said], [dataset], TERMS)
    assert [line.name for line in lines] == ["mine", "majority", "last return", "logistic regression"]
    assert {line.accuracy.n for line in lines} == {len(rows)}


def vouched(**facts: Any) -> Manifest:
    """What is asked of a manifest here."""
    return cast("Manifest", SimpleNamespace(version="lstm-00000000", **facts))


def test_other_candles_than_the_models_own_are_refused(dataset: Dataset) -> None:
    check_same_candles(vouched(data_hash=dataset.data_hash), dataset)
    with pytest.raises(CrpbotError, match="these are not the candles that lstm-00000000 was made with"):
        check_same_candles(vouched(data_hash="0" * 64), dataset)


def test_inputs_are_given_to_another_model_in_its_own_scale(dataset: Dataset) -> None:
    mean, scale = dataset.scaler.mean + 3.0, 2.0 * dataset.scaler.scale
    other = vouched(symbols=("BTC-USD",), window=5, scaler=Scaler(mean, scale))
    found = rescale(dataset, other)
    assert found.window == 5
    expected = (dataset.features - 3.0 / dataset.scaler.scale) / 2.0
    assert np.allclose(found.features, expected, rtol=1e-4, atol=1e-4)
    own = rescale(dataset, vouched(symbols=("BTC-USD",), window=2, scaler=dataset.scaler))
    assert np.allclose(own.features, dataset.features, rtol=0.0, atol=1e-5)


def test_of_a_model_of_several_coins_each_has_its_own_scale(dataset: Dataset) -> None:
    other = replace(dataset, symbol="ETH-USD", symbols=("ETH-USD",))
    both = join([dataset, other])
    manifest = vouched(symbols=both.symbols, window=2, scaler=both.scaler)
    assert np.allclose(rescale(other, manifest).features, dataset.features, rtol=0.0, atol=1e-5)
