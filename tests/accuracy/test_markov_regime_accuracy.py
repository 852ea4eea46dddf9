"""Six regimes against the filter that knows the truth; hmmlearn on the same windows; walks, planted, faint trends."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM

from core.analyzers import discover, markov_regime
from core.kernels.hidden_markov import maximise
from core.kernels.regimes import fit_returns
from tests.accuracy.regime_simulators import (
    Truth,
    best_agreement,
    chain,
    history_of,
    log_score,
    oracle,
    planted_history,
    share_right,
    simulate,
    truth_of,
)
from tests.accuracy.simulators import TYPICAL_RETURN, random_walks, windows_of

STATES = ("down_low", "down_high", "flat_low", "flat_high", "up_low", "up_high")
TRUTHS = {
    "drift 0.6": truth_of([-0.6, -0.6, 0.0, 0.0, 0.6, 0.6], [0.4, 1.4] * 3, 0.96),
    "drift with the volatility": truth_of([-0.3, -1.0, 0.0, 0.0, 0.3, 1.0], [0.4, 1.4] * 3, 0.97),
    "drift 0.3, long-lived": truth_of([-0.3, -0.3, 0.0, 0.0, 0.3, 0.3], [0.5, 1.2] * 3, 0.99),
    "trend and volatility on their own": Truth(
        np.repeat([-0.4, 0.0, 0.4], 2), np.array([0.5, 1.3] * 3), np.kron(chain(3, 0.995), chain(2, 0.97))
    ),
    "trends that pause": Truth(
        np.repeat([-0.4, 0.0, 0.5], 2),
        np.array([0.5, 1.3] * 3),
        np.kron([[0.99, 0.01, 0.0], [0.01, 0.98, 0.01], [0.0, 0.01, 0.99]], [[0.98, 0.02], [0.05, 0.95]]),
    ),
}
REALISTIC = {drift: truth_of([-drift, -drift, 0.0, 0.0, drift, drift], [0.5, 1.5] * 3, 0.98) for drift in (0.05, 0.1)}


def read_all(returns, fitted):
    """Columns and votes of windows that share one fit."""
    analyzer = discover()["markov_regime"]
    columns = analyzer.analyze(windows_of(returns), [fitted] * len(returns))
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return columns, np.array([analyzer.read(row).vote for row in rows])


def probabilities(columns, names=STATES):
    return np.stack([columns[name] for name in names], axis=1)


def learn(rng, truth):
    training, _ = simulate(rng, truth, 8, 5_000)
    return fit_returns(TYPICAL_RETURN * training, markov_regime.LAYOUT)


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
        f"markov regime: right state, {name}",
        goal=f">= 0.97 x oracle = {0.97 * limit:.3f}",
        library=f"hmmlearn in-window {library:.3f}",
        ours=f"{right:.3f} (oracle {limit:.3f})",
    )
    score(f"markov regime: log score lost to the oracle, {name}", goal="<= 0.050", ours=f"{lost:.4f}")
    assert right >= 0.97 * limit - 2.0 * noise
    assert right > library
    assert lost <= 0.05


def in_window_agreement(returns, path):
    """hmmlearn fitted and decoded on the window itself, as it is commonly used, after the best relabelling."""
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    model = GaussianHMM(6, n_iter=100, random_state=0).fit(returns[:, None])
    return best_agreement(model.predict(returns[:, None]), path, 6)


def test_learning_reaches_the_likelihood_of_hmmlearn(rng, score):
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    truth = TRUTHS["drift 0.6"]
    differences = []
    for row in simulate(rng, truth, 20, 500)[0]:
        emission = np.array([truth.means * 0.7, truth.deviations * 1.2])
        transition, start = chain(6, 0.8), np.full(6, 1.0 / 6.0)
        library = GaussianHMM(6, n_iter=100, tol=1e-2, init_params="", min_covar=1e-6, covars_prior=0.0)
        library.startprob_, library.transmat_ = start.copy(), transition.copy()
        library.means_, library.covars_ = emission[0][:, None].copy(), (emission[1] ** 2)[:, None].copy()
        library.fit(row[:, None])
        ours, _ = maximise(row[None, :], emission, transition, start, np.arange(6), (100, 1e-2, 1e-3, 0.0, 0.0, 0.0))
        differences.append(ours - library.monitor_.history[-1])
    middle = float(np.median(differences))
    score("markov regime: log likelihood above hmmlearn's, median", goal="0 +- 0.01 nats", ours=f"{middle:+.1e} nats")
    assert abs(middle) <= 0.01


@pytest.mark.parametrize("drift", REALISTIC)
def test_a_realistic_drift_is_shown_as_undecided_and_the_volatility_with_confidence(drift, rng, count, score):
    truth = REALISTIC[drift]
    training, _ = simulate(rng, truth, 1, 10_000)
    fitted = markov_regime.fit(history_of(training[0]))
    returns, path = simulate(rng, truth, count, 499)
    columns, _ = read_all(returns, fitted)
    best = oracle(returns, truth)
    high = path[:, -1] % 2
    volatility = np.mean((columns["high_volatility"] > 0.5) == high)
    limit = np.mean((best[:, 1::2].sum(axis=1) > 0.5) == high)
    trend_limit = np.mean(best.reshape(-1, 3, 2).sum(axis=2).argmax(axis=1) == path[:, -1] // 2)
    shown = probabilities(columns, ("down", "flat", "up"))
    surest, knowable = shown.max(axis=1), best.reshape(-1, 3, 2).sum(axis=2).max(axis=1)
    trend_score = log_score(shown, path[:, -1] // 2)
    clear = surest > 0.8
    hits = np.mean((shown.argmax(axis=1) == path[:, -1] // 2)[clear]) if clear.any() else 1.0
    noise = np.sqrt(0.16 / max(clear.sum(), 1))
    score(
        f"markov regime: volatility right, drift {drift}",
        goal=f">= 0.97 x oracle = {0.97 * limit:.3f}",
        ours=f"{volatility:.3f} (trend: oracle {trend_limit:.2f})",
    )
    score(
        f"markov regime: trend above 80 %, drift {drift}",
        goal="<= 5 %, or right as often as said",
        ours=f"{100 * clear.mean():.1f} %, of these right {100 * hits:.0f} %",
        library=f"oracle {100 * np.mean(knowable > 0.8):.1f} %",
    )
    score(f"markov regime: trend's log score, drift {drift}", goal=">= coin - 0.05 = -1.149", ours=f"{trend_score:.3f}")
    assert volatility >= 0.97 * limit
    # The filter that knows the truth is sure of a trend of 0.1 in one window of twenty; so may we be, if we are right.
    assert clear.mean() <= 0.05 or (drift > 0.05 and hits >= 0.8 - 2.0 * noise)
    assert trend_score >= np.log(1.0 / 3.0) - 0.05


@pytest.mark.parametrize("kind", ["normal", "student-t(3)", "GARCH-t", "GARCH-t, shocks 0.15"])
def test_walks_get_no_vote_from_a_fit_on_walks(kind, rng, count, score):
    quiet, surest, separations = [], [], []
    for _ in range(3):
        fitted = markov_regime.fit(history_of(random_walks(rng, 1, 7_000)[kind][0]))
        columns, votes = read_all(random_walks(rng, count // 3, 499)[kind], fitted)
        quiet.append(np.mean(np.abs(votes) <= 0.1))
        surest.append(probabilities(columns, ("up", "flat", "down")).max())
        separations.append(float(fitted.trend_separation))
    score(
        f"markov regime: |vote| <= 0.1 on walks, {kind}",
        goal=">= 95 %",
        ours=f"{100 * np.mean(quiet):.1f} % (surest trend {max(surest):.2f}, separation {max(separations):+.1f})",
    )
    assert np.mean(quiet) >= 0.95


def test_walks_get_hardly_a_vote_even_from_a_fit_on_trends(rng, count, score):
    fitted = markov_regime.fit(planted_history(rng, (-0.3, 0.0, 0.3), 20_000, 300))
    _, votes = read_all(rng.standard_normal((count, 499)), fitted)
    quiet = np.mean(np.abs(votes) <= 0.1)
    score("markov regime: |vote| <= 0.1 on walks, fit on trends", goal="shown only", ours=f"{100 * quiet:.1f} %")
    assert abs(np.mean(votes)) <= 0.1


@pytest.mark.parametrize("drifts", [(-0.3, 0.0, 0.3), (-0.3, 0.3)], ids=["with pauses", "without"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_planted_trends_get_a_clear_vote_in_their_direction(direction, drifts, rng, count, score):
    fitted = markov_regime.fit(planted_history(rng, drifts, 10_000, 250))
    _, votes = read_all(rng.standard_normal((count, 499)) + 0.3 * direction, fitted)
    clear, middle = np.mean(direction * votes > 0.3), np.median(votes)
    score(
        f"markov regime: median vote, trend {direction:+.0f}, history of {len(drifts)} drifts",
        goal="beyond 0.3",
        ours=f"{middle:+.2f} ({100 * clear:.1f} % beyond)",
    )
    assert direction * middle > 0.3
