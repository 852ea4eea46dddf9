"""A million candles at once give what one candle at a time gives, and what the plain rules give."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CrpbotError
from core.paper.costs import FREE, STANDARD
from core.paper.fill import Terms
from core.paper.machine import advance
from core.paper.replay import compare_orders, replay
from core.paper.trade import Fill, PaperTrade
from core.risk.account import TradeState
from core.trade import Direction
from tests.core.paper_cases import BEGIN, BEGIN_MS, MINUTE, make_trade, naive, walk


def random_trades(seed: int, count: int, bars, *, far: float = 0.012) -> list[PaperTrade]:
    """Trades at random instants: entries at the last close or some way off, stops and targets near and far."""
    rng = np.random.default_rng(seed)
    trades = []
    for place in range(count):
        row = int(rng.integers(0, len(bars)))
        close = float(bars.prices[3, row]) / 1e8
        side = 1 if rng.random() < 0.5 else -1
        entry = Decimal(str(round(close * (1 + rng.choice([0.0, rng.normal(0, far)])), 2)))
        stop = entry * (1 - side * Decimal(str(round(rng.uniform(0.001, 0.02), 4))))
        target = entry * (1 + side * Decimal(str(round(rng.uniform(0.001, 0.03), 4))))
        # half of them exactly when a candle begins, where "before" and "not after" differ
        late = int(rng.integers(0, 3 * MINUTE)) if rng.random() < 0.5 else MINUTE * int(rng.integers(0, 3))
        born = BEGIN + timedelta(milliseconds=int(bars.times[row]) - BEGIN_MS + late)
        trades.append(
            replace(
                make_trade(Direction.BUY if side > 0 else Direction.SELL),
                id=f"t-{place}",
                signal_id=f"s-{place}",
                entry=entry,
                stop_loss=stop,
                take_profit=target,
                quantity=Decimal(str(round(rng.uniform(0.001, 50), 3))),
                created_at=born,
                expires_at=born + timedelta(minutes=15),
                seen_ms=round(born.timestamp() * 1_000),
            )
        )
    return trades


@pytest.mark.parametrize("terms", [Terms(), Terms(FREE), Terms(optimistic=True), Terms(life=timedelta(minutes=37))])
def test_the_batch_equals_single_steps_and_the_plain_rules_to_the_last_unit(terms: Terms) -> None:
    seen = Counter[str]()
    for seed in range(6):
        bars = walk(seed, 700, deviation=0.004)
        trades = random_trades(seed, 60, bars)
        found = replay(trades, bars, terms)
        seen["undecided"] += found.undecided
        for place, trade in enumerate(trades):
            single = advance(trade, bars.from_ms(trade.seen_ms), terms)
            batched = found.steps[place]
            assert batched.moves == single.moves
            assert replace(batched.trade, seen_ms=0) == replace(single.trade, seen_ms=0)
            entered, left, result = naive(trade, bars, terms)
            assert (int(found.entered[place]), int(found.left[place])) == (entered, left)
            if result is not None:
                assert single.trade.pnl == result
            seen["expired"] += entered < 0 <= left
            seen["closed"] += result is not None
            seen[str(single.trade.fill)] += 1
            how = single.moves[-1].entries[0].detail if result is not None else ""
            seen.update(word for word in ("stop 2", "stop, at", "target 2", "target, at", "time-out") if word in how)
    ways = ("stop 2", "stop, at", "target 2", "target, at", str(Fill.OPEN), str(Fill.WITHIN), "expired", "undecided")
    assert all(seen[way] >= 3 for way in ways), seen
    assert seen["closed"] > 100


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.floats(0, 1), deviation=st.floats(0.0001, 0.02))
def test_over_any_market_the_batch_equals_the_plain_rules(seed: int, gaps: float, deviation: float) -> None:
    bars = walk(seed, 80, gaps=gaps, deviation=deviation)
    trades = random_trades(seed, 12, bars, far=0.006)
    for terms in (Terms(), Terms(STANDARD, life=timedelta(minutes=20))):
        found = replay(trades, bars, terms)
        for place, trade in enumerate(trades):
            entered, left, result = naive(trade, bars, terms)
            assert (int(found.entered[place]), int(found.left[place])) == (entered, left)
            assert result is None or found.steps[place].trade.pnl == result


def test_the_result_with_the_target_first_is_never_worse() -> None:
    bars = walk(3, 2_000, deviation=0.006)
    trades = random_trades(3, 300, bars)
    found = compare_orders(trades, bars)
    assert found.undecided > 0
    assert found.optimistic > found.pessimistic
    assert f"{found.undecided} of 300 trades" in str(found)


def test_trades_of_another_symbol_or_already_open_are_refused() -> None:
    bars = walk(1, 50)
    with pytest.raises(CrpbotError, match="is in ETH-USD, the candles are of BTC-USD"):
        replay([make_trade(symbol="ETH-USD")], bars)
    with pytest.raises(CrpbotError, match="is open; pending is needed"):
        replay([make_trade(state=TradeState.OPEN)], bars)


def test_no_trades_give_an_empty_answer() -> None:
    assert replay([], walk(1, 50)).steps == ()
