"""Monte Carlo risk: the next candle, 96 candles, stop and target, each against a process whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arch import arch_model
from scipy.stats import chi2, norm
from scipy.stats import t as student

from core.analyzers import monte_carlo
from core.market import SYMBOLS, Windows
from tests.accuracy.simulators import random_walks, windows_of

THEORY = "monte_carlo"
SIZE = 499
STEPS = 1_000
SHOCK, MEMORY, TAILS = 0.1, 0.88, 5.0
WARM_UP = 300


def garch_t(rng, rows, size):
    """GARCH(1,1) with Student-t shocks: returns and the standard deviation that each was drawn with."""
    shocks = rng.standard_t(TAILS, (rows, size + WARM_UP)) * math.sqrt((TAILS - 2.0) / TAILS)
    returns, deviations = np.empty_like(shocks), np.empty_like(shocks)
    variance = np.ones(rows)
    for place in range(size + WARM_UP):
        deviations[:, place] = np.sqrt(variance)
        returns[:, place] = deviations[:, place] * shocks[:, place]
        variance = 1.0 - SHOCK - MEMORY + SHOCK * returns[:, place] ** 2 + MEMORY * variance
    return np.ascontiguousarray(returns[:, WARM_UP:]), deviations[:, WARM_UP:]


def true_quantile(share):
    return student.ppf(share, TAILS) * math.sqrt((TAILS - 2.0) / TAILS)


def apart(windows):
    """The same windows, each at a symbol and an instant of its own, so that each draws paths of its own."""
    rows = np.arange(len(windows))
    symbols = tuple(SYMBOLS[row % len(SYMBOLS)] for row in rows)
    return Windows(symbols, windows.interval, windows.open_times + 300_000 * rows[:, None], windows.block)


def xlogy(count, share):
    return count * math.log(share) if count else 0.0


def kupiec(violations, share):
    """p-value of the likelihood ratio of the number of violations (Kupiec 1995)."""
    total, found = len(violations), int(violations.sum())
    seen = found / total
    expected = xlogy(found, share) + xlogy(total - found, 1.0 - share)
    return chi2.sf(2.0 * (xlogy(found, seen) + xlogy(total - found, 1.0 - seen) - expected), 1)


def christoffersen(violations):
    """p-value of the likelihood ratio of violations that follow one another (Christoffersen 1998)."""
    before, after = violations[:-1], violations[1:]
    counts = np.array(
        [[(~before & ~after).sum(), (~before & after).sum()], [(before & ~after).sum(), (before & after).sum()]]
    )

    def likelihood(quiet, violated):
        return xlogy(quiet, quiet / max(quiet + violated, 1)) + xlogy(violated, violated / max(quiet + violated, 1))

    apart_ = sum(likelihood(int(quiet), int(violated)) for quiet, violated in counts)
    return chi2.sf(2.0 * (apart_ - likelihood(*(int(total) for total in counts.sum(axis=0)))), 1)


def tick_loss(quantiles, outcomes, share):
    return ((share - (outcomes < quantiles)) * (outcomes - quantiles)).mean()


def test_the_value_at_risk_of_the_next_candle_is_that_of_the_true_process(rng, count, score):
    # So many that chance alone moves a share of 5 % by less than 3 points.
    series = max(count // 7, 20)
    returns, deviations = garch_t(rng, series, SIZE + STEPS)
    found = {0.05: [], 0.01: []}
    for one, spread in zip(returns, deviations, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(one, SIZE)[:STEPS].copy()
        losses = monte_carlo.next_losses(monte_carlo.fit_law(windows), np.zeros(STEPS))
        future = one[SIZE:]
        for share, rows in found.items():
            quantiles = -losses[f"value_at_risk_{round(100 * (1 - share))}"]
            violations = future < quantiles
            truth = true_quantile(share) * spread[SIZE:]
            losses_of_tick = tick_loss(quantiles, future, share), tick_loss(truth, future, share)
            tests = kupiec(violations, share), christoffersen(violations), christoffersen(future < truth)
            rows.append((violations.mean() / share, *(chance < 0.05 for chance in tests), *losses_of_tick))
    for share, tolerance, worst_tick, library in ((0.05, 0.12, 1.03, "1.004"), (0.01, 0.35, 1.06, "1.023")):
        rate, missed, clustered, clustered_truth, ours, oracle = np.mean(found[share], axis=0)
        name = f"next candle, {100 * share:.0f} %"
        score(f"{name}, violations / expected", goal=f"within {tolerance:.0%}", ours=f"{rate:.3f}")
        score(f"{name}, Kupiec rejects", goal="<= 15 %", ours=f"{missed:.1%}")
        score(
            f"{name}, Christoffersen rejects",
            goal="<= 15 %",
            library=f"true quantile {clustered_truth:.1%}",
            ours=f"{clustered:.1%}",
        )
        score(
            f"{name}, tick loss / oracle",
            goal=f"<= {worst_tick}",
            library=f"arch {library}",
            ours=f"{ours / oracle:.3f}",
        )
        # Few series tell a share coarsely: the goal is for the share itself.
        noise = 2.0 * math.sqrt(0.05 * 0.95 / series)
        assert abs(rate - 1.0) <= tolerance
        assert missed <= 0.15 + noise
        assert clustered <= 0.15 + noise
        assert ours / oracle <= worst_tick


def expected_tick_loss(quantiles, share):
    """Mean tick loss of quantiles, in true standard deviations, over the true law of the outcome: an exact integral."""
    unit = math.sqrt((TAILS - 2.0) / TAILS)
    edges = quantiles / unit
    below = -unit * (TAILS + edges**2) / (TAILS - 1.0) * student.pdf(edges, TAILS)
    return quantiles * (student.cdf(edges, TAILS) - share) - below


def test_volatility_and_value_at_risk_are_those_of_arch_told_the_law(rng, count, score):
    windows = max(count // 10, 50)
    returns, deviations = garch_t(rng, windows, SIZE + 1)
    history, spread = np.ascontiguousarray(returns[:, :SIZE]), deviations[:, SIZE]
    law = monte_carlo.fit_law(history)
    losses = monte_carlo.next_losses(law, np.zeros(windows))
    library = np.empty((windows, 2))
    for row, past in enumerate(history):
        model = arch_model(past, mean="Constant", vol="GARCH", p=1, q=1, dist="t", rescale=False)
        fitted = model.fit(disp="off", show_warning=False)
        library[row] = fitted.forecast(horizon=1).variance.to_numpy()[-1, 0] ** 0.5, fitted.params["nu"]
    deviation, freedom = library.T
    ours, theirs = (np.abs(np.log(found / spread)) for found in (np.sqrt(law.next_variance), deviation))
    score(
        "volatility of the next candle, log error",
        goal="<= library",
        library=f"arch {theirs.mean():.3f}",
        ours=f"{ours.mean():.3f}",
    )
    assert (ours - theirs).mean() <= 2.0 * (ours - theirs).std() / math.sqrt(windows)
    # arch has the true law's quantile to fit; the filtered one has the residuals alone, and pays that much.
    for share, goal in ((0.05, 1.01), (0.01, 1.025)):
        quantiles = -losses[f"value_at_risk_{round(100 * (1 - share))}"]
        told = deviation * student.ppf(share, freedom) * np.sqrt((freedom - 2.0) / freedom)
        oracle = expected_tick_loss(np.array([true_quantile(share)]), share).mean()
        mine, arch = (expected_tick_loss(found / spread, share) / oracle for found in (quantiles, told))
        score(
            f"next candle, {100 * share:.0f} %, expected tick loss / oracle",
            goal=f"<= {goal} arch",
            library=f"arch {arch.mean():.4f}",
            ours=f"{mine.mean():.4f}",
        )
        assert mine.mean() <= goal * arch.mean() + 2.0 * (mine - arch).std() / math.sqrt(windows)


def test_the_quantiles_of_96_candles_hold_in_the_future_of_the_process(rng, count, score):
    returns, _ = garch_t(rng, count, SIZE + 96)
    columns = monte_carlo.analyze(apart(windows_of(np.ascontiguousarray(returns[:, :SIZE]))))
    outcomes = 100.0 * np.expm1(0.005 * returns[:, SIZE:].sum(axis=1))
    # The law is estimated from 499 returns, so that the tails of 96 candles come somewhat more often than it says.
    for share, highest, name in ((0.01, 0.02, "value_at_risk_99_percent"), (0.05, 0.07, "value_at_risk_95_percent")):
        rate = np.mean(outcomes < -columns[name])
        score(
            f"96 candles below the {share:.0%} quantile",
            goal=f"{0.6 * share:.1%} to {highest:.0%}",
            ours=f"{rate:.2%}",
        )
        noise = 2.0 * math.sqrt(share / count)
        assert 0.6 * share - noise <= rate <= highest + noise
    inside = np.mean((outcomes > columns["outcome_25_percent"]) & (outcomes < columns["outcome_75_percent"]))
    score("96 candles between the quartiles", goal="45 to 55 %", ours=f"{100 * inside:.1f} %")
    assert abs(inside - 0.5) <= 0.05 + 2.0 * math.sqrt(0.25 / count)


def fine_candles(rng, rows, size, fine):
    """Normal GARCH candles (shock 0.06, memory 0.92) walked in fine steps: log moves, highs and lows from the open."""
    variance = np.ones(rows)
    moves, highs, lows = (np.empty((rows, size)) for _ in range(3))
    for place in range(size):
        walk = np.cumsum(rng.standard_normal((rows, fine)), axis=1) * np.sqrt(variance / fine)[:, None]
        moves[:, place] = walk[:, -1]
        highs[:, place] = np.maximum(walk.max(axis=1), 0.0)
        lows[:, place] = np.minimum(walk.min(axis=1), 0.0)
        variance = 0.02 + 0.06 * moves[:, place] ** 2 + 0.92 * variance
    return moves, highs, lows


def test_stop_and_target_are_met_as_often_as_said(rng, count, score):
    unit = 0.004
    moves, highs, lows = (unit * part for part in fine_candles(rng, count, SIZE + 97, 40))
    logs = np.concatenate([np.zeros((count, 1)), np.cumsum(moves, axis=1)], axis=1)
    opens, closes = np.exp(logs[:, :-1]), np.exp(logs[:, 1:])
    high, low = opens * np.exp(highs), opens * np.exp(lows)
    now = SIZE + 1
    block = np.ascontiguousarray(np.stack([part[:, :now] for part in (opens, high, low, closes, np.ones_like(closes))]))
    times = np.tile(300_000 * np.arange(now, dtype=np.int64), (count, 1))
    columns = monte_carlo.analyze(apart(Windows(("BTC-USD",) * count, "5m", times, block)))
    price = closes[:, now - 1 : now]
    reach = columns["atr_percent"][:, None] / 100.0 * price
    for side, sign in (("long", 1.0), ("short", -1.0)):
        stop, target = price - sign * 1.5 * reach, price + sign * 2.25 * reach
        worst, best = (low, high) if sign > 0.0 else (high, low)
        stopped = sign * (worst[:, now:] - stop) <= 0.0
        reached = sign * (best[:, now:] - target) >= 0.0
        first_stop = np.where(stopped.any(axis=1), stopped.argmax(axis=1), 999)
        first_target = np.where(reached.any(axis=1), reached.argmax(axis=1), 999)
        for name, seen in (
            ("target", first_target < first_stop),
            ("stop", (first_stop <= first_target) & (first_stop < 999)),
        ):
            said = columns[f"{side}_{name}_first"]
            score(
                f"{side} meets its {name} first",
                goal="within 3 points",
                ours=f"said {said.mean():.3f}, came {seen.mean():.3f}",
            )
            assert abs(said.mean() - seen.mean()) <= 0.03 + 2.0 * math.sqrt(0.25 / count)


def test_gbm_is_the_closed_form_and_the_errors_are_those_it_says(rng, count, score):
    windows = max(count // 4, 100)
    returns = rng.standard_normal((1, SIZE))
    returns = np.repeat((returns - returns.mean()) / returns.std(), windows, axis=0)
    columns = monte_carlo.analyze(apart(windows_of(returns)), "gbm")
    deviation = 0.005 * math.sqrt(96)
    truths = {"probability_up": 0.5}
    for level, deep in ((95, norm.ppf(0.05)), (99, norm.ppf(0.01))):
        truths[f"value_at_risk_{level}_percent"] = -100 * math.expm1(deviation * deep)
        mean = math.exp(deviation**2 / 2) * norm.cdf(deep - deviation) / norm.cdf(deep)
        truths[f"expected_shortfall_{level}_percent"] = 100 * (1 - mean)
    for name, truth in truths.items():
        found, error = columns[name], columns[f"{name}_error"].mean()
        bias = (found.mean() - truth) / error
        ratio = found.std() / error
        score(
            f"GBM {name}",
            goal="bias 0.3, spread 0.85-1.15",
            ours=f"bias {bias:+.2f} se, spread {ratio:.2f} se",
        )
        assert abs(bias) <= 0.3 + 2.0 / math.sqrt(windows)
        assert abs(ratio - 1.0) <= 0.15 + 2.0 / math.sqrt(2.0 * windows)


def test_random_walks_get_no_vote(rng, count, votes, score, monkeypatch):
    # A walk gets its vote from its drift, not from the paths: a thousand are enough.
    monkeypatch.setattr(monte_carlo, "PATHS", 1_000)
    for name, returns in random_walks(rng, count, SIZE).items():
        quiet = np.mean(np.abs(votes(THEORY, returns)) <= 0.1)
        score(f"|vote| <= 0.1 on walks, {name}", goal=">= 95 %", ours=f"{100 * quiet:.1f} %")
        assert quiet >= 0.95


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_steady_drift_gets_a_clear_vote(direction, rng, count, votes, score, monkeypatch):
    monkeypatch.setattr(monte_carlo, "PATHS", 1_000)
    for name, returns in random_walks(rng, count, SIZE).items():
        steady = returns + 0.3 * direction * returns.std(axis=1, keepdims=True)
        found = direction * votes(THEORY, steady)
        clear = np.mean(found > 0.3)
        score(
            f"vote beyond 0.3, drift {0.3 * direction:+.1f} sd, {name}",
            goal="median > 0.3",
            ours=f"median {np.median(found):.2f}, {100 * clear:.1f} % beyond",
        )
        assert np.median(found) > 0.3
        assert clear >= 0.9
