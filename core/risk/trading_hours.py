"""When the firm forbids opening: around listed news, before the market closes for hours, over the weekend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from core.risk.hours import Break, break_at
from core.risk.pack import GapTrading, RiskPack
from core.risk.rule import Rule
from core.signal import Veto


def hours_vetoes(pack: RiskPack, at: datetime, releases: tuple[datetime, ...]) -> Iterator[Veto]:
    """Every rule of the pack that forbids opening at this instant."""
    yield from _news(pack, at, releases)
    coming = break_at(pack, at)
    if coming is None:
        return
    if at >= coming.closes_at:
        yield from _weekend(pack, coming)
    elif pack.gap_trading is GapTrading.REFUSE and at >= coming.closes_at - timedelta(minutes=pack.gap_minutes):
        words = "the firm forbids opening shortly before a market closes for hours"
        yield Veto(Rule.GAP_TRADING, _minutes(coming.closes_at - at), f"{pack.gap_minutes} min", words, coming.opens_at)


def _news(pack: RiskPack, at: datetime, releases: tuple[datetime, ...]) -> Iterator[Veto]:
    if pack.news_minutes is None:
        return
    window = timedelta(minutes=pack.news_minutes)
    for release in releases:
        if release - window <= at <= release + window:
            words = f"a listed release at {release:%Y-%m-%d %H:%M} UTC moves this symbol; the firm forbids opening then"
            limit = f"{pack.news_minutes} min before and after"
            yield Veto(Rule.NEWS, _minutes(abs(release - at)), limit, words, release + window)


def _weekend(pack: RiskPack, closed: Break) -> Iterator[Veto]:
    if not pack.weekend_holding:
        words = "the firm wants no position over the weekend"
        yield Veto(Rule.WEEKEND, "closed", f"opens {closed.opens_at:%Y-%m-%d %H:%M} UTC", words, closed.opens_at)


def _minutes(span: timedelta) -> str:
    return f"{span / timedelta(minutes=1):.1f} min"
