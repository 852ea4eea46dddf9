"""Whether moves build on each other or cancel out over a few candles, and how volatile the market is now.

Direction, over n returns x less their mean:

- `ratio_2`, `ratio_4`, `ratio_8`, `ratio_16`: variance of the move over q candles over q variances of one candle's
  move (Lo and MacKinlay; overlapping, without bias). A random walk gives 1 at every q, moves that build on each other
  more, moves that are taken back less. `score_q` is the distance from 1 in standard errors that hold when volatility
  clusters.
- `variance_ratio` is the one with the largest score, `horizon` its q, and `p_value` the joint test of all four, the
  chance that the largest of four scores is so large (Chow and Denning, studentised maximum modulus). The four are
  alike, so this number is on the safe side: it refutes 4 walks in 100 at 5 %.

Size of the moves, in percent a candle:

- `volatility_percent`: Yang's and Zhang's, from open, high, low and close. About seven times as sharp as closes alone,
  free of drift, and of those from whole candles the only one that counts the gaps between them. Parkinson's, Garman's
  and Klass's, Rogers's and Satchell's and that of the closes stand beside it.
- `recent_volatility_percent`: root mean square return of the last 24 candles, and `volatility_rank_percent`: how many
  of the earlier stretches of 24 in this window were calmer. Below 33 "low", above 67 "high": a place within this
  window and nothing more. Even where volatility never changes each of the three words falls to a third of all windows.
- `change_p_value`: whether the newer half's spread differs from that of the older (Brown and Forsythe). It says
  "volatility changed", not "structural break": ordinary clusters make it reject every second window.
- `arch_p_value`: whether large moves follow large moves (Engle's test on five squared returns). Moves that echo raise
  it too: where `p_value` is small it proves no clusters.

The vote needs `p_value` below 1 %. Above 1 it follows `momentum` (the sum of the returns weighted by 1 / sqrt(age), in
its standard deviations in a random walk), below 1 it opposes `recent_move` (the last q - 1 returns less the mean, that
of k candles ago weighted by 1 - k/q as the ratio weighs its echo); in full when the ratio is 0.3 from 1 and the move 1
standard deviation. Moves that cancel around a strong drift (momentum beyond 3) are not faded: the vote is 0.

Good for: short persistence and reversal, and a sharp measure of volatility. Not good for: a steady drift, to which a
variance ratio is blind by definition (the mean is taken out), nor for reversal over hundreds of candles.

Sources: Lo and MacKinlay 1988, doi 10.1093/rfs/1.1.41; Chow and Denning 1993, doi 10.1016/0304-4076(93)90051-6; Engle
1982, doi 10.2307/1912773; Brown and Forsythe 1974, doi 10.1080/01621459.1974.10482955; Parkinson 1980,
doi 10.1086/296071; Garman and Klass 1980, doi 10.1086/296072; Rogers and Satchell 1991, doi 10.1214/aoap/1177005835;
Yang and Zhang 2000, doi 10.1086/209650.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import njit
from scipy.special import chdtrc, fdtrc, ndtr

from core.analysis import Columns, Field, Opinion, Values
from core.kernels.candles import candle_volatility
from core.kernels.lags import arch_effect, variance_ratios
from core.kernels.scaling import standardise
from core.market import Floats, Windows

HORIZONS = (2, 4, 8, 16)

FIELDS = {
    "variance_ratio": Field("1 random walk, above it moves build on each other, below they cancel", low=0.0),
    "horizon": Field("candles over which it is taken, the most telling of 2, 4, 8 and 16", low=2.0, high=16.0),
    "p_value": Field("chance of so telling a ratio in a random walk, for all four together", low=0.0, high=1.0),
    **{f"ratio_{span}": Field(f"variance ratio over {span} candles", low=0.0) for span in HORIZONS},
    **{f"score_{span}": Field(f"its distance from 1 in robust standard errors, {span} candles") for span in HORIZONS},
    "momentum": Field("weighted sum of recent returns in its standard deviations: up positive, down negative"),
    "recent_move": Field("last moves within the horizon, less the drift, in their standard deviations"),
    "volatility_percent": Field("volatility of a candle from all four prices (Yang and Zhang)", low=0.0),
    "parkinson_percent": Field("the same from high and low", low=0.0),
    "garman_klass_percent": Field("the same from all four prices, without gaps", low=0.0),
    "rogers_satchell_percent": Field("the same, free of drift, without gaps", low=0.0),
    "close_percent": Field("standard deviation of the returns of the closes", low=0.0),
    "recent_volatility_percent": Field("root mean square return of the last 24 candles", low=0.0),
    "volatility_rank_percent": Field("earlier stretches of 24 candles that were calmer", low=0.0, high=100.0),
    "change_statistic": Field("Brown-Forsythe statistic, newer half against the older", low=0.0),
    "change_p_value": Field("chance of such a change at one volatility and independent moves", low=0.0, high=1.0),
    "arch_statistic": Field("Engle's statistic of volatility clusters, five lags", low=0.0),
    "arch_p_value": Field("chance of such clusters where moves are independent", low=0.0, high=1.0),
    "sample_size": Field("returns used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move of the window is the same size (or there is none): no variance to compare"

# A standard deviation of the log returns below this is rounding.
ROUNDING = 1e-12
# What others explain but for this share cannot be told from rounding in a sum of squares.
DEPENDENT = 1e-9
ARCH_LAGS = 5
# Two hours of five-minute candles: short enough to be "now", long enough for a volatility within 15 %.
RECENT = 24
# Ten coins every five minutes are 2,880 windows a day: at 5 % chance alone would vote up to 144 times.
LEVEL = 0.01
# The largest chance below 1 whose logarithm of the rest exists.
MOST_CERTAIN = 1.0 - 1e-15
FULL_VOTE_DISTANCE = 0.3
# A market that takes its moves back cannot run this far: beyond it the moves cancel around a drift.
LARGEST_REVERTING_MOMENTUM = 3.0
# Thirds of the window's own stretches.
CALM_RANK, ROUGH_RANK = 100.0 / 3.0, 200.0 / 3.0


def analyze(windows: Windows) -> Columns:
    """Ratios, tests and volatilities of each row.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: returns all equal give NaN throughout; moves of one size give no ARCH test; no spread about the median
    in either part gives no test of change.
    """
    rows, size = len(windows), windows.length - 1
    logs = np.log(windows.block[:4])
    values, means, deviations = standardise(np.diff(logs[3], axis=1), ROUNDING)
    ratios, scores = np.empty((2, len(HORIZONS), rows))
    variance_ratios(values, HORIZONS, ratios, scores)
    ratio, horizon, momentum, recent_move = _choose(values, means / deviations, ratios, scores, _tables(size))
    start = size // 2
    medians = np.stack([_median(values[:, :start]), _median(values[:, start:])])
    change, recent, rank = _compare_parts(values, means / deviations, medians, (start, RECENT, DEPENDENT))
    clusters = arch_effect(values, ARCH_LAGS, DEPENDENT)
    sharp, parkinson, garman_klass, rogers_satchell = 100.0 * candle_volatility(logs, deviations)
    # the chance that one score of a random walk is as large, then that one of four independent ones is
    single = 2.0 * ndtr(-np.abs(scores).max(axis=0))
    return {
        "variance_ratio": ratio,
        "horizon": horizon,
        "p_value": -np.expm1(len(HORIZONS) * np.log1p(-np.minimum(single, MOST_CERTAIN))),
        **{f"ratio_{span}": ratios[index] for index, span in enumerate(HORIZONS)},
        **{f"score_{span}": scores[index] for index, span in enumerate(HORIZONS)},
        "momentum": momentum,
        "recent_move": recent_move,
        "volatility_percent": sharp,
        "parkinson_percent": parkinson,
        "garman_klass_percent": garman_klass,
        "rogers_satchell_percent": rogers_satchell,
        "close_percent": 100.0 * math.sqrt(size / (size - 1.0)) * deviations,
        "recent_volatility_percent": 100.0 * recent * deviations,
        "volatility_rank_percent": rank,
        "change_statistic": change,
        "change_p_value": np.asarray(fdtrc(1.0, size - 2.0, change)),
        "arch_statistic": clusters,
        "arch_p_value": np.asarray(chdtrc(float(ARCH_LAGS), clusters)),
        "sample_size": np.full(rows, float(size)),
    }


def read(values: Values) -> Opinion:
    """Follow momentum where moves build on each other, fade the recent one where they cancel, else stay out."""
    ratio, horizon, chance = values["variance_ratio"], values["horizon"], values["p_value"]
    numbers = f"variance ratio {ratio:.2f} over {horizon:.0f}, p {chance:.2g}"
    strength = min(abs(ratio - 1.0) / FULL_VOTE_DISTANCE, 1.0)
    if chance >= LEVEL:
        vote, words = 0.0, f"Moves neither build up nor cancel out, stay out ({numbers})"
    elif ratio > 1.0:
        move = values["momentum"]
        vote = strength * min(max(move, -1.0), 1.0)
        words = f"Moves build on each other, follow the momentum of {move:+.1f} sd ({numbers})"
    elif abs(values["momentum"]) > LARGEST_REVERTING_MOMENTUM:
        drift = f"{values['momentum']:+.1f} sd"
        vote, words = 0.0, f"Moves cancel out around a drift of {drift}, not to be faded ({numbers})"
    else:
        move = values["recent_move"]
        vote = -strength * min(max(move, -1.0), 1.0)
        words = f"Moves cancel out, fade the recent move of {move:+.1f} sd ({numbers})"
    return Opinion(vote, f"{words}; {_describe_volatility(values)}.")


def _describe_volatility(values: Values) -> str:
    """Its size, its place within the window and whether it changed."""
    rank = values["volatility_rank_percent"]
    place = "low" if rank < CALM_RANK else "high" if rank > ROUGH_RANK else "medium"
    changed = "changed" if values.get("change_p_value", 1.0) < LEVEL else "no clear change"
    return f"volatility {values['recent_volatility_percent']:.2g} % a candle, {place} for this window, {changed}"


@lru_cache(maxsize=64)
def _tables(size: int) -> tuple[Floats, Floats]:
    """The horizons, and the weights of momentum, oldest first, of unit sum of squares."""
    ages = 1.0 / np.sqrt(np.arange(size, 0, -1.0))
    return np.array(HORIZONS, dtype=np.float64), ages / math.sqrt(float((ages**2).sum()))


def _median(values: Floats) -> Floats:
    """Median of each row."""
    ordered = np.sort(values, axis=1)
    size = values.shape[1]
    return np.asarray(0.5 * (ordered[:, (size - 1) // 2] + ordered[:, size // 2]))


@njit(cache=True, nogil=True)
def _choose(values: Floats, drifts: Floats, ratios: Floats, scores: Floats, tables: tuple[Floats, Floats]) -> Floats:
    """The ratio with the largest score, its horizon, momentum, and the recent move within that horizon.

    Shape: (B, n) standardised, (B,) means in deviations, (Q, B) twice, (Q,) and (n,) -> (4, B).
    """
    horizons, weights = tables
    rows, size = values.shape
    found = np.full((4, rows), math.nan)
    for row in range(rows):
        if math.isnan(drifts[row]):
            continue
        best = 0
        for index in range(1, horizons.size):
            if abs(scores[index, row]) > abs(scores[best, row]):
                best = index
        momentum = move = squares = 0.0
        for place in range(size):
            momentum += weights[place] * (values[row, place] + drifts[row])
        for age in range(1, int(horizons[best])):
            weight = 1.0 - age / horizons[best]
            move += weight * values[row, size - age]
            squares += weight * weight
        found[0, row] = ratios[best, row]
        found[1, row] = horizons[best]
        found[2, row] = momentum
        found[3, row] = move / math.sqrt(squares)
    return found


@njit(cache=True, nogil=True)
def _compare_parts(values: Floats, drifts: Floats, medians: Floats, limits: tuple[int, int, float]) -> Floats:
    """Brown-Forsythe statistic of the two parts; root mean square of the last values and how many stretches it beats.

    Shape: (B, n) standardised, (B,) means in deviations, (2, B) medians of the parts -> (3, B).
    `limits`: where the second part starts, the length of a stretch, and the share below which a spread is rounding.
    A stretch as rough as the last, but for rounding, counts half.
    """
    start, recent, floor = limits
    rows, size = values.shape
    found = np.full((3, rows), math.nan)
    squares = np.zeros(size + 1)
    for row in range(rows):
        if math.isnan(drifts[row]):
            continue
        first = second = within = 0.0
        for place in range(size):
            squares[place + 1] = squares[place] + (values[row, place] + drifts[row]) ** 2
            if place < start:
                first += abs(values[row, place] - medians[0, row]) / start
            else:
                second += abs(values[row, place] - medians[1, row]) / (size - start)
        for place in range(size):
            part, centre = (0, first) if place < start else (1, second)
            within += (abs(values[row, place] - medians[part, row]) - centre) ** 2
        if within > floor * size:
            between = start * (size - start) / size * (first - second) ** 2
            found[0, row] = (size - 2.0) * between / within
        last = squares[size] - squares[size - recent]
        beaten = 0.0
        for end in range(recent, size):
            behind = last - (squares[end] - squares[end - recent])
            beaten += 1.0 if behind > floor else 0.5 if behind > -floor else 0.0
        found[1, row] = math.sqrt(last / recent)
        found[2, row] = 100.0 * beaten / (size - recent)
    return found
