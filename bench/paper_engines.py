"""The same trades through two engines that others wrote: backtesting.py and backtrader, both without costs.

Each answers, trade by trade, in which candle it was entered and left and at which prices.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.paper_market import LIFE_CANDLES, TIME_OUT_CANDLES, edge, is_waiting
from core.paper.bars import UNITS, Bars
from core.paper.trade import PaperTrade


class Played(NamedTuple):
    """Rows and prices of a trade's entry and exit."""

    entered: int
    left: int
    entry: float
    exit: float


def play_backtesting(bars: Bars, trades: Sequence[PaperTrade]) -> dict[str, Played]:
    """Through backtesting.py: bracket orders, stops before targets, gaps at the open."""
    from backtesting import Backtest, Strategy

    by_row = _by_row(bars, trades)

    class Follow(Strategy):  # type: ignore[misc]  # the library has no types
        def init(self) -> None:
            self.waiting: list[tuple[int, Any]] = []  # Any: the library's orders

        def next(self) -> None:
            row = len(self.data) - 1
            for expires, order in self.waiting:
                if row >= expires and order in self.orders:
                    order.cancel()
            self.waiting = [each for each in self.waiting if row < each[0]]
            for trade in self.trades:
                if row - trade.entry_bar == TIME_OUT_CANDLES - 1:
                    trade.close()
            for trade in by_row.get(row, ()):
                place = self.buy if trade.side > 0 else self.sell
                limit = float(edge(trade)) if is_waiting(trade) else None
                order = place(size=1, limit=limit, sl=float(trade.stop_loss), tp=float(trade.take_profit), tag=trade.id)
                if limit is not None:
                    self.waiting.append((row + LIFE_CANDLES, order))

    columns = dict(zip(("Open", "High", "Low", "Close"), bars.prices / UNITS, strict=True))
    frame = pd.DataFrame(columns, index=pd.to_datetime(bars.times, unit="ms"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Backtest(frame, Follow, cash=1e12, margin=0.001, hedging=True).run()["_trades"]
    return {
        row.Tag: Played(int(row.EntryBar), int(row.ExitBar), float(row.EntryPrice), float(row.ExitPrice))
        for row in found.itertuples()
    }


def play_backtrader(bars: Bars, trades: Sequence[PaperTrade]) -> dict[str, Played]:
    """Through backtrader: orders at the open, a stop and a target that cancel each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import backtrader as bt

        played = _run_backtrader(bt, bars, _by_row(bars, trades))
    return {name: Played(*each) for name, each in played.items() if len(each) == 4}


def _run_backtrader(bt: Any, bars: Bars, by_row: dict[int, list[PaperTrade]]) -> dict[str, list[Any]]:
    """Any: the library has no types. The answer holds rows and prices as they came: entry row, exit row, prices."""
    found: dict[str, dict[str, float]] = {}

    class Follow(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.open: dict[str, tuple[PaperTrade, int, Any, Any]] = {}

        def next_open(self) -> None:
            row = len(self.data) - 1
            for name, (trade, entered, stop, target) in list(self.open.items()):
                if row - entered == TIME_OUT_CANDLES and "exit" not in found[name]:
                    self.cancel(stop)
                    self.cancel(target)
                    self._leave(trade, exectype=bt.Order.Market)
            for trade in by_row.get(row - 1, ()):
                enter = self.buy if trade.side > 0 else self.sell
                if is_waiting(trade):
                    last = bt.num2date(self.data.datetime[0]) + pd.Timedelta(minutes=LIFE_CANDLES - 1)
                    limit = float(edge(trade))
                    enter(size=1, exectype=bt.Order.Limit, price=limit, valid=last, trade=trade, role="entry")
                else:
                    enter(size=1, exectype=bt.Order.Market, trade=trade, role="entry")
                    self._guard(trade, row)

        def _guard(self, trade: PaperTrade, row: int) -> None:
            stop = self._leave(trade, exectype=bt.Order.Stop, price=float(trade.stop_loss))
            target = self._leave(trade, exectype=bt.Order.Limit, price=float(trade.take_profit), oco=stop)
            self.open[trade.id] = (trade, row, stop, target)

        def _leave(self, trade: PaperTrade, **order: Any) -> Any:
            return (self.sell if trade.side > 0 else self.buy)(size=1, trade=trade, role="exit", **order)

        def notify_order(self, order: Any) -> None:
            if order.status != order.Completed:
                return
            trade, role = order.info["trade"], order.info["role"]
            at = bt.num2date(order.executed.dt).replace(tzinfo=UTC)
            row = int(np.searchsorted(bars.times, round(at.timestamp() * 1_000)))
            found.setdefault(trade.id, {})[role] = row
            found[trade.id][f"{role} price"] = order.executed.price
            if role == "entry" and is_waiting(trade):
                self._guard(trade, row)
            if role == "exit":
                self.open.pop(trade.id, None)

    columns = dict(zip(("open", "high", "low", "close"), bars.prices / UNITS, strict=True))
    frame = pd.DataFrame(columns | {"volume": 1.0}, index=pd.to_datetime(bars.times, unit="ms"))
    engine = bt.Cerebro(cheat_on_open=True, stdstats=False)
    engine.adddata(bt.feeds.PandasData(dataname=frame, openinterest=None))
    engine.addstrategy(Follow)
    engine.broker.setcash(1e12)
    engine.broker.set_coo(True)
    engine.broker.set_checksubmit(False)
    engine.run(runonce=False)
    names = ("entry", "exit", "entry price", "exit price")
    return {trade: [each[name] for name in names if name in each] for trade, each in found.items()}


def _by_row(bars: Bars, trades: Sequence[PaperTrade]) -> dict[int, list[PaperTrade]]:
    """Trades by the candle at whose close they were born."""
    found: dict[int, list[PaperTrade]] = {}
    for trade in trades:
        row = int(np.searchsorted(bars.times, trade.seen_ms)) - 1
        found.setdefault(row, []).append(trade)
    return found
