"""A market of planted minutes, a clock that is turned by hand, and signals stored with their trades: for the keeper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

import numpy as np

from core.adapters.ledger.births import insert_emission, insert_trade
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.locks import locked_facts
from core.adapters.ledger.paper_books import StoredBooks
from core.adapters.ledger.signals.store import store_signal
from core.errors import Code, CrpbotError
from core.keeper import Keeper
from core.market import Candles, milliseconds
from core.paper.tape import MINUTE_MS
from core.paper.trade import birth
from core.ports import Told
from core.risk.account import Quote
from core.risk.booking import NewEmission, Trade
from core.risk.pack import discover_packs
from core.signal import Signal
from core.signals.store import NewSignal
from core.trade import Book, Direction, Tier
from tests.core.books import HOUR_MS, NOON, NOON_MS, Books
from tests.core.decisions import decision

FAST_MS = 3_000  # so long after its end a candle is told
OLDEST = 3  # candles: a market whose newest candle is older refuses

Row = tuple[float, float, float, float]


def refusal(reason: str, code: Code = Code.FAILED_PRECONDITION) -> CrpbotError:
    return CrpbotError(code, f"fake: {reason}", reason=reason)


@dataclass
class PlantedMarket:
    """Minutes by symbol, counted from noon; a minute that is not planted is a hole.

    It refuses as the live market does: a window with a hole in it, one whose newest candle is old, a broken line.
    """

    minutes: dict[str, dict[int, Row]] = field(default_factory=dict)
    broken: dict[str, CrpbotError] = field(default_factory=dict)
    raising: set[str] = field(default_factory=set)
    asked: list[tuple[str, int]] = field(default_factory=list)
    name = "planted"
    identity = "planted"
    synthetic = True

    def plant(self, first: int, rows: Sequence[Row], symbol: str = "BTC-USD") -> None:
        self.minutes.setdefault(symbol, {}).update({first + place: row for place, row in enumerate(rows)})

    def calm(self, minutes: range, price: float = 100.0, symbol: str = "BTC-USD") -> None:
        self.plant(minutes.start, [(price, price, price, price)] * len(minutes), symbol)

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        raise AssertionError("the keeper asks symbol by symbol")

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Told | CrpbotError]:
        assert interval == "1m"
        self.asked += [(symbol, count) for symbol in symbols]
        for symbol in symbols:
            if symbol in self.raising:
                raise refusal("UNKNOWN_SYMBOL", Code.NOT_FOUND)
        return [self._cut(symbol, count, now_ms) for symbol in symbols]

    async def quotes(self, symbols: Sequence[str], *, now_ms: int) -> list[Quote | CrpbotError]:
        """A basis point around the newest close."""
        found: list[Quote | CrpbotError] = []
        for symbol in symbols:
            told = self._cut(symbol, 1, now_ms)
            if isinstance(told, CrpbotError):
                found.append(told)
                continue
            middle = Decimal(repr(float(told.candles.close[-1])))
            found.append(Quote(symbol, middle * Decimal("0.9999"), middle * Decimal("1.0001"), now_ms))
        return found

    async def problem(self) -> str | None:
        return None

    def _cut(self, symbol: str, count: int, now_ms: int) -> Told | CrpbotError:
        if symbol in self.broken:
            return self.broken[symbol]
        end = (now_ms - FAST_MS - NOON_MS) // MINUTE_MS
        planted = self.minutes.get(symbol, {})
        known = [minute for minute in planted if minute < end]
        if not known or max(known) + OLDEST + 1 < end:
            return refusal("STALE_MARKET_DATA", Code.UNAVAILABLE)
        wanted = range(max(known) + 1 - count, max(known) + 1)
        if not all(minute in planted for minute in wanted):
            return refusal("TOO_FEW_CANDLES")
        rows = np.array([planted[minute] for minute in wanted])
        times = NOON_MS + MINUTE_MS * np.array(wanted, dtype=np.int64)
        return Told(Candles(symbol, "1m", times, *rows.T.copy(), np.ones(len(rows))), self.synthetic)


def at_100(number: int = 0, direction: Direction = Direction.BUY, **changes: object) -> Signal:
    """A signal at 100 with its stop 2 away and its target 3 away, decided so many minutes after noon."""
    buys = direction is Direction.BUY
    at = NOON + timedelta(minutes=number)
    levels: Mapping[str, object] = {
        "id": f"sig-{number}-{direction.value}",
        "slot": None,
        "timestamp": at,
        "direction": direction,
        "entry": Decimal(100),
        "stop_loss": Decimal(98 if buys else 102),
        "take_profit": Decimal(103 if buys else 97),
        "quantity": Decimal("10.5"),
        "vetoes": (),
        "degraded": False,
        "degradations": (),
        **changes,
    }
    return decision(**levels)


async def publish(books: Books, signal: Signal, *, counted: bool = True) -> Trade:
    """The signal and its trade, stored in one transaction as a decision is; `counted`: in the hour's window too."""
    account = signal.account
    async with books.ledger.writing() as connection:
        facts, moment = await locked_facts(connection, account, clock=books.clock, window_ms=HOUR_MS)
        new = NewSignal(signal, "test", key=signal.id)
        stored = await store_signal(connection, new, created_at=moment.at)
        if signal.book is Book.PRIMARY and counted:
            emission = NewEmission(signal.id, signal.tier is Tier.HIGH)
            await insert_emission(connection, facts.account, emission, moment=moment)
        return await insert_trade(connection, facts.account, birth(signal), moment=moment, seq=stored.seq)


def keep(books: Books, market: PlantedMarket, ledger: Ledger | None = None) -> Keeper:
    """A keeper that has just started."""
    stored = StoredBooks(ledger or books.ledger, books.forced)
    return Keeper(books=stored, market=market, clock=books.clock, packs=discover_packs())


def turn_to(books: Books, minute: float) -> None:
    """Let the clock stand so many minutes after noon, and the few seconds more after which a candle is told."""
    goal_ms = NOON_MS + round(minute * MINUTE_MS) + 5_000
    books.clock.pass_time((goal_ms - milliseconds(books.clock.at)) / 1_000)
