"""Risk numbers against laws whose quantiles are known: empyrical, arch and the formulas of textbooks beside them."""

from __future__ import annotations

import math

import empyrical
import numpy as np
import pytest
import scipy.stats
from arch import arch_model
from scipy.special import xlogy

from core.analyzers import risk_metrics
from core.market import Windows
from tests.accuracy.simulators import autoregression, random_walks

THEORY = "risk_metrics"
SIZE = 499
YEAR = math.sqrt(365.0 * 288.0)
# Of a typical five-minute candle, so small that nobody loses all of it.
UNIT = 0.0005
# Shock and memory of the volatility, freedom of the Student-t shocks.
MARKETS = {"GARCH-t": (0.10, 0.88, 5.0), "GARCH-t, shocks 0.15": (0.15, 0.83, 5.0), "Student-t(5)": (0.0, 0.0, 5.0)}
ARCH_FITS = 60


def windows_with(returns):
    """Windows whose closes have these simple returns: fair games have no drift that compounding would add."""
    closes = 100.0 * np.cumprod(np.concatenate([np.ones((len(returns), 1)), 1.0 + returns], axis=1), axis=1)
    times = np.tile(300_000 * np.arange(closes.shape[1], dtype=np.int64), (len(closes), 1))
    block = np.ascontiguousarray(np.stack([closes, closes, closes, closes, np.ones_like(closes)]))
    return Windows(("BTC-USD",) * len(closes), "5m", times, block)


def columns_of(returns):
    """The columns of windows with these simple returns, in typical ones."""
    return risk_metrics.analyze(windows_with(UNIT * returns))


def market(rng, rows, size, shock, memory, freedom):
    """GARCH(1,1) with Student-t shocks, and the standard deviation that each return had."""
    shocks = rng.standard_t(freedom, (rows, size + 400)) * math.sqrt((freedom - 2.0) / freedom)
    deviations = np.empty_like(shocks)
    variance = np.ones(rows)
    for place in range(size + 400):
        deviations[:, place] = np.sqrt(variance)
        variance = (1.0 - shock - memory) + (shock * shocks[:, place] ** 2 + memory) * variance
    return (shocks * deviations)[:, 400:], deviations[:, 400:]


def standard_quantile(freedom, share):
    """Value at risk of a Student-t law of variance 1."""
    return -scipy.stats.t.ppf(share, freedom) * math.sqrt((freedom - 2.0) / freedom)


def tick_loss(value, freedom, share):
    """Expected tick loss of a value at risk for a Student-t return of variance 1: share v + E(loss - v)+."""
    scale = math.sqrt((freedom - 2.0) / freedom)
    edge = value / scale
    law = scipy.stats.t(freedom)
    beyond = law.pdf(edge) * (freedom + edge**2) / (freedom - 1.0) - edge * law.sf(edge)
    return share * value + scale * beyond


def noise(share, size):
    """Two standard errors of a share counted in so many windows."""
    return 2.0 * math.sqrt(share * (1.0 - share) / size)


def rmse(estimates, truth):
    return float(np.sqrt(np.nanmean((estimates / truth - 1.0) ** 2)))


def test_the_pareto_tail_is_sharper_than_the_historical_quantile(rng, count, score):
    returns = rng.standard_t(4, (count, SIZE))
    truth = -100.0 * UNIT * scipy.stats.t.ppf(0.01, 4)
    columns = columns_of(returns)
    library = np.array([-100.0 * empyrical.value_at_risk(row, 0.01) for row in UNIT * returns])
    theirs, ours = rmse(library, truth), rmse(columns["tail_value_at_risk_99_percent"], truth)
    score(
        "risk: rmse of the 99 % value at risk, t4, T=500",
        goal="<= 0.95 x historical",
        library=f"empyrical {theirs:.3f}",
        ours=f"{ours:.3f} ({ours / theirs:.2f} x)",
    )
    assert ours <= 0.95 * theirs


def test_cornish_fisher_is_no_worse_than_the_historical_quantile_where_it_is_called_valid(rng, count, score):
    returns = rng.standard_t(4, (count, SIZE))
    truth = -100.0 * UNIT * scipy.stats.t.ppf(0.01, 4)
    columns = columns_of(returns)
    valid = columns["cornish_fisher_is_valid"] == 1.0
    ours = rmse(columns["cornish_fisher_value_at_risk_99_percent"][valid], truth)
    theirs = rmse(columns["historical_value_at_risk_99_percent"][valid], truth)
    z, s, k = scipy.stats.norm.ppf(0.01), scipy.stats.skew(returns, axis=1), scipy.stats.kurtosis(returns, axis=1)
    bent = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    everywhere = rmse(-100.0 * UNIT * (returns.mean(axis=1) + returns.std(axis=1) * bent), truth)
    score(
        f"risk: rmse of Cornish-Fisher, t4, valid in {100 * valid.mean():.0f} %",
        goal="<= historical there",
        library=f"unguarded {everywhere:.3f}, historical {theirs:.3f}",
        ours=f"{ours:.3f}",
    )
    assert ours <= theirs
    assert everywhere > 3.0 * theirs, "if the formula were harmless, it would need no flag"


def skill_less(rng, rows):
    """Fair games: normal, fat-tailed, lopsided both ways, with clusters, with an echo."""
    exponential = rng.exponential(size=(rows, SIZE)) - 1.0
    heavy = np.exp(0.8 * rng.standard_normal((rows, SIZE)))
    return {
        "normal": rng.standard_normal((rows, SIZE)),
        "Student-t(4)": rng.standard_t(4, (rows, SIZE)),
        "skewed to gains": exponential,
        "skewed to losses": -exponential,
        "log-normal losses": math.exp(0.32) - heavy,
        "GARCH-t": market(rng, rows, SIZE, 0.10, 0.88, 5.0)[0],
        "AR(0.3)": autoregression(rng, rows, SIZE, 0.3),
    }


def test_skill_less_series_are_called_skilled_as_often_as_they_should(rng, count, score):
    for name, returns in skill_less(rng, count).items():
        columns = columns_of(returns)
        share = np.mean(columns["probabilistic_sharpe"] >= 0.95)
        textbook = returns.mean(axis=1) / returns.std(axis=1, ddof=1) * math.sqrt(SIZE)
        score(
            f"risk: PSR >= 0.95 without skill, {name}",
            goal="3 to 7 %",
            library=f"normal, plain {100 * np.mean(textbook > 1.645):.1f} %",
            ours=f"{100 * share:.1f} %",
        )
        assert 0.03 <= share <= 0.07


@pytest.mark.parametrize("echo", [0.3, -0.3, 0.0])
def test_the_corrected_sharpe_ratio_of_a_year_is_right_under_echoes(echo, rng, count, score):
    reward = 0.3
    returns = autoregression(rng, count, SIZE, echo) * math.sqrt(1.0 - echo**2) + reward
    truth = YEAR * reward * math.sqrt((1.0 - echo) / (1.0 + echo))
    columns = columns_of(returns)
    library = [empyrical.sharpe_ratio(row, annualization=365 * 288) for row in returns]
    ours, theirs = columns["sharpe"].mean() / truth - 1.0, np.mean(library) / truth - 1.0
    score(
        f"risk: error of the annual Sharpe ratio, AR({echo})",
        goal="within 8 %",
        library=f"empyrical {100 * theirs:+.1f} %",
        ours=f"{100 * ours:+.1f} %",
    )
    assert abs(ours) <= 0.08


@pytest.mark.parametrize("reward", [0.02, 0.1])
def test_the_interval_of_the_sharpe_ratio_holds_what_it_says(reward, rng, count, score):
    cases = {
        "normal": (rng.standard_normal((count, SIZE)), 1.0),
        "skewed to losses": (1.0 - rng.exponential(size=(count, SIZE)), 1.0),
        "AR(0.3)": (autoregression(rng, count, SIZE, 0.3) * math.sqrt(0.91), math.sqrt(0.7 / 1.3)),
        "GARCH-t": (market(rng, count, SIZE, 0.10, 0.88, 5.0)[0], 1.0),
    }
    for name, (returns, factor) in cases.items():
        columns = columns_of(returns + reward)
        truth = YEAR * reward * factor
        held = np.mean((columns["sharpe_low"] <= truth) & (truth <= columns["sharpe_high"]))
        score(f"risk: coverage of sharpe {reward}, {name}", goal="92 to 97.5 %", ours=f"{100 * held:.1f} %")
        assert 0.92 - noise(0.92, count) <= held <= 0.975 + noise(0.975, count)


def test_the_interval_of_volatility_holds_what_the_window_really_had(rng, count, score):
    cases = {"normal": (0.0, 0.0, 1e6, 0.92), "Student-t(5)": (0.0, 0.0, 5.0, 0.88), "GARCH-t": (0.1, 0.88, 5.0, 0.88)}
    for name, (shock, memory, freedom, goal) in cases.items():
        returns, deviations = market(rng, count, SIZE, shock, memory, freedom)
        columns = columns_of(returns)
        truth = 100.0 * UNIT * YEAR * np.sqrt((deviations**2).mean(axis=1))
        held = np.mean((columns["volatility_low_percent"] <= truth) & (truth <= columns["volatility_high_percent"]))
        score(f"risk: coverage of volatility, {name}", goal=f"{100 * goal:.0f} to 97.5 %", ours=f"{100 * held:.1f} %")
        assert goal - noise(goal, count) <= held <= 0.975 + noise(0.975, count)


def arch_values(returns, share):
    """Value at risk of the next return by a maximum-likelihood GARCH-t: arch is told the true model."""
    values = []
    for row in returns:
        fit = arch_model(row, dist="t").fit(disp="off", show_warning=False)
        forecast = fit.forecast(horizon=1, reindex=False)
        quantile = fit.model.distribution.ppf(share, fit.params["nu"])
        values.append(-forecast.mean.iloc[0, 0] - math.sqrt(forecast.variance.iloc[0, 0]) * quantile)
    return np.array(values)


@pytest.mark.parametrize("name", MARKETS)
def test_the_risk_of_the_next_candle_is_near_that_of_who_knows_the_market(name, rng, count, score):
    shock, memory, freedom = MARKETS[name]
    returns, deviations = market(rng, count, SIZE + 1, shock, memory, freedom)
    columns = columns_of(returns[:, :-1])
    deviation = deviations[:, -1]
    for level, share, goal in (("95", 0.05, 1.03), ("99", 0.01, 1.06)):
        truth = standard_quantile(freedom, share)

        def loss(values, scale, truth=truth, share=share):
            return np.mean(scale * tick_loss(values / scale, freedom, share)) / np.mean(
                scale * tick_loss(truth, freedom, share)
            )

        ours = loss(columns[f"value_at_risk_{level}_percent"] / (100.0 * UNIT), deviation)
        plain = loss(columns[f"historical_value_at_risk_{level}_percent"] / (100.0 * UNIT), deviation)
        library = loss(arch_values(returns[:ARCH_FITS, :-1], share), deviation[:ARCH_FITS])
        score(
            f"risk: tick loss of the {level} % value at risk to the oracle's, {name}",
            goal=f"<= {goal}",
            library=f"arch (60 windows) {library:.3f}, historical {plain:.3f}",
            ours=f"{ours:.3f}",
        )
        assert ours <= goal
    truth = 100.0 * UNIT * deviation * standard_quantile(freedom, 0.05)
    low, high = columns["value_at_risk_95_low_percent"], columns["value_at_risk_95_high_percent"]
    held = np.mean((low <= truth) & (truth <= high))
    score(f"risk: coverage of the value at risk, {name}", goal="90 to 97.5 %", ours=f"{100 * held:.1f} %")
    assert 0.90 - noise(0.9, count) <= held <= 0.975 + noise(0.975, count)


def kupiec(hits, share):
    """p-value of the number of hits."""
    size, found = len(hits), hits.sum()
    free = found / size
    statistic = xlogy(found, free / share) + xlogy(size - found, (1.0 - free) / (1.0 - share))
    return scipy.stats.chi2.sf(2.0 * statistic, 1)


def christoffersen(hits):
    """p-value of a hit being as likely after a hit as after none."""
    before, after = hits[:-1], hits[1:]
    log_likelihoods = []
    for groups in ([after], [after[before], after[~before]]):
        total = 0.0
        for group in groups:
            rate = group.mean() if len(group) else 0.0
            total += xlogy(group.sum(), rate) + xlogy((~group).sum(), 1.0 - rate)
        log_likelihoods.append(total)
    return scipy.stats.chi2.sf(2.0 * (log_likelihoods[1] - log_likelihoods[0]), 1)


def test_violations_come_as_often_as_they_should_and_without_clusters(rng, count, score):
    """Every window of a series in turn, and the return that followed it."""
    series, steps = max(count // 25, 20), 500
    rejected = {"95": [], "99": []}
    rates, severities = {"95": [], "99": []}, {"95": [], "99": []}
    for _ in range(series):
        (returns,), _ = market(rng, 1, SIZE + steps, 0.10, 0.88, 5.0)
        columns = columns_of(np.lib.stride_tricks.sliding_window_view(returns[:-1], SIZE))
        losses = -100.0 * UNIT * returns[SIZE:]
        for level, share in (("95", 0.05), ("99", 0.01)):
            hits = losses > columns[f"value_at_risk_{level}_percent"]
            rejected[level].append((kupiec(hits, share) < 0.05, christoffersen(hits) < 0.05))
            rates[level].append(hits.mean())
            severities[level].extend((losses / columns[f"expected_shortfall_{level}_percent"])[hits])
    for level, share, leeway in (("95", 0.05, 0.12), ("99", 0.01, 0.35)):
        rate, severity = np.mean(rates[level]), np.mean(severities[level])
        errors = [2.0 * np.std(found) / math.sqrt(len(found)) for found in (rates[level], severities[level])]
        tests = np.mean(rejected[level], axis=0)
        score(
            f"risk: violations of the {level} % value at risk",
            goal=f"{100 * share:.0f} % +-{100 * leeway:.0f} % of it",
            ours=f"{100 * rate:.2f} %",
        )
        score(
            f"risk: series rejected by Kupiec, Christoffersen, {level} %",
            goal="<= 15 %",
            ours=f"{100 * tests[0]:.0f} %, {100 * tests[1]:.0f} %",
        )
        score(
            f"risk: mean loss beyond the {level} % value at risk",
            goal="within 10 % of expected shortfall",
            ours=f"{100 * (severity - 1):+.1f} %",
        )
        assert abs(rate - share) <= leeway * share + errors[0]
        assert (tests <= 0.15 + noise(0.15, series)).all()
        assert abs(severity - 1.0) <= 0.1 + errors[1]


def test_the_published_deflated_sharpe_ratio(score):
    chance, benchmark = risk_metrics.deflated_sharpe(
        2.5 / math.sqrt(250.0), trials=100, variance=0.5 / 250.0, size=1250, skewness=-3.0, kurtosis=10.0
    )
    score("risk: published DSR and benchmark", goal="0.9004, 0.1132", ours=f"{chance:.4f}, {benchmark:.4f}")
    assert (round(chance, 4), round(benchmark, 4)) == (0.9004, 0.1132)


def test_random_walks_get_no_vote(rng, count, votes, score):
    for name, returns in random_walks(rng, count, SIZE).items():
        quiet = np.mean(np.abs(votes(THEORY, returns)) <= 0.1)
        score(f"risk: |vote| <= 0.1 on walks, {name}", goal=">= 95 %", ours=f"{100 * quiet:.1f} %")
        assert quiet >= 0.95


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_planted_trends_get_a_clear_vote_in_their_direction(direction, rng, count, votes, score):
    for name, returns in random_walks(rng, count, SIZE).items():
        deviation = math.sqrt(3.0) if name == "student-t(3)" else 1.0
        found = direction * votes(THEORY, returns + direction * 0.3 * deviation)
        clear = np.mean(found > 0.3)
        score(
            f"risk: vote beyond 0.3, drift {direction * 0.3:+.1f} sd, {name}",
            goal=">= 95 %, median > 0.3",
            ours=f"{100 * clear:.1f} %, median {np.median(found):.2f}",
        )
        assert clear >= 0.95
        assert np.median(found) > 0.3


def test_plain_numbers_equal_empyrical_on_every_window(rng, score):
    returns = UNIT * np.concatenate(list(skill_less(rng, 25).values()))
    columns = risk_metrics.analyze(windows_with(returns))
    year = 365 * 288
    library = {
        "plain_sharpe": [empyrical.sharpe_ratio(row, annualization=year) for row in returns],
        "sortino": [empyrical.sortino_ratio(row, annualization=year) for row in returns],
        "volatility_percent": [100.0 * empyrical.annual_volatility(row, annualization=year) for row in returns],
        "max_drawdown_percent": [-100.0 * empyrical.max_drawdown(row) for row in returns],
        "historical_value_at_risk_95_percent": [-100.0 * empyrical.value_at_risk(row) for row in returns],
        "historical_expected_shortfall_95_percent": [
            -100.0 * empyrical.conditional_value_at_risk(row) for row in returns
        ],
    }
    worst = max(np.abs(columns[name] - found).max() for name, found in library.items())
    score("risk: difference to empyrical, six numbers", goal="<= 1e-8", library="empyrical", ours=f"{worst:.1e}")
    assert worst <= 1e-8
