"""The decisions that are stored: one, a list, why, and each new one as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from core.deciding.strategies import decide_case
from core.errors import invalid
from core.explaining.explain import explain
from core.explaining.explanation import Explanation
from core.idempotency import Attempt
from core.market import parse_symbol
from core.risk.account import Clock
from core.signal import Signal
from core.signals.case_file import read_case
from core.signals.ports import Archive
from core.signals.requests import (
    ExplainSignalRequest,
    GetSignalRequest,
    ListSignalsRequest,
    ListSignalsResponse,
    MarkExecutedRequest,
    SignalEvent,
    StreamSignalsRequest,
)
from core.signals.store import SignalFilter
from core.trade import Book

MAX_PAGE: Final = 100  # reading so many held the gateway's loop 8 to 13 ms; writing 500 over gRPC held it 75
PAGE: Final = 50


class SignalReader:
    """Reads decisions back."""

    def __init__(self, archive: Archive, clock: Clock) -> None:
        self._archive = archive
        self._clock = clock

    async def get(self, request: GetSignalRequest) -> Signal:
        """One decision."""
        return (await self._archive.get(request.id)).signal

    async def several(self, ids: Sequence[str]) -> tuple[Signal, ...]:
        """Decisions in the order of their ids."""
        found = await self._archive.several(ids)
        return tuple(found[each].signal for each in ids)

    async def page(self, request: ListSignalsRequest) -> ListSignalsResponse:
        """A page of decisions, newest first, of the primary book unless another is named."""
        limit = PAGE if request.limit is None else request.limit
        if not 1 <= limit <= MAX_PAGE:
            raise invalid("limit", f"is {limit}; 1 to {MAX_PAGE} is allowed")
        wanted = SignalFilter(
            symbol=None if request.symbol is None else parse_symbol(request.symbol, field="symbol"),
            direction=request.direction,
            variant=request.variant,
            tier=request.tier,
            book=request.book or Book.PRIMARY,
            account=request.account,
            since=request.since,
            until=request.until,
            strategy=request.strategy,
            model=request.model,
        )
        page = await self._archive.list(wanted=wanted, cursor=request.cursor, limit=limit)
        return ListSignalsResponse(tuple(stored.signal for stored in page.signals), page.next_cursor)

    async def explain(self, request: ExplainSignalRequest) -> Explanation:
        """A decision in plain words: what moved it, what stopped it, the smallest change that would have changed it."""
        whole = await self._archive.whole(request.id)
        signal, text = whole.stored.signal, whole.texts.get("case")
        if text is None:
            return _explain_without_case(signal)
        case, _ = read_case(text)
        own = decide_case(case).vetoes
        return explain(case, vetoes=tuple(veto for veto in signal.vetoes if veto not in own))

    async def stream(self, request: StreamSignalsRequest) -> AsyncGenerator[SignalEvent, None]:
        """Each decision after that number, then every new one as it is stored."""
        after = await self._archive.newest() if request.after is None else request.after
        wanted = SignalFilter(book=request.book or Book.PRIMARY)
        async with aclosing(self._archive.follow(after, wanted=wanted)) as found:
            async for stored in found:
                yield SignalEvent(stored.seq, stored.signal)

    async def mark(self, request: MarkExecutedRequest, attempt: Attempt | None = None) -> Signal:
        """The trader took it."""
        by = request.by or "api"
        return (await self._archive.mark_executed(request.id, by=by, clock=self._clock, attempt=attempt)).signal


def _explain_without_case(signal: Signal) -> Explanation:
    """Nothing was read, or what was read has been forgotten: what is left is the row itself."""
    words = [f"Stopped by the rule {veto.rule}: {veto.detail}." for veto in signal.vetoes]
    words += [f"Degraded ({each.reason}): {each.detail}." for each in signal.degradations]
    words.append(signal.reasoning)
    stopped_by = signal.vetoes[0] if signal.vetoes else None
    return Explanation(signal.direction, tuple(words), signal.votes, stopped_by, None, ())
