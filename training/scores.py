"""What a model said on candles it never saw, what came of it, and the trades that would have been made of it.

A score is the probability of "up" that was said at the close of a candle, beside what the price did over the horizon.
A trade opens at that close, in the direction the model leans to, where it is sure enough, and ends after the horizon;
while it runs no other one is opened, so every minute is paid for once and no two trades share a future. That the close
itself cannot be had in the market belongs to the round trip: fees, spread and slippage together, a share of the price.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.market import Floats, Instants

MINUTE: Final = 60_000  # milliseconds; models are of one-minute candles
DAY: Final = 86_400_000

Flags = NDArray[np.bool_]


class Scores(NamedTuple):
    """Scores of one symbol, oldest first. Shape: (N,) each.

    `open_times` are milliseconds of the last candle of each window, `move` is the log return over the horizon.
    """

    symbol: str
    open_times: Instants
    probability: Floats
    up: Flags
    move: Floats


class Trades(NamedTuple):
    """Trades in the order of their entries, none beginning before the last ended. Shape: (K,) each.

    `rows` are their places in the scores, `side` is 1 (long) or -1 (short), `net` what is earned of the stake after all
    costs, `right` whether the price went the way of the trade (a standstill is wrong).
    """

    rows: Instants
    entered: Instants
    left: Instants
    side: Floats
    net: Floats
    right: Flags


def check_scores(scores: Scores) -> None:
    """Refuse what cannot be judged: other lengths, instants out of order, numbers that are none."""
    n = len(scores.open_times)
    for name in ("probability", "up", "move"):
        if len(getattr(scores, name)) != n:
            raise invalid(f"scores.{name}", f"has {len(getattr(scores, name))} rows, the instants {n}")
    late = np.flatnonzero(np.diff(scores.open_times) <= 0)
    if len(late):
        raise invalid(
            "scores.open_times", f"row {late[0] + 1} is not after the one before: {_tell(scores, late[0] + 1)}"
        )
    bad = np.flatnonzero(~((scores.probability >= 0.0) & (scores.probability <= 1.0)))
    if len(bad):
        raise invalid("scores.probability", f"is {scores.probability[bad[0]]} at {_tell(scores, bad[0])}; 0 to 1")
    bad = np.flatnonzero(~np.isfinite(scores.move))
    if len(bad):
        raise invalid("scores.move", f"is {scores.move[bad[0]]} at {_tell(scores, bad[0])}; a row without outcome")


def trade(scores: Scores, *, threshold: float, round_trip: float, horizon: int) -> Trades:
    """The trades of a threshold: a position where max(p, 1 - p) reaches it, for `horizon` minutes, one at a time.

    `round_trip` is what a trade costs, as a fraction of the price.
    """
    check_scores(scores)
    if not 0.5 <= threshold <= 1.0:
        raise invalid("threshold", f"is {threshold}; max(p, 1 - p) lies from 0.5 to 1")
    if not 0.0 <= round_trip < 1.0 or horizon < 1:
        raise invalid("round_trip", f"is {round_trip} over {horizon} minutes; a fraction, and at least a minute")
    sure = np.maximum(scores.probability, 1.0 - scores.probability)
    rows = _one_at_a_time(scores.open_times, np.flatnonzero(sure >= threshold), horizon * MINUTE)
    side = np.where(scores.probability[rows] >= 0.5, 1.0, -1.0)
    entered = scores.open_times[rows] + MINUTE
    return Trades(
        rows=rows,
        entered=entered,
        left=entered + horizon * MINUTE,
        side=side,
        net=side * np.expm1(scores.move[rows]) - round_trip,
        right=side * scores.move[rows] > 0.0,
    )


def thin(scores: Scores, *, horizon: int) -> Scores:
    """Scores whose futures do not overlap: the first, then always the next one after the horizon."""
    rows = _one_at_a_time(scores.open_times, np.arange(len(scores.open_times)), horizon * MINUTE)
    return take(scores, rows)


def take(scores: Scores, rows: Instants) -> Scores:
    """Some rows of scores."""
    symbol, times, probability, up, move = scores
    return Scores(symbol, times[rows], probability[rows], up[rows], move[rows])


def first_day(scores: Scores) -> date:
    """The day (UTC) of the first score."""
    return datetime.fromtimestamp(int(scores.open_times[0]) / 1_000, UTC).date()


def daily_returns(trades: Trades, scores: Scores, *, stake: float) -> Floats:
    """What each day of the scores (UTC) earned of the capital it began with, each trade with that stake.

    A day without a closing has 0; the last trade may close on the day after the last score. Shape: (days,).
    """
    first = int(scores.open_times[0]) // DAY
    last = max(int(scores.open_times[-1]) // DAY, int(trades.left[-1]) // DAY if len(trades.left) else 0)
    days = np.bincount(trades.left // DAY - first, weights=stake * trades.net, minlength=last - first + 1)
    return np.maximum(days.astype(np.float64), -1.0)


def _one_at_a_time(times: Instants, candidates: Instants, apart: int) -> Instants:
    """Of the candidates the first, then always the first that lies `apart` or more behind the one taken."""
    wanted = times[candidates]
    taken = []
    place = 0
    while place < len(candidates):
        taken.append(place)
        place = int(np.searchsorted(wanted, wanted[place] + apart, side="left"))
    return candidates[np.array(taken, dtype=np.int64)]


def _tell(scores: Scores, row: int) -> str:
    return datetime.fromtimestamp(int(scores.open_times[row]) / 1_000, UTC).isoformat()
