"""How each theory did on closed trades: did it point the right way, and what was it worth with an interval.

A vote is a hit where the trade went the way it pointed: for the trade's direction and the trade won, or against it and
the trade lost. Trades that ended even tell nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final

from core.deciding.decision import Case, decide
from core.performance.contribution import Choice, Contribution, DecideWithout, Judged, Role, contribute
from core.performance.measure import estimate_rate
from core.signal import Signal
from core.trade import STRICT, Direction

ALL: Final = "ALL"  # every symbol together


@dataclass(frozen=True, slots=True)
class JudgedCase:
    """A stored decision, what it followed from, and what became of it."""

    judged: Judged
    case: Case


@dataclass(frozen=True, slots=True)
class TheoryPerformance:
    """How one theory did on the trades of a symbol (or of ALL), as it was computed then.

    `contribution_percent` is its worth in percent of the account's capital; None where nothing can be said.
    """

    __pydantic_config__: ClassVar = STRICT
    account: str
    theory: str
    symbol: str
    computed_at: datetime
    trades: int
    decisions: int
    votes: int
    hits: int
    hit_fraction: float | None
    hit_low: float | None
    hit_high: float | None
    contribution_percent: float | None
    contribution_low: float | None
    contribution_high: float | None
    role: Role


@dataclass(frozen=True, slots=True)
class ListTheoryPerformanceResponse:
    """Evaluations as they were stored, the newest first."""

    __pydantic_config__: ClassVar = STRICT
    evaluations: tuple[TheoryPerformance, ...]


@dataclass(frozen=True, slots=True)
class ContributionReport:
    """What each theory is worth, the largest first.

    `forgotten` decisions had their readings deleted after the retention time and cannot be made again.
    """

    __pydantic_config__: ClassVar = STRICT
    account: str
    trades: int
    holds: int
    forgotten: int
    theories: tuple[Contribution, ...]


def report_contribution(account: str, judged: Sequence[JudgedCase], *, forgotten: int) -> ContributionReport:
    """Each theory's part in the results of these decisions."""
    theories = theories_of(judged)
    found = contribute([each.judged for each in judged], theories, leave_out(judged))
    trades = sum(_was_traded(each) for each in judged)
    return ContributionReport(account, trades, len(judged) - trades, forgotten, found)


def evaluate_theories(
    account: str, capital: Decimal, judged: Sequence[JudgedCase], at: datetime
) -> tuple[TheoryPerformance, ...]:
    """Every theory on every symbol, and on all of them together, by symbol and name."""
    decide_without = leave_out(judged)
    groups: dict[str, list[JudgedCase]] = {ALL: list(judged)}
    for each in judged:
        groups.setdefault(each.judged.signal.symbol, []).append(each)
    rows = []
    for symbol, members in sorted(groups.items()):
        parts = contribute([each.judged for each in members], theories_of(members), decide_without)
        by_name = sorted(parts, key=lambda part: part.theory)
        rows += [_evaluate(account, capital, symbol, at, part=part, judged=members) for part in by_name]
    return tuple(rows)


def leave_out(judged: Sequence[JudgedCase]) -> DecideWithout:
    """How a decision is made again without a theory; each is made once.

    What the account forbade stays forbidden: without the theory it would have been asked the same.
    """
    cases = {each.judged.signal.id: each.case for each in judged}
    stopped = {each.judged.signal.id: _is_stopped(each) for each in judged}
    made: dict[tuple[str, str], Choice] = {}

    def decide_without(theory: str, signal: Signal) -> Choice:
        key = (theory, signal.id)
        if key not in made:
            found = decide(cases[signal.id], without=theory)
            direction = Direction.HOLD if stopped[signal.id] else found.direction
            made[key] = Choice(direction, found.confidence)
        return made[key]

    return decide_without


def theories_of(judged: Sequence[JudgedCase]) -> tuple[str, ...]:
    """Every theory that was asked."""
    asked: set[str] = set()
    for each in judged:
        asked.update(reading.theory for reading in each.case.analysis.readings)
        asked.update(gap.theory for gap in each.case.analysis.missing)
    return tuple(sorted(asked))


def count_hits(judged: Sequence[JudgedCase]) -> Mapping[str, tuple[int, int]]:
    """Votes on trades that won or lost, and how many of them pointed the right way, by theory."""
    found: dict[str, tuple[int, int]] = {}
    for each in judged:
        result, signal = each.judged.pnl_usd, each.judged.signal
        if not _was_traded(each) or result == 0.0:
            continue
        rose = (signal.direction is Direction.BUY) == (result > 0.0)
        for vote in signal.votes:
            if vote.vote != 0.0 and vote.problem is None:
                votes, hits = found.get(vote.theory, (0, 0))
                found[vote.theory] = (votes + 1, hits + ((vote.vote > 0.0) == rose))
    return found


def _evaluate(
    account: str, capital: Decimal, symbol: str, at: datetime, *, part: Contribution, judged: Sequence[JudgedCase]
) -> TheoryPerformance:
    votes, hits = count_hits(judged).get(part.theory, (0, 0))
    rate = estimate_rate(hits, votes)
    worth = [_percent(value, capital) for value in (part.pnl_usd.value, part.pnl_usd.low, part.pnl_usd.high)]
    return TheoryPerformance(
        account=account,
        theory=part.theory,
        symbol=symbol,
        computed_at=at,
        trades=sum(_was_traded(each) for each in judged),
        decisions=len(judged),
        votes=votes,
        hits=hits,
        hit_fraction=rate.value,
        hit_low=rate.low,
        hit_high=rate.high,
        contribution_percent=worth[0],
        contribution_low=worth[1],
        contribution_high=worth[2],
        role=part.role,
    )


def _is_stopped(each: JudgedCase) -> bool:
    return each.judged.signal.direction is Direction.HOLD and decide(each.case).direction is not Direction.HOLD


def _was_traded(each: JudgedCase) -> bool:
    return each.judged.signal.direction is not Direction.HOLD


def _percent(value: float | None, capital: Decimal) -> float | None:
    return None if value is None else 100.0 * value / float(capital)
