"""Three phases against the filter that knows the truth; libraries on the same windows; walks and planted trends."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from core.analyzers import discover, market_regime
from core.kernels.regimes import fit_returns
from tests.accuracy.regime_simulators import (
    best_agreement,
    history_of,
    log_score,
    oracle,
    planted_history,
    share_right,
    simulate,
    truth_of,
)
from tests.accuracy.simulators import TYPICAL_RETURN, random_walks, windows_of

STATES = ("bear", "sideways", "bull")
TRUTHS = {
    "the bear is wilder": truth_of([-0.2, 0.0, 0.15], [1.6, 0.5, 0.9], 0.97),
    "strong drift": truth_of([-0.6, 0.0, 0.6], [1.4, 0.5, 0.8], 0.96),
    "drift alone, long-lived": truth_of([-0.3, 0.0, 0.3], [1.0, 1.0, 1.0], 0.995),
}


def read_all(returns, fitted):
    """Columns and votes of windows that share one fit."""
    analyzer = discover()["market_regime"]
    columns = analyzer.analyze(windows_of(returns), [fitted] * len(returns))
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return columns, np.array([analyzer.read(row).vote for row in rows])


def probabilities(columns, names=STATES):
    return np.stack([columns[name] for name in names], axis=1)


def learn(rng, truth):
    training, _ = simulate(rng, truth, 8, 5_000)
    return fit_returns(TYPICAL_RETURN * training, market_regime.LAYOUT)


@pytest.mark.parametrize("name", TRUTHS)
def test_the_filter_is_nearly_as_good_as_one_that_knows_the_truth(name, rng, count, score):
    truth = TRUTHS[name]
    fitted = learn(rng, truth)
    returns, path = simulate(rng, truth, 2 * count, 499)
    ours, best = probabilities(read_all(returns, fitted)[0]), oracle(returns, truth)
    right, limit = share_right(ours, path[:, -1]), share_right(best, path[:, -1])
    noise = np.std((ours.argmax(1) == path[:, -1]) - 0.97 * (best.argmax(1) == path[:, -1])) / np.sqrt(len(ours))
    lost = log_score(best, path[:, -1]) - log_score(ours, path[:, -1])
    library = np.mean([in_window_agreement(*case) for case in zip(returns[:20], path[:20], strict=True)])
    score(
        f"market regime: right state, {name}",
        goal=f">= 0.97 x oracle = {0.97 * limit:.3f}",
        library=f"hmmlearn in-window {library:.3f}",
        ours=f"{right:.3f} (oracle {limit:.3f})",
    )
    score(f"market regime: log score lost to the oracle, {name}", goal="<= 0.050", ours=f"{lost:.4f}")
    assert right >= 0.97 * limit - 2.0 * noise
    assert right > library
    assert lost <= 0.05


def in_window_agreement(returns, path):
    """hmmlearn fitted and decoded on the window itself, as it is commonly used, after the best relabelling."""
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    model = GaussianHMM(3, n_iter=100, random_state=0).fit(returns[:, None])
    return best_agreement(model.predict(returns[:, None]), path, 3)


def test_statsmodels_fitted_in_the_window_is_further_from_the_truth(rng, score):
    truth = TRUTHS["the bear is wilder"]
    fitted = learn(rng, truth)
    returns, path = simulate(rng, truth, 4, 499)
    right, library = [], []
    for row, states in zip(returns, path, strict=True):
        ends = np.arange(150, 500, 10)
        windows = np.stack([row[end - 150 : end] for end in ends])
        right.append(share_right(probabilities(read_all(windows, fitted)[0]), states[ends - 1]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MarkovRegression(row, k_regimes=3, switching_variance=True).fit(disp=False)
        library.append(best_agreement(model.filtered_marginal_probabilities.argmax(axis=1), states, 3))
    score(
        "market regime: right state, four windows",
        goal="above statsmodels",
        library=f"statsmodels in-window {np.mean(library):.3f}",
        ours=f"{np.mean(right):.3f} (windows of 150)",
    )
    gaps = np.subtract(right, library)
    assert gaps.mean() >= -2.0 * gaps.std(ddof=1) / np.sqrt(len(gaps)), "four windows: their own noise is allowed for"


@pytest.mark.parametrize("kind", ["normal", "student-t(3)", "GARCH-t", "GARCH-t, shocks 0.15"])
def test_walks_get_no_vote_from_a_fit_on_walks(kind, rng, count, score):
    quiet, surest, separations = [], [], []
    for _ in range(3):
        fitted = market_regime.fit(history_of(random_walks(rng, 1, 7_000)[kind][0]))
        columns, votes = read_all(random_walks(rng, count // 3, 499)[kind], fitted)
        quiet.append(np.mean(np.abs(votes) <= 0.1))
        surest.append(probabilities(columns, STATES).max())
        separations.append(float(fitted.trend_separation))
    score(
        f"market regime: |vote| <= 0.1 on walks, {kind}",
        goal=">= 95 %",
        ours=f"{100 * np.mean(quiet):.1f} % (surest trend {max(surest):.2f}, separation {max(separations):+.1f})",
    )
    assert np.mean(quiet) >= 0.95


def test_walks_get_hardly_a_vote_even_from_a_fit_on_trends(rng, count, score):
    fitted = market_regime.fit(planted_history(rng, (-0.3, 0.0, 0.3), 20_000, 300))
    _, votes = read_all(rng.standard_normal((count, 499)), fitted)
    quiet = np.mean(np.abs(votes) <= 0.1)
    score("market regime: |vote| <= 0.1 on walks, fit on trends", goal="shown only", ours=f"{100 * quiet:.1f} %")
    assert abs(np.mean(votes)) <= 0.1


@pytest.mark.parametrize("drifts", [(-0.3, 0.0, 0.3), (-0.3, 0.3)], ids=["with pauses", "without"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_planted_trends_get_a_clear_vote_in_their_direction(direction, drifts, rng, count, score):
    fitted = market_regime.fit(planted_history(rng, drifts, 10_000, 250))
    _, votes = read_all(rng.standard_normal((count, 499)) + 0.3 * direction, fitted)
    clear, middle = np.mean(direction * votes > 0.3), np.median(votes)
    score(
        f"market regime: median vote, trend {direction:+.0f}, history of {len(drifts)} drifts",
        goal="beyond 0.3",
        ours=f"{middle:+.2f} ({100 * clear:.1f} % beyond)",
    )
    assert direction * middle > 0.3
