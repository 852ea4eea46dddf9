"""The forest against scikit-learn, its inputs against pandas, its record against DeLong's formula; its words."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from core.analyzers import discover
from core.analyzers.random_forest import (
    FEWEST_EXAMPLES,
    MIN_LENGTH,
    TREES,
    Fitted,
    analyze,
    fit,
    flatten,
    grow,
    horizon_candles,
    label_examples,
    measure_skill,
    predict,
    read,
    sample,
    split_forward,
)
from core.errors import CrpbotError
from core.kernels.pattern import FEATURES, LOOKBACK, compute_features
from core.market import COLUMNS, Candles, cut_windows, interval_seconds, stack_windows
from tests.accuracy.simulators import autoregression

ROOT = Path(__file__).parents[2]
START = 1_699_920_000_000  # a midnight, UTC


def candles(returns, interval="15m", symbol="BTC-USD", seed=3):
    """Candles with these log returns, with wicks and volume."""
    rng = np.random.default_rng([seed, len(returns)])
    closes = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    opens = np.concatenate([closes[:1], closes[:-1]])
    wick = 0.002 * rng.random((2, len(closes)))
    highs, lows = np.maximum(opens, closes) * (1.0 + wick[0]), np.minimum(opens, closes) * (1.0 - wick[1])
    times = START + 1_000 * interval_seconds(interval) * np.arange(len(closes), dtype=np.int64)
    return Candles(symbol, interval, times, opens, highs, lows, closes, 1.0 + rng.random(len(closes)))


def echoing(size, interval="15m", symbol="BTC-USD", echo=0.5):
    return candles(0.003 * autoregression(np.random.default_rng([8, size]), 1, size, echo)[0], interval, symbol)


@pytest.fixture(scope="module")
def history():
    return echoing(2_000)


@pytest.fixture(scope="module")
def fitted(history):
    return fit(history)


def whole(history):
    return stack_windows([history], len(history))


PINNED = [
    -0.3202966,
    -0.8150662,
    0.1686574,
    -0.01322458,
    -0.03633505,
    -0.497639,
    0.8513232,
    0.429363,
    0.4166667,
    -1.0,
    0.3628692,
    -0.2681057,
    -0.3635331,
    1.369688,
    -0.2718447,
    0.2427184,
    0.4854369,
    -0.04734925,
    -0.6593458,
    -0.7518398,
]


# ---- the trees


@pytest.mark.parametrize(("depth", "decimals"), [(3, 6), (9, 6), (None, 1)])
def test_the_flat_forest_says_what_scikit_learn_says_to_the_last_bit(depth, decimals):
    rng = np.random.default_rng([4, decimals])
    inputs = np.round(rng.standard_normal((900, len(FEATURES))), decimals).astype(np.float32)
    labels = (inputs[:, 0] + inputs[:, 3] * inputs[:, 5] + rng.standard_normal(900) > 0.2).astype(int)
    forest = RandomForestClassifier(120, max_depth=depth, random_state=1, n_jobs=1).fit(inputs[:600], labels[:600])
    state = sample()._replace(**flatten(forest))
    mean, spread = predict(state, inputs).T
    assert np.abs(mean - forest.predict_proba(inputs)[:, 1]).max() == 0.0
    trees = np.array([tree.predict_proba(inputs)[:, 1] for tree in forest.estimators_])
    np.testing.assert_allclose(spread, trees.std(axis=0), atol=1e-12)


def test_serving_a_fit_is_scikit_learn_on_the_same_windows(history, fitted):
    _, inputs, labels = label_examples(history, 1)
    forest = grow(inputs, labels, 1, history.symbol)
    windows = cut_windows(echoing(700), 100, step=7)
    columns = analyze(windows, [fitted] * len(windows))
    expected = forest.predict_proba(compute_features(windows, newest=1)[:, 0])[:, 1]
    np.testing.assert_array_equal(columns["probability_up"], expected)
    np.testing.assert_array_equal(columns["standard_error"], columns["tree_spread"] / np.sqrt(len(forest)))
    assert TREES == len(forest) == len(fitted.roots) >= 100


def test_every_row_is_read_with_its_own_forest(fitted):
    windows = cut_windows(echoing(160), 100, step=20)
    states = [fitted, sample(), fitted, sample()]
    columns = analyze(windows, states)
    for row, state in enumerate(states):
        for name, column in analyze(windows.row(row), [state]).items():
            assert column[0] == columns[name][row], name


def test_a_fit_is_small_repeats_itself_and_differs_by_symbol(history, fitted):
    assert sum(array.nbytes for array in fitted) < 1_000_000
    assert all(isinstance(array, np.ndarray) for array in fitted)
    assert all(array.dtype == np.float64 for array in fitted if array.ndim == 0)
    for array, again in zip(fitted, fit(history), strict=True):
        np.testing.assert_array_equal(array, again)
    other = fit(replace(history, symbol="ETH-USD", field="candles"))
    assert not np.array_equal(other.feature, fitted.feature)


def test_serving_never_imports_scikit_learn():
    code = """
import sys
import numpy as np
from core.analyzers.random_forest import analyze, sample
from core.market import Windows
closes = 100.0 + np.random.default_rng(1).standard_normal((1, 60)).cumsum(axis=1)
times = 900_000 * np.arange(60, dtype=np.int64)[None, :]
block = np.ascontiguousarray(np.stack([closes, closes + 1.0, closes - 1.0, closes, closes]))
assert np.isfinite(analyze(Windows(("BTC-USD",), "15m", times, block), [sample()])["probability_up"][0])
assert not [name for name in sys.modules if name.startswith("sklearn")]
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)


# ---- the inputs


def test_inputs_are_those_of_pandas():
    history = echoing(400)
    frame = pd.DataFrame({column: getattr(history, column) for column in COLUMNS})
    close, log = frame["close"], np.log(frame["close"])
    move = log.diff()
    deviation = move.rolling(48).std(ddof=0)
    expected = pd.DataFrame(index=frame.index)
    for size in (1, 3, 6, 12, 48):
        expected[f"return_{size}"] = log.diff(size) / (deviation * np.sqrt(size))

    def echo(moves):
        x = moves - moves.mean()
        return (x[1:] * x[:-1]).sum() / (x**2).sum()

    expected["echo_48"] = move.rolling(48).apply(echo, raw=True)
    expected["volatility_ratio"] = move.rolling(12).std(ddof=0) / deviation
    gains, losses = move.clip(lower=0.0).rolling(14).sum(), -move.clip(upper=0.0).rolling(14).sum()
    expected["rsi_14"] = gains / (gains + losses)
    expected["up_share_12"] = (move > 0.0).rolling(12).mean()
    direction = np.sign(move)
    run = direction.groupby((direction != direction.shift()).cumsum()).cumcount() + 1
    expected["sign_run"] = direction * run.clip(upper=12)
    lowest, highest = frame["low"].rolling(14).min(), frame["high"].rolling(14).max()
    expected["stochastic_14"] = (close - lowest) / (highest - lowest)
    sides = [frame["high"] - frame["low"], (frame["high"] - close.shift()).abs(), (frame["low"] - close.shift()).abs()]
    true_range = pd.concat(sides, axis=1).max(axis=1)
    for size in (12, 48):
        expected[f"distance_{size}"] = (close - close.rolling(size).mean()) / true_range.rolling(48).mean()
    expected["true_range_percent"] = 100.0 * true_range.rolling(14).mean() / close
    height = frame["high"] - frame["low"]
    expected["body"] = (close - frame["open"]) / height
    expected["upper_wick"] = (frame["high"] - frame[["open", "close"]].max(axis=1)) / height
    expected["lower_wick"] = (frame[["open", "close"]].min(axis=1) - frame["low"]) / height
    volume = frame["volume"].rolling(48)
    expected["volume_z"] = (frame["volume"] - volume.mean()) / volume.std(ddof=0)
    hours = pd.to_datetime(history.open_times, unit="ms")
    angle = 2.0 * np.pi * (hours.hour + hours.minute / 60.0) / 24.0
    expected["hour_sine"], expected["hour_cosine"] = np.sin(angle), np.cos(angle)

    found = compute_features(whole(history))[0]
    assert tuple(expected.columns) == FEATURES
    assert np.isnan(found[:LOOKBACK]).all()
    np.testing.assert_allclose(found[LOOKBACK:], expected.to_numpy()[LOOKBACK:], rtol=2e-6, atol=2e-6)


def test_there_are_enough_inputs_and_each_has_a_name_of_its_own():
    assert len(FEATURES) == len(set(FEATURES)) == 20


@pytest.mark.parametrize("length", [MIN_LENGTH, 64, 200])
def test_a_window_and_the_whole_history_give_the_same_bits(length):
    history = echoing(500)
    windows = cut_windows(history, length)
    newest = compute_features(windows, newest=1)
    assert newest.shape == (len(windows), 1, len(FEATURES))
    np.testing.assert_array_equal(newest[:, 0], compute_features(whole(history))[0, length - 1 :])
    np.testing.assert_array_equal(newest, compute_features(windows)[:, -1:])
    np.testing.assert_array_equal(compute_features(windows, newest=7)[:, -1:], newest)


@pytest.mark.parametrize("column", range(5))
def test_candles_to_come_change_nothing(column):
    windows = cut_windows(echoing(500), 300, step=100)
    block = windows.block.copy()
    block[column, :, 200:] *= 1.5
    changed = compute_features(replace(windows, block=block))
    before = compute_features(windows)
    np.testing.assert_array_equal(changed[:, :200], before[:, :200])
    assert not np.array_equal(changed[:, 200:], before[:, 200:])


@pytest.mark.parametrize("column", range(5))
def test_candles_before_the_look_back_change_nothing(column):
    windows = cut_windows(echoing(500), 300, step=100)
    block = windows.block.copy()
    block[column, :, : 300 - MIN_LENGTH] *= 1.5
    np.testing.assert_array_equal(
        compute_features(replace(windows, block=block), newest=1), compute_features(windows, newest=1)
    )


def test_inputs_without_movement_are_missing_and_without_volume_or_range_are_neutral():
    flat = candles(np.zeros(100))
    assert np.isnan(compute_features(whole(flat))).all()
    moving = echoing(100)
    bare = replace(
        moving, open=moving.close, high=moving.close, low=moving.close, volume=np.full(101, 0.1), field="candles"
    )
    newest = dict(zip(FEATURES, compute_features(whole(bare), newest=1)[0, 0], strict=True))
    assert [newest[name] for name in ("body", "upper_wick", "lower_wick", "volume_z")] == [0.0] * 4
    still = candles(np.concatenate([np.full(40, 0.01), -np.full(40, 0.01), np.zeros(20)]))
    newest = dict(zip(FEATURES, compute_features(whole(still), newest=1)[0, 0], strict=True))
    assert (newest["rsi_14"], newest["up_share_12"], newest["sign_run"]) == (0.5, 0.0, 0.0)


def test_the_inputs_are_what_they_were():
    """Whoever changes a formula on purpose changes these numbers; forests grown on the old ones are then refused."""
    closes = 100.0 + np.array([(37 * step * step) % 101 for step in range(60)]) / 50.0
    times = START + 900_000 * np.arange(60, dtype=np.int64)
    opens = np.concatenate([closes[:1], closes[:-1]])
    highs, lows = np.maximum(opens, closes) + 0.25, np.minimum(opens, closes) - 0.5
    history = Candles("BTC-USD", "15m", times, opens, highs, lows, closes, 10.0 + closes % 1.0)
    found = compute_features(whole(history), newest=1)[0, 0]
    np.testing.assert_allclose(found, PINNED, rtol=2e-6, atol=2e-6)


# ---- label, splits, record


@pytest.mark.parametrize(("interval", "candle_count"), [("1m", 15), ("5m", 3), ("15m", 1), ("30m", 1), ("1d", 1)])
def test_the_label_looks_15_minutes_ahead_or_one_candle(interval, candle_count):
    assert horizon_candles(interval) == candle_count
    history = echoing(200, interval)
    places, inputs, labels = label_examples(history, candle_count)
    assert len(places) == len(inputs) == 201 - LOOKBACK - candle_count
    later, now = history.close[places + candle_count], history.close[places]
    np.testing.assert_array_equal(labels, later > now)
    np.testing.assert_array_equal(inputs, compute_features(whole(history))[0, places])


def test_an_unchanged_close_has_no_label():
    returns = 0.01 * np.random.default_rng(5).standard_normal(100)
    returns[[60, 70]] = 0.0
    places, _, labels = label_examples(candles(returns), 1)
    assert set(range(LOOKBACK, 100)) - set(places.tolist()) == {60, 70}
    assert set(labels.tolist()) == {0, 1}


@pytest.mark.parametrize("horizon", [1, 3, 15])
def test_no_candle_stands_on_both_sides_of_a_split(horizon):
    places = np.delete(np.arange(LOOKBACK, 3_000), np.arange(40, 2_000, 17))
    splits = split_forward(places, horizon + LOOKBACK)
    assert [foretold.start for _, foretold in splits[1:]] == [foretold.stop for _, foretold in splits[:-1]]
    assert splits[0][1].start == len(places) // 3
    assert splits[-1][1].stop == len(places)
    for learned, foretold in splits:
        assert learned.start == 0
        last_outcome = places[learned][-1] + horizon
        first_input = places[foretold][0] - LOOKBACK
        assert last_outcome < first_input
        assert places[learned.stop] + horizon >= first_input, "nothing is left out without need"


@pytest.mark.parametrize("decimals", [6, 1])
def test_the_auc_is_that_of_scikit_learn_and_its_error_that_of_delong(decimals):
    rng = np.random.default_rng([6, decimals])
    labels = (rng.random(700) < 0.4).astype(np.int64)
    scores = np.round(0.4 * labels + rng.standard_normal(700), decimals)
    skill = measure_skill([(scores, labels)], 1)
    assert skill.auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    above, below = scores[labels == 1], scores[labels == 0]
    wins = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    variance = wins.mean(axis=1).var(ddof=1) / len(above) + wins.mean(axis=0).var(ddof=1) / len(below)
    assert skill.high - skill.auc == pytest.approx(1.9634 * np.sqrt(variance), rel=0.002)
    assert skill.size == 700


@pytest.mark.parametrize("gap", [1, 20, 150])
def test_only_candles_of_one_stretch_and_far_enough_apart_are_compared(gap):
    rng = np.random.default_rng(7)
    labels = (rng.random(400) < 0.5).astype(np.int64)
    scores = np.round(0.5 * labels + rng.standard_normal(400), 1)
    parts = [slice(0, 180), slice(180, 400)]
    won = made = 0.0
    for part in parts:
        score, label = scores[part], labels[part]
        for rise in np.flatnonzero(label == 1):
            for fall in np.flatnonzero(label == 0):
                if abs(rise - fall) >= gap:
                    made += 1.0
                    won += 0.5 * (1.0 + np.sign(score[rise] - score[fall]))
    skill = measure_skill([(scores[part], labels[part]) for part in parts], gap)
    assert skill.auc == pytest.approx(won / made, abs=1e-12)
    shifted = [(scores[part] + shift, labels[part]) for part, shift in zip(parts, (0.0, 100.0), strict=True)]
    assert measure_skill(shifted, gap).auc == pytest.approx(skill.auc, abs=1e-12)


def test_a_stretch_of_one_direction_ranks_nothing_and_a_perfect_ranking_stays_below_one():
    rng = np.random.default_rng(9)
    labels = (rng.random(300) < 0.5).astype(np.int64)
    only = (rng.random(100), np.ones(100, dtype=np.int64))
    perfect = measure_skill([(labels + 0.0, labels), only], 20)
    assert (perfect.auc, perfect.low, perfect.high, perfect.size) == (1.0, 1.0, 1.0, 400)
    with pytest.raises(CrpbotError, match="far enough apart"):
        measure_skill([only], 20)


def test_scores_all_equal_show_no_skill():
    labels = np.arange(200) % 2
    assert measure_skill([(np.full(200, 0.5), labels)], 20)[:3] == (0.5, 0.5, 0.5)


# ---- histories that cannot be learned from


def test_a_short_history_is_refused_with_the_number_that_is_needed():
    with pytest.raises(CrpbotError, match=f"{FEWEST_EXAMPLES} are needed") as refused:
        fit(echoing(1_000))
    assert refused.value.reason == "HISTORY_TOO_SHORT"
    for size in (1, 10, 100):
        with pytest.raises(CrpbotError, match="candles give"):
            fit(echoing(size, "1m"))


def test_a_flat_history_and_one_of_one_direction_are_refused():
    with pytest.raises(CrpbotError, match="give 0 with pattern and outcome"):
        fit(candles(np.zeros(3_000)))
    noise = np.random.default_rng(1).random(2_000)
    with pytest.raises(CrpbotError, match="100 % of the moves are rises"):
        fit(candles(0.001 + 0.001 * noise))


def test_a_past_of_one_direction_only_teaches_nothing_and_breaks_nothing():
    noise = np.random.default_rng(2).standard_normal(1_700)
    found = fit(candles(np.where(np.arange(1_700) < 700, 0.001 + 0.001 * np.abs(noise), 0.003 * noise)))
    assert 0.3 < found.auc < 0.7
    assert np.isfinite(found.value).all()


# ---- what it says


def values_of(**changes) -> dict[str, float]:
    values = {
        "probability_up": 0.61,
        "probability_continues": 0.61,
        "tree_spread": 0.1,
        "standard_error": 0.01,
        "auc": 0.56,
        "auc_low": 0.53,
        "auc_high": 0.59,
        "auc_n": 6_600.0,
        "base_rate": 0.5,
        "horizon_minutes": 15.0,
    }
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "vote", "words"),
    [
        (
            {},
            0.275,
            "The pattern points up: 61 % for a higher close in 15 minutes, the last move should go on; "
            "AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"probability_continues": 0.39},
            0.275,
            "The pattern points up: 61 % for a higher close in 15 minutes, the last move should turn; "
            "AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"probability_up": 0.25, "probability_continues": None, "horizon_minutes": 1_440.0},
            -0.5,
            "The pattern points down: 25 % for a higher close in 24 hours; AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"probability_up": 0.515},
            0.0,
            "The pattern leaves the direction open: 52 % for a higher close in 15 minutes, "
            "AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"base_rate": 0.55},
            0.15,
            "The pattern points up: 61 % for a higher close in 15 minutes, 55 % being usual, "
            "the last move should go on; AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"base_rate": 0.45},
            0.275,
            "The pattern points up: 61 % for a higher close in 15 minutes, 45 % being usual, "
            "the last move should go on; AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"probability_up": 0.40, "probability_continues": 0.60, "base_rate": 0.45},
            -0.125,
            "The pattern points down: 40 % for a higher close in 15 minutes, 45 % being usual, "
            "the last move should go on; AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"probability_up": 0.47, "base_rate": 0.42},
            0.0,
            "The pattern leaves the direction open: 47 % for a higher close in 15 minutes, 42 % being usual, "
            "AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"base_rate": 0.595},
            0.0,
            "The pattern leaves the direction open: 61 % for a higher close in 15 minutes, 60 % being usual, "
            "AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"base_rate": 0.66},
            0.0,
            "The pattern leaves the direction open: 61 % for a higher close in 15 minutes, 66 % being usual, "
            "AUC 0.560 (0.530-0.590) unseen.",
        ),
        (
            {"auc": 0.503, "auc_low": 0.488, "auc_high": 0.519},
            0.0,
            "The forest has shown no skill on this coin: AUC 0.503 (0.488-0.519), so it has no vote.",
        ),
        (
            {"auc": 0.46, "auc_low": 0.43, "auc_high": 0.49},
            0.0,
            "The forest was worse than chance on this coin: AUC 0.460 (0.430-0.490), so it has no vote.",
        ),
        (
            {"probability_up": 1.0, "probability_continues": 1.0, "auc": 1.0, "auc_low": 1.0, "auc_high": 1.0},
            1.0,
            "The pattern points up: 100 % for a higher close in 15 minutes, the last move should go on; "
            "AUC 1.000 (1.000-1.000) unseen.",
        ),
    ],
)
def test_each_state_has_its_own_words(changes, vote, words):
    opinion = read(values_of(**changes))
    assert opinion.vote == pytest.approx(vote, abs=1e-12)
    assert opinion.words == words
    assert len(words) < 200


def test_the_probability_that_the_pattern_continues_follows_the_last_move():
    returns = 0.01 * np.random.default_rng(3).standard_normal((3, 99))
    returns[:, -1] = 0.02, -0.02, 0.0
    for row, last in enumerate(returns):
        columns = analyze(whole(candles(last)), [sample()])
        up = columns["probability_up"][0]
        expected = (up, 1.0 - up, np.nan)[row]
        np.testing.assert_equal(columns["probability_continues"][0], expected)


def test_a_market_without_moves_is_a_problem_not_a_number():
    analyzer = discover()["random_forest"]
    columns = analyze(whole(candles(np.zeros(99))), [sample()])
    assert np.isnan(columns["probability_up"][0])
    assert analyzer.headline == "probability_up"
    assert analyzer.learning is not None
    assert analyzer.learning.state is Fitted
