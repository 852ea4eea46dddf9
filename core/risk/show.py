"""From the engine's own types to what the faces show: a report, the check of one trade, the list of packs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from core.errors import Code, CrpbotError
from core.risk.account import AccountFacts, Moment, Quote
from core.risk.assess import assess
from core.risk.check import Proposal, Purpose, check
from core.risk.funds import doubt_about
from core.risk.limits import Limits
from core.risk.loss import opening_price
from core.risk.pack import DEFAULT_PACK, RiskPack
from core.risk.proposal import need_order
from core.risk.report import (
    CheckTradeRequest,
    ContractTerms,
    ListRulePacksResponse,
    RiskReport,
    RulePack,
    RuleSource,
    TradeCheck,
)
from core.risk.rule import Rule
from core.risk.size import Plan, Sizing, Step, size
from core.risk.state import Notice, RiskState
from core.risk.terms import Closing
from core.risk.windows import windows
from core.signal import Veto

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def report(facts: AccountFacts, state: RiskState, now: Moment, *, limits: Limits) -> RiskReport:
    """The account as it stands, for people and programs."""
    return RiskReport(
        account=facts.account.id,
        name=facts.account.name,
        kind=facts.account.kind,
        pack=state.pack,
        at=state.at,
        state=state.state,
        lifts_at=state.lifts_at,
        initial_capital=state.initial_capital,
        balance=state.balance,
        equity=state.equity,
        floating=state.floating,
        fresh=state.fresh,
        stale=state.stale,
        day=state.day.date.isoformat(),
        day_starts_at=state.day.starts_at,
        day_ends_at=state.day.ends_at,
        headroom=(state.daily, state.total),
        free_usd=state.free_usd,
        binding=state.binding,
        open_risk_usd=state.open_risk_usd,
        open_trades=state.claims,
        windows=windows(facts, now, limits=limits),
        kill_switch=facts.kill_switch,
        objectives=state.objectives,
        warnings=state.warnings,
    )


def check_trade(
    request: CheckTradeRequest,
    facts: AccountFacts,
    pack: RiskPack,
    quotes: Mapping[str, Quote],
    *,
    now: Moment,
    limits: Limits,
    step: Step,
) -> TradeCheck:
    """Would this trade be allowed now, at which size, and which rule decides."""
    need_order(
        request.direction,
        request.entry,
        request.stop_loss,
        take_profit=request.take_profit,
        quantity=request.quantity,
    )
    entry = request.entry if request.entry is not None else _market_price(request, quotes, now, limits)
    state = assess(facts, pack, quotes, now, limits=limits)
    plan = Plan(request.symbol, request.direction, entry, request.stop_loss, request.risk_percent)
    sizing = size(plan, pack, state, limits=limits, step=step)
    quantity = sizing.quantity if request.quantity is None else request.quantity
    proposal = Proposal(
        Purpose.TRADE,
        request.symbol,
        request.direction,
        entry=entry,
        stop_loss=request.stop_loss,
        take_profit=request.take_profit,
        quantity=quantity or None,  # where nothing fits, the account alone is asked
    )
    vetoes = check(facts, pack, quotes, now, proposal=proposal, limits=limits, state=state)
    if not quantity and not vetoes:
        vetoes = (Veto(sizing.binding, "0 units", f"{step.minimum:f} units", f"nothing fits: {sizing.detail}"),)
    return TradeCheck(
        account=facts.account.id,
        at=now.at,
        allowed=not vetoes,
        vetoes=vetoes,
        entry=entry,
        quantity=quantity,
        sizing=sizing,
        state=state.state,
        free_usd=state.free_usd,
        binding=vetoes[0].rule if vetoes else sizing.binding,
        notes=(*_notes(request.symbol, pack, sizing), *state.warnings),
    )


def list_packs(packs: Iterable[RiskPack]) -> ListRulePacksResponse:
    """The packs as the API lists them."""
    return ListRulePacksResponse(tuple(_shown(pack) for pack in packs), DEFAULT_PACK)


def _market_price(request: CheckTradeRequest, quotes: Mapping[str, Quote], now: Moment, limits: Limits) -> Decimal:
    quote = quotes.get(request.symbol)
    doubt = doubt_about(request.symbol, quote, now, limits=limits)
    if quote is None or doubt is not None:
        words = doubt.words if doubt is not None else f"{request.symbol} has no quote"
        raise CrpbotError(Code.UNAVAILABLE, f"entry: {words}; give an entry, or ask again", reason="STALE_QUOTE")
    return opening_price(request.direction, quote)


def _notes(symbol: str, pack: RiskPack, sizing: Sizing) -> tuple[Notice, ...]:
    """What the size does not say by itself."""
    if sizing.paper_only:
        return (Notice(Rule.NOT_TRADABLE, f"{pack.firm} has no contract for {symbol}: on paper only"),)
    if sizing.lots is None:
        words = f"read off the platform how many units a lot of {sizing.firm_symbol} has"
        return (Notice(Rule.MAX_LOTS, words),)
    return ()


def _shown(pack: RiskPack) -> RulePack:
    return RulePack(
        id=pack.id,
        name=pack.name,
        firm=pack.firm,
        product=pack.product,
        time_zone=pack.time_zone,
        daily_loss=pack.daily_loss,
        daily_guard=pack.daily_guard,
        total_loss=pack.total_loss,
        total_guard=pack.total_guard,
        total_loss_mode=pack.total_loss_mode.value,
        warn_share=pack.warn_share,
        profit_target=pack.profit_target,
        minimum_trading_days=pack.minimum_trading_days,
        best_day_share=pack.best_day_share,
        commission_per_side=pack.commission_per_side,
        leverage=pack.leverage,
        contracts=tuple(
            ContractTerms(
                each.symbol, each.firm_symbol, each.units_per_lot, each.min_lots, each.lot_step, each.max_lots
            )
            for each in pack.contracts.values()
        ),
        max_open_orders=pack.max_open_orders,
        news_minutes=pack.news_minutes,
        weekend_holding=pack.weekend_holding,
        weekend_closing=None if pack.closing is None else _hours(pack.closing),
        gap_trading=pack.gap_trading.value,
        gap_minutes=pack.gap_minutes,
        inactivity_days=pack.inactivity_days,
        first_trade_days=pack.first_trade_days,
        limbo_from_fraction=None if pack.limbo is None else pack.limbo.from_fraction,
        limbo_days=None if pack.limbo is None else pack.limbo.days,
        sources=tuple(
            RuleSource(each.rule, each.label.value, each.read_on.isoformat(), each.where) for each in pack.sources
        ),
    )


def _hours(closing: Closing) -> str:
    closes = f"{_WEEKDAYS[closing.closes_weekday]} {closing.closes_at:%H:%M}"
    return f"{closes} to {_WEEKDAYS[closing.opens_weekday]} {closing.opens_at:%H:%M}"
