"""May this signal or trade happen now? Every rule that says no answers with its value, its limit and when it lifts.

The worst case counts every trade that is open or waited for at its stop, with slippage and commissions, and the new
one with the worst fill of its entry too. A trade without a stop claims the whole room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext
from typing import NamedTuple

from core.risk.account import AccountFacts, AccountKind, KillLevel, Moment, Quote
from core.risk.amount import EXACT, HUNDRED, UNIT, ZERO, up, usd
from core.risk.assess import assess
from core.risk.funds import doubt_about
from core.risk.limits import Limits
from core.risk.loss import costs_of, opening_price, planned_loss, worst_loss
from core.risk.pack import RiskPack
from core.risk.proposal import Proposal, Purpose, need_stop
from core.risk.rule import Rule
from core.risk.state import Headroom, RiskState, Standing
from core.risk.terms import Contract
from core.risk.trading_hours import hours_vetoes
from core.risk.windows import windows
from core.signal import Veto

__all__ = ["Proposal", "Purpose", "Veto", "check"]


class _Case(NamedTuple):
    """One question: the account, the rules, what is proposed and what that costs (None: not known or not asked)."""

    facts: AccountFacts
    pack: RiskPack
    now: Moment
    proposal: Proposal
    limits: Limits
    state: RiskState
    doubt: str | None  # about the quote that the proposal would enter at
    entry: Decimal | None
    planned_usd: Decimal | None
    worst_usd: Decimal | None


def check(
    facts: AccountFacts,
    pack: RiskPack,
    quotes: Mapping[str, Quote],
    now: Moment,
    *,
    proposal: Proposal,
    limits: Limits,
    state: RiskState | None = None,
) -> tuple[Veto, ...]:
    """Every rule that forbids the proposal, in a fixed order; none means that it may happen.

    `state` spares the work when the account has just been assessed from the same facts, quotes, moment and limits.
    """
    with localcontext(EXACT):
        known = state if state is not None else assess(facts, pack, quotes, now, limits=limits)
        case = _case(facts, pack, quotes, now, proposal=proposal, limits=limits, state=known)
        return tuple(_vetoes(case))


def _vetoes(case: _Case) -> Iterator[Veto]:
    yield from _kill_switch(case)
    yield from _stale(case)
    yield from _stops(case)
    yield from _headroom(case, case.state.daily, Rule.DAILY_LOSS_GUARD)
    yield from _headroom(case, case.state.total, Rule.TOTAL_LOSS_GUARD)
    yield from _rates(case)
    yield from _open_risk(case)
    yield from _contract(case)
    yield from hours_vetoes(case.pack, case.now.at, case.proposal.releases)


def _case(
    facts: AccountFacts,
    pack: RiskPack,
    quotes: Mapping[str, Quote],
    now: Moment,
    *,
    proposal: Proposal,
    limits: Limits,
    state: RiskState,
) -> _Case:
    entry, doubt = proposal.entry, None
    if entry is None and proposal.quantity is not None:
        quote = quotes.get(proposal.symbol)
        found = doubt_about(proposal.symbol, quote, now, limits=limits)
        doubt = None if found is None else found.words
        entry = None if quote is None or found is not None else opening_price(proposal.direction, quote)
        if entry is not None and proposal.stop_loss is not None:
            need_stop(proposal.direction, entry, proposal.stop_loss)
    planned = worst = None
    if entry is not None and proposal.stop_loss is not None and proposal.quantity is not None:
        costs = costs_of(pack.commission_per_side, limits)
        planned = up(proposal.quantity * planned_loss(proposal.direction, entry, proposal.stop_loss, costs))
        worst = up(proposal.quantity * worst_loss(proposal.direction, entry, proposal.stop_loss, costs))
    return _Case(facts, pack, now, proposal, limits, state, doubt, entry, planned, worst)


def _kill_switch(case: _Case) -> Iterator[Veto]:
    switch = case.facts.kill_switch
    forbidden = {KillLevel.OFF: (), KillLevel.PAUSE: (Purpose.SIGNAL,), KillLevel.HALT: tuple(Purpose)}[switch.level]
    if case.proposal.purpose in forbidden:
        detail = f"set by {switch.by} at {switch.at:%Y-%m-%d %H:%M:%S} UTC: {switch.reason}"
        yield Veto(Rule.KILL_SWITCH, switch.level.value, KillLevel.OFF.value, detail)


def _stale(case: _Case) -> Iterator[Veto]:
    limit = f"{case.limits.stale_after_seconds} s"
    for notice in case.state.stale:
        yield Veto(Rule.STALE, "stale", limit, notice.detail)
    if case.doubt is not None:
        yield Veto(Rule.STALE, "stale", limit, f"{case.doubt}; give the entry or a fresh quote")


def _stops(case: _Case) -> Iterator[Veto]:
    state = case.state
    equity = "unknown" if state.equity is None else usd(state.equity)
    for headroom, stop in ((state.daily, Rule.DAILY_STOP), (state.total, Rule.TOTAL_STOP)):
        if headroom.state is Standing.BREACHED:
            words = f"the firm's {headroom.rule} was reached; only a person lifts this"
            yield Veto(Rule.BREACH, equity, usd(headroom.floor), words)
        elif headroom.state is Standing.EARLY_STOP:
            lifts = state.day.ends_at if stop is Rule.DAILY_STOP else None
            words = "until the firm's midnight" if lifts else "until a person lifts it"
            yield Veto(stop, equity, usd(headroom.guard_floor), f"the house guard tripped; no new trade {words}", lifts)


def _headroom(case: _Case, headroom: Headroom, rule: Rule) -> Iterator[Veto]:
    """The worst case must stay above the guard's floor. Without a quantity: is there any room at all."""
    needed = UNIT if case.worst_usd is None else case.worst_usd
    if needed < headroom.free_usd:
        return
    lost = max(ZERO, headroom.anchor - case.state.balance)
    unstopped = [each.trade for each in case.state.claims if each.worst_usd is None]
    claims = "everything" if unstopped else usd(case.state.open_risk_usd)
    words = f"lost {usd(lost)}, open trades may lose {claims}, this one {usd(needed)}, of {usd(headroom.guard_usd)}"
    lifts = case.state.day.ends_at if rule is Rule.DAILY_LOSS_GUARD and lost else None
    yield Veto(rule, usd(needed), f"less than {usd(headroom.free_usd)}", words, lifts)


def _rates(case: _Case) -> Iterator[Veto]:
    if case.proposal.purpose is not Purpose.SIGNAL:
        return
    for window in windows(case.facts, case.now, limits=case.limits):
        counts = case.proposal.high_confidence or window.rule != Rule.HIGH_CONFIDENCE_PER_HOUR
        if counts and window.used >= window.limit:
            detail = f"{window.used} signals were emitted in the last 60 minutes"
            yield Veto(window.rule, f"{window.used} an hour", f"{window.limit} an hour", detail, window.free_at)


def _open_risk(case: _Case) -> Iterator[Veto]:
    state, limits = case.state, case.limits
    for each in state.claims:
        if each.worst_usd is None:
            words = f"trade {each.trade} has no stop and claims the whole room; give it one or close it"
            yield Veto(Rule.OPEN_RISK, "no stop", "a stop", words)
    if case.proposal.quantity is not None and case.proposal.stop_loss is None:
        yield Veto(Rule.OPEN_RISK, "no stop", "a stop", "a trade without a stop claims the whole room; give it one")
    most = limits.max_risk_percent * state.initial_capital / HUNDRED
    if case.planned_usd is not None and case.planned_usd > most:
        words = f"at most {limits.max_risk_percent} % of the initial capital may be risked in one trade"
        yield Veto(Rule.RISK_PER_TRADE, usd(case.planned_usd), usd(most), words)
    if limits.max_open_risk_percent is not None:
        most = limits.max_open_risk_percent * state.initial_capital / HUNDRED
        together = state.open_risk_usd + (case.worst_usd or ZERO)
        if together > most:
            words = f"all trades together may risk {limits.max_open_risk_percent} % of the initial capital"
            yield Veto(Rule.OPEN_RISK, usd(together), usd(most), words)


def _contract(case: _Case) -> Iterator[Veto]:
    """What the firm trades, how much of it, and how many orders at once."""
    symbol, state = case.proposal.symbol, case.state
    contract = case.pack.contracts.get(symbol)
    asked = case.proposal.quantity is not None
    if asked and contract is None and case.facts.account.kind is AccountKind.REPORTED:
        words = f"{case.pack.firm} has no contract for {symbol} in the pack {case.pack.id}; trade it on paper only"
        yield Veto(Rule.NOT_TRADABLE, symbol, "a contract of the firm", words)
    if case.pack.max_open_orders is not None and len(state.claims) >= case.pack.max_open_orders:
        orders, most = len(state.claims), case.pack.max_open_orders
        yield Veto(Rule.OPEN_ORDERS, f"{orders + 1} orders", f"{most} orders", "open and pending trades together")
    if case.entry is None or case.proposal.quantity is None:
        return
    notional = sum((each.notional_usd for each in state.claims), case.entry * case.proposal.quantity)
    most_usd = case.pack.leverage * (state.balance if state.equity is None else min(state.equity, state.balance))
    if notional > most_usd:
        words = f"all positions together may be worth {case.pack.leverage} times the equity"
        yield Veto(Rule.LEVERAGE, usd(notional), usd(most_usd), words)
    if contract is not None:
        yield from _lots(contract, case.proposal.quantity)


def _lots(contract: Contract, quantity: Decimal) -> Iterator[Veto]:
    if contract.units_per_lot is None:
        return
    lots = quantity / contract.units_per_lot
    if lots > contract.max_lots:
        words = f"the firm takes at most {contract.max_lots} lots of {contract.firm_symbol} in one order"
        yield Veto(Rule.MAX_LOTS, f"{lots.normalize():f} lots", f"{contract.max_lots} lots", words)
