"""The use cases of the server. Both faces (REST and gRPC) and the command line call this and nothing deeper."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.analysis import (
    Analysis,
    AnalyzeRequest,
    AnalyzeResponse,
    Findings,
    ListTheoriesResponse,
    RefusedSymbol,
)
from core.analyzers import choose, discover
from core.asked_windows import MIN_WINDOW, check_amount, check_window, read_symbols
from core.confidence import Records, pool, to_columns
from core.context import join_facts
from core.errors import Code, CrpbotError, invalid, join_errors
from core.market import REQUEST_SOURCE, Candles, Windows, instant, interval_seconds, stack_windows
from core.own_candles import read_ccxt, read_columns
from core.ports import Analysts, Contexts, Market, Told, TradeRecords
from core.signal import Degradation
from core.signal_ports import Study

logger = logging.getLogger(__name__)

RECORD_SECONDS = 1.0  # for the closed trades: an analysis goes on without them


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is read when the caller does not say."""

    interval: str
    window: int


class Subject(NamedTuple):
    """One window to be analysed, where its candles came from, and what speaks against them."""

    candles: Candles
    length: int
    source: str
    origin: str
    synthetic: bool
    degradations: tuple[Degradation, ...] = ()
    records: Records | None = None  # of its own signals; a caller's candles have none


class Desk:
    """Answers what a user can ask. Clock, market and analysts come in; nothing here reads the outside world itself."""

    def __init__(
        self,
        *,
        market: Market,
        analysts: Analysts,
        now: Callable[[], datetime],
        defaults: Defaults,
        contexts: Contexts | None = None,
        records: TradeRecords | None = None,
    ) -> None:
        self._market = market
        self._contexts = contexts
        self._records = records
        self._analysts = analysts
        self._now = now
        self._defaults = defaults

    def list_theories(self) -> ListTheoriesResponse:
        """Every theory this server can compute."""
        return ListTheoriesResponse(tuple(analyzer.describe() for analyzer in discover().values()))

    async def analyze(self, request: AnalyzeRequest, *, timeout_seconds: float) -> AnalyzeResponse:
        """Reads every window of the request through the theories; what did not answer in time is named as missing."""
        if timeout_seconds <= 0:
            raise deadline_exceeded(timeout_seconds)
        theories = choose(request.theories)
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(timeout_seconds):
                subjects, refused = await self._gather(request)
                subjects = await self._add_records(subjects)
                left = timeout_seconds - (loop.time() - started)
                findings = await self._consult(subjects, theories, timeout_seconds=left)
        except TimeoutError:
            raise deadline_exceeded(timeout_seconds) from None
        return AnalyzeResponse(
            tuple(_describe(subject, found, len(theories)) for subject, found in zip(subjects, findings, strict=True)),
            refused,
        )

    async def study(
        self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
    ) -> list[Study | RefusedSymbol]:
        """Each symbol read through all theories, with the candles that were read, in the order of the symbols."""
        theories = choose(())
        length = self._defaults.window
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(timeout_seconds):
                now_ms = int(self._now().timestamp() * 1_000)
                told = await self._market.latest_each(
                    symbols, interval or self._defaults.interval, length, now_ms=now_ms
                )
                found = self._subjects(symbols, told, length)
                subjects = await self._add_records([each for each in found if isinstance(each, Subject)])
                left = timeout_seconds - (loop.time() - started)
                findings = await self._consult(subjects, theories, timeout_seconds=left) if subjects else []
        except TimeoutError:
            raise deadline_exceeded(timeout_seconds) from None
        studies = (
            Study(each.candles, each.origin, _describe(each, said, len(theories)), each.records)
            for each, said in zip(subjects, findings, strict=True)
        )
        return [each if isinstance(each, RefusedSymbol) else next(studies) for each in found]

    async def _gather(self, request: AnalyzeRequest) -> tuple[list[Subject], tuple[RefusedSymbol, ...]]:
        """The candles of every window asked for, in the order of the request, and the symbols that have none.

        When nothing is left to be analysed, that is an error.
        """
        window = check_window(request.window)
        symbols = read_symbols(request)
        check_amount(request, len(symbols))
        now_ms = int(self._now().timestamp() * 1_000)
        own = [
            *(
                self._own(read_columns(columns, field=f"candles.{position}"), window, now_ms, f"candles.{position}")
                for position, columns in enumerate(request.candles)
            ),
            *(
                self._own(read_ccxt(rows, field=f"ccxt.{position}"), window, now_ms, f"ccxt.{position}")
                for position, rows in enumerate(request.ccxt)
            ),
        ]
        if not symbols:
            return own, ()
        interval = request.interval or self._defaults.interval
        interval_seconds(interval)
        length = window or self._defaults.window
        told = await self._market.latest_each(symbols, interval, length, now_ms=now_ms)
        errors = [each for each in told if isinstance(each, CrpbotError)]
        if errors and len(errors) == len(told) and not own:
            raise join_errors(errors, len(symbols))
        found = self._subjects(symbols, told, length)
        refused = tuple(each for each in found if isinstance(each, RefusedSymbol))
        return [each for each in found if isinstance(each, Subject)] + own, refused

    def _subjects(
        self, symbols: Sequence[str], told: Sequence[Told | CrpbotError], length: int
    ) -> list[Subject | RefusedSymbol]:
        """What the market told of each symbol, in their order."""
        name, identity = self._market.name, self._market.identity
        return [
            RefusedSymbol(symbol, each.reason, each.detail)
            if isinstance(each, CrpbotError)
            else Subject(each.candles, length, name, identity, each.synthetic, each.degradations)
            for symbol, each in zip(symbols, told, strict=True)
        ]

    def _own(self, candles: Candles, window: int | None, now_ms: int, field: str) -> Subject:
        """The caller's own candles: enough of them, and all of them closed."""
        needed = window or MIN_WINDOW
        if len(candles) < needed:
            raise invalid(field, f"has {len(candles)} candles, {needed} are needed", reason="TOO_FEW_CANDLES")
        if candles.as_of > now_ms:
            raise invalid(
                f"{field}.open_times_ms",
                f"row {len(candles) - 1}: the candle closes at {instant(candles.as_of).isoformat()}, "
                f"after the server's clock {instant(now_ms).isoformat()}; only closed candles are read",
                reason="CANDLE_NOT_CLOSED",
            )
        length = window or min(len(candles), self._defaults.window)
        return Subject(candles, length, REQUEST_SOURCE, REQUEST_SOURCE, False)

    async def _add_records(self, subjects: list[Subject]) -> list[Subject]:
        """What became of each symbol's signals, beside its candles; these are read also where no ledger answers."""
        symbols = [each.candles.symbol for each in subjects if each.source != REQUEST_SOURCE]
        if self._records is None or not symbols:
            return subjects
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                found = await self._records.records(symbols, synthetic=self._market.synthetic)
        except (CrpbotError, TimeoutError) as error:
            logger.warning("the closed trades cannot be read: %s", error or f"no answer in {RECORD_SECONDS:g} s")
            return subjects
        return [
            each if each.source == REQUEST_SOURCE else each._replace(records=found[each.candles.symbol])
            for each in subjects
        ]

    async def _consult(
        self, subjects: Sequence[Subject], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[Findings]:
        """One call to the analysts for all windows; windows of one shape travel as one batch."""
        groups: dict[tuple[str, int], list[int]] = {}
        for index, subject in enumerate(subjects):
            groups.setdefault((subject.candles.interval, subject.length), []).append(index)
        batches = [
            await self._stack([subjects[index] for index in members], length) for (_, length), members in groups.items()
        ]
        answers = await self._analysts.analyze(batches, theories, timeout_seconds=timeout_seconds)
        found: dict[int, Findings] = {}
        for members, answer in zip(groups.values(), answers, strict=True):
            found.update(zip(members, answer, strict=True))
        return [found[index] for index in range(len(subjects))]

    async def _stack(self, subjects: Sequence[Subject], length: int) -> Windows:
        """Windows of one shape as one batch, each with what was known of the whole market at its own end."""
        origins = tuple(subject.origin for subject in subjects)
        windows = stack_windows([subject.candles for subject in subjects], length, origins=origins)
        if any(subject.records is not None for subject in subjects):
            pooled = [None if each.records is None else pool(each.records) for each in subjects]
            windows = replace(windows, record=to_columns(pooled))
        if self._contexts is None:
            return windows
        ends = windows.as_of.tolist()
        known = {end: await self._contexts.latest(as_of_ms=end) for end in sorted(set(ends))}
        return replace(windows, market=join_facts([known[end] for end in ends], windows.as_of))


def deadline_exceeded(timeout_seconds: float) -> CrpbotError:
    """The caller's patience ended before the answer was ready."""
    return CrpbotError(
        Code.DEADLINE_EXCEEDED,
        f"the deadline of {max(timeout_seconds, 0.0):.3f} s passed before the answer was ready; "
        "ask for fewer windows or theories, or allow more time",
        reason="DEADLINE_EXCEEDED",
    )


def _describe(subject: Subject, found: Findings, asked: int) -> Analysis:
    candles = subject.candles
    answered = sum(reading.problem is None for reading in found.readings)
    return Analysis(
        symbol=candles.symbol,
        interval=candles.interval,
        window=subject.length,
        as_of=instant(candles.as_of),
        price=Decimal(repr(float(candles.close[-1]))),
        source=subject.source,
        synthetic=subject.synthetic,
        readings=found.readings,
        missing=found.missing,
        coverage=answered / asked,
        degradations=subject.degradations,
    )
