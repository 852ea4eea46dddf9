"""What one clerk with one pen would have decided: the same attempts one after the other, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

from bench.race_worker import ENTRY, LIMITS, PACK, START, START_MS, STOP, SYMBOL, Event, propose_signal, propose_trade
from core.adapters.ledger.accounts import default_accounts
from core.risk.account import AccountFacts, DayResult, Emission, KillLevel, KillSwitch, Moment, OpenTrade, TradeState
from core.risk.calendar import firm_day
from core.risk.limits import WINDOW_MS
from core.trade import Direction

GUARD_USD: Final = PACK.daily_guard * 100_000
COSTS: Final = PACK.commission_per_side
SLIPPED: Final = STOP * (1 - LIMITS.slippage_fraction)
LOSS_OF_ONE: Final = ENTRY - SLIPPED + COSTS * SLIPPED  # of one bitcoin in the market when its stop fills


class Judged(NamedTuple):
    """What the race shows against the clerk."""

    attempts: int
    allowed: int
    past: int  # judged when more was at stake than the guard allows, or more signals in an hour than the limit
    too_strict: int  # refused although it fitted
    too_lax: int  # allowed although it did not fit
    peak: Decimal  # the most that ever was at stake at once, or the most signals in an hour

    @property
    def violations(self) -> int:
        """Everything that may not happen."""
        return self.past + self.too_strict + self.too_lax


def judge_room(events: Iterable[Event]) -> Judged:
    """Replay the race for room: the sum at stake by plain arithmetic, each decision by the rules."""
    base = _empty_facts()
    day = firm_day(base.account.time_zone, START).date
    open_trades: dict[str, OpenTrade] = {}
    attempts = allowed = past = strict = lax = opened = 0
    peak = Decimal(0)
    for event in sorted(events):
        if event.quantity == 0:
            del open_trades[event.name]
            continue
        attempts += 1
        days = (DayResult(day, Decimal(0), opened),) if opened else ()
        facts = replace(base, open_trades=tuple(open_trades.values()), days=days)
        fits = propose_trade(facts, Moment(START, START_MS), event.quantity)
        strict += fits and not event.allowed
        lax += event.allowed and not fits
        if event.allowed:
            allowed += 1
            opened += 1
            open_trades[event.name] = _opened(event)
            at_stake = LOSS_OF_ONE * sum((trade.quantity for trade in open_trades.values()), Decimal(0))
            past += at_stake >= GUARD_USD
            peak = max(peak, at_stake)
    return Judged(attempts, allowed, past, strict, lax, peak)


def judge_window(events: Iterable[Event]) -> Judged:
    """Replay the race for the window: at most so many signals in every 60 minutes, and none refused too early."""
    base = _empty_facts()
    emitted: list[int] = []
    attempts = allowed = strict = lax = 0
    for event in sorted(events):
        attempts += 1
        recent = tuple(Emission(ms, False) for ms in emitted if event.steady_ms - ms < WINDOW_MS)
        fits = propose_signal(replace(base, emissions=recent), Moment(START, event.steady_ms))
        strict += fits and not event.allowed
        lax += event.allowed and not fits
        if event.allowed:
            allowed += 1
            emitted.append(event.steady_ms)
    counts = _most_in_an_hour(sorted(emitted))
    past = sum(count > LIMITS.max_signals_per_hour for count in counts)
    return Judged(attempts, allowed, past, strict, lax, Decimal(max(counts, default=0)))


def is_ordered(stamps: Sequence[int]) -> bool:
    """Whether no two judgements carry one stamp, so that there is one order."""
    return all(earlier < later for earlier, later in pairwise(stamps))


def _most_in_an_hour(times: Sequence[int]) -> list[int]:
    """For each signal, how many the hour that ends with it has."""
    return [sum(1 for each in times[: end + 1] if times[end] - each < WINDOW_MS) for end in range(len(times))]


def _empty_facts() -> AccountFacts:
    switch = KillSwitch(KillLevel.OFF, "race", "off", START)
    return AccountFacts(default_accounts(START)[0], (), (), (), (), switch, None)


def _opened(event: Event) -> OpenTrade:
    return OpenTrade(event.name, SYMBOL, Direction.BUY, TradeState.OPEN, event.quantity, ENTRY, STOP, None, START)
