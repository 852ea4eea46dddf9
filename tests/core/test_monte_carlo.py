"""Simulated paths against closed forms, scipy, arch and a plain walk through the same random numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from arch import arch_model
from arch.bootstrap import StationaryBootstrap
from statsmodels.regression.linear_model import OLS

from core.analyzers import discover, evaluate, monte_carlo
from core.analyzers.monte_carlo import analyze, average_true_range, fit_law, next_losses, read, steady_drift
from core.kernels.laws import FREEDOMS, quantile, tail_mean
from core.kernels.paths import seed_lanes, walk_paths
from core.market import Windows
from tests.accuracy.simulators import clustered_noise, windows_of

SIZE = 499


def brownian(rows=1, size=SIZE, seed=7):
    """Normal returns of mean 0 and mean square 1, exactly: what GBM is fitted to is then known."""
    returns = np.random.default_rng(seed).standard_normal((rows, size))
    returns -= returns.mean(axis=1, keepdims=True)
    return returns / returns.std(axis=1, keepdims=True)


def ranged(returns, candle_range):
    """Windows whose candles all have this range, of the close before, whatever they moved."""
    windows = windows_of(returns)
    block = windows.block.copy()
    before = np.concatenate([block[3][:, :1], block[3][:, :-1]], axis=1)
    block[1] = np.maximum(before, block[3])
    block[2] = block[1] - candle_range * block[3][:, -1:]
    return Windows(windows.symbols, windows.interval, windows.open_times, block)


def test_the_kernel_walks_as_a_plain_loop_over_the_same_random_numbers():
    rng = np.random.default_rng(1)
    shocks, horizon, paths, lanes, end = rng.standard_t(5, 50), 20, 21, 8, 2**30
    drift, omega, alpha, beta, first, highest = 1e-3, 1e-6, 0.2, 0.7, 4e-5, 1e-4
    levels = (-0.012, 0.02, 0.012, -0.02, 0.04, 0.03, 0.5)
    outcomes, tally = np.empty(paths), np.empty(6, np.int64)
    walk_paths(
        shocks,
        (drift, omega, alpha, beta, first, highest),
        levels,
        (horizon, end),
        seed_lanes(5, lanes),
        outcomes,
        tally,
    )
    states = [int(state) for state in seed_lanes(5, lanes)]
    expected, counted = [], np.zeros(6, int)
    for path in range(paths):
        state, lane, place, price, variance = states[path % lanes], path % lanes, 0, 0.0, first
        trades, peak, trough, fall, rise = {"long": 0, "short": 0}, 0.0, 0.0, 0.0, 0.0
        for step in range(horizon):
            state ^= (state << 13) % 2**64
            state ^= state >> 7
            state ^= (state << 17) % 2**64
            place = (place + 1) % len(shocks)
            if step == 0 or state % 2**32 < end:
                place = (state >> 32) * len(shocks) >> 32
            wick = levels[6] * math.sqrt(variance)
            price += drift + math.sqrt(variance) * shocks[place]
            variance = min(omega + (alpha * shocks[place] ** 2 + beta) * variance, highest)
            peak, trough = max(peak, price), min(trough, price)
            fall, rise = max(fall, peak - price + 2 * wick), max(rise, price - trough + 2 * wick)
            low, high = price - wick, price + wick
            trades["long"] = trades["long"] or (-1 if low <= levels[0] else int(high >= levels[1]))
            trades["short"] = trades["short"] or (-1 if high >= levels[2] else int(low <= levels[3]))
        states[lane] = state
        expected.append(price)
        met = [trades["long"] == 1, trades["long"] == -1, trades["short"] == 1, trades["short"] == -1]
        counted += np.array([*met, fall >= levels[4], rise >= levels[5]])
    np.testing.assert_allclose(outcomes, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(tally, counted)


def test_lanes_start_where_splitmix64_says():
    # The published test vector of splitmix64 for the seed 1234567, made odd.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    np.testing.assert_array_equal(seed_lanes(1234567, 4), np.array(published, np.uint64) | np.uint64(1))


def test_draws_are_even_and_one_says_nothing_of_the_next():
    kinds, paths = 16, 20_000
    outcomes, tally = np.empty(paths), np.empty(6, np.int64)
    levels = (-math.inf, math.inf, math.inf, -math.inf, 9.0, 9.0, 0.0)
    walk_paths(
        np.arange(kinds, dtype=float),
        (0.0, 1.0, 0.0, 0.0, 1.0, 1.0),
        levels,
        (1, 2**32),
        seed_lanes(3, 256),
        outcomes,
        tally,
    )
    assert scipy.stats.chisquare(np.bincount(outcomes.astype(int), minlength=kinds)).pvalue > 1e-3
    # A variance of 1, then of kinds^2: the sum of two candles spells the pair of draws.
    walk_paths(
        np.arange(kinds, dtype=float),
        (0.0, float(kinds**2), 0.0, 0.0, 1.0, float(kinds**2)),
        levels,
        (2, 2**32),
        seed_lanes(4, 256),
        outcomes,
        tally,
    )
    assert scipy.stats.chisquare(np.bincount(outcomes.astype(int), minlength=kinds**2)).pvalue > 1e-3


def test_order_statistics_are_those_of_numpy_and_the_tail_mean_is_an_integral_of_them():
    values = np.sort(np.random.default_rng(2).standard_normal((3, 250)), axis=1)
    for share in (0.01, 0.05, 0.5, 0.99):
        np.testing.assert_allclose(
            quantile(values, share), np.quantile(values, share, axis=1, method="weibull"), rtol=1e-12
        )
    steps = np.ceil(np.linspace(0.0, 0.05, 200_001)[1:] * 250).astype(int) - 1
    np.testing.assert_allclose(tail_mean(values, 0.05), values[:, steps].mean(axis=1), rtol=1e-4)


@pytest.mark.parametrize("freedom", [3.0, 5.0, 30.0])
def test_the_student_law_is_recognised_and_drawn_from(freedom):
    levels = (np.arange(4_000) + 0.5) / 4_000
    returns = 0.01 * scipy.stats.t.ppf(levels, freedom)[None, :]
    law = fit_law(returns, "student_t")
    assert freedom in FREEDOMS
    truth = 0.01 * math.sqrt(freedom / (freedom - 2.0))
    assert math.sqrt(law.next_variance[0]) == pytest.approx(truth, rel=0.02)
    for share in (0.01, 0.05, 0.25):
        expected = 0.01 * scipy.stats.t.ppf(share, freedom) / truth
        # For 3 degrees of freedom the table holds 97 % of the variance; its scale makes up for it.
        assert quantile(law.shocks[0], share) == pytest.approx(expected, rel=0.03)


def test_gbm_has_the_quantiles_and_shortfall_of_the_lognormal_law():
    columns = analyze(windows_of(brownian()), "gbm")
    found = {name: float(column[0]) for name, column in columns.items()}
    deviation = 0.005 * math.sqrt(96)
    assert found["volatility_percent"] == pytest.approx(0.5, rel=1e-9)
    assert found["probability_up"] == pytest.approx(0.5, abs=4 * found["probability_up_error"])
    for level, share in ((95, 0.05), (99, 0.01)):
        deep = scipy.stats.norm.ppf(share)
        risk = -100 * math.expm1(deviation * deep)
        shortfall = 100 * (1 - math.exp(deviation**2 / 2) * scipy.stats.norm.cdf(deep - deviation) / share)
        for name, expected in (("value_at_risk", risk), ("expected_shortfall", shortfall)):
            error = found[f"{name}_{level}_percent_error"]
            assert found[f"{name}_{level}_percent"] == pytest.approx(expected, abs=4 * error)
        ahead = -100 * math.expm1(0.005 * deep)
        assert found[f"next_value_at_risk_{level}_percent"] == pytest.approx(ahead, rel=2e-3)
    for share in (5, 25, 50, 75, 95):
        expected = 100 * math.expm1(deviation * scipy.stats.norm.ppf(share / 100))
        assert found[f"outcome_{share:02d}_percent"] == pytest.approx(expected, abs=0.5)


def meets_first(near, far, time):
    """Chance that a standard Brownian motion meets `far` above before `near` below within a time: Fourier series."""
    width, term = near + far, np.arange(1, 2_000)
    waves = (-1.0) ** term / term * np.sin(term * np.pi * near / width)
    return near / width + 2 / np.pi * float(waves @ np.exp(-((term * np.pi / width) ** 2) * time / 2))


@pytest.mark.parametrize("candle_range", [1.0, 1.6, 3.0, 6.0])
def test_gbm_meets_stop_and_target_as_often_as_brownian_motion(candle_range):
    # Levels in standard deviations of a candle, away from the start, in log price.
    unit = 0.005
    windows = ranged(brownian(), unit * candle_range)
    assert average_true_range(windows)[0] == pytest.approx(unit * candle_range, rel=0.35)
    atr = average_true_range(windows)[0]
    columns = analyze(windows, "gbm")
    for side, sign in (("long", 1.0), ("short", -1.0)):
        stop = abs(math.log1p(-sign * 1.5 * atr)) / unit
        target = abs(math.log1p(sign * 2.25 * atr)) / unit
        for event, expected in (("target", meets_first(stop, target, 96)), ("stop", meets_first(target, stop, 96))):
            error = columns[f"{side}_{event}_first_error"][0]
            assert columns[f"{side}_{event}_first"][0] == pytest.approx(expected, abs=0.005 + 4 * error)


def test_gbm_draws_down_as_often_as_brownian_motion_in_steps_fifty_times_finer():
    rng, fine = np.random.default_rng(8), 50
    unit = 0.006
    hits = []
    for _ in range(8):
        walk = np.cumsum(unit / math.sqrt(fine) * rng.standard_normal((1_000, 96 * fine)), axis=1)
        fall = np.maximum(np.maximum.accumulate(walk, axis=1), 0.0) - walk
        hits.append((fall.max(axis=1) + 2 * 0.5826 * unit / math.sqrt(fine) >= -math.log(0.95)).mean())
    columns = analyze(windows_of(brownian() * unit / 0.005), "gbm")
    assert columns["long_limit_hit"][0] == pytest.approx(np.mean(hits), abs=0.02 + 4 * 0.007)
    assert columns["short_limit_hit"][0] == pytest.approx(columns["long_limit_hit"][0], abs=0.05)


def test_the_filtered_law_simulates_what_arch_simulates_from_the_same_fit(monkeypatch):
    monkeypatch.setattr(monte_carlo, "PATHS", 40_000)
    returns = clustered_noise(np.random.default_rng(21), 1, 599)
    columns = analyze(windows_of(returns))
    law = fit_law(0.5 * returns)
    mean = 0.5 * returns.mean()
    parameters = [mean, law.omega[0], law.alpha[0], law.beta[0]]
    fixed = arch_model(0.5 * returns[0], mean="Constant", vol="GARCH", p=1, q=1, rescale=False).fix(parameters)
    forecast = fixed.forecast(
        horizon=96, method="bootstrap", simulations=10_000, random_state=np.random.RandomState(1), reindex=False
    )
    # arch adds the mean back, and the mean of the residuals is in its draws.
    drawn = mean + fixed.std_resid.mean() * math.sqrt(law.next_variance[0])
    library = 100 * np.expm1((forecast.simulations.values[-1] - drawn).sum(axis=1) / 100)
    for share in (5, 25, 75, 95):
        near = np.quantile(library, [max(share / 100 - 0.01, 0.0), share / 100 + 0.01])
        assert near[0] < columns[f"outcome_{share:02d}_percent"][0] < near[1]


def test_the_bootstrap_is_the_stationary_bootstrap_of_arch():
    returns = clustered_noise(np.random.default_rng(5), 1, SIZE, shock=0.2, memory=0.75)
    centred = returns[0] - returns[0].mean()
    bootstrap = StationaryBootstrap(20, centred, seed=3)
    sums = np.array([drawn[0][0][:96].sum() for drawn in bootstrap.bootstrap(6_000)])
    columns = analyze(windows_of(returns), "bootstrap")
    library = 100 * np.expm1(0.005 * sums)
    for share in (5, 25, 50, 75, 95):
        near = np.quantile(library, [share / 100 - 0.02, share / 100 + 0.02])
        assert near[0] < columns[f"outcome_{share:02d}_percent"][0] < near[1]


def test_the_drift_is_the_mean_shrunk_by_its_newey_west_t():
    returns = clustered_noise(np.random.default_rng(6), 40, SIZE) + 0.2
    returns[:, 1:] += 0.3 * returns[:, :-1]
    drift, statistic = steady_drift(returns)
    assert (drift != 0.0).any()
    for row, found in enumerate(returns):
        fit = OLS(found, np.ones(SIZE)).fit(cov_type="HAC", cov_kwds={"maxlags": 5, "use_correction": False})
        plain = found.mean() / found.std() * math.sqrt(SIZE)
        expected = min(fit.tvalues[0], plain)
        assert statistic[row] == pytest.approx(expected, rel=1e-9)
        assert drift[row] == pytest.approx(found.mean() * max(1.0 - 9.0 / expected**2, 0.0), rel=1e-9)


def test_the_risk_of_the_next_candle_is_the_residual_quantile_times_todays_volatility():
    returns = clustered_noise(np.random.default_rng(9), 5, SIZE)
    law = fit_law(returns)
    losses = next_losses(law, np.full(5, 0.1))
    for row in range(5):
        deviation = math.sqrt(law.next_variance[row])
        tail = np.sort(law.shocks[row])
        assert losses["value_at_risk_99"][row] == pytest.approx(-0.1 - deviation * tail[4], rel=1e-9)
        assert losses["expected_shortfall_99"][row] == pytest.approx(-0.1 - deviation * tail[:5].mean(), rel=0.02)
        assert law.shocks[row].mean() == pytest.approx(0.0, abs=1e-12)


def test_another_instant_draws_other_paths_and_the_same_one_the_same():
    windows = windows_of(brownian())
    later = Windows(windows.symbols, windows.interval, windows.open_times + 300_000, windows.block)
    first, again, other = (analyze(given)["probability_up"][0] for given in (windows, windows, later))
    assert first == again
    assert first != other


def test_every_law_answers_and_they_differ():
    windows = windows_of(clustered_noise(np.random.default_rng(12), 1, SIZE, shock=0.2, memory=0.75))
    found = {variant: analyze(windows, variant) for variant in monte_carlo.VARIANTS}
    assert found["filtered"].keys() == found["gbm"].keys()
    assert len({float(columns["value_at_risk_99_percent"][0]) for columns in found.values()}) == 4
    with pytest.raises(ValueError, match="no such law"):
        analyze(windows, "brown")


def test_a_market_without_ranges_at_its_end_has_no_trades():
    returns = brownian()
    returns[:, -20:] = 0.0
    (reading,) = evaluate(discover()["monte_carlo"], windows_of(returns))
    assert "long_target_first" not in reading.values
    assert "long_limit_hit" in reading.values
    assert "target before stop" not in reading.words


def test_ranges_beyond_the_price_have_levels_that_are_never_met():
    windows = ranged(brownian(), 0.9)
    columns = analyze(windows)
    assert columns["long_stop_first"][0] == 0.0
    assert columns["short_target_first"][0] == 0.0
    assert 0.0 < columns["long_stop_first_error"][0] < 1e-3


def test_one_outlier_of_thirty_deviations_does_not_blow_the_paths_up():
    returns = brownian()
    returns[0, 470] = 30.0
    columns = analyze(windows_of(returns))
    assert all(np.isfinite(column).all() for column in columns.values())
    assert columns["outcome_95_percent"][0] < 100.0


def test_moves_of_one_size_are_a_problem_not_a_number():
    for step in (0.0, 1.0):
        (reading,) = evaluate(discover()["monte_carlo"], windows_of(np.full((1, SIZE), step)))
        assert reading.problem == monte_carlo.UNDEFINED


CALM = {
    "probability_up": 0.507,
    "drift_percent": 0.0,
    "drift_t": 0.4,
    "value_at_risk_95_percent": 2.34,
    "outcome_95_percent": 2.51,
    "long_limit_hit": 0.01,
    "short_limit_hit": 0.02,
    "long_target_first": 0.397,
    "short_target_first": 0.412,
}


TRADES = "; target before stop: 0.40 long, 0.41 short."
UP = {"drift_percent": 0.02, "drift_t": 6.7, "probability_up": 0.99}
DOWN = {"drift_percent": -0.02, "drift_t": -6.7, "probability_up": 0.04}
NO_DRIFT = "No steady drift, 51% of paths end higher after 96 candles: "
DRIFT_UP = "Steady drift up (t +6.7), 99% of paths end higher: "
DRIFT_DOWN = "Steady drift down (t -6.7), 4% of paths end higher: "


@pytest.mark.parametrize(
    ("changes", "vote", "words"),
    [
        ({}, 0.0, NO_DRIFT + "1 in 20 loses over 2.34 % long, 2.51 % short"),
        (UP, 0.98, DRIFT_UP + "1 long in 20 loses over 2.34 %"),
        (DOWN, -0.92, DRIFT_DOWN + "1 short in 20 loses over 2.51 %"),
        # What threatens the other side is not said of the side that the vote takes.
        (
            UP | {"value_at_risk_95_percent": -5.8, "short_limit_hit": 0.99},
            0.98,
            DRIFT_UP + "not 1 long in 20 is due to lose",
        ),
        (
            DOWN | {"outcome_95_percent": -5.8, "long_limit_hit": 0.99},
            -0.92,
            DRIFT_DOWN + "not 1 short in 20 is due to lose",
        ),
        (
            UP | {"long_limit_hit": 0.06, "short_limit_hit": 0.99},
            0.98,
            DRIFT_UP + "1 long in 20 loses over 2.34 %, a long's 5 % drawdown has chance 0.06",
        ),
        (
            DOWN | {"long_limit_hit": 0.99, "short_limit_hit": 0.06},
            -0.92,
            DRIFT_DOWN + "1 short in 20 loses over 2.51 %, a short's 5 % drawdown has chance 0.06",
        ),
        (
            {"long_limit_hit": 0.07, "short_limit_hit": 0.31},
            0.0,
            NO_DRIFT + "1 in 20 loses over 2.34 % long, 2.51 % short, a short's 5 % drawdown has chance 0.31",
        ),
        (
            {"value_at_risk_95_percent": 99.97, "outcome_95_percent": 1.2e9, "long_limit_hit": 1.0},
            0.0,
            NO_DRIFT + "1 in 20 loses over 99.97 % long, 999.99 % short, a long's 5 % drawdown has chance 1.00",
        ),
        (
            {"outcome_95_percent": -0.02},
            0.0,
            NO_DRIFT + "not 1 short in 20 is due to lose, 1 long over 2.34 %",
        ),
    ],
)
def test_each_state_has_its_sentence(changes, vote, words):
    opinion = read(CALM | changes)
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words == words + TRADES


def test_the_longest_sentence_fits():
    extreme = {"probability_up": 1.0, "outcome_95_percent": 1e23, "long_limit_hit": 1.0, "short_limit_hit": 1.0}
    for spared in (-1.0, 99.99):
        opinion = read(CALM | extreme | {"value_at_risk_95_percent": spared})
        assert len(opinion.words) < 200
    assert len(read(CALM | extreme | {"drift_percent": 1.0, "drift_t": 12345.6}).words) < 200


@pytest.mark.parametrize(("drift", "side"), [(0.12, "long"), (-0.12, "short")])
def test_a_strong_trend_speaks_of_the_side_it_favours(drift, side):
    # Noise of 0.3 % and a drift of 0.12 % a candle, in units of half a percent.
    returns = 0.6 * brownian() + 2.0 * drift
    (reading,) = evaluate(discover()["monte_carlo"], windows_of(returns))
    assert reading.values["value_at_risk_95_percent" if side == "long" else "outcome_95_percent"] < -4.0
    assert max(reading.values["long_limit_hit"], reading.values["short_limit_hit"]) > 0.9
    assert f": not 1 {side} in 20 is due to lose" in reading.words
    assert "over" not in reading.words
    assert "drawdown" not in reading.words
