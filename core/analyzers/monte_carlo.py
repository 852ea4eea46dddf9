"""Where the next 96 candles may lead: 10,000 simulated paths, their risk and the chance of stop and target.

A path is a sum of returns drift + sqrt(h_t) z_t. Four laws; the first is the default, the others are references:

- `filtered`: filtered historical simulation. GARCH(1,1) gives h_{t+1} = omega + alpha (sqrt(h_t) z_t)^2 + beta h_t from
  today's variance on; z is drawn from the window's own standardised residuals, centred, so that tails and skew are the
  market's. h is held below 100 times the larger of the next and the long-run variance.
- `bootstrap`: stationary bootstrap of the centred returns in blocks of 20 candles on average.
- `gbm`: normal returns of constant variance. `student_t`: Student returns of constant variance, the degrees of freedom
  from 3 to 30 by maximum likelihood. Both draw from 4,096 equally likely values of their law.

The mean return of a window is mostly noise and is not extrapolated: with t = mean / (Newey and West's standard error, 5
lags, never below the plain one), drift = mean (1 - 9 / t^2) where |t| > 3, else 0 (Breiman's garrote). The vote is
2 P(up) - 1 where there is such a drift and P(up) agrees with it, else 0. Without one `probability_up` still wanders, in
heavy tails by some points, against the skewness of the residuals: that is no lean.

Trades start at the last close: stop 1.5 ATR away, target 2.25 ATR, ATR the plain mean of 14 true ranges. Paths are
closes; a candle's wick reaches 0.5826 sqrt(h) beyond on average, by which levels are brought nearer (drawdowns by
twice that): right to 0.5 points for Brownian motion, where closes alone are 2 points off. Where one candle reaches both
levels, the stop counts. The limit is a 5 % drawdown of an unleveraged position from its best point, as in firm rules.

Each number of the simulation has its Monte Carlo standard error, which says nothing of the law's own error: from 500
candles of a known process the worst 5 % of 96 candles came in 5.6 %, the worst 1 % in 1.6 %.
Good for: the size of what may come, and whether stop and target are fair. Not good for: direction.

Sources: Barone-Adesi, Giannopoulos and Vosper 1999, doi 10.1002/(SICI)1096-9934(199908)19:5<583::AID-FUT5>3.0.CO;2-S;
Politis and Romano 1994, doi 10.1080/01621459.1994.10476870; Broadie, Glasserman and Kou 1997,
doi 10.1111/1467-9965.00035 (0.5826); Newey and West 1987, doi 10.2307/1913610; Breiman 1995, doi 10.2307/1269730.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from core.analysis import Columns, Field, Opinion, Values
from core.kernels.laws import VARIANTS, Law, fit_law, next_losses, quantile, tail_mean
from core.kernels.paths import HALF, LANES, seed_lanes, walk_paths
from core.market import Floats, Windows

__all__ = ["VARIANTS", "analyze", "fit_law", "next_losses", "read", "steady_drift"]

PATHS = 10_000
HORIZON = 96
STOP_ATR = 1.5
TARGET_ATR = 2.25
ATR_CANDLES = 14
LIMIT_FRACTION = 0.05
OUTCOMES = (5, 25, 50, 75, 95)


def _with_error(fields: dict[str, Field]) -> dict[str, Field]:
    """Each field followed by its Monte Carlo standard error."""
    error = Field("its Monte Carlo standard error", low=0.0)
    return {key: value for name, field in fields.items() for key, value in ((name, field), (f"{name}_error", error))}


FIELDS = {
    **_with_error({"probability_up": Field("chance that the price is higher after 96 candles", low=0.0, high=1.0)}),
    **{
        f"outcome_{share:02d}_percent": Field(f"return over 96 candles, {share} % of the paths stay below", low=-100.0)
        for share in OUTCOMES
    },
    **_with_error(
        {
            "value_at_risk_95_percent": Field("loss of a long that 5 % of the paths exceed, 96 candles", high=100.0),
            "value_at_risk_99_percent": Field("loss of a long that 1 % of the paths exceed, 96 candles", high=100.0),
            "expected_shortfall_95_percent": Field("mean loss of a long in the worst 5 % of the paths", high=100.0),
            "expected_shortfall_99_percent": Field("mean loss of a long in the worst 1 % of the paths", high=100.0),
            "long_target_first": Field("chance that a long meets its target before its stop", low=0.0, high=1.0),
            "long_stop_first": Field("chance that a long meets its stop before its target", low=0.0, high=1.0),
            "short_target_first": Field("chance that a short meets its target before its stop", low=0.0, high=1.0),
            "short_stop_first": Field("chance that a short meets its stop before its target", low=0.0, high=1.0),
            "long_limit_hit": Field("chance that a long draws down 5 % on the way", low=0.0, high=1.0),
            "short_limit_hit": Field("chance that a short draws down 5 % on the way", low=0.0, high=1.0),
        }
    ),
    "next_value_at_risk_95_percent": Field("loss of a long that the next candle exceeds in 5 %", high=100.0),
    "next_value_at_risk_99_percent": Field("loss of a long that the next candle exceeds in 1 %", high=100.0),
    "next_expected_shortfall_95_percent": Field("mean loss in the worst 5 % of next candles", high=100.0),
    "next_expected_shortfall_99_percent": Field("mean loss in the worst 1 % of next candles", high=100.0),
    "volatility_percent": Field("standard deviation of the next candle's return", low=0.0),
    "drift_percent": Field("steady drift a candle that the paths carry; 0 unless it is significant"),
    "drift_t": Field("t-statistic of the mean return"),
    "atr_percent": Field("mean true range of 14 candles, of the price", low=0.0),
    "paths": Field("paths simulated", low=0.0),
    "sample_size": Field("returns used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move of the window is the same size (or there is none): nothing to simulate"

# An average true range below this is rounding.
ROUNDING = 1e-12
# By chance alone one window in 370 has a mean this many standard errors from 0.
DRIFT_T = 3.0
DRIFT_LAGS = 5
# -zeta(1/2) / sqrt(2 pi): how far, on average, a Brownian path runs past a level before the close that shows it.
WICK_REACH = 0.5826
# One outlier of 30 standard deviations, drawn twice, must not blow a path up.
HIGHEST_VARIANCE = 100.0
# exp(50) is no return any more.
HIGHEST_LOG = 50.0
# A drawdown of the limit in one path of twenty is named before all else.
LIKELY_LIMIT = 0.05
# A short can lose without bound; the sentence says "over" and no more than this, in percent.
MOST_SAID = 999.99
# What the kernel counts, in its order.
TALLIED = (
    "long_target_first",
    "long_stop_first",
    "short_target_first",
    "short_stop_first",
    "long_limit_hit",
    "short_limit_hit",
)


def analyze(windows: Windows, variant: str = "filtered") -> Columns:
    """Simulate each row under one law.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: returns all equal give NaN throughout; 14 candles without any range leave the trades out.
    """
    returns = windows.log_returns()
    law = fit_law(returns, variant)
    drift, drift_t = steady_drift(returns)
    reach = average_true_range(windows)
    table = np.full((len(FIELDS), len(windows)), np.nan)
    columns = dict(zip(FIELDS, table, strict=True))
    for row, seed in enumerate(windows.seeds("monte_carlo")):
        if not math.isnan(law.next_variance[row]):
            for name, value in _simulate(law, row, (float(drift[row]), float(reach[row])), int(seed)).items():
                columns[name][row] = value
    for share, loss in next_losses(law, drift).items():
        columns[f"next_{share}_percent"][:] = -_percent(-loss)
    moves = np.where(np.isnan(law.next_variance), np.nan, 1.0)
    columns["volatility_percent"][:] = 100.0 * np.sqrt(law.next_variance)
    columns["drift_percent"][:] = 100.0 * drift * moves
    columns["drift_t"][:] = drift_t * moves
    columns["atr_percent"][:] = 100.0 * reach * moves
    columns["paths"][:] = PATHS
    columns["sample_size"][:] = returns.shape[1]
    return columns


def read(values: Values) -> Opinion:
    """Vote with a drift that is significant, else stay out; say what is at risk on the side of the vote, or on both."""
    chance, drift = values["probability_up"], values["drift_percent"]
    lean = 2.0 * chance - 1.0
    vote = lean if lean * drift > 0.0 else 0.0
    sides = ("long", "short") if vote == 0.0 else ("long",) if vote > 0.0 else ("short",)
    risk = _describe_losses(values, sides)
    worst = max(sides, key=lambda side: values[f"{side}_limit_hit"])
    if values[f"{worst}_limit_hit"] >= LIKELY_LIMIT:
        limit = values[f"{worst}_limit_hit"]
        risk += f", a {worst}'s {100.0 * LIMIT_FRACTION:.0f} % drawdown has chance {limit:.2f}"
    if "long_target_first" in values:
        trades = f"{values['long_target_first']:.2f} long, {values['short_target_first']:.2f} short"
        risk += f"; target before stop: {trades}"
    if vote == 0.0:
        return Opinion(0.0, f"No steady drift, {chance:.0%} of paths end higher after {HORIZON} candles: {risk}.")
    way = "up" if drift > 0.0 else "down"
    return Opinion(vote, f"Steady drift {way} (t {values['drift_t']:+.1f}), {chance:.0%} of paths end higher: {risk}.")


def steady_drift(returns: Floats) -> tuple[Floats, Floats]:
    """Drift a candle, shrunk and 0 unless significant, and the mean's t-statistic. Shape: (B, n) -> (B,), (B,)."""
    size = returns.shape[1]
    mean = returns.mean(axis=1)
    centred = returns - mean[:, None]
    plain = np.square(centred).mean(axis=1)
    robust = plain.copy()
    for lag in range(1, DRIFT_LAGS + 1):
        weight = 1.0 - lag / (DRIFT_LAGS + 1.0)
        robust += 2.0 * weight * (centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / size
    error = np.sqrt(np.maximum(np.maximum(robust, plain), ROUNDING**2) / size)
    statistic = mean / error
    kept = 1.0 - DRIFT_T**2 / np.maximum(np.square(statistic), DRIFT_T**2)
    return mean * kept, statistic


def average_true_range(windows: Windows) -> Floats:
    """Mean true range of the last 14 candles, as a fraction of the last close. Shape: (B, T) -> (B,)."""
    before = windows.close[:, -ATR_CANDLES - 1 : -1]
    high = np.maximum(windows.high[:, -ATR_CANDLES:], before)
    low = np.minimum(windows.low[:, -ATR_CANDLES:], before)
    return np.asarray((high - low).mean(axis=1) / windows.close[:, -1])


def _describe_losses(values: Values, sides: Sequence[str]) -> str:
    """What 1 trade in 20 loses on each side; a short loses what the price gains."""
    losses = {"long": values["value_at_risk_95_percent"], "short": values["outcome_95_percent"]}
    spared = [f"not 1 {side} in 20 is due to lose" for side in sides if losses[side] <= 0.0]
    said = {side: f"{min(losses[side], MOST_SAID):.2f} %" for side in sides if losses[side] > 0.0}
    if len(said) == 2:
        return f"1 in 20 loses over {said['long']} long, {said['short']} short"
    return ", ".join(
        [*spared, *(f"1 {side} {'' if spared else 'in 20 loses '}over {loss}" for side, loss in said.items())]
    )


def _simulate(law: Law, row: int, market: tuple[float, float], seed: int) -> dict[str, float]:
    """Walk the paths of one row and sum them up."""
    drift, reach = market
    shocks = law.shocks[row % len(law.shocks)]
    following = float(law.next_variance[row])
    recursion = (float(law.omega[row]), float(law.alpha[row]), float(law.beta[row]))
    usual = recursion[0] / (1.0 - recursion[1] - recursion[2])
    stop, target = STOP_ATR * reach, TARGET_ATR * reach
    levels = (_log_level(-stop), _log_level(target), _log_level(stop), _log_level(-target))
    limits = (-math.log1p(-LIMIT_FRACTION), math.log1p(LIMIT_FRACTION))
    outcomes, tally = np.empty(PATHS), np.empty(6, np.int64)
    walk_paths(
        shocks,
        (drift, *recursion, following, HIGHEST_VARIANCE * max(usual, following)),
        (*levels, *limits, WICK_REACH),
        (HORIZON, HALF // law.mean_block),
        seed_lanes(seed, min(LANES, PATHS)),
        outcomes,
        tally,
    )
    outcomes.sort()
    counts = dict(zip(TALLIED, tally.tolist(), strict=True))
    if reach <= ROUNDING:
        counts = {name: count for name, count in counts.items() if name.endswith("limit_hit")}
    counts["probability_up"] = PATHS - int(np.searchsorted(outcomes, 0.0, side="right"))
    return {**_sum_up_losses(outcomes), **_sum_up_chances(counts)}


def _sum_up_losses(ordered: Floats) -> dict[str, float]:
    """Quantiles and tail of the simulated returns, in percent, with their standard errors.

    A quantile's error is half the distance of the order statistics one binomial standard deviation to either side; the
    shortfall's is that of the mean excess over the value at risk, sd(excess) / (share sqrt(paths)).
    """
    returns = _percent(ordered)
    paths = len(returns)
    found = {f"outcome_{share:02d}_percent": float(quantile(returns, share / 100.0)) for share in OUTCOMES}
    for level in (95, 99):
        share = (100 - level) / 100.0
        spread = math.sqrt(share * (1.0 - share) / paths)
        low, middle, high = (float(quantile(returns, share + side * spread)) for side in (-1, 0, 1))
        excess = np.maximum(middle - returns[: int(share * paths) + 1], 0.0)
        variance = np.square(excess).sum() / paths - (excess.sum() / paths) ** 2
        found |= {
            f"value_at_risk_{level}_percent": -middle,
            f"value_at_risk_{level}_percent_error": 0.5 * (high - low),
            f"expected_shortfall_{level}_percent": float(-tail_mean(returns, share)),
            f"expected_shortfall_{level}_percent_error": math.sqrt(variance / paths) / share,
        }
    return found


def _sum_up_chances(counts: Mapping[str, int]) -> dict[str, float]:
    """Shares of the paths; the error takes half a path more on either side, so that it is never 0."""
    found = {}
    for name, count in counts.items():
        smooth = (count + 0.5) / (PATHS + 1.0)
        found[name] = count / PATHS
        found[f"{name}_error"] = math.sqrt(smooth * (1.0 - smooth) / PATHS)
    return found


def _log_level(fraction: float) -> float:
    """Log distance of a price so far from the close; a level at or below 0 is never met."""
    return math.log1p(fraction) if fraction > -1.0 else -math.inf


def _percent(logs: Floats) -> Floats:
    """Log returns as returns in percent."""
    return np.asarray(100.0 * np.expm1(np.minimum(logs, HIGHEST_LOG)))
