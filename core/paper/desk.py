"""What a trader can ask about paper trades, and do to them by hand: open now, close now, take back.

A refusal is an error whose reason is the word of the rule that said no, such as KILL_SWITCH or DAILY_STOP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from core.errors import Code, CrpbotError, invalid
from core.idempotency import Attempt
from core.market import parse_symbol
from core.paper.costs import costs_of
from core.paper.fill import Terms
from core.paper.hand import cancel, close_by_hand, open_by_hand
from core.paper.requests import (
    CancelPaperTradeRequest,
    ClosePaperTradeRequest,
    GetPaperTradeRequest,
    ListPaperTradesRequest,
    ListPaperTradesResponse,
    OpenPaperTradeRequest,
)
from core.paper.settle import Step, need_state
from core.paper.trade import PaperTrade, birth
from core.risk.account import AccountFacts, AccountKind, Clock, Moment, Quote, TradeState
from core.risk.booking import Trade
from core.risk.check import check
from core.risk.desk import Bench, RiskDesk
from core.risk.funds import doubt_about
from core.risk.limits import WINDOW_MS
from core.risk.proposal import Proposal, Purpose
from core.risk.report import GetRiskRequest
from core.risk.rule import Rule
from core.signal import Veto
from core.signals.ports import Archive
from core.trade import Book

MAX_PAGE: Final = 500
PAGE: Final = 50

Opening = Callable[[AccountFacts, PaperTrade, Moment], Step]
Ending = Callable[[PaperTrade, Moment], Step]
"""Pure functions, called once, under the locks. They raise where the answer is no."""


@dataclass(frozen=True, slots=True)
class TradeFilter:
    """Which trades are wanted; None does not ask."""

    account: str | None = None
    symbol: str | None = None
    state: TradeState | None = None


class Books(Protocol):
    """The trades, and what is done to one by hand."""

    async def page(self, wanted: TradeFilter, *, cursor: int | None, limit: int) -> Sequence[Trade]:
        """The newest trades born before number `cursor`, newest first."""
        ...

    async def get(self, trade_id: str) -> Trade:
        """One trade."""
        ...

    async def open(
        self, trade_id: str, judge: Opening, *, by: str, clock: Clock, window_ms: int, attempt: Attempt | None = None
    ) -> Trade:
        """Judge an opening and store it in one transaction that no kill call can interleave."""
        ...

    async def end(
        self, trade_id: str, judge: Ending, *, by: str, clock: Clock, attempt: Attempt | None = None
    ) -> Trade:
        """Judge an end and store it in one transaction."""
        ...


class PaperDesk:
    """Reads paper trades, and opens, closes and cancels them by hand."""

    def __init__(self, *, books: Books, archive: Archive, risk: RiskDesk, clock: Clock) -> None:
        self._books = books
        self._archive = archive
        self._risk = risk
        self._clock = clock

    async def page(self, request: ListPaperTradesRequest) -> ListPaperTradesResponse:
        """A page of trades, newest first."""
        limit = PAGE if request.limit is None else request.limit
        if not 1 <= limit <= MAX_PAGE:
            raise invalid("limit", f"is {limit}; 1 to {MAX_PAGE} is allowed")
        symbol = None if request.symbol is None else parse_symbol(request.symbol, field="symbol")
        wanted = TradeFilter(request.account, symbol, request.state)
        found = await self._books.page(wanted, cursor=request.cursor, limit=limit + 1)
        page = tuple(found[:limit])
        return ListPaperTradesResponse(page, page[-1].created_seq if len(found) > limit else None)

    async def get(self, request: GetPaperTradeRequest) -> Trade:
        """One trade."""
        return await self._books.get(request.id)

    async def open(self, request: OpenPaperTradeRequest, attempt: Attempt | None = None) -> Trade:
        """The trade of a signal, opened at the quote: within the band around its entry and while it waits."""
        signal = (await self._archive.get(request.signal_id)).signal
        born = birth(signal)
        await self._risk.report(GetRiskRequest(signal.account))  # a limit that has tripped is stored, whatever follows
        bench = await self._risk.bench(signal.account, [signal.symbol])

        def judge(facts: AccountFacts, trade: PaperTrade, now: Moment) -> Step:
            return judge_opening(facts, trade, now, bench)

        return await self._books.open(
            born.id, judge, by=request.by or "api", clock=self._clock, window_ms=WINDOW_MS, attempt=attempt
        )

    async def close(self, request: ClosePaperTradeRequest, attempt: Attempt | None = None) -> Trade:
        """An open trade, closed at the quote. No halt and no limit forbids it."""
        stored = await self._books.get(request.id)
        bench = await self._risk.bench(stored.account, [stored.symbol])

        def judge(trade: PaperTrade, now: Moment) -> Step:
            need_state(trade, TradeState.OPEN)  # said before a missing quote is
            quote = fresh_quote(bench, trade.symbol, now)
            return close_by_hand(trade, quote, now.at, Terms(costs=costs_of(bench.pack)))

        return await self._books.end(stored.id, judge, by=request.by or "api", clock=self._clock, attempt=attempt)

    async def cancel(self, request: CancelPaperTradeRequest, attempt: Attempt | None = None) -> Trade:
        """A trade that waits, taken back."""

        def judge(trade: PaperTrade, now: Moment) -> Step:
            return cancel(trade, now.at)

        return await self._books.end(request.id, judge, by=request.by or "api", clock=self._clock, attempt=attempt)


def judge_opening(facts: AccountFacts, trade: PaperTrade, now: Moment, bench: Bench) -> Step:
    """The step of an opening by hand, or the error of the first rule that forbids it.

    The shadow book compares: nothing limits it but the band around the entry.
    """
    if facts.account.kind is not AccountKind.PAPER:
        detail = f"account: {facts.account.id!r} is held at the firm; open it there and report the account"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="ACCOUNT_IS_REPORTED")
    need_state(trade, TradeState.PENDING)
    quote = fresh_quote(bench, trade.symbol, now)
    opened = open_by_hand(trade, quote, now.at, Terms(costs=costs_of(bench.pack)))
    if facts.account.book is Book.PRIMARY:
        others = tuple(each for each in facts.open_trades if each.id != trade.id)  # its own claim is what is asked for
        asked = Proposal(
            Purpose.TRADE, trade.symbol, trade.direction, stop_loss=trade.stop_loss, quantity=trade.quantity
        )
        without = replace(facts, open_trades=others)
        vetoes = check(without, bench.pack, bench.quotes, now, proposal=asked, limits=bench.limits)
        if vetoes:
            raise refused(vetoes)
    return opened


def fresh_quote(bench: Bench, symbol: str, now: Moment) -> Quote:
    """What the symbol costs now; an error where nobody knows or what is known is too old."""
    quote = bench.quotes.get(symbol)
    doubt = doubt_about(symbol, quote, now, limits=bench.limits)
    if quote is None or doubt is not None:
        words = f"no quote of {symbol}" if doubt is None else doubt.words
        raise CrpbotError(Code.UNAVAILABLE, f"quote: {words}; try again in a moment", reason=Rule.STALE.upper())
    return quote


def refused(vetoes: Sequence[Veto]) -> CrpbotError:
    """The error of rules that said no: the first one's word, all of their sentences."""
    words = "; ".join(f"{veto.rule}: {veto.value}, allowed is {veto.limit} ({veto.detail})" for veto in vetoes)
    return CrpbotError(Code.FAILED_PRECONDITION, words, reason=vetoes[0].rule.upper())
