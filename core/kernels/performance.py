"""Compiled kernels for the stationary block bootstrap: a series drawn anew in blocks of random length.

Each draw goes on to the next value, or with the chance 1 / block to any value; behind the last comes the first. Kernels
hold no module constants and call only kernels of this file: the cache on disk would not notice their change.

Sources: Politis and Romano 1994, doi 10.1080/01621459.1994.10476870; Steele, Lea and Flood 2014 (splitmix64), doi
10.1145/2660193.2660195.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from core.market import Floats, Instants

Seed = np.uint64


@njit(cache=True, nogil=True)
def resample_means(columns: Floats, block: float, resamples: int, seed: Seed) -> Floats:
    """The mean of each column in each resample; the columns of a row stay together.

    Shape: (n, K) -> (resamples, K).
    """
    size, width = columns.shape
    means = np.zeros((resamples, width))
    turned = np.ascontiguousarray(columns.T)
    places = np.empty(size, np.int64)
    state = seed
    for draw in range(resamples):
        state = _draw(places, state, block)
        for column in range(width):
            series = turned[column]
            total = 0.0
            for step in range(size):
                total += series[places[step]]
            means[draw, column] = total / size
    return means


@njit(cache=True, nogil=True)
def resample_paths(values: Floats, block: float, resamples: int, seed: Seed) -> Floats:
    """The values of each resample in their order.

    Shape: (n,) -> (resamples, n).
    """
    size = values.size
    paths = np.empty((resamples, size))
    places = np.empty(size, np.int64)
    state = seed
    for draw in range(resamples):
        state = _draw(places, state, block)
        for step in range(size):
            paths[draw, step] = values[places[step]]
    return paths


@njit(cache=True, nogil=True)
def _draw(places: Instants, state: Seed, block: float) -> Seed:
    """Fill the places of one resample; the next state of the generator."""
    size = places.size
    # 32 bits a number are enough: over some million places none is more likely than another by a thousandth
    scale = 1.0 / 4294967296.0
    new_block = 1.0 / block
    place = -1
    for step in range(size):
        state, bits = _mix(state)
        place += 1
        if step == 0 or np.float64(bits >> np.uint64(32)) * scale < new_block:
            place = int(np.float64(bits & np.uint64(0xFFFFFFFF)) * scale * size)
        elif place == size:
            place = 0
        places[step] = place
    return state


@njit(cache=True, nogil=True)
def _mix(state: Seed) -> tuple[Seed, Seed]:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    bits = state
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, bits ^ (bits >> np.uint64(31))
