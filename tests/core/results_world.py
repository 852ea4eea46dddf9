"""A ledger with results: decisions with their cases, trades followed to their end, HOLDs and what expired."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.adapters.ledger.births import insert_trade
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.locks import locked_facts
from core.adapters.ledger.paper_books import StoredBooks
from core.adapters.ledger.signals.store import store_signal
from core.deciding.decision import Case, decide
from core.market import milliseconds
from core.paper.costs import STANDARD
from core.paper.fill import Terms
from core.paper.machine import lapse
from core.paper.settle import Step, close_trade, open_trade
from core.paper.trade import Fill, birth, rebuild
from core.risk.account import Clock, Moment
from core.risk.booking import Trade
from core.signal import Mode, Signal, Strategy, Synthesis, Variant
from core.signals.case_file import write_case
from core.signals.store import NewSignal
from core.trade import Book, Direction
from tests.core.books import HOUR_MS
from tests.core.cases import a_case, readings_of
from tests.core.decisions import decision

FIRST = datetime(2026, 11, 2, tzinfo=UTC)
ENTRY = Decimal(50_000)
BUYING = a_case(readings_of(ordered=True, markov_regime=1.0, monte_carlo=0.2))
HOLDING = a_case(readings_of(ordered=True))


def at(moment: datetime) -> Clock:
    """A clock that stands."""
    return lambda: Moment(moment, milliseconds(moment))


def signal_of(name: str, case: Case, when: datetime, **changes: object) -> Signal:
    """The decision of a case as it is stored, ready to be traded."""
    made = decide(case)
    direction = changes.get("direction", made.direction)
    levels = {"entry": ENTRY, "stop_loss": ENTRY * Decimal("0.98"), "take_profit": ENTRY * Decimal("1.03")}
    plain: dict[str, object] = {
        "id": name,
        "slot": None,
        "timestamp": when,
        "as_of": when,
        "direction": made.direction,
        "confidence": made.confidence,
        "tier": made.tier,
        "votes": made.votes,
        "synthesis": Synthesis.RULES,
        "strategy": Strategy.V7,
        "variant": Variant.V7_FULL_MATH,
        "vetoes": (),
        "degraded": False,
        "degradations": (),
        **(levels if direction is not Direction.HOLD else {}),
        **changes,
    }
    return decision(**plain)


async def decide_and_end(
    ledger: Ledger,
    name: str,
    *,
    when: datetime = FIRST,
    exit_price: str | None = "51000",
    case: Case = BUYING,
    hours: float = 2.0,
    **changes: object,
) -> Trade | None:
    """One decision and all that became of it; without an exit price the trade expires, a HOLD has none."""
    signal = signal_of(name, case, when, **changes)
    text = write_case(case, Mode.CONSERVATIVE)
    async with ledger.writing() as connection:
        facts, moment = await locked_facts(connection, signal.account, clock=at(when), window_ms=HOUR_MS)
        new = NewSignal(signal, "test", key=signal.id, texts={"case": text})
        stored = await store_signal(connection, new, created_at=when)
        if signal.direction is Direction.HOLD:
            return None
        trade = await insert_trade(connection, facts.account, birth(signal), moment=moment, seq=stored.seq)
    books = StoredBooks(ledger)
    before = rebuild(trade, [])
    closing = when + timedelta(hours=hours)
    if exit_price is None:
        await books.apply(signal.account, before, lapse(before, milliseconds(closing)), by="test", clock=at(closing))
        return await books.get(trade.id)
    terms = Terms(costs=STANDARD)
    opening = when + timedelta(minutes=5)
    opened = open_trade(before, Fill.OPEN, opening, price=ENTRY, terms=terms)
    await books.apply(signal.account, before, opened, by="test", clock=at(opening))
    closed = close_trade(opened.trade, Decimal(exit_price), closing, how="test", terms=terms)
    await books.apply(signal.account, opened.trade, Step(closed.trade, closed.moves), by="test", clock=at(closing))
    return await books.get(trade.id)


async def fill(ledger: Ledger, count: int, *, losing_every: int = 4) -> list[Trade]:
    """So many trades, one every six hours, of two symbols; every so many'th loses. Between them HOLDs."""
    found = []
    for number in range(count):
        when = FIRST + number * timedelta(hours=6)
        symbol = ("BTC-USD", "ETH-USD")[number % 2]
        price = "49500" if number % losing_every == losing_every - 1 else f"{50_600 + 7 * number}"
        trade = await decide_and_end(ledger, f"s-{number:04d}", when=when, exit_price=price, symbol=symbol)
        assert trade is not None
        found.append(trade)
        held = replace(HOLDING, analysis=replace(HOLDING.analysis, symbol=symbol))
        await decide_and_end(ledger, f"h-{number:04d}", when=when + timedelta(hours=3), case=held, symbol=symbol)
    return found


SHADOW = {"account": "shadow", "book": Book.SHADOW}
