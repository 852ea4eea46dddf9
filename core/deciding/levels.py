"""Where to enter, stop and take profit: the rule of the average true range, and the gate that no price may pass unseen.

The rule: stop 1.5 ATR(14) and target 2.25 ATR(14) from the last close, so that a win pays one and a half losses. The
gate judges whoever made the prices. Its bounds, with their reasons, stand beside the constants and in docs/decision.md.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple

import numpy as np

from core.analyzers.monte_carlo import (
    ATR_CANDLES,
    HIGHEST_VARIANCE,
    HORIZON,
    PATHS,
    STOP_ATR,
    TARGET_ATR,
    WICK_REACH,
    average_true_range,
    fit_law,
    steady_drift,
)
from core.kernels.paths import HALF, LANES, seed_lanes, walk_paths
from core.market import Candles, Windows, stack_windows
from core.signal import Veto
from core.trade import Direction, Levels

# A price is written with so many digits: a step is at most a hundredth of a basis point of the price.
DIGITS: Final = 7
# An entry further away than this is not this market's price any more.
ENTRY_FRACTION: Final = Decimal("0.02")
# A stop nearer than half a usual candle is hit by noise. 5 ATR is about what 48 candles (4 hours) travel in one
# standard deviation: a stop beyond is not met before the trade times out, so it limits nothing.
STOP_ATR_LOW: Final = Decimal("0.5")
STOP_ATR_HIGH: Final = Decimal(5)
# Twice that distance: reached within a trade's life about once in twenty.
TARGET_ATR_HIGH: Final = Decimal(10)
# Below 1 more than half of the trades must win before costs; above 6 the target is hope.
REWARD_LOW: Final = Decimal(1)
REWARD_HIGH: Final = Decimal(6)


class Yardstick(NamedTuple):
    """What levels are measured by: the last close and the average true range, as prices."""

    close: Decimal
    atr: Decimal


def measure(candles: Candles) -> Yardstick:
    """The last close and ATR(14), the plain mean of 14 true ranges; needs 15 candles."""
    window = stack_windows([candles], ATR_CANDLES + 1)
    close = float(candles.close[-1])
    return Yardstick(Decimal(repr(close)), Decimal(repr(float(average_true_range(window)[0]) * close)))


def price_step(price: Decimal) -> Decimal:
    """The distance between two prices as they are written here: seven significant digits.

    >>> price_step(Decimal("104738.92")), price_step(Decimal("0.1432"))
    (Decimal('0.1'), Decimal('1E-7'))
    """
    return Decimal(1).scaleb(price.adjusted() - DIGITS + 1)


def rule_levels(direction: Direction, yardstick: Yardstick) -> Levels | None:
    """Entry at the last close, stop 1.5 ATR and target 2.25 ATR away; none for HOLD."""
    if direction is Direction.HOLD:
        return None
    side = Decimal(1 if direction is Direction.BUY else -1)
    stop = yardstick.close - side * Decimal(str(STOP_ATR)) * yardstick.atr
    target = yardstick.close + side * Decimal(str(TARGET_ATR)) * yardstick.atr
    return round_levels(Levels(yardstick.close, stop, target), yardstick)


def round_levels(levels: Levels, yardstick: Yardstick) -> Levels:
    """Levels on the price grid, in one canonical spelling. Rounding comes before the gate, never after it."""
    step = price_step(yardstick.close)
    return Levels(*(_round(price, step) for price in (levels.entry, levels.stop_loss, levels.take_profit)))


def check_levels(direction: Direction, levels: Levels, yardstick: Yardstick) -> tuple[Veto, ...]:
    """Every bound that the levels of a BUY or SELL break, in a fixed order; none means that they may be used."""
    prices = (levels.entry, levels.stop_loss, levels.take_profit)
    close, atr = yardstick
    if not all(price.is_finite() and price > 0 for price in (*prices, close)):
        shown = ", ".join(_show(price) for price in prices)
        return (Veto("level_range", shown, "above 0", f"entry, stop and target must be positive prices: {shown}"),)
    if not (atr.is_finite() and atr >= price_step(close)):
        detail = f"the market hardly moves: ATR(14) {_show(atr)} is below one price step"
        return (Veto("level_range", _show(atr), _show(price_step(close)), detail),)
    side = Decimal(1 if direction is Direction.BUY else -1)
    risk, reward = side * (levels.entry - levels.stop_loss), side * (levels.take_profit - levels.entry)
    if risk <= 0 or reward <= 0:
        order = "stop < entry < target" if direction is Direction.BUY else "target < entry < stop"
        shown = f"entry {_show(prices[0])}, stop {_show(prices[1])}, target {_show(prices[2])}"
        return (Veto("level_side", shown, order, f"a {direction.value} needs {order}, found {shown}"),)
    away = abs(levels.entry - close) / close
    bounds = (
        ("entry_distance", away, Decimal(0), ENTRY_FRACTION, "of the last close between entry and it"),
        ("stop_distance", risk / atr, STOP_ATR_LOW, STOP_ATR_HIGH, "ATR between entry and stop"),
        ("target_distance", reward / atr, Decimal(0), TARGET_ATR_HIGH, "ATR between entry and target"),
        ("reward_to_risk", reward / risk, REWARD_LOW, REWARD_HIGH, "times the risk as reward"),
    )
    return tuple(
        Veto(rule, f"{value:.4f}", f"{low} to {high}", f"{value:.4f} {what}; {low} to {high} is allowed")
        for rule, value, low, high, what in bounds
        if not low <= value <= high
    )


def chance_of_stop_first(window: Windows, direction: Direction, levels: Levels) -> float | None:
    """P(the stop is met before the target within 96 candles of the entry) for these very levels.

    The filtered historical simulation of `monte_carlo`, with its seed, so that at the rule's levels it gives the
    theory's own number. About 8 ms: for signals that are to go out. Shape: a window of one row. None where the window
    does not move and for HOLD.
    """
    returns = window.log_returns()
    law = fit_law(returns)
    if direction is Direction.HOLD or math.isnan(law.next_variance[0]):
        return None
    drift, _ = steady_drift(returns)
    omega, alpha, beta = (float(values[0]) for values in (law.omega, law.alpha, law.beta))
    following = float(law.next_variance[0])
    highest = HIGHEST_VARIANCE * max(omega / (1.0 - alpha - beta), following)
    stop, target = (
        math.log(float(price / levels.entry)) if price > 0 else -math.inf
        for price in (levels.stop_loss, levels.take_profit)
    )
    tally = np.empty(6, np.int64)
    walk_paths(
        law.shocks[0],
        (float(drift[0]), omega, alpha, beta, following, highest),
        (stop, target, stop, target, math.inf, math.inf, WICK_REACH),
        (HORIZON, HALF // law.mean_block),
        seed_lanes(int(window.seeds("monte_carlo")[0]), min(LANES, PATHS)),
        np.empty(PATHS),
        tally,
    )
    return int(tally[1 if direction is Direction.BUY else 3]) / PATHS


def _round(price: Decimal, step: Decimal) -> Decimal:
    if not price.is_finite() or price.adjusted() > step.adjusted() + 2 * DIGITS:
        return price  # the gate refuses it; rounding it would need more digits than a price has
    return _canonical(price.quantize(step, rounding=ROUND_HALF_EVEN))


def _canonical(price: Decimal) -> Decimal:
    """Without trailing zeros and without an exponent: one spelling for one price."""
    return Decimal(_show(price))


def _show(price: Decimal) -> str:
    if not price.is_finite() or abs(price.adjusted()) > 4 * DIGITS:
        return f"{price:.6E}" if price.is_finite() else str(price)
    text = f"{price:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
