"""Compiled simulation of price paths: shocks drawn from a table of equally likely values, volatility that may cluster.

Paths run side by side in lanes, and every step of the simulation is a loop over lanes, so that it is vectorised without
changing the order of any sum. Kernels hold no module constants and call only kernels of this file: the cache on disk
would not notice their change.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.market import Floats

Counts = NDArray[np.int64]
States = NDArray[np.uint64]

# Paths that run side by side: their state stays in the fastest cache.
LANES = 256
# The generator's low 32 bits decide whether a block of the bootstrap ends; its high 32 bits where the next one starts.
HALF = 2**32


def seed_lanes(seed: int, lanes: int) -> States:
    """Starting states of one generator a lane: the splitmix64 sequence of a seed, made odd because 0 would stay 0.

    Steele, Lea and Flood 2014, doi 10.1145/2714064.2660195.
    """
    state = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, lanes + 1, dtype=np.uint64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((state ^ (state >> np.uint64(31))) | np.uint64(1))


@njit(cache=True, nogil=True)
def walk_paths(
    shocks: Floats,
    law: tuple[float, float, float, float, float, float],
    levels: tuple[float, float, float, float, float, float, float],
    course: tuple[int, int],
    states: States,
    outcomes: Floats,
    tally: Counts,
) -> None:
    """Walk as many paths as there are outcomes: sums of returns drift + sqrt(h_t) z_t, and what each met on its way.

    `law` is drift, omega, alpha, beta, the first h and the highest h, with h_{t+1} = omega + (alpha z^2 + beta) h_t.
    `levels` are log distances from the start: long's stop (below 0) and target, short's stop and target (below 0), the
    drawdowns of long and short that count, and the reach of a candle beyond its close in units of sqrt(h).
    `course` is the number of candles and, in parts of 2^32, the chance that a block of successive shocks ends: 2^32
    draws each shock anew.
    `tally` counts: long's target first, long's stop first, short's target, short's stop, long's drawdown, short's.
    """
    drift, omega, alpha, beta, first, highest = law
    long_stop, long_target, short_stop, short_target, long_limit, short_limit, reach = levels
    horizon, end_chance = course
    lanes = states.size
    kinds = np.uint64(shocks.size)
    place = np.zeros(lanes, np.uint64)
    variance, deviation, shock, walk = np.empty(lanes), np.empty(lanes), np.empty(lanes), np.empty(lanes)
    peak, trough, fall, rise = np.empty(lanes), np.empty(lanes), np.empty(lanes), np.empty(lanes)
    long, short = np.empty(lanes), np.empty(lanes)
    tally[:] = 0
    for begin in range(0, outcomes.size, lanes):
        variance[:] = first
        for values in (walk, peak, trough, fall, rise, long, short):
            values[:] = 0.0
        for step in range(horizon):
            _draw(states, place, kinds, np.uint64(end_chance if step > 0 else 2**32))
            _pick(shocks, place, shock)
            _move(shock, variance, deviation, walk, (drift, omega, alpha, beta, highest))
            _track_fall(walk, deviation, peak, fall, 2.0 * reach)
            _track_rise(walk, deviation, trough, rise, 2.0 * reach)
            _settle_long(walk, deviation, long, (long_stop, long_target, reach))
            _settle_short(walk, deviation, short, (short_stop, short_target, reach))
        for lane in range(min(lanes, outcomes.size - begin)):
            outcomes[begin + lane] = walk[lane]
            tally[0] += long[lane] > 0.0
            tally[1] += long[lane] < 0.0
            tally[2] += short[lane] > 0.0
            tally[3] += short[lane] < 0.0
            tally[4] += fall[lane] >= long_limit
            tally[5] += rise[lane] >= short_limit


@njit(cache=True, nogil=True)
def _draw(states: States, place: States, kinds: np.uint64, end_chance: np.uint64) -> None:
    """The next place in the table: the one after the last, in a circle, or a new one where a block ends.

    Marsaglia's xorshift64 with shifts 13, 7, 17 (2003, doi 10.18637/jss.v008.i14).
    """
    left, right, last = np.uint64(13), np.uint64(7), np.uint64(17)
    half, low, one, none = np.uint64(32), np.uint64(0xFFFFFFFF), np.uint64(1), np.uint64(0)
    for lane in range(states.size):
        state = states[lane]
        state ^= state << left
        state ^= state >> right
        state ^= state << last
        states[lane] = state
        fresh = ((state >> half) * kinds) >> half
        follower = place[lane] + one
        follower = follower if follower < kinds else none
        place[lane] = fresh if (state & low) < end_chance else follower


@njit(cache=True, nogil=True)
def _pick(shocks: Floats, place: States, shock: Floats) -> None:
    for lane in range(shock.size):
        shock[lane] = shocks[place[lane]]


@njit(cache=True, nogil=True)
def _move(
    shock: Floats, variance: Floats, deviation: Floats, walk: Floats, law: tuple[float, float, float, float, float]
) -> None:
    """One candle: its move, the volatility it had and the variance of the next one."""
    drift, omega, alpha, beta, highest = law
    for lane in range(walk.size):
        drawn = shock[lane]
        deviation[lane] = math.sqrt(variance[lane])
        walk[lane] += drift + deviation[lane] * drawn
        following = omega + (alpha * drawn * drawn + beta) * variance[lane]
        variance[lane] = following if following < highest else highest


@njit(cache=True, nogil=True)
def _track_fall(walk: Floats, deviation: Floats, peak: Floats, fall: Floats, reach: float) -> None:
    """Deepest fall from the peak so far."""
    for lane in range(walk.size):
        top = walk[lane] if walk[lane] > peak[lane] else peak[lane]
        depth = top - walk[lane] + reach * deviation[lane]
        peak[lane] = top
        fall[lane] = depth if depth > fall[lane] else fall[lane]


@njit(cache=True, nogil=True)
def _track_rise(walk: Floats, deviation: Floats, trough: Floats, rise: Floats, reach: float) -> None:
    """Highest rise from the trough so far."""
    for lane in range(walk.size):
        bottom = walk[lane] if walk[lane] < trough[lane] else trough[lane]
        height = walk[lane] - bottom + reach * deviation[lane]
        trough[lane] = bottom
        rise[lane] = height if height > rise[lane] else rise[lane]


@njit(cache=True, nogil=True)
def _settle_long(walk: Floats, deviation: Floats, trade: Floats, levels: tuple[float, float, float]) -> None:
    """Close an open long: -1 at its stop, 1 at its target; the stop where one candle reaches both."""
    stop, target, reach = levels
    for lane in range(walk.size):
        wick = reach * deviation[lane]
        met = -1.0 if walk[lane] - wick <= stop else (1.0 if walk[lane] + wick >= target else 0.0)
        trade[lane] = met if trade[lane] == 0.0 else trade[lane]


@njit(cache=True, nogil=True)
def _settle_short(walk: Floats, deviation: Floats, trade: Floats, levels: tuple[float, float, float]) -> None:
    """Close an open short: -1 at its stop, 1 at its target; the stop where one candle reaches both."""
    stop, target, reach = levels
    for lane in range(walk.size):
        wick = reach * deviation[lane]
        met = -1.0 if walk[lane] + wick >= stop else (1.0 if walk[lane] - wick <= target else 0.0)
        trade[lane] = met if trade[lane] == 0.0 else trade[lane]
