"""Fitting theories on long history: which ones, on which candles, and what came out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from core.analyzers import code_hash, find, learners
from core.errors import invalid, unknown
from core.fitted import Fit, Span, State
from core.market import Candles, instant

# Three weeks and a half of 5-minute candles: enough for hundreds of changes of regime, and fitted in about a second.
HISTORY_CANDLES = 7_000


class Task(NamedTuple):
    """One theory to be fitted on one symbol's history."""

    theory: str
    history: Candles


class Learned(NamedTuple):
    """What one task gave."""

    span: Span
    state: State


def choose_learners(names: Sequence[str]) -> tuple[str, ...]:
    """The fitted theories named, or all of them; a theory that needs no fitting is refused by name."""
    known = tuple(each.name for each in learners())
    for name in names:
        if name not in known:
            raise unknown("theory", "fitted theory", name, known)
    return tuple(name for name in known if not names or name in names)


def learn(task: Task) -> Learned:
    """Fits one theory on one history. Deterministic: the same candles give the same state."""
    learning = find(task.theory).learning
    if learning is None:
        raise invalid("theory", f"{task.theory} needs no fitting")
    state = learning.fit(task.history)
    metrics = {name: float(value) for name, value in state._asdict().items() if value.ndim == 0}
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    history = task.history
    span = Span(instant(int(history.open_times[0])), instant(history.as_of), len(history), finite)
    return Learned(span, state)


def bind(theory: str, origin: str, learned: Sequence[tuple[Candles, Learned]], *, at: datetime) -> Fit:
    """What was learned from the histories of one interval, as one fit."""
    return Fit(
        theory=theory,
        origin=origin,
        interval=learned[0][0].interval,
        code=code_hash(theory),
        fitted_at=at,
        spans={history.symbol: each.span for history, each in learned},
        states={history.symbol: each.state for history, each in learned},
    )
