"""Whether the price keeps to a level of its own or wanders off for good: two tests with opposite burdens of proof.

Both look at the log price. Each test alone only fails to refute; together they give four verdicts.

- `adf_p_value`: the chance of such a window if the price is a random walk (Dickey and Fuller, augmented). Regress each
  move on a constant, the level before it and the last p moves, dx_t = a + g x_{t-1} + sum_k c_k dx_{t-k} + e_t; the
  statistic is g over its standard error. p is chosen by Akaike's criterion up to Schwert's 12 (T/100)^(1/4).
- `kpss_p_value`: the chance if the price keeps to a level. Mean square of the summed deviations from the mean over T
  and their long-run variance (Bartlett's weights, bandwidth by Hobijn, Franses and Ooms). The published table ends at
  0.01 and 0.10, and so does this number.
- Stationary: only the walk is refuted (at 5 %). Unit root: only the level is. Both refuted: the tests contradict each
  other, typical of slow reversion, where KPSS rejects too often (41 % at an echo of 0.95, 72 % at 0.98), and of a level
  that moved. Neither: too little evidence.
- `half_life`: candles in which half of a deviation fades, ln 0.5 / ln r, r of x_t = a + r x_{t-1} + e_t. The usual
  estimate of r is too low and its usual interval wrong near 1; so r is the one under which the t-statistic seen (with
  White's standard error) is the median, and the ends of the 95 % interval those under which it is an outer 2.5 %
  quantile. It holds from r = 0.5 to 0.99, with clusters of volatility too. Without a value there is no reversion;
  without an upper end the window cannot exclude that there is none.
- `deviation`: the last log price less the window's mean, in standard deviations of the window.
- `drift`: the mean return over its standard error. Clusters of volatility do not inflate it, echoes would.

The vote opposes the deviation when stationary, in full at 2 standard deviations. On a unit root there is no mean to
return to: it follows a drift beyond 3 standard errors, as one walk in 370 shows by chance, in full at 6.

Good for: telling a range from a walk over hundreds of candles, and how patient a bet on the range must be. Not good
for: slow reversion, which 500 candles hardly tell from a walk (ADF finds an echo of 0.98, half-life 34, in one window
of three); nor for structural breaks. Clusters of volatility make ADF reject 8 walks in 100 instead of 5.

Sources: Said and Dickey 1984, doi 10.1093/biomet/71.3.599; MacKinnon 1994, doi 10.1080/07350015.1994.10510005 (its
p-value); Kwiatkowski et al. 1992, doi 10.1016/0304-4076(92)90104-Y; Hobijn, Franses and Ooms 2004,
doi 10.1111/j.1467-9574.2004.00272.x; Andrews 1993, doi 10.2307/2951781, and Hansen 1999, doi 10.1162/003465399558463
(median-unbiased r, intervals from quantiles that depend on r).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from scipy.special import ndtr

from core.analysis import Columns, Field, Opinion, Values
from core.kernels.lags import dickey_fuller, kpss
from core.market import Floats, Windows

FIELDS = {
    "adf_p_value": Field("chance of such a window if the price is a random walk", low=0.0, high=1.0),
    "adf_statistic": Field("augmented Dickey-Fuller statistic: below -2.87 the random walk is refuted"),
    "adf_lag": Field("earlier moves in its regression", low=0.0),
    "kpss_p_value": Field("chance if the price keeps to a level, cut at 0.01 and 0.10", low=0.01, high=0.1),
    "kpss_statistic": Field("KPSS statistic: above 0.463 the level is refuted", low=0.0),
    "kpss_lag": Field("lags in its long-run variance", low=0.0),
    "half_life": Field("candles in which half of a deviation from the mean fades", low=0.0),
    "half_life_low": Field("lower end of its 95 % interval", low=0.0),
    "half_life_high": Field("upper end; without it, there may be no reversion at all", low=0.0),
    "deviation": Field("last log price less the window's mean, in standard deviations"),
    "drift": Field("mean return in its standard errors"),
    "sample_size": Field("candles used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move follows from the one before (or there is none): a test needs chance"

# A standard deviation of the log returns below this is rounding. Levels deviate at least half as much as moves do.
ROUNDING = 1e-12
# What others explain but for this share cannot be told from rounding in a sum of squares.
DEPENDENT = 1e-9
LEVEL = 0.05
FULL_VOTE_DEVIATION = 2.0
SMALLEST_DRIFT = 3.0
FULL_VOTE_DRIFT = 6.0

# MacKinnon 1994, one variable, constant: the normal quantile of p as a polynomial of the statistic, rising powers.
SMALL_P = (2.1659, 1.4412, 0.038269)
LARGE_P = (1.7339, 0.93202, -0.12745, -0.010368)
SMALL_P_UP_TO = -1.61
LEAST_STATISTIC, LARGEST_STATISTIC = -18.83, 2.74
# Kwiatkowski et al. 1992, table 1, level.
KPSS_STATISTICS = (0.347, 0.463, 0.574, 0.739)
KPSS_CHANCES = (0.10, 0.05, 0.025, 0.01)
# By n (1 - r): quantiles 2.5, 50 and 97.5 % of the t-statistic of r, from 600,000 normal series of n = 500 each,
# stationary below r = 1. tests/core/test_stationarity.py draws some of them again.
ECHO_LAW = np.array(
    [
        [0.0, -3.132, -1.562, 0.248],
        [0.5, -3.044, -1.438, 0.393],
        [1.0, -2.977, -1.329, 0.487],
        [2.0, -2.873, -1.160, 0.656],
        [3.5, -2.765, -0.981, 0.849],
        [5.0, -2.682, -0.860, 0.983],
        [7.5, -2.590, -0.730, 1.148],
        [10.0, -2.527, -0.638, 1.255],
        [15.0, -2.445, -0.532, 1.388],
        [20.0, -2.387, -0.460, 1.477],
        [30.0, -2.312, -0.374, 1.567],
        [50.0, -2.233, -0.286, 1.662],
        [100.0, -2.150, -0.194, 1.764],
        [250.0, -2.065, -0.101, 1.857],
        [500.0, -2.002, -0.046, 1.911],
    ]
)


def analyze(windows: Windows) -> Columns:
    """Both tests, half-life, deviation and drift of each row.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: moves all equal, or fully explained by the level and the moves before, give NaN. A lag that others
    explain but for 1e-9 ends the search for p, so on curves without chance p differs from that of other programs.
    """
    levels = np.log(windows.close)
    length = windows.length
    regression = np.empty((5, len(windows)))
    wandering = np.empty((3, len(windows)))
    most = min(math.ceil(12.0 * (length / 100.0) ** 0.25), length // 2 - 2)
    dickey_fuller(levels, most, (ROUNDING, DEPENDENT), regression)
    bandwidth = (int(length ** (2.0 / 9.0)), 1.1447 * length ** (1.0 / 3.0))
    kpss(levels, ROUNDING / 4.0, bandwidth, wandering)
    statistic, lag, coefficient, error, drift = regression
    half_life_high, half_life, half_life_low = _half_lives(coefficient, error, length - 1, ECHO_LAW)
    return {
        "adf_p_value": _walk_chance(statistic),
        "adf_statistic": statistic,
        "adf_lag": lag,
        "kpss_p_value": np.interp(wandering[0], KPSS_STATISTICS, KPSS_CHANCES),
        "kpss_statistic": wandering[0],
        "kpss_lag": wandering[1],
        "half_life": half_life,
        "half_life_low": half_life_low,
        "half_life_high": half_life_high,
        "deviation": wandering[2],
        "drift": drift,
        "sample_size": np.full(len(windows), float(length)),
    }


def read(values: Values) -> Opinion:
    """Fade the deviation when stationary, follow a clear drift on a unit root, else stay out."""
    deviation, drift = values["deviation"], values["drift"]
    tests = f"ADF p {values['adf_p_value']:.2g}, KPSS p {values['kpss_p_value']:.2g}"
    reverting, wandering = values["adf_p_value"] < LEVEL, values["kpss_p_value"] < LEVEL
    if reverting and wandering:
        return Opinion(0.0, f"Contradictory, slow reversion or a level that moved, stay out: {tests}.")
    if reverting:
        vote = -min(max(deviation / FULL_VOTE_DEVIATION, -1.0), 1.0)
        return Opinion(vote, f"Stationary, fade the {deviation:+.1f} sd from the mean{_pace(values)}: {tests}.")
    if not wandering:
        return Opinion(0.0, f"Undecided, too little evidence for a mean or against it, stay out: {tests}.")
    if abs(drift) <= SMALLEST_DRIFT:
        return Opinion(0.0, f"Unit root, a random walk without a mean to return to, stay out: {tests}.")
    strength = min((abs(drift) - SMALLEST_DRIFT) / (FULL_VOTE_DRIFT - SMALLEST_DRIFT), 1.0)
    words = f"Unit root with a steady drift, follow it ({drift:+.1f} standard errors): {tests}."
    return Opinion(math.copysign(strength, drift), words)


def _pace(values: Values) -> str:
    """How long half of a deviation takes to fade, as far as it is known."""
    if "half_life" not in values:
        return ""
    low = f"{values['half_life_low']:.0f}"
    span = f"{low}-{values['half_life_high']:.0f}" if "half_life_high" in values else f"{low} or more"
    return f", half-life {values['half_life']:.0f} candles ({span})"


def _walk_chance(statistic: Floats) -> Floats:
    """MacKinnon's p-value of the Dickey-Fuller statistic with a constant."""
    small = np.polynomial.polynomial.polyval(statistic, SMALL_P)
    large = np.polynomial.polynomial.polyval(statistic, LARGE_P)
    chance = ndtr(np.where(statistic <= SMALL_P_UP_TO, small, large))
    chance = np.where(statistic < LEAST_STATISTIC, 0.0, chance)
    return np.asarray(np.where(statistic > LARGEST_STATISTIC, 1.0, chance))


@njit(cache=True, nogil=True)
def _half_lives(coefficient: Floats, error: Floats, size: int, law: Floats) -> Floats:
    """Half-lives at the quantiles of the law, in its order: the low one gives the longest. NaN from r = 1 on.

    Shape: (B,) estimates of r - 1, (B,) standard errors, (D, 1 + Q) -> (Q, B).
    """
    found = np.full((law.shape[1] - 1, coefficient.size), math.nan)
    for row in range(coefficient.size):
        for index in range(found.shape[0]):
            if not math.isnan(error[row]):
                echo = 1.0 + _match(coefficient[row], error[row], size, law[:, 0], law[:, index + 1])
                if echo <= 0.0:
                    found[index, row] = 0.0
                elif echo < 1.0:
                    found[index, row] = math.log(0.5) / math.log(echo)
    return found


@njit(cache=True, nogil=True)
def _match(coefficient: float, error: float, size: int, distances: Floats, quantiles: Floats) -> float:
    """The true r - 1 nearest to 0 whose quantile is the t-statistic seen, linear between distances; 0 if r is 1."""
    short = coefficient / error - quantiles[0]
    if short >= 0.0:
        return 0.0
    for place in range(1, distances.size):
        over = (coefficient + distances[place] / size) / error - quantiles[place]
        if over >= 0.0:
            share = short / (short - over)
            return float(-(distances[place - 1] + share * (distances[place] - distances[place - 1])) / size)
        short = over
    return float(coefficient - quantiles[-1] * error)
