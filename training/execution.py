"""The market as a trader's agent lives it: every order pays spread, slippage and fee, and a day may lose only so much.

Many accounts are traded at once, each on its own stretch of candles. An account has one unit of exposure (a multiple of
the initial capital) short, none, or one long. With price p of a closed candle, position s, entry price e, exposure x
and cost c of one side (all money as a fraction of the initial capital):

- opening costs c x; closing costs c x p / e and books x s (p / e - 1) to the balance;
- equity is the balance and the open result x s (p / e - 1); the reward of a step is the change of equity in
  thousandths of the initial capital, so rewards add up to the result after all costs;
- the firm's day begins at its midnight and remembers the balance of that moment. At `daily_loss` below it the account
  is closed at once and the episode ends; at the end of its stretch it is closed as well, and the episode is cut off.

An action is carried out at the close that the agent has just seen, plus costs. What happens within a minute is not
known here, so a limit counts at the close of the minute and may be overshot by that minute.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.market import INTERVAL_SECONDS
from core.models.observation import OBSERVATIONS, Observations, observe
from core.paper.costs import STANDARD, Costs, costs_of
from core.risk.calendar import firm_day
from core.risk.pack import DEFAULT_PACK, RiskPack, find_pack
from training.dataset import Dataset
from training.split import Part

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

PER_MILLE: Final = 1_000.0
"""Rewards of about 1 a step: a value network learns slowly what is a thousand times smaller."""


class Terms(NamedTuple):
    """What an account pays and may lose: fractions of the notional and of the initial capital."""

    cost: float  # of one side
    daily_loss: float
    time_zone: str
    exposure: float = 1.0  # one: a stop of 0.5 to 1 % then risks the 0.5 to 1 % of the capital that the desk risks


class Course(NamedTuple):
    """Candles to trade on, and where an episode of `length` steps may begin without meeting a hole or the end.

    Shape: features (N, 31) scaled, closes (N,), days (N,) the firm's day of each close, starts (S,).
    """

    features: NDArray[np.float32]
    closes: Floats
    days: Rows
    starts: Rows
    length: int


class Step(NamedTuple):
    """What a step of every account gave. `final` is what ended accounts saw last; they have begun anew since.

    Shape: observation (B, 34), reward (B,), the flags (B,), ended (E,) places of those that ended, final (E, 34).
    """

    observation: Observations
    reward: Floats
    is_terminated: Flags
    is_truncated: Flags
    ended: Rows
    final: Observations


def terms_of(pack: RiskPack, costs: Costs = STANDARD, *, exposure: float = 1.0) -> Terms:
    """The firm's commission and daily limit with the house's spread and slippage."""
    if not 0.0 < exposure <= float(pack.leverage):
        raise invalid(
            "exposure", f"is {exposure}; above 0 and at most the leverage {pack.leverage} of {pack.id} is needed"
        )
    costs = costs_of(pack, costs)
    cost = float(costs.market_fraction + costs.commission_fraction)
    return Terms(cost, float(pack.daily_loss), pack.time_zone, exposure)


def firm_terms() -> Terms:
    """Those of the firm whose rules the desk keeps unless told otherwise."""
    return terms_of(find_pack(DEFAULT_PACK))


def lay_course(
    features: NDArray[np.float32],
    closes: Floats,
    open_times: Rows,
    *,
    rows: Rows,
    interval: str,
    length: int,
    zone: str,
) -> Course:
    """The stretches of `rows` (rising) on which `length` candles follow each other without a hole."""
    step = 1_000 * INTERVAL_SECONDS[interval]
    if len(rows) == 0:
        raise invalid("rows", "no candles to trade on: the part is empty")
    follows = (np.diff(rows) == 1) & (np.diff(open_times[rows]) == step)
    ends = np.append(np.flatnonzero(~follows), len(rows) - 1)
    left = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(rows))
    starts = rows[left >= length]
    if len(starts) == 0:
        detail = f"the longest stretch without a hole has {left.max() + 1} candles, an episode needs {length + 1}"
        raise invalid("candles", f"{detail}; fetch {length - left.max()} more or take shorter episodes")
    return Course(features, closes, number_days(open_times + step, zone), starts, length)


def lay_part(dataset: Dataset, part: Part, terms: Terms, length: int) -> Course:
    """One part of a data set as a course. Episodes end inside it: no other part's candles are seen or traded."""
    return lay_course(
        dataset.features,
        dataset.closes,
        dataset.open_times,
        rows=part.rows,
        interval=dataset.interval,
        length=length,
        zone=terms.time_zone,
    )


def number_days(closed_at: Rows, zone: str) -> Rows:
    """Which day of the firm each close (ms) falls into, counted from the first one; midnight begins the new day.

    Shape: (N,) -> (N,).
    """
    if len(closed_at) == 0:
        return np.empty(0, dtype=np.int64)
    day = firm_day(zone, datetime.fromtimestamp(closed_at.min() / 1_000, UTC))
    borders = []
    while day.ends_at.timestamp() * 1_000 <= closed_at.max():
        borders.append(round(day.ends_at.timestamp() * 1_000))
        day = firm_day(zone, day.ends_at + timedelta(seconds=1))
    return np.searchsorted(np.array(borders, dtype=np.int64), closed_at, side="right")


class Execution:
    """`count` accounts on one course. Where the next episode begins is drawn from `rng`, which may be exchanged."""

    KEPT: ClassVar = ("row", "stop", "side", "entry", "balance", "midnight", "equity")

    def __init__(self, course: Course, terms: Terms, count: int, *, rng: np.random.Generator) -> None:
        self.rng = rng
        self._course, self._terms, self._count = course, terms, count
        self.row, self.stop = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.side, self.entry = np.zeros(count), np.ones(count)
        self.balance, self.midnight, self.equity = np.zeros(count), np.zeros(count), np.zeros(count)

    def reset(self, starts: Rows | None = None) -> Observations:
        """Every account begins anew, at drawn rows or at the given ones."""
        self._begin(np.arange(self._count), self._draw(self._count) if starts is None else starts)
        return self._observe()

    def step(self, actions: Rows, *, out: Observations | None = None) -> Step:
        """Trade at the close just seen (0 short, 1 flat, 2 long) and hold to the next one.

        Shape: (B,) -> Step; the observation is written into `out` if given.
        """
        before = self.equity.copy()
        self._trade((actions - 1).astype(np.float64))
        row, days = self.row, self._course.days
        is_new_day = days[row] != days[row + 1]
        self.row = row = row + 1
        self.midnight = np.where(is_new_day, self.balance, self.midnight)
        self.equity = self.balance + self._open_result()
        is_terminated = self.equity <= self.midnight - self._terms.daily_loss
        is_truncated = (row >= self.stop) & ~is_terminated
        ended = np.flatnonzero(is_terminated | is_truncated)
        if len(ended) == 0:
            final = np.empty((0, OBSERVATIONS), dtype=np.float32)
            reward = PER_MILLE * (self.equity - before)
        else:
            self._close(ended)
            final = self._observe_some(ended)
            reward = PER_MILLE * (self.equity - before)
            self._begin(ended, self._draw(len(ended)))
        return Step(self._observe(out), reward, is_terminated, is_truncated, ended, final)

    def state(self) -> dict[str, NDArray[Any]]:  # Any: whole numbers and floats
        """All that a later run needs to go on as if it had not been interrupted, the draws of `rng` excepted."""
        return {name: getattr(self, name).copy() for name in self.KEPT}

    def restore(self, state: dict[str, NDArray[Any]]) -> Observations:
        """Go on from a state, and see what was seen then."""
        for name in self.KEPT:
            setattr(self, name, state[name].copy())
        return self._observe()

    def _draw(self, count: int) -> Rows:
        return self._course.starts[self.rng.integers(len(self._course.starts), size=count)]

    def _begin(self, places: Rows, starts: Rows) -> None:
        self.row[places], self.stop[places] = starts, starts + self._course.length
        self.side[places], self.entry[places] = 0.0, 1.0
        for column in (self.balance, self.midnight, self.equity):
            column[places] = 0.0

    def _trade(self, target: Floats) -> None:
        """Leave positions that change and enter the new ones, at the last close."""
        changed = np.flatnonzero(target != self.side)
        if len(changed):
            self._close(changed)
            opened = changed[target[changed] != 0.0]
            self.side[opened], self.entry[opened] = target[opened], self._course.closes[self.row[opened]]
            self.balance[opened] -= self._terms.cost * self._terms.exposure

    def _close(self, places: Rows) -> None:
        """Book the open results of some accounts, less the cost of leaving; flat ones stay as they are."""
        side, moved = self.side[places], self._course.closes[self.row[places]] / self.entry[places]
        booked = self._terms.exposure * (side * (moved - 1.0) - self._terms.cost * np.abs(side) * moved)
        self.balance[places] += booked
        self.side[places], self.entry[places] = 0.0, 1.0
        self.equity[places] = self.balance[places]

    def _open_result(self) -> Floats:
        return self._terms.exposure * self._move()

    def _move(self) -> Floats:
        return self.side * (self._course.closes[self.row] / self.entry - 1.0)

    def _observe(self, out: Observations | None = None) -> Observations:
        headroom = (self.equity - self.midnight) / self._terms.daily_loss + 1.0
        return observe(self._course.features[self.row], self.side, self._move(), headroom, out=out)

    def _observe_some(self, places: Rows) -> Observations:
        headroom = (self.equity[places] - self.midnight[places]) / self._terms.daily_loss + 1.0
        nothing = np.zeros(len(places))
        return observe(self._course.features[self.row[places]], nothing, nothing, headroom)
