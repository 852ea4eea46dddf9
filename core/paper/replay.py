"""Many paper trades over many candles at once, with the same ledger to the last unit as candle after candle.

The candles of entry and exit are found in whole units by a compiled kernel; the fills there are priced by the very
functions that follow a single trade.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from core.errors import invalid
from core.kernels.paper import walk_trades
from core.market import Instants, milliseconds
from core.paper.bars import Bars
from core.paper.fill import STANDARD_TERMS, Bounds, Terms, Way, find_bounds
from core.paper.machine import enter, expire, leave
from core.paper.settle import Step
from core.paper.trade import PaperTrade
from core.risk.account import TradeState
from core.risk.amount import ZERO


class Replay(NamedTuple):
    """What became of each trade, its rows of entry and exit (-1: none), and the rows whose order decided the exit."""

    steps: tuple[Step, ...]
    entered: Instants
    left: Instants
    undecided: int  # trades that the order of stop and target within one candle decided


class Sensitivity(NamedTuple):
    """How much hangs on what came first in candles that met both: trades concerned, and the result either way."""

    trades: int
    undecided: int
    pessimistic: Decimal
    optimistic: Decimal

    def __str__(self) -> str:
        return (
            f"{self.undecided} of {self.trades} trades met stop and target in one candle: {self.pessimistic:+.2f} USD "
            f"with the stop first (as counted), {self.optimistic:+.2f} USD with the target first"
        )


def replay(trades: Sequence[PaperTrade], bars: Bars, terms: Terms = STANDARD_TERMS) -> Replay:
    """Every trade to its end or to the end of the candles. The trades are of the candles' symbol and still wait."""
    for position, trade in enumerate(trades):
        if trade.symbol != bars.symbol:
            detail = f"{trade.id!r} is in {trade.symbol}, the candles are of {bars.symbol}"
            raise invalid(f"trades.{position}.symbol", detail)
        if trade.state is not TradeState.PENDING:
            raise invalid(f"trades.{position}.state", f"{trade.id!r} is {trade.state.value}; pending is needed")
    bounds = [find_bounds(trade, terms) for trade in trades]
    orders = np.array([_order(*pair, terms) for pair in zip(trades, bounds, strict=True)], dtype=np.int64)
    table = np.ascontiguousarray(orders.reshape(len(trades), 9).T)
    found = walk_trades(bars.times, bars.prices, table, (bars.step_ms, terms.life_ms), terms.optimistic)
    steps = tuple(
        _settle(trade, bound, found[:, place], bars, terms)
        for place, (trade, bound) in enumerate(zip(trades, bounds, strict=True))
    )
    return Replay(steps, found[0], found[2], int(found[4].sum()))


def compare_orders(trades: Sequence[PaperTrade], bars: Bars, terms: Terms = STANDARD_TERMS) -> Sensitivity:
    """The result with the stop first and with the target first."""
    worse = replay(trades, bars, _ordered(terms, optimistic=False))
    better = replay(trades, bars, _ordered(terms, optimistic=True))
    return Sensitivity(len(trades), worse.undecided, _result(worse), _result(better))


def _result(replayed: Replay) -> Decimal:
    return sum((step.trade.pnl for step in replayed.steps if step.trade.pnl is not None), ZERO)


def _ordered(terms: Terms, *, optimistic: bool) -> Terms:
    return Terms(terms.costs, terms.tolerance_fraction, terms.life, optimistic)


def _order(trade: PaperTrade, bounds: Bounds, terms: Terms) -> tuple[int, ...]:
    """One column of the kernel's orders."""
    eligible = max(trade.seen_ms, milliseconds(trade.created_at) + terms.costs.latency_ms)
    return (trade.side, eligible, milliseconds(trade.expires_at), *(int(value) for value in bounds))


def _settle(trade: PaperTrade, bounds: Bounds, found: Instants, bars: Bars, terms: Terms) -> Step:
    entered, way, left, exit_way = (int(value) for value in found[:4])
    if entered < 0:
        return Step(trade, ()) if left < 0 else expire(trade)
    opened = enter(trade, bars.row(entered), Way(way), bounds=bounds, terms=terms)
    if left < 0:
        return opened
    closed = leave(opened.trade, bars.row(left), Way(exit_way), terms)
    return Step(closed.trade, opened.moves + closed.moves)
