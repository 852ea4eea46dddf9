"""Candles and trades on which three paper-trading engines must agree, candle by candle."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
from pyarrow import parquet

from core.market import instant
from core.paper.bars import Bars, to_units
from core.paper.trade import LIFE, PaperTrade
from core.trade import Direction

MINUTE_MS = 60_000
START_MS = 1_767_225_600_000  # 2026-01-01
# A trade's whole life after its birth, so that every one ends within the candles.
TAIL_CANDLES = 300
LIFE_CANDLES = int(LIFE / timedelta(minutes=1))
TIME_OUT_CANDLES = 240


def make_market(candles: int, *, seed: int = 7) -> Bars:
    """Minutes of a walk in cents: fat-tailed moves, opening gaps of up to a quarter of a percent, wild wicks."""
    rng = np.random.default_rng(seed)
    moves = np.clip(rng.standard_t(4, candles) * 5e-4, -0.02, 0.02)
    moves -= moves.mean()
    gaps = np.where(rng.random(candles) < 0.05, rng.uniform(-0.0025, 0.0025, candles), 0.0)
    level = np.concatenate([[0.0], np.cumsum(moves + gaps)[:-1]])
    # it returns slowly to where it began, so that a million minutes end neither at nothing nor beyond all prices
    level -= np.linspace(0.0, level[-1], candles)
    opens, closes = 50_000 * np.exp(level + gaps), 50_000 * np.exp(level + gaps + moves)
    # one candle in 200 is wild: it may meet a stop and a target at once
    reach = np.where(rng.random(candles) < 0.005, 0.006, 3e-4)
    highs = np.maximum(opens, closes) * np.exp(np.minimum(np.abs(rng.normal(0, reach)), 0.015))
    lows = np.minimum(opens, closes) * np.exp(-np.minimum(np.abs(rng.normal(0, reach)), 0.015))
    prices = to_units(np.round(np.array([opens, highs, lows, closes]), 2))
    return Bars("BTC-USD", MINUTE_MS, START_MS + MINUTE_MS * np.arange(candles), prices)


def read_market(file: Path) -> Bars:
    """Recorded minutes; those missing are filled flat, because the other engines count candles and not time."""
    table = parquet.read_table(file, columns=["timestamp", "open", "high", "low", "close"])
    times = table["timestamp"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    prices = to_units(np.array([table[name].to_numpy() for name in ("open", "high", "low", "close")]))
    grid = np.arange(times[0], times[-1] + 1, MINUTE_MS)
    rows = np.searchsorted(times, grid, side="right") - 1
    filled = prices[:, rows]
    missing = times[rows] != grid
    filled[:, missing] = prices[3, rows[missing]]
    return Bars("BTC-USD", MINUTE_MS, grid, np.ascontiguousarray(filled))


def make_trades(bars: Bars, count: int, *, seed: int = 7) -> tuple[PaperTrade, ...]:
    """Trades born when a candle closes. Every third waits for a price 1 % away, the others enter at the next open.

    Their levels are such that all engines can play by one rule: a trade at the next open has its stop further away than
    an opening gap reaches, one that waits has its levels further away than one candle reaches.
    """
    rng = np.random.default_rng(seed)
    trades = []
    for number, row in enumerate(np.sort(rng.choice(len(bars) - TAIL_CANDLES, count, replace=False)).tolist()):
        close = Decimal(int(bars.prices[3, row])) / 10**8
        side = 1 if rng.random() < 0.5 else -1
        waits = number % 3 == 0
        away = Decimal("0.99") if side > 0 else Decimal("1.01")
        entry = (close * away if waits else close).quantize(Decimal("0.01"))
        risk, reward = (0.03, 0.05) if waits else (rng.uniform(0.0035, 0.012), rng.uniform(0.0035, 0.02))
        born = instant(int(bars.times[row]) + MINUTE_MS)
        trades.append(
            PaperTrade(
                id=f"trade-{number}",
                signal_id=f"signal-{number}",
                symbol=bars.symbol,
                direction=Direction.BUY if side > 0 else Direction.SELL,
                quantity=Decimal(1),
                entry=entry,
                stop_loss=(entry * (1 - side * Decimal(str(round(risk, 5))))).quantize(Decimal("0.01")),
                take_profit=(entry * (1 + side * Decimal(str(round(reward, 5))))).quantize(Decimal("0.01")),
                created_at=born,
                expires_at=born + LIFE,
                seen_ms=int(bars.times[row]) + MINUTE_MS,
            )
        )
    return tuple(trades)


def edge(trade: PaperTrade) -> Decimal:
    """The price from which a waiting trade may enter, coming from where the market was."""
    return trade.entry * (1 + trade.side * Decimal("0.005"))


def is_waiting(trade: PaperTrade) -> bool:
    """Whether the price has to come to it first."""
    return int(trade.id.rsplit("-", 1)[1]) % 3 == 0
