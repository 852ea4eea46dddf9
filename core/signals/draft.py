"""What is about to be decided on one symbol, and its last judgement under the locks: the account has the last word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Final

from core.analysis import RefusedSymbol
from core.deciding.consultation import Consultation
from core.deciding.verdicts import change_24h_percent
from core.market import milliseconds
from core.money import canonical
from core.paper.trade import birth
from core.risk.account import AccountFacts, Moment
from core.risk.assess import assess
from core.risk.booking import NewEmission
from core.risk.check import check
from core.risk.desk import Bench
from core.risk.funds import doubt_about
from core.risk.loss import opening_price
from core.risk.proposal import Proposal, Purpose
from core.risk.rule import Rule
from core.risk.size import Plan, Sizing, size
from core.risk.state import RiskState
from core.signal import (
    Degradation,
    Mode,
    RuntimeMode,
    Signal,
    Strategy,
    Synthesis,
    Version,
    Veto,
)
from core.signals.case_file import write_case
from core.signals.ports import Birth, Study
from core.signals.store import NewSignal, SnapshotReference
from core.trade import Book, Direction, Tier

ID_BYTES: Final = 15
DEGRADED_RULE: Final = "degraded"
MOVED_RULE: Final = "market_moved"
# These are the house's own: the firm would have allowed what they forbid.
HOUSE_RULES: Final = frozenset(
    {
        *(Rule.KILL_SWITCH, Rule.STALE, Rule.SIGNALS_PER_HOUR, Rule.HIGH_CONFIDENCE_PER_HOUR),
        *(Rule.OPEN_RISK, Rule.RISK_PER_TRADE, Rule.MINIMUM),
        MOVED_RULE,
    }
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same for every symbol of a question."""

    account: str
    slot: datetime | None
    key: str
    mode: Mode
    runtime_mode: RuntimeMode
    interval: str
    window: int
    source: str
    synthetic: bool
    versions: tuple[Version, ...]
    actor: str
    strategy: Strategy = Strategy.V7


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision before its last judgement. `signal` is what is stored when that judgement says no.

    `refused` are the account's vetoes from before anything was read, where it was read all the same, to compare.
    """

    signal: Signal
    consultation: Consultation | None = None
    stop_first: float | None = None
    references: tuple[SnapshotReference, ...] = ()
    key: str | None = None
    actor: str = "api"
    texts: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[Veto, ...] = ()

    @property
    def proposed(self) -> Direction:
        """What would be published if the account allows it."""
        return Direction.HOLD if self.consultation is None or self.refused else self.consultation.decision.direction


def refuse_unasked(symbol: str, frame: Frame, at: datetime, vetoes: tuple[Veto, ...]) -> Draft:
    """A HOLD that came before anything was read: the account forbids every signal now."""
    values = {
        "vetoes": vetoes,
        "ftmo_compliant": is_compliant(vetoes),
        "reasoning": f"Not looked at: {vetoes[0].detail}.",
        "synthesis_reason": vetoes[0].rule,
    }
    return _blank(symbol, frame, at, replace_with=values)


def refuse_unread(refused: RefusedSymbol, frame: Frame, at: datetime) -> Draft:
    """A HOLD because the market could not be read."""
    doubts = (Degradation(refused.reason, refused.detail),)
    values = {
        "degraded": True,
        "degradations": doubts,
        "reasoning": f"Not read: {refused.detail}",
        "synthesis_reason": refused.reason,
    }
    return _blank(refused.symbol, frame, at, replace_with=values)


def draft(
    study: Study,
    consultation: Consultation,
    frame: Frame,
    *,
    at: datetime,
    stop_first: float | None,
    references: tuple[SnapshotReference, ...],
    timings_ms: Mapping[str, float],
) -> Draft:
    """A decision as it stands before the account is asked."""
    analysis, decision = study.analysis, consultation.decision
    doubts = (*analysis.degradations, *decision.degradations)
    shadow = consultation.book is Book.SHADOW
    account = Book.SHADOW.value if shadow else frame.account
    signal = Signal(
        id=make_id(account, analysis.symbol, frame, compared=decision.strategy if shadow else None),
        account=account,
        book=consultation.book,
        symbol=analysis.symbol,
        slot=frame.slot,
        timestamp=at,
        as_of=analysis.as_of,
        interval=analysis.interval,
        window=analysis.window,
        strategy=decision.strategy,
        variant=decision.variant,
        mode=frame.mode,
        runtime_mode=frame.runtime_mode,
        direction=Direction.HOLD,
        confidence=decision.confidence,
        calibrated_confidence=consultation.calibrated,
        tier=decision.tier,
        threshold=decision.threshold,
        synthesis=decision.synthesis,
        synthesis_reason=decision.synthesis_reason,
        reasoning=decision.reasoning,
        entry=None,
        stop_loss=None,
        take_profit=None,
        stop_first=None,
        quantity=None,
        lots=None,
        risk_usd=None,
        size_limit=None,
        vetoes=(*decision.vetoes, *_veto_doubts(doubts, decision.direction)),
        degraded=bool(doubts),
        degradations=doubts,
        ftmo_compliant=True,
        price=canonical(analysis.price),
        change_24h_percent=change_24h_percent(study.candles),
        source=analysis.source,
        synthetic=analysis.synthetic,
        executed=False,
        llm=consultation.llm,
        coverage=decision.coverage,
        votes=decision.votes,
        timings_ms=dict(timings_ms),
        versions=(*frame.versions, *consultation.versions),
        ensemble=decision.ensemble,
    )
    key = None if frame.slot else frame.key
    return Draft(signal, consultation, stop_first, references, key, frame.actor, write_texts(consultation))


def settle(draft: Draft, bench: Bench | None, facts: AccountFacts, moment: Moment) -> Birth:
    """The last judgement, under the locks: a BUY or SELL that the account allows, or the HOLD with its vetoes.

    A draft that proposes nothing needs no bench. One of the shadow book takes the account as it was made: what shares
    that account neither takes room from the others nor loses it for them.
    """
    signal = replace(draft.signal, timestamp=moment.at)
    consultation = draft.consultation
    if draft.refused:
        vetoes = (*signal.vetoes, *draft.refused)
        return Birth(_new(draft, replace(signal, vetoes=vetoes, ftmo_compliant=is_compliant(draft.refused))))
    if consultation is None or draft.proposed is Direction.HOLD or signal.degraded:
        return Birth(_new(draft, signal))
    assert bench is not None  # there is one for every account on which something is proposed
    decision = consultation.decision
    levels = decision.levels
    assert levels is not None  # a decision that is no HOLD has them
    if signal.book is Book.SHADOW:
        facts = replace(facts, days=(), open_trades=(), latches=())
    state = assess(facts, bench.pack, bench.quotes, moment, limits=bench.limits)
    plan = Plan(signal.symbol, decision.direction, levels.entry, levels.stop_loss)
    sizing = size(plan, bench.pack, state, limits=bench.limits, step=bench.step(signal.symbol))
    vetoes = _ask_market(signal, plan, bench, moment) or _ask_account(
        signal, plan, sizing, bench, facts=facts, state=state, moment=moment
    )
    if vetoes:
        held = replace(signal, vetoes=(*signal.vetoes, *vetoes), ftmo_compliant=is_compliant(vetoes))
        return Birth(_new(draft, held))
    published = replace(
        signal,
        direction=decision.direction,
        entry=levels.entry,
        stop_loss=levels.stop_loss,
        take_profit=levels.take_profit,
        stop_first=draft.stop_first,
        quantity=canonical(sizing.quantity),
        lots=None if sizing.lots is None else canonical(sizing.lots),
        risk_usd=canonical(sizing.risk_usd),
        size_limit=sizing.binding,
    )
    emission = NewEmission(signal.id, decision.tier is Tier.HIGH) if signal.book is Book.PRIMARY else None
    return Birth(_new(draft, published), emission, birth(published))


def is_compliant(vetoes: tuple[Veto, ...]) -> bool:
    """Whether the firm itself would have allowed it."""
    return all(veto.rule in HOUSE_RULES for veto in vetoes)


def make_id(account: str, symbol: str, frame: Frame, *, compared: Strategy | None = None) -> str:
    """The same question gets the same id: a retry finds what the first attempt stored.

    Whoever decided has no part in it. A retry may draw another variant, find no budget for the model, or come after
    another strategy was set: the first decision stands all the same. Only what is compared is told apart by strategy.
    """
    when = f"slot {milliseconds(frame.slot)}" if frame.slot else f"key {frame.key}"
    said = "|".join((account, symbol, when, (compared or Strategy.V7).value))
    return "sig_" + blake2b(said.encode(), digest_size=ID_BYTES).hexdigest()


def _ask_market(signal: Signal, plan: Plan, bench: Bench, moment: Moment) -> tuple[Veto, ...]:
    """What the quote of this moment says: a signal must still be within reach, or its size is wrong from the start."""
    quote = bench.quotes.get(signal.symbol)
    doubt = doubt_about(signal.symbol, quote, moment, limits=bench.limits)
    if quote is None or doubt is not None:
        words = doubt.words if doubt is not None else f"{signal.symbol} has no quote"
        return (Veto(Rule.STALE, "no fresh quote", f"{bench.limits.stale_after_seconds} s", words),)
    price, side = opening_price(plan.direction, quote), 1 if plan.direction is Direction.BUY else -1
    farthest = plan.entry * (1 + side * bench.limits.entry_tolerance_fraction)
    if side * (price - plan.stop_loss) <= 0:
        words = f"{signal.symbol} can be had at {price}, which is beyond the stop {plan.stop_loss} already"
        return (Veto(MOVED_RULE, str(price), str(plan.stop_loss), words),)
    if side * (price - farthest) > 0:
        words = f"{signal.symbol} can be had at {price} only, worse than {farthest}, the farthest from {plan.entry}"
        return (Veto(MOVED_RULE, str(price), str(farthest), words),)
    return ()


def _ask_account(
    signal: Signal,
    plan: Plan,
    sizing: Sizing,
    bench: Bench,
    *,
    facts: AccountFacts,
    state: RiskState,
    moment: Moment,
) -> tuple[Veto, ...]:
    """What the account says. The shadow book compares: it is sized, and nothing else limits it."""
    if signal.book is Book.PRIMARY:
        proposal = Proposal(
            Purpose.SIGNAL,
            signal.symbol,
            plan.direction,
            entry=plan.entry,
            stop_loss=plan.stop_loss,
            quantity=sizing.quantity or None,
            high_confidence=signal.tier is Tier.HIGH,
        )
        vetoes = check(facts, bench.pack, bench.quotes, moment, proposal=proposal, limits=bench.limits, state=state)
        if vetoes:
            return vetoes
    if sizing.quantity <= 0:
        return (Veto(sizing.binding, "0", "above 0", f"no size fits: {sizing.detail}"),)
    return ()


def _veto_doubts(doubts: tuple[Degradation, ...], direction: Direction) -> tuple[Veto, ...]:
    """What is doubtful is never acted on."""
    if not doubts or direction is Direction.HOLD:
        return ()
    return (Veto(DEGRADED_RULE, doubts[0].reason, "none", f"no signal rests on doubtful ground: {doubts[0].detail}"),)


def write_texts(consultation: Consultation) -> dict[str, str]:
    """What is kept beside the decision, so that it can be made again."""
    texts = {"case": write_case(consultation.case, consultation.mode)}
    if consultation.prompt is not None:
        texts["prompt"] = f"{consultation.prompt.system}\0{consultation.prompt.user}"
    if consultation.reply is not None:
        texts["reply"] = consultation.reply
    return texts


def _new(draft: Draft, signal: Signal) -> NewSignal:
    facts = {"symbol": signal.symbol, "direction": signal.direction.value, "book": signal.book.value}
    return NewSignal(signal, draft.actor, key=draft.key, snapshots=draft.references, texts=draft.texts, facts=facts)


def _blank(symbol: str, frame: Frame, at: datetime, *, replace_with: Mapping[str, object]) -> Draft:
    """A HOLD without readings."""
    values: dict[str, object] = {
        **dict.fromkeys(("as_of", "variant", "calibrated_confidence", "tier", "entry", "stop_loss", "take_profit")),
        **dict.fromkeys(
            ("stop_first", "quantity", "lots", "risk_usd", "size_limit", "price", "change_24h_percent", "llm")
        ),
        "id": make_id(frame.account, symbol, frame),
        "account": frame.account,
        "book": Book.PRIMARY,
        "symbol": symbol,
        "slot": frame.slot,
        "timestamp": at,
        "interval": frame.interval,
        "window": frame.window,
        "strategy": frame.strategy,
        "mode": frame.mode,
        "runtime_mode": frame.runtime_mode,
        "direction": Direction.HOLD,
        "confidence": 0.0,
        "threshold": 0.0,
        "synthesis": Synthesis.NONE,
        "vetoes": (),
        "degraded": False,
        "degradations": (),
        "ftmo_compliant": True,
        "source": frame.source,
        "synthetic": frame.synthetic,
        "executed": False,
        "coverage": 0.0,
        "votes": (),
        "timings_ms": {},
        "versions": frame.versions,
        **replace_with,
    }
    return Draft(Signal(**values), key=None if frame.slot else frame.key, actor=frame.actor)  # type: ignore[arg-type]
