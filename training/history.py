"""The candles that models learn from, coin by coin, and the data sets that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import Code, CrpbotError
from core.features import WARM_UP
from core.market import COLUMNS, Candles, instant, interval_seconds
from training.dataset import HORIZON, Dataset, build_dataset
from training.split import draw_borders


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Stretches of one symbol's candles without a hole, oldest first, and the market that they are of."""

    origin: str
    stretches: tuple[Candles, ...]

    @property
    def symbol(self) -> str:
        return self.stretches[0].symbol

    @property
    def count(self) -> int:
        """Candles of all stretches."""
        return sum(map(len, self.stretches))


def cut(history: History, begin: int, end: int) -> History:
    """The candles that lie between two instants (ms)."""
    kept = [_between(each, begin, end) for each in history.stretches if each.as_of > begin and each.open_times[0] < end]
    if not kept:
        raise _refused(f"{history.symbol} has no candle from {instant(begin)} to {instant(end)}")
    return History(history.origin, tuple(kept))


def trim(history: History, least: int) -> History:
    """Without the stretches at both ends that are too short for one window: where the rest begins and ends then follows
    from the first and the last window, so that the same candles can be found again."""
    long = [place for place, each in enumerate(history.stretches) if len(each) >= least]
    if not long:
        longest = max(map(len, history.stretches))
        raise _refused(f"{history.symbol} has no {least} candles without a hole, at most {longest}; give a longer span")
    return History(history.origin, history.stretches[long[0] : long[-1] + 1])


def build_datasets(histories: Sequence[History], window: int) -> list[Dataset]:
    """The coins' data sets on the span that all of them have, with the same borders between their parts."""
    least = WARM_UP + window + HORIZON
    begin = max(int(each.stretches[0].open_times[0]) for each in histories)
    end = min(each.stretches[-1].as_of for each in histories)
    kept = [trim(cut(each, begin, end), least) for each in histories]
    begin = min(int(each.stretches[0].open_times[0]) for each in kept)
    end = max(each.stretches[-1].as_of for each in kept)
    borders = None
    if len(kept) > 1:
        borders = draw_borders(begin, end, step=1_000 * interval_seconds(kept[0].stretches[0].interval))
    return [build_dataset(each.stretches, origin=each.origin, window=window, borders=borders) for each in kept]


def trainable(histories: Sequence[History], window: int) -> tuple[History, ...]:
    """The coins that give a data set each by itself; the last refusal where none does."""
    kept = []
    refusal: CrpbotError | None = None
    for history in histories:
        try:
            build_datasets([history], window)
        except CrpbotError as error:
            refusal = error
        else:
            kept.append(history)
    if refusal is not None and not kept:
        raise refusal
    return tuple(kept)


def _between(candles: Candles, begin: int, end: int) -> Candles:
    inside = slice(*np.searchsorted(candles.open_times, (begin, end)))
    columns = (getattr(candles, name)[inside] for name in ("open_times", *COLUMNS))
    return Candles(candles.symbol, candles.interval, *columns)


def _refused(detail: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="CANDLES_NOT_USABLE")
