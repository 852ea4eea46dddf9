"""Variance tests: equal to the libraries, right under volatility clusters, and volatilities that are not off."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from arch.unitroot import VarianceRatio
from statsmodels.stats.diagnostic import het_arch

from core.analyzers import discover
from core.market import Windows
from tests.accuracy.simulators import autoregression, clustered_noise, random_walks, windows_of

THEORY = "variance_tests"
HORIZONS = (2, 4, 8, 16)
SIZE = 499
# Steps of a candle, each with the exact law of its highest and of its lowest price.
STEPS = 16
CHUNK = 250


def margin(share, count):
    """Two standard errors of a share of so many windows."""
    return 2.0 * np.sqrt(share * (1.0 - share) / count)


def brownian_candles(rng, rows, length, *, gap_share=0.0, drift=0.0):
    """Logs of open, high, low, close of a Brownian motion of variance 1 a candle, a share of it between candles.

    Between two steps the motion is a bridge, whose maximum is (d + sqrt(d^2 - 2 v ln U)) / 2 above its start.
    """
    variance = (1.0 - gap_share) / STEPS
    moves = drift / STEPS + np.sqrt(variance) * rng.standard_normal((rows, length, STEPS))
    gaps = np.sqrt(gap_share) * rng.standard_normal((rows, length))
    inside = np.cumsum(moves, axis=2)
    closes = np.cumsum(gaps + inside[:, :, -1], axis=1)
    opens = closes - inside[:, :, -1]
    spread = -2.0 * variance * np.log1p(-rng.random((2, rows, length, STEPS)))
    starts = inside - moves
    highs = opens + (starts + 0.5 * (moves + np.sqrt(moves**2 + spread[0]))).max(axis=2)
    lows = opens + (starts + 0.5 * (moves - np.sqrt(moves**2 + spread[1]))).min(axis=2)
    return np.stack([opens, highs, lows, closes])


def measure_candles(logs):
    """The columns on windows whose prices have these logs, in hundredths."""
    _, rows, length = logs.shape
    block = np.ascontiguousarray(np.concatenate([np.exp(0.01 * logs), np.ones((1, rows, length))]))
    times = np.tile(300_000 * np.arange(length, dtype=np.int64), (rows, 1))
    return discover()[THEORY].analyze(Windows(("BTC-USD",) * rows, "5m", times, block))


ESTIMATORS = ("volatility", "parkinson", "garman_klass", "rogers_satchell", "close")


@pytest.mark.parametrize(
    ("scenario", "gap_share", "drift", "unbiased"),
    [
        ("no gaps", 0.0, 0.0, ESTIMATORS),
        ("a quarter in gaps", 0.25, 0.0, ("volatility", "close")),
        ("gaps and a drift of 0.3", 0.25, 0.3, ("volatility", "close")),
    ],
)
def test_the_headline_volatility_is_never_off_and_sharper_than_that_of_closes(
    scenario, gap_share, drift, unbiased, rng, count, score
):
    parts = [
        measure_candles(brownian_candles(rng, min(CHUNK, count - start), SIZE + 1, gap_share=gap_share, drift=drift))
        for start in range(0, count, CHUNK)
    ]
    variances = {name: np.concatenate([part[f"{name}_percent"] for part in parts]) ** 2 for name in ESTIMATORS}
    # The mean estimate is known within two of these.
    noise = {name: 2.0 * found.std() / np.sqrt(count) for name, found in variances.items()}
    for name, found in variances.items():
        sharper = variances["close"].var() / found.var()
        score(
            f"variance_tests: variance / truth, {name}, {scenario}",
            goal="0.98 to 1.02" if name in unbiased else "-",
            ours=f"{found.mean():.3f} ({sharper:.1f}x as sharp as closes)",
        )
        assert name not in unbiased or 0.98 - noise[name] <= found.mean() <= 1.02 + noise[name]
    others = max(variances[name].mean() for name in ("parkinson", "garman_klass", "rogers_satchell"))
    assert not gap_share or drift or others < 0.8, "the others miss the gaps"


@pytest.mark.parametrize(
    ("name", "goal"), [("volatility", 7.1), ("parkinson", 4.9), ("garman_klass", 7.4), ("rogers_satchell", 6.0)]
)
def test_whole_candles_are_as_sharp_as_theory_says(name, goal, rng, count, score):
    parts = [
        measure_candles(brownian_candles(rng, min(CHUNK, count - start), SIZE + 1)) for start in range(0, count, CHUNK)
    ]
    variances, closes = (np.concatenate([part[f"{n}_percent"] for part in parts]) ** 2 for n in (name, "close"))
    sharper = closes.var() / variances.var()
    # A ratio of two variances of normal estimates has this relative standard error, if they were independent.
    relative = np.sqrt(4.0 / count)
    score(
        f"variance_tests: times as sharp as closes, {name}",
        goal=f">= {0.95 * goal:.1f}",
        ours=f"{sharper:.1f} +- {sharper * relative:.1f}",
    )
    assert sharper >= 0.95 * goal * (1.0 - 2.0 * relative)


def test_each_ratio_holds_its_level_on_random_walks(rng, count, measure, score):
    for name, returns in random_walks(rng, count, SIZE).items():
        columns = measure(THEORY, returns)
        for span in HORIZONS:
            found = np.mean(np.abs(columns[f"score_{span}"]) > 1.96)
            plain = [abs(VarianceRatio(np.cumsum(row), lags=span, robust=False).stat) > 1.96 for row in returns[:200]]
            score(
                f"variance_tests: size at 5 %, q={span}, {name}",
                goal="3 to 7 %",
                library=f"arch, not robust {100 * np.mean(plain):.1f} %",
                ours=f"{100 * found:.1f} %",
            )
            assert 0.03 - margin(0.03, count) <= found <= 0.07 + margin(0.07, count)


def test_the_joint_test_holds_its_level_on_random_walks(rng, count, measure, score):
    for name, returns in random_walks(rng, count, SIZE).items():
        found = np.mean(measure(THEORY, returns)["p_value"] < 0.05)
        score(f"variance_tests: joint size at 5 %, {name}", goal="2 to 6 %", ours=f"{100 * found:.1f} %")
        assert 0.02 - margin(0.02, count) <= found <= 0.06 + margin(0.06, count)


@pytest.mark.parametrize(("echo", "goal"), [(0.2, 0.9), (-0.2, 0.9)])
def test_the_joint_test_finds_a_weak_echo(echo, goal, rng, count, measure, score):
    found = np.mean(measure(THEORY, autoregression(rng, count, SIZE, echo))["p_value"] < 0.05)
    score(
        f"variance_tests: joint power at AR({echo}), n=500", goal=f">= {100 * goal:.0f} %", ours=f"{100 * found:.1f} %"
    )
    assert found >= goal


def test_the_test_of_change_and_that_of_clusters_hold_their_level_and_find_what_they_say(rng, count, measure, score):
    calm = measure(THEORY, rng.standard_normal((count, SIZE)))
    clusters = measure(THEORY, clustered_noise(rng, count, SIZE))
    rougher = rng.standard_normal((count, SIZE))
    rougher[:, -SIZE // 2 :] *= 1.5
    changed = measure(THEORY, rougher)
    shares = {
        "change, one volatility": (np.mean(calm["change_p_value"] < 0.05), 0.03, 0.07),
        "change, newer half 1.5 times as volatile": (np.mean(changed["change_p_value"] < 0.05), 0.95, 1.0),
        # Not a fault to be hidden: ordinary clusters are a change of volatility.
        "change, GARCH-t": (np.mean(clusters["change_p_value"] < 0.05), 0.4, 0.7),
        "clusters, one volatility": (np.mean(calm["arch_p_value"] < 0.05), 0.03, 0.07),
        "clusters, GARCH-t": (np.mean(clusters["arch_p_value"] < 0.05), 0.75, 1.0),
    }
    for name, (found, least, most) in shares.items():
        score(
            f"variance_tests: rejects at 5 %, {name}",
            goal=f"{100 * least:.0f} to {100 * most:.0f} %",
            ours=f"{100 * found:.1f} %",
        )
        assert least - margin(0.05, count) <= found <= most + margin(0.05, count), name


@pytest.mark.parametrize(("factor", "low", "high"), [(2.0, 0.0, 0.95), (0.5, 0.95, 0.0), (1.0, 0.25, 0.25)])
def test_the_place_of_volatility_within_the_window_is_found(factor, low, high, rng, count, measure, score):
    returns = rng.standard_normal((count, SIZE))
    returns[:, -50:] *= factor
    ranks = measure(THEORY, returns)["volatility_rank_percent"]
    below, above = np.mean(ranks < 100.0 / 3.0), np.mean(ranks > 200.0 / 3.0)
    score(
        f"variance_tests: low, high when the last 50 candles are {factor} times as volatile",
        goal=f">= {100 * low:.0f} %, >= {100 * high:.0f} %",
        ours=f"{100 * below:.1f} %, {100 * above:.1f} %",
    )
    assert below >= low
    assert above >= high


def test_random_walks_get_no_vote(rng, count, votes, score):
    for name, returns in random_walks(rng, count, SIZE).items():
        quiet = np.mean(np.abs(votes(THEORY, returns)) <= 0.1)
        score(f"variance_tests: |vote| <= 0.1 on walks, {name}", goal=">= 95 %", ours=f"{100 * quiet:.1f} %")
        assert quiet >= 0.95


@pytest.mark.parametrize("drift", [0.3, -0.3])
def test_persistent_moves_along_a_drift_get_a_vote_along_it(drift, rng, count, votes, score):
    # A variance ratio takes the mean out, so a steady drift alone is nothing to it: the moves must persist as well.
    found = np.sign(drift) * votes(THEORY, drift + autoregression(rng, count, SIZE, 0.3))
    clear = np.mean(found > 0.3)
    score(
        f"variance_tests: vote along AR(0.3) with drift {drift}",
        goal="median > 0.3, clear >= 95 %",
        ours=f"median {np.median(found):.2f}, clear {100 * clear:.1f} %",
    )
    assert np.median(found) > 0.3
    assert clear >= 0.95


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_moves_that_cancel_get_a_vote_for_the_way_back(direction, rng, count, votes, score):
    returns = autoregression(rng, count, SIZE, -0.3)
    expected = direction * -0.3 * returns[:, -1]
    found = direction * votes(THEORY, returns[expected > 0.3])
    clear = np.mean(found > 0.3)
    score(
        f"variance_tests: vote for the way back, AR(-0.3), next move {direction:+.0f}",
        goal=">= 90 %",
        ours=f"{100 * clear:.1f} %",
    )
    assert clear >= 0.9


def test_statistics_equal_the_libraries_on_every_window(rng, measure, score):
    returns = np.concatenate([*random_walks(rng, 10, SIZE).values(), autoregression(rng, 10, SIZE, -0.3)])
    columns = measure(THEORY, returns)
    differences = []
    for row, levels in enumerate(np.log(windows_of(returns).close)):
        moves = np.diff(levels)
        clusters = het_arch(moves - moves.mean(), nlags=5, result_object=True)
        change = scipy.stats.levene(moves[: SIZE // 2], moves[SIZE // 2 :], center="median")
        pairs = [
            ("arch_statistic", clusters.lm),
            ("arch_p_value", clusters.lmpval),
            ("change_statistic", change.statistic),
            ("change_p_value", change.pvalue),
        ]
        for span in HORIZONS:
            ratio = VarianceRatio(levels, lags=span)
            pairs += [(f"ratio_{span}", ratio.vr), (f"score_{span}", ratio.stat)]
        differences += [abs(columns[name][row] - expected) / max(abs(expected), 1.0) for name, expected in pairs]
    worst = max(differences)
    score("variance_tests: difference to arch, statsmodels, scipy", goal="<= 1e-8", ours=f"{worst:.1e}")
    assert worst <= 1e-8
