"""The use cases of the server. Both faces (REST and gRPC) and the command line call this and nothing deeper."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.analysis import AnalyzeRequest, AnalyzeResponse, Findings, ListTheoriesResponse, RefusedSymbol
from core.analyzers import choose, discover
from core.asked_windows import check_amount, check_window, read_symbols
from core.context import join_facts
from core.deciding.confidence import pool, to_columns
from core.ensemble import Outlook
from core.errors import Code, CrpbotError, join_errors
from core.forecasts.foresight import Foreseen, foresee, share_of
from core.forecasts.lineup import Lineup
from core.market import REQUEST_SOURCE, Windows, interval_seconds, parse_symbol, stack_windows
from core.panel import less_margin
from core.ports import Analysts, Contexts, Forecasters, Market, TradeRecords
from core.signals.ports import Study
from core.subject import Subject, describe, own_subjects, told_subjects

logger = logging.getLogger(__name__)

RECORD_SECONDS = 1.0  # for the closed trades: an analysis goes on without them


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is read when the caller does not say."""

    interval: str
    window: int


class Desk:
    """Answers what a user can ask. Clock, market and analysts come in; nothing here reads the outside world itself.

    Without `forecasters` no model is asked.
    """

    def __init__(
        self,
        *,
        market: Market,
        analysts: Analysts,
        now: Callable[[], datetime],
        defaults: Defaults,
        contexts: Contexts | None = None,
        records: TradeRecords | None = None,
        forecasters: Forecasters | None = None,
    ) -> None:
        self._market = market
        self._forecasters = forecasters
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
            tuple(describe(subject, found, len(theories)) for subject, found in zip(subjects, findings, strict=True)),
            refused,
        )

    async def study(
        self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
    ) -> list[Study | RefusedSymbol]:
        """Each symbol read through all theories, with the candles that were read, in the order of the symbols.

        The models look ahead meanwhile, for a share of the time: they keep no theory waiting.
        """
        now_ms = self._now_ms()
        ahead = self._look_ahead(symbols, now_ms, share_of(timeout_seconds))
        try:
            async with asyncio.timeout(timeout_seconds):
                studies = await self._study(symbols, interval, now_ms, timeout_seconds)
                foreseen = {} if ahead is None else await ahead
        except TimeoutError:
            raise deadline_exceeded(timeout_seconds) from None
        finally:
            if ahead is not None:
                ahead.cancel()
        return [
            replace(each, outlook=found.outlook, minutes=found.minutes)
            if isinstance(each, Study) and (found := foreseen.get(each.candles.symbol)) is not None
            else each
            for each in studies
        ]

    def lineup(self) -> Lineup:
        """The models that speak now; an empty one where no model is asked."""
        return Lineup() if self._forecasters is None else self._forecasters.lineup()

    def staffed(self, symbols: Sequence[str]) -> frozenset[str]:
        """Those of the symbols of which models speak."""
        return self.lineup().staffed(symbols)

    async def forecast(self, symbols: Sequence[str], *, timeout_seconds: float) -> list[tuple[str, Outlook]]:
        """What the models say of each symbol now, in the order of the symbols."""
        names = [parse_symbol(symbol, field=f"symbols.{place}") for place, symbol in enumerate(symbols)]
        seconds = less_margin(timeout_seconds)
        if seconds <= 0:
            raise deadline_exceeded(timeout_seconds)
        ahead = self._look_ahead(names, self._now_ms(), seconds)
        if ahead is None:
            raise CrpbotError(Code.FAILED_PRECONDITION, "this server asks no models", reason="NO_MODELS")
        found = await ahead
        return [(symbol, found[symbol].outlook) for symbol in names]

    def _look_ahead(
        self, symbols: Sequence[str], now_ms: int, seconds: float
    ) -> asyncio.Task[dict[str, Foreseen]] | None:
        """Asks the models that speak at this very moment, beside all else; None where no model is asked."""
        if self._forecasters is None:
            return None
        lineup = self._forecasters.lineup()
        return asyncio.create_task(
            foresee(self._market, self._forecasters, symbols, lineup=lineup, now_ms=now_ms, timeout_seconds=seconds)
        )

    async def _study(
        self, symbols: Sequence[str], interval: str | None, now_ms: int, timeout_seconds: float
    ) -> list[Study | RefusedSymbol]:
        """Each symbol through all theories."""
        theories = choose(())
        length = self._defaults.window
        loop = asyncio.get_running_loop()
        started = loop.time()
        told = await self._market.latest_each(symbols, interval or self._defaults.interval, length, now_ms=now_ms)
        found = told_subjects(self._market, symbols, told, length)
        subjects = await self._add_records([each for each in found if isinstance(each, Subject)])
        left = timeout_seconds - (loop.time() - started)
        findings = await self._consult(subjects, theories, timeout_seconds=left) if subjects else []
        studies = (
            Study(each.candles, each.origin, describe(each, said, len(theories)), each.records)
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
        now_ms = self._now_ms()
        own = own_subjects(request, window, usual=self._defaults.window, now_ms=now_ms)
        if not symbols:
            return own, ()
        interval = request.interval or self._defaults.interval
        interval_seconds(interval)
        length = window or self._defaults.window
        told = await self._market.latest_each(symbols, interval, length, now_ms=now_ms)
        errors = [each for each in told if isinstance(each, CrpbotError)]
        if errors and len(errors) == len(told) and not own:
            raise join_errors(errors, len(symbols))
        found = told_subjects(self._market, symbols, told, length)
        refused = tuple(each for each in found if isinstance(each, RefusedSymbol))
        return [each for each in found if isinstance(each, Subject)] + own, refused

    def _now_ms(self) -> int:
        return int(self._now().timestamp() * 1_000)

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
