"""Whether the last moves say anything about the next one: autocorrelation of the returns, tested twice.

Over n returns x less their mean, r_k = sum_t x_t x_{t+k} / sum_t x_t^2 for lags k = 1..20.

- `acf_1` leads because it has a sign and a size that a trader can use; the p-values only say whether to believe it.
- `robust_p_value` is the verdict: sum_k (sum_t x_t x_{t+k})^2 / sum_t x_t^2 x_{t+k}^2, chi-squared with 20 degrees of
  freedom. Each lag is scaled by its own variance, so clusters of volatility do not pass for autocorrelation.
- `ljung_box_p_value` is the textbook's, n (n+2) sum_k r_k^2 / (n-k), shown for comparison: it takes independent returns
  for granted and rejects a third of all random walks with volatility clusters.
- `next_move` is the return expected next, in standard deviations: mean + sum_k a_k (x of k candles ago), the weights a
  of an autoregression of order 5 solved from r_1..r_5 (Yule and Walker, by Durbin's recursion).

The vote is `next_move` over half a standard deviation, cut at -1 and 1, and 0 unless the robust test rejects at 1 %.

Good for: short echoes and overreactions of the last few candles. Not good for: long memory (see hurst_exponent), and no
promise of profit: an expected move smaller than the costs is worth nothing.

Sources: Ljung and Box 1978, doi 10.1093/biomet/65.2.297; Lobato, Nankervis and Savin 2001, doi 10.1111/1468-2354.00106
(the robust test); Durbin 1960, doi 10.2307/1401322.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from scipy.special import chdtrc

from core.analysis import Columns, Field, Opinion, Values
from core.market import Floats, Windows

LAGS = 20
# Five lags hold what short-lived echoes there are; each further weight adds noise to the expected move.
ORDER = 5

FIELDS = {
    **{f"acf_{lag}": Field(f"autocorrelation at lag {lag}", low=-1.0, high=1.0) for lag in range(1, ORDER + 1)},
    "largest_acf": Field("the autocorrelation furthest from 0 among 20 lags", low=-1.0, high=1.0),
    "largest_lag": Field("the lag at which it stands", low=1.0, high=float(LAGS)),
    "robust_statistic": Field("test over 20 lags that volatility clusters do not mislead", low=0.0),
    "robust_p_value": Field("chance of such a statistic without any autocorrelation", low=0.0, high=1.0),
    "ljung_box": Field("Ljung-Box statistic over 20 lags, shown for comparison", low=0.0),
    "ljung_box_p_value": Field("its p-value, too small when volatility clusters", low=0.0, high=1.0),
    "next_move": Field("return expected next, in standard deviations of the returns"),
    "sample_size": Field("returns used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move of the window is the same size (or there is none): nothing to correlate"

# A standard deviation of the log returns below this is rounding.
ROUNDING = 1e-12
# Ten coins every five minutes are 2,880 windows a day: at 5 % chance alone would vote 144 times.
LEVEL = 0.01
# An expected move of half a standard deviation is far beyond what markets offer: a whole vote.
FULL_VOTE_MOVE = 0.5


def analyze(windows: Windows) -> Columns:
    """Autocorrelations, both tests and the expected move of each row.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: returns all equal give NaN throughout; a lag without any product of moves adds nothing to the test.
    """
    returns = windows.log_returns()
    table = np.full((len(FIELDS), len(windows)), np.nan)
    _measure(returns, (LAGS, ORDER, ROUNDING), table)
    columns = dict(zip(FIELDS, table, strict=True))
    columns["robust_p_value"] = np.asarray(chdtrc(float(LAGS), columns["robust_statistic"]))
    columns["ljung_box_p_value"] = np.asarray(chdtrc(float(LAGS), columns["ljung_box"]))
    columns["sample_size"] = np.full(len(windows), float(returns.shape[1]))
    return columns


def read(values: Values) -> Opinion:
    """Vote with the expected move where the robust test finds autocorrelation, else stay out."""
    chance, move = values["robust_p_value"], values["next_move"]
    numbers = f"lag 1 {values['acf_1']:+.2f}, largest {values['largest_acf']:+.2f} at lag {values['largest_lag']:.0f}"
    if chance < LEVEL:
        vote = min(max(move / FULL_VOTE_MOVE, -1.0), 1.0)
        words = f"Moves echo ({numbers}, robust p {chance:.2g}): the next one is expected at {move:+.2f} sd."
        return Opinion(vote, words)
    if values["ljung_box_p_value"] < LEVEL:
        return Opinion(0.0, f"Only volatility clusters, no usable echo: {numbers}, robust p {chance:.2g}.")
    return Opinion(0.0, f"No echo, past moves say nothing of the next: {numbers}, robust p {chance:.2g}.")


@njit(cache=True, nogil=True)
def _measure(returns: Floats, limits: tuple[int, int, float], table: Floats) -> None:
    """Fill one column of the table, in the order of the fields, for each row that moves."""
    lags, order, rounding = limits
    size = returns.shape[1]
    for row in range(returns.shape[0]):
        mean = returns[row].sum() / size
        centred = np.zeros(size + lags)
        centred[:size] = returns[row] - mean
        products, squares = _lagged_sums(centred, size, lags)
        if math.sqrt(products[0] / size) <= rounding:
            continue
        correlations = products / products[0]
        largest = 1 + int(np.argmax(np.abs(correlations[1:])))
        robust = 0.0
        ljung_box = 0.0
        for lag in range(1, lags + 1):
            ljung_box += size * (size + 2.0) * correlations[lag] ** 2 / (size - lag)
            if squares[lag] > 0.0:
                robust += products[lag] ** 2 / squares[lag]
        move = mean
        weights = _autoregression(correlations, order)
        for back in range(order):
            move += weights[back] * centred[size - 1 - back]
        table[:order, row] = correlations[1 : order + 1]
        table[order, row] = correlations[largest]
        table[order + 1, row] = largest
        table[order + 2, row] = robust
        table[order + 4, row] = ljung_box
        table[order + 6, row] = move / math.sqrt(products[0] / size)


@njit(cache=True, nogil=True)
def _lagged_sums(values: Floats, size: int, lags: int) -> tuple[Floats, Floats]:
    """Sums over t of x_t x_{t+k} and of x_t^2 x_{t+k}^2 for k = 0..lags; the values are followed by `lags` zeros.

    The inner loop runs along the lags, so that it is vectorised without changing the order of any sum.
    """
    products = np.zeros(lags + 1)
    squares = np.zeros(lags + 1)
    squared = values * values
    for place in range(size):
        for lag in range(lags + 1):
            products[lag] += values[place] * values[place + lag]
            squares[lag] += squared[place] * squared[place + lag]
    return products, squares


@njit(cache=True, nogil=True)
def _autoregression(correlations: Floats, order: int) -> Floats:
    """Weights of the best linear forecast from the last `order` values (Durbin's recursion)."""
    weights = np.zeros(order)
    unexplained = 1.0
    for lag in range(1, order + 1):
        gap = correlations[lag]
        for back in range(lag - 1):
            gap -= weights[back] * correlations[lag - 1 - back]
        if unexplained <= 0.0:
            break
        partial = gap / unexplained
        earlier = weights[: lag - 1].copy()
        for back in range(lag - 1):
            weights[back] -= partial * earlier[lag - 2 - back]
        weights[lag - 1] = partial
        unexplained *= 1.0 - partial * partial
    return weights
