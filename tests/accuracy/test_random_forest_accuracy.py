"""The forest's record on markets whose predictability is known, and votes that follow from the record alone.

Histories and labels are made here and in the simulators; the truth of an echo is a closed form: where score and later
move are normal with correlation rho, P(score before a rise > score before a fall) = 1/2 + 2/pi asin(rho / sqrt 2)
(Sheppard's formula for three normals).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, norm
from scipy.stats import t as student
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from core.analyzers.random_forest import analyze, fit, flatten, measure_skill, predict, read, sample
from core.market import Candles, cut_windows
from tests.accuracy.simulators import autoregression, random_walks

MINUTES = {"1m": 1, "5m": 5, "15m": 15}
HORIZON = {"1m": 15, "5m": 3, "15m": 1}
WINDOW = 100
# A simulated history costs as much as some hundred windows.
WINDOWS_A_HISTORY = 100


def candles(rng, returns, interval):
    """Candles with these log returns in units of a typical one, with wicks and volume that know nothing."""
    closes = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(0.002 * returns)]))
    opens = np.concatenate([closes[:1], closes[:-1]])
    wick = 0.001 * rng.random((2, len(closes)))
    highs, lows = np.maximum(opens, closes) * (1.0 + wick[0]), np.minimum(opens, closes) * (1.0 - wick[1])
    times = 60_000 * MINUTES[interval] * np.arange(len(closes), dtype=np.int64)
    return Candles("BTC-USD", interval, times, opens, highs, lows, closes, 1.0 + rng.random(len(closes)))


def chances_and_votes(rng, fitted, returns, interval, step):
    """What one forest says on windows of candles that it has not seen: probability of a rise, and vote."""
    windows = cut_windows(candles(rng, returns, interval), WINDOW, step=step)
    table = {name: column.tolist() for name, column in analyze(windows, [fitted] * len(windows)).items()}
    rows = (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
    votes = [read({name: value for name, value in row.items() if np.isfinite(value)}).vote for row in rows]
    return np.array(table["probability_up"]), np.array(votes)


def votes_on(rng, fitted, returns, interval, step):
    """Those votes, and each window's last return."""
    _, votes = chances_and_votes(rng, fitted, returns, interval, step)
    return votes, returns[np.arange(len(votes)) * step + WINDOW - 2]


def shuffled_auc(returns, horizon):
    """What the textbook's shuffled 5-fold pretends, with full-grown trees on moving sums of the returns."""
    spans = np.arange(1, 21) * 3
    inputs = np.stack([lfilter(np.ones(span), 1.0, returns) for span in spans], axis=1)[60:-horizon]
    later = np.convolve(returns, np.ones(horizon), "valid")[61:]
    labels = (later > 0.0).astype(int)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    forest = RandomForestClassifier(50, random_state=0, n_jobs=1)
    return roc_auc_score(labels, cross_val_predict(forest, inputs, labels, cv=folds, method="predict_proba")[:, 1])


def best_auc(echo, horizon):
    """The AUC of who knows that returns are autoregressive: the sum of the next ones against the last one."""
    ahead = echo ** np.arange(1, horizon + 1)
    lags = np.abs(np.subtract.outer(np.arange(horizon), np.arange(horizon)))
    correlation = ahead.sum() / np.sqrt((np.asarray(echo) ** lags).sum())
    return 0.5 + 2.0 / np.pi * np.arcsin(abs(correlation) / np.sqrt(2.0))


def study_noise(rng, histories, size, interval, score):
    """Records and votes on histories without any direction to find: the record is a coin's, the forest stays out."""
    kinds = random_walks(rng, histories // 4, size + 40 * WINDOW)
    found, false_skill = [], 0
    for name, returns in kinds.items():
        votes = []
        for series in returns:
            fitted = fit(candles(rng, series[:size], interval))
            found.append(float(fitted.auc))
            false_skill += fitted.auc_low > 0.5
            votes.append(votes_on(rng, fitted, series[size:], interval, WINDOW // 4)[0])
        quiet = np.mean(np.abs(np.concatenate(votes)) <= 0.1)
        score(f"|vote| <= 0.1 on {interval} walks, {name}", goal=">= 95 %", ours=f"{100 * quiet:.1f} %")
        assert quiet >= 0.95
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    # Three standard errors, with Student's t because the error itself is measured on so few histories.
    limit = min(0.57, 0.5 + error * student.ppf(norm.cdf(3.0), len(found) - 1))
    pretended = shuffled_auc(returns[0, :1_000], HORIZON[interval])
    score(
        f"AUC on noise, {interval}, mean of {len(found)} histories",
        goal=f"< {limit:.3f} (0.5 + 3 se)",
        library=f"shuffled 5-fold {pretended:.3f}",
        ours=f"{np.mean(found):.3f} (se {error:.3f})",
    )
    assert np.mean(found) < limit
    share = false_skill / len(found)
    most = binom.ppf(0.999, len(found), 0.025) / len(found)  # what chance alone makes of 2.5 %
    score(
        f"skill claimed on noise, {interval}",
        goal=f"2.5 % (chance: up to {100 * most:.0f} %)",
        ours=f"{100 * share:.1f} %",
    )
    assert share <= most


def test_noise_shows_no_skill_and_gets_no_vote(rng, count, score):
    study_noise(rng, max(16, 4 * (count // (4 * WINDOWS_A_HISTORY))), 1_700, "5m", score)


@pytest.mark.slow
@pytest.mark.parametrize(("interval", "size"), [("1m", 8_000), ("15m", 4_000)])
def test_noise_on_longer_histories_shows_no_skill_either(interval, size, rng, count, score):
    study_noise(rng, max(40, 4 * (count // (4 * WINDOWS_A_HISTORY))), size, interval, score)


@pytest.mark.parametrize(("interval", "echo"), [("15m", 0.5), ("15m", -0.5), ("5m", 0.5)])
def test_an_echo_is_found_and_votes_follow_it_on_both_sides(interval, echo, rng, count, score):
    histories = max(2, count // (7 * WINDOWS_A_HISTORY))
    size = 4_000
    series = autoregression(rng, histories, size + 60 * WINDOW, echo)
    fits = [fit(candles(rng, row[:size], interval)) for row in series]
    mean = np.mean([float(fitted.auc) for fitted in fits])
    score(
        f"AUC at AR({echo}), {interval}",
        goal=f"> 0.62 (best possible {best_auc(echo, HORIZON[interval]):.3f})",
        library=f"shuffled 5-fold {shuffled_auc(series[0, :1_000], HORIZON[interval]):.3f}",
        ours=f"{mean:.3f}",
    )
    assert mean > 0.62
    found = [
        votes_on(rng, fitted, row[size:], interval, WINDOW // 10) for fitted, row in zip(fits, series, strict=True)
    ]
    votes, last = (np.concatenate(part) for part in zip(*found, strict=True))
    for direction in (1.0, -1.0):
        planted = direction * np.sign(echo) * last > 1.2  # the last return, about one standard deviation of it
        clear = direction * votes[planted]
        score(
            f"vote at AR({echo}), {interval}, implying {direction:+.0f}",
            goal="median > 0.3",
            ours=f"{np.median(clear):+.2f}, beyond 0.3 in {100 * np.mean(clear > 0.3):.0f} %",
        )
        assert np.median(clear) > 0.3
        assert np.mean(clear > 0.0) >= 0.9


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_no_window_below_the_usual_is_voted_up_and_none_above_it_down(direction, rng, count, score):
    # A drift makes rises usual, and the forest's ranking has no part in that.
    histories = max(2, count // (7 * WINDOWS_A_HISTORY))
    size = 4_000
    series = autoregression(rng, histories, size + 60 * WINDOW, 0.25) + 0.3 * direction
    against, blind, agreed, bases = [], [], [], []
    for row in series:
        fitted = fit(candles(rng, row[:size], "15m"))
        chances, votes = chances_and_votes(rng, fitted, row[size:], "15m", WINDOW // 10)
        usual = float(fitted.base_rate)
        beyond, past_half = direction * (chances - usual), direction * (chances - 0.5)
        clearly = beyond < -0.02
        bases.append(usual)
        against.append(direction * votes[clearly] > 0.0)
        blind.append(past_half[clearly] > 0.02)
        agreed.append(direction * votes[beyond > 0.05])
    wrong, pretended = np.mean(np.concatenate(against)), np.mean(np.concatenate(blind))
    clear = np.concatenate(agreed)
    score(
        f"votes with the drift against the ranking, drift {0.3 * direction:+.1f}",
        goal="0",
        library=f"edge over 0.5 alone {100 * pretended:.0f} %",
        ours=f"{100 * wrong:.1f} % (base rate {np.mean(bases):.3f})",
    )
    score(
        f"votes where both agree, drift {0.3 * direction:+.1f}",
        goal=">= 90 %",
        ours=f"{100 * np.mean(clear > 0.0):.0f} %, median {direction * np.median(clear):+.2f}",
    )
    assert direction * (np.mean(bases) - 0.5) > 0.08
    assert pretended > 0.2
    assert wrong == 0.0
    assert np.mean(clear > 0.0) >= 0.9


def delong_half_width(scores, labels):
    """Half of DeLong's 95 % interval, which takes every label for an observation of its own."""
    above, below = scores[labels == 1], scores[labels == 0]
    rises = np.array([np.mean(below < one) for one in above])
    falls = np.array([np.mean(above > one) for one in below])
    return rises.mean(), 1.96 * np.sqrt(rises.var(ddof=1) / len(above) + falls.var(ddof=1) / len(below))


@pytest.mark.parametrize(("correlation", "horizon"), [(0.0, 1), (0.3, 3), (0.0, 15), (0.3, 15)])
def test_the_interval_of_the_auc_covers_the_truth(correlation, horizon, rng, count, score):
    truth = 0.5 + 2.0 / np.pi * np.arcsin(correlation / np.sqrt(2.0))
    covered, textbook = [], []
    rounds = count // 2
    for round_number in range(rounds):
        stretches = []
        for _ in range(4):
            score_of = lfilter([np.sqrt(1.0 - 0.9**2)], [1.0, -0.9], rng.standard_normal(700))[100:]
            noise = np.convolve(rng.standard_normal(600 + horizon - 1), np.ones(horizon), "valid") / np.sqrt(horizon)
            move = correlation * score_of + np.sqrt(1.0 - correlation**2) * noise
            stretches.append((score_of, (move > 0.0).astype(np.int64)))
        skill = measure_skill(stretches, horizon + 48)
        covered.append(skill.low <= truth <= skill.high)
        if round_number < 100:
            auc, half = delong_half_width(*stretches[0])
            textbook.append(abs(auc - truth) <= half)
    noise_of_simulation = 2.0 * np.sqrt(0.05 * 0.95 / rounds)
    score(
        f"95 % interval covers AUC {truth:.3f}, {horizon} overlapping",
        goal="92.5 to 97.5 %",
        library=f"DeLong {100 * np.mean(textbook):.0f} %",
        ours=f"{100 * np.mean(covered):.1f} %",
    )
    assert 0.925 - noise_of_simulation <= np.mean(covered) <= 0.975 + noise_of_simulation


@pytest.mark.parametrize("horizon", [1, 3, 15])
def test_betting_against_the_last_moves_has_no_record_on_noise(horizon, rng, count, score):
    size = 300
    records, textbook = [], []
    for round_number in range(count // 5):
        stretches = []
        for _ in range(4):
            prices = np.cumsum(rng.standard_normal(size + 48 + horizon))
            now = np.arange(48, 48 + size)
            stretches.append((prices[now - 48] - prices[now], (prices[now + horizon] > prices[now]).astype(np.int64)))
        records.append(measure_skill(stretches, horizon + 48).auc)
        if round_number < 50:
            textbook.append(np.mean([roc_auc_score(labels, scores) for scores, labels in stretches]))
    error = np.std(records, ddof=1) / np.sqrt(len(records))
    score(
        f"AUC of a contrarian on noise, stretches of {size}, {horizon} overlapping",
        goal="0.5 +- 4 se",
        library=f"roc_auc_score {np.mean(textbook):.3f}",
        ours=f"{np.mean(records):.3f} (se {error:.4f})",
    )
    assert abs(np.mean(records) - 0.5) <= 4.0 * error


def test_the_probability_is_that_of_scikit_learn(rng, score):
    inputs = rng.standard_normal((2_000, 20)).astype(np.float32)
    labels = (inputs[:, 0] + rng.standard_normal(2_000) > 0.0).astype(int)
    forest = RandomForestClassifier(100, max_depth=8, random_state=0, n_jobs=1).fit(inputs, labels)
    ours = predict(sample()._replace(**flatten(forest)), inputs)[:, 0]
    worst = np.abs(ours - forest.predict_proba(inputs)[:, 1]).max()
    score("difference to scikit-learn", goal="0", library="predict_proba", ours=f"{worst:.0e}")
    assert worst == 0.0
