"""How fast paper trading and its statistics are, and whether other engines enter and leave in the same candles.

`python -m bench.paper [--quick] [--candles FILE] [--json FILE]`: trades of one symbol on minutes of a made market, or
on recorded ones (Parquet with timestamp, open, high, low, close). Without costs, because the other engines know others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from bench.figures import Figure, at_least, at_most, print_figures, write_figures
from bench.paper_engines import Played, play_backtesting, play_backtrader
from bench.paper_market import make_market, make_trades, read_market
from core.market import instant
from core.paper.bars import Bars
from core.paper.costs import FREE
from core.paper.fill import Terms
from core.paper.machine import advance
from core.paper.replay import compare_orders, replay
from core.paper.settle import Step
from core.paper.trade import PaperTrade
from core.performance.measure import measure
from core.performance.sample import ClosedTrade, span_of
from core.risk.booking import Outcome
from core.signal import Strategy
from core.trade import Direction

TERMS = Terms(FREE)
CLOSE = 1e-6  # of a price: the other engines reckon in floats


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether the engines agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small: whether it runs, not what it costs")
    parser.add_argument("--candles", type=Path, metavar="FILE", help="recorded minutes for the comparison")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    rounds = 2 if options.quick else 5
    figures = [
        *speed(100_000 if options.quick else 1_000_000, rounds=rounds),
        *statistics(1_000 if options.quick else 10_000, rounds=rounds),
    ]
    bars = make_market(20_000 if options.quick else 60_000) if options.candles is None else read_market(options.candles)
    figures += agreement(bars, make_trades(bars, 200 if options.quick else 1_000))
    print_figures(figures, title="Paper trading")
    if options.json:
        write_figures(figures, options.json)
    return 0 if all(each.goal is None or each.goal.is_met(each.median) for each in figures) else 1


def speed(candles: int, *, rounds: int) -> list[Figure]:
    """The batch over all candles, and one trade candle by candle."""
    bars = make_market(candles)
    trades = make_trades(bars, 1_000)
    replay(trades[:10], bars)  # compiles
    whole = tuple(timed(lambda: replay(trades, bars)) for _ in range(rounds))
    single = tuple(timed(lambda: [_single(trade, bars) for trade in trades[:50]]) / 50 * 1_000 for _ in range(rounds))
    assert [_single(trade, bars).moves for trade in trades[:50]] == [
        each.moves for each in replay(trades[:50], bars).steps
    ]
    print(compare_orders(trades, bars))
    return [
        Figure(f"{candles:,} candles x {len(trades):,} trades, batch", "s", whole, at_most(2.0)),
        Figure("one trade, candle by candle", "ms", single),
    ]


def statistics(count: int, *, rounds: int) -> list[Figure]:
    """Every statistic of trades that closed, with and without bootstrapped intervals."""
    trades = make_closed(count)
    span = span_of(trades, Decimal(1_000_000))
    measure(trades[:200], span_of(trades[:200], Decimal(1_000_000)))  # compiles
    plain = tuple(timed(lambda: measure(trades, span, resamples=0)) * 1_000 for _ in range(rounds))
    drawn = tuple(timed(lambda: measure(trades, span)) for _ in range(rounds))
    return [
        Figure(f"every statistic of {count:,} trades", "ms", plain, at_most(300.0)),
        Figure(f"the same with bootstrap ({span.days:,} days)", "s", drawn, at_most(2.0)),
    ]


def agreement(bars: Bars, trades: tuple[PaperTrade, ...]) -> list[Figure]:
    """The share of trades that each other engine enters and leaves in the same candles at the same prices."""
    begin = time.perf_counter()
    ours = played(bars, trades)
    took = time.perf_counter() - begin
    figures = [Figure(f"{len(bars):,} candles x {len(trades):,} trades, ours", "s", (took,))]
    for name, play in (("backtesting.py", play_backtesting), ("backtrader", play_backtrader)):
        begin = time.perf_counter()
        theirs = play(bars, trades)
        figures.append(Figure(f"the same, {name}", "s", (time.perf_counter() - begin,)))
        figures.append(
            Figure(f"{name}: trades entered and left as ours", "%", (_share(ours, theirs, name),), at_least(100))
        )
    entered = len(ours)
    figures.append(Figure("trades that were entered", "", (float(entered),), at_least(0.5 * len(trades))))
    return figures


def played(bars: Bars, trades: Sequence[PaperTrade]) -> dict[str, Played]:
    """What our engine says, in the same words."""
    found = replay(trades, bars, TERMS)
    return {
        step.trade.id: Played(
            int(entered), int(left), float(step.trade.opened_price or 0), float(step.trade.closed_price or 0)
        )
        for step, entered, left in zip(found.steps, found.entered, found.left, strict=True)
        if entered >= 0
    }


def make_closed(count: int) -> list[ClosedTrade]:
    """Closed trades, one every four hours, with results of their own."""
    rng = np.random.default_rng(3)
    results = np.where(rng.random(count) < 0.45, 1.5, -1.0) * np.exp(rng.normal(0, 0.3, count)) * 500
    trades = []
    for number, result in enumerate(results.tolist()):
        opened = instant(1_700_000_000_000 + number * 14_400_000)
        trades.append(
            ClosedTrade(
                id=f"t-{number}",
                symbol="BTC-USD",
                strategy=Strategy.V7,
                variant=None,
                tier=None,
                direction=Direction.BUY,
                opened_at=opened,
                closed_at=opened + timedelta(hours=2),
                outcome=Outcome.WIN if result > 0 else Outcome.LOSS,
                pnl=Decimal(str(round(result, 8))),
                pnl_percent=result / 500,
                confidence=0.7,
            )
        )
    return trades


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _single(trade: PaperTrade, bars: Bars) -> Step:
    first = int(np.searchsorted(bars.times, trade.seen_ms))
    return advance(trade, (bars.row(row) for row in range(first, min(first + 300, len(bars)))))


def _share(ours: dict[str, Played], theirs: dict[str, Played], name: str) -> float:
    names = ours.keys() | theirs.keys()
    equal = [each for each in names if _is_same(ours.get(each), theirs.get(each))]
    for each in sorted(names - set(equal))[:10]:
        print(f"{name}, {each}: ours {ours.get(each)}, theirs {theirs.get(each)}", file=sys.stderr)
    return 100.0 * len(equal) / len(names)


def _is_same(one: Played | None, other: Played | None) -> bool:
    if one is None or other is None:
        return False
    same_rows = (one.entered, one.left) == (other.entered, other.left)
    return same_rows and bool(np.allclose(one[2:], other[2:], rtol=CLOSE))


if __name__ == "__main__":
    sys.exit(main())
