"""The candles that models learn from, coin by coin, and the data sets that are made of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from core.errors import Code, CrpbotError
from core.features import WARM_UP
from core.market import COLUMNS, Candles, instant, interval_seconds
from training.dataset import HORIZON, Dataset, build_dataset
from training.split import draw_borders

logger = logging.getLogger(__name__)

SHORTENED: Final = 0.9  # of the longest coin's span: a coin that takes more than a tenth of it away is told


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
    """The coins' data sets on the span that all of them have, with the same borders between their parts.

    A coin that shortens the others' span is named in the log, and in the refusal where that leaves too little.
    """
    if len(histories) < 2:
        return [build_dataset(each.stretches, origin=each.origin, window=window) for each in _align(histories, window)]
    limit = _Limit.of(histories)
    if limit.end <= limit.begin:
        raise _refused(f"no minute is common to the {len(histories)} coins: {limit}")
    kept: list[History] = []
    found: list[Dataset] = []
    try:
        kept = _align(histories, window)
        begin = min(int(each.stretches[0].open_times[0]) for each in kept)
        end = max(each.stretches[-1].as_of for each in kept)
        borders = draw_borders(begin, end, step=1_000 * interval_seconds(kept[0].stretches[0].interval))
        for each in kept:
            found.append(build_dataset(each.stretches, origin=each.origin, window=window, borders=borders))
    except CrpbotError as error:
        whose = f"{kept[len(found)].symbol}: " if kept else ""
        detail = f"{whose}{error.detail}; of the {len(histories)} coins {limit}"
        raise CrpbotError(error.code, detail, reason=error.reason, violations=error.violations) from None
    if limit.share < SHORTENED:
        words = "%d coins are learned from together, %.0f %% of what %s has alone: %s"
        logger.warning(words, len(histories), 100 * limit.share, limit.longest, limit)
    return found


def trainable(histories: Sequence[History], window: int) -> tuple[History, ...]:
    """The coins that give a data set each by itself; the last refusal where none does."""
    kept = []
    refusals: dict[str, CrpbotError] = {}
    for history in histories:
        try:
            build_datasets([history], window)
        except CrpbotError as error:
            refusals[history.symbol] = error
        else:
            kept.append(history)
    if refusals and not kept:
        raise list(refusals.values())[-1]
    for symbol, refusal in refusals.items():
        logger.warning("%s is left out, the other coins are learned from without it: %s", symbol, refusal.detail)
    return tuple(kept)


class _Limit(NamedTuple):
    """The span that several coins have in common (ms), and who has no more than that."""

    begin: int
    end: int
    first: str  # the coin that begins last
    last: str  # the coin that ends first
    longest: str  # the coin that has the longest span
    share: float  # of its span that is common to all

    @classmethod
    def of(cls, histories: Sequence[History]) -> _Limit:
        spans = {each.symbol: (int(each.stretches[0].open_times[0]), each.stretches[-1].as_of) for each in histories}
        first, last = max(spans, key=lambda symbol: spans[symbol][0]), min(spans, key=lambda symbol: spans[symbol][1])
        longest = max(spans, key=lambda symbol: spans[symbol][1] - spans[symbol][0])
        begin, end = spans[first][0], spans[last][1]
        return cls(begin, end, first, last, longest, (end - begin) / (spans[longest][1] - spans[longest][0]))

    def __str__(self) -> str:
        begin, end = (f"{instant(each):%Y-%m-%d %H:%M}" for each in (self.begin, self.end))
        if self.first == self.last:
            return f"{self.first} has only {begin} to {end}: fetch more of it, or leave its files out"
        ends = f"{self.first} begins last, {begin}, and {self.last} ends first, {end}"
        return f"{ends}: fetch more of them, or leave one's files out"


def _align(histories: Sequence[History], window: int) -> list[History]:
    """Each coin's candles of the span that all of them have, without stretches at its ends that give no window."""
    begin = max(int(each.stretches[0].open_times[0]) for each in histories)
    end = min(each.stretches[-1].as_of for each in histories)
    return [trim(cut(each, begin, end), WARM_UP + window + HORIZON) for each in histories]


def _between(candles: Candles, begin: int, end: int) -> Candles:
    inside = slice(*np.searchsorted(candles.open_times, (begin, end)))
    columns = (getattr(candles, name)[inside] for name in ("open_times", *COLUMNS))
    return Candles(candles.symbol, candles.interval, *columns)


def _refused(detail: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="CANDLES_NOT_USABLE")
