"""Inputs of very different size on one scale: what a model takes off each column, and by what it divides the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from core.kernels.features import FloatMatrix
from core.market import Floats

# Rows scaled at a time: two years as float64 would be a quarter of a gigabyte, twice.
CHUNK_ROWS: Final = 65_536
# A deviation below this share of the mean is the rounding of float32: such a column stands still and is only centred.
ROUNDING: Final = 1e-6


class Scaler(NamedTuple):
    """Mean and standard deviation of each column over the rows that a model learned from.

    Both are (F,). A model of S coins has (S, F), one row for each coin in the order of its symbols: a price of 95,000
    and one of 0.3 have no mean in common. `coin` takes one of them out.
    """

    mean: Floats
    scale: Floats

    def coin(self, place: int) -> Scaler:
        """The scaler of one coin, by its place among the model's symbols."""
        return self if self.mean.ndim == 1 else Scaler(self.mean[place], self.scale[place])

    def apply(self, table: FloatMatrix, *, out: FloatMatrix | None = None) -> FloatMatrix:
        """(table - mean) / scale, computed in float64 and rounded once; a row does not see the others.

        Shape: (N, F) -> (N, F) float32, C-contiguous, by a scaler of one coin; `out` may be the table itself.
        """
        scaled = np.empty(table.shape, dtype=np.float32) if out is None else out
        for begin in range(0, len(table), CHUNK_ROWS):
            part = slice(begin, begin + CHUNK_ROWS)
            scaled[part] = (table[part] - self.mean) / self.scale
        return scaled


def fit_scaler(table: FloatMatrix) -> Scaler:
    """The scaler of these rows, which must be rows to learn from and no others.

    Shape: (N, F), N >= 1. A column that stands still has scale 1, so that it becomes 0 and not a division by nothing.
    """
    mean = table.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for begin in range(0, len(table), CHUNK_ROWS):
        away = table[begin : begin + CHUNK_ROWS] - mean
        squares += np.einsum("nf,nf->f", away, away)
    deviation = np.sqrt(squares / len(table))
    return Scaler(mean, np.where(deviation > ROUNDING * np.abs(mean), deviation, 1.0))


def stack_scalers(scalers: Sequence[Scaler]) -> Scaler:
    """The scalers of several coins as one of (S, F)."""
    return Scaler(np.stack([each.mean for each in scalers]), np.stack([each.scale for each in scalers]))
