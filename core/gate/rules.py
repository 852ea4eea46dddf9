"""What becomes of each kind of defect in market data, and why: one line for every kind.

Whatever the policy, a defect is counted and told. Three defects say nothing against the rows they are found in (rows
in another order, the same row twice, a market without trades); everything else that touches what a decision would
read degrades the symbol, and no decision may follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from core.market import COLUMNS, Floats, Instants

# A dropped row among so many newest candles degrades the symbol: it stands where every theory looks.
RECENT_CANDLES = 60

NOWHERE = np.empty(0, dtype=np.int64)


class Policy(StrEnum):
    """What becomes of the rows."""

    REFUSE = "refuse"  # the whole series: nobody can know what would be right
    DROP = "drop"  # the rows concerned, or all that lies before them
    FILL = "fill"  # the last close, without volume
    ACCEPT = "accept"  # nothing, or only what has one meaning


class Harm(StrEnum):
    """When a defect degrades its symbol."""

    NEVER = "never"
    RECENT = "recent"  # when it touches one of the newest candles
    ALWAYS = "always"


class Rule(NamedTuple):
    """The policy of one kind of defect, the reason for it, and what the owner of the data can do."""

    policy: Policy
    harm: Harm
    reason: str
    remedy: str


_AGAIN = "download this span again"
_NOTHING = "nothing is to be done"

RULES: Mapping[str, Rule] = {
    # the whole series
    "unequal_columns": Rule(
        Policy.REFUSE, Harm.ALWAYS, "values of columns of two lengths form no rows", "give six columns of one length"
    ),
    "no_candles": Rule(Policy.REFUSE, Harm.ALWAYS, "nothing can be said about nothing", "ask for a span with candles"),
    "too_short": Rule(Policy.REFUSE, Harm.ALWAYS, "fewer candles than their reader needs", "ask for a longer span"),
    "mixed_time_units": Rule(
        Policy.REFUSE, Harm.ALWAYS, "two units of time are two sources in one series", "give all times in milliseconds"
    ),
    "twelve_hour_clock": Rule(
        Policy.REFUSE, Harm.ALWAYS, "without AM and PM each time means two candles", "give times of a 24-hour clock"
    ),
    "price_jump": Rule(
        Policy.REFUSE,
        Harm.ALWAYS,
        "a jump that lasts is another market, or another unit",
        "keep one source in a series",
    ),
    "volume_unit_flip": Rule(
        Policy.REFUSE, Harm.ALWAYS, "dollars on one side and coins on the other cannot be compared", "give all in coins"
    ),
    # rows in time
    "unreadable_time": Rule(Policy.DROP, Harm.ALWAYS, "a row without a time belongs nowhere", "remove the row"),
    "future": Rule(Policy.DROP, Harm.ALWAYS, "no candle starts after now", "compare both clocks"),
    "open_candle": Rule(Policy.DROP, Harm.NEVER, "it still changes: to use it is to look ahead", "wait for its close"),
    "off_grid": Rule(Policy.DROP, Harm.RECENT, "candles start on their interval's grid", _AGAIN),
    "before_listing": Rule(
        Policy.DROP, Harm.RECENT, "the candles of a coin's former name are another series", "store them under that name"
    ),
    "time_unit": Rule(Policy.ACCEPT, Harm.NEVER, "one unit throughout converts exactly", "give milliseconds"),
    "out_of_order": Rule(Policy.ACCEPT, Harm.NEVER, "sorting changes no candle", _NOTHING),
    "duplicate": Rule(Policy.DROP, Harm.NEVER, "the same row twice is one candle", _NOTHING),
    "conflict": Rule(
        Policy.DROP, Harm.ALWAYS, "of two answers for one candle the first is kept, and none can be trusted", _AGAIN
    ),
    "revised": Rule(
        Policy.DROP, Harm.ALWAYS, "decisions saw the stored candle: it stays, the later answer is recorded", _AGAIN
    ),
    # numbers
    "not_finite": Rule(Policy.DROP, Harm.RECENT, "NaN, infinity, null and text are no numbers", _AGAIN),
    "not_positive": Rule(Policy.DROP, Harm.RECENT, "prices are above 0, volumes not below", _AGAIN),
    "high_below_low": Rule(Policy.DROP, Harm.RECENT, "no market trades so", _AGAIN),
    "outside_range": Rule(Policy.DROP, Harm.RECENT, "open and close lie between low and high", _AGAIN),
    "spike": Rule(Policy.DROP, Harm.RECENT, "a price that no neighbour confirms is a slipped digit", _AGAIN),
    # what is not there
    "missing": Rule(
        Policy.FILL, Harm.NEVER, "exchanges leave out candles without a trade: price stands, volume is 0", _NOTHING
    ),
    "gap": Rule(Policy.DROP, Harm.ALWAYS, "what lies before a long hole is another series", "fetch what is missing"),
    "zero_volume": Rule(Policy.ACCEPT, Harm.NEVER, "a market may be quiet", _NOTHING),
    "frozen": Rule(Policy.ACCEPT, Harm.RECENT, "one price for many candles is a feed that stopped", "check the feed"),
    "constant_price": Rule(Policy.ACCEPT, Harm.ALWAYS, "a price that never moves tells nothing", "check the feed"),
    "stale": Rule(Policy.ACCEPT, Harm.ALWAYS, "on candles this old nothing can be decided", "check feed and clock"),
}
POLICIES: Mapping[str, Policy] = {kind: rule.policy for kind, rule in RULES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Defect:
    """One kind of defect in one series.

    `times` are the starts of what is concerned, oldest first: of each row, or of each hole and still stretch, whose
    `lengths` are counted in candles. They are empty where a defect has no place in time.
    """

    kind: str
    policy: Policy
    count: int
    first: int | None
    example: str
    degrading: bool
    times: Instants
    lengths: Instants


class Book:
    """Takes down what is found on the way. What it means is known when the newest candle is."""

    def __init__(self, step_ms: int) -> None:
        self._step_ms = step_ms
        self._notes: list[tuple[str, int, str, Instants, Instants]] = []

    def note(
        self, kind: str, times: Instants = NOWHERE, *, example: str, lengths: Instants | None = None, count: int = 0
    ) -> None:
        """Rows or stretches of one kind; `count` where they are not told by their times."""
        spans = np.ones(len(times), dtype=np.int64) if lengths is None else lengths
        self._notes.append((kind, count or len(times) or 1, example, times, spans))

    def close(self, newest: int | None) -> tuple[Defect, ...]:
        """All notes as defects, given the start of the newest usable candle."""
        return tuple(self._judge(*note, newest=newest) for note in self._notes)

    def _judge(
        self, kind: str, count: int, example: str, times: Instants, lengths: Instants, *, newest: int | None
    ) -> Defect:
        policy, harm, *_ = RULES[kind]
        degrading = harm is Harm.ALWAYS
        if harm is Harm.RECENT:
            begin = None if newest is None else newest - (RECENT_CANDLES - 1) * self._step_ms
            degrading = begin is None or bool((times + lengths * self._step_ms > begin).any())
        first = int(times[0]) if len(times) else None
        return Defect(kind, policy, count, first, example, degrading, times, lengths)


def utc(milliseconds: int) -> str:
    """An instant as people read it.

    >>> utc(1_735_689_600_000)
    '2025-01-01T00:00:00Z'
    """
    return f"{np.datetime_as_string(np.datetime64(int(milliseconds), 'ms'), unit='s')}Z"


def words_of(values: Sequence[float] | Floats) -> str:
    """The five numbers of a row in words."""
    return ", ".join(f"{column} {value:.10g}" for column, value in zip(COLUMNS, values, strict=True))


def example(times: Instants, block: Floats, row: int) -> str:
    """One row in words."""
    return f"{utc(times[row])}: {words_of(block[:, row])}"
