"""From a question to a stored decision: the order of checks, who is asked, and what is written down.

Cheap refusals come first, so that nothing is spent on a signal that may not be published. The last word is spoken under
the locks of the ledger, and whatever is decided there is a stored row: signals, HOLDs and refusals alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from core.analysis import RefusedSymbol
from core.confidence import Records
from core.draft import Draft, Frame, draft, make_id, refuse_unasked, refuse_unread, settle
from core.errors import Code, CrpbotError, invalid
from core.idempotency import Attempt, refuse_expired
from core.levels import chance_of_stop_first
from core.llm import SpendStatus
from core.market import COLUMNS, Candles, instant, interval_seconds, parse_symbol, stack_windows
from core.risk.account import Clock
from core.risk.desk import RiskDesk
from core.risk.limits import WINDOW_MS
from core.signal import RuntimeMode, Version
from core.signal_ports import Decisions, Studies, Study
from core.signal_requests import (
    GenerateSignalsRequest,
    GenerateSignalsResponse,
)
from core.signal_store import SnapshotReference, StoredSignal
from core.trade import Book, Direction
from core.verdicts import Consultation, Verdicts

logger = logging.getLogger(__name__)

MAX_SYMBOLS: Final = 64
OLDEST_SLOT: Final = timedelta(minutes=15)  # a signal is good for so long; one of an older slot would be born expired
SLOT_SECONDS: Final = 60  # the finest grid
NEWEST_SLOT: Final = timedelta(seconds=5)  # so far the clocks of a scheduler and a server may differ
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
        symbols = read_symbols(request)
        frame = self._frame(request, key)
        found: dict[str, StoredSignal] = {}
        if frame.slot is not None:
            found.update(await self._decisions.decided(frame.account, symbols, frame.slot))
        elif key is not None:
            found.update(await self._done_under_key(symbols, frame))
        missing = [symbol for symbol in symbols if symbol not in found]
        if missing:
            drafts = await self._draft(missing, frame, deadline)
            found.update(await self._store(drafts, attempt))
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
            _check_slot(request.slot, now)
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
        )

    async def _draft(self, symbols: Sequence[str], frame: Frame, deadline: float) -> list[Draft]:
        """What would be decided on each symbol, before the locks: cheap checks, then theories, then the model."""
        now = self._clock()
        vetoes = await self._risk.vetoes(frame.account)
        if vetoes:
            return [refuse_unasked(symbol, frame, now.at, vetoes) for symbol in symbols]
        loop = asyncio.get_running_loop()
        started = loop.time()
        studies = await self._study(symbols, frame, max(deadline - started, 0.001))
        studied = loop.time()
        drafts = [refuse_unread(each, frame, now.at) for each in studies if isinstance(each, RefusedSymbol)]
        read = [each for each in studies if isinstance(each, Study)]
        consulted = await self._consult(read, frame, max(MODEL_SHARE * (deadline - studied), 0.001))
        timings = {"study": 1e3 * (studied - started), "verdict": 1e3 * (loop.time() - studied)}
        references = await self._snapshots(read, now.at)
        for study, consultations, reference in zip(read, consulted, references, strict=True):
            for each in consultations:
                stop_first = await asyncio.to_thread(_stop_first, study, each) if each.decision.levels else None
                drafts.append(
                    draft(
                        study,
                        each,
                        frame,
                        at=now.at,
                        stop_first=stop_first,
                        references=(reference,),
                        timings_ms={name: round(value, 3) for name, value in timings.items()},
                    )
                )
        return drafts

    async def _study(self, symbols: Sequence[str], frame: Frame, seconds: float) -> list[Study | RefusedSymbol]:
        """The markets as they are read now. What keeps all of them away is a reason for each, not an error."""
        try:
            return await self._studies.study(symbols, frame.interval, timeout_seconds=seconds)
        except CrpbotError as error:
            logger.warning("no market could be read: %s", error.detail)
            return [RefusedSymbol(symbol, error.reason, error.detail) for symbol in symbols]

    async def _consult(self, read: Sequence[Study], frame: Frame, seconds: float) -> list[tuple[Consultation, ...]]:
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
                    )
                )
                for each in read
            ]
        return [task.result() for task in tasks]

    async def _known_records(self, read: Sequence[Study], frame: Frame) -> Mapping[str, Records]:
        """The closed trades of each symbol: those that its theories were told, else as they stand now."""
        told = {each.analysis.symbol: each.records for each in read if each.records is not None}
        rest = [each.analysis.symbol for each in read if each.records is None]
        return told | dict(await self._decisions.records(rest, synthetic=frame.synthetic) if rest else {})

    async def _snapshots(self, read: Sequence[Study], at: datetime) -> list[SnapshotReference]:
        """The candles that are decided upon, stored once, before the decisions that refer to them."""
        by_identity: dict[str, list[int]] = {}
        for place, study in enumerate(read):
            by_identity.setdefault(study.identity, []).append(place)
        found: dict[int, SnapshotReference] = {}
        for identity, places in by_identity.items():
            seen = [_seen(read[place]) for place in places]
            stored = await self._decisions.store_snapshots(seen, identity=identity, at=at)
            found.update(zip(places, stored, strict=True))
        return [found[place] for place in range(len(read))]

    async def _store(self, drafts: Sequence[Draft], attempt: Attempt | None) -> dict[str, StoredSignal]:
        """Each decision in a transaction of its own, the surest first, so that no list's order decides who gets room.

        The shadow book comes last: it compares with what was published.
        """
        found: dict[str, StoredSignal] = {}
        proposed = [each for each in drafts if each.proposed is not Direction.HOLD]
        symbols = sorted({each.signal.symbol for each in proposed})
        # a HOLD is judged by nobody, so most calls need no bench
        benches = {account: await self._risk.bench(account, symbols) for account in _accounts(proposed)}
        for each in sorted(drafts, key=_urgency):
            bench = benches.get(each.signal.account)
            stored = await self._decisions.decide(
                each.signal.account,
                lambda facts, moment, each=each, bench=bench: settle(each, bench, facts, moment),  # type: ignore[misc]
                clock=self._clock,
                window_ms=WINDOW_MS,
                attempt=attempt,
            )
            if each.signal.book is Book.PRIMARY:
                found[each.signal.symbol] = stored
        return found


def read_symbols(request: GenerateSignalsRequest) -> list[str]:
    """The symbols asked for, each once."""
    named = ([("symbol", request.symbol)] if request.symbol is not None else []) + [
        (f"symbols.{position}", symbol) for position, symbol in enumerate(request.symbols)
    ]
    symbols: list[str] = []
    for field, text in named:
        symbol = parse_symbol(text, field=field)
        if symbol in symbols:
            raise invalid(field, f"{symbol} is asked for twice")
        symbols.append(symbol)
    if not symbols:
        raise invalid("symbol", "nothing to decide on: give symbol or symbols", reason="NOTHING_ASKED")
    if len(symbols) > MAX_SYMBOLS:
        raise invalid("symbols", f"{len(symbols)} symbols in one call, at most {MAX_SYMBOLS} are allowed")
    return symbols


def _check_slot(slot: datetime, now: datetime) -> None:
    """A slot is a grid time of now: not to come, and not so old that its signal would be born expired."""
    if slot.timestamp() % SLOT_SECONDS:
        raise invalid("slot", f"{slot.isoformat()} is no whole minute; give the grid time of the scheduler")
    if slot > now + NEWEST_SLOT:
        raise invalid("slot", f"{slot.isoformat()} is to come, it is {now.isoformat()}", reason="SLOT_IN_FUTURE")
    if slot < now - OLDEST_SLOT:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"slot: {slot.isoformat()} is older than {OLDEST_SLOT.seconds // 60} minutes, it is {now.isoformat()}; "
            "a signal of then would be born expired: ask for the newest slot",
            reason="SLOT_TOO_OLD",
        )


def _seen(study: Study) -> Candles:
    """The candles of the window, and no more."""
    candles, length = study.candles, study.analysis.window
    times = np.ascontiguousarray(candles.open_times[-length:])
    opens, highs, lows, closes, volumes = (np.ascontiguousarray(getattr(candles, name)[-length:]) for name in COLUMNS)
    return Candles(candles.symbol, candles.interval, times, opens, highs, lows, closes, volumes)


def _stop_first(study: Study, consultation: Consultation) -> float | None:
    """P(stop before target) at the final levels: the simulation, run once more for these prices."""
    decision = consultation.decision
    assert decision.levels is not None
    window = stack_windows([study.candles], study.analysis.window, origins=(study.identity,))
    return chance_of_stop_first(window, decision.direction, decision.levels)


def _accounts(drafts: Sequence[Draft]) -> list[str]:
    return sorted({each.signal.account for each in drafts})


def _urgency(each: Draft) -> tuple[bool, float, str]:
    return each.signal.book is Book.SHADOW, -each.signal.confidence, each.signal.symbol
