"""What a walked course amounts to: weeks, trades and statistics, each with n and what it cannot say yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from core.paper.trade import PaperTrade
from core.performance.better import Finding, is_above
from core.performance.confidence_bins import ConfidenceBin, confidence_bins
from core.performance.decisions import estimate_confidence, estimate_hold_share
from core.performance.measure import Performance, measure
from core.performance.review import Review, review
from core.performance.sample import ClosedTrade, Decided, Estimate, Span
from core.risk.booking import NEVER_IN_MARKET
from core.signal import Signal
from core.simulating.course import OUTLIVES, WEEK, Course
from core.trade import Direction

NO_LEAN: Final = "no_lean"  # why a decision says HOLD although nothing forbade a signal


@dataclass(slots=True)
class Diary:
    """What was decided, slot by slot: of a HOLD only why, of a signal everything."""

    decided: list[Decided] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    emitted: dict[str, Signal] = field(default_factory=dict)

    def hear(self, signal: Signal) -> None:
        """Note one decision."""
        self.decided.append(_decided(signal))
        if signal.direction is not Direction.HOLD:
            self.emitted[signal.id] = signal
        else:
            self.reasons[signal.vetoes[0].rule if signal.vetoes else NO_LEAN] += 1


@dataclass(frozen=True, slots=True)
class Week:
    """One week, and the review at its end over all that had closed by then."""

    begins: datetime
    ends: datetime
    decisions: int
    signals: int
    hold_share: Estimate
    trades: int
    pnl_usd: Decimal
    balance_usd: Decimal
    review: Review


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a course amounts to. `left` are trades that had not ended."""

    course: Course
    span: Span
    trades: tuple[PaperTrade, ...]
    closed: tuple[ClosedTrade, ...]
    balance_usd: Decimal
    performance: Performance
    hold_share: Estimate
    confidence: Estimate
    reasons: Mapping[str, int]
    bins: tuple[ConfidenceBin, ...]
    earns: Finding
    wins_more: Finding
    weeks: tuple[Week, ...]
    review: Review
    left: int


def close_trades(trades: Sequence[PaperTrade], emitted: Mapping[str, Signal]) -> tuple[ClosedTrade, ...]:
    """The trades that were in the market and have ended, with the signals that they came from."""
    found = []
    for trade in trades:
        if trade.outcome is None or trade.outcome in NEVER_IN_MARKET or trade.signal_id is None:
            continue
        signal = emitted[trade.signal_id]
        opened, closed, pnl, percent = trade.opened_at, trade.closed_at, trade.pnl, trade.pnl_percent
        assert opened is not None  # of a trade that has ended in the market these are known
        assert closed is not None
        assert pnl is not None
        assert percent is not None
        found.append(
            ClosedTrade(
                trade.id,
                trade.symbol,
                signal.strategy,
                signal.variant,
                signal.tier,
                trade.direction,
                opened,
                closed,
                trade.outcome,
                pnl,
                float(percent),
                signal.confidence,
            )
        )
    return tuple(sorted(found, key=lambda each: (each.closed_at, each.id)))


def end_week(course: Course, at: datetime, diary: Diary, trades: Sequence[PaperTrade], capital: Decimal) -> Week:
    """What the week that ends at this instant brought, and the review of everything up to it."""
    begins = max(course.start, at - ((at - course.start) % WEEK or WEEK))
    closed = close_trades(trades, diary.emitted)
    own = [each for each in diary.decided if begins <= each.at < at]
    of_week = [each for each in closed if begins <= each.closed_at]
    return Week(
        begins=begins,
        ends=at,
        decisions=len(own),
        signals=sum(each.direction is not Direction.HOLD for each in own),
        hold_share=estimate_hold_share(own),
        trades=len(of_week),
        pnl_usd=sum((each.pnl for each in of_week), Decimal(0)),
        balance_usd=capital + sum((each.pnl for each in closed), Decimal(0)),
        review=_review(trades, closed, diary, _span(course, at, closed, capital)),
    )


def conclude(
    course: Course,
    diary: Diary,
    trades: Sequence[PaperTrade],
    *,
    capital: Decimal,
    balance: Decimal,
    weeks: Sequence[Week],
    left: int,
) -> Findings:
    """The whole course."""
    closed = close_trades(trades, diary.emitted)
    span = _span(course, course.last + OUTLIVES, closed, capital)
    performance = measure(closed, span)
    return Findings(
        course=course,
        span=span,
        trades=tuple(trades),
        closed=closed,
        balance_usd=balance,
        performance=performance,
        hold_share=estimate_hold_share(diary.decided),
        confidence=estimate_confidence(diary.decided),
        reasons=dict(diary.reasons.most_common()),
        bins=confidence_bins(closed),
        earns=is_above(performance.expectancy_usd, 0.0),
        wins_more=is_above(performance.win_rate, 0.5),
        weeks=tuple(weeks),
        review=_review(trades, closed, diary, span),
        left=left,
    )


def _span(course: Course, until: datetime, closed: Sequence[ClosedTrade], capital: Decimal) -> Span:
    """The days of the course up to an instant; a trade that closed in the first hours after it counts to it."""
    last = max([course.start.date(), (until - course.step).date(), *(each.closed_at.date() for each in closed)])
    return Span(course.start.date(), last, capital)


def _review(trades: Sequence[PaperTrade], closed: Sequence[ClosedTrade], diary: Diary, span: Span) -> Review:
    ended = {each.signal_id for each in trades if each.outcome is not None}
    emitted = [_decided(signal) for signal in diary.emitted.values() if signal.id in ended]
    return review(measure(closed, span), emitted)


def _decided(signal: Signal) -> Decided:
    at = signal.slot or signal.timestamp
    return Decided(at, signal.symbol, signal.strategy, signal.variant, signal.tier, signal.direction, signal.confidence)
