"""What a model is worth on candles that it never touched, in one table with the simple rules it has to beat.

Every line of the table is measured on the same windows. Accuracy, ranking and scores are of all of them; calibration is
of windows whose futures do not overlap, and its error has the noise of counting taken off. The trades are those of
`training.scores`: one at a time, where the line is sure enough, all costs paid.

Intervals are 95 % and come from blocks of the series itself: windows a minute apart share nearly all of their future,
so twenty thousand of them know as much as some thousand that do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import Code, CrpbotError
from core.market import Floats
from core.models.calibration import Platt, log_odds
from core.models.manifest import Kind, Manifest
from core.models.policy import Policy, forecast
from core.models.scaler import CHUNK_ROWS
from core.performance.bootstrap import FEWEST, draw_means, percentile_interval
from core.performance.calibration import (
    Bin,
    area_under_curve,
    brier_score,
    calibration_error,
    log_loss,
    reliability,
)
from core.performance.measure import DAYS_A_YEAR, MIN_DAYS, estimate_rate
from core.performance.trials import try_of
from training.baselines import score_baselines
from training.dataset import Dataset
from training.gate_terms import Terms
from training.scores import Scores, Trades, daily_returns, thin, trade
from training.split import Part
from training.trained import served_odds, split_scores

STILL: Final = 1e-12  # daily returns that spread by less never moved


class Reached(NamedTuple):
    """A measured number with its 95 % interval and what it rests on; None: it cannot be said."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Line(NamedTuple):
    """One line of the table: a model or a simple rule."""

    name: str
    accuracy: Reached
    auc: float
    brier: float
    log_loss: float
    calibration_error: Reached
    won: Reached  # share of trades that went the right way
    net: Reached  # mean return of a trade after costs
    sharpe: float | None  # of daily returns, a year
    drawdown: float  # deepest fall from a peak, a fraction


def score_part(network: torch.nn.Module, manifest: Manifest, dataset: Dataset, part: Part) -> tuple[Scores, ...]:
    """What a model says on the windows of a part, calibrated, one symbol after the other."""
    platt = manifest.platt or Platt(1.0, 0.0)
    return split_scores(dataset, part, platt.apply(read_odds(network, manifest.kind, dataset, part.rows)))


def read_odds(network: torch.nn.Module, kind: Kind, dataset: Dataset, rows: NDArray[np.int64]) -> Floats:
    """The log odds of a rise as the network itself says them. Shape: (R,) -> (R,)"""
    if kind is Kind.PPO:
        assert isinstance(network, Policy)
        return log_odds(forecast(network, dataset.features[rows]))
    return served_odds(network, dataset, rows)


def rescale(dataset: Dataset, manifest: Manifest) -> Dataset:
    """One coin's data set with its inputs as another model of that coin reads them, to within float32's rounding."""
    own = manifest.scaler.coin(manifest.symbols.index(dataset.symbol))
    table = np.empty_like(dataset.features)
    for begin in range(0, len(table), CHUNK_ROWS):
        part = slice(begin, begin + CHUNK_ROWS)
        raw = dataset.features[part] * dataset.scaler.scale + dataset.scaler.mean
        table[part] = (raw - own.mean) / own.scale
    return replace(dataset, features=table, window=manifest.window)


def check_same_candles(manifest: Manifest, dataset: Dataset) -> None:
    """Refuse other candles than those a model was made with: only of these is known what it never touched."""
    if dataset.data_hash != manifest.data_hash:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"these are not the candles that {manifest.version} was made with (hash {dataset.data_hash[:12]}, its "
            f"manifest says {manifest.data_hash[:12]}): nobody knows which it has seen; name its own with --data",
            reason="OTHER_CANDLES",
        )


def compare(name: str, scores: Sequence[Scores], datasets: Sequence[Dataset], terms: Terms) -> tuple[Line, ...]:
    """The model's line, and below it those of the baselines on the same windows of the same coins."""
    each = [score_baselines(dataset, dataset.test.rows) for dataset in datasets]
    names = [baseline.name for baseline in each[0]]
    rivals = [[found[place].scores for found in each] for place in range(len(names))]
    return tuple(measure(told, said, terms) for told, said in zip((name, *names), (scores, *rivals), strict=True))


def measure(name: str, scores: Sequence[Scores], terms: Terms) -> Line:
    """One line, over all symbols together."""
    said, up = _pool(scores)
    error = calibration_error(*_pool([thin(each, horizon=terms.horizon) for each in scores]))
    trades = trades_of(scores, terms)
    net = np.concatenate([each.net for each in trades])
    right = np.concatenate([each.right for each in trades])
    won = estimate_rate(int(right.sum()), len(right))
    order = np.argsort(np.concatenate([each.left for each in trades]), kind="stable")
    return Line(
        name,
        _mean((said >= 0.5) == up),
        area_under_curve(said, up),
        brier_score(said, up),
        log_loss(said, up),
        Reached(*error),
        Reached(won.value, won.low, won.high, won.n),
        _mean(net),
        _sharpe(returns_of(scores, trades, terms)),
        drawdown_of(terms.stake / len(scores) * net[order]),
    )


def bins_of(scores: Sequence[Scores], horizon: int) -> tuple[Bin, ...]:
    """What was said against what happened, on windows whose futures do not overlap."""
    found: tuple[Bin, ...] = reliability(*_pool([thin(each, horizon=horizon) for each in scores]))
    return found


def trades_of(scores: Sequence[Scores], terms: Terms) -> tuple[Trades, ...]:
    """The trades of each symbol by itself."""
    return tuple(
        trade(each, threshold=terms.threshold, round_trip=terms.round_trip, horizon=terms.horizon) for each in scores
    )


def returns_of(scores: Sequence[Scores], trades: Sequence[Trades], terms: Terms) -> Floats:
    """What each day earned of the capital that it began with, the capital shared by the symbols. Shape: (days,)."""
    share = terms.stake / len(scores)
    found = [daily_returns(own, each, stake=share) for own, each in zip(trades, scores, strict=True)]
    first = min(int(each.open_times[0]) for each in scores) // 86_400_000
    starts = [int(each.open_times[0]) // 86_400_000 - first for each in scores]
    total = np.zeros(max(start + len(each) for start, each in zip(starts, found, strict=True)))
    for start, each in zip(starts, found, strict=True):
        total[start : start + len(each)] += each
    return total


def drawdown_of(returns: Floats) -> float:
    """The deepest fall of the capital from a peak, as a fraction, counted after each of the returns."""
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    return float(np.max(1.0 - wealth / np.maximum.accumulate(wealth)))


def _pool(scores: Sequence[Scores]) -> tuple[Floats, NDArray[np.bool_]]:
    """What was said and what happened, of all symbols."""
    return np.concatenate([each.probability for each in scores]), np.concatenate([each.up for each in scores])


def _sharpe(returns: Floats) -> float | None:
    if len(returns) < MIN_DAYS or float(returns.std()) < STILL:
        return None
    return math.sqrt(DAYS_A_YEAR) * try_of("table", np.datetime64(0, "s").item(), returns).daily_sharpe


def _mean(values: NDArray[np.bool_] | Floats) -> Reached:
    n = len(values)
    if n == 0:
        return Reached(None, None, None, 0)
    column = values.astype(np.float64)
    value = float(column.mean())
    if n < FEWEST:
        return Reached(value, None, None, n)
    drawn = draw_means(column[:, None])
    low, high = percentile_interval(drawn.values[:, 0], drawn.blocks) or (None, None)
    return Reached(value, low, high, n)
