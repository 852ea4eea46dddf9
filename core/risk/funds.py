"""The money of an account: its balance, at this and at earlier midnights, and its equity, by the ledger or a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from core.risk.account import AccountFacts, AccountKind, DayResult, Moment, OpenTrade, Quote, Report, TradeState
from core.risk.amount import ZERO, down
from core.risk.calendar import FirmDay
from core.risk.limits import Limits
from core.risk.loss import Costs, claim
from core.risk.rule import Rule
from core.risk.state import Claim, Notice

AHEAD_MS: Final = 5_000  # whoever tells a price or an equity may have a clock that runs ahead of ours by this
UNREPORTED: Final = "unreported"  # a position that the reported equity shows and that nobody named
# how far a reported equity may differ from what the named positions float at: half a percent of the initial capital,
# which is the distance from the day's guard to the firm's limit; of a small account 50 dollars
LEAST_TOLERANCE_USD: Final = Decimal(50)
TOLERANCE_FRACTION: Final = Decimal("0.005")

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Funds(NamedTuple):
    """What the rules are judged on. `midnights` are the balances at the firm's midnights up to today's, by day."""

    balance: Decimal
    equity: Decimal | None
    midnights: tuple[tuple[date, Decimal], ...]  # only days that changed it; the last one holds for today
    results: tuple[DayResult, ...]
    trading_days: int
    claims: tuple[Claim, ...]
    stale: tuple[Notice, ...]

    @property
    def midnight(self) -> Decimal:
        """The balance when today began."""
        return self.midnights[-1][1]


def fund(
    facts: AccountFacts, quotes: Mapping[str, Quote], now: Moment, *, day: FirmDay, limits: Limits, costs: Costs
) -> Funds:
    """The account's money at one instant."""
    is_paper = facts.account.kind is AccountKind.PAPER
    claims, stale, is_priced = [], [], True
    for trade in facts.open_trades:
        quote = quotes.get(trade.symbol)
        doubt = doubt_about(trade.symbol, quote, now, limits=limits) if trade.state is TradeState.OPEN else None
        claims.append(claim(trade, None if doubt and doubt.unusable else quote, costs))
        is_priced = is_priced and doubt is None
        if doubt is not None and is_paper:
            stale.append(Notice(Rule.STALE, doubt.words))
    if is_paper:
        return _by_ledger(facts, day, claims=tuple(claims), stale=tuple(stale))
    if facts.reports:
        claims += _unreported(facts.reports[-1], claims, capital=facts.account.initial_capital, is_priced=is_priced)
    claims += [_claim_taken(trade, quotes.get(trade.symbol), now, limits=limits, costs=costs) for trade in facts.taken]
    return _by_report(facts, now, day=day, limits=limits, claims=tuple(claims))


class Doubt(NamedTuple):
    """Why a quote is not to be trusted, and whether it cannot be reckoned with at all."""

    words: str
    unusable: bool


def doubt_about(symbol: str, quote: Quote | None, now: Moment, *, limits: Limits) -> Doubt | None:
    """Quotes carry wall time: a jump of the clock in either direction makes them old or early, never fresh."""
    if quote is None:
        return Doubt(f"{symbol} has no quote", unusable=True)
    if not (quote.bid.is_finite() and quote.ask.is_finite() and 0 < quote.bid <= quote.ask):
        return Doubt(f"{symbol} has the impossible quote {quote.bid} to {quote.ask}", unusable=True)
    age_ms = _age_ms(now.at, quote.at_ms)
    if age_ms > limits.stale_after_seconds * 1_000:
        words = f"{symbol}'s quote is {age_ms / 1_000:.0f} s old, the limit is {limits.stale_after_seconds} s"
        return Doubt(words, unusable=False)
    if age_ms < -AHEAD_MS:
        words = f"{symbol}'s quote is {-age_ms / 1_000:.0f} s ahead of the clock, the limit is {AHEAD_MS // 1_000} s"
        return Doubt(words, unusable=False)
    return None


def _by_ledger(facts: AccountFacts, day: FirmDay, *, claims: tuple[Claim, ...], stale: tuple[Notice, ...]) -> Funds:
    balance = facts.account.initial_capital
    midnights = [(date.min, balance)]
    for result in facts.days:
        balance += result.amount
        if result.day < day.date:
            midnights.append((result.day, balance))
    if facts.days and facts.days[-1].day > day.date:
        words = f"the ledger has entries of {facts.days[-1].day}, and the clock says {day.date}: it went back"
        stale = (*stale, Notice(Rule.STALE, words))
    floats = [each.floating_usd for each in claims if each.state is TradeState.OPEN]
    known = [each for each in floats if each is not None]
    return Funds(
        balance=balance,
        equity=down(balance + sum(known, ZERO)) if len(known) == len(floats) else None,
        midnights=tuple(midnights),
        results=facts.days,
        trading_days=sum(1 for result in facts.days if result.opened > 0),
        claims=claims,
        stale=stale,
    )


def _by_report(facts: AccountFacts, now: Moment, *, day: FirmDay, limits: Limits, claims: tuple[Claim, ...]) -> Funds:
    if not facts.reports:
        capital = facts.account.initial_capital
        missing = Notice(Rule.STALE, "nothing was reported yet: report balance, equity and the midnight balance")
        return Funds(capital, None, ((date.min, capital),), (), 0, claims, (missing,))
    newest = facts.reports[-1]
    is_open = any(each.state is TradeState.OPEN for each in claims)
    return Funds(
        balance=newest.balance,
        equity=newest.equity,
        midnights=tuple((date.fromisoformat(report.midnight_day), report.midnight_balance) for report in facts.reports),
        results=_results(facts.reports),
        trading_days=newest.trading_days,
        claims=claims,
        stale=tuple(_doubts_about(newest, now, day=day, limits=limits, is_open=is_open)),
    )


def _unreported(newest: Report, claims: list[Claim], *, capital: Decimal, is_priced: bool) -> list[Claim]:
    """What the reported equity shows and no named position explains. Prices move between the report and the quote."""
    floats = [each.floating_usd for each in claims if each.state is TradeState.OPEN]
    gap = newest.equity - newest.balance - sum((each for each in floats if each is not None), ZERO)
    if floats and (not is_priced or abs(gap) <= max(LEAST_TOLERANCE_USD, TOLERANCE_FRACTION * capital)):
        return []
    return [Claim(UNREPORTED, "", TradeState.OPEN, gap, None, ZERO)] if gap else []


def _claim_taken(trade: OpenTrade, quote: Quote | None, now: Moment, *, limits: Limits, costs: Costs) -> Claim:
    """A trade at the firm of which only its signal is known: it may have filled as badly as one that waits may."""
    doubt = doubt_about(trade.symbol, quote, now, limits=limits)
    held = claim(trade, None if doubt and doubt.unusable else quote, costs)
    waiting = claim(replace(trade, state=TradeState.PENDING), None, costs)
    if held.worst_usd is None or waiting.worst_usd is None:
        return held
    return replace(held, worst_usd=max(held.worst_usd, waiting.worst_usd))


def _doubts_about(newest: Report, now: Moment, *, day: FirmDay, limits: Limits, is_open: bool) -> list[Notice]:
    """Whether the newest report can still be acted on: of today's midnight, and young while positions are open."""
    doubts = []
    if newest.midnight_day != day.date.isoformat():
        words = f"the newest report has the midnight of {newest.midnight_day}, and today is {day.date}: report again"
        doubts.append(Notice(Rule.STALE, words))
    age = (now.at - newest.at) / _MILLISECOND
    if is_open and age > limits.stale_after_seconds * 1_000:
        words = f"the newest report is {age / 1_000:.0f} s old while positions are open, the limit is "
        doubts.append(Notice(Rule.STALE, f"{words}{limits.stale_after_seconds} s: report again"))
    if age < -AHEAD_MS:
        words = f"the newest report is {-age / 1_000:.0f} s ahead of the clock, the limit is {AHEAD_MS // 1_000} s"
        doubts.append(Notice(Rule.STALE, words))
    return doubts


def _results(reports: tuple[Report, ...]) -> tuple[DayResult, ...]:
    """What each day brought, read off the midnight balances before and after it; the newest day by its balance."""
    following = [report.midnight_balance for report in reports[1:]] + [reports[-1].balance]
    return tuple(
        DayResult(date.fromisoformat(report.midnight_day), after - report.midnight_balance, 0)
        for report, after in zip(reports, following, strict=True)
    )


def _age_ms(at: datetime, told_ms: int) -> float:
    return (at - _EPOCH) / _MILLISECOND - told_ms
