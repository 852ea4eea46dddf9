"""The accounts in the database: their facts, what the trader reported, and the limits that tripped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.audit import append_entry, lock_head
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.facts import ACCOUNT, read_facts, since, to_account, write_positions
from core.adapters.ledger.idempotency import conclude, hold
from core.adapters.ledger.kill import write_switch
from core.adapters.ledger.latches import lift_latches, trip_latch
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.locks import lock_account, take_switch
from core.adapters.ledger.risk_schema import account_reports, accounts, emissions
from core.adapters.ledger.shared_read import SharedFacts
from core.errors import Code, CrpbotError, invalid
from core.idempotency import Attempt
from core.money import to_units
from core.risk.account import (
    Account,
    AccountFacts,
    AccountKind,
    Clock,
    KillLevel,
    KillSwitch,
    Latch,
    LatchKind,
    Report,
)
from core.risk.booking import MAX_WORD, check_word
from core.risk.calendar import zone_of
from core.risk.pack import DEFAULT_PACK, find_pack
from core.trade import Book

DEFAULT_CAPITAL: Final = Decimal(100_000)
STARTED_BY: Final = "crpbot"
BREACH_STOPPER: Final = "the breach of a firm's limit"
ACCOUNT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LEAST_CAPITAL: Final = Decimal(1)  # US dollars: a limit of so many percent of it is an amount too
MOST_TRADING_DAYS: Final = 100_000


def default_accounts(at: datetime) -> tuple[Account, ...]:
    """What every server has: the account that is published, and the one that variants are compared on."""
    zone = find_pack(DEFAULT_PACK).time_zone
    return tuple(
        Account(name, name, AccountKind.PAPER, book, DEFAULT_PACK, zone, DEFAULT_CAPITAL, at)
        for name, book in (("paper", Book.PRIMARY), ("shadow", Book.SHADOW))
    )


@dataclass(frozen=True, slots=True)
class StoredAccounts:
    """The accounts of one ledger. `forced` is the switch of a server started with KILL_SWITCH=true."""

    ledger: Ledger
    forced: KillSwitch | None = None
    _shared: SharedFacts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_shared", SharedFacts(self._read))

    async def list(self) -> tuple[Account, ...]:
        """Every account, by id."""
        async with self.ledger.reading() as connection:
            rows = await connection.execute(select(*ACCOUNT).order_by(accounts.c.id))
            return tuple(to_account([*row]) for row in rows)

    async def seed(self, wanted: Iterable[Account]) -> None:
        """Make those that are absent; those that are there stay as they are. For the start of a server."""
        async with self.ledger.writing() as connection:
            for account in wanted:
                await _insert_account(connection, account, by=STARTED_BY)

    async def newest_steady_ms(self) -> int:
        """The newest instant that rate windows count from; the clock of a restarted machine may not stand before it."""
        async with self.ledger.reading() as connection:
            return int((await connection.execute(select(func.max(emissions.c.steady_ms)))).scalar() or 0)

    async def create(self, account: Account, *, by: str, attempt: Attempt | None = None) -> None:
        """Store a new account. Its id must be free."""
        _check_account(account)
        async with self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            if not await _insert_account(connection, account, by=by):
                raise CrpbotError(
                    Code.ALREADY_EXISTS,
                    f"id: there is an account {account.id!r}; choose another id",
                    reason="ACCOUNT_EXISTS",
                )
            await conclude(connection, attempt, account)

    async def facts(self, account_id: str, *, since_steady_ms: int) -> AccountFacts:
        """What the ledger knows, in one snapshot that began after the call. Callers at the same time share it."""
        facts = await self._shared.facts(account_id, since_steady_ms)
        return since(facts, since_steady_ms)

    async def report(self, account_id: str, report: Report, *, by: str, attempt: Attempt | None = None) -> None:
        """Store what the trader told about a reported account."""
        values = _report_values(report)
        async with self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            account = await lock_account(connection, account_id)
            if account.kind is not AccountKind.REPORTED:
                raise invalid("account", f"{account_id!r} is a paper account: its balance follows from its trades")
            numbers = account_reports.c
            last = select(func.max(numbers.seq)).where(numbers.account_id == account_id)
            seq = ((await connection.execute(last)).scalar() or 0) + 1
            await connection.execute(insert(account_reports).values(account_id=account_id, seq=seq, **values))
            told = {"balance": str(report.balance), "equity": str(report.equity), "day": report.midnight_day}
            event = AuditEvent(report.at, by, "account.report", f"account/{account_id}", told)
            await append_entry(connection, event)
            await conclude(connection, attempt, report)

    async def trip(self, account_id: str, latch: Latch, *, by: str) -> bool:
        """Store a limit that has tripped; False when it had tripped already.

        The breach of an account that is published halts everything in the same transaction: nobody can see one
        without the other.
        """
        is_breach = latch.kind is LatchKind.BREACH
        async with self.ledger.writing() as connection:
            if is_breach:
                await take_switch(connection)
            account = await lock_account(connection, account_id)
            is_new = await trip_latch(connection, account_id, latch, by=by)
            if is_new and is_breach and account.book is Book.PRIMARY:
                await write_switch(connection, _halt(account_id, latch))
            return is_new

    async def lift(
        self,
        account_id: str,
        kind: LatchKind,
        *,
        rule: str | None = None,
        by: str,
        reason: str,
        clock: Clock,
        attempt: Attempt | None = None,
    ) -> int:
        """Lift every latch of that kind, and of that rule where one is named; the answer is their number."""
        if rule is not None:
            check_word("rule", rule)
        check_word("by", by)
        check_word("reason", reason)
        async with self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            await lock_account(connection, account_id)
            lifted = await lift_latches(connection, account_id, kind, rule=rule, by=by, reason=reason, at=clock().at)
            await conclude(connection, attempt, lifted)
            return lifted

    async def _read(self, account_id: str, since_steady_ms: int) -> AccountFacts:
        async with self.ledger.reading() as connection:
            return await read_facts(connection, account_id, since_steady_ms=since_steady_ms, forced=self.forced)


def _halt(account_id: str, latch: Latch) -> KillSwitch:
    words = f"{latch.rule} at {latch.value} against {latch.limit}: account {account_id}"
    return KillSwitch(KillLevel.HALT, BREACH_STOPPER, words[:MAX_WORD], latch.at)


async def _insert_account(connection: AsyncConnection, account: Account, *, by: str) -> bool:
    """Store it with its audit entry; False when the id is taken. Nobody adds accounts beside the audit head's owner."""
    await lock_head(connection)
    taken = select(accounts.c.id).where(accounts.c.id == account.id)
    if (await connection.execute(taken)).one_or_none() is not None:
        return False
    values = {
        "id": account.id,
        "name": account.name,
        "kind": account.kind.value,
        "book": account.book.value,
        "pack": account.pack,
        "time_zone": account.time_zone,
        "initial_units": to_units(account.initial_capital, field="initial_capital"),
        "created_at": account.created_at,
    }
    await connection.execute(insert(accounts).values(values))
    detail = {"pack": account.pack, "book": account.book.value, "initial_capital": str(account.initial_capital)}
    event = AuditEvent(account.created_at, by, "account.create", f"account/{account.id}", detail)
    await append_entry(connection, event)
    return True


def _check_account(account: Account) -> None:
    if not ACCOUNT_ID.fullmatch(account.id):
        words = "1 to 64 letters, digits, dots, dashes and underlines are needed, a letter or digit first"
        raise invalid("id", f"{account.id[:64]!r} is no plain name; {words}", reason="INVALID_WORD")
    for name in ("name", "pack"):
        check_word(name, getattr(account, name))
    zone_of(account.time_zone)
    if to_units(account.initial_capital, field="initial_capital") < to_units(LEAST_CAPITAL):
        raise invalid("initial_capital", f"is {account.initial_capital}; {LEAST_CAPITAL} US dollar or more is needed")


def _report_values(report: Report) -> dict[str, object]:
    if not 0 <= report.trading_days <= MOST_TRADING_DAYS:
        raise invalid("trading_days", f"is {report.trading_days}; 0 to {MOST_TRADING_DAYS} is needed")
    if not _is_date(report.midnight_day):
        raise invalid("midnight_day", f"{report.midnight_day[:32]!r} is no date such as 2026-11-21")
    return {
        "at": report.at,
        "balance_units": to_units(report.balance, field="balance"),
        "equity_units": to_units(report.equity, field="equity"),
        "midnight_balance_units": to_units(report.midnight_balance, field="midnight_balance"),
        "midnight_day": report.midnight_day,
        "trading_days": report.trading_days,
        "positions": write_positions(report.positions),
    }


def _is_date(text: str) -> bool:
    """In the one spelling whose order as text is the order of days."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
