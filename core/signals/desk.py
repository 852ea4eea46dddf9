"""From a question to a stored decision: the order of checks, who is asked, and what is written down.

Cheap refusals come first, so that nothing is spent on a signal that may not be published. The last word is spoken under
the locks of the ledger, and whatever is decided there is a stored row: signals, HOLDs and refusals alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from core.analysis import RefusedSymbol
from core.asked_symbols import require_symbols
from core.deciding.confidence import Records
from core.deciding.consultation import Consultation, RecordsOf
from core.deciding.levels import chance_of_stop_first
from core.deciding.verdicts import Verdicts
from core.errors import CrpbotError, invalid
from core.idempotency import Attempt, refuse_expired
from core.llm.asking import SpendStatus
from core.market import COLUMNS, Candles, instant, interval_seconds, stack_windows
from core.risk.account import Clock
from core.risk.desk import Bench, RiskDesk
from core.risk.limits import WINDOW_MS
from core.risk.rule import Rule
from core.signal import RuntimeMode, Strategy, Unasked, Version, Veto
from core.signals.draft import Draft, Frame, draft, make_id, refuse_unasked, refuse_unread, settle
from core.signals.ports import Decisions, Studies, Study
from core.signals.question import MAX_SYMBOLS, check_slot
from core.signals.requests import (
    GenerateSignalsRequest,
    GenerateSignalsResponse,
)
from core.signals.store import SnapshotReference, StoredSignal
from core.trade import Book, Direction, Levels

logger = logging.getLogger(__name__)

RESERVE_SECONDS: Final = 1.0  # of the caller's patience, kept for storing what was decided
MODEL_SHARE: Final = 0.9  # of what is left then: the model may take it, judging takes the rest


@dataclass(frozen=True, slots=True)
class Station:
    """What this server stamps on every decision: mode, market, versions, and what it reads by default."""

    runtime_mode: RuntimeMode
    source: str
    synthetic: bool
    interval: str
    window: int
    versions: tuple[Version, ...]


class Order(NamedTuple):
    """What is proposed to do at which prices."""

    direction: Direction
    levels: Levels | None


class SignalDesk:
    """Generates decisions. Everything that reads the outside world comes in."""

    def __init__(
        self,
        *,
        studies: Studies,
        verdicts: Verdicts,
        risk: RiskDesk,
        decisions: Decisions,
        station: Station,
        clock: Clock,
        make_key: Callable[[], str],
    ) -> None:
        self._studies = studies
        self._verdicts = verdicts
        self._sideline = verdicts.sideline
        self._risk = risk
        self._decisions = decisions
        self._station = station
        self._clock = clock
        self._make_key = make_key

    async def generate(
        self,
        request: GenerateSignalsRequest,
        *,
        timeout_seconds: float,
        key: str | None = None,
        attempt: Attempt | None = None,
    ) -> GenerateSignalsResponse:
        """One decision for each symbol. What has been decided for the slot already is the answer for it."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds - RESERVE_SECONDS
        symbols = require_symbols(request.symbol, request.symbols, most=MAX_SYMBOLS, purpose="decide on")
        frame = self._frame(request, key)
        found: dict[str, StoredSignal] = {}
        if frame.slot is not None:
            found.update(await self._decisions.decided(frame.account, symbols, frame.slot))
        elif key is not None:
            found.update(await self._done_under_key(symbols, frame))
        missing = [symbol for symbol in symbols if symbol not in found]
        if missing:
            drafts = await self._draft(missing, frame, deadline)
            found.update(await self._store(drafts, frame, attempt))
        return GenerateSignalsResponse(tuple(found[symbol].signal for symbol in symbols))

    async def spend(self) -> SpendStatus:
        """What the language model has cost, against its caps."""
        return await self._verdicts.spend(self._clock())

    async def _done_under_key(self, symbols: Sequence[str], frame: Frame) -> dict[str, StoredSignal]:
        """What an earlier attempt at the same call has decided, by symbol."""
        found = await self._decisions.several([make_id(frame.account, symbol, frame) for symbol in symbols])
        now = self._clock().at
        for stored in found.values():
            refuse_expired(frame.key, stored.created_at, now)
        return {stored.signal.symbol: stored for stored in found.values()}

    def _frame(self, request: GenerateSignalsRequest, key: str | None) -> Frame:
        """What is the same for every symbol of the request, completed by this server's habits."""
        interval = request.interval or self._station.interval
        interval_seconds(interval)
        now = self._clock().at
        if request.slot is not None:
            check_slot(request.slot, now)
        station, account = self._station, self._risk.name_account(request.account)
        if account == Book.SHADOW.value:
            raise invalid("account", "shadow only compares variants, nothing is published on it; name another account")
        return Frame(
            account=account,
            slot=request.slot,
            key=key or self._make_key(),
            mode=request.mode or self._verdicts.habits.mode,
            runtime_mode=station.runtime_mode,
            interval=interval,
            window=station.window,
            source=station.source,
            synthetic=station.synthetic,
            versions=station.versions,
            actor="scheduler" if request.slot else "api",
            strategy=self._verdicts.habits.strategy,
        )

    async def _draft(self, symbols: Sequence[str], frame: Frame, deadline: float) -> list[Draft]:
        """What would be decided on each symbol, before the locks: cheap checks, then theories, then the model."""
        now = self._clock()
        vetoes = await self._risk.vetoes(frame.account)
        looked_at = self._compared_anyway(symbols, frame, vetoes) if vetoes else frozenset(symbols)
        drafts = [refuse_unasked(symbol, frame, now.at, vetoes) for symbol in symbols if symbol not in looked_at]
        if not looked_at:
            return drafts
        loop = asyncio.get_running_loop()
        started = loop.time()
        asked = [symbol for symbol in symbols if symbol in looked_at]
        studies = await self._study(asked, frame, max(deadline - started, 0.001))
        studied = loop.time()
        unread = [each for each in studies if isinstance(each, RefusedSymbol)]
        drafts += (
            refuse_unasked(each.symbol, frame, now.at, vetoes) if vetoes else refuse_unread(each, frame, now.at)
            for each in unread
        )
        read = [each for each in studies if isinstance(each, Study)]
        seconds = max(MODEL_SHARE * (deadline - studied), 0.001)
        consulted = await self._consult(read, frame, seconds, unasked=_unpublished(vetoes))
        timings = {"study": 1e3 * (studied - started), "verdict": 1e3 * (loop.time() - studied)}
        references = await self._snapshots(read, consulted, now.at)
        chances = await asyncio.gather(*map(self._chances, read, consulted))
        for study, consultations, stop_first in zip(read, consulted, chances, strict=True):
            window, *minutes = references[study.analysis.symbol]
            for each in consultations:
                with self._sideline.guard("draft", study.analysis.symbol, compared=_is_compared(each)):
                    made = draft(
                        study,
                        each,
                        frame,
                        at=now.at,
                        stop_first=stop_first.get(_order(each)),
                        references=(window, *minutes) if _rests_on_models(each) else (window,),
                        timings_ms={name: round(value, 3) for name, value in timings.items()},
                    )
                    drafts.append(replace(made, refused=vetoes) if each.book is Book.PRIMARY else made)
        return drafts

    def _compared_anyway(self, symbols: Sequence[str], frame: Frame, vetoes: Sequence[Veto]) -> frozenset[str]:
        """The symbols on which strategies are compared in this slot although nothing may be published.

        Else they would only be compared in the hours in which the published one was quiet. A kill stops this too, and
        a call without a slot is refused at once, as often as it comes.
        """
        is_killed = any(veto.rule == Rule.KILL_SWITCH for veto in vetoes)
        if frame.slot is None or is_killed or not self._verdicts.habits.compare_strategies:
            return frozenset()
        return self._studies.staffed(symbols)

    async def _chances(self, study: Study, consultations: Sequence[Consultation]) -> dict[Order, float | None]:
        """P(stop before target) of each order that is proposed: the simulation, run once more for these prices.

        Strategies that agree often propose the very same order, which is then looked at once.
        """
        found: dict[Order, float | None] = {}
        proposed = [each for each in consultations if each.decision.direction is not Direction.HOLD]
        if not proposed:
            return found
        window = stack_windows([study.candles], study.analysis.window, origins=(study.identity,))
        for each in proposed:
            order = _order(each)
            if order in found or order.levels is None:
                continue
            with self._sideline.guard("order", study.analysis.symbol, compared=_is_compared(each)):
                found[order] = await asyncio.to_thread(chance_of_stop_first, window, order.direction, order.levels)
        return found

    async def _study(self, symbols: Sequence[str], frame: Frame, seconds: float) -> list[Study | RefusedSymbol]:
        """The markets as they are read now. What keeps all of them away is a reason for each, not an error."""
        try:
            return await self._studies.study(symbols, frame.interval, timeout_seconds=seconds)
        except CrpbotError as error:
            logger.warning("no market could be read: %s", error.detail)
            return [RefusedSymbol(symbol, error.reason, error.detail) for symbol in symbols]

    async def _consult(
        self, read: Sequence[Study], frame: Frame, seconds: float, *, unasked: Unasked | None
    ) -> list[tuple[Consultation, ...]]:
        """What rule and model say of each market, asked at the same time. A bug in one leaves no other call running."""
        records = await self._known_records(read, frame)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._verdicts.consult(
                        each,
                        mode=frame.mode,
                        slot=frame.slot or instant(each.candles.as_of),
                        records=records[each.analysis.symbol],
                        seconds=seconds,
                        unasked=unasked,
                    )
                )
                for each in read
            ]
        return [task.result() for task in tasks]

    async def _known_records(self, read: Sequence[Study], frame: Frame) -> Mapping[str, RecordsOf]:
        """The closed trades of each symbol by strategy: those that its theories were told, else as they stand now."""
        told = {each.analysis.symbol: each.records for each in read if each.records is not None}
        decided = {strategy for each in read for strategy in self._verdicts.strategies(each)}
        symbols = [each.analysis.symbol for each in read]
        asked = decided - {Strategy.V7} if len(told) == len(symbols) else decided
        found: dict[Strategy, Mapping[str, Records]] = {}
        if asked:
            wanted = sorted(asked, key=lambda each: each.value)
            found.update(await self._decisions.records_of(wanted, symbols, synthetic=frame.synthetic))
        if Strategy.V7 in decided:
            found[Strategy.V7] = {**found.get(Strategy.V7, {}), **told}
        return {symbol: {strategy: records[symbol] for strategy, records in found.items()} for symbol in symbols}

    async def _snapshots(
        self, read: Sequence[Study], consulted: Sequence[tuple[Consultation, ...]], at: datetime
    ) -> dict[str, list[SnapshotReference]]:
        """What is decided upon, stored once, before the decisions that refer to it: each symbol's candles, and the
        minutes where models read them and may have a part in a decision."""
        by_identity: dict[str, list[Candles]] = {}
        for study, consultations in zip(read, consulted, strict=True):
            seen = by_identity.setdefault(study.identity, [])
            seen.append(_seen(study))
            if study.minutes is not None and any(_rests_on_models(each) for each in consultations):
                seen.append(study.minutes)
        found: dict[str, list[SnapshotReference]] = {}
        for identity, candles in by_identity.items():
            stored = await self._decisions.store_snapshots(candles, identity=identity, at=at)
            for one, reference in zip(candles, stored, strict=True):
                found.setdefault(one.symbol, []).append(reference)
        return found

    async def _store(self, drafts: Sequence[Draft], frame: Frame, attempt: Attempt | None) -> dict[str, StoredSignal]:
        """Each decision in a transaction of its own, the surest first, so that no list's order decides who gets room.

        The shadow book comes last: it compares with what was published just now. Where another server published
        meanwhile, its decision stands with what it compared, and nothing is compared here.
        """
        primaries = sorted((each for each in drafts if each.signal.book is Book.PRIMARY), key=_urgency)
        # a HOLD is judged by nobody, so most calls need no bench
        proposed = _proposed(primaries)
        bench = await self._risk.bench(frame.account, proposed) if proposed else None
        found: dict[str, StoredSignal] = {}
        for each in primaries:
            found[each.signal.symbol] = await self._decisions.decide(
                frame.account,
                partial(settle, each, bench),
                clock=self._clock,
                window_ms=WINDOW_MS,
                attempt=attempt,
            )
        compared = [each for each in drafts if each.signal.book is Book.SHADOW and found[each.signal.symbol].is_new]
        if compared:
            with self._sideline.guard("shadow_book"):
                await self._compare(sorted(compared, key=_urgency), bench, attempt)
        return found

    async def _compare(self, drafts: Sequence[Draft], bench: Bench | None, attempt: Attempt | None) -> None:
        """What was not published, all in one transaction."""
        account, proposed = Book.SHADOW.value, _proposed(drafts)
        known = {} if bench is None else bench.quotes
        lone = await self._risk.lone_bench(account, proposed, known=known) if proposed else None
        judges = [partial(settle, each, lone) for each in drafts]
        await self._decisions.compare(account, judges, clock=self._clock, attempt=attempt)


def _unpublished(vetoes: Sequence[Veto]) -> Unasked | None:
    """Why the language model is not paid where nothing can be published."""
    return Unasked("not_published", f"nothing is published now ({vetoes[0].detail})") if vetoes else None


def _seen(study: Study) -> Candles:
    """The candles of the window, and no more."""
    candles, length = study.candles, study.analysis.window
    times = np.ascontiguousarray(candles.open_times[-length:])
    opens, highs, lows, closes, volumes = (np.ascontiguousarray(getattr(candles, name)[-length:]) for name in COLUMNS)
    return Candles(candles.symbol, candles.interval, times, opens, highs, lows, closes, volumes)


def _rests_on_models(consultation: Consultation) -> bool:
    """Whether the models may have had a part in it."""
    return consultation.decision.strategy is not Strategy.V7


def _is_compared(consultation: Consultation) -> bool:
    return consultation.book is Book.SHADOW


def _order(consultation: Consultation) -> Order:
    return Order(consultation.decision.direction, consultation.decision.levels)


def _proposed(drafts: Sequence[Draft]) -> list[str]:
    """The symbols on which something is proposed."""
    return sorted({each.signal.symbol for each in drafts if each.proposed is not Direction.HOLD})


def _urgency(each: Draft) -> tuple[float, str]:
    return -each.signal.confidence, each.signal.symbol
