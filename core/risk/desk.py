"""What can be asked about risk: how an account stands, whether a trade would be allowed, and the switch that stops all.

Whenever an account is looked at and a limit turns out to have tripped, that is stored before the answer goes out; a
breach of the firm's own limit also halts everything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.errors import CrpbotError, invalid, unknown
from core.idempotency import Attempt
from core.market import SYMBOLS, parse_symbol
from core.ports import Quotes
from core.risk.account import (
    Account,
    AccountFacts,
    AccountKind,
    Clock,
    KillSwitch,
    Latch,
    Moment,
    Quote,
)
from core.risk.assess import assess
from core.risk.check import check
from core.risk.limits import WINDOW_MS, Limits
from core.risk.pack import DEFAULT_PACK, RiskPack, find_pack
from core.risk.ports import Accounts, Switch
from core.risk.proposal import Proposal, Purpose
from core.risk.report import (
    CheckTradeRequest,
    GetRiskRequest,
    ListRulePacksResponse,
    RiskReport,
    TradeCheck,
)
from core.risk.requests import (
    CreateAccountRequest,
    LiftLatchRequest,
    LiftLatchResponse,
    ListAccountsResponse,
    ReportAccountRequest,
    SetKillSwitchRequest,
)
from core.risk.show import check_trade, list_packs, report
from core.risk.size import Step
from core.risk.told import read_report
from core.signal import Veto
from core.trade import Book, Direction

logger = logging.getLogger(__name__)

QUOTE_SECONDS = 5.0  # a price that takes longer is none; the rules fail closed


@dataclass(frozen=True, slots=True)
class Bench:
    """What the last judgement is made with, gathered before the locks."""

    pack: RiskPack
    limits: Limits
    quotes: Mapping[str, Quote]
    step: Callable[[str], Step]


@dataclass(frozen=True, slots=True)
class House:
    """What the house has decided once: its limits, the packs it knows, the account that is meant by default."""

    limits: Limits
    packs: Mapping[str, RiskPack]
    default_account: str = "paper"


class RiskDesk:
    """Answers every question about risk. The ledger, quotes and clock come in."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        switch: Switch,
        quotes: Quotes,
        clock: Clock,
        house: House,
        step: Callable[[str], Step],
    ) -> None:
        self._accounts = accounts
        self._switch = switch
        self._quotes = quotes
        self._clock = clock
        self._house = house
        self._step = step

    async def report(self, request: GetRiskRequest) -> RiskReport:
        """How an account stands."""
        facts, quotes, now = await self.look(request.account)
        state = assess(facts, self._pack(facts.account), quotes, now, limits=self._house.limits)
        if await self._trip(facts.account, state.new_latches):
            return await self.report(request)
        return report(facts, state, now, limits=self._house.limits)

    async def check(self, request: CheckTradeRequest) -> TradeCheck:
        """Would this trade be allowed now, at which size, and which rule decides."""
        symbol = parse_symbol(request.symbol, field="symbol")
        facts, quotes, now = await self.look(request.account, also=symbol)
        pack, limits = self._pack(facts.account), self._house.limits
        new_latches = assess(facts, pack, quotes, now, limits=limits).new_latches
        if await self._trip(facts.account, new_latches):
            return await self.check(request)
        step = self._step(symbol)
        return check_trade(request, facts, pack, quotes, now=now, limits=limits, step=step)

    async def watch(self) -> None:
        """Look at every account while nobody asks, so that what trips is stored. One that fails hides no other."""
        looks = [self.report(GetRiskRequest(account.id)) for account in await self._accounts.list()]
        for outcome in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def packs(self) -> ListRulePacksResponse:
        """Every rule pack."""
        return list_packs(self._house.packs.values())

    async def accounts(self) -> ListAccountsResponse:
        """Every account."""
        return ListAccountsResponse(await self._accounts.list(), self._house.default_account)

    async def create(self, request: CreateAccountRequest, attempt: Attempt | None = None) -> Account:
        """A new account; asked for twice in the same words, it is the one that was made."""
        pack = find_pack(request.pack or DEFAULT_PACK, packs=self._house.packs)
        account = Account(
            id=request.id,
            name=request.name or request.id,
            kind=request.kind,
            book=Book.PRIMARY,
            pack=pack.id,
            time_zone=pack.time_zone,
            initial_capital=request.initial_capital,
            created_at=self._clock().at,
        )
        try:
            await self._accounts.create(account, by=request.by or "api", attempt=attempt)
        except CrpbotError as error:
            made = await self._find(request.id) if error.reason == "ACCOUNT_EXISTS" else None
            if made is None or attempt is None or made != _as_made(account, made):
                raise
            return made
        return account

    async def tell(self, request: ReportAccountRequest, attempt: Attempt | None = None) -> RiskReport:
        """Take what the holder of a reported account tells, and answer how it stands then."""
        account = await self._need(request.account)
        if account.kind is not AccountKind.REPORTED:
            raise invalid("account", f"{account.id!r} is a paper account: its balance follows from its trades")
        now = self._clock()
        facts = await self._accounts.facts(account.id, since_steady_ms=now.steady_ms - WINDOW_MS)
        told = read_report(request, account, facts, now)
        noted = attempt and attempt.answering(lambda _told: None)  # how it stands then is only known afterwards
        await self._accounts.report(account.id, told, by=request.by or "api", attempt=noted)
        return await self.report(GetRiskRequest(account.id))

    async def lift(self, request: LiftLatchRequest, attempt: Attempt | None = None) -> LiftLatchResponse:
        """Lift what has tripped and stays so."""
        account = await self._need(request.account)

        def answer(lifted: int) -> LiftLatchResponse:
            return LiftLatchResponse(account.id, request.kind, lifted)

        sealed = attempt and attempt.answering(answer)
        return answer(
            await self._accounts.lift(
                account.id,
                request.kind,
                rule=request.rule,
                by=request.by,
                reason=request.reason,
                clock=self._clock,
                attempt=sealed,
            )
        )

    async def kill_switch(self) -> KillSwitch:
        """How the switch stands."""
        return await self._switch.read()

    async def kill(self, request: SetKillSwitchRequest, attempt: Attempt | None = None) -> KillSwitch:
        """Set the switch; when this has returned, nothing that the level forbids becomes visible any more."""
        return await self._switch.set(
            request.level, by=request.by, reason=request.reason, clock=self._clock, attempt=attempt
        )

    async def look(
        self, account: str | None, *, also: str | None = None
    ) -> tuple[AccountFacts, dict[str, Quote], Moment]:
        """An account's facts, the quotes of what it holds (and of one symbol more), and the moment they stand for."""
        before = self._clock()
        name = account or self._house.default_account
        facts = await self._accounts.facts(name, since_steady_ms=before.steady_ms - WINDOW_MS)
        symbols = {trade.symbol for trade in facts.held} | ({also} if also else set())
        quotes = await self.quote(sorted(symbols)) if symbols else {}
        return facts, quotes, self._clock()

    def name_account(self, account: str | None) -> str:
        """The account that is meant."""
        return account or self._house.default_account

    async def vetoes(self, account: str) -> tuple[Veto, ...]:
        """What forbids every signal on an account now: cheap to ask, before anything is read or paid for."""
        facts, quotes, now = await self.look(account)
        pack = self._pack(facts.account)
        state = assess(facts, pack, quotes, now, limits=self._house.limits)
        await self._trip(facts.account, state.new_latches)
        asked = Proposal(Purpose.SIGNAL, SYMBOLS[0], Direction.BUY)
        return check(facts, pack, quotes, now, proposal=asked, limits=self._house.limits, state=state)

    async def bench(self, account: str, symbols: Sequence[str]) -> Bench:
        """What a decision on these symbols is judged with under the locks: rules, limits, quotes."""
        facts = await self._accounts.facts(account, since_steady_ms=self._clock().steady_ms - WINDOW_MS)
        held = {trade.symbol for trade in facts.held}
        wanted = sorted(held | set(symbols))
        quotes = await self.quote(wanted) if wanted else {}
        return Bench(self._pack(facts.account), self._house.limits, quotes, self._step)

    async def lone_bench(self, account: str, symbols: Sequence[str], *, known: Mapping[str, Quote]) -> Bench:
        """The same for what is judged on the account as it was made, whatever it holds. `known` is not asked again."""
        accounts = {each.id: each for each in await self._accounts.list()}
        if account not in accounts:
            raise unknown("account", "account", account, accounts)
        missing = sorted(set(symbols) - known.keys())
        return Bench(
            self._pack(accounts[account]),
            self._house.limits,
            {**known, **(await self.quote(missing) if missing else {})},
            self._step,
        )

    async def quote(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """What symbols cost now; one without a price is left out, and the rules fail closed on it."""
        now_ms = int(self._clock().at.timestamp() * 1_000)
        try:
            async with asyncio.timeout(QUOTE_SECONDS):
                found = await self._quotes.quotes(symbols, now_ms=now_ms)
        except (CrpbotError, TimeoutError) as error:
            logger.warning("no quotes of %s: %s", ", ".join(symbols), error)
            return {}
        return {each.symbol: each for each in found if isinstance(each, Quote)}

    def _pack(self, account: Account) -> RiskPack:
        return find_pack(account.pack, packs=self._house.packs)

    async def _trip(self, account: Account, latches: Sequence[Latch]) -> bool:
        """Store what has just tripped; True when it was news."""
        # all of them, whatever the first one says
        return any([await self._accounts.trip(account.id, latch, by="guard") for latch in latches])

    async def _find(self, account: str) -> Account | None:
        return next((each for each in await self._accounts.list() if each.id == account), None)

    async def _need(self, account: str) -> Account:
        return (await self._accounts.facts(account, since_steady_ms=self._clock().steady_ms)).account


def _as_made(asked: Account, made: Account) -> Account:
    return Account(
        asked.id,
        asked.name,
        asked.kind,
        asked.book,
        asked.pack,
        asked.time_zone,
        asked.initial_capital,
        made.created_at,
    )
