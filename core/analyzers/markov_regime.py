"""Which of six regimes the market is in: trend down, flat or up, each in calm or in turbulent volatility.

A hidden Markov model with normal returns x ~ N(m_s, d_s^2): six means, rising from down to up in each volatility, two
deviations, and the chance P_rs of going from state r to s. The trend is told by the mean alone and the volatility by
the deviation alone, so that a third level of volatility cannot pass for a trend. Learned offline on long history of
each coin (core/kernels/regimes.py); on a window only the forward filter runs, from the stationary distribution:
p_t(s) ~ N(x_t; m_s, d_s) sum_r p_{t-1}(r) P_rs. No smoothing and no best path: a later candle never rewrites the past.

- `high_volatility` leads, because that is what can be known: volatility shows in the size of every candle.
- `up`, `flat`, `down`: filtered probabilities times the chance that the states deserve these names, found on candles
  that the fit has not seen. A realistic trend, 0.05 of a candle's deviation, cannot be recognised in 500 candles.
- `next_*`: the row of the transition matrix of the most likely state; `next_move` and `next_deviation`: mean and
  standard deviation of the next return, in standard deviations of the history's returns.

The vote is up - down, none of it up to 0.5 and all of it from 0.7, and none where the expected move is up to 0.05
standard deviations, all from 0.15.

Good for: how wild the next candles will be, and long, strong trends. Not good for: fat tails (one odd candle reads as
turbulence for a moment), a coin whose habits changed since the fit, a history that was one single trend.

Sources: Hamilton 1989, doi 10.2307/1912559; Ryden, Terasvirta and Asbrink 1998, Journal of Applied Econometrics 13,
217-244 (what such models can and cannot say of returns).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.analysis import Columns, Field, Opinion, Values
from core.kernels.hidden_markov import describe_rows, filter_rows
from core.kernels.regimes import (
    BELIEVED,
    ROUNDING,
    Fitted,
    Layout,
    Start,
    assemble,
    begin,
    fit_history,
    stack_models,
)
from core.market import Candles, Floats, Windows

STATES = ("down_low", "down_high", "flat_low", "flat_high", "up_low", "up_high")


def _chance(meaning: str) -> Field:
    return Field(meaning, low=0.0, high=1.0)


FIELDS = {
    "high_volatility": _chance("probability that the volatility is the high one of two"),
    "up": _chance("probability that the trend is up"),
    "flat": _chance("probability that there is no trend"),
    "down": _chance("probability that the trend is down"),
    **{name: _chance(f"probability of trend {name.replace('_', ' with ')} volatility") for name in STATES},
    "state": Field("the most likely state, 0 to 5 in the order of the six probabilities", low=0.0, high=5.0),
    "persistence": _chance("chance that this state lasts another candle"),
    "expected_duration": Field("candles that this state lasts on average", low=1.0),
    **{
        f"next_{name}": _chance(f"chance that this state is followed by {name.replace('_', ' with ')} volatility")
        for name in STATES
    },
    "next_move": Field("return expected of the next candle, in standard deviations of the history"),
    "next_deviation": Field("standard deviation of the next return, in those of the history", low=0.0),
    "confidence": _chance("1 one state for certain, 0 all six equally likely (1 less their entropy over its maximum)"),
    "trend_separation": Field("up's mean above down's on unseen history, in standard errors; trends count from 2 to 6"),
    "volatility_ratio": Field("high volatility over low, as learned", low=1.0),
    "history_size": Field("returns learned from", low=0.0),
    "sample_size": Field("returns read", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move of the window is the same size (or there is none): no regime to recognise"

# Two levels of volatility closer than this differ by less than a trader would notice.
NOTABLE_RATIO = 1.25
# Below these probabilities a sentence names no trend and no volatility.
CLEAR_TREND, CLEAR_VOLATILITY = 0.6, 0.8
# An expected move of 0.05 deviations a candle is what markets offer and nobody can recognise; three times that is rare.
LEAST_MOVE, FULL_VOTE_MOVE = 0.05, 0.15
# A filter tuned to strong trends leans beyond 0.7 on few walks and on most of such trends.
LEAST_LEAN, FULL_VOTE_LEAN = 0.5, 0.7

LAYOUT = Layout(
    classes=np.array([0, 1] * 3),
    starts=tuple(
        Start((-drift, -drift, 0.0, 0.0, drift, drift), volatilities * 3, stay)
        for drift in (0.2, 0.6)
        for volatilities in ((0.6, 1.5), (0.9, 1.1))
        for stay in (0.9, 0.98)
    ),
)


def fit(history: Candles) -> Fitted:
    """Learn the six regimes of one coin."""
    return fit_history(history, LAYOUT)


def sample() -> Fitted:
    """Regimes as a fit gives them, made up: trends of 0.3 deviations, volatilities of half and one and a half."""
    model = begin(Start((-0.3, -0.3, 0.0, 0.0, 0.3, 0.3), (0.5, 1.5) * 3, 0.98))._replace(likelihood=-9_000.0)
    return assemble(0.005, model, np.array([-0.3, 0.0, 0.3]), 0.0004 * np.eye(3), size=7_000)


def analyze(windows: Windows, fitted: Sequence[Fitted]) -> Columns:
    """The regime of each row's last candle under the row's own fit.

    Shape: (B, T), B fits -> (B,) for every field.
    Edge cases: returns all equal give NaN throughout; moves beyond five deviations of the history count as five.
    """
    returns = windows.log_returns()
    models = stack_models(fitted)
    last = filter_rows(returns, models.units, models.rows, models.parameters)
    table = describe_rows(last, models.rows, models.parameters, models.labelled)
    table[:, np.ptp(returns, axis=1) <= ROUNDING] = np.nan
    columns = dict(zip(STATES, table[:6], strict=True))
    columns |= {f"next_{name}": column for name, column in zip(STATES, table[6:12], strict=True)}
    details = ("state", "persistence", "expected_duration", "next_move", "next_deviation", "confidence")
    columns |= dict(zip(details, table[12:], strict=True))
    columns |= dict(zip(("trend_separation", "volatility_ratio", "history_size"), models.metrics, strict=True))
    columns["high_volatility"] = _sum(columns["down_high"], columns["flat_high"], columns["up_high"])
    for trend in ("up", "flat", "down"):
        columns[trend] = _sum(columns[f"{trend}_low"], columns[f"{trend}_high"])
    columns["sample_size"] = np.full(len(windows), float(returns.shape[1]))
    return {name: columns[name] for name in FIELDS}


def read(values: Values) -> Opinion:
    """Vote with the trend as far as it is certain and moves the price; say how wild the market is in any case."""
    lean, move = values["up"] - values["down"], values["next_move"]
    certainty = (abs(lean) - LEAST_LEAN) / (FULL_VOTE_LEAN - LEAST_LEAN)
    strength = (abs(move) - LEAST_MOVE) / (FULL_VOTE_MOVE - LEAST_MOVE)
    weight = min(max(certainty, 0.0), 1.0) * min(max(strength, 0.0), 1.0)
    vote = lean * weight if lean * move > 0.0 else 0.0
    return Opinion(vote, f"{_say_volatility(values)}, {_say_trend(values)}.")


def _sum(*columns: Floats) -> Floats:
    """Probabilities added, without what rounding adds to 1."""
    return np.minimum(sum(columns[1:], columns[0]), 1.0)


def _say_volatility(values: Values) -> str:
    high = values["high_volatility"]
    if values["volatility_ratio"] < NOTABLE_RATIO:
        return "One level of volatility only"
    if high >= CLEAR_VOLATILITY:
        return f"Volatility high ({100 * high:.0f} %)"
    if high <= 1.0 - CLEAR_VOLATILITY:
        return f"Volatility low ({100 * (1.0 - high):.0f} %)"
    return f"Volatility between low and high (high {100 * high:.0f} %)"


def _say_trend(values: Values) -> str:
    chances = {trend: values[trend] for trend in ("up", "flat", "down")}
    trend = max(chances, key=lambda name: chances[name])
    if chances[trend] < CLEAR_TREND:
        shares = ", ".join(f"{name} {100 * chance:.0f} %" for name, chance in chances.items())
        why = "" if values["trend_separation"] >= BELIEVED else ": the history shows no clear trends"
        return f"trend undecided ({shares}){why}"
    if trend == "flat":
        return f"no trend (flat {100 * chances[trend]:.0f} %)"
    move = values["next_move"]
    if move * (chances["up"] - chances["down"]) <= 0.0 or abs(move) < LEAST_MOVE:
        return f"trend {trend} ({100 * chances[trend]:.0f} %) but too weak to move the price ({move:+.2f} sd a candle)"
    return f"trend {trend} ({100 * chances[trend]:.0f} %), {move:+.2f} sd expected of the next candle"
