"""How many signals the last hour already has: counted by a clock that never jumps, so that no jump empties it."""

from __future__ import annotations

from datetime import datetime, timedelta

from core.risk.account import AccountFacts, Moment
from core.risk.limits import WINDOW_MS, Limits
from core.risk.report import Window
from core.risk.rule import Rule


def windows(facts: AccountFacts, now: Moment, *, limits: Limits) -> tuple[Window, ...]:
    """Every rate limit of the house with what is used of it."""
    found = [_window(Rule.SIGNALS_PER_HOUR, facts, now, limit=limits.max_signals_per_hour, high_only=False)]
    if limits.max_high_confidence_per_hour is not None:
        high = limits.max_high_confidence_per_hour
        found.append(_window(Rule.HIGH_CONFIDENCE_PER_HOUR, facts, now, limit=high, high_only=True))
    return tuple(found)


def _window(rule: Rule, facts: AccountFacts, now: Moment, *, limit: int, high_only: bool) -> Window:
    """A signal counts for exactly an hour: one emitted then and one emitted an hour later lie in no common window."""
    counted = sorted(
        emission.steady_ms
        for emission in facts.emissions
        if now.steady_ms - emission.steady_ms < WINDOW_MS and (emission.high_confidence or not high_only)
    )
    return Window(rule, len(counted), limit, _free_at(counted, now, limit))


def _free_at(counted: list[int], now: Moment, limit: int) -> datetime | None:
    """When so many have left the window that one more fits; None: now, or never where nothing is allowed."""
    if len(counted) < limit or limit == 0:
        return None
    leaves_ms = counted[len(counted) - limit] + WINDOW_MS
    return now.at + timedelta(milliseconds=leaves_ms - now.steady_ms)
