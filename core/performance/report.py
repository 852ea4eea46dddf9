"""The answers about results: statistics in groups, the equity day by day, confidence against outcome, the review."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Final

from core.errors import invalid
from core.performance.better import Finding, is_above
from core.performance.confidence_bins import ConfidenceBin, confidence_bins
from core.performance.decisions import (
    DECISION_KEYS,
    estimate_confidence,
    estimate_hold_share,
    estimate_hold_share_by,
)
from core.performance.measure import KEYS, Performance, measure, measure_by
from core.performance.question import Grouping, MeasureRequest, PerformanceRequest
from core.performance.review import Review, review
from core.performance.sample import ClosedTrade, Decided, Estimate, Span
from core.trade import STRICT

MOST_POINTS: Final = 2_000  # of an equity curve: more than a picture is wide
NONE: Final = "none"  # the group of what has no variant or tier

Asked = MeasureRequest | PerformanceRequest


@dataclass(frozen=True, slots=True)
class Sample:
    """What the books hold of what was asked for.

    `capital` is what the account had when the first of the days began. `emitted` are the BUY and SELL signals whose
    trades have ended, also those that never were in the market.
    """

    account: str
    capital: Decimal
    closed: tuple[ClosedTrade, ...]
    emitted: tuple[Decided, ...] = ()
    decided: tuple[Decided, ...] = ()


@dataclass(frozen=True, slots=True)
class PerformanceGroup:
    """One group of trades over the same days and capital. Directions have no share of HOLD."""

    __pydantic_config__: ClassVar = STRICT
    key: str
    performance: Performance
    hold_share: Estimate | None


@dataclass(frozen=True, slots=True)
class PerformanceReport:
    """What the trades of an account amount to, and whether they prove anything yet."""

    __pydantic_config__: ClassVar = STRICT
    account: str
    capital: Decimal
    first_day: datetime
    last_day: datetime
    performance: Performance
    hold_share: Estimate
    confidence: Estimate
    earns: Finding
    wins_more_than_half: Finding
    groups: tuple[PerformanceGroup, ...]


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The balance from an instant on, and how far it lies under its highest so far."""

    __pydantic_config__: ClassVar = STRICT
    at: datetime
    equity: Decimal
    drawdown_percent: float


@dataclass(frozen=True, slots=True)
class EquityCurve:
    """The balance after each closed trade; where those are too many, at the last closing of every so many days."""

    __pydantic_config__: ClassVar = STRICT
    account: str
    capital: Decimal
    trades: int
    days_a_point: int  # 0: a point is a trade
    points: tuple[EquityPoint, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence against outcome: of each bin of confidence the share that won."""

    __pydantic_config__: ClassVar = STRICT
    account: str
    trades: int
    bins: tuple[ConfidenceBin, ...]


def check_question(request: Asked, now: datetime) -> None:
    """Refuse days that cannot hold a trade."""
    until = now if request.until is None else min(request.until, now)
    if request.since is not None and request.since >= until:
        detail = f"{request.since.isoformat()} is not before {until.isoformat()}: no trade can have closed in between"
        raise invalid("since", detail)


def report_performance(sample: Sample, request: PerformanceRequest, now: datetime) -> PerformanceReport:
    """Every statistic of the sample, together and in groups."""
    span = span_of_sample(sample, request, now)
    performance = measure(sample.closed, span)
    return PerformanceReport(
        account=sample.account,
        capital=span.capital,
        first_day=_midnight(span.first),
        last_day=_midnight(span.last),
        performance=performance,
        hold_share=estimate_hold_share(sample.decided),
        confidence=estimate_confidence(sample.emitted),
        earns=is_above(performance.expectancy_usd, 0.0),
        wins_more_than_half=is_above(performance.win_rate, 0.5),
        groups=() if request.group_by is None else _groups(sample, span, request.group_by),
    )


def report_review(sample: Sample, request: MeasureRequest, now: datetime) -> Review:
    """What the rule says, beside what the trades allow to say."""
    return review(measure(sample.closed, span_of_sample(sample, request, now)), sample.emitted)


def report_equity(sample: Sample) -> EquityCurve:
    """The balance after each closing, thinned where a picture could not show it."""
    trades = sorted(sample.closed, key=lambda each: (each.closed_at, each.id))
    balance, highest = sample.capital, sample.capital
    points = []
    for trade in trades:
        balance += trade.pnl
        highest = max(highest, balance)
        points.append(EquityPoint(trade.closed_at, balance, _percent_under(balance, highest)))
    days = 0
    if len(points) > MOST_POINTS:
        covered = (points[-1].at - points[0].at) // timedelta(days=1) + 2
        days = -(-covered // MOST_POINTS)
        points = _thin(points, days)
    return EquityCurve(sample.account, sample.capital, len(trades), days, tuple(points))


def report_calibration(sample: Sample) -> Calibration:
    """Confidence against outcome."""
    bins = confidence_bins(sample.closed)
    return Calibration(sample.account, sum(each.won.n for each in bins), bins)


def span_of_sample(sample: Sample, request: Asked, now: datetime) -> Span:
    """From the first opening (or `since`, where that is later) to now (or `until`).

    Days before the first trade would count as days on which nothing was earned.
    """
    last = now if request.until is None else min(request.until - timedelta(microseconds=1), now)
    begins = min((each.opened_at for each in sample.closed), default=last)
    first = begins if request.since is None else max(begins, request.since)
    ends = max([last, *(each.closed_at for each in sample.closed)])
    return Span(_day(first), max(_day(first), _day(ends)), sample.capital)


def _groups(sample: Sample, span: Span, grouping: Grouping) -> tuple[PerformanceGroup, ...]:
    found = measure_by(sample.closed, span, KEYS[grouping.value])
    key = DECISION_KEYS.get(grouping.value)
    holds = {} if key is None else estimate_hold_share_by(sample.decided, key)
    names: list[Hashable] = sorted({*found, *holds}, key=lambda each: (each is None, str(each)))
    return tuple(
        PerformanceGroup(
            NONE if name is None else str(name),
            found[name] if name in found else measure((), span),
            holds.get(name),
        )
        for name in names
    )


def _thin(points: Sequence[EquityPoint], days: int) -> list[EquityPoint]:
    """The last point of every so many days."""
    last = {(each.at.astimezone(UTC).date() - date(1970, 1, 1)).days // days: each for each in points}
    return list(last.values())


def _percent_under(balance: Decimal, highest: Decimal) -> float:
    return 100.0 * float(1 - balance / highest) if highest > 0 else 0.0


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
