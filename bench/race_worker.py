"""One process of a race: several tasks that try to get trades and signals into one account at the same time.

Every judgement is stamped by the machine's monotonic clock while the account is held, so the stamps of all processes
are the order in which the account was judged.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from core.adapters.ledger.accounts import StoredAccounts
from core.adapters.ledger.audit import append_entry
from core.adapters.ledger.births import insert_emission, insert_trade
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.locks import lock_account
from core.adapters.ledger.trades import StoredTrades
from core.errors import CrpbotError
from core.risk.account import AccountFacts, Moment, Quote
from core.risk.booking import Closing, Decision, Judge, NewEmission, NewTrade, Outcome
from core.risk.check import Proposal, Purpose, check
from core.risk.limits import WINDOW_MS, Limits
from core.risk.pack import find_pack
from core.trade import Direction

ACCOUNT: Final = "paper"
PACK: Final = find_pack("ftmo-2step-challenge")
LIMITS: Final = Limits()
SYMBOL: Final = "BTC-USD"
ENTRY: Final = Decimal(50_000)
STOP: Final = Decimal(49_000)
START: Final = datetime(2026, 11, 16, 12, tzinfo=UTC)
START_MS: Final = int(START.timestamp() * 1_000)
SPEED: Final = 45_000  # in the race for the window an hour passes in 80 ms, so that hundreds of windows are seen
CLOSED_SHARE: Final = 0.3  # of the rounds in which a task frees room again, so that the race stays at the edge
MIN_LOTS, MAX_LOTS = 20, 40  # hundredths of a bitcoin: some 200 to 500 dollars at risk
BUSY_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process does. `broken` puts the guard outside the transaction, as a program without locks would."""

    url: str
    race: str
    attempts: int
    tasks: int
    broken: bool
    seed: int
    stop_file: str = ""
    clock_starts_ns: int = 0


class Event(NamedTuple):
    """One judgement, or one close that made room: when, on what, and what was decided."""

    stamp_ns: int
    name: str
    quantity: Decimal  # 0: a close
    allowed: bool
    steady_ms: int


class Answer(NamedTuple):
    """What a judge says of one attempt."""

    stamp_ns: int
    allowed: bool
    steady_ms: int


def propose_trade(facts: AccountFacts, moment: Moment, quantity: Decimal) -> bool:
    """Whether the rules let this trade in."""
    at_ms = int(moment.at.timestamp() * 1_000)
    quotes: Mapping[str, Quote] = {SYMBOL: Quote(SYMBOL, ENTRY, ENTRY, at_ms)}
    proposal = Proposal(
        Purpose.TRADE, SYMBOL, Direction.BUY, entry=ENTRY, stop_loss=STOP, take_profit=None, quantity=quantity
    )
    return not check(facts, PACK, quotes, moment, proposal=proposal, limits=LIMITS)


def propose_signal(facts: AccountFacts, moment: Moment) -> bool:
    """Whether one more signal may be published now."""
    proposal = Proposal(Purpose.SIGNAL, SYMBOL, Direction.BUY)
    return not check(facts, PACK, {}, moment, proposal=proposal, limits=LIMITS)


def run(plan: Plan) -> tuple[list[Event], int]:
    """The whole life of the process: what was judged, and how often the ledger was busy for too long."""
    return asyncio.run(_run(plan))


async def _run(plan: Plan) -> tuple[list[Event], int]:
    ledger = await Ledger.open(plan.url)
    racer = Racer(plan, ledger)
    life = {"guard": racer.race_for_room, "rate": racer.race_for_the_window, "kill": racer.trade_until_stopped}[
        plan.race
    ]
    await asyncio.gather(*[life(number) for number in range(plan.tasks)])
    await ledger.close()
    return racer.events, racer.busy


class Racer:
    """The tasks of one process, and what they saw."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self.events: list[Event] = []
        self.busy = 0
        self._plan = plan
        self._left = plan.attempts
        self._ledger = ledger
        self._trades = StoredTrades(ledger)
        self._accounts = StoredAccounts(ledger)

    async def race_for_room(self, task: int) -> None:
        """Try to open trades, and close some of one's own."""
        draw = random.Random(f"{self._plan.seed}-{task}")
        mine: list[str] = []
        while self._left > 0:
            self._left -= 1
            name = f"{self._plan.seed}-{task}-{self._left}"
            quantity = Decimal(draw.randint(MIN_LOTS, MAX_LOTS)) / 100
            answer = await self._admit(_trade_judge(name, quantity))
            self.events.append(Event(answer.stamp_ns, name, quantity, answer.allowed, answer.steady_ms))
            if answer.allowed:
                mine.append(name)
            if mine and draw.random() < CLOSED_SHARE:
                await self._close(mine.pop(draw.randrange(len(mine))))

    async def race_for_the_window(self, task: int) -> None:
        """Try to publish signals."""
        while self._left > 0:
            self._left -= 1
            name = f"{self._plan.seed}-{task}-{self._left}"
            answer = await self._admit(_signal_judge(name))
            self.events.append(Event(answer.stamp_ns, name, Decimal(1), answer.allowed, answer.steady_ms))

    async def trade_until_stopped(self, task: int) -> None:
        """Open and close without end; the switch refuses in between."""
        number = 0
        while not self._is_stopped():
            number += 1
            name = f"{self._plan.seed}-{task}-{number}"
            try:
                answer = await self._admit(_trade_judge(name, Decimal("0.01")))
            except CrpbotError as error:
                if error.reason != "KILL_SWITCH":
                    raise
                await asyncio.sleep(BUSY_SECONDS)
                continue
            if answer.allowed:
                await self._close(name)
            else:
                await asyncio.sleep(BUSY_SECONDS)

    def _is_stopped(self) -> bool:
        return Path(self._plan.stop_file).exists()

    async def _admit(self, judge: Judge[Answer]) -> Answer:
        while True:
            try:
                if self._plan.broken:
                    return await self._admit_unguarded(judge)
                admitted = await self._trades.admit(ACCOUNT, judge, by="race", clock=self._clock, window_ms=WINDOW_MS)
                return admitted.answer
            except CrpbotError as error:
                if error.reason != "LEDGER_BUSY":
                    raise
                self.busy += 1

    async def _admit_unguarded(self, judge: Judge[Answer]) -> Answer:
        """What a program does that checks first and stores afterwards."""
        moment = self._clock()
        facts = await self._accounts.facts(ACCOUNT, since_steady_ms=moment.steady_ms - WINDOW_MS)
        decision = judge(facts, moment)
        if decision.answer.allowed:
            async with self._ledger.writing() as connection:
                await lock_account(connection, ACCOUNT)  # or the database would find deadlocks instead of overruns
                event = AuditEvent(moment.at, "race", "trade.create", "trade/unguarded", {})
                entry = await append_entry(connection, event)
                if decision.trade is not None:
                    await insert_trade(connection, facts.account, decision.trade, moment=moment, seq=entry.seq)
                if decision.emission is not None:
                    await insert_emission(connection, facts.account, decision.emission, moment=moment)
        return decision.answer

    async def _close(self, name: str) -> None:
        stamps: list[int] = []

        def clock() -> Moment:
            stamps.append(time.monotonic_ns())
            return self._clock()

        move = Closing(name, Outcome.BREAKEVEN, ENTRY)
        while True:
            try:
                await self._trades.move(ACCOUNT, move, by="race", clock=clock)
                break
            except CrpbotError as error:
                if error.reason != "LEDGER_BUSY":
                    raise
                self.busy += 1
        self.events.append(Event(stamps[-1], name, Decimal(0), True, 0))

    def _clock(self) -> Moment:
        passed_ms = 0
        if self._plan.race == "rate":
            passed_ms = (time.monotonic_ns() - self._plan.clock_starts_ns) * SPEED // 1_000_000
        return Moment(START + timedelta(milliseconds=passed_ms), START_MS + passed_ms)


def _trade_judge(name: str, quantity: Decimal) -> Judge[Answer]:
    def judge(facts: AccountFacts, moment: Moment) -> Decision[Answer]:
        stamp = time.monotonic_ns()
        allowed = propose_trade(facts, moment, quantity)
        new = NewTrade(name, SYMBOL, Direction.BUY, quantity, ENTRY, stop_loss=STOP, opened_price=ENTRY)
        return Decision(Answer(stamp, allowed, moment.steady_ms), trade=new if allowed else None)

    return judge


def _signal_judge(name: str) -> Judge[Answer]:
    def judge(facts: AccountFacts, moment: Moment) -> Decision[Answer]:
        stamp = time.monotonic_ns()
        allowed = propose_signal(facts, moment)
        answer = Answer(stamp, allowed, moment.steady_ms)
        return Decision(answer, emission=NewEmission(name, False) if allowed else None)

    return judge
