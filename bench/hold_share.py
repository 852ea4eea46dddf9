"""How often the rule says HOLD, and what following it was worth: equal weights on the synthetic market.

python -m bench.hold_share            # 342 slots of three symbols, about 20 s
python -m bench.hold_share --edge     # the same slots of the market with the planted edge, which is served by default
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from core.adapters.synthetic.market import SyntheticMarket
from core.analysis import Reading
from core.analyzers import discover, evaluate
from core.deciding.synthesis import EQUAL_WEIGHT, Rule, Weighing, weigh
from core.fitted import Shelf
from core.fitting import HISTORY_CANDLES, Task, bind, choose_learners, learn
from core.market import Candles, cut_windows, milliseconds

SEED = 7
SYMBOLS = ("BTC-USD", "SOL-USD", "DOGE-USD")
END = datetime(2026, 3, 2, 12, tzinfo=UTC)
WINDOW, STEP, SLOTS, HORIZON = 500, 12, 342, 48
THRESHOLDS = (0.55, 0.65, 0.75)
ODDS = (2.0, 3.0, math.exp(EQUAL_WEIGHT), 9.0)


class Slot(NamedTuple):
    """What the theories said at one slot, and what the price did in the four hours after."""

    readings: tuple[Reading, ...]
    move: float


def read_slots(*, edge: bool = False) -> list[Slot]:
    """Every slot of every symbol; the theories that learn were fitted on candles before all of them."""
    market = SyntheticMarket(SEED, edge=edge)
    count = HISTORY_CANDLES + WINDOW + (SLOTS - 1) * STEP + HORIZON
    series = asyncio.run(market.latest(SYMBOLS, "5m", count, now_ms=milliseconds(END)))
    return [slot for candles in series for slot in _read_symbol(candles, market.identity)]


def show(slots: Sequence[Slot]) -> None:
    """Prints the share of HOLD by weight and threshold, and how the rest fared."""
    for odds in ODDS:
        rule = Rule({}, math.log(odds), "equal weights")
        found = [weigh(slot.readings, rule) for slot in slots]
        shares = ", ".join(f"{_share_held(found, threshold):.2%} at {threshold}" for threshold in THRESHOLDS)
        print(f"a full vote worth odds of {odds:.0f}: HOLD {shares}")
    found = [weigh(slot.readings) for slot in slots]
    silent = np.mean([all(vote.vote == 0.0 for vote in each.votes) for each in found])
    unanimous = np.mean([each.unanimous_hold for each in found])
    print(f"{len(slots)} slots: no theory votes in {silent:.1%}, unanimous HOLD in {unanimous:.1%}")
    leaning = [(each, slot) for each, slot in zip(found, slots, strict=True) if each.log_odds != 0.0]
    right = sum((each.log_odds > 0.0) == (slot.move > 0.0) for each, slot in leaning)
    print(f"leans: {len(leaning)}, right after four hours: {right}")


def _read_symbol(candles: Candles, origin: str) -> list[Slot]:
    columns = ("open_times", "open", "high", "low", "close", "volume")
    past, later = (
        Candles(candles.symbol, candles.interval, *(getattr(candles, name)[part] for name in columns))
        for part in (slice(None, HISTORY_CANDLES), slice(HISTORY_CANDLES, None))
    )
    fits = [bind(name, origin, [(past, learn(Task(name, past)))], at=END) for name in choose_learners(())]
    windows = cut_windows(later, WINDOW, step=STEP, origin=origin).rows(slice(0, SLOTS))
    rows = zip(*(evaluate(each, windows, Shelf(tuple(fits))) for each in discover().values()), strict=True)
    last = np.arange(SLOTS) * STEP + WINDOW - 1
    moves = np.log(later.close[last + HORIZON] / later.close[last])
    return [Slot(readings, float(move)) for readings, move in zip(rows, moves, strict=True)]


def _share_held(found: Sequence[Weighing], threshold: float) -> float:
    return sum(each.verdict.confidence < threshold for each in found) / len(found)


if __name__ == "__main__":
    show(read_slots(edge="--edge" in sys.argv[1:]))
