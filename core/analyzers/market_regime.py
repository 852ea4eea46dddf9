"""Whether the market is in a bull, a bear or a sideways phase, and how sure that is.

A hidden Markov model of three states with normal returns x ~ N(m_s, d_s^2), each with a mean and a deviation of its own
(falling markets are usually the wilder ones), ordered by mean: bear, sideways, bull. Learned offline on long history of
each coin (core/kernels/regimes.py); on a window only the forward filter runs, from the stationary distribution:
p_t(s) ~ N(x_t; m_s, d_s) sum_r p_{t-1}(r) P_rs. No smoothing and no best path: a later candle never rewrites the past.

- `bull`, `sideways`, `bear`: filtered probabilities times the chance that the states deserve these names, found on
  candles that the fit has not seen. Where three volatilities were learned but no directions, each is one third.
- `next_*`: the row of the transition matrix of the most likely state; `next_move` and `next_deviation`: mean and
  standard deviation of the next return, in standard deviations of the history's returns.

The vote is bull - bear, none of it up to 0.5 and all of it from 0.7, and none where the expected move is up to 0.05
standard deviations, all from 0.15.

Good for: phases that differ in drift and in volatility and last for hundreds of candles. Not good for: trends amid
strong clusters of volatility, where three states are spent on the volatility (see markov_regime, which keeps the two
apart), a coin whose habits changed since the fit, a history that was one single phase.

Sources: Hamilton 1989, doi 10.2307/1912559; Maheu and McCurdy 2000, doi 10.1080/07350015.2000.10524851 (bull and bear).
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
from core.market import Candles, Windows

STATES = ("bear", "sideways", "bull")


def _chance(meaning: str) -> Field:
    return Field(meaning, low=0.0, high=1.0)


FIELDS = {
    "bull": _chance("probability of a bull market"),
    "sideways": _chance("probability of a sideways market"),
    "bear": _chance("probability of a bear market"),
    "state": Field("the most likely of the three: 0 bear, 1 sideways, 2 bull", low=0.0, high=2.0),
    "persistence": _chance("chance that this state lasts another candle"),
    "expected_duration": Field("candles that this state lasts on average", low=1.0),
    **{f"next_{name}": _chance(f"chance that this state is followed by {name}") for name in STATES},
    "next_move": Field("return expected of the next candle, in standard deviations of the history"),
    "next_deviation": Field("standard deviation of the next return, in those of the history", low=0.0),
    "confidence": _chance("1 one state for certain, 0 all equally likely (1 less their entropy over its maximum)"),
    "trend_separation": Field("bull's mean above bear's on unseen history, in standard errors; they count from 2 to 6"),
    "volatility_ratio": Field("deviation of the wildest state over the calmest, as learned", low=1.0),
    "history_size": Field("returns learned from", low=0.0),
    "sample_size": Field("returns read", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "every move of the window is the same size (or there is none): no regime to recognise"

# Below this probability a sentence names no phase.
CLEAR = 0.6
# An expected move of 0.05 deviations a candle is what markets offer and nobody can recognise; three times that is rare.
LEAST_MOVE, FULL_VOTE_MOVE = 0.05, 0.15
# A filter tuned to strong trends leans beyond 0.7 on few walks and on most of such trends.
LEAST_LEAN, FULL_VOTE_LEAN = 0.5, 0.7

LAYOUT = Layout(
    classes=np.arange(3),
    starts=(
        Start((-0.3, 0.0, 0.3), (1.0, 1.0, 1.0), 0.98),
        Start((-0.3, 0.0, 0.3), (1.0, 1.0, 1.0), 0.9),
        Start((-0.1, 0.0, 0.1), (1.6, 0.5, 0.9), 0.95),
        Start((-0.1, 0.0, 0.1), (0.9, 0.5, 1.6), 0.95),
        Start((-0.5, 0.0, 0.5), (1.4, 0.7, 1.0), 0.95),
    ),
)


def fit(history: Candles) -> Fitted:
    """Learn the three phases of one coin."""
    return fit_history(history, LAYOUT)


def sample() -> Fitted:
    """Phases as a fit gives them, made up: trends of 0.3 deviations, the bear the wildest."""
    model = begin(Start((-0.3, 0.0, 0.3), (1.4, 0.6, 0.9), 0.98))._replace(likelihood=-9_000.0)
    return assemble(0.005, model, np.array([-0.3, 0.0, 0.3]), 0.0004 * np.eye(3), size=7_000)


def analyze(windows: Windows, fitted: Sequence[Fitted]) -> Columns:
    """The phase of each row's last candle under the row's own fit.

    Shape: (B, T), B fits -> (B,) for every field.
    Edge cases: returns all equal give NaN throughout; moves beyond five deviations of the history count as five.
    """
    returns = windows.log_returns()
    models = stack_models(fitted)
    last = filter_rows(returns, models.units, models.rows, models.parameters)
    table = describe_rows(last, models.rows, models.parameters, models.labelled)
    table[:, np.ptp(returns, axis=1) <= ROUNDING] = np.nan
    columns = dict(zip(STATES, table[:3], strict=True))
    columns |= {f"next_{name}": column for name, column in zip(STATES, table[3:6], strict=True)}
    details = ("state", "persistence", "expected_duration", "next_move", "next_deviation", "confidence")
    columns |= dict(zip(details, table[6:], strict=True))
    columns |= dict(zip(("trend_separation", "volatility_ratio", "history_size"), models.metrics, strict=True))
    columns["sample_size"] = np.full(len(windows), float(returns.shape[1]))
    return {name: columns[name] for name in FIELDS}


def read(values: Values) -> Opinion:
    """Vote with the phase as far as it is certain and moves the price."""
    lean, move = values["bull"] - values["bear"], values["next_move"]
    certainty = (abs(lean) - LEAST_LEAN) / (FULL_VOTE_LEAN - LEAST_LEAN)
    strength = (abs(move) - LEAST_MOVE) / (FULL_VOTE_MOVE - LEAST_MOVE)
    weight = min(max(certainty, 0.0), 1.0) * min(max(strength, 0.0), 1.0)
    vote = lean * weight if lean * move > 0.0 else 0.0
    return Opinion(vote, _say(values, move))


def _say(values: Values, move: float) -> str:
    chances = {phase: values[phase] for phase in ("bull", "sideways", "bear")}
    phase = max(chances, key=lambda name: chances[name])
    if chances[phase] < CLEAR:
        shares = ", ".join(f"{name} {100 * chance:.0f} %" for name, chance in chances.items())
        if values["trend_separation"] < BELIEVED:
            return f"Undecided ({shares}): the history shows no clear bull and bear markets."
        return f"Undecided between the phases ({shares})."
    lasts = f"lasts {values['expected_duration']:.0f} candles on average"
    if phase == "sideways":
        return f"Sideways market ({100 * chances[phase]:.0f} %), {lasts}."
    name = f"{phase.capitalize()} market ({100 * chances[phase]:.0f} %)"
    if abs(move) < LEAST_MOVE or move * (chances["bull"] - chances["bear"]) <= 0.0:
        return f"{name}, but too weak to move the price ({move:+.2f} sd a candle)."
    return f"{name}, {lasts}, {move:+.2f} sd expected of the next candle."
