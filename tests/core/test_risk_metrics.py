"""Risk numbers against empyrical, SciPy, published examples and the definitions written out."""

from __future__ import annotations

import math

import empyrical
import numpy as np
import pytest
import scipy.stats
from statsmodels.regression.linear_model import yule_walker

from core.analyzers import discover, evaluate, risk_metrics
from core.analyzers.risk_metrics import analyze, deflated_sharpe, probabilistic_sharpe, read
from core.market import Windows
from tests.accuracy.simulators import autoregression, clustered_noise

SIZES = [150, 499, 1000]
# Five-minute candles: 288 a day, 365 days.
YEAR = 105_120


def windows_of(returns, interval="5m"):
    """Windows whose closes have these simple returns."""
    closes = 100.0 * np.cumprod(np.concatenate([np.ones((len(returns), 1)), 1.0 + returns], axis=1), axis=1)
    times = np.tile(300_000 * np.arange(closes.shape[1], dtype=np.int64), (len(closes), 1))
    block = np.ascontiguousarray(np.stack([closes, closes, closes, closes, np.ones_like(closes)]))
    return Windows(("BTC-USD",) * len(closes), interval, times, block)


def series(size):
    rng = np.random.default_rng([31, size])
    return 0.003 * np.concatenate([clustered_noise(rng, 5, size), autoregression(rng, 5, size, 0.4) + 0.1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("plain_sharpe", lambda row: empyrical.sharpe_ratio(row, annualization=YEAR)),
        ("sortino", lambda row: empyrical.sortino_ratio(row, annualization=YEAR)),
        ("volatility_percent", lambda row: 100.0 * empyrical.annual_volatility(row, annualization=YEAR)),
        ("max_drawdown_percent", lambda row: -100.0 * empyrical.max_drawdown(row)),
        ("historical_value_at_risk_95_percent", lambda row: -100.0 * empyrical.value_at_risk(row, 0.05)),
        ("historical_value_at_risk_99_percent", lambda row: -100.0 * empyrical.value_at_risk(row, 0.01)),
        (
            "historical_expected_shortfall_95_percent",
            lambda row: -100.0 * empyrical.conditional_value_at_risk(row, 0.05),
        ),
        (
            "historical_expected_shortfall_99_percent",
            lambda row: -100.0 * empyrical.conditional_value_at_risk(row, 0.01),
        ),
        ("skewness", scipy.stats.skew),
        ("kurtosis", lambda row: scipy.stats.kurtosis(row, fisher=False)),
    ],
)
def test_the_plain_numbers_are_those_of_empyrical_and_scipy(field, expected, size):
    returns = series(size)
    np.testing.assert_allclose(analyze(windows_of(returns))[field], [expected(row) for row in returns], rtol=1e-8)


def test_a_year_has_365_days_of_candles():
    returns = series(499)
    by_minute, by_hour = (analyze(windows_of(returns, interval)) for interval in ("1m", "1h"))
    for field in ("sharpe", "sortino", "volatility_percent"):
        np.testing.assert_allclose(by_minute[field], by_hour[field] * math.sqrt(60.0), rtol=1e-12)
    np.testing.assert_allclose(
        by_hour["plain_sharpe"], [empyrical.sharpe_ratio(row, annualization=8_760) for row in returns]
    )


def brute_drawdown(closes):
    """Every pair of candles: the deepest fall in percent and the candles from its peak to the same price."""
    falls = 1.0 - closes[None, :] / closes[:, None]
    peak, _ = np.unravel_index(np.argmax(np.triu(falls)), falls.shape)
    regained = np.flatnonzero(closes[peak + 1 :] >= closes[peak])
    return 100.0 * np.triu(falls).max(), (regained[0] + 1 if len(regained) else len(closes) - 1 - peak)


def test_drawdown_and_its_duration_are_those_of_all_pairs_of_candles():
    windows = windows_of(series(300))
    columns = analyze(windows)
    for row, closes in enumerate(windows.close):
        deepest, candles = brute_drawdown(closes)
        assert columns["max_drawdown_percent"][row] == pytest.approx(deepest, abs=1e-9)
        assert columns["drawdown_candles"][row] == candles
        assert columns["current_drawdown_percent"][row] == pytest.approx(100.0 * (1.0 - closes[-1] / closes.max()))


def test_the_published_example_of_the_deflated_sharpe_ratio():
    """Bailey and Lopez de Prado 2014: 100 trials of variance 1/2 a year, 1,250 days, annual Sharpe ratio 2.5."""
    chance, benchmark = deflated_sharpe(
        2.5 / math.sqrt(250.0), trials=100, variance=0.5 / 250.0, size=1250, skewness=-3.0, kurtosis=10.0
    )
    assert benchmark == pytest.approx(0.1132, abs=5e-5)
    assert chance == pytest.approx(0.9004, abs=5e-5)


def test_one_trial_is_not_deflated():
    chance, benchmark = deflated_sharpe(0.1, trials=1, variance=0.01, size=500)
    assert (chance, benchmark) == (probabilistic_sharpe(0.1, size=500), 0.0)


def test_the_benchmark_is_the_best_of_so_many_by_luck():
    best = np.random.default_rng(5).standard_normal((40_000, 50)).max(axis=1).mean()
    assert deflated_sharpe(0.0, trials=50, variance=1.0, size=500)[1] == pytest.approx(best, rel=0.02)


def test_the_published_example_of_the_probabilistic_sharpe_ratio():
    """Bailey and Lopez de Prado 2012: a hedge fund with monthly Sharpe ratio 0.458 over two years."""
    assert probabilistic_sharpe(0.458, size=24) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, size=24, skewness=-2.448, kurtosis=10.164) == pytest.approx(0.913, abs=5e-4)


def test_without_echoes_the_column_is_the_published_function():
    columns = analyze(windows_of(series(499)[:5]))
    plain = columns["plain_sharpe"] == columns["sharpe"]
    assert plain.any()
    for row in np.flatnonzero(plain):
        moments = {"skewness": columns["skewness"][row], "kurtosis": columns["kurtosis"][row]}
        expected = probabilistic_sharpe(columns["candle_sharpe"][row], size=499, **moments)
        assert columns["probabilistic_sharpe"][row] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("echo", [0.4, -0.4])
def test_the_echo_correction_is_the_best_autoregression_of_statsmodels(echo):
    returns = 0.003 * autoregression(np.random.default_rng(6), 20, 499, echo)
    columns = analyze(windows_of(returns))
    for row, found in enumerate(returns):
        fits = [yule_walker(found, order=order, method="mle", result_object=False) for order in range(1, 6)]
        criteria = [
            499 * math.log(sigma**2 / found.var()) + (k + 1) * math.log(499) for k, (_, sigma) in enumerate(fits)
        ]
        weights, sigma = fits[int(np.argmin(criteria))]
        expected = sigma**2 / found.var() / (1.0 - weights.sum()) ** 2
        assert (columns["plain_sharpe"][row] / columns["sharpe"][row]) ** 2 == pytest.approx(expected, rel=1e-9)


def pareto(losses):
    """The law of the worst tenth as SciPy's genpareto, fitted by Hosking's and Wallis' moments over sorted excesses."""
    ordered = np.sort(losses)
    count = len(losses) // 10
    threshold = ordered[-count - 1]
    excesses = ordered[-count:] - threshold
    places = (np.arange(1, count + 1) - 0.35) / count
    first, second = excesses.mean(), ((1.0 - places) * excesses).mean()
    shape = 2.0 - first / (first - 2.0 * second)
    return scipy.stats.genpareto(shape, loc=threshold, scale=2.0 * first * second / (first - 2.0 * second)), count


def test_the_pareto_tail_is_that_of_scipy():
    returns = series(499)
    columns = analyze(windows_of(returns))
    for row, found in enumerate(returns):
        law, count = pareto(-100.0 * found)
        rare = 0.01 * 499 / count
        quantile = law.isf(rare)
        assert columns["tail_index"][row] == pytest.approx(law.args[0], abs=1e-8)
        assert columns["tail_value_at_risk_99_percent"][row] == pytest.approx(quantile, rel=1e-8)
        shortfall = law.expect(lambda loss: loss, lb=quantile, conditional=True, epsabs=1e-10)
        assert columns["tail_expected_shortfall_99_percent"][row] == pytest.approx(shortfall, rel=1e-4)


def averaged_volatility(found):
    """Residuals and next deviation of the averaged GARCH(1,1), and the spread of its logarithm, in plain sums."""
    scaled = (found - found.mean()) / found.std(ddof=1)
    fits = []
    for shock in (0.03, 0.07, 0.14, 0.25):
        for persistence in (0.85, 0.94, 0.98, 0.995):
            path = [1.0]
            for value in scaled:
                path.append(1.0 - persistence + shock * value**2 + (persistence - shock) * path[-1])
            deviations = np.sqrt(path[:-1])
            law = scipy.stats.t(5, scale=math.sqrt(3.0 / 5.0))
            likelihood = (law.logpdf(scaled / deviations) - np.log(deviations)).sum()
            fits.append((likelihood, shock, persistence, math.log(path[-1]) / 2.0))
    likelihoods, shocks, persistences, logs = np.array(fits).T
    weights = np.exp(likelihoods - likelihoods.max())
    weights /= weights.sum()
    shock, persistence, centre = weights @ shocks, weights @ persistences, weights @ logs
    variance, residuals = 1.0, []
    for value in scaled:
        residuals.append(value / math.sqrt(variance))
        variance = 1.0 - persistence + shock * value**2 + (persistence - shock) * variance
    return np.array(residuals), found.std(ddof=1) * math.sqrt(variance), math.sqrt(weights @ (logs - centre) ** 2)


def test_the_next_candles_risk_is_the_definition_written_out():
    returns = series(400)
    columns = analyze(windows_of(returns))
    for row, found in enumerate(returns):
        residuals, deviation, spread = averaged_volatility(found)
        law, count = pareto(-residuals)
        for level, share in (("95", 0.05), ("99", 0.01)):
            rare = share * 400 / count
            quantile, shape, scale = law.isf(rare), law.args[0], law.kwds["scale"]
            shortfall = (quantile + scale - shape * law.kwds["loc"]) / (1.0 - shape)
            value = 100.0 * (deviation * quantile - found.mean())
            assert columns[f"value_at_risk_{level}_percent"][row] == pytest.approx(value, rel=1e-8)
            expected = 100.0 * (deviation * shortfall - found.mean())
            assert columns[f"expected_shortfall_{level}_percent"][row] == pytest.approx(expected, rel=1e-8)
        quantile = law.isf(0.05 * 400 / count)
        error = math.sqrt(0.05 * 0.95 / 400) / (count / 400 * law.pdf(quantile))
        margin = 196.0 * deviation * math.hypot(error, quantile * spread)
        width = columns["value_at_risk_95_high_percent"][row] - columns["value_at_risk_95_low_percent"][row]
        assert width == pytest.approx(2.0 * margin, rel=1e-8)


def test_cornish_fisher_is_given_where_it_rises_and_the_tails_are_moderate():
    rng = np.random.default_rng(7)
    returns = 0.003 * np.concatenate(
        [rng.standard_normal((10, 300)), rng.standard_t(4, (20, 300)), rng.exponential(size=(10, 300)) - 1.0]
    )
    columns = analyze(windows_of(returns))
    grid = np.linspace(-3.09, 3.09, 2_001)
    for row, found in enumerate(returns):
        s, k = scipy.stats.skew(found), scipy.stats.kurtosis(found)

        def bent(z, s=s, k=k):
            return z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36

        valid = bool((np.diff(bent(grid)) > 0.0).all()) and k <= 3.0
        assert columns["cornish_fisher_is_valid"][row] == float(valid)
        value = columns["cornish_fisher_value_at_risk_99_percent"][row]
        if valid:
            expected = -100.0 * (found.mean() + found.std(ddof=1) * bent(scipy.stats.norm.ppf(0.01)))
            assert value == pytest.approx(expected, rel=1e-8)
        else:
            assert math.isnan(value)
    assert 0.0 < columns["cornish_fisher_is_valid"].mean() < 1.0


def test_the_interval_of_volatility_is_the_closed_form_under_a_normal_law():
    """Variance of log s is 1 / 2n for normal returns."""
    returns = 0.003 * np.random.default_rng(8).standard_normal((400, 499))
    columns = analyze(windows_of(returns))
    error = np.log(columns["volatility_high_percent"] / columns["volatility_low_percent"]) / 2.0 / 1.96
    assert error.mean() == pytest.approx(1.0 / math.sqrt(2.0 * 499), rel=0.03)


def test_the_interval_of_the_sharpe_ratio_is_the_closed_form_under_a_normal_law():
    """Lo 2002: variance (1 + S^2 / 2) / n per candle for independent normal returns."""
    returns = 0.003 * (np.random.default_rng(9).standard_normal((400, 499)) + 0.1)
    columns = analyze(windows_of(returns))
    width = (columns["sharpe_high"] - columns["sharpe_low"]) / 2.0 / 1.96 / math.sqrt(YEAR)
    assert width.mean() == pytest.approx(math.sqrt((1.0 + 0.1**2 / 2.0) / 499), rel=0.03)


def test_no_movement_is_a_problem_not_a_number():
    for step in (0.0, 0.001):
        (reading,) = evaluate(discover()["risk_metrics"], windows_of(np.full((1, 499), step)))
        assert reading.problem == risk_metrics.UNDEFINED


def test_a_market_that_only_rises_has_no_drawdown_and_no_sortino_ratio():
    returns = np.random.default_rng(10).uniform(0.001, 0.003, (1, 499))
    (reading,) = evaluate(discover()["risk_metrics"], windows_of(returns))
    assert reading.values["max_drawdown_percent"] == 0.0
    assert reading.values["drawdown_candles"] == 0.0
    assert "sortino" not in reading.values
    assert reading.vote == 1.0
    assert reading.words.startswith("Hardly any risk: not 1 candle in 20 is due to lose; worst fall 0 %; holding pays")


def test_nobody_loses_more_than_all():
    returns = np.random.default_rng(11).choice([-0.99, 9.0, 0.5, -0.5], (4, 499))
    for name, column in analyze(windows_of(0.9 * returns)).items():
        assert "risk" not in name or not (column > 100.0).any(), name


def values(**changes):
    found = {
        "value_at_risk_95_percent": 0.524,
        "value_at_risk_99_percent": 0.913,
        "historical_value_at_risk_95_percent": 0.5,
        "max_drawdown_percent": 4.21,
        "probabilistic_sharpe": 0.63,
        "candle_sharpe": 0.02,
        "sharpe": 6.5,
        "sharpe_low": -22.0,
        "sharpe_high": 35.0,
    }
    found.update(changes)
    return {name: value for name, value in found.items() if value is not None}


SIZE_OF_RISK = "1 candle in 20 loses over {:.3g} %, 1 in 100 over 0.913 %; worst fall 4.21 %;"


@pytest.mark.parametrize(
    ("changes", "vote", "words"),
    [
        ({}, 0.0, f"Risk as usual: {SIZE_OF_RISK.format(0.524)} no proven reward (PSR 0.63)."),
        (
            {"value_at_risk_95_percent": 0.7},
            0.0,
            f"Risk above its usual: {SIZE_OF_RISK.format(0.7)} no proven reward (PSR 0.63).",
        ),
        (
            {"value_at_risk_95_percent": 0.35},
            0.0,
            f"Risk below its usual: {SIZE_OF_RISK.format(0.35)} no proven reward (PSR 0.63).",
        ),
        (
            {"value_at_risk_95_percent": -0.1},
            0.0,
            "Hardly any risk: not 1 candle in 20 is due to lose; worst fall 4.21 %; no proven reward (PSR 0.63).",
        ),
        (
            {
                "probabilistic_sharpe": 0.999,
                "candle_sharpe": 0.15,
                "sharpe": 48.6,
                "sharpe_low": 20.1,
                "sharpe_high": 77.2,
            },
            0.5,
            f"Risk as usual: {SIZE_OF_RISK.format(0.524)} holding pays, yearly Sharpe 48.6 (20.1 to 77.2).",
        ),
        (
            {
                "probabilistic_sharpe": 0.001,
                "candle_sharpe": -0.6,
                "sharpe": -194,
                "sharpe_low": -230,
                "sharpe_high": -160,
            },
            -1.0,
            f"Risk as usual: {SIZE_OF_RISK.format(0.524)} holding costs, yearly Sharpe -194.0 (-230.0 to -160.0).",
        ),
        (
            {"probabilistic_sharpe": None},
            0.0,
            f"Risk as usual: {SIZE_OF_RISK.format(0.524)} its reward cannot be judged.",
        ),
    ],
)
def test_the_words_tell_the_risk_and_the_vote_needs_a_proven_reward(changes, vote, words):
    opinion = read(values(**changes))
    assert opinion.vote == pytest.approx(vote)
    assert opinion.words == words
    assert len(words) < 200


@pytest.mark.parametrize(("chance", "vote"), [(0.995, 0.0), (0.9951, 1.0), (0.0049, 1.0), (0.005, 0.0)])
def test_half_a_percent_on_either_side_is_needed(chance, vote):
    assert abs(read(values(probabilistic_sharpe=chance, candle_sharpe=0.5)).vote) == vote
