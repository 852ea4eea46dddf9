"""What a position may lose in the next candle, how far it fell in this window, and whether the reward was worth it.

Over n simple returns r of the closes (a loss is positive, in percent of the position):

- `value_at_risk_95_percent`: the loss that one next candle in 20 exceeds; `expected_shortfall_95_percent`: the mean
  loss when it does; the same for one in 100. Volatility comes in clusters, so each return is divided by the deviation
  that was due (GARCH(1,1), its parameters averaged over a grid with the weights of their likelihood), a generalised
  Pareto law is fitted to the worst tenth of what is left, and its quantile times the deviation due now is the answer.
- `historical_...` are the plain quantiles and means of the window, `tail_...` the Pareto law fitted to them directly:
  the risk of the average candle of the window, not of the next one.
- `cornish_fisher_...` bends a normal quantile by skewness and kurtosis. It is given only where that is a quantile at
  all (it rises with the normal one up to +-3.09) and the excess kurtosis at most 3; `cornish_fisher_is_valid` says so.
- `sharpe`: sqrt(candles a year) mean / deviation / sqrt(c), with c = 1 + 2 (sum of all autocorrelations) from the
  autoregression of least BIC (Lo): moves that echo make a year riskier than candles suggest. `plain_sharpe` has c = 1.
- `probabilistic_sharpe`: Phi(S / sqrt(c) / error), the confidence that the reward is above 0, with S = mean / deviation
  and error^2 = (1 - skewness S + (kurtosis - 1) / 4 S^2) / (n - 1): fat and lopsided tails cost confidence. For its
  interval, `sharpe` has the long-run variance of the squared returns for kurtosis - 1, because clusters cost more.
- `volatility_percent`: a year's deviation; its interval is for the volatility that the window really had, changing or
  not: variance of log s^2 = sum r^4 / (sum r^2)^2 (1 - 1 / kurtosis of the residuals). It holds 90 % under fat tails.

A year has 365 days: coins trade always. The vote is the echo-corrected reward of a candle over 0.3 deviations, cut at
-1 and 1, and 0 unless `probabilistic_sharpe` is beyond 99.5 % (or below 0.5 %).

Good for: position size and stops; knowing when a good run is no proof. Not good for: losses unlike any of the window,
nor for annual figures of short candles: their intervals are honest, hence wide.

Sources: McNeil and Frey 2000, doi 10.1016/S0927-5398(00)00012-8; Hosking and Wallis 1987, doi
10.1080/00401706.1987.10488243; Lo 2002, doi 10.2469/faj.v58.n4.2453; Bailey and Lopez de Prado 2012, doi
10.21314/JOR.2012.255, and 2014, doi 10.3905/jpm.2014.40.5.094; Barndorff-Nielsen and Shephard 2002, doi
10.1111/1467-9868.00336; Maillard 2012, doi 10.2139/ssrn.1997178.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri

from core.analysis import Columns, Field, Opinion, Values
from core.kernels.risk import cornish_fisher, drawdown, filter_volatility, moments, tail
from core.market import Floats, Windows, interval_seconds

FIELDS = {
    "value_at_risk_95_percent": Field("loss that one next candle in 20 exceeds, at today's volatility", high=100.0),
    "value_at_risk_95_low_percent": Field("lower end of its 95 % interval", high=100.0),
    "value_at_risk_95_high_percent": Field("upper end of its 95 % interval", high=100.0),
    "expected_shortfall_95_percent": Field("mean loss of that one candle in 20", high=100.0),
    "value_at_risk_99_percent": Field("loss that one next candle in 100 exceeds", high=100.0),
    "expected_shortfall_99_percent": Field("mean loss of that one candle in 100", high=100.0),
    "historical_value_at_risk_95_percent": Field("loss that one candle of the window in 20 exceeded", high=100.0),
    "historical_expected_shortfall_95_percent": Field("mean loss of the worst one in 20", high=100.0),
    "historical_value_at_risk_99_percent": Field("loss that one candle of the window in 100 exceeded", high=100.0),
    "historical_expected_shortfall_99_percent": Field("mean loss of the worst one in 100", high=100.0),
    "tail_value_at_risk_99_percent": Field("loss that one in 100 exceeded, by a Pareto law of the tail", high=100.0),
    "tail_expected_shortfall_99_percent": Field("mean loss of the worst one in 100 by that law", high=100.0),
    "tail_index": Field("shape of that law: 0 exponential, 0.25 as Student-t(4), higher fatter", high=1.0),
    "cornish_fisher_value_at_risk_99_percent": Field("the same by a normal law with skewness and kurtosis", high=100.0),
    "cornish_fisher_is_valid": Field("1 where that formula can be trusted, else 0 and not given", low=0.0, high=1.0),
    "volatility_percent": Field("standard deviation of a year of such candles", low=0.0),
    "volatility_low_percent": Field("lower end of its 95 % interval", low=0.0),
    "volatility_high_percent": Field("upper end of its 95 % interval", low=0.0),
    "max_drawdown_percent": Field("deepest fall from a peak of the window", low=0.0, high=100.0),
    "drawdown_candles": Field("candles from that peak until it was regained, or until now", low=0.0),
    "current_drawdown_percent": Field("fall from the window's peak standing now", low=0.0, high=100.0),
    "sharpe": Field("a year's mean over its standard deviation, corrected for autocorrelation (Lo)"),
    "sharpe_low": Field("lower end of its 95 % interval"),
    "sharpe_high": Field("upper end of its 95 % interval"),
    "plain_sharpe": Field("the textbook's, right only without autocorrelation"),
    "sortino": Field("a year's mean over the deviation of its losses"),
    "probabilistic_sharpe": Field("confidence that the Sharpe ratio is above 0", low=0.0, high=1.0),
    "candle_sharpe": Field("the corrected Sharpe ratio of one candle"),
    "skewness": Field("0 symmetric, below 0 the larger moves are losses"),
    "kurtosis": Field("3 for a normal law, higher with fat tails", low=1.0),
    "sample_size": Field("returns used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move of the window is the same size (or there is none): no risk to measure"

# A standard deviation of the returns below this is rounding.
ROUNDING = 1e-12
# 1.96 standard errors to either side hold 95 %.
HALF_WIDTH = 1.96
SECONDS_A_YEAR = 365 * 86_400
# The Pareto law is fitted to the worst tenth: the usual compromise between bias and variance.
TAIL_SHARE = 0.1
SHARES = np.array([0.05, 0.01])
# Echoes of more than five candles cost more noise than the correction is worth.
LARGEST_ORDER = 5
# What volatility clusters of coins look like: shock, and how much of a shock is left a candle later (shock + memory).
SHOCKS = (0.03, 0.07, 0.14, 0.25)
PERSISTENCES = (0.85, 0.94, 0.98, 0.995)
GRID = np.array([[shock, persistence - shock] for shock in SHOCKS for persistence in PERSISTENCES]).T.copy()
# Student-t(5) likelihood: heavy enough for coins, and close to efficient for lighter tails.
FREEDOM = 5.0
# The Cornish-Fisher expansion must increase up to the quantile of one in 1,000; with an excess kurtosis above 3 it is
# further from the truth than the plain quantile (simulated on Student-t(4)).
VALID_REACH = 3.09
VALID_EXCESS = 3.0
EULER = 0.5772156649015329
# Ten coins every five minutes are 2,880 windows a day: at 5 % chance alone would vote 144 times.
LEVEL = 0.005
# A mean of three tenths of a standard deviation every candle is a trend seldom seen: a whole vote.
FULL_VOTE_SHARPE = 0.3
# A quarter more or a fifth less than the window's own quantile is beyond the noise of a calm market.
RAISED, LOWERED = 1.25, 0.8


def analyze(windows: Windows) -> Columns:
    """The risk and the reward of each row.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: returns all equal give NaN for all that is estimated; no losing candle gives no Sortino ratio; returns
    of two values only may have no standard error of the Sharpe ratio, hence no interval and no `probabilistic_sharpe`.
    """
    returns = windows.close[:, 1:] / windows.close[:, :-1] - 1.0
    size = returns.shape[1]
    shape = moments(returns, ROUNDING, LARGEST_ORDER)
    mean, deviation, skewness, kurtosis, _, _ = shape
    residuals, clusters = filter_volatility(returns, mean, deviation, GRID, FREEDOM)
    bent, valid = cornish_fisher(skewness, kurtosis - 3.0, float(ndtri(SHARES[1])), VALID_REACH, VALID_EXCESS)
    year = SECONDS_A_YEAR / interval_seconds(windows.interval)
    deepest, candles, current = drawdown(windows.close)
    return {
        **_next_losses(residuals, mean, clusters),
        **_window_losses(returns),
        "cornish_fisher_value_at_risk_99_percent": _percent(np.where(valid > 0.0, -mean - deviation * bent, np.nan)),
        "cornish_fisher_is_valid": valid,
        **_volatility(deviation, kurtosis, clusters[2], size=size, year=year),
        "max_drawdown_percent": 100.0 * deepest,
        "drawdown_candles": candles,
        "current_drawdown_percent": 100.0 * current,
        **_reward(shape, clusters[3], size=size, year=year),
        "skewness": skewness,
        "kurtosis": kurtosis,
        "sample_size": np.full(len(windows), float(size)),
    }


def read(values: Values) -> Opinion:
    """Tell what may be lost; follow the reward for it only where it is proven."""
    loss, usual = values["value_at_risk_95_percent"], values["historical_value_at_risk_95_percent"]
    rare, fall = values["value_at_risk_99_percent"], values["max_drawdown_percent"]
    vote, reward = _weigh(values)
    if loss <= 0.0:
        return Opinion(vote, f"Hardly any risk: not 1 candle in 20 is due to lose; worst fall {fall:.3g} %; {reward}.")
    state = "above" if loss > RAISED * usual else "below" if loss < LOWERED * usual else "as"
    state = "as usual" if state == "as" else f"{state} its usual"
    words = f"Risk {state}: 1 candle in 20 loses over {loss:.3g} %, 1 in 100 over {rare:.3g} %; worst fall {fall:.3g} %"
    return Opinion(vote, f"{words}; {reward}.")


def probabilistic_sharpe(
    sharpe: float, *, size: int, skewness: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Confidence that the true Sharpe ratio is above the benchmark (Bailey and Lopez de Prado 2012).

    Phi((S - benchmark) sqrt(n - 1) / sqrt(1 - skewness S + (kurtosis - 1) / 4 S^2)), ratios per period, not per year.

    >>> print(round(probabilistic_sharpe(0.458, size=24, skewness=-2.448, kurtosis=10.164), 3))
    0.913
    """
    variance = 1.0 - skewness * sharpe + 0.25 * (kurtosis - 1.0) * sharpe * sharpe
    return float(ndtr((sharpe - benchmark) * math.sqrt((size - 1) / variance)))


def deflated_sharpe(
    sharpe: float, *, trials: int, variance: float, size: int, skewness: float = 0.0, kurtosis: float = 3.0
) -> tuple[float, float]:
    """Confidence that the best of several trials has any skill, and the Sharpe ratio expected of the best by luck.

    The benchmark is sqrt(variance) ((1 - e) z(1 - 1 / trials) + e z(1 - 1 / (trials exp(1)))), e Euler's constant, z
    the normal quantile; `variance` is that of the trials' Sharpe ratios per period. One trial has the benchmark 0.

    >>> best = deflated_sharpe(2.5 / 250**0.5, trials=100, variance=0.5 / 250, size=1250, skewness=-3.0, kurtosis=10.0)
    >>> print("%.4f %.4f" % best)
    0.9004 0.1132
    """
    benchmark = 0.0
    if trials > 1:
        luck = (1.0 - EULER) * ndtri(1.0 - 1.0 / trials) + EULER * ndtri(1.0 - math.exp(-1.0) / trials)
        benchmark = math.sqrt(variance) * float(luck)
    chance = probabilistic_sharpe(sharpe, size=size, skewness=skewness, kurtosis=kurtosis, benchmark=benchmark)
    return chance, benchmark


def _weigh(values: Values) -> tuple[float, str]:
    """The vote, and the reward in words."""
    chance = values.get("probabilistic_sharpe")
    if chance is None:
        return 0.0, "its reward cannot be judged"
    if LEVEL <= chance <= 1.0 - LEVEL:
        return 0.0, f"no proven reward (PSR {chance:.2f})"
    vote = min(max(values["candle_sharpe"] / FULL_VOTE_SHARPE, -1.0), 1.0)
    interval = f"{values['sharpe_low']:.1f} to {values['sharpe_high']:.1f}"
    verb = "pays" if vote > 0.0 else "costs"
    return vote, f"holding {verb}, yearly Sharpe {values['sharpe']:.1f} ({interval})"


def _next_losses(residuals: Floats, mean: Floats, clusters: Floats) -> Columns:
    """Quantiles of the residuals times the deviation due now."""
    ahead, uncertainty, _, _ = clusters
    losses, _ = tail(_lowest(residuals), residuals.shape[1], SHARES, ROUNDING)
    value, shortfall = ahead * losses[2] - mean, ahead * losses[3] - mean
    margin = HALF_WIDTH * ahead * np.hypot(losses[4, 0], losses[2, 0] * uncertainty)
    return {
        "value_at_risk_95_percent": _percent(value[0]),
        "value_at_risk_95_low_percent": _percent(value[0] - margin),
        "value_at_risk_95_high_percent": _percent(value[0] + margin),
        "expected_shortfall_95_percent": _percent(shortfall[0]),
        "value_at_risk_99_percent": _percent(value[1]),
        "expected_shortfall_99_percent": _percent(shortfall[1]),
    }


def _window_losses(returns: Floats) -> Columns:
    """Quantiles of the returns as they lie, and by a Pareto law of the worst tenth."""
    losses, tail_index = tail(_lowest(returns), returns.shape[1], SHARES, ROUNDING)
    return {
        "historical_value_at_risk_95_percent": _percent(losses[0, 0]),
        "historical_expected_shortfall_95_percent": _percent(losses[1, 0]),
        "historical_value_at_risk_99_percent": _percent(losses[0, 1]),
        "historical_expected_shortfall_99_percent": _percent(losses[1, 1]),
        "tail_value_at_risk_99_percent": _percent(losses[2, 1]),
        "tail_expected_shortfall_99_percent": _percent(losses[3, 1]),
        "tail_index": tail_index,
    }


def _volatility(deviation: Floats, kurtosis: Floats, sharpness: Floats, *, size: int, year: float) -> Columns:
    """A year's standard deviation with the interval of what the window's volatility really was."""
    error = 0.5 * np.sqrt(kurtosis / size * (1.0 - 1.0 / sharpness))
    volatility = 100.0 * math.sqrt(year) * deviation
    return {
        "volatility_percent": volatility,
        "volatility_low_percent": volatility * np.exp(-HALF_WIDTH * error),
        "volatility_high_percent": volatility * np.exp(HALF_WIDTH * error),
    }


def _reward(shape: Floats, swing: Floats, *, size: int, year: float) -> Columns:
    """Sharpe ratios with their interval and confidence, and Sortino's."""
    mean, deviation, skewness, kurtosis, downside, echo = shape
    plain = mean / deviation
    corrected = plain / np.sqrt(echo)
    variance = 1.0 - skewness * plain + 0.25 * (kurtosis - 1.0) * plain * plain
    variance = np.where(variance > ROUNDING, variance, np.nan)
    widened = variance + 0.25 * np.maximum(swing - kurtosis + 1.0, 0.0) * plain * plain
    margin = HALF_WIDTH * np.sqrt(widened / (size - 1))
    scale = math.sqrt(year)
    return {
        "sharpe": scale * corrected,
        "sharpe_low": scale * (corrected - margin),
        "sharpe_high": scale * (corrected + margin),
        "plain_sharpe": scale * plain,
        "sortino": scale * mean / np.where(downside > 0.0, downside, np.nan),
        "probabilistic_sharpe": ndtr(corrected * np.sqrt((size - 1) / variance)),
        "candle_sharpe": corrected,
    }


def _lowest(values: Floats) -> Floats:
    """The worst tenth of each row in ascending order, and the one above it."""
    count = int(TAIL_SHARE * values.shape[1])
    return np.sort(np.partition(values, count, axis=1)[:, : count + 1], axis=1)


def _percent(loss: Floats) -> Floats:
    """A fraction as percent; nobody who holds a coin loses more than all of it."""
    return np.minimum(100.0 * loss, 100.0)
