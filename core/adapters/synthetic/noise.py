"""Chance that can be looked up: random numbers by address instead of one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from core.market import Floats, Instants

# Share of every normal that all coins of a seed have in common: returns of two coins correlate by about its square.
COMMON = 0.75
COMMON_SYMBOL = ""  # the address of that share; no coin has this name


def splitmix64(key: int, index: Instants) -> NDArray[np.uint64]:
    """The index-th number of SplitMix64 (Steele, Lea and Flood 2014) started at `key`.

    Its state only counts, key + index x odd constant modulo 2^64, so any place is reached at once.
    """
    bits = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@dataclass(frozen=True, slots=True)
class Noise:
    """The random numbers of one coin: the same (seed, symbol, stream, index) is the same number for ever."""

    seed: int
    symbol: str

    def uniforms(self, stream: str, index: Instants) -> Floats:
        """Uniform in (0, 1), both ends excluded, for any index, negative ones too.

        The key is a hash of the address, so each stream reads the one long sequence from a place of its own.
        """
        digest = blake2b(f"{self.seed}/{self.symbol}/{stream}".encode(), digest_size=8).digest()
        bits = splitmix64(int.from_bytes(digest, "little"), index)
        # 52 bits and a half: with 53 the largest number would round to 1.0, whose normal is infinite.
        uniforms: Floats = ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        return uniforms

    def normals(self, stream: str, index: Instants) -> Floats:
        """Standard normals, independent along the index, correlated with those of the seed's other coins."""
        common = ndtri(Noise(self.seed, COMMON_SYMBOL).uniforms(stream, index))
        own = ndtri(self.uniforms(stream, index))
        normals: Floats = COMMON * common + math.sqrt(1.0 - COMMON**2) * own
        return normals


def smooth_noise(noise: Noise, instants: Instants, scales: tuple[int, ...], variance: float) -> Floats:
    """Gaussian noise with memory, the sum of one part for each time scale (in the unit of the instants).

    Each part has normals on a lattice of its spacing and blends neighbours by a quarter turn: cos(a) z0 + sin(a) z1.
    As cos^2 + sin^2 = 1, the variance is the same on the lattice and between; the memory ends after two spacings.
    Shape: any -> the same.
    """
    total: Floats = np.zeros(instants.shape)
    for scale in scales:
        cell, phase = np.divmod(instants, scale)
        angle = phase * (math.pi / 2 / scale)
        stream = f"smooth/{scale}"
        total += np.cos(angle) * noise.normals(stream, cell) + np.sin(angle) * noise.normals(stream, cell + 1)
    return total * math.sqrt(variance / len(scales))
