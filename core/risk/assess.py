"""What an account is worth and how near it stands to each loss limit, from the ledger's facts and the quotes of now.

With C the initial capital, B the balance, E the equity, B0 the balance at today's midnight of the firm, H the highest
balance at any midnight up to today's, d and m the firm's fractions, g a guard's:

- daily floor B0 - d C, total floor (1 - m) C where it is static and max(C, H) - m C where it trails;
- the guard's floors are the same with g; at or below a floor counts as below it;
- what one more trade may lose in the worst case, for each rule with its anchor A (B0, C or max(C, H)):
  free = g C - max(0, A - B) - the sum of what every trade still claims. A profit booked since the anchor does not
  widen it, for it is gone at the next midnight; so no position that is held over midnight can break the new floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Final

from core.errors import invalid
from core.risk.account import AccountFacts, AccountKind, Latch, LatchKind, Moment, Quote
from core.risk.amount import EXACT, HUNDRED, ZERO, down, up
from core.risk.calendar import FirmDay, firm_day
from core.risk.funds import Funds, fund
from core.risk.limits import DEFAULT_LIMITS, Limits
from core.risk.loss import costs_of
from core.risk.objectives import objectives, warnings
from core.risk.pack import RiskPack, TotalLossMode
from core.risk.rule import Rule
from core.risk.state import Headroom, RiskState, Standing

_ORDER: Final = {Standing.OK: 0, Standing.WARN: 1, Standing.EARLY_STOP: 2, Standing.BREACHED: 3}
_STOPS: Final = {Rule.DAILY_LOSS: LatchKind.DAILY_STOP, Rule.TOTAL_LOSS: LatchKind.TOTAL_STOP}
_GUARDS: Final = {Rule.DAILY_LOSS: Rule.DAILY_LOSS_GUARD, Rule.TOTAL_LOSS: Rule.TOTAL_LOSS_GUARD}


def assess(
    facts: AccountFacts,
    pack: RiskPack,
    quotes: Mapping[str, Quote],
    now: Moment,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> RiskState:
    """The account judged by its pack. Figures of which one is stale stop every new trade and trip no latch."""
    capital = facts.account.initial_capital
    if not (capital.is_finite() and capital > 0):
        raise invalid("initial_capital", f"is {capital}; an amount above 0 US dollars is needed")
    if facts.account.time_zone != pack.time_zone:
        words = f"is {facts.account.time_zone}, and the pack {pack.id} has its midnight in {pack.time_zone}"
        raise invalid("time_zone", f"{words}; both must be one, or days would be cut twice")
    with localcontext(EXACT):
        day = firm_day(pack.time_zone, now.at)
        is_paper = facts.account.kind is AccountKind.PAPER
        costs = costs_of(pack.commission_per_side, limits, entry_is_booked=is_paper)
        funds = fund(facts, quotes, now, day=day, limits=limits, costs=costs)
        claimed = _claimed(funds)
        daily, total = (
            _with_latches(_headroom(rule, funds, pack, capital, claimed=claimed), facts.latches, day)
            for rule in (Rule.DAILY_LOSS, Rule.TOTAL_LOSS)
        )
        state = max(daily.state, total.state, key=_ORDER.__getitem__)
        lifts = state is Standing.EARLY_STOP and total.state is not Standing.EARLY_STOP
        return RiskState(
            account=facts.account.id,
            pack=pack.id,
            at=now.at,
            day=day,
            state=state,
            lifts_at=day.ends_at if lifts else None,
            initial_capital=capital,
            balance=funds.balance,
            equity=funds.equity,
            floating=None if funds.equity is None else funds.equity - funds.balance,
            stale=funds.stale,
            daily=daily,
            total=total,
            claims=funds.claims,
            open_risk_usd=claimed if claimed is not None else _claimed_by_stops(funds),
            binding=_GUARDS[Rule.DAILY_LOSS if daily.free_usd <= total.free_usd else Rule.TOTAL_LOSS],
            objectives=objectives(facts, funds, pack),
            warnings=warnings(facts, funds, pack, now, day=day),
            new_latches=_new_latches((daily, total), facts, now, day=day, equity=None if funds.stale else funds.equity),
        )


def _headroom(rule: Rule, funds: Funds, pack: RiskPack, capital: Decimal, *, claimed: Decimal | None) -> Headroom:
    """One loss rule without its latches. `claimed` is None when a trade claims the whole room."""
    is_daily = rule is Rule.DAILY_LOSS
    anchor = funds.midnight if is_daily else _total_anchor(funds, pack, capital)
    limit = down((pack.daily_loss if is_daily else pack.total_loss) * capital)
    guard = down((pack.daily_guard if is_daily else pack.total_guard) * capital)
    equity = funds.equity
    used = None if equity is None else anchor - equity
    room = ZERO if claimed is None else guard - max(ZERO, anchor - funds.balance) - claimed
    return Headroom(
        rule=rule,
        anchor=anchor,
        limit_usd=limit,
        guard_usd=guard,
        floor=anchor - limit,
        guard_floor=anchor - guard,
        used_usd=None if used is None else max(ZERO, used),
        used_percent=None if used is None else up(max(ZERO, used) / limit * HUNDRED),
        left_usd=None if used is None else limit - used,
        guard_left_usd=None if used is None else guard - used,
        free_usd=max(ZERO, room),
        state=_standing(used, limit=limit, guard=guard, warn_share=pack.warn_share),
    )


def _total_anchor(funds: Funds, pack: RiskPack, capital: Decimal) -> Decimal:
    if pack.total_loss_mode is TotalLossMode.STATIC:
        return capital
    return max(capital, *(balance for _, balance in funds.midnights))


def _standing(used: Decimal | None, *, limit: Decimal, guard: Decimal, warn_share: Decimal) -> Standing:
    """By the equity alone. Without a price nothing is claimed here: stale figures stop new trades by themselves."""
    if used is None or used < warn_share * guard:
        return Standing.OK
    if used < guard:
        return Standing.WARN
    return Standing.EARLY_STOP if used < limit else Standing.BREACHED


def _with_latches(headroom: Headroom, latches: tuple[Latch, ...], day: FirmDay) -> Headroom:
    """What has tripped stays: a day's stop until its midnight, the rest until a person lifts it."""
    held = headroom.state
    for latch in latches:
        if _rule_of(latch) is not Rule(headroom.rule):
            continue
        if latch.kind is LatchKind.BREACH:
            held = Standing.BREACHED
        elif _in_force(latch, day):
            held = max(held, Standing.EARLY_STOP, key=_ORDER.__getitem__)
    return headroom if held is headroom.state else replace(headroom, state=held)


def _rule_of(latch: Latch) -> Rule:
    """Which loss rule a latch is of; a breach of an unknown name counts for the rule that never lifts."""
    is_daily = latch.kind is LatchKind.DAILY_STOP or (latch.kind is LatchKind.BREACH and latch.rule == Rule.DAILY_LOSS)
    return Rule.DAILY_LOSS if is_daily else Rule.TOTAL_LOSS


def _in_force(latch: Latch, day: FirmDay) -> bool:
    """A clock that goes back does not lift a stop: one of a later day holds too."""
    return latch.kind is not LatchKind.DAILY_STOP or latch.day >= day.date.isoformat()


def _new_latches(
    headrooms: tuple[Headroom, Headroom], facts: AccountFacts, now: Moment, *, day: FirmDay, equity: Decimal | None
) -> tuple[Latch, ...]:
    """What has just tripped and does not stand in the ledger yet; nothing trips on an equity that is not known."""
    tripped = []
    held = {(latch.kind, _rule_of(latch)) for latch in facts.latches if _in_force(latch, day)}
    if equity is None:
        return ()
    for headroom in headrooms:
        rule = Rule(headroom.rule)
        for kind, name, floor in (
            (_STOPS[rule], _GUARDS[rule], headroom.guard_floor),
            (LatchKind.BREACH, rule, headroom.floor),
        ):
            if equity <= floor and (kind, rule) not in held:
                tripped.append(Latch(kind, name, now.at, day.date.isoformat(), equity, floor))
    return tuple(tripped)


def _claimed(funds: Funds) -> Decimal | None:
    """What all trades together still claim; None when one of them has no stop and so claims everything.

    A reported equity may show a loss that no known stop explains: the larger of both counts.
    """
    if any(each.worst_usd is None for each in funds.claims):
        return None
    floats = ZERO if funds.equity is None else funds.balance - funds.equity
    return max(_claimed_by_stops(funds), floats)


def _claimed_by_stops(funds: Funds) -> Decimal:
    return sum((each.worst_usd for each in funds.claims if each.worst_usd is not None), ZERO)
