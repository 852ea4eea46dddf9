"""Compiled kernels for scaling: standardised returns, Whittle's likelihood, slopes over box sizes.

Each takes B rows and gives B answers; a row that does not move is NaN throughout. Sums run in one fixed order.
Kernels hold no module constants and call only kernels of this file: the cache on disk would not notice their change.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.market import Floats

Spectra = NDArray[np.complex128]
Sizes = NDArray[np.int64]


@njit(cache=True, nogil=True)
def standardise(returns: Floats, rounding: float) -> tuple[Floats, Floats, Floats]:
    """Each row less its mean, over its standard deviation; the mean and the deviation.

    Shape: (B, n) -> (B, n), (B,), (B,).
    A row whose deviation is at most `rounding` does not move: values and deviation are NaN.
    """
    rows, size = returns.shape
    values = np.empty((rows, size))
    means = np.empty(rows)
    deviations = np.empty(rows)
    for row in range(rows):
        total = squares = 0.0
        for place in range(size):
            total += returns[row, place]
        mean = total / size
        for place in range(size):
            squares += (returns[row, place] - mean) ** 2
        deviation = math.sqrt(squares / size)
        if deviation <= rounding:
            deviation = math.nan
        for place in range(size):
            values[row, place] = (returns[row, place] - mean) / deviation
        means[row] = mean
        deviations[row] = deviation
    return values, means, deviations


@njit(cache=True, nogil=True)
def whittle(spectra: Spectra, inverse_density: Floats, mean_log_density: Floats, grid: Floats) -> tuple[Floats, Sizes]:
    """Where on the grid log mean_j(I_j / f_j) + mean_j log f_j is least, refined by a parabola; and the grid's cell.

    Shape: (B, n/2 + 1) Fourier transform, (J, G) for the first J frequencies above zero, (G,), (G,) -> (B,), (B,).
    The inner loop runs along the grid, so that it is vectorised without changing the order of any sum.
    """
    rows = spectra.shape[0]
    frequencies, points = inverse_density.shape
    estimates = np.full(rows, math.nan)
    cells = np.zeros(rows, np.int64)
    for row in range(rows):
        if math.isnan(spectra[row, 0].real):
            continue
        sums = np.zeros(points)
        for frequency in range(frequencies):
            wave = spectra[row, frequency + 1]
            power = wave.real * wave.real + wave.imag * wave.imag
            for point in range(points):
                sums[point] += power * inverse_density[frequency, point]
        loss = np.log(sums) + mean_log_density
        cell = int(np.argmin(loss))
        cells[row] = cell
        estimates[row] = grid[cell]
        if 0 < cell < points - 1:
            left, right = loss[cell - 1] - loss[cell], loss[cell + 1] - loss[cell]
            if left + right > 0.0:
                estimates[row] += 0.5 * (grid[1] - grid[0]) * (left - right) / (left + right)
    return estimates, cells


@njit(cache=True, nogil=True)
def rescaled_range(values: Floats, boxes: Sizes, expected_logs: Floats) -> Floats:
    """0.5 + slope, over log box size, of log mean(R/S) less its expectation for chance.

    Shape: (B, n) standardised, (K,) box sizes, (K,) -> (B,). Boxes without any spread are left out.
    """
    rows, size = values.shape
    slopes = np.full(rows, math.nan)
    walk = np.zeros(size + 1)
    squares = np.zeros(size + 1)
    for row in range(rows):
        for place in range(size):
            walk[place + 1] = walk[place] + values[row, place]
            squares[place + 1] = squares[place] + values[row, place] ** 2
        excess = np.full(boxes.size, math.nan)
        for index in range(boxes.size):
            box = boxes[index]
            total = 0.0
            used = 0
            for start in range(0, size - box + 1, box):
                ratio = _range_ratio(walk[start : start + box + 1], squares[start + box] - squares[start])
                total += ratio
                used += ratio > 0.0
            if used > 0:
                excess[index] = math.log(total / used) - expected_logs[index]
        slopes[row] = 0.5 + _slope(np.log(boxes), excess)
    return slopes


@njit(cache=True, nogil=True)
def fluctuation(values: Floats, boxes: Sizes) -> Floats:
    """Slope, over log box size, of the log fluctuation of the summed values around straight lines (DFA of order 1).

    Shape: (B, n), (K,) box sizes -> (B,).
    Three running sums of the walk give each box its residual in constant time.
    """
    rows, size = values.shape
    slopes = np.full(rows, math.nan)
    sums = np.zeros((size + 1, 3))
    logs = np.empty(boxes.size)
    for row in range(rows):
        walk = level = tilt = square = 0.0
        for place in range(size):
            walk += values[row, place]
            level += walk
            tilt += walk * place
            square += walk * walk
            sums[place + 1] = level, tilt, square
        for index in range(boxes.size):
            used = size // boxes[index] * boxes[index]
            residual = _residual(sums, boxes[index], used)
            logs[index] = 0.5 * math.log(residual / used) if residual > 0.0 else math.nan
        slopes[row] = _slope(np.log(boxes), logs)
    return slopes


@njit(cache=True, nogil=True)
def _range_ratio(walk: Floats, squares: float) -> float:
    """Range of a walk about the line from its first to its last point, over the steps' standard deviation.

    0 without any spread: a variance below 1e-12 is the rounding of running sums. Plain comparisons, because the
    compiled `max` looks for NaN and takes twice as long.
    """
    steps = walk.size - 1
    mean = (walk[steps] - walk[0]) / steps
    variance = squares / steps - mean * mean
    if variance <= 1e-12:
        return 0.0
    highest = lowest = 0.0
    for step in range(1, steps):
        height = walk[step] - walk[0] - mean * step
        highest = height if height > highest else highest
        lowest = height if height < lowest else lowest
    return (highest - lowest) / math.sqrt(variance)


@njit(cache=True, nogil=True)
def _residual(sums: Floats, box: int, used: int) -> float:
    """Squared distance of the walk from the best line of each box, over all boxes up to `used`."""
    residual = 0.0
    centre = 0.5 * (box - 1)
    level_weight = 1.0 / box
    tilt_weight = 12.0 / (box * (box * box - 1.0))
    for start in range(0, used, box):
        level = sums[start + box, 0] - sums[start, 0]
        tilt = sums[start + box, 1] - sums[start, 1] - level * (start + centre)
        square = sums[start + box, 2] - sums[start, 2]
        distance = square - level * level * level_weight - tilt * tilt * tilt_weight
        residual += distance if distance > 0.0 else 0.0
    return residual


@njit(cache=True, nogil=True)
def _slope(across: Floats, up: Floats) -> float:
    """Least-squares slope over the points that are defined; NaN with fewer than two."""
    count = 0
    mean_across = mean_up = product = square = 0.0
    for index in range(up.size):
        if not math.isnan(up[index]):
            count += 1
            mean_across += across[index]
            mean_up += up[index]
    if count < 2:
        return math.nan
    mean_across /= count
    mean_up /= count
    for index in range(up.size):
        if not math.isnan(up[index]):
            product += (across[index] - mean_across) * (up[index] - mean_up)
            square += (across[index] - mean_across) ** 2
    return product / square
