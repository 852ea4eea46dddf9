"""Whether the moves follow a simple rule or cannot be told shorter than by listing them: Lempel-Ziv complexity.

The returns become a string of 0 and 1; Lempel and Ziv (1976) cut it into phrases, each the shortest piece that has not
occurred before; the count c is divided by its mean on fair coins of the same length: c / c_coin(n). That is 1 for
chance at every length, less for a pattern, and for a long Markov chain it is the entropy rate in bits.

- `sign_complexity`: 1 up, 0 down, unchanged closes left out. It sees rhythm, runs and drift. The number decided on:
  right to within 0.02 for chains that hold a direction with probability 0.5 to 0.9 (n = 200 to 1,000); where direction
  turns with probability 0.9 it is too high, by 0.07 at n = 200 and 0.03 at 500.
- `complexity`: 1 where a return lies above the median of the window, 0 below. Blind to drift, to the size of the moves
  and to clusters of volatility. Where runs are long one side often prevails in the window; the median then cuts that
  side in two by chance and the number is too high: by 0.16 where a direction holds with probability 0.9 (n = 500), by
  0.04 at 0.75.
- `sign_p_value`, `p_value`: chance that a fair coin of that length has as few phrases, right to within 4 % of itself
  down to 0.02, 20 % down to 0.002, and not told apart below 1e-8. Halves made even by the median have a shade more
  phrases than coins, so there it errs to caution.

Chance scatters around 1 (by 0.025 at n = 500, 0.06 at 100), so the range reaches to 1.25: cutting at 1 would make coins
look simpler than they are.

The law of c on fair coins was fitted to the prefixes of 10^6 strings of 2,000 tosses, for n from 64 to 2,000: with
L = log2 n the mean is n/L (1.17095 - 5.1032/L + 51.422/L^2 - 112.738/L^3), within 1 in 10,000; the deviation, less the
1/12 that counting in whole phrases adds to the variance, is 2^(-0.95978 + 0.087732 L + 0.0095703 L^2), within 1 in 400;
the skewness -0.85 n^(-1/3). Tests toss the coins again.

Returns equal to the median (coarse ticks, unchanged closes) go above and below so that the halves are even. Where that
leaves a choice it is made by lot, drawn from the candle's open time, so that a candle keeps its side while the window
moves on. Lots can only hide a pattern, never feign one; `drawn_fraction` says how many there were, and beyond a quarter
(every second return equal) `complexity` is left out.

Good for: staying out of noise, and a second opinion on shannon_entropy, which looks at most four candles back. Not good
for: direction, so the vote is always 0; nor for fewer than some 200 candles, where only crude patterns stand out.

Sources: Lempel and Ziv 1976, doi 10.1109/TIT.1976.1055501; Kaspar and Schuster 1987, doi 10.1103/PhysRevA.36.842 (the
count); Ziv 1978, IEEE Transactions on Information Theory 24, 405 (its tie to the entropy rate).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.analysis import Columns, Field, Opinion, Values
from core.market import Floats, Instants, Windows

Symbols = NDArray[np.int64]

HIGHEST = 1.25

FIELDS = {
    "sign_complexity": Field("phrases of up and down: 1 a fair coin, lower a pattern", low=0.0, high=HIGHEST),
    "sign_p_value": Field("chance that a fair coin shows so few phrases of up and down", low=0.0, high=1.0),
    "sign_phrases": Field("the count itself", low=1.0),
    "complexity": Field("the same for the returns split at their median, blind to drift", low=0.0, high=HIGHEST),
    "p_value": Field("chance that a fair coin shows so few phrases of the split", low=0.0, high=1.0),
    "phrases": Field("the count of the split", low=1.0),
    "drawn_fraction": Field("share of the returns, equal to the median, that a lot placed", low=0.0, high=1.0),
    "sample_size": Field("moves up or down used", low=0.0),
}
MIN_LENGTH = 100
UNDEFINED = "fewer than 64 closes changed: too few moves up or down to tell a pattern from chance"

# Below this difference two log returns are equal but for rounding.
ROUNDING = 1e-12
# The law of the count on coins was fitted from this length on.
FEWEST_SIGNS = 64
# With more lots than this chance would speak, not the market.
MOST_DRAWN = 0.25
# Of two tests the smaller chance counts twice (Bonferroni); below 1 in 100 the pattern is real, below 1 in 20 a hint.
PATTERN_LEVEL = 0.01
HINT_LEVEL = 0.05
# From here on the sentence says that lots were drawn.
NOTABLE_DRAWN = 0.05

# Mean, log2 of the deviation, and skewness of the count on fair coins: see the formulas above.
COIN_MEAN = (1.17095, -5.1032, 51.422, -112.738)
COIN_DEVIATION = (-0.95978, 0.087732, 0.0095703)
COIN_SKEWNESS = -0.85


def analyze(windows: Windows) -> Columns:
    """Both complexities of each row and how likely chance makes them.

    Shape: (B, T) -> (B,) for every field.
    Edge cases: fewer than 64 changed closes give NaN throughout; returns all equal, or more than a quarter placed by
    lot, give nothing about the median.
    """
    returns = windows.log_returns()
    size = returns.shape[1]
    middles = np.partition(returns, size // 2, axis=1)[:, size // 2]
    table = np.full((len(FIELDS), len(windows)), np.nan)
    limits = (ROUNDING, MOST_DRAWN, FEWEST_SIGNS, HIGHEST)
    _measure(returns, middles, windows.open_times[:, 1:], limits, (COIN_MEAN, COIN_DEVIATION, COIN_SKEWNESS), table)
    return dict(zip(FIELDS, table, strict=True))


def read(values: Values) -> Opinion:
    """A filter: no direction, only whether chance explains the window."""
    sign_chance, split_chance = values["sign_p_value"], values.get("p_value", 1.0)
    chance = min(1.0, 2.0 * min(sign_chance, split_chance))
    split = f", {values['complexity']:.2f} about the median" if "complexity" in values else ""
    drawn = values.get("drawn_fraction", 0.0)
    lots = f", {100.0 * drawn:.0f} % of it by lot" if drawn >= NOTABLE_DRAWN else ""
    numbers = f"complexity {values['sign_complexity']:.2f} of up and down{split}{lots}, chance {chance:.2g}"
    if chance >= HINT_LEVEL:
        return Opinion(0.0, f"High complexity, random, stay out: no rule is shorter than the moves ({numbers}).")
    if chance >= PATTERN_LEVEL:
        return Opinion(0.0, f"Mixed: a hint of a pattern, not enough to trade on alone ({numbers}).")
    if sign_chance < split_chance:
        return Opinion(0.0, f"Low complexity of direction: one side prevails or runs repeat ({numbers}).")
    return Opinion(0.0, f"Low complexity, a simple pattern: the moves repeat themselves ({numbers}).")


@njit(cache=True, nogil=True)
def count_phrases(symbols: Symbols) -> int:
    """Phrases of a string of 0 and 1 by Lempel and Ziv 1976, the last one whole or not.

    Each place of the string becomes a word of its next 63 symbols, the first one highest. The longest earlier match of
    a phrase is then the earlier word with the smallest exclusive or. That is one step a place, several places at once,
    and about n / log2 n phrases: at the lengths served it beats the suffix automaton, which is linear in n.

    >>> count_phrases(np.array([0, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1]))  # 0.001.10.100.1000.101
    6
    """
    size = symbols.size
    words = np.empty(size, np.int64)
    word = 0
    for place in range(size - 1, -1, -1):
        word = (word >> 1) | (symbols[place] << 62)
        words[place] = word
    phrases = start = 0
    while start < size:
        target = words[start]
        nearest = 1 << 62
        for place in range(start):
            difference = words[place] ^ target
            nearest = difference if difference < nearest else nearest
        start += 1 + (_common(nearest) if nearest > 0 else _longest_match(words, start))
        phrases += 1
    return phrases


@njit(cache=True, nogil=True)
def coin_law(size: int, mean_weights: tuple[float, ...], deviation_weights: tuple[float, ...]) -> tuple[float, float]:
    """Mean and deviation of the number of phrases of a fair coin tossed `size` times (64 to 2,000)."""
    bits = math.log2(size)
    mean = mean_weights[0] + (mean_weights[1] + (mean_weights[2] + mean_weights[3] / bits) / bits) / bits
    power = deviation_weights[0] + (deviation_weights[1] + deviation_weights[2] * bits) * bits
    return size / bits * mean, 2.0**power


@njit(cache=True, nogil=True)
def _measure(
    returns: Floats,
    middles: Floats,
    times: Instants,
    limits: tuple[float, float, int, float],
    law: tuple[tuple[float, ...], tuple[float, ...], float],
    table: Floats,
) -> None:
    """Fill one column of the table, in the order of the fields, for each row with enough moves."""
    rounding, most_drawn, fewest, highest = limits
    size = returns.shape[1]
    symbols = np.empty(size, np.int64)
    for row in range(returns.shape[0]):
        changed = 0
        for value in returns[row]:
            symbols[changed] = value > 0.0
            changed += abs(value) > rounding
            if changed == size:
                break
        if changed < fewest:
            continue
        count = count_phrases(symbols[:changed])
        table[0, row], table[1, row] = _judge(count, changed, highest, law)
        table[2, row] = count
        table[7, row] = changed
        drawn = _split(returns[row], middles[row], times[row], rounding, symbols)
        if drawn <= most_drawn * size:
            count = count_phrases(symbols)
            table[3, row], table[4, row] = _judge(count, size, highest, law)
            table[5, row] = count
            table[6, row] = drawn / size


@njit(cache=True, nogil=True)
def _split(values: Floats, middle: float, times: Instants, rounding: float, symbols: Symbols) -> int:
    """Write 1 above the middle and 0 below, so that the halves are even; how many equal values a lot had to place.

    Without any lot where the values allow it: n/2 rounded down or up of them are 1, whichever needs none.
    """
    above = tied = 0
    for value in values:
        above += value - middle > rounding
        tied += abs(value - middle) <= rounding
    rising = 0 if above == values.size // 2 else (values.size + 1) // 2 - above
    drawn = min(rising, tied - rising)
    for place in range(values.size):
        distance = values[place] - middle
        if abs(distance) > rounding:
            symbols[place] = distance > 0.0
            continue
        chosen = _lot(times[place]) * tied < rising
        symbols[place] = chosen
        rising -= chosen
        tied -= 1
    return drawn


@njit(cache=True, nogil=True)
def _lot(time: int) -> float:
    """A number in [0, 1) that belongs to an instant: its seconds, mixed so that neighbours have nothing in common."""
    mixed = (time // 1_000) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    return float(mixed ^ (mixed >> 15)) / 4_294_967_296.0


@njit(cache=True, nogil=True)
def _judge(
    count: int, size: int, highest: float, law: tuple[tuple[float, ...], tuple[float, ...], float]
) -> tuple[float, float]:
    """The count over its mean on coins, and the chance of so low a count (normal, corrected for skewness)."""
    mean, deviation = coin_law(size, law[0], law[1])
    # Beyond 8 deviations the correction for skewness is none any more, and 1 in 10^8 is small enough.
    distance = max((count + 0.5 - mean) / deviation, -8.0)
    distance -= law[2] / size ** (1.0 / 3.0) * (distance * distance - 1.0) / 6.0
    return min(count / mean, highest), 0.5 * math.erfc(-distance / math.sqrt(2.0))


@njit(cache=True, nogil=True)
def _common(difference: int) -> int:
    """How many first symbols two words share: the zeros above the highest one of their exclusive or."""
    shared = 0
    while difference < 1 << 62:
        difference <<= 1
        shared += 1
    return shared


@njit(cache=True, nogil=True)
def _longest_match(words: Symbols, start: int) -> int:
    """Symbols from `start` on that occur from an earlier place on, where whole words agree."""
    longest = 0
    for place in range(start):
        length = 0
        while start + length < words.size and words[place + length] == words[start + length]:
            length += 63
        if start + length < words.size:
            length += _common(words[place + length] ^ words[start + length])
        longest = max(longest, length)
    return longest
