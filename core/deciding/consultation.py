"""What each way of deciding makes of one market: theories, models, and the vote of both, on the same candles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from core.deciding.confidence import Records, Threshold, calibrate, raise_threshold
from core.deciding.decision import Decision
from core.deciding.ensemble_decision import EnsembleCase, model_versions, without_theories
from core.deciding.levels import Yardstick
from core.deciding.strategies import AnyCase, decide_case
from core.deciding.vote import VoteCase, take_side
from core.ensemble import Outlook
from core.llm.asking import Prompt
from core.signal import LlmUse, Mode, Strategy, Version
from core.signals.ports import Study
from core.trade import Book

logger = logging.getLogger(__name__)

RecordsOf = Mapping[Strategy, Records]
"""The closed trades of one symbol's published signals, by the strategy that decided them."""


@dataclass(frozen=True, slots=True)
class Consultation:
    """What one variant or strategy makes of a market: the case with its decision, and what was said on the way.

    `versions` are those of what had a part in it.
    """

    book: Book
    case: AnyCase
    decision: Decision
    mode: Mode
    prompt: Prompt | None
    reply: str | None
    llm: LlmUse | None
    calibrated: float | None = None  # the share of such signals that ended as wins, once there are enough
    versions: tuple[Version, ...] = ()


class Sideline:
    """Where strategies only compare. What fails there is logged and counted, and what is published stands.

    `count` is told the part that failed, such as `v6` or `order`.
    """

    def __init__(self, count: Callable[[str], None] | None = None) -> None:
        self.failures = 0
        self._count = count

    @contextmanager
    def guard(self, part: str, symbol: str | None = None, *, compared: bool = True) -> Iterator[None]:
        """Go on after whatever goes wrong within, where it only compares."""
        try:
            yield
        except Exception:
            if not compared:
                raise
            self.failures += 1
            if self._count is not None:
                self._count(part)
            what = part if symbol is None else f"{part} of {symbol}"
            logger.exception("%s is left out of the comparison", what)


class Sight(NamedTuple):
    """A market as every strategy sees it."""

    study: Study
    mode: Mode
    profile: float  # the threshold before any trade
    yardstick: Yardstick
    records: RecordsOf

    def threshold(self, strategy: Strategy) -> Threshold:
        """That of a strategy without variants, after its own trades."""
        return raise_threshold(self.profile, self.records.get(strategy, {}).get(None, {}))


def consult_models(sight: Sight, outlook: Outlook) -> Consultation:
    """What the models decide."""
    ground = without_theories(sight.study.analysis)
    case = EnsembleCase(ground, outlook, sight.threshold(Strategy.V6), sight.yardstick)
    return replace(consulted(case, sight), versions=model_versions(outlook))


def consult_both(sight: Sight, theories: Consultation, models: Consultation) -> Consultation:
    """What theories and models decide by vote. What had a part in a side that was heard had one in the vote."""
    both = (theories, models)
    sides = tuple(take_side(each.decision) for each in both)
    ground = without_theories(sight.study.analysis)
    case = VoteCase(ground, sides, sight.threshold(Strategy.VOTE), sight.yardstick)
    heard = (each.versions for each, side in zip(both, sides, strict=True) if side.problem is None)
    return replace(consulted(case, sight), versions=tuple(version for versions in heard for version in versions))


def consulted(case: AnyCase, sight: Sight) -> Consultation:
    """The decision of a case, and what such decisions were worth."""
    decision = decide_case(case)
    records = sight.records.get(decision.strategy, {}).get(decision.variant, {})
    worth = calibrate(records.get(decision.tier) if decision.tier is not None else None)
    return Consultation(Book.SHADOW, case, decision, sight.mode, None, None, None, worth)


def arrange(found: Mapping[Strategy, tuple[Consultation, ...]], primary: Strategy) -> Iterator[Consultation]:
    """What is published first. The theories' views keep their own books where they are what is published."""
    if primary is Strategy.V7:
        yield from found[primary]
    else:
        yield replace(found[primary][0], book=Book.PRIMARY)
    for strategy, consultations in found.items():
        if strategy is not primary:
            yield replace(consultations[0], book=Book.SHADOW)
