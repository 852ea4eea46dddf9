"""Markets and accounts for the tests of the signal desk: the votes are chosen by hand, the rest is as it runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from itertools import count

from core.adapters.ledger.accounts import StoredAccounts, default_accounts
from core.adapters.ledger.kill import StoredSwitch
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.decisions import StoredDecisions
from core.adapters.ledger.signals.reads import Signals
from core.analysis import RefusedSymbol
from core.deciding.verdicts import Habits, Verdicts
from core.ensemble import Outlook
from core.errors import CrpbotError
from core.fitted import NOTHING_FITTED
from core.forecasts.lineup import CANDLES
from core.llm.asking import LlmFailure, Prompt, Reply, SpendLabel, SpendStatus
from core.llm.price import Usage
from core.market import Candles, instant, milliseconds
from core.risk.account import Moment, Quote
from core.risk.desk import House, RiskDesk
from core.risk.limits import Limits
from core.risk.pack import discover_packs
from core.risk.size import Step
from core.signal import Degradation, Mode, RuntimeMode, Version
from core.signals.desk import SignalDesk, Station
from core.signals.ports import Studies, Study
from tests.core.books import NOON, HandClock
from tests.core.cases import an_analysis, readings_of
from tests.fakes import walk_candles

STEP = Step(Decimal("0.00000001"), Decimal("0.00000001"))
HABITS = Habits(Mode.CONSERVATIVE, 0.65, True, False, "hold", 20.0)
STATION = Station(RuntimeMode.DRYRUN, "fake", True, "5m", 500, (Version("code", "1"),))
# Where walks begin, so that lots and money have the sizes of real ones.
PRICES = {
    **{"BTC-USD": 50_000.0, "ETH-USD": 3_000.0, "SOL-USD": 150.0, "XRP-USD": 2.0, "DOGE-USD": 0.2},
    **{"ADA-USD": 0.5, "AVAX-USD": 20.0, "LINK-USD": 15.0, "POL-USD": 0.3, "LTC-USD": 100.0},
}
VOTER = "markov_regime"
SURE = 1.0  # a lone full vote in an ordered market: 80 %
UNSURE = 0.55  # the same at 68 %
SAYS = {"signal": "BUY", "confidence": 0.8, "reasoning": "Regime.", "entry": None, "stop_loss": None}


def a_study(
    symbol: str = "BTC-USD",
    vote: float = SURE,
    *,
    at_ms: int = milliseconds(NOON),
    doubts: tuple[Degradation, ...] = (),
) -> Study:
    """A market in which one theory votes and every filter finds order."""
    candles = candles_of(symbol, at_ms)
    analysis = replace(
        an_analysis(readings_of(ordered=True, **({VOTER: vote} if vote else {}))),
        symbol=symbol,
        as_of=instant(candles.as_of),
        price=price_of(candles),
        degradations=doubts,
    )
    return Study(candles, "fake", analysis)


def candles_of(symbol: str, at_ms: int) -> Candles:
    """A walk that begins at the symbol's price."""
    walk, scale = walk_candles(symbol, count=500, now_ms=at_ms), PRICES[symbol] / 100.0
    return replace(walk, **{name: scale * getattr(walk, name) for name in ("open", "high", "low", "close")})


def hourly(most: int = 3) -> Limits:
    """So many signals an hour, each so small that the firm's leverage stops none of them."""
    return Limits(most, risk_percent=Decimal("0.1"))


def price_of(candles: Candles) -> Decimal:
    """The last close."""
    return Decimal(repr(float(candles.close[-1])))


def said(**changes: object) -> str:
    """A language model's reply as text."""
    return json.dumps({**SAYS, "take_profit": None, **changes})


@dataclass
class FakeStudies:
    """Reads every market as the votes say; one that is refused or doubted is what a test says."""

    clock: HandClock
    votes: Mapping[str, float] = field(default_factory=dict)
    refusals: Mapping[str, RefusedSymbol] = field(default_factory=dict)
    doubts: Mapping[str, tuple[Degradation, ...]] = field(default_factory=dict)
    outlooks: Mapping[str, Outlook] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def study(
        self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
    ) -> list[Study | RefusedSymbol]:
        self.asked.append(tuple(symbols))
        at_ms = milliseconds(self.clock().at)
        return [self.refusals.get(symbol, self._read(symbol, at_ms)) for symbol in symbols]

    def staffed(self, symbols: Sequence[str]) -> frozenset[str]:
        return frozenset(each for each in symbols if each in self.outlooks and self.outlooks[each].is_staffed)

    def _read(self, symbol: str, at_ms: int) -> Study:
        """A market through the theories, and through the models where there is an outlook."""
        study = a_study(symbol, self.votes.get(symbol, SURE), at_ms=at_ms, doubts=self.doubts.get(symbol, ()))
        outlook = self.outlooks.get(symbol)
        if outlook is None:
            return study
        if not outlook.speaking:
            return replace(study, outlook=outlook)
        minutes = walk_candles(symbol, "1m", CANDLES, now_ms=at_ms)
        return replace(study, outlook=replace(outlook, as_of=instant(minutes.as_of)), minutes=minutes)


@dataclass
class FakeModel:
    """Answers every prompt with one text, or fails in one way."""

    answer: str | LlmFailure = field(default_factory=said)
    asked: list[SpendLabel] = field(default_factory=list)
    seconds: float = 0.0

    async def ask(self, prompt: Prompt, *, purpose: SpendLabel, deadline_seconds: float = 20.0) -> Reply | LlmFailure:
        self.asked.append(purpose)
        await asyncio.sleep(self.seconds)
        if isinstance(self.answer, LlmFailure):
            return self.answer
        return Reply(self.answer, "fake", "stop", Usage(900, 0, 60), Decimal("0.0001"), 5.0, 1, "r1")


class NoPurse:
    """Nobody asks what was spent."""

    async def status(self, moment: Moment) -> SpendStatus:
        raise AssertionError("nobody asks")


@dataclass
class FakeQuotes:
    """Every symbol costs what its last candle closed at; one told before, or silent, is what a test says."""

    clock: HandClock
    age_seconds: float = 0.0
    silent: set[str] = field(default_factory=set)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def quotes(self, symbols: Sequence[str], *, now_ms: int) -> list[Quote | CrpbotError]:
        self.asked.append(tuple(symbols))
        told = now_ms - round(1_000 * self.age_seconds)
        prices = {symbol: price_of(candles_of(symbol, now_ms)) for symbol in symbols}
        return [Quote(symbol, prices[symbol], prices[symbol], told) for symbol in symbols if symbol not in self.silent]


@dataclass
class Room:
    """A signal desk over a ledger, and everything that a test may turn."""

    ledger: Ledger
    votes: Mapping[str, float] = field(default_factory=dict)
    outlooks: Mapping[str, Outlook] = field(default_factory=dict)
    model: FakeModel | None = None
    habits: Habits = HABITS
    limits: Limits = field(default_factory=hourly)
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.studies = FakeStudies(self.clock, self.votes, outlooks=self.outlooks)
        self.quotes = FakeQuotes(self.clock)
        self.accounts = StoredAccounts(self.ledger)
        self.switch = StoredSwitch(self.ledger)
        self.signals = Signals(self.ledger)
        self.decisions = StoredDecisions(self.ledger, self.signals)
        self.risk = RiskDesk(
            accounts=self.accounts,
            switch=self.switch,
            quotes=self.quotes,
            clock=self.clock,
            house=House(self.limits, discover_packs()),
            step=lambda _: STEP,
        )
        self.with_studies(self.studies)

    def with_studies(self, studies: Studies) -> None:
        """The desk anew, over others who read markets."""
        numbers = count(1)
        self.desk = SignalDesk(
            studies=studies,
            verdicts=Verdicts(habits=self.habits, library=lambda: NOTHING_FITTED, purse=NoPurse(), model=self.model),
            risk=self.risk,
            decisions=self.decisions,
            station=STATION,
            clock=self.clock,
            make_key=lambda: f"call-{next(numbers)}",
        )

    async def open(self) -> Room:
        """The default accounts, as every server makes them."""
        await self.accounts.seed(default_accounts(NOON - timedelta(days=1)))
        return self
