"""What a model is worth on candles that it never touched, in one table with the simple rules it has to beat.

Every line of the table is measured on the same windows. Accuracy, ranking and scores are of all of them; calibration is
of windows whose futures do not overlap, and its error has the noise of counting taken off. The trades are those of
`training.scores`: one at a time, where the line is sure enough, all costs paid.

Intervals are 95 % and come from blocks of the series itself: windows a minute apart share nearly all of their future,
so twenty thousand of them know as much as some thousand that do not. Of several coins all that an instant holds is
drawn together (`training.reached`), the calibration error is that of the worst coin, and the fall is that of one
account (`training.account`), as in the gate.
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
from core.market import Floats, Instants
from core.models.calibration import Platt, log_odds
from core.models.manifest import Kind, Manifest
from core.models.policy import Policy, forecast
from core.models.scaler import CHUNK_ROWS
from core.performance.calibration import (
    Bin,
    area_under_curve,
    brier_score,
    calibration_error,
    log_loss,
    reliability,
)
from core.performance.measure import DAYS_A_YEAR, MIN_DAYS
from core.performance.trials import try_of
from training.account import open_account
from training.baselines import score_baselines
from training.dataset import Dataset
from training.gate_terms import Terms
from training.reached import Reached, mean_of, share_of, worst_of
from training.scores import MINUTE, Scores, Trades, daily_returns, thin, trade
from training.split import Part
from training.trained import served_odds, split_scores

STILL: Final = 1e-12  # daily returns that spread by less never moved


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
    apart = [thin(each, horizon=terms.horizon) for each in scores]
    trades = trades_of(scores, terms)
    ended = _slots(np.concatenate([each.left for each in trades]), terms.horizon)
    return Line(
        name,
        mean_of((said >= 0.5) == up, np.concatenate([each.open_times for each in scores])),
        area_under_curve(said, up),
        brier_score(said, up),
        log_loss(said, up),
        worst_of([calibration_error(each.probability, each.up) for each in apart]),
        share_of(np.concatenate([each.right for each in trades]), ended),
        mean_of(np.concatenate([each.net for each in trades]), ended),
        _sharpe(returns_of(scores, trades, terms)),
        drawdown_of(open_account(scores, trades, terms.stake).returns),
    )


def bins_of(scores: Sequence[Scores], horizon: int) -> tuple[Bin, ...]:
    """What was said against what happened, on windows whose futures do not overlap.

    Of several coins a bin counts the spans of the horizon that it has windows of, not the windows.
    """
    apart = [thin(each, horizon=horizon) for each in scores]
    said, up = _pool(apart)
    slots = _slots(np.concatenate([each.open_times for each in apart]), horizon)
    found: tuple[Bin, ...] = reliability(said, up)
    return tuple(each._replace(n=len(np.unique(slots[(said >= each.low) & (said <= each.high)]))) for each in found)


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


def _slots(times: Instants, horizon: int) -> Instants:
    """The spans of the horizon in which instants lie. Each trade of one coin has its own, and each window apart."""
    return times // (horizon * MINUTE)


def _sharpe(returns: Floats) -> float | None:
    if len(returns) < MIN_DAYS or float(returns.std()) < STILL:
        return None
    return math.sqrt(DAYS_A_YEAR) * try_of("table", np.datetime64(0, "s").item(), returns).daily_sharpe
