"""From what the gate let through to the window that was asked for: long enough and new enough, or an error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.adapters.grid import merge_candles
from core.errors import Code, CrpbotError
from core.gate import MAX_AGE_CANDLES, Admission, utc
from core.market import COLUMNS, Candles, interval_seconds
from core.signal import Degradation


class Passed(NamedTuple):
    """Candles that passed the gate, and what kept the newest of them away, where something did."""

    admission: Admission
    failure: CrpbotError | None


def find_doubts(passed: Passed, whose: str) -> tuple[Degradation, ...]:
    """What the exchange's failure and the gate say against these candles."""
    failed = (Degradation(passed.failure.reason, passed.failure.detail),) if passed.failure else ()
    worst = [defect for defect in passed.admission.defects if defect.degrading]
    return failed + tuple(Degradation(each.kind.upper(), f"{whose}: {each.example}") for each in worst)


def cut_window(passed: Passed, interval: str, count: int, *, now_ms: int, exchange: str) -> Candles:
    """The newest `count` candles of the interval; an error says that they are too old or too few."""
    whose = f"{exchange}: {passed.admission.candles.symbol} {interval}"
    also = "".join(f"; {doubt.detail}" for doubt in find_doubts(passed, whose))
    candles = _merge(passed.admission.candles, interval)
    if candles is not None:
        _check_age(candles, whose, also, now_ms)
        if len(candles) >= count:
            newest = (getattr(candles, column)[-count:] for column in ("open_times", *COLUMNS))
            return Candles(candles.symbol, interval, *newest)
    if passed.failure is not None:  # there might be enough if the exchange had answered
        raise passed.failure
    found = "none" if candles is None else f"{len(candles)}, from {utc(candles.open_times[0])} to {utc(candles.as_of)}"
    raise CrpbotError(
        Code.FAILED_PRECONDITION,
        f"{whose}: {count} candles without a hole asked for, found {found}; ask for fewer or for a longer interval, "
        f"or leave the symbol out{also}",
        reason="TOO_FEW_CANDLES",
    )


def _merge(candles: Candles, interval: str) -> Candles | None:
    """Candles of a longer interval, of the buckets that are complete; None when none is."""
    if candles.interval == interval:
        return candles
    step = 1_000 * interval_seconds(candles.interval)
    size = interval_seconds(interval) // interval_seconds(candles.interval)
    first = int(-candles.open_times[0] // step % size)  # candles before the first bucket
    last = first + (len(candles) - first) // size * size
    if last <= first:
        return None
    block = np.array([getattr(candles, column)[first:last] for column in COLUMNS])
    return Candles(candles.symbol, interval, candles.open_times[first:last:size], *merge_candles(block, size))


def _check_age(candles: Candles, whose: str, also: str, now_ms: int) -> None:
    age_ms = now_ms - candles.as_of
    limit_ms = MAX_AGE_CANDLES * 1_000 * interval_seconds(candles.interval)
    if age_ms > limit_ms:
        raise CrpbotError(
            Code.UNAVAILABLE,
            f"{whose}: the newest candle closed at {utc(candles.as_of)}, {age_ms / 60_000:.1f} minutes ago, and the "
            f"limit is {MAX_AGE_CANDLES} candles ({limit_ms / 60_000:g} minutes); look at the exchange's status page "
            f"and at this machine's clock{also}",
            reason="STALE_MARKET_DATA",
        )
