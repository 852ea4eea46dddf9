"""Does an input know the future? Change what comes later, and see which columns of the past change with it.

A model that was shown tomorrow is brilliant until it meets a market. So the inputs are tried on the very candles that a
model learns from: at some instants the history is cut, once with nothing behind it and once with another future, and
every row before the cut must be the same to the last bit. The columns that are not are named. No data set is made of
inputs that leak: so nothing is learned or judged with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from core.errors import Code, CrpbotError, invalid
from core.features import FEATURES, WARM_UP, compute
from core.kernels.features import FloatMatrix
from core.market import COLUMNS, Candles, Instants

# Candles around each cut: long enough for every look-back and for a leak of an hour.
LENGTH: Final = 2 * WARM_UP
CUTS: Final = 8
# The other future: prices far away and a volume that nobody could overlook.
PRICE_FACTOR, VOLUME_FACTOR = 1.7, 9.0

Describe = Callable[[Candles], FloatMatrix]


def check_leaks(stretches: Sequence[Candles], describe: Describe = compute) -> None:
    """Refuse inputs that know the future, by the longest stretch; where that is too short, nothing can be said."""
    longest = max(stretches, key=len)
    leaks = find_leaks(longest, describe) if len(longest) >= LENGTH else ()
    if leaks:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"inputs of {longest.symbol} change when only later candles do: {', '.join(leaks)}. Who learns from these "
            "knows the future, and no figure of it is true; make them look back only (core/features.py)",
            reason="LEAKING_INPUTS",
        )


def can_be_searched(open_times: Instants, step: int) -> bool:
    """Whether rows, each of a candle after the warm-up of its stretch, are of a stretch long enough. Shape: (N,)."""
    holes = np.flatnonzero(np.diff(open_times) != step) + 1
    longest = np.diff([0, *holes, len(open_times)]).max()
    return bool(longest + WARM_UP >= LENGTH)


def find_leaks(candles: Candles, describe: Describe = compute, *, cuts: int = CUTS) -> tuple[str, ...]:
    """The inputs that change when only candles after them do, in the order of FEATURES; none if all is well.

    Shape: `describe` gives (n - WARM_UP, 31) for n candles, as `core.features.compute` does.
    """
    if len(candles) < LENGTH:
        raise invalid("candles", f"{len(candles)} are too few to look for leaks, {LENGTH} are needed")
    leaks = np.zeros(len(FEATURES), dtype=np.bool_)
    for begin in np.linspace(0, len(candles) - LENGTH, cuts).astype(int):
        around = _part(candles, int(begin), int(begin) + LENGTH)
        # another cut each time, so that a column tied to the clock does not happen to agree
        cut = LENGTH - WARM_UP // 2 - int(begin) % 60
        known = describe(_part(around, 0, cut))
        for future in (describe(around), describe(_with_another_future(around, cut))):
            past = future[: len(known)]
            leaks |= ~((past == known) | (np.isnan(past) & np.isnan(known))).all(axis=0)
    return tuple(name for name, leaked in zip(FEATURES, leaks, strict=True) if leaked)


def _with_another_future(candles: Candles, cut: int) -> Candles:
    """From `cut` on the candles backwards, far away and with more volume."""
    columns = []
    for name in COLUMNS:
        column = getattr(candles, name).copy()
        column[cut:] = column[cut:][::-1] * (VOLUME_FACTOR if name == "volume" else PRICE_FACTOR)
        columns.append(column)
    return Candles(candles.symbol, candles.interval, candles.open_times, *columns)


def _part(candles: Candles, begin: int, end: int) -> Candles:
    columns = (getattr(candles, name)[begin:end] for name in ("open_times", *COLUMNS))
    return Candles(candles.symbol, candles.interval, *columns)
